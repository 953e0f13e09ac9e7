//! The demonstration itself: it writes its figures, and stops what it started when it is told to.

use std::fs;
use std::path::Path;
use std::process::Command;

use aquifer_tests::processes::{Watcher, command, run, wait_for};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::fixture::check_says;

const WAIT_MS: u64 = 120_000;

fn demo(temporary: &Path) -> Command {
    let mut demo = command("demo", ["--epsilon", "2"]);
    demo.env("TMPDIR", temporary);
    demo
}

#[test]
fn the_demonstration_writes_its_figures() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("figures.json");
    let outcome = run(demo(folder.path()).arg("--json").arg(&path)).unwrap();
    check_says(
        &outcome,
        0,
        &[
            "best possible",
            "all units together",
            "city alone",
            "smallest change",
        ],
    );
    let figures: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    let number = |key: &str| {
        figures[key]
            .as_f64()
            .unwrap_or_else(|| panic!("{key} in {figures}"))
    };
    for key in [
        "log_loss",
        "delta",
        "rho_micro",
        "seconds_study",
        "seconds_total",
        "cpu_seconds",
        "bytes_per_node",
    ] {
        assert!(number(key) > 0.0, "{key}");
    }
    assert_eq!((number("sums"), number("epsilon")), (10.0, 2.0));
    assert_eq!(number("rho_micro_spent"), number("rho_micro"));
    assert_eq!(figures["pss_mib"].as_object().unwrap().len(), 9);
    let (best, shared) = (number("auc_best_possible"), number("auc"));
    assert!(best > shared && best - shared < 0.03, "{best} {shared}");
    let shown = figures["auc_private_evaluation"].is_number()
        || figures["auc_private_evaluation_reason"].is_string();
    assert!(shown, "{figures}");
    assert_eq!(running_below(folder.path()), Vec::<String>::new());
}

#[test]
fn the_demonstration_stops_everything_when_it_is_told_to() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("demo.log");
    let watcher = Watcher::new();
    let mut process = watcher
        .start("demo", &mut demo(folder.path()), &log)
        .unwrap();
    wait_for("all nodes", WAIT_MS, || {
        Ok(fs::read_to_string(&log)?
            .contains("are connected")
            .then_some(()))
    })
    .unwrap();
    assert!(running_below(folder.path()).len() >= 9);
    let pid = i32::try_from(process.pid())
        .ok()
        .and_then(Pid::from_raw)
        .unwrap();
    kill_process(pid, Signal::INT).unwrap();
    let ended = process.wait(WAIT_MS).unwrap();
    assert_eq!(
        ended.code(),
        Some(130),
        "{}",
        fs::read_to_string(&log).unwrap()
    );
    assert_eq!(running_below(folder.path()), Vec::<String>::new());
    let left: Vec<_> = fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(left, ["demo.log"], "its folders are gone");
}

#[test]
fn impossible_wishes_are_refused() {
    let refused = |arguments: &[&str]| run(&mut command("demo", arguments)).unwrap();
    check_says(
        &refused(&["--trust", "some-noise"]),
        1,
        &["some-noise", "shared-noise"],
    );
    check_says(&refused(&["--epsilon", "nan"]), 1, &["epsilon"]);
    check_says(
        &refused(&["--dataset", "/nowhere/none"]),
        2,
        &["/nowhere/none.schema.json"],
    );
}

/// Command lines of processes whose arguments lie below a folder.
fn running_below(folder: &Path) -> Vec<String> {
    let folder = folder.to_string_lossy().into_owned();
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let lines = processes.filter_map(|entry| fs::read(entry.path().join("cmdline")).ok());
    let lines = lines.map(|line| String::from_utf8_lossy(&line).replace('\0', " "));
    lines
        .filter(|line| line.contains(&folder) && !line.contains("/demo "))
        .collect()
}
