//! What is declared in `[law]`, word by word; and that every decision is heard of.

use std::fs;
use std::sync::{Arc, Mutex};

use super::*;
use crate::core::gates_fixtures::{CONTRACT, TODAY, declared, gates, gates_with, purposes};

const LAW: &str = r#"
controller = "DE"
places = ["DE", "US-CA"]
transfer = "tool"
purposes = "purposes.toml"
categories = ["contract"]
columns = { plan = ["usage"] }
"#;

#[track_caller]
fn check(from: &str, to: &str, expected: Option<&str>) {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("purposes.toml"), purposes()).unwrap();
    fs::write(folder.path().join("broken.toml"), "[[purpose]]\nid = 1\n").unwrap();
    assert!(LAW.contains(from), "{from}");
    let config: LawConfig = toml::from_str(&LAW.replace(from, to)).unwrap();
    match (config.gates(folder.path()), expected) {
        (Ok(gates), None) => assert_eq!(gates.book().unwrap().purposes().len(), 3),
        (Err(error), Some(part)) => assert!(error.to_string().contains(part), "{error}"),
        (found, _) => panic!("{found:?}"),
    }
}

#[test]
fn what_is_declared_is_checked_word_by_word() {
    check("DE", "DE", None);
    check("\"DE\"\n", "\"Germany\"\n", Some("[law]: controller"));
    check("US-CA", "us", Some("[law]: places"));
    check("\"tool\"", "\"by mail\"", Some("transfer is \"by mail\""));
    check("\"usage\"", "\"shoes\"", Some("category is \"shoes\""));
    check(
        "purposes.toml",
        "none.toml",
        Some("none.toml: could not read"),
    );
    check("purposes.toml", "broken.toml", Some("broken.toml: line 1"));
    let packs = "packs = \"packs\"\npurposes =";
    check("purposes =", packs, Some("packs: could not read"));
}

#[test]
fn every_decision_is_heard_of() {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let kept = heard.clone();
    let keep = move |decided: &Decided| kept.lock().unwrap().push(decided.clone());
    let law = Law::new(gates(), Box::new(keep));
    let contract = Contract::parse(CONTRACT).unwrap();
    assert!(law.score(&contract, TODAY).is_ok());
    let other = CONTRACT.replace("\"left\"", "\"moved\"");
    let other = Contract::parse(&other).unwrap();
    assert!(law.score(&other, TODAY).is_err());
    let heard = heard.lock().unwrap();
    let told: Vec<_> = heard
        .iter()
        .map(|one| (one.gate, one.verdict, one.causes.join(" ")))
        .collect();
    let denied = (Gate::Score, Verdict::Deny, "purpose_unknown".to_owned());
    assert_eq!(told, [(Gate::Score, Verdict::Allow, String::new()), denied]);
    assert_ne!(heard[0].id, heard[1].id);
}

#[test]
fn a_clock_set_back_by_a_year_brings_no_rule_back() {
    let ends = |name: &str, text: &str| match name {
        "gdpr.toml" => text.replace("valid_to = \"none\"", "valid_to = 2026-12-31"),
        _ => text.to_owned(),
    };
    let law = || Law::logged(gates_with(&purposes(), declared(), ends));
    let contract = Contract::parse(CONTRACT).unwrap();
    let later = Timestamp(TODAY.0 + 365 * 24 * 3_600 * 1_000);
    let running = law();
    assert!(running.score(&contract, TODAY).is_ok());
    assert!(running.score(&contract, later).is_err());
    assert!(running.score(&contract, TODAY).is_err(), "while it runs");
    let started = law().since(later);
    assert!(started.score(&contract, TODAY).is_err(), "and at a start");
}
