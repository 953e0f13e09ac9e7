//! What `[facts]` takes and refuses, and what it enters.

use aquifer_shared::domain::history::Kind;

use super::*;
use crate::core::gates_fixtures::{TODAY, declared as own, gates, gates_with, purposes};

const FACTS: &str = r#"
controller = "North and South"
controller_contact = "privacy@example.org"
processor = "Head office"
processor_contact = "data@example.org"
dpo = "dpo@example.org"
role = "controller"
authority = "the authority"
[basis]
"churn.train" = "consent"
"churn.query" = "legitimate_interests"
"churn.score" = "contract"
[[measures]]
dpv = "dpv:Encryption"
text = "disks are encrypted"
"#;

fn config(from: &str, to: &str) -> FactsConfig {
    assert!(FACTS.contains(from), "{from}");
    toml::from_str(&FACTS.replacen(from, to, 1)).unwrap()
}

#[track_caller]
fn check_refused(from: &str, to: &str, expected: &str) {
    let error = declared(Some(&config(from, to)), &gates(), TODAY).unwrap_err();
    assert!(error.to_string().contains(expected), "{error}");
}

#[test]
fn what_is_declared_enters_in_order() {
    let events = declared(Some(&config("", "")), &gates(), TODAY).unwrap();
    let declares: Vec<&str> = events
        .iter()
        .map(|event| event.payload.get("declares").unwrap().as_text().unwrap())
        .collect();
    let expected = [
        "rules", "parties", "purpose", "purpose", "purpose", "measures",
    ];
    assert_eq!(declares, expected);
    for event in &events {
        assert_eq!(event.kind, Kind::PackLoaded);
        assert!(event.payload.to_payload().is_ok());
    }
    let purpose = &events[3].payload;
    let days = purpose.get("retention_days").unwrap().as_u64();
    assert_eq!(days, Some(90));
    let text = purpose.to_text();
    let basis = r#""bases":[{"basis":"legitimate_interests","place":"DE"}]"#;
    assert!(events[2].payload.to_text().contains(basis));
    assert!(text.contains(r#""categories":["contract"]"#), "{text}");
    assert!(text.contains("Head office: sums of many people, with noise"));
    assert!(text.contains(r#""transfers":[]"#));
}

#[test]
fn sums_from_abroad_are_transfers() {
    let declared_abroad = Declared {
        places: ["DE", "FR"].map(|place| place.parse().unwrap()).into(),
        transfer: Transfer::Tool,
        ..own()
    };
    let gates = gates_with(&purposes(), declared_abroad, |_, text| text.to_owned());
    let events = declared(Some(&config("", "")), &gates, TODAY).unwrap();
    let text = events[2].payload.to_text();
    assert!(text.contains("noisy sums from FR to DE: tool"), "{text}");
    assert!(!text.contains("from DE to DE"));
}

#[test]
fn without_facts_the_rules_alone_enter() {
    assert_eq!(declared(None, &gates(), TODAY).unwrap().len(), 1);
    assert!(
        declared(None, &Gates::undeclared(), TODAY)
            .unwrap()
            .is_empty()
    );
    assert!(declared(Some(&config("", "")), &Gates::undeclared(), TODAY).is_err());
}

#[test]
fn what_no_document_could_say_is_refused() {
    check_refused(
        "role = \"controller\"",
        "role = \"owner\"",
        "role is \"owner\"",
    );
    check_refused("\"churn.train\" =", "\"churn.other\" =", "churn.other");
    check_refused(
        "\"churn.train\" = \"consent\"\n",
        "",
        "no entry for purpose churn.train",
    );
    check_refused("= \"consent\"", "= \"because\"", "\"because\"");
    check_refused(
        "dpv:Encryption",
        "dpv:FederatedLearning",
        "FederatedLearning",
    );
    check_refused(
        "disks are encrypted",
        "this is GDPR-certified",
        "gdpr-certified",
    );
    check_refused("the authority", "a\\nb", "in one line");
    check_refused("dpo@example.org", "", "0 bytes");
}

/// The example of the document is what is taken.
#[test]
fn the_document_shows_what_is_taken() {
    let text = include_str!("../../../docs/facts.md");
    let (_, rest) = text.split_once("```toml\n[facts]\n").unwrap();
    let (section, _) = rest.split_once("\n```").unwrap();
    let section = section
        .replace("[facts.basis]", "[basis]")
        .replace("[[facts.measures]]", "[[measures]]");
    let shown: FactsConfig = toml::from_str(&section).unwrap();
    let start = include_str!("../../../shared/laws/examples/start.toml");
    let gates = gates_with(start, own(), |_, text| text.to_owned());
    let events = declared(Some(&shown), &gates, TODAY).unwrap();
    assert_eq!(events.len(), 6);
}
