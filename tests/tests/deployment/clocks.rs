//! Clocks: what time does to certificates, and what a clock that is set back cannot do.

use std::fs;
use std::process::Command;

use aquifer_tests::processes::{command, run, wait_for};
use aquifer_tests::study::state;
use serde_json::Value;

use super::fixture::{STEP_MS, Small, has_program, one_study, policy};

#[test]
fn a_clock_set_back_frees_no_budget() {
    if !has_program("faketime") {
        return;
    }
    let mut small = Small::started(&policy());
    let last = small.cluster.run_study(&small.study(""), STEP_MS).unwrap();
    assert_eq!(state(&last), "published", "{last}");
    small.cluster.nodes[0]
        .process
        .take()
        .unwrap()
        .stop()
        .unwrap();
    for shift in ["-2y", "-1d", "+1d"] {
        let mut asked = command("aquifer-node", ["budget", "--json", "--dir"]);
        asked.arg(&small.cluster.nodes[0].folder);
        let printed = run(asked.envs(shifted(shift))).unwrap().success().unwrap();
        let budget: Value = serde_json::from_str(&printed).unwrap();
        assert_eq!(
            budget["per_year"]["spent"]["rho_micro"],
            one_study().0,
            "{shift}: {budget}"
        );
        // What was set aside for a spare attempt came back when the study ended.
        let left = policy().cap.0 - one_study().0;
        assert_eq!(
            budget["per_year"]["left"]["rho_micro"], left,
            "{shift}: {budget}"
        );
    }
}

#[test]
fn a_certificate_is_renewed_while_the_node_runs() {
    if !has_program("faketime") {
        return;
    }
    let mut small = Small::prepared(&policy());
    let folder = small.cluster.nodes[0].folder.clone();
    let certificate = || fs::read_to_string(folder.join("certificate.pem")).unwrap();
    let first = certificate();
    let mut late = command("aquifer-node", ["run", "--dir"]);
    late.arg(&folder).envs(shifted("+21d"));
    let log = small.folder.path().join("late.log");
    let mut node = small
        .cluster
        .watcher()
        .start("late", &mut late, &log)
        .unwrap();
    wait_for("another certificate", STEP_MS, || {
        Ok((certificate() != first).then_some(()))
    })
    .unwrap();
    assert!(node.is_running(), "its session goes on");
    node.stop().unwrap();
    small.cluster.start_node(0).unwrap();
    small.cluster.wait_connected().unwrap();
}

/// What gives a program another clock. Set on the program itself: one that `faketime` runs does not end with it.
pub fn shifted(shift: &str) -> Vec<(String, String)> {
    let ask = |_| run(Command::new("faketime").args(["-f", shift, "env"])).unwrap();
    // Its semaphore has its process id for a name: one that was left behind is in its way.
    let told = (0..5).map(ask).find(|told| told.code == Some(0));
    let told = told.expect("faketime starts").stdout;
    let variables = told.lines().filter_map(|line| line.split_once('='));
    let kept = variables.filter(|(name, _)| ["LD_PRELOAD", "FAKETIME"].contains(name));
    kept.map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}
