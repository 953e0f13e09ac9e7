//! Histories of real processes: what is entered, that it is proved, and that a coordinator put back from a backup is refused by its nodes.

use std::fs;
use std::path::Path;

use aquifer_shared::domain::pack::{LogPolicy, VerifierKey};
use aquifer_shared::domain::tlog::SignedNote;
use aquifer_tests::processes::wait_for;
use aquifer_tests::study::state;
use serde_json::Value;

use super::fixture::{STEP_MS, Small, check_says, policy};

pub fn of_coordinator(small: &Small, arguments: &[&str]) -> Value {
    let mut all = vec!["history"];
    all.extend(arguments);
    all.push("--json");
    let printed = small.cluster.aquifer(all).unwrap().success().unwrap();
    serde_json::from_str(&printed).unwrap()
}

fn kinds(entries: &Value) -> Vec<String> {
    let entries = entries.as_array().unwrap().iter();
    entries
        .map(|entry| entry["kind"].as_str().unwrap().to_owned())
        .collect()
}

/// A folder with all that is in it, and its mode.
pub fn copy_all(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    fs::set_permissions(to, fs::metadata(from).unwrap().permissions()).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (entry, name) = (entry.as_ref().unwrap(), entry.as_ref().unwrap().file_name());
        match entry.file_type().unwrap() {
            kind if kind.is_dir() => copy_all(&entry.path(), &to.join(name)),
            kind if kind.is_file() => drop(fs::copy(entry.path(), to.join(name)).unwrap()),
            _ => {}
        }
    }
}

#[test]
fn what_a_study_did_is_in_both_histories_and_proved() {
    let small = Small::started(&policy());
    small.cluster.wait_connected().unwrap();
    let last = small.cluster.run_study(&small.study(""), STEP_MS).unwrap();
    assert_eq!(state(&last), "published", "{last}");
    // Nothing waits for the history's disk: it is there a moment later.
    let found = wait_for("the model to be in the history", STEP_MS, || {
        let shown = of_coordinator(&small, &["show", "--from", "0"]);
        let found = kinds(&shown["entries"]);
        Ok(found
            .contains(&"model.released".to_owned())
            .then_some(found))
    })
    .unwrap();
    for kind in [
        "node.enrolled",
        "study.proposed",
        "study.approved",
        "study.started",
        "round.aggregated",
        "model.released",
    ] {
        assert!(found.iter().any(|found| found == kind), "{kind}: {found:?}");
    }
    let index = found
        .iter()
        .position(|kind| kind == "model.released")
        .unwrap();
    let proved = of_coordinator(&small, &["prove", &index.to_string()]);
    assert_eq!(proved["entry"]["kind"], "model.released");
    let cosigned = wait_for("cosignatures of all nodes", STEP_MS, || {
        let checkpoint = of_coordinator(&small, &["checkpoint"]);
        let cosigned = checkpoint["cosigned"].as_str().unwrap_or_default();
        let all = cosigned.matches("aquifer/node/").count() == 3;
        Ok(all.then(|| cosigned.to_owned()))
    })
    .unwrap();
    assert!(cosigned.starts_with("aquifer/coordinator/"));
    check_keys(&small, &cosigned);
    let printed = small
        .node(0, &["history", "show", "--json"])
        .success()
        .unwrap();
    let view: Value = serde_json::from_str(&printed).unwrap();
    let own = kinds(&view["newest"]);
    for kind in ["budget.spent", "round.update_sent"] {
        assert!(own.iter().any(|found| found == kind), "{kind}: {own:?}");
    }
    assert_eq!(view["fork"], Value::Null);
    assert!(view["coordinator"]["size"].as_u64() > Some(0));
}

/// What coordinator and units print for auditors is the same, and what the checkpoint was signed with; other keys are not.
fn check_keys(small: &Small, cosigned: &str) {
    let show = ["history", "show", "--keys"];
    let printed = small.cluster.aquifer(show).unwrap().success().unwrap();
    let policy = LogPolicy::parse(&printed).unwrap();
    let note = SignedNote::parse(cosigned).unwrap();
    assert_eq!(policy.log.signed(&note), Some(true));
    let signed = policy.witnesses.iter();
    let signed = signed.filter(|(_, key)| key.signed(&note) == Some(true));
    let signed: Vec<&str> = signed.map(|(name, _)| &**name).collect();
    assert_eq!(signed.len(), 3);
    assert!(policy.is_quorum(&signed[..2]) && !policy.is_quorum(&signed[..1]));
    for node in 0..3 {
        let printed = small.node(node, &show).success().unwrap();
        let own = LogPolicy::parse(&printed).unwrap();
        assert_eq!(own.log, policy.log);
        assert!(policy.witnesses.contains(&own.witnesses[0]), "{printed}");
    }
    let twin = VerifierKey::of_log(&policy.log.name, policy.witnesses[0].1.key);
    assert_eq!(twin.signed(&note), None, "another key is another log");
}

#[test]
fn r1_a_coordinator_put_back_from_a_backup_is_refused_by_every_node() {
    let mut small = Small::started(&policy());
    small.cluster.wait_connected().unwrap();
    let folder = small.cluster.coordinator_folder();
    let backup = small.folder.path().join("backup");
    small.cluster.coordinator().stop().unwrap();
    copy_all(&folder, &backup);
    small.cluster.start_coordinator().unwrap();
    small.cluster.wait_connected().unwrap();
    let saved = of_coordinator(&small, &["show"])["size"].as_u64();
    let last = small.cluster.run_study(&small.study(""), STEP_MS).unwrap();
    assert_eq!(state(&last), "published", "{last}");
    for node in 0..3 {
        wait_for(
            "the node to sign what came after the backup",
            STEP_MS,
            || {
                let view = small.node(node, &["history", "show", "--json"]).success()?;
                let view: Value = serde_json::from_str(&view)?;
                Ok((view["coordinator"]["size"].as_u64() > saved).then_some(()))
            },
        )
        .unwrap();
    }
    small.cluster.coordinator().stop().unwrap();
    fs::remove_dir_all(&folder).unwrap();
    copy_all(&backup, &folder);
    small.cluster.start_coordinator().unwrap();
    for node in 0..3 {
        let evidence = small.cluster.nodes[node].folder.join("history-fork.json");
        wait_for("the node to see the fork", STEP_MS, || {
            Ok(evidence.exists().then_some(()))
        })
        .unwrap();
        let text = fs::read_to_string(&evidence).unwrap();
        let fork: Value = serde_json::from_str(&text).unwrap();
        assert!(
            fork["held"]
                .as_str()
                .unwrap()
                .contains("aquifer/coordinator/")
        );
        assert!(
            fork["shown"]
                .as_str()
                .unwrap()
                .contains("aquifer/coordinator/")
        );
    }
    wait_for("all nodes to part", STEP_MS, || {
        Ok(small.cluster.connected()?.is_empty().then_some(()))
    })
    .unwrap();
    for node in 0..3 {
        // Whether it runs or not, it works for this coordinator no more.
        drop(small.cluster.nodes[node].process.take());
        check_says(&small.node(node, &["run"]), 1, &["two histories"]);
    }
}
