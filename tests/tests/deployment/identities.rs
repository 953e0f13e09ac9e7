//! Who gets in: used tickets, revoked, foreign and wrong-role certificates, each told what is wrong.

use std::fs;
use std::path::Path;

use aquifer_tests::cluster::Cluster;
use aquifer_tests::processes::{command, run, wait_for};
use serde_json::Value;

use super::fixture::{Small, check_says, node_command, policy};

const WAIT_MS: u64 = 30_000;

#[test]
fn a_ticket_is_good_once_and_for_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let cluster = Cluster::start(folder.path()).unwrap();
    let ticket = cluster.ticket("north", "node").unwrap();
    let join = |to: &str, ticket: &str| node_command(&folder.path().join(to), &["join", ticket]);
    check_says(&join("north", &ticket), 0, &["fingerprint"]);
    check_says(&join("again", &ticket), 1, &["ticket"]);
    assert!(!folder.path().join("again/certificate.pem").exists());
    check_says(&join("cut", &ticket[..ticket.len() - 9]), 1, &["ticket"]);
    check_says(&join("empty", "aquifer-ticket-1:"), 1, &["ticket"]);
    let person = run(command(
        "aquifer",
        ["join", &cluster.ticket("south", "node").unwrap(), "--dir"],
    )
    .arg(folder.path().join("p")));
    check_says(&person.unwrap(), 1, &["node"]);
}

#[test]
fn s1_bad_certificates_refused_once_revoked() {
    let mut small = Small::started(&policy());
    let name = small.cluster.nodes[0].name.clone();
    small
        .cluster
        .coordinator_command(["revoke", &name])
        .unwrap()
        .success()
        .unwrap();
    let ended = small.cluster.nodes[0]
        .process
        .as_mut()
        .unwrap()
        .wait(WAIT_MS)
        .unwrap();
    assert_eq!(ended.code(), Some(1), "{}", small.cluster.log_tail(&name));
    assert!(small.cluster.log_tail(&name).contains("revoked"));
    check_says(&small.node(0, &["run"]), 1, &["revoked"]);
    let others = small.cluster.connected().unwrap();
    assert_eq!(others.len(), 2, "the others were not touched: {others:?}");
}

#[test]
fn a_revoked_person_cannot_ask() {
    let small = Small::prepared(&policy());
    let analyst = small.cluster.add_person("ada", "analyst").unwrap();
    let ask = || run(command("aquifer", ["model", "list", "--dir"]).arg(&analyst)).unwrap();
    check_says(&ask(), 0, &[]);
    small
        .cluster
        .coordinator_command(["revoke", "ada"])
        .unwrap()
        .success()
        .unwrap();
    // The coordinator looks for revocations a few times a second.
    let refused = wait_for("the refusal", WAIT_MS, || {
        Ok(Some(ask()).filter(|outcome| outcome.code != Some(0)))
    })
    .unwrap();
    check_says(&refused, 1, &["revoked"]);
}

#[test]
fn s1_bad_certificates_refused_of_another_role() {
    let small = Small::prepared(&policy());
    let analyst = small.cluster.add_person("ada", "analyst").unwrap();
    let study = small.folder.path().join("study.toml");
    fs::write(&study, small.study("")).unwrap();
    let submit = [
        "study",
        "submit",
        &study.to_string_lossy(),
        "--contract",
        &small.cluster.contract().to_string_lossy(),
        "--dir",
    ]
    .map(str::to_owned);
    check_says(
        &run(command("aquifer", submit).arg(&analyst)).unwrap(),
        1,
        &["role analyst", "operator"],
    );
    // A person's identity cannot run a node.
    let node = &small.cluster.nodes[0].folder;
    for file in [
        "tls.key",
        "identity.key",
        "certificate.pem",
        "coordinator.json",
    ] {
        fs::copy(small.cluster.operator.join(file), node.join(file)).unwrap();
    }
    let outcome = small.node(0, &["run"]);
    check_says(&outcome, 1, &["role"]);
}

#[test]
fn s1_bad_certificates_refused_of_another_deployment() {
    let small = Small::prepared(&policy());
    let folder = tempfile::tempdir().unwrap();
    let mut other = Cluster::start(folder.path()).unwrap();
    other.add_units(&small.company, &policy()).unwrap();
    // A node of another authority, sent to this coordinator: it does not know the server's authority.
    let foreign = &other.nodes[0].folder;
    let here: Value = read_json(&small.cluster.nodes[0].folder.join("coordinator.json"));
    let mut there = read_json(&foreign.join("coordinator.json"));
    for key in ["address", "join_address", "address_join"] {
        if let Some(address) = here.get(key) {
            there[key] = address.clone();
        }
    }
    fs::write(foreign.join("coordinator.json"), there.to_string()).unwrap();
    check_says(
        &node_command(foreign, &["run"]),
        2,
        &["certificate", "another authority"],
    );
    // Even when it is made to trust this authority, its own certificate is refused.
    fs::copy(
        small.cluster.nodes[0].folder.join("ca.pem"),
        foreign.join("ca.pem"),
    )
    .unwrap();
    check_says(&node_command(foreign, &["run"]), 1, &["certificate"]);
}

fn read_json(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}
