//! The record of processing of a unit whose node runs: declared at its start, made of what its history published.

use std::fs;

use aquifer_tests::processes::{Outcome, wait_for};
use aquifer_tests::study::state;
use serde_json::Value;

use super::fixture::{STEP_MS, Small, check_says, policy};

/// More than the minute between two checkpoints.
const PUBLISHED_MS: u64 = 90_000;
const FACTS: &str = r#"
[history]
publish_every_minutes = 1
[facts]
controller = "North"
controller_contact = "privacy@north.example"
processor = "Head office"
processor_contact = "data@head-office.example"
dpo = "dpo@north.example"
role = "controller"
authority = "an authority that is made up"
"#;

fn record(small: &Small, more: &[&str]) -> Outcome {
    small.node(0, &[&["facts", "ropa"], more].concat())
}

#[test]
fn t1_a_running_unit_makes_its_record_of_processing() {
    let mut small = Small::prepared(&policy());
    let path = small.cluster.nodes[0].folder.join("node.toml");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, format!("{text}\n{FACTS}")).unwrap();
    let ropa = record(&small, &[]);
    check_says(&ropa, 2, &["there is no history yet"]);
    small.cluster.start_nodes().unwrap();
    let last = small.cluster.run_study(&small.study(""), STEP_MS).unwrap();
    assert_eq!(state(&last), "published", "{last}");
    let out = small.folder.path().join("scores.csv");
    let score = ["score", "--model", "churn", "--out", &out.to_string_lossy()];
    check_says(&small.node(0, &score), 0, &["delete it by"]);
    let review = [
        "review",
        &out.to_string_lossy(),
        "--reviewed",
        "3",
        "--overridden",
        "1",
        "--minutes",
        "5",
    ];
    check_says(&small.node(0, &review), 1, &["without --reviewer"]);
    let table = wait_for("what was done to be published", PUBLISHED_MS, || {
        let outcome = record(&small, &[]);
        let done = outcome.code == Some(0) && !outcome.stdout.contains("\"never\"");
        Ok(done.then_some(outcome.stdout))
    })
    .unwrap();
    assert!(table.contains("Head office: sums of many people, with noise"));
    assert!(!table.contains("ALARM"), "{table}");
    let outcome = record(&small, &["--json"]);
    check_says(&outcome, 0, &[]);
    let printed: Value = serde_json::from_str(&outcome.stdout).unwrap();
    assert_eq!(printed["aq:form"], "controller");
    let uses = printed["dpv:hasProcess"].as_array().unwrap().iter();
    let states: Vec<&Value> = uses.map(|own| &own["aq:state"]).collect();
    assert!(states.iter().all(|state| *state == "declared") && states.len() > 1);
    // Into a file, once.
    let file = small.folder.path().join("record.csv");
    let file = file.to_string_lossy();
    check_says(&record(&small, &["--out", &file]), 0, &["written to"]);
    check_says(&record(&small, &["--out", &file]), 1, &["not overwritten"]);
}
