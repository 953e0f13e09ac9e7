//! Rules hold on their days, and deny outside of them.

use super::*;

/// All rules of one key in one pack end on a day.
fn ending(pack: &'static str, key: &'static str, last: &'static str) -> Rulebook {
    book_with(|name, text| {
        let parts = text.split("[[rule]]\n").map(|part| {
            match part.starts_with(&format!("key = \"{key}\"\n")) {
                true if name == pack => {
                    part.replace("valid_to = \"none\"", &format!("valid_to = {last}"))
                }
                _ => part.to_owned(),
            }
        });
        parts.collect::<Vec<_>>().join("[[rule]]\n")
    })
}

#[test]
fn l4_expired_rule_denies() {
    for key in [
        "bases",
        "objection",
        "clock_breach_hours",
        "records",
        "on_unknown",
    ] {
        let book = ending("gdpr.toml", key, "2026-11-25");
        check_decided(&book, "run", "on=2026-11-25", &[]);
        let decision = decided(&book, "run", "on=2026-11-26");
        assert!(decision.causes().contains(Cause::RuleStale), "{key}");
        let reasons = decision.reasons();
        let stale = reasons
            .iter()
            .find(|reason| reason.cause == Cause::RuleStale)
            .unwrap();
        assert_eq!(stale.grounds[0].rule_id, format!("gdpr/{key}@2018-05-25"));
        assert!(stale.to_string().contains("pack.stale"));
        // Where the law does not apply, its age is of no concern.
        check_decided(&book, "run", "on=2026-11-26 place=GB controller=GB", &[]);
    }
}

#[test]
fn l4_an_expired_rule_of_a_place_does_not_fall_back() {
    let book = ending("gdpr.toml", "min_age", "2026-11-25");
    let decision = decided(&book, "person", "place=FR controller=FR on=2026-11-26");
    assert!(decision.causes().contains(Cause::RuleStale));
    let only_france = book_with(|name, text| {
        match name {
        "gdpr.toml" => text.replace(
            "place = \"FR\"\nvalue = 15\norigin = \"law\"\nref = \"GDPR 8(1), law of FR\"\nvalid_from = 2018-05-25\nvalid_to = \"none\"",
            "place = \"FR\"\nvalue = 15\norigin = \"law\"\nref = \"GDPR 8(1), law of FR\"\nvalid_from = 2018-05-25\nvalid_to = 2026-11-25",
        ),
        _ => text.to_owned(),
    }
    });
    check_decided(
        &only_france,
        "person",
        "place=FR controller=FR age=40 on=2026-11-25",
        &[],
    );
    check_decided(
        &only_france,
        "person",
        "place=FR controller=FR age=40 on=2026-11-26",
        &[Cause::RuleStale],
    );
    check_decided(
        &only_france,
        "person",
        "place=DE controller=DE age=40 on=2026-11-26",
        &[],
    );
}

#[test]
fn l4_a_law_that_is_not_in_force_yet_denies() {
    check_decided(
        &book(),
        "person",
        "on=2018-05-25 consented_on=2018-05-25",
        &[],
    );
    let early = decided(&book(), "person", "on=2018-05-24 consented_on=2018-05-24");
    assert!(early.causes().contains(Cause::RuleStale));
}

#[test]
fn l4_a_duty_that_begins_later_is_not_owed_before() {
    let has = |on: &str| {
        decided(&book(), "run", &format!("place=GB controller=GB on={on}"))
            .limits()
            .value(Key::ClockComplaintDays)
    };
    assert_eq!((has("2026-06-18"), has("2026-06-19")), (None, Some(30)));
    check_decided(&book(), "run", "place=GB controller=GB on=2026-06-18", &[]);
}

#[test]
fn l4_one_value_a_day() {
    let overlapping = vendored::PACKS[4]
        .1
        .replace("valid_to = 2026-02-04", "valid_to = 2026-02-05");
    let error = Pack::parse(&overlapping).unwrap_err();
    assert!(
        error
            .problem
            .contains("on a day on which another rule sets the same"),
        "{error}"
    );
}
