//! Who was eligible for the sums of a study is found again at the unit: while its node runs, after it stopped, and with somebody erased.

use aquifer_tests::processes::wait_for;
use aquifer_tests::study::state;
use serde_json::Value;

use super::fixture::{STEP_MS, Small, check_says, policy};

const REPLAY: [&str; 3] = ["audit", "replay-eligibility", "--json"];

fn lines(small: &Small) -> Vec<Value> {
    let outcome = small.node(0, &REPLAY);
    check_says(&outcome, 0, &[]);
    serde_json::from_str(&outcome.stdout).unwrap()
}

/// Cuts of sums that were charged, and what their lines say.
#[track_caller]
fn check(small: &Small, erased: u64) -> usize {
    let lines = lines(small);
    let own: Vec<&Value> = lines
        .iter()
        .filter(|line| line["set_entry"].is_u64())
        .collect();
    assert!(!own.is_empty(), "{lines:?}");
    let customers = small.company.of_unit(0).count() as u64;
    for line in &own {
        assert_eq!(line["evidence"], "present", "{line}");
        assert_eq!(line["erased"], erased, "{line}");
        assert_eq!(line["eligible_max"], line["counted"], "{line}");
        let least = line["counted"].as_u64().unwrap() - erased;
        assert_eq!(line["eligible_min"], least, "{line}");
        assert_eq!(line["counted"], customers - 1, "{line}");
    }
    own.len()
}

#[test]
fn r1_eligibility_is_replayed_at_the_unit() {
    let mut small = Small::prepared(&policy());
    let ids: Vec<String> = small.company.of_unit(0).map(|own| own.id.clone()).collect();
    let object = [
        "consent",
        "object",
        "--subject",
        &ids[0],
        "--purpose",
        "all",
    ];
    check_says(&small.node(0, &object), 0, &["objected"]);
    small.cluster.start_nodes().unwrap();
    let last = small.cluster.run_study(&small.study(""), STEP_MS).unwrap();
    assert_eq!(state(&last), "published", "{last}");
    // Sets are written beside the sums, a moment later; every sum of this study was charged.
    wait_for("the sets of all sums to be written", STEP_MS, || {
        let lines = lines(&small);
        let told = lines.iter().all(|line| line["set_entry"].is_u64());
        Ok(told.then_some(()))
    })
    .unwrap();
    let sums = check(&small, 0);
    let mut process = small.cluster.nodes[0].process.take().unwrap();
    process.stop().unwrap();
    assert_eq!(check(&small, 0), sums, "without the node");
    let erase = [
        "rights",
        "erase",
        "--subject",
        &ids[1],
        "--ground",
        "consent_withdrawn",
        "--verified-by",
        "desk",
    ];
    check_says(&small.node(0, &erase), 0, &[]);
    assert_eq!(check(&small, 1), sums, "with somebody erased");
}
