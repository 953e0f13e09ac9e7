//! Files of a node that somebody puts back from a backup, or in place of sealed ones, on real programs.

use std::fs;
use std::path::Path;

use aquifer_shared::shell::at_rest::{AtRestConfig, Vault};
use aquifer_shared::shell::keys::write_private;
use aquifer_tests::processes::{Outcome, command, wait_for};
use serde_json::Value;

use super::fixture::{STEP_MS, Small, check_says, policy};

fn restart(small: &mut Small) {
    stop(small);
    small.cluster.start_node(0).unwrap();
    small.cluster.wait_connected().unwrap();
}

fn stop(small: &mut Small) {
    let process = small.cluster.nodes[0].process.take();
    process.unwrap().stop().unwrap();
}

fn objects(small: &Small, id: &str) {
    let object = ["consent", "object", "--subject", id, "--purpose", "all"];
    check_says(&small.node(0, &object), 0, &["recorded: objected"]);
}

/// A ledger with its log, which whoever ends may leave.
type Copied = [Option<Vec<u8>>; 2];

fn files(ledger: &str) -> [String; 2] {
    [ledger.to_owned(), format!("{ledger}-wal")]
}

fn copied(node: &Path, ledger: &str) -> Copied {
    files(ledger).map(|file| fs::read(node.join(file)).ok())
}

fn put_back(node: &Path, ledger: &str, copy: &Copied) {
    let _ = fs::remove_file(node.join(format!("{ledger}-shm")));
    for (file, bytes) in files(ledger).iter().zip(copy) {
        let path = node.join(file);
        let _ = fs::remove_file(&path);
        if let Some(bytes) = bytes {
            fs::write(path, bytes).unwrap();
        }
    }
}

#[test]
fn t2_an_erasure_cannot_be_undone_by_an_older_usage_ledger() {
    let mut small = Small::prepared(&policy());
    let node = small.cluster.nodes[0].folder.clone();
    let id = small.company.of_unit(0).next().unwrap().id.clone();
    small.cluster.start_nodes().unwrap();
    stop(&mut small);
    let copy = copied(&node, "usage.db");
    let erase = [
        "rights",
        "erase",
        "--subject",
        &id,
        "--ground",
        "child",
        "--verified-by",
        "desk",
    ];
    check_says(&small.node(0, &erase), 0, &["certificate"]);
    let newest = copied(&node, "usage.db");
    put_back(&node, "usage.db", &copy);
    let words = ["usage.db", "put back from a backup", "--break-glass"];
    check_says(&small.node(0, &["run"]), 1, &words);
    // Nor does the desk believe it: it would say that nobody asked.
    check_says(&small.node(0, &["rights", "list"]), 1, &words);
    check_says(&small.node(0, &erase), 1, &words);
    put_back(&node, "usage.db", &[None, None]);
    check_says(&small.node(0, &["rights", "list"]), 1, &["is missing"]);
    check_says(&small.node(0, &["run"]), 1, &["usage.db is missing"]);
    put_back(&node, "usage.db", &newest);
    small.cluster.start_node(0).unwrap();
    restart(&mut small);
}

#[test]
fn c3_an_objection_cannot_be_undone_by_an_older_ledger() {
    let mut small = Small::prepared(&policy());
    let node = small.cluster.nodes[0].folder.clone();
    let ids: Vec<String> = small.company.of_unit(0).map(|own| own.id.clone()).collect();
    small.cluster.start_nodes().unwrap();
    objects(&small, &ids[0]);
    stop(&mut small);
    let copy = copied(&node, "consent.db");
    objects(&small, &ids[1]);
    let newest = copied(&node, "consent.db");
    put_back(&node, "consent.db", &copy);
    let words = [
        "put back from a backup",
        "Put the newest copy back",
        "--break-glass",
    ];
    check_says(&small.node(0, &["run"]), 1, &words);
    put_back(&node, "consent.db", &[None, None]);
    check_says(&small.node(0, &["run"]), 1, &["consent.db is missing"]);
    // What was put right runs; what is lost runs by a reason that is written down.
    put_back(&node, "consent.db", &newest);
    small.cluster.start_node(0).unwrap();
    restart(&mut small);
    stop(&mut small);
    put_back(&node, "consent.db", &copy);
    // A reason for the policy opens no ledger.
    let unnamed = ["run", "--break-glass", "the disk is gone"];
    let words = ["put back from a backup", "consent.db: REASON"];
    check_says(&small.node(0, &unnamed), 1, &words);
    let named = ["run", "--break-glass", "consent.db: the disk is gone"];
    let mut broken = command("aquifer-node", named);
    let log = small.folder.path().join("glass.log");
    let started = small
        .cluster
        .watcher()
        .start("north", broken.arg("--dir").arg(&node), &log);
    let mut started = started.unwrap();
    wait_for("the node to start", STEP_MS, || {
        let text = fs::read_to_string(&log)?;
        Ok(text.contains("in use by an override").then_some(()))
    })
    .unwrap();
    started.stop().unwrap();
    let shown = small.node(0, &["history", "show", "--json"]);
    let shown: Value = serde_json::from_str(&shown.success().unwrap()).unwrap();
    let shown = shown.to_string();
    assert!(shown.contains("the disk is gone"), "{shown}");
    assert!(!shown.contains("consent.db: the disk"), "{shown}");
}

/// A file in place of another, for its owner alone; refused by name, and left as it is. Then the other one is put back.
#[track_caller]
fn check_plain(path: &Path, plain: &[u8], start: impl Fn() -> Outcome) {
    let sealed = fs::read(path).ok();
    let _ = fs::remove_file(path);
    write_private(path, plain).unwrap();
    let name = path.file_name().unwrap().to_string_lossy();
    let said = format!("{name} is plain");
    check_says(&start(), 1, &[&said, "put the encrypted one back"]);
    assert_eq!(fs::read(path).unwrap(), plain);
    fs::remove_file(path).unwrap();
    if let Some(sealed) = sealed {
        write_private(path, &sealed).unwrap();
    }
}

#[test]
fn s1_a_plain_file_in_place_of_an_encrypted_one_is_refused() {
    let mut small = Small::started(&policy());
    let node = small.cluster.nodes[0].folder.clone();
    let coordinator = small.cluster.coordinator_folder();
    stop(&mut small);
    small.cluster.coordinator().stop().unwrap();
    let database = [&b"SQLite format 3\0"[..], &[0; 84]].concat();
    let opened = |folder: &Path, file: &str| {
        let vault = Vault::open(folder, &AtRestConfig::default()).unwrap();
        vault.file(file).read(&folder.join(file)).unwrap().to_vec()
    };
    let run = || small.node(0, &["run"]);
    // The same key, and no key of somebody else: it is known by being plain.
    check_plain(
        &node.join("identity.key"),
        &opened(&node, "identity.key"),
        run,
    );
    check_plain(&node.join("subject.key"), &[7; 32], run);
    for file in ["ledger.sqlite", "consent.db", "history/history.sqlite"] {
        check_plain(&node.join(file), &database, run);
    }
    let serve = || small.cluster.coordinator_command(["serve"]).unwrap();
    let key = opened(&coordinator, "release.key");
    check_plain(&coordinator.join("release.key"), &key, serve);
    for file in ["store.sqlite", "history/history.sqlite"] {
        check_plain(&coordinator.join(file), &database, serve);
    }
    small.cluster.start_coordinator().unwrap();
    small.cluster.start_node(0).unwrap();
    small.cluster.wait_connected().unwrap();
}
