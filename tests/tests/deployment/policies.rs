//! Two officers sign a change of a unit's or the coordinator's policy, or somebody breaks the glass, on real programs.

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;

use aquifer_tests::processes::{Outcome, command, run};

use super::fixture::{Small, check_says, policy};

/// A unit that names the approver and the operator as its officers.
pub fn with_officers() -> (Small, PathBuf) {
    let small = Small::prepared(&policy());
    let node = small.cluster.nodes[0].folder.clone();
    let keys = [&small.cluster.operator, &small.cluster.approver].map(|folder| {
        let printed = run(command("aquifer", ["whoami", "--identity", "--dir"]).arg(folder));
        printed.unwrap().success().unwrap().trim().to_owned()
    });
    edit(
        &node,
        "approvers = ",
        &format!("officers = {keys:?}\napprovers = "),
    );
    (small, node)
}

pub fn edit(node: &std::path::Path, from: &str, to: &str) {
    let path = node.join("node.toml");
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{from}");
    fs::write(path, text.replacen(from, to, 1)).unwrap();
}

/// The unit starts, and is stopped again.
#[track_caller]
fn runs(small: &mut Small) {
    small.cluster.start_node(0).unwrap();
    aquifer_tests::processes::wait_for("the policy to be taken", 20_000, || {
        let shown = small.node(0, &["policy", "status", "--json"]).success()?;
        let shown: serde_json::Value = serde_json::from_str(&shown)?;
        let overridden = shown["overrides"]
            .as_array()
            .is_some_and(|own| !own.is_empty());
        Ok((shown["in_force"] == true || overridden).then_some(()))
    })
    .unwrap();
    let process = small.cluster.nodes[0].process.take();
    process.unwrap().stop().unwrap();
}

/// How a start ends that is refused; one that is not is stopped.
fn refused_start(small: &Small) -> Outcome {
    small.node(0, &["run"])
}

fn digest(small: &Small) -> String {
    let shown = small
        .node(0, &["policy", "status", "--json"])
        .success()
        .unwrap();
    let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
    shown["digest"].as_str().unwrap().to_owned()
}

fn sign(node: &std::path::Path, person: &std::path::Path, digest: &str) {
    let line = run(command("aquifer", ["policy", "sign", digest, "--dir"]).arg(person)).unwrap();
    sign_into(&node.join("policy.signed"), &line.success().unwrap());
}

/// Puts a line of an officer into a file of signatures.
pub fn sign_into(path: &std::path::Path, line: &str) {
    let mut file = fs::OpenOptions::new();
    let file = file.create(true).append(true).open(path);
    file.unwrap().write_all(line.as_bytes()).unwrap();
}

/// Scores are asked for beside a start: that there is no record of a policy does not make a changed one the first.
#[test]
fn s1_a_deleted_record_makes_no_policy_for_scores() {
    let (mut small, node) = with_officers();
    let score = ["score", "--model", "churn", "--purpose", "churn.score"];
    let score = [&score[..], &["--out", "scores.csv"]].concat();
    runs(&mut small);
    let record = node.join("policy.accepted");
    let kept = fs::read(&record).unwrap();
    fs::remove_file(&record).unwrap();
    let missing = ["policy.accepted", "missing"];
    check_says(&small.node(0, &score), 1, &missing);
    edit(
        &node,
        "query = \"SELECT * FROM customers\"",
        "query = \"SELECT * FROM customers LIMIT 9\"",
    );
    check_says(&small.node(0, &score), 1, &missing);
    fs::write(&record, kept).unwrap();
    check_says(&small.node(0, &score), 1, &["0 of its officers"]);
    // Nor does such a file make the clock of an erasure longer.
    let extend = ["rights", "extend", "--request", "00", "--why", "complexity"];
    check_says(&small.node(0, &extend), 1, &["0 of its officers"]);
    // Without the history nobody knows which policy is in force, whatever is left of the rest.
    let (history, aside) = (node.join("history"), node.join("aside"));
    fs::rename(&history, &aside).unwrap();
    let gone = ["history", "missing", "put the newest copies"];
    check_says(&small.node(0, &score), 1, &gone);
    fs::rename(&aside, &history).unwrap();
}

#[test]
fn s1_policy_change_needs_two() {
    let (mut small, node) = with_officers();
    runs(&mut small);
    // How it is written may change; what decides about people, and which rows are read, may not.
    edit(&node, "basis = ", "# why\nbasis = ");
    runs(&mut small);
    let fewer = "query = \"SELECT * FROM customers LIMIT 100\"";
    edit(&node, "query = \"SELECT * FROM customers\"", fewer);
    check_says(&refused_start(&small), 1, &["0 of its officers"]);
    edit(&node, fewer, "query = \"SELECT * FROM customers\"");
    runs(&mut small);
    edit(&node, "rho_micro_per_year = ", "rho_micro_per_year = 9");
    let none = refused_start(&small);
    check_says(
        &none,
        1,
        &[
            "policy",
            "0 of its officers",
            "aquifer policy sign",
            "--break-glass",
        ],
    );
    let changed = digest(&small);
    sign(&node, &small.cluster.operator.clone(), &changed);
    check_says(&refused_start(&small), 1, &["1 of its officers"]);
    sign(&node, &small.cluster.operator.clone(), &changed);
    check_says(&refused_start(&small), 1, &["1 of its officers"]);
    sign(&node, &small.cluster.approver.clone(), &changed);
    runs(&mut small);
    // A signature is for one policy. The glass may be broken: that is written down.

    edit(&node, "rho_micro_per_year = 9", "rho_micro_per_year = 99");
    check_says(&refused_start(&small), 1, &["0 of its officers"]);
    let glass = ["run", "--break-glass", "the store burns"];
    let log = small.folder.path().join("glass.log");
    let mut broken = command("aquifer-node", glass);
    let broken = small
        .cluster
        .watcher()
        .start("north", broken.arg("--dir").arg(&node), &log);
    let mut broken = broken.unwrap();
    aquifer_tests::processes::wait_for("the node to start", 20_000, || {
        let text = fs::read_to_string(&log)?;
        Ok(text.contains("in force by an override").then_some(()))
    })
    .unwrap();
    broken.stop().unwrap();
    let status = small.node(0, &["policy", "status"]);
    check_says(&status, 0, &["override", "the store burns"]);
    runs(&mut small);
}

#[test]
fn s1_a_deleted_record_takes_signatures_or_a_day() {
    let (mut small, node) = with_officers();
    runs(&mut small);
    let record = node.join("policy.accepted");
    fs::remove_file(&record).unwrap();
    check_says(
        &refused_start(&small),
        1,
        &["missing", "aquifer-node policy status"],
    );
    // Nobody is scored by files that nobody has signed, however little is left of what was.
    let out = small.folder.path().join("scores.csv");
    let mut score = vec!["score", "--model", "churn", "--out"];
    score.push(out.to_str().unwrap());
    check_says(&small.node(0, &score), 1, &["missing"]);
    let lost = digest(&small);
    for person in [
        small.cluster.operator.clone(),
        small.cluster.approver.clone(),
    ] {
        sign(&node, &person, &lost);
    }
    runs(&mut small);
    assert!(record.exists());
}

/// The coordinator with the operator and the approver as its officers, stopped; its `coordinator.toml`.
fn coordinator_with_officers(small: &mut Small) -> PathBuf {
    let keys = [&small.cluster.operator, &small.cluster.approver].map(|folder| {
        let printed = run(command("aquifer", ["whoami", "--identity", "--dir"]).arg(folder));
        printed.unwrap().success().unwrap().trim().to_owned()
    });
    small.cluster.coordinator().stop().unwrap();
    let path = small.cluster.coordinator_folder().join("coordinator.toml");
    let text = fs::read_to_string(&path).unwrap();
    let named = text.replacen("\n[law]\n", &format!("\n[law]\nofficers = {keys:?}\n"), 1);
    assert_ne!(named, text);
    fs::write(&path, named).unwrap();
    small.cluster.start_coordinator().unwrap();
    small.cluster.coordinator().stop().unwrap();
    path
}

#[test]
fn s1_coordinator_policy_change_needs_two() {
    let mut small = Small::prepared(&policy());
    let config = coordinator_with_officers(&mut small);
    let folder = small.cluster.coordinator_folder();
    let serve = |small: &Small| small.cluster.coordinator_command(["serve"]).unwrap();
    let text = fs::read_to_string(&config).unwrap();
    let days = text
        .lines()
        .find(|line| line.starts_with("certificate_days"));
    fs::write(
        &config,
        text.replace(days.unwrap(), "certificate_days = 365"),
    )
    .unwrap();
    let words = [
        "policy",
        "0 of its officers",
        "aquifer-coordinator policy status",
        "--break-glass",
    ];
    check_says(&serve(&small), 1, &words);
    let status = small
        .cluster
        .coordinator_command(["policy", "status", "--json"]);
    let status: serde_json::Value =
        serde_json::from_str(&status.unwrap().success().unwrap()).unwrap();
    assert_eq!(status["in_force"], false);
    assert_eq!(status["officers"].as_array().unwrap().len(), 2);
    let digest = status["digest"].as_str().unwrap();
    sign(&folder, &small.cluster.operator.clone(), digest);
    check_says(&serve(&small), 1, &["1 of its officers"]);
    sign(&folder, &small.cluster.approver.clone(), digest);
    small.cluster.start_coordinator().unwrap();
    let told = small
        .cluster
        .aquifer(["history", "show", "--from", "0", "--json"]);
    let told = told.unwrap().success().unwrap();
    assert!(told.contains("pack.changed"), "{told}");
    // One person makes themselves the only officer: refused, unless the glass is broken, which is told.
    small.cluster.coordinator().stop().unwrap();
    let text = fs::read_to_string(&config).unwrap();
    let named = text.lines().find(|line| line.starts_with("officers = "));
    fs::write(&config, text.replace(named.unwrap(), "officers = []")).unwrap();
    check_says(&serve(&small), 1, &["0 of its officers"]);
}

/// Puts another number into the policy; two officers sign it, and it is taken.
fn changed_and_signed(small: &mut Small, node: &std::path::Path, from: &str, to: &str) {
    edit(node, from, to);
    let changed = digest(small);
    for person in [
        small.cluster.operator.clone(),
        small.cluster.approver.clone(),
    ] {
        sign(node, &person, &changed);
    }
    runs(small);
}

#[test]
fn s1_an_older_policy_takes_signatures_of_its_own() {
    let (mut small, node) = with_officers();
    runs(&mut small);
    let year = "rho_micro_per_year = ";
    changed_and_signed(&mut small, &node, year, "rho_micro_per_year = 9");
    let kept = ["node.toml", "policy.accepted"].map(|name| {
        let path = node.join(name);
        let bytes = fs::read(&path).unwrap();
        (path, bytes)
    });
    let wider = "rho_micro_per_year = 99";
    changed_and_signed(&mut small, &node, "rho_micro_per_year = 9", wider);
    // Two officers signed it once: not for this change.
    for (path, bytes) in &kept {
        fs::write(path, bytes).unwrap();
        check_says(&refused_start(&small), 1, &["0 of its officers"]);
    }
}
