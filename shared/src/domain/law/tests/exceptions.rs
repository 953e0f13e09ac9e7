//! Two signers for a screened use: who counts, for what, and until when.

use super::*;
use crate::domain::law::{
    About, Category, Cause, Dpia, Facts, Gate, Purposes, Request, Rulebook, Run, Set, Transfer,
    decide, vendored,
};

const PURPOSES: &str = include_str!("../../../../laws/examples/purposes.toml");
const SITE: IdentityKey = IdentityKey([9; 32]);
const OFFICERS: [IdentityKey; 3] = [
    IdentityKey([1; 32]),
    IdentityKey([2; 32]),
    IdentityKey([3; 32]),
];
/// 2026-11-26.
const TODAY: i32 = 20_783;

fn book() -> Rulebook {
    let purposes = Purposes::parse(PURPOSES).unwrap();
    Rulebook::new(vendored::packs().unwrap(), purposes).unwrap()
}

fn text(reason: &str, days: i32) -> String {
    let book = book();
    let purpose = book.purpose("credit.score").unwrap();
    Exception::written(&SITE, purpose, reason, (TODAY, TODAY + days)).unwrap()
}

#[track_caller]
fn check_format(from: &str, to: &str, expected: &str) {
    let text = text("a pilot", 90);
    assert!(text.contains(from), "{text}");
    let error = Exception::parse(&text.replacen(from, to, 1)).unwrap_err();
    assert!(error.to_string().contains(expected), "{error}");
}

#[test]
fn what_is_written_is_read_back_and_nothing_else() {
    let read = Exception::parse(&text("a \"pilot\" with Björn's team \\ until spring", 90));
    let read = read.unwrap();
    assert_eq!(read.reason, "a \"pilot\" with Björn's team \\ until spring");
    assert_eq!((read.site, read.screened), (SITE, ScreenedUse::Credit));
    assert_eq!((read.from, read.until), (TODAY, TODAY + 90));
    check_format("reason = \"a pilot\"\n", "", "has no \"reason\"");
    check_format("\"a pilot\"", "\"\"", "reason is empty");
    check_format("\"credit\"", "\"lending\"", "use is \"lending\"");
    check_format("until", "ends", "has no \"until\"");
    check_format("from", "note = \"x\"\nfrom", "unknown key \"note\"");
    check_format("until = 2027", "until = 2028", "0 to 366 days after from");
    check_format("until = 2027", "until = 2025", "0 to 366 days after from");
}

#[test]
fn a_purpose_that_is_not_screened_takes_none() {
    let book = book();
    let purpose = book.purpose("churn.train").unwrap();
    assert_eq!(
        Exception::written(&SITE, purpose, "why not", (TODAY, TODAY)),
        None
    );
}

fn granted(signers: &[IdentityKey]) -> Result<Granted, NotGranted> {
    let book = book();
    let exception = Exception::parse(&text("a pilot", 90)).unwrap();
    let purpose = book.purpose("credit.score");
    exception.granted((&SITE, &OFFICERS), purpose, signers)
}

#[test]
fn l3_override_needs_two_signers() {
    let unsigned = |signed| {
        Err(NotGranted::Unsigned {
            signed,
            officers: 3,
        })
    };
    let [ada, bob, _] = OFFICERS;
    let stranger = IdentityKey([8; 32]);
    assert_eq!(granted(&[]), unsigned(0));
    assert_eq!(granted(&[ada]), unsigned(1));
    assert_eq!(granted(&[ada, ada]), unsigned(1), "one person twice");
    assert_eq!(granted(&[ada, stranger]), unsigned(1), "no officer");
    assert_eq!(granted(&[bob, ada]).unwrap().signers, [ada, bob]);
}

#[test]
fn it_is_for_one_site_one_declaration_and_one_use() {
    let exception = Exception::parse(&text("a pilot", 90)).unwrap();
    let book = book();
    let own = book.purpose("credit.score").unwrap();
    let held = |site: &IdentityKey, purpose: Option<&Purpose>| {
        exception.granted((site, &OFFICERS), purpose, &OFFICERS)
    };
    let elsewhere = held(&IdentityKey([7; 32]), Some(own));
    assert!(matches!(elsewhere, Err(NotGranted::OtherSite { .. })));
    let none = held(&SITE, None);
    assert!(matches!(none, Err(NotGranted::Undeclared(_))));
    let other = held(&SITE, book.purpose("churn.score"));
    assert!(matches!(other, Err(NotGranted::Undeclared(_))));
    let mut wider = own.clone();
    wider.features_allowed.push("zip".to_owned());
    let redeclared = held(&SITE, Some(&wider));
    assert!(matches!(redeclared, Err(NotGranted::Redeclared(_))));
    assert!(held(&SITE, Some(own)).is_ok());
}

/// Whether the screening lets a score be exported on a day.
fn screened_on(granted: &[Granted], day: i32) -> bool {
    let book = book();
    let purpose = book.purpose("credit.score");
    let now = Timestamp(u64::from(day.unsigned_abs()) * 24 * 3_600 * 1_000);
    let place = "DE".parse().unwrap();
    let request = Request {
        gate: Gate::Score,
        purpose: "credit.score",
        columns: &[],
        categories: Set::of(&[Category::Contract]),
        controller: Some(place),
        export: true,
    };
    let facts = Facts {
        dpia: Dpia::Current,
        reviewer: Some(OFFICERS[0]),
        signers: signers_of(granted, purpose, now),
        about: About::Run(Run {
            places: &[place],
            transfer: Transfer::Within,
            population: Some(1_000),
            spend: None,
        }),
    };
    let decision = decide(&request, &facts, &book, now);
    decision.causes().contains(Cause::UseScreened)
}

#[test]
fn it_holds_until_its_last_day_and_not_before_its_first() {
    let held = [granted(&OFFICERS).unwrap()];
    for (day, expected) in [
        (TODAY - 1, true),
        (TODAY, false),
        (TODAY + 90, false),
        (TODAY + 91, true),
    ] {
        assert_eq!(screened_on(&held, day), expected, "{day}");
    }
    assert!(screened_on(&[], TODAY));
    let mut alone = held[0].clone();
    alone.signers[1] = alone.signers[0];
    assert!(screened_on(&[alone], TODAY), "a record that was bent");
}

#[test]
fn a_grant_is_kept_as_a_record() {
    let granted = granted(&OFFICERS).unwrap();
    let text = serde_json::to_string(&granted).unwrap();
    assert!(text.contains("\"use\":\"credit\""), "{text}");
    assert_eq!(serde_json::from_str::<Granted>(&text).unwrap(), granted);
    let other = text.replace("credit\"", "lending\"");
    assert!(serde_json::from_str::<Granted>(&other).is_err());
}
