//! Full disks, read-only directories, two processes on one ledger: a clear error, and nothing charged is lost.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

use aquifer_tests::processes::{Outcome, command, program, run, wait_for};
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
        "trap '' XFSZ; ulimit -f 192; exec '{}' run --dir '{}'",
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

/// Programs that run as a user without privileges: this one, or nobody where this one is root.
struct Unprivileged {
    root: bool,
    folder: PathBuf,
}

impl Unprivileged {
    /// None where there is no way to become nobody; the test then says so.
    fn new(small: &Small) -> Option<Self> {
        if !has_program("setpriv") {
            return None;
        }
        let folder = small.folder.path().to_owned();
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
        let root = rustix::process::geteuid().is_root();
        Some(Self { root, folder })
    }

    /// Hands a folder and its files over, so that permissions count.
    fn give(&self, folder: &Path) {
        fs::set_permissions(folder, fs::Permissions::from_mode(0o700)).unwrap();
        if !self.root {
            return;
        }
        chown(folder, Some(NOBODY), Some(NOBODY)).unwrap();
        for entry in fs::read_dir(folder).unwrap() {
            chown(entry.unwrap().path(), Some(NOBODY), Some(NOBODY)).unwrap();
        }
    }

    /// Runs a command on a folder. The program is copied: the build's own folder may be closed to others.
    fn run(&self, name: &str, arguments: &[&str], folder: &Path) -> Outcome {
        let binary = self.folder.join(name);
        if !binary.exists() {
            fs::hard_link(program(name), &binary)
                .or_else(|_| fs::copy(program(name), &binary).map(drop))
                .unwrap();
        }
        let mut command = Command::new(if self.root {
            Path::new("setpriv")
        } else {
            &binary
        });
        if self.root {
            command
                .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
                .arg(&binary);
        }
        run(command.args(arguments).arg("--dir").arg(folder)).unwrap()
    }
}

/// Closes a file or folder, does something, and opens it again.
fn closed<T>(path: &Path, mode: u32, then: impl FnOnce() -> T) -> T {
    let before = fs::metadata(path).unwrap().permissions();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    let done = then();
    fs::set_permissions(path, before).unwrap();
    done
}

#[test]
fn a_read_only_directory_is_named() {
    let small = Small::prepared(&policy());
    let Some(user) = Unprivileged::new(&small) else {
        return;
    };
    let node = &small.cluster.nodes[0].folder;
    let witness = small
        .folder
        .path()
        .join("witness")
        .join(&small.cluster.nodes[0].name);
    user.give(node);
    user.give(&witness);
    for (path, name) in [(node, "ledger"), (&witness, "witness")] {
        let outcome = closed(path, 0o500, || user.run("aquifer-node", &["run"], node));
        check_says(&outcome, 2, &[name]);
    }
}

#[test]
fn a_table_that_may_not_be_read_is_named() {
    let small = Small::prepared(&policy());
    let Some(user) = Unprivileged::new(&small) else {
        return;
    };
    let node = &small.cluster.nodes[0].folder;
    user.give(node);
    let table = node.join("customers.csv");
    let check = || user.run("aquifer-node", &["check"], node);
    check_says(&check(), 0, &[]);
    check_says(
        &closed(&table, 0o000, check),
        2,
        &["customers.csv", "ermission denied"],
    );
}

#[test]
fn a_read_only_store_is_named_and_loses_nothing() {
    let mut small = Small::prepared(&policy());
    small.cluster.stop().unwrap();
    let Some(user) = Unprivileged::new(&small) else {
        return;
    };
    let folder = small.cluster.coordinator_folder();
    user.give(&folder);
    let invite = ["invite", "late", "--role", "node"];
    let run = |arguments: &[&str]| user.run("aquifer-coordinator", arguments, &folder);
    for arguments in [invite.as_slice(), &["serve"]] {
        let outcome = closed(&folder, 0o500, || run(arguments));
        check_says(
            &outcome,
            2,
            &["the store could not open its database", "readonly"],
        );
    }
    let nodes = run(&["nodes", "--json"]);
    check_says(&nodes, 0, &[&small.cluster.nodes[2].name]);
    assert!(!nodes.stdout.contains("late"), "{}", nodes.stdout);
    check_says(&run(&invite), 0, &[]);
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
