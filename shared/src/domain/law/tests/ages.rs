//! Minimum ages, state by state.

use super::*;

/// The states of the Union and the age from which their young people consent for themselves.
const STATES: [(&str, u8); 27] = [
    ("AT", 14),
    ("BE", 13),
    ("BG", 14),
    ("HR", 16),
    ("CY", 14),
    ("CZ", 15),
    ("DK", 15),
    ("EE", 13),
    ("FI", 13),
    ("FR", 15),
    ("DE", 16),
    ("GR", 15),
    ("HU", 16),
    ("IE", 16),
    ("IT", 14),
    ("LV", 13),
    ("LT", 14),
    ("LU", 16),
    ("MT", 13),
    ("NL", 16),
    ("PL", 16),
    ("PT", 13),
    ("RO", 16),
    ("SK", 16),
    ("SI", 15),
    ("ES", 14),
    ("SE", 13),
];

#[test]
fn c6_age_table() {
    let book = book();
    for (state, age) in STATES {
        for basis in ["consent", "contract"] {
            let at = |age: u8| format!("place={state} controller={state} basis={basis} age={age}");
            check_decided(&book, "person", &at(age), &[]);
            check_decided(&book, "person", &at(age - 1), &[Cause::AgeBelow]);
        }
    }
    let gdpr = book
        .packs()
        .iter()
        .find(|pack| pack.id().as_str() == "gdpr")
        .unwrap();
    let of_union = |place: &&Place| STATES.iter().any(|(state, _)| *state == place.as_str());
    assert_eq!(gdpr.places().iter().filter(of_union).count(), STATES.len());
}

#[test]
fn c6_unknown_age_denies() {
    let book = book();
    for (state, _) in STATES {
        for differs in [
            "",
            "basis=contract",
            "gate=score purpose=churn.score",
            "gate=query purpose=churn.query",
            "gate=ingest",
        ] {
            let at = format!("place={state} controller={state} age=unknown {differs}");
            check_decided(&book, "person", &at, &[Cause::AgeUnknown]);
        }
    }
}
