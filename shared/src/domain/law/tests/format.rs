//! Packs, purposes and cases that break the format, each with its place.

use proptest::prelude::*;

use super::*;

fn gdpr() -> &'static str {
    vendored::PACKS[1].1
}

#[track_caller]
fn check_broken(text: &str, line: usize, problem: &str) {
    let error = Pack::parse(text).unwrap_err();
    assert!(error.problem.contains(problem), "{error}");
    assert_eq!(error.line, line, "{error}");
}

/// One line of the pack is replaced, by nothing where `by` is empty; its number comes back too.
fn with(found: &str, by: &str) -> (String, usize) {
    let at = gdpr().find(found).unwrap();
    let line = gdpr()[..at].matches('\n').count() + 1;
    (gdpr().replacen(found, by, 1), line)
}

#[test]
fn all_vendored_packs_are_read_and_reviewed_by_nobody() {
    for pack in vendored::packs().unwrap() {
        for provenance in pack
            .rules()
            .iter()
            .map(|rule| &rule.provenance)
            .chain([pack.scope()])
        {
            assert_eq!(
                (&provenance.reviewer, provenance.reviewed_on),
                (&None, None)
            );
            assert_ne!(provenance.confidence, Confidence::Primary);
        }
    }
    let kinds: Vec<PackKind> = vendored::packs().unwrap().iter().map(Pack::kind).collect();
    assert_eq!(
        kinds
            .iter()
            .filter(|kind| **kind == PackKind::House)
            .count(),
        1
    );
}

#[test]
fn limits_that_no_law_sets_are_policy_of_the_organisation() {
    let keys = [
        Key::CohortMinQuery,
        Key::CohortMinTrain,
        Key::EpsilonYearMaxMicro,
        Key::DeltaPopulationFactor,
        Key::OnUnknown,
    ];
    for pack in vendored::packs().unwrap() {
        for rule in pack.rules().iter().filter(|rule| keys.contains(&rule.key)) {
            assert_eq!(
                rule.provenance.origin,
                Origin::OrgPolicy,
                "{}",
                rule.id(pack.id().as_str())
            );
        }
    }
}

#[test]
fn a_value_without_its_provenance_is_refused() {
    // The first rule starts at the first [[rule]].
    let (text, _) = with("ref = \"GDPR 4(11), 7\"\n", "");
    let (_, line) = with("[[rule]]", "");
    check_broken(&text, line, "[[rule]] has no \"ref\"");
    let (text, line) = with("ref = \"GDPR 4(11), 7\"", "ref = \"\"");
    check_broken(&text, line, "ref is empty");
    for field in ["valid_to", "reviewed_on", "reviewer"] {
        let scope = gdpr().find("[scope]").unwrap();
        let line = gdpr()[..scope].matches('\n').count() + 1;
        let (text, _) = with(&format!("{field} = \"none\"\n"), "");
        check_broken(&text, line, &format!("[scope] has no {field:?}"));
    }
}

#[test]
fn values_outside_their_vocabulary_are_refused() {
    let checks = [
        (
            "value = \"opt_in\"",
            "value = \"opt_maybe\"",
            "value is \"opt_maybe\", expected opt_out, opt_in",
        ),
        (
            "\"vital_interests\"",
            "\"vital_interest\"",
            "value holds \"vital_interest\", expected consent, contract",
        ),
        (
            "\"vital_interests\"",
            "\"contract\"",
            "holds \"contract\" twice",
        ),
        (
            "key = \"consent_model\"",
            "key = \"consent_mode\"",
            "key is \"consent_mode\", expected consent_model",
        ),
        ("kind = \"law\"", "kind = \"bylaw\"", "expected law, house"),
        (
            "origin = \"law\"",
            "origin = \"rumour\"",
            "expected law, guidance, org_policy",
        ),
        (
            "confidence = \"secondary\"",
            "confidence = \"sure\"",
            "expected unchecked, secondary, primary",
        ),
        (
            "confidence = \"secondary\"",
            "confidence = \"primary\"",
            "is primary without a reviewer",
        ),
        (
            "reviewed_on = \"none\"",
            "reviewed_on = 2026-01-01",
            "and reviewer differ in being none",
        ),
        (
            "valid_to = \"none\"",
            "valid_to = 2018-05-24",
            "is before valid_from",
        ),
        (
            "valid_to = \"none\"",
            "valid_to = \"never\"",
            "expected a date like",
        ),
        (
            "source_url = \"https://",
            "source_url = \"http://",
            "is no https address",
        ),
        (
            "value = 16",
            "value = 22",
            "value is 22, expected a whole number from 0 to 21",
        ),
        (
            "value = 16",
            "value = -1",
            "value is -1, expected a whole number from 0 to 21",
        ),
        (
            "place = \"AT\"",
            "place = \"Austria\"",
            "place is \"Austria\", expected two capital letters",
        ),
    ];
    for (found, by, problem) in checks {
        let (text, line) = with(found, by);
        let inside = found.starts_with("\"vital");
        let line = if inside {
            Pack::parse(&text).unwrap_err().line
        } else {
            line
        };
        check_broken(&text, line, problem);
    }
}

#[test]
fn what_is_unknown_or_missing_in_a_pack_is_refused() {
    let (text, line) = with(
        "key = \"consent_model\"",
        "colour = \"red\"\nkey = \"consent_model\"",
    );
    check_broken(&text, line, "unknown key \"colour\" in [[rule]]");
    let (text, _) = with("key = \"records\"", "key = \"clock_complaint_days\"");
    assert!(
        Pack::parse(&text)
            .unwrap_err()
            .problem
            .contains("value is a string, expected a whole number")
    );
    let without = gdpr().replace(
        "key = \"objection\"\nvalue = \"blocks\"",
        "key = \"clock_complaint_days\"\nvalue = 3",
    );
    assert!(
        Pack::parse(&without)
            .unwrap_err()
            .problem
            .contains("no rule sets objection")
    );
    assert!(
        Pack::parse("").is_err() && Pack::parse("[pack]").is_err() && Pack::parse("= =").is_err()
    );
    let long = format!("{}\n# {}", gdpr(), "x".repeat(1 << 20));
    assert!(
        Pack::parse(&long)
            .unwrap_err()
            .problem
            .contains("bytes, expected at most")
    );
}

#[test]
fn a_house_decides_and_states_no_law() {
    let house = vendored::PACKS[2].1;
    let error =
        Pack::parse(&house.replace("origin = \"org_policy\"", "origin = \"law\"")).unwrap_err();
    assert!(
        error
            .problem
            .contains("expected that of all a house decides"),
        "{error}"
    );
    let error = Pack::parse(&house.replace("value = [\"*\"]", "value = [\"DE\"]")).unwrap_err();
    assert!(
        error
            .problem
            .contains("expected that for the policy of the house"),
        "{error}"
    );
}

#[test]
fn a_book_has_each_pack_once_and_a_house() {
    let none = || Purposes::parse("purpose = []").unwrap();
    let packs = || vendored::packs().unwrap();
    let twice = packs().into_iter().chain(packs()).collect();
    assert_eq!(
        Rulebook::new(twice, none()).unwrap_err(),
        WrongBook::PackTwice("ccpa".to_owned())
    );
    let laws = packs()
        .into_iter()
        .filter(|pack| pack.kind() == PackKind::Law)
        .collect();
    assert_eq!(Rulebook::new(laws, none()).unwrap_err(), WrongBook::NoHouse);
    let mut turned = packs();
    turned.reverse();
    let (one, other) = (
        Rulebook::new(packs(), none()).unwrap(),
        Rulebook::new(turned, none()).unwrap(),
    );
    assert_eq!(one.digest(), other.digest());
    assert_ne!(one.digest(), book().digest());
}

#[test]
fn broken_purposes_and_cases_are_refused() {
    let error = |text: &str| Purposes::parse(text).unwrap_err().problem;
    assert!(error(&PURPOSES.replace("churn.query", "churn.train")).contains("declared twice"));
    assert!(
        error(&PURPOSES.replacen("export = false", "export = \"no\"", 1))
            .contains("expected true or false")
    );
    assert!(
        error(&PURPOSES.replacen("owner = \"customer care\"\n", "", 1))
            .contains("has no \"owner\"")
    );
    assert!(error(&PURPOSES.replacen("\"plan\"]", "\"charges\"]", 1)).contains("listed twice"));
    let error = |text: &str| WhatIf::parse(text).unwrap_err().to_string();
    assert_eq!(
        error("gate = \"trian\""),
        "line 1, column 8: gate is \"trian\", expected ingest, train, query, score, release"
    );
    assert!(
        error("gate = \"train\"\nage = 200")
            .starts_with("line 2, column 7: age is \"200\", expected years")
    );
    assert!(error("gate = \"train\"\ncolour = 1").contains("is no field of a case, expected gate"));
    assert!(error("purpose = \"churn.train\"").contains("has no \"gate\""));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// A piece of a file is replaced by anything: it is read, or refused with a place inside the file.
    #[test]
    fn a_damaged_file_is_read_or_refused(file in 0..7_usize, at in any::<prop::sample::Index>(), length in 0..40_usize, by in "\\PC{0,12}|[\\[\\]\"=\n#-]{0,4}") {
        let texts: Vec<&str> = vendored::PACKS.iter().map(|(_, text)| *text).chain([PURPOSES, EXAMPLE]).collect();
        let text: Vec<char> = texts[file].chars().collect();
        let start = at.index(text.len());
        let end = (start + length).min(text.len());
        let damaged: String = text[..start].iter().copied().chain(by.chars()).chain(text[end..].iter().copied()).collect();
        let problem = match file {
            5 => Purposes::parse(&damaged).err(),
            6 => WhatIf::parse(&damaged).err(),
            _ => Pack::parse(&damaged).err(),
        };
        if let Some(problem) = problem {
            prop_assert!(problem.line >= 1 && problem.line <= damaged.matches('\n').count() + 1);
        }
    }
}

const EXAMPLE: &str = include_str!("../../../../laws/examples/case.toml");
