//! Receipts of a unit whose node runs: written down at the desk, in the history, proved once that is published, checked by both verifiers
//! without a network; and an erasure whose steps are in the history.

use std::fs;
use std::path::Path;
use std::process::Command;

use aquifer_shared::domain::law::Basis;
use aquifer_tests::policy::Policy;
use aquifer_tests::processes::wait_for;
use serde_json::{Value, json};

use super::fixture::{Small, check_says, policy};

/// More than the minute between two checkpoints.
const PUBLISHED_MS: u64 = 90_000;

fn said(small: &Small, arguments: &[&str], code: i32) -> Value {
    let outcome = small.node(0, &[arguments, &["--json"]].concat());
    check_says(&outcome, code, &[]);
    serde_json::from_str(&outcome.stdout).unwrap()
}

/// Kinds of the newest entries, and whether each still has its payload.
fn newest(small: &Small) -> Vec<(String, bool)> {
    let shown = said(small, &["history", "show"], 0);
    let entries = shown["newest"].as_array().unwrap().iter();
    entries
        .map(|own| {
            (
                own["kind"].as_str().unwrap().to_owned(),
                own["payload"].is_string(),
            )
        })
        .collect()
}

/// Exit codes of both verifiers.
fn verified(small: &Small, path: &Path) -> (i32, i32) {
    let path = path.to_str().unwrap();
    let own = small.cluster.aquifer(["audit", "verify", path]).unwrap();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts/verify-audit");
    let python = Command::new("python3")
        .args([script, path])
        .output()
        .unwrap();
    (own.code.unwrap(), python.status.code().unwrap())
}

#[test]
fn c1_receipt_of_a_running_unit_verifies_offline() {
    let mut small = Small::prepared(&Policy {
        basis: Basis::Consent,
        ..policy()
    });
    let path = small.cluster.nodes[0].folder.join("node.toml");
    let text = fs::read_to_string(&path).unwrap();
    let text = format!("{text}\n[history]\npublish_every_minutes = 1\n");
    fs::write(&path, text).unwrap();
    let id = small.company.of_unit(0).next().unwrap().id.clone();
    // Before the node ever ran there is no history; what is written down waits.
    let withdraw = ["consent", "withdraw", "--subject", &id];
    assert_eq!(said(&small, &withdraw, 0)["recorded"], "withdrawn");
    small.cluster.start_node(0).unwrap();
    small.cluster.wait_connected().unwrap();
    let object = ["consent", "object", "--subject", &id, "--purpose", "all"];
    assert_eq!(said(&small, &object, 0)["recorded"], "objected");

    let receipt = [
        "consent",
        "receipt",
        "--subject",
        &id,
        "--purpose",
        "churn.train",
    ];
    let first = said(&small, &receipt, 0);
    assert_eq!(first["content"]["blocked"], "objected");
    let file = wait_for("the history to be published", PUBLISHED_MS, || {
        let outcome = small.node(0, &[&receipt[..], &["--json"]].concat());
        let printed: Value = serde_json::from_str(&outcome.stdout)?;
        Ok(printed["signature"].is_string().then_some(outcome.stdout))
    })
    .unwrap();
    let printed: Value = serde_json::from_str(&file).unwrap();
    assert_eq!(
        printed["content"], first["content"],
        "the one that was issued"
    );
    // Rules in force, in the leaf of 108 bytes.
    let leaf = printed["leaf"].as_str().unwrap();
    assert!(leaf[88..152].bytes().any(|digit| digit != b'0'), "{leaf}");
    let path = small.folder.path().join("receipt.json");
    fs::write(&path, &file).unwrap();
    assert_eq!(verified(&small, &path), (0, 0));
    // Another word in it, and neither believes it.
    fs::write(&path, file.replace("churn.train", "churn.trail")).unwrap();
    let (own, python) = verified(&small, &path);
    assert!(own != 0 && own == python, "{own} {python}");

    check_erased_while_it_runs(&small);
    check_erasure(&mut small, &id);
}

fn erase(id: &str) -> [&str; 8] {
    let ground = "objection_upheld";
    [
        "rights",
        "erase",
        "--subject",
        id,
        "--ground",
        ground,
        "--verified-by",
        "desk",
    ]
}

/// What was erased in the history, by the certificate of an erasure.
fn erased_entries(erased: &Value) -> &Value {
    let action = &erased["certificate"]["body"]["node_actions"][3];
    assert_eq!(action["store"], "history: payloads and salts");
    &action["rows_deleted"]
}

fn check_erased_while_it_runs(small: &Small) {
    let id = small.company.of_unit(0).nth(1).unwrap().id.clone();
    let object = ["consent", "object", "--subject", &id, "--purpose", "all"];
    assert_eq!(said(small, &object, 0)["recorded"], "objected");
    let erased = said(small, &erase(&id), 0);
    assert_eq!(erased_entries(&erased), &json!(1));
    let found = newest(small);
    // Unless a minute ended just now, and pads are newest.
    let is_full = found.iter().all(|(kind, _)| kind == "log.pad");
    let is_erased = found.contains(&("consent.objected".to_owned(), false));
    assert!(is_full || is_erased, "{found:?}");
}

fn check_erasure(small: &mut Small, id: &str) {
    // Where no node runs the command opens the history itself.
    small.cluster.nodes[0]
        .process
        .take()
        .unwrap()
        .stop()
        .unwrap();
    let verify = ["consent", "verify"];
    let found = said(small, &verify, 0);
    assert_eq!(
        (&found["held"], &found["altered"], &found["batches"]),
        (&json!(2), &json!(0), &json!(2))
    );
    let erased = said(small, &erase(id), 0);
    assert_eq!(erased_entries(&erased), &json!(3));
    let found = newest(small);
    for kind in [
        "request.received",
        "request.identity_verified",
        "erasure.node_done",
        "erasure.certificate_issued",
        "request.fulfilled",
    ] {
        assert!(
            found.contains(&(kind.to_owned(), true)),
            "{kind}: {found:?}"
        );
    }
    let found = said(small, &verify, 0);
    assert_eq!((&found["held"], &found["altered"]), (&json!(0), &json!(0)));
    let receipt = ["consent", "receipt", "--subject", id];
    assert_eq!(said(small, &receipt, 1)["refused"]["code"], "erased");
}
