//! What is not known is denied, whatever else is said.

use proptest::prelude::*;

use super::*;

const COUNTRIES: [&str; 12] = [
    "JP", "CN", "IN", "US", "US-NY", "US-TX", "CA", "CH", "AU", "ZZ", "KR", "unknown",
];

/// A case of anything, and one fact in it that is not known.
fn pairs(
    values: &'static [(&'static str, &'static [&'static str])],
) -> impl Strategy<Value = String> {
    let each: Vec<_> = values
        .iter()
        .map(|(key, words)| {
            prop::sample::select(*words).prop_map(move |word| format!("{key}={word}"))
        })
        .collect();
    each.prop_map(|pairs| pairs.join(" "))
}

const ANYTHING: &[(&str, &[&str])] = &[
    ("place", &["DE", "FR", "GB", "US-CA", "BR", "GB-SCT"]),
    ("controller", &["DE", "AT", "GB", "US-CA", "BR"]),
    (
        "purpose",
        &[
            "churn.train",
            "churn.query",
            "churn.score",
            "care.train",
            "partner.train",
            "retention.score",
            "credit.score",
        ],
    ),
    ("gate", &["ingest", "train", "query", "score", "release"]),
    (
        "basis",
        &[
            "consent",
            "contract",
            "notice",
            "legitimate_interests",
            "credit_protection",
        ],
    ),
    ("consent", &["none", "active", "explicit", "withdrawn"]),
    ("block", &["none", "objected", "opted_out"]),
    (
        "age",
        &["12", "15", "17", "40", "adult", "minor_with_guardian"],
    ),
    ("categories", &["contract", "health", "precise_location"]),
    ("dpia", &["absent", "current", "stale"]),
    ("reviewer", &["true", "false"]),
    ("signers", &["0", "2"]),
    ("transfer", &["within", "tool", "bare"]),
    ("population", &["10", "5000"]),
    ("epsilon_micro", &["1000", "9000000"]),
];

fn of_both(
    unknown: &'static [(&'static str, Cause)],
) -> impl Strategy<Value = (&'static str, Cause)> {
    prop::sample::select(unknown)
}

const UNKNOWN_OF_BOTH: &[(&str, Cause)] = &[
    ("place=unknown", Cause::PlaceUnknown),
    ("controller=unknown", Cause::PlaceUnknown),
    ("purpose=churn.guess", Cause::PurposeUnknown),
    ("categories=unknown", Cause::CategoryUnknown),
    ("categories=contract,unknown", Cause::CategoryUnknown),
    ("categories=", Cause::CategoryUnknown),
    ("columns=tenure,nowhere", Cause::ColumnNotAllowed),
];
const UNKNOWN_OF_A_PERSON: &[(&str, Cause)] = &[
    ("basis=unknown", Cause::BasisUnknown),
    ("age=unknown", Cause::AgeUnknown),
    ("block=unknown", Cause::BlockUnknown),
    ("consent=unknown basis=consent", Cause::ConsentUnknown),
    ("notice=unknown basis=consent", Cause::NoticeTooOld),
    (
        "consented_on=unknown basis=consent consent=active",
        Cause::ConsentTooOld,
    ),
];
const UNKNOWN_OF_A_RUN: &[(&str, Cause)] = &[
    ("transfer=unknown", Cause::TransferUnknown),
    ("population=unknown gate=train", Cause::CohortUnknown),
    ("epsilon_micro=unknown gate=query", Cause::SpendUnknown),
    ("delta_pico=unknown gate=release", Cause::SpendUnknown),
];

proptest! {
    #[test]
    fn l1_unknown_denies(
        anything in pairs(ANYTHING),
        kind in prop::sample::select(&["person", "run"][..]),
        (unknown, cause) in of_both(UNKNOWN_OF_BOTH),
        (of_person, by_person) in of_both(UNKNOWN_OF_A_PERSON),
        (of_run, by_run) in of_both(UNKNOWN_OF_A_RUN),
    ) {
        let book = book();
        let of_kind = if kind == "person" { (of_person, by_person) } else { (of_run, by_run) };
        for (unknown, cause) in [(unknown, cause), of_kind] {
            let decision = decided(&book, kind, &format!("{anything} {unknown}"));
            prop_assert_eq!(decision.verdict(), Verdict::Deny);
            prop_assert!(decision.causes().contains(cause), "{} {}: {:?}", anything, unknown, decision.causes());
        }
    }

    #[test]
    fn l1_a_place_without_law_denies(anything in pairs(ANYTHING), country in prop::sample::select(&COUNTRIES[..])) {
        let book = book();
        for (kind, key) in [("person", "place"), ("run", "place"), ("person", "controller")] {
            let decision = decided(&book, kind, &format!("{anything} {key}={country}"));
            prop_assert_eq!(decision.verdict(), Verdict::Deny);
        }
    }

    /// Any text where a word is expected: an error, or a case that is decided.
    #[test]
    fn l1_any_text_is_refused_or_decided(key in prop::sample::select(&["gate", "basis", "age", "categories", "place", "dpia", "on", "x"][..]), text in "\\PC{0,12}") {
        let mut any = case("person", "");
        if any.set(key, &text).is_ok() {
            let _ = any.decide(&book(), NEVER);
        }
    }
}

#[test]
fn what_is_not_said_is_denied() {
    let mut empty = WhatIf::default();
    for (kind, gate) in [
        ("person", "train"),
        ("run", "query"),
        ("run", "release"),
        ("person", "score"),
    ] {
        empty.set("about", kind).unwrap();
        empty.set("gate", gate).unwrap();
        assert_eq!(empty.decide(&book(), NEVER).verdict(), Verdict::Deny);
    }
    let nobody = Rulebook::new(
        vendored::packs().unwrap(),
        Purposes::parse("purpose = []").unwrap(),
    )
    .unwrap();
    check_decided(&nobody, "run", "", &[Cause::PurposeUnknown]);
}

#[test]
fn nothing_is_allowed_at_the_ends_of_time() {
    let book = book();
    let case = |on: &str| case("run", on);
    for now in [Timestamp(0), Timestamp(u64::MAX)] {
        let decision = case("on=unknown").decide(&book, now);
        assert_eq!(decision.verdict(), Verdict::Deny);
    }
}
