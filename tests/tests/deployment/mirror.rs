//! The coordinator's mirror of ledgers, on real processes: it follows, it notices a ledger that was put back, it gives it back.

use std::fs;
use std::path::{Path, PathBuf};

use aquifer_tests::processes::wait_for;
use aquifer_tests::study::state;
use serde_json::Value;

use super::fixture::{STEP_MS, Small, check_says, one_study, policy};

/// What the coordinator knows of a node.
fn entry_of(small: &Small, name: &str) -> Value {
    let printed = small.cluster.coordinator_command(["nodes", "--json"]);
    let all: Value = serde_json::from_str(&printed.unwrap().success().unwrap()).unwrap();
    let mut all = all.as_array().unwrap().iter();
    all.find(|node| node["name"] == name).unwrap().clone()
}

fn shown(small: &Small, node: usize) -> Value {
    let printed = small.node(node, &["ledger", "show", "--json"]);
    serde_json::from_str(&printed.success().unwrap()).unwrap()
}

/// Waits until the mirror of a node holds as many entries as its ledger has.
fn wait_mirrored(small: &Small, node: usize) -> u64 {
    let name = &small.cluster.nodes[node].name;
    wait_for("the mirror to follow", STEP_MS, || {
        let (entries, mirror) = (shown(small, node), entry_of(small, name));
        let entries = entries["entries"].as_u64();
        Ok(entries.filter(|entries| *entries > 0 && mirror["mirror_seq"] == *entries))
    })
    .unwrap()
}

/// The files of a node's ledger and of its witness.
fn ledger_files(small: &Small, node: usize) -> Vec<PathBuf> {
    let node = &small.cluster.nodes[node];
    let witness = small.folder.path().join("witness").join(&node.name);
    let files = [node.folder.as_path(), &witness]
        .into_iter()
        .flat_map(|folder| {
            let entries = fs::read_dir(folder).unwrap();
            entries.map(|entry| entry.unwrap().path())
        });
    let of_ledger = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        path.is_file() && name.starts_with("ledger")
    };
    files.filter(of_ledger).collect()
}

fn saved(files: &[PathBuf]) -> Vec<(PathBuf, Vec<u8>)> {
    let read = |path: &PathBuf| (path.clone(), fs::read(path).unwrap());
    files.iter().map(read).collect()
}

fn log(folder: &Path) -> String {
    fs::read_to_string(folder.join("coordinator.log")).unwrap()
}

#[test]
fn a_ledger_that_was_put_back_with_its_witness_is_noticed_and_given_back() {
    let mut small = Small::started(&policy());
    wait_for("the first session", STEP_MS, || {
        Ok(small.cluster.connected()?.len().eq(&3).then_some(()))
    })
    .unwrap();
    small.cluster.nodes[0]
        .process
        .take()
        .unwrap()
        .stop()
        .unwrap();
    let yesterday = saved(&ledger_files(&small, 0));
    assert!(
        yesterday.len() >= 2,
        "a ledger and a witness: {yesterday:?}"
    );
    small.cluster.start_node(0).unwrap();
    small.cluster.wait_connected().unwrap();
    let last = small.cluster.run_study(&small.study(""), STEP_MS).unwrap();
    assert_eq!(state(&last), "published", "{last}");
    let entries = (0..3).map(|node| wait_mirrored(&small, node)).min();
    assert!(entries > Some(19), "{entries:?}");
    let before = wait_mirrored(&small, 0);
    small.cluster.nodes[0]
        .process
        .take()
        .unwrap()
        .stop()
        .unwrap();
    ledger_files(&small, 0)
        .iter()
        .for_each(|path| fs::remove_file(path).unwrap());
    for (path, bytes) in yesterday {
        fs::write(path, bytes).unwrap();
    }
    assert_eq!(small.spent(0), 0, "forgotten");
    small.cluster.start_node(0).unwrap();
    small.cluster.wait_connected().unwrap();
    let locked = wait_for("the node to lock", STEP_MS, || {
        let locked = shown(&small, 0)["locked"].as_str().map(str::to_owned);
        Ok(locked)
    });
    assert!(locked.unwrap().contains("mirror"));
    let name = small.cluster.nodes[0].name.clone();
    let noticed = "a node's ledger contradicts its mirror";
    let line = log(small.folder.path());
    let line = line.lines().find(|line| line.contains(noticed)).unwrap();
    assert!(
        line.contains(&name) && line.contains("ledger-behind"),
        "{line}"
    );
    small.cluster.nodes[0]
        .process
        .take()
        .unwrap()
        .stop()
        .unwrap();
    check_says(&small.node(0, &["ledger", "adopt"]), 0, &[]);
    assert_eq!(small.spent(0), one_study().0, "remembered");
    small.cluster.start_node(0).unwrap();
    small.cluster.wait_connected().unwrap();
    assert_eq!(shown(&small, 0)["locked"], Value::Null);
    assert!(wait_mirrored(&small, 0) >= before);
}
