//! What nodes report to run: a program that is not on the list is refused, and the history says of each sum what its nodes reported.

use std::fs;
use std::process::Command;

use aquifer_tests::processes::{program, run, wait_for};
use aquifer_tests::study::state;
use serde_json::Value;

use super::fixture::{STEP_MS, Small, check_says, policy};
use super::histories::of_coordinator;

/// SHA-256 of the nodes' program, as an operator finds it.
pub fn own_digest() -> String {
    let told = run(Command::new("sha256sum").arg(program("aquifer-node"))).unwrap();
    let told = told.success().unwrap();
    told.split(' ').next().unwrap().to_owned()
}

/// Demands these programs, in place of what was demanded, and starts the coordinator again.
fn demand(small: &mut Small, programs: &[&str]) {
    let path = small.cluster.coordinator_folder().join("coordinator.toml");
    let text = fs::read_to_string(&path).unwrap();
    let own = text.split("\n[nodes]\n").next().unwrap();
    fs::write(&path, format!("{own}\n[nodes]\nprograms = {programs:?}\n")).unwrap();
    small.cluster.coordinator().stop().unwrap();
    small.cluster.start_coordinator().unwrap();
}

/// Payloads of a kind, once there is one.
fn payloads(small: &Small, kind: &str) -> Vec<Value> {
    wait_for("the history to say it", STEP_MS, || {
        let shown = of_coordinator(small, &["show", "--from", "0"]);
        let entries = shown["entries"].as_array().unwrap().iter();
        let own = entries.filter(|entry| entry["kind"] == kind);
        let own = own.map(|entry| serde_json::from_str(entry["payload"].as_str().unwrap()));
        let own: Vec<Value> = own.map(Result::unwrap).collect();
        Ok((!own.is_empty()).then_some(own))
    })
    .unwrap()
}

#[test]
fn s3_wrong_digest_refused() {
    let mut small = Small::prepared(&policy());
    let (own, other) = (own_digest(), "ab".repeat(32));
    demand(&mut small, &[&other]);
    let words = [own.as_str(), &other, "nodes.programs", "ask the operator"];
    check_says(&small.node(0, &["run"]), 1, &words);
    assert!(small.cluster.connected().unwrap().is_empty());
    let denied = payloads(&small, "user.denied");
    assert_eq!(denied.len(), 1, "{denied:?}");
    assert_eq!(denied[0]["program"], own);
    assert_eq!(denied[0]["rule"], "nodes.programs");
    // The same node comes in once its program is listed, and the history says from when on.
    demand(&mut small, &[&own, &other]);
    small.cluster.start_node(0).unwrap();
    small.cluster.wait_connected().unwrap();
    let declared = payloads(&small, "pack.loaded").into_iter();
    let declared = declared.filter(|one| one["declares"] == "programs");
    let lists: Vec<usize> = declared
        .map(|one| one["programs"].as_array().unwrap().len())
        .collect();
    assert_eq!(lists, [1, 2]);
}

#[test]
fn s3_digest_in_round_record() {
    let mut small = Small::prepared(&policy());
    let own = own_digest();
    demand(&mut small, &[&own]);
    small.cluster.start_nodes().unwrap();
    let last = small.cluster.run_study(&small.study(""), STEP_MS).unwrap();
    assert_eq!(state(&last), "published", "{last}");
    payloads(&small, "model.released");
    let sums = payloads(&small, "round.aggregated");
    for sum in sums {
        let programs = sum["programs"].as_array().unwrap();
        assert_eq!(programs.len(), 1, "{sum}");
        assert_eq!(programs[0]["sha256"], own);
        assert_eq!(programs[0]["nodes"], "0-2");
    }
    let proposed = payloads(&small, "study.proposed").remove(0);
    assert_eq!(proposed["nodes"].as_array().unwrap().len(), 3);
}
