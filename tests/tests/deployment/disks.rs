//! Full disks, read-only directories, two processes on one ledger: a clear error, and nothing charged is lost.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::process::Command;

use aquifer_tests::processes::{command, program, run, wait_for};
use aquifer_tests::study::state;

use super::fixture::{STEP_MS, Small, check_says, has_program, one_study, policy};

/// Nobody, on Debian.
const NOBODY: u32 = 65_534;

#[test]
fn a_second_process_on_the_same_ledger_is_refused() {
    let small = Small::started(&policy());
    check_says(&small.node(0, &["run"]), 1, &["ledger"]);
    assert_eq!(
        small.cluster.connected().unwrap().len(),
        3,
        "the first is untouched"
    );
}

#[test]
fn a_full_disk_stops_the_node_and_loses_nothing() {
    let mut small = Small::prepared(&policy());
    small.cluster.start_node(1).unwrap();
    small.cluster.start_node(2).unwrap();
    // The limit is on each file that the process writes: the ledger's log fills up in the middle of the study.
    let node = small.cluster.nodes[0].folder.clone();
    let limited = format!(
        "trap '' XFSZ; ulimit -f 96; exec '{}' run --dir '{}'",
        program("aquifer-node").display(),
        node.display()
    );
    let log = small.folder.path().join("limited.log");
    let mut process = small
        .cluster
        .watcher()
        .start("limited", Command::new("bash").args(["-c", &limited]), &log)
        .unwrap();
    wait_for("three sessions", STEP_MS, || {
        Ok((small.cluster.connected()?.len() == 3).then_some(()))
    })
    .unwrap();
    let hash = small
        .cluster
        .submit(&small.study("phase_ms = 30000\nslot_ms = 50"))
        .unwrap();
    let watch = small.cluster.watch(&hash).unwrap();
    small.cluster.approve(&hash).unwrap();
    let ended = process.wait(STEP_MS).unwrap();
    let said = fs::read_to_string(&log).unwrap();
    assert!(matches!(ended.code(), Some(1 | 2)), "{ended:?}: {said}");
    assert!(said.contains("ledger"), "{said}");
    // With room again the same ledger goes on, and the study ends.
    small.cluster.start_node(0).unwrap();
    let last = small.cluster.follow(&watch, STEP_MS, |_| {}).unwrap();
    assert_eq!(state(&last), "published", "{last}");
    assert_eq!(small.spent(0), one_study().0);
}

#[test]
fn a_read_only_directory_is_named() {
    if !has_program("setpriv") {
        return;
    }
    let small = Small::prepared(&policy());
    let node = &small.cluster.nodes[0].folder;
    let witness = small
        .folder
        .path()
        .join("witness")
        .join(&small.cluster.nodes[0].name);
    let binary = small.folder.path().join("aquifer-node");
    fs::hard_link(program("aquifer-node"), &binary)
        .or_else(|_| fs::copy(program("aquifer-node"), &binary).map(drop))
        .unwrap();
    let as_root = rustix::process::geteuid().is_root();
    for path in [small.folder.path(), node] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    give(node, as_root);
    give(&witness, as_root);
    for closed in [node.as_path(), witness.as_path()] {
        fs::set_permissions(closed, fs::Permissions::from_mode(0o555)).unwrap();
        let mut command = Command::new(if as_root {
            Path::new("setpriv")
        } else {
            &binary
        });
        if as_root {
            command
                .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
                .arg(&binary);
        }
        let outcome = run(command.args(["run", "--dir"]).arg(node)).unwrap();
        fs::set_permissions(closed, fs::Permissions::from_mode(0o755)).unwrap();
        let name = if closed == node { "ledger" } else { "witness" };
        assert!(matches!(outcome.code, Some(1 | 2)), "{outcome:?}");
        assert!(
            outcome.stderr.contains(name),
            "expected {name:?} in:\n{}",
            outcome.stderr
        );
    }
}

/// Hands a folder and its files to nobody, so that permissions count.
fn give(folder: &Path, as_root: bool) {
    if !as_root {
        return;
    }
    chown(folder, Some(NOBODY), Some(NOBODY)).unwrap();
    for entry in fs::read_dir(folder).unwrap() {
        chown(entry.unwrap().path(), Some(NOBODY), Some(NOBODY)).unwrap();
    }
}

#[test]
fn a_store_that_cannot_be_written_is_named() {
    let small = Small::prepared(&policy());
    let store = small.cluster.coordinator_folder().join("store.sqlite");
    let limited = format!(
        "trap '' XFSZ; ulimit -f 1; exec '{}' invite late --role node --dir '{}'",
        program("aquifer-coordinator").display(),
        small.cluster.coordinator_folder().display()
    );
    let outcome = run(Command::new("bash").args(["-c", &limited])).unwrap();
    assert!(matches!(outcome.code, Some(1 | 2)), "{outcome:?}");
    assert!(outcome.stderr.contains("store"), "{}", outcome.stderr);
    assert!(store.exists());
    let again = run(command(
        "aquifer-coordinator",
        ["invite", "late", "--role", "node", "--dir"],
    )
    .arg(small.cluster.coordinator_folder()));
    check_says(&again.unwrap(), 0, &[]);
}
