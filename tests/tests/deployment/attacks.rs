//! What somebody at a unit or at the centre might try, on real programs: a screened use, a score that nobody reviews, data that no purpose
//! covers, a history that is deleted or put back.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use aquifer_shared::base::calendar;
use aquifer_tests::processes::{Outcome, command, run, wait_for};
use aquifer_tests::study::state;
use serde_json::Value;

use super::clocks::shifted;
use super::fixture::{STEP_MS, Small, check_says, has_program, policy};
use super::policies::{edit, sign_into, with_officers};

/// In place of what it says of a purpose, something else.
pub fn declare_anew(node: &Path, purpose: &str, changes: &[(&str, &str)]) {
    let path = node.join("purposes.toml");
    let text = fs::read_to_string(&path).unwrap();
    let id = format!("id = {purpose:?}\n");
    let parts = text.split("[[purpose]]").map(|part| {
        if !part.contains(&id) {
            return part.to_owned();
        }
        changes.iter().fold(part.to_owned(), |part, (from, to)| {
            assert!(part.contains(from), "{from} in {part}");
            part.replacen(from, to, 1)
        })
    });
    let parts: Vec<String> = parts.collect();
    let changed = parts.join("[[purpose]]");
    assert_ne!(changed, text);
    fs::write(path, changed).unwrap();
}

pub fn restart(small: &mut Small, index: usize) {
    let process = small.cluster.nodes[index].process.take();
    process.unwrap().stop().unwrap();
    small.cluster.start_node(index).unwrap();
    small.cluster.wait_connected().unwrap();
}

/// A unit whose scores decide on credit, and a model to score with.
fn lender() -> (Small, PathBuf) {
    let (mut small, node) = with_officers();
    let screened = [
        (
            "decision_effect = \"none\"",
            "decision_effect = \"similarly_significant\"",
        ),
        ("annex_iii = \"none\"", "annex_iii = \"credit\""),
        ("dpia_ref = \"none\"", "dpia_ref = \"DPIA-1\""),
    ];
    declare_anew(&node, "churn.score", &screened);
    let declared = "categories = [\"contract\"]\ndpia_current = [\"churn.score\"]\n";
    edit(&node, "categories = [\"contract\"]\n", declared);
    let reviewer = small.cluster.approver_key().unwrap();
    let path = node.join("node.toml");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(
        &path,
        format!("{text}\n[people.reviewers]\nada = {reviewer:?}\n"),
    )
    .unwrap();
    small.cluster.start_nodes().unwrap();
    let last = small.cluster.run_study(&small.study(""), STEP_MS).unwrap();
    assert_eq!(state(&last), "published", "{last}");
    (small, node)
}

/// Arguments of a score into a new file.
fn score_into<'a>(out: &'a str, reviewer: &[&'a str]) -> Vec<&'a str> {
    let score = ["score", "--model", "churn", "--purpose", "churn.score"];
    [&score[..], &["--out", out], reviewer].concat()
}

/// Kinds of the newest entries of a unit's history with their payloads; nothing where that was erased.
pub fn history(small: &Small, index: usize) -> Vec<(String, Value)> {
    let shown = small.node(index, &["history", "show", "--json"]);
    let shown: Value = serde_json::from_str(&shown.success().unwrap()).unwrap();
    let entries = shown["newest"].as_array().unwrap().iter();
    let entry = |entry: &Value| {
        let payload = entry["payload"].as_str().unwrap_or("null");
        let kind = entry["kind"].as_str().unwrap().to_owned();
        (kind, serde_json::from_str(payload).unwrap())
    };
    entries.map(entry).collect()
}

pub fn today() -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    calendar::written((since.as_secs() / 86_400) as i32)
}

/// The file of an exception at a unit, for this purpose until today.
fn exception(small: &Small, node: &Path) -> PathBuf {
    let status = small.node(0, &["policy", "status", "--json"]);
    let status: Value = serde_json::from_str(&status.success().unwrap()).unwrap();
    let (site, until) = (status["site"].as_str().unwrap(), today());
    let purposes = node.join("purposes.toml");
    let written = |purpose: &str| {
        let mut command = command("aquifer", ["policy", "exception", "--site", site]);
        command.arg("--purposes").arg(&purposes);
        command.args(["--purpose", purpose, "--until", &until]);
        run(command.args(["--reason", "a pilot of one day"])).unwrap()
    };
    check_says(&written("churn.train"), 1, &["no screened use"]);
    check_says(&written("nothing"), 1, &["declares no purpose"]);
    let folder = node.join("exceptions");
    fs::create_dir(&folder).unwrap();
    let file = folder.join("pilot.toml");
    fs::write(&file, written("churn.score").success().unwrap()).unwrap();
    file
}

fn signed_by(person: &Path, file: &Path) {
    let sign = ["policy", "sign", "--exception"];
    let outcome = run(command("aquifer", sign).arg(file).arg("--dir").arg(person)).unwrap();
    check_says(&outcome, 0, &["you sign", "credit", "a pilot of one day"]);
    sign_into(&file.with_extension("signed"), &outcome.stdout);
}

#[test]
fn l3_a_screened_score_takes_two_officers_and_a_reviewer_and_ends() {
    let (mut small, node) = lender();
    let out = small.folder.path().join("scores.csv");
    let out = out.to_string_lossy().into_owned();
    let reviewed = score_into(&out, &["--reviewer", "ada"]);
    let screened = |small: &Small| check_says(&small.node(0, &reviewed), 1, &["use_screened"]);
    screened(&small);
    let file = exception(&small, &node);
    let (operator, approver) = (
        small.cluster.operator.clone(),
        small.cluster.approver.clone(),
    );
    // One person, twice.
    signed_by(&operator, &file);
    signed_by(&operator, &file);
    restart(&mut small, 0);
    screened(&small);
    let status = small.node(0, &["policy", "status"]);
    check_says(&status, 0, &["1 of 2 officers signed it"]);
    signed_by(&approver, &file);
    screened(&small);
    restart(&mut small, 0);
    let alone = small.node(0, &score_into(&out, &[]));
    check_says(&alone, 1, &["reviewer_missing"]);
    let nobody = small.node(0, &score_into(&out, &["--reviewer", "bob"]));
    check_says(&nobody, 1, &["reviewer_missing"]);
    check_says(&small.node(0, &reviewed), 0, &[]);
    let granted = history(&small, 0).into_iter();
    let granted: Vec<Value> = granted
        .filter(|(kind, _)| kind == "override.granted")
        .map(|(_, payload)| payload)
        .collect();
    let [granted] = &granted[..] else {
        panic!("one exception: {granted:?}");
    };
    assert_eq!(granted["reason"], "a pilot of one day");
    assert_eq!(granted["until"], today());
    assert_eq!(granted["signers"].as_array().unwrap().len(), 2);
    check_reviewed(&small, &out);
    fs::remove_file(&out).unwrap();
    check_nobody_goes_round(&small, &node, &reviewed);
}

/// What the scores rest on, who reviews them and what came of it are in the history.
fn check_reviewed(small: &Small, out: &str) {
    let review = |reviewed: &str, overridden: &str| {
        let counts = ["--reviewed", reviewed, "--overridden", overridden];
        small.node(
            0,
            &[&["review", out, "--minutes", "90"], &counts[..]].concat(),
        )
    };
    check_says(&review("12", "13"), 1, &["--overridden 13"]);
    check_says(&review("4000000", "2"), 1, &["expected at most"]);
    check_says(&review("12", "2"), 0, &["ada looked at 12 decisions"]);
    let all = history(small, 0);
    let exported = |payload: &Value| payload["export"] == true && payload["verdict"] == "allow";
    let is_there = |kind: &str, holds: &dyn Fn(&Value) -> bool| {
        let mut own = all.iter().filter(|(found, _)| found == kind);
        assert!(own.any(|(_, payload)| holds(payload)), "{kind}: {all:?}");
    };
    is_there("policy.decision", &exported);
    is_there("dataset.registered", &|payload| {
        payload["purposes"][0] == "churn.score"
    });
    is_there("human.review", &|payload| {
        payload["reviewer"] == "ada" && payload["scores"].is_u64()
    });
    is_there("human.review", &|payload| {
        payload["overridden"] == 2 && payload["minutes"] == 90
    });
}

/// With the exception in force: a purpose that says something else, and a day later.
fn check_nobody_goes_round(small: &Small, node: &Path, score: &[&str]) {
    let purposes = node.join("purposes.toml");
    let as_signed = fs::read_to_string(&purposes).unwrap();
    let wider = [("title = \"For tests\"", "title = \"For all\"")];
    declare_anew(node, "churn.score", &wider);
    let unsigned = small.node(0, score);
    check_says(&unsigned, 1, &["policy", "0 of its officers"]);
    fs::write(&purposes, as_signed).unwrap();
    if !has_program("faketime") {
        return;
    }
    let mut late = command("aquifer-node", score);
    late.arg("--dir").arg(node).envs(shifted("+2d"));
    let late = run(&mut late).unwrap();
    check_says(&late, 1, &["use_screened"]);
}

#[test]
fn l1_data_that_no_purpose_covers_is_not_read() {
    let mut small = Small::prepared(&policy());
    let node = small.cluster.nodes[0].folder.clone();
    let column = format!("{:?}", small.company.contract.columns[0].name);
    declare_anew(&node, "churn.train", &[(&column, "\"another\"")]);
    // Whoever reads it finds no table there.
    fs::write(node.join("customers.csv"), "no, table\n").unwrap();
    small.cluster.start_nodes().unwrap();
    let said = |index: usize| {
        wait_for("the history to have it", STEP_MS, || {
            let all = history(&small, index);
            let decided = all.iter().any(|(kind, _)| kind == "policy.decision");
            Ok(decided.then_some(all))
        })
        .unwrap()
    };
    let ingest = |all: &[(String, Value)]| {
        let decided = all.iter().find(|(_, payload)| payload["gate"] == "ingest");
        decided.unwrap().1.clone()
    };
    let denied = said(0);
    assert_eq!(ingest(&denied)["verdict"], "deny");
    assert_eq!(ingest(&denied)["causes"][0], "column_not_allowed");
    let registered =
        |all: &[(String, Value)]| all.iter().any(|(kind, _)| kind == "dataset.registered");
    assert!(!registered(&denied));
    let allowed = wait_for("the table to be read", STEP_MS, || {
        let all = history(&small, 1);
        Ok(registered(&all).then_some(all))
    })
    .unwrap();
    assert_eq!(ingest(&allowed)["verdict"], "allow");
    assert_eq!(ingest(&allowed)["purpose"], "churn.train");
    let checked = small.node(1, &["check"]);
    let words = ["at ingest: allow, for churn.train"];
    check_says(&checked, 0, &words);
    let last = small.cluster.run_study(&small.study(""), STEP_MS).unwrap();
    let members = last["members"].to_string().to_lowercase();
    assert!(members.contains("law"), "{members}");
    assert_eq!(small.spent(0), 0);
}

fn copy_all(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

/// A history that was put back to an older copy, deleted, or whose checkpoint was, is not opened; as it was, it is.
#[track_caller]
fn check_refused(folder: &Path, mark: &Path, older: &Path, start: impl Fn() -> Outcome) {
    let (own, kept) = (folder.join("history"), older.with_extension("kept"));
    let refused = |words: &[&str]| {
        let outcome = start();
        assert_ne!(outcome.code, Some(0), "{}", outcome.stdout);
        check_says(&outcome, outcome.code.unwrap_or(-1), words);
    };
    fs::rename(&own, &kept).unwrap();
    refused(&["0 entries", "cut, deleted or put back"]);
    let _ = fs::remove_dir_all(&own);
    copy_all(older, &own);
    refused(&["cut, deleted or put back to an older copy"]);
    fs::remove_dir_all(&own).unwrap();
    fs::rename(&kept, &own).unwrap();
    let aside = mark.with_extension("aside");
    fs::rename(mark, &aside).unwrap();
    refused(&["its checkpoint", "is missing"]);
    let _ = fs::remove_file(mark);
    fs::rename(&aside, mark).unwrap();
}

#[test]
fn r1_a_history_that_was_deleted_or_put_back_is_refused_on_either_side() {
    let mut small = Small::started(&policy());
    let (node, coordinator) = (
        small.cluster.nodes[0].folder.clone(),
        small.cluster.coordinator_folder(),
    );
    let older = small.folder.path().join("older");
    let backup = |name: &str| older.join(name);
    let stop = |small: &mut Small| {
        let process = small.cluster.nodes[0].process.take();
        process.unwrap().stop().unwrap();
        small.cluster.coordinator().stop().unwrap();
    };
    stop(&mut small);
    copy_all(&node.join("history"), &backup("node"));
    copy_all(&coordinator.join("history"), &backup("coordinator"));
    small.cluster.start_coordinator().unwrap();
    small.cluster.start_node(0).unwrap();
    small.cluster.wait_connected().unwrap();
    small.cluster.submit(&small.study("")).unwrap();
    stop(&mut small);
    let witness = small.cluster.folder.join("witness");
    let mark = witness.join(&small.cluster.nodes[0].name);
    let mark = mark.join("history.checkpoint");
    check_refused(&node, &mark, &backup("node"), || small.node(0, &["run"]));
    let mark = coordinator.join("history.checkpoint");
    check_refused(&coordinator, &mark, &backup("coordinator"), || {
        small.cluster.coordinator_command(["serve"]).unwrap()
    });
    small.cluster.start_coordinator().unwrap();
    small.cluster.start_node(0).unwrap();
    small.cluster.wait_connected().unwrap();
}
