//! `simulate`, the command: what it prints, what it writes, how it ends.

use std::process::{Command, Output};

use serde_json::Value;

fn simulate(arguments: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_simulate"));
    command.args(arguments.split_whitespace());
    command.output().expect("the program starts")
}

#[test]
fn unbroken_histories_end_well_and_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("figures.json");
    let output = simulate(&format!(
        "--seeds 0..3 --faults none --rounds 2 --nodes 4 --cells 2 --json {}",
        file.display()
    ));
    assert!(output.status.success(), "{output:?}");
    let printed = String::from_utf8(output.stdout).unwrap();
    for line in [
        "sums released",
        "studies aborted cleanly",
        "hours of virtual time",
        "violations",
    ] {
        assert!(printed.contains(line), "{line}: {printed}");
    }
    let figures: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    let figure = |pointer: &str| figures.pointer(pointer).and_then(Value::as_f64).unwrap();
    assert_eq!(figure("/counts/seeds"), 3.0);
    assert_eq!(figure("/counts/sums"), 6.0);
    assert!(figure("/cost/cpu_seconds") >= 0.0 && figure("/cost/peak_memory_mb") > 1.0);
    assert_eq!(figures["counts"]["violations"], Value::Array(Vec::new()));
}

#[test]
fn a_broken_promise_is_told_with_the_command_that_shows_it() {
    let output = simulate(
        "--seeds 0..3 --faults none --rounds 2 --nodes 4 --cells 2 --plant forgotten-fsync --findings 1",
    );
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let printed = String::from_utf8(output.stdout).unwrap();
    let again = printed
        .lines()
        .find_map(|line| line.trim().strip_prefix("again:"));
    let again = again
        .unwrap()
        .trim()
        .strip_prefix("scripts/simulate ")
        .unwrap();
    let same = simulate(again);
    assert_eq!(same.status.code(), Some(2), "{same:?}");
    assert!(
        String::from_utf8(same.stdout)
            .unwrap()
            .contains("ChargeFirst")
    );
    assert!(printed.contains("shrunk:"));
}

#[track_caller]
fn check_refused(arguments: &str, why: &str) {
    let output = simulate(arguments);
    assert!(!output.status.success(), "{arguments}");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains(why), "{arguments}: {told}");
}

#[test]
fn bad_arguments_are_refused_with_what_is_expected() {
    check_refused("--seeds 5..5", "expected as in 0..100");
    check_refused("--seeds five", "expected as in 0..100");
    check_refused("--nodes 3", "--nodes is 3, expected 4 to 1024");
    check_refused("--nodes 2000 --trust node-noise", "expected 1 to 1024");
    check_refused("--rounds 0", "expected 1 to 1000");
    check_refused("--cells 2000000", "expected 1 to 1048576");
    check_refused("--threads 0", "--threads is 0");
    check_refused("--rounds 2 --plan additive", "expected 3 or more");
    check_refused("--rounds 4 --cells 3 --plan additive", "does not go with");
    check_refused("--faults some", "expected one of none, network");
    check_refused("--only loss:x:1", "fault:party:chance");
    check_refused("--exact --faults all", "cannot be used with");
    check_refused("--plant no-sleep", "expected one of");
}

#[test]
fn sizes_are_exact_as_the_table_says() {
    let output = simulate("--exact --nodes 6 --cells 10");
    assert!(output.status.success(), "{output:?}");
    let printed = String::from_utf8(output.stdout).unwrap();
    let rows = printed.lines().skip(1).filter(|line| !line.is_empty());
    let rows: Vec<Vec<&str>> = rows.map(|line| line.split_whitespace().collect()).collect();
    let expected = ["4", "5", "6"].map(|nodes| vec![nodes, "exact", "exact"]);
    assert_eq!(rows, expected);
}

#[test]
fn help_has_examples() {
    let output = simulate("--help");
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(printed.contains("scripts/simulate --nodes 1000 --rounds 10 --cells 1000"));
}
