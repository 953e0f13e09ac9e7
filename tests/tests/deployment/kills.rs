//! Power cuts in the middle of a study: it resumes, and no budget is spent twice.

use aquifer_tests::study::state;
use serde_json::Value;

use super::fixture::{STEP_MS, Small, one_study, policy};

/// Starts a study, lets `cut` do its harm once some sums are done, and follows the study to its end.
pub fn study_with(small: &mut Small, cut: impl FnOnce(&mut Small)) -> Value {
    let study = small.study("slot_ms = 200\nphase_ms = 4000");
    study_of(small, &study, cut)
}

/// The same with this study file.
pub fn study_of(small: &mut Small, study: &str, cut: impl FnOnce(&mut Small)) -> Value {
    let hash = small.cluster.submit(study).unwrap();
    let watch = small.cluster.watch(&hash).unwrap();
    small.cluster.approve(&hash).unwrap();
    loop {
        let line = watch.line(STEP_MS).unwrap().expect("the study still runs");
        let status: Value = serde_json::from_str(&line).unwrap();
        if status["status"]["rounds_done"].as_u64() >= Some(3) {
            break;
        }
    }
    cut(small);
    let watch = small.cluster.watch(&hash).unwrap();
    small.cluster.follow(&watch, STEP_MS, |_| {}).unwrap()
}

#[track_caller]
pub fn check_released_and_charged_once(small: &Small, last: &Value) {
    assert_eq!(state(last), "published", "{last}");
    for node in 0..3 {
        assert_eq!(small.spent(node), one_study().0, "node {node}");
    }
}

#[test]
fn a_coordinator_that_is_killed_resumes_the_study() {
    let mut small = Small::started(&policy());
    let last = study_with(&mut small, |small| {
        small.cluster.coordinator().kill().unwrap();
        small.cluster.start_coordinator().unwrap();
    });
    check_released_and_charged_once(&small, &last);
}

#[test]
fn a_node_that_is_killed_comes_back_into_the_study() {
    let mut small = Small::started(&policy());
    let last = study_with(&mut small, |small| {
        small.cluster.nodes[0]
            .process
            .as_mut()
            .unwrap()
            .kill()
            .unwrap();
        small.cluster.start_node(0).unwrap();
    });
    check_released_and_charged_once(&small, &last);
}

pub fn kill_and_restart_all(small: &mut Small) {
    small.cluster.coordinator().kill().unwrap();
    for node in &mut small.cluster.nodes {
        node.process.as_mut().unwrap().kill().unwrap();
    }
    small.cluster.start_coordinator().unwrap();
    small.cluster.start_nodes().unwrap();
}

#[test]
fn a1_crash_forgets_no_spend_of_killed_programs() {
    let mut small = Small::started(&policy());
    let last = study_with(&mut small, kill_and_restart_all);
    check_released_and_charged_once(&small, &last);
}

#[test]
fn a_node_that_stays_away_is_not_waited_for_without_end() {
    let mut small = Small::started(&policy());
    let last = study_with(&mut small, |small| {
        small.cluster.nodes[2]
            .process
            .take()
            .unwrap()
            .kill()
            .unwrap();
    });
    // Two of three are a quorum of 3 − ⌊3/4⌋ = 3: not enough, so the study ends with a reason.
    assert_eq!(state(&last), "aborted", "{last}");
    assert_ne!(last["status"]["reason"], "");
    assert!(small.spent(0) <= one_study().0);
}
