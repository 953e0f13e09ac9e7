//! A clock that is set back frees no budget.

use std::process::Command;

use aquifer_tests::processes::{program, run};
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
        let mut command = Command::new("faketime");
        command
            .args(["-f", shift])
            .arg(program("aquifer-node"))
            .args(["budget", "--json", "--dir"]);
        let printed = run(command.arg(&small.cluster.nodes[0].folder))
            .unwrap()
            .success()
            .unwrap();
        let budget: Value = serde_json::from_str(&printed).unwrap();
        assert_eq!(
            budget["per_year"]["spent"]["rho_micro"],
            one_study().0,
            "{shift}: {budget}"
        );
        assert_eq!(
            budget["per_year"]["left"]["rho_micro"], 0,
            "{shift}: {budget}"
        );
    }
}
