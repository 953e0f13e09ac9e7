//! What comes back, what is shown twice, what runs on, on real programs: an erased person in the table and in an import, a coordinator with
//! two histories, a study whose purpose is over, a clock that is set back by a year; and what the desk answers, in the unit's history.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use aquifer_shared::domain::law::Basis;
use aquifer_tests::policy::Policy;
use aquifer_tests::processes::{Outcome, Process, command, free_ports, run, wait_for};
use aquifer_tests::study::{list, state};
use serde_json::{Value, json};

use super::attacks::{declare_anew, history, restart, today};
use super::clocks::shifted;
use super::consent::Unit;
use super::fixture::{STEP_MS, Small, check_says, has_program, one_study, policy};
use super::histories::{copy_all, of_coordinator};
use super::kills::study_of;

fn by_consent() -> Policy {
    Policy {
        basis: Basis::Consent,
        ..policy()
    }
}

fn unit(small: &Small, index: usize) -> Unit<'_> {
    Unit { small, index }
}

/// What a command prints as JSON.
#[track_caller]
fn said(small: &Small, arguments: &[&str], code: i32) -> Value {
    let outcome = small.node(0, &[arguments, &["--json"]].concat());
    check_says(&outcome, code, &[]);
    serde_json::from_str(&outcome.stdout).unwrap()
}

fn erase<'a>(id: &'a str, ground: &'a str) -> [&'a str; 8] {
    let subject = ["rights", "erase", "--subject", id];
    let [one, two, three, four] = subject;
    [
        one,
        two,
        three,
        four,
        "--ground",
        ground,
        "--verified-by",
        "desk",
    ]
}

/// The table without the lines of a customer, or with them again; the node reads it at its next start.
fn without(table: &Path, id: &str) -> String {
    let text = fs::read_to_string(table).unwrap();
    let of_others = text
        .lines()
        .filter(|line| !line.starts_with(&format!("{id},")));
    let others: String = of_others.map(|line| format!("{line}\n")).collect();
    assert!(others.len() < text.len(), "the table has the customer");
    fs::write(table, others).unwrap();
    text
}

#[test]
fn t2_an_erased_subject_comes_back_neither_in_the_table_nor_by_an_import() {
    let mut small = Small::started(&by_consent());
    let count = unit(&small, 0).everybody_agrees();
    for index in 1..3 {
        unit(&small, index).everybody_agrees();
    }
    let id = small.company.of_unit(0).next().unwrap().id.clone();
    let erased = said(&small, &erase(&id, "consent_withdrawn"), 0);
    assert!(erased["certificate"].is_object(), "{erased}");
    assert_eq!(unit(&small, 0).eligible("churn.train"), count - 1);
    // Gone from the table, and there again.
    let table = small.cluster.nodes[0].folder.join("customers.csv");
    let whole = without(&table, &id);
    restart(&mut small, 0);
    fs::write(&table, whole).unwrap();
    restart(&mut small, 0);
    check_imports(&unit(&small, 0), &id);
    assert_eq!(unit(&small, 0).eligible("churn.train"), count - 1);
    let refused = said(&small, &["rights", "access", "--subject", &id], 1);
    assert_eq!(refused["refused"]["code"], "erased", "{refused}");
    let last = small.cluster.run_study(&small.study(""), STEP_MS).unwrap();
    assert_eq!(state(&last), "published", "{last}");
    let scores = unit(&small, 0).scores("scores.csv");
    assert_eq!(scores.len() as u64, count);
    for (customer, (state, score)) in &scores {
        let is_out = *customer == id;
        let expected = if is_out { "suppressed" } else { "scored" };
        assert_eq!((state.as_str(), score.is_empty()), (expected, is_out));
    }
    // After the study as before it: nothing is kept but the mark.
    let again = said(&small, &erase(&id, "consent_withdrawn"), 1);
    assert_eq!(again["refused"]["code"], "erased", "{again}");
}

/// The file that was imported before, and a newer one: of the person nothing is taken, of the others all.
fn check_imports(unit: &Unit<'_>, id: &str) {
    let folder = &unit.small.cluster.nodes[unit.index].folder;
    let path = |name: &str| folder.join(name).to_string_lossy().into_owned();
    let (file, map) = (path("crm.csv"), path("crm.toml"));
    let before = unit.consent(&["import", &file, "--map", &map], 1);
    assert_eq!(before["rejects"], json!({"erased": 2}), "{before}");
    let text = fs::read_to_string(&file).unwrap();
    let (head, own) = (
        text.lines().next().unwrap(),
        text.lines()
            .find(|line| line.starts_with(&format!("{id},"))),
    );
    let mut fields: Vec<&str> = own.unwrap().split(',').collect();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let now = now.as_millis().to_string();
    fields[1] = &now;
    let newer = unit.file("newer.csv", &format!("{head}\n{}\n", fields.join(",")));
    let newer = unit.consent(&["import", &newer, "--map", &map], 1);
    assert_eq!(
        (&newer["new"], &newer["rejects"]),
        (&json!(0), &json!({"erased": 2})),
        "{newer}"
    );
}

#[test]
fn t2_what_the_desk_answers_is_in_the_history_until_it_is_erased() {
    let mut small = Small::prepared(&policy());
    small.cluster.start_node(0).unwrap();
    small.cluster.wait_connected().unwrap();
    let id = small.company.of_unit(0).next().unwrap().id.clone();
    let other = small.company.of_unit(0).nth(1).unwrap().id.clone();
    for id in [&id, &other] {
        said(&small, &["rights", "access", "--subject", id], 0);
        let export = small.node(0, &["rights", "export", "--subject", id]);
        check_says(&export, 0, &[]);
        let object = ["rights", "object", "--subject", id, "--purpose", "all"];
        assert_eq!(said(&small, &object, 0)["recorded"], "objected");
    }
    let expected = ["access", "consent.objected", "export"];
    // Once for each of the two.
    let twice: Vec<&str> = expected.iter().flat_map(|own| [*own; 2]).collect();
    let found = wait_for("the history to have it", STEP_MS, || {
        let found = answered(&small);
        Ok((found.len() == twice.len()).then_some(found))
    })
    .unwrap();
    assert_eq!(found, twice);
    for (_, payload) in history(&small, 0) {
        let text = payload.to_string();
        assert!(!text.contains(&id) && !text.contains(&other), "{text}");
    }
    said(&small, &erase(&id, "objection_upheld"), 0);
    assert_eq!(answered(&small), expected, "those of the other person");
    let erased = history(&small, 0).into_iter();
    let erased = erased.filter(|(kind, payload)| kind != "log.pad" && payload.is_null());
    assert_eq!(erased.count(), expected.len(), "their leaves are there");
}

/// What the history still says of answers of the desk, in order; without the steps of erasures.
fn answered(small: &Small) -> Vec<String> {
    let entries = history(small, 0).into_iter();
    let answers =
        entries.filter(|(_, payload)| payload.is_object() && payload["request"].is_null());
    let named = answers.filter_map(|(kind, payload)| match kind.as_str() {
        "request.fulfilled" => Some(payload["right"].as_str().unwrap().to_owned()),
        "consent.objected" => Some(kind),
        _ => None,
    });
    let mut named: Vec<String> = named.collect();
    named.sort();
    named
}

/// A second coordinator with all that the first one knew, and a person's directory that leads to it.
struct Twin {
    process: Process,
    address: String,
    operator: PathBuf,
}

impl Twin {
    fn of(small: &mut Small) -> Self {
        let folder = small.folder.path().join("twin");
        let own = small.cluster.coordinator_folder();
        small.cluster.coordinator().stop().unwrap();
        copy_all(&own, &folder);
        small.cluster.start_coordinator().unwrap();
        let [main, join] = free_ports()
            .unwrap()
            .map(|port| format!("127.0.0.1:{port}"));
        let config = folder.join("coordinator.toml");
        let text = fs::read_to_string(&config).unwrap();
        let moved = text.lines().map(|line| match line.split_once(" = ") {
            Some(("listen", _)) => format!("listen = {main:?}\n"),
            Some(("listen_join", _)) => format!("listen_join = {join:?}\n"),
            _ => format!("{line}\n"),
        });
        fs::write(&config, moved.collect::<String>()).unwrap();
        let mut serve = command("aquifer-coordinator", ["serve", "--json", "--dir"]);
        let log = small.folder.path().join("twin.log");
        let watcher = small.cluster.watcher();
        let process = watcher.start("twin", serve.arg(&folder), &log).unwrap();
        let ready = process.line(STEP_MS).unwrap().expect("it starts");
        assert!(ready.contains("listening"), "{ready}");
        let operator = small.folder.path().join("twin-operator");
        copy_all(&small.cluster.operator, &operator);
        let path = operator.join("coordinator.json");
        let text = fs::read_to_string(&path).unwrap();
        let mut to: Value = serde_json::from_str(&text).unwrap();
        to["address"] = Value::from(main.as_str());
        fs::write(&path, to.to_string()).unwrap();
        Self {
            process,
            address: main,
            operator,
        }
    }

    fn aquifer(&self, arguments: &[&str]) -> Value {
        let asked = run(command("aquifer", arguments)
            .args(["--json", "--dir"])
            .arg(&self.operator));
        serde_json::from_str(&asked.unwrap().success().unwrap()).unwrap()
    }
}

fn move_node(small: &mut Small, index: usize, address: &str) {
    let process = small.cluster.nodes[index].process.take();
    process.unwrap().stop().unwrap();
    small.cluster.send_node_to(index, address).unwrap();
    small.cluster.start_node(index).unwrap();
}

/// Waits until a node has signed so much of the coordinator's history.
fn wait_signed(small: &Small, index: usize, size: u64) {
    wait_for("the node to sign", STEP_MS, || {
        let view = small.node(index, &["history", "show", "--json"]);
        let view: Value = serde_json::from_str(&view.success()?)?;
        Ok((view["coordinator"]["size"].as_u64() >= Some(size)).then_some(()))
    })
    .unwrap();
}

#[test]
fn r1_a_coordinator_with_two_histories_is_caught_by_the_node_that_saw_both() {
    let mut small = Small::started(&policy());
    small.cluster.wait_connected().unwrap();
    let own = small.cluster.address().to_owned();
    let mut twin = Twin::of(&mut small);
    move_node(&mut small, 2, &twin.address);
    // From here on the two histories differ.
    let study = small.cluster.submit(&small.study("")).unwrap();
    let other = small.study("").replacen("churn", "other", 1);
    let file = small.folder.path().join("other.toml");
    fs::write(&file, other).unwrap();
    let contract = small.cluster.contract();
    let (file, contract) = (file.to_string_lossy(), contract.to_string_lossy());
    twin.aquifer(&["study", "submit", &file, "--contract", &contract]);
    let size = |shown: Value| shown["size"].as_u64().unwrap();
    wait_signed(&small, 2, size(twin.aquifer(&["history", "show"])));
    let here = size(of_coordinator(&small, &["show"]));
    (0..2).for_each(|node| wait_signed(&small, node, here));
    // The third node is caught before its first round here.
    small.cluster.approve(&study).unwrap();
    move_node(&mut small, 2, &own);
    let evidence = small.cluster.nodes[2].folder.join("history-fork.json");
    wait_for("the node to see the fork", STEP_MS, || {
        Ok(evidence.exists().then_some(()))
    })
    .unwrap();
    let ended = small.cluster.nodes[2].process.as_mut().unwrap();
    assert_eq!(ended.wait(STEP_MS).unwrap().code(), Some(1));
    let fork: Value = serde_json::from_str(&fs::read_to_string(&evidence).unwrap()).unwrap();
    assert_ne!(fork["held"], fork["shown"]);
    check_says(&small.node(2, &["run"]), 1, &["two histories"]);
    let shown = small.node(2, &["history", "show", "--json"]);
    check_says(&shown, 1, &["log.inconsistency", "\"fork\":{"]);
    assert_eq!(small.cluster.connected().unwrap().len(), 2, "the others");
    // The others may have paid for a first round, which nobody can add up without it.
    assert_eq!(small.spent(2), 0);
    let models = small.cluster.aquifer(["model", "list", "--json"]).unwrap();
    let models = models.success().unwrap();
    let models: Value = serde_json::from_str(&models).unwrap();
    assert_eq!(list(&models, "models").map(Vec::len), Some(0), "{models}");
    twin.process.stop().unwrap();
}

/// What moves a program's clock while it runs: its calendar follows a file, its timers do not.
pub fn following(clock: &Path) -> Vec<(String, String)> {
    let mut variables = shifted("+0");
    variables.retain(|(name, _)| name == "LD_PRELOAD");
    for (name, value) in [
        ("FAKETIME_TIMESTAMP_FILE", &*clock.to_string_lossy()),
        ("FAKETIME_CACHE_DURATION", "1"),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
    ] {
        variables.push((name.to_owned(), value.to_owned()));
    }
    variables
}

#[test]
fn l1_a_study_under_way_is_decided_again_at_a_node_once_its_purpose_is_over() {
    if !has_program("faketime") {
        return;
    }
    let mut small = Small::prepared(&policy());
    let node = small.cluster.nodes[0].folder.clone();
    let last_day = format!("review_by = {}", today());
    declare_anew(
        &node,
        "churn.train",
        &[("review_by = 2099-12-31", &last_day)],
    );
    let clock = small.folder.path().join("clock");
    fs::write(&clock, "+0\n").unwrap();
    let mut first = command("aquifer-node", ["run", "--dir"]);
    first.arg(&node).envs(following(&clock));
    let name = small.cluster.nodes[0].name.clone();
    let log = small.folder.path().join(format!("{name}.log"));
    let first = small
        .cluster
        .watcher()
        .start(&name, &mut first, &log)
        .unwrap();
    small.cluster.nodes[0].process = Some(first);
    (1..3).for_each(|index| small.cluster.start_node(index).unwrap());
    small.cluster.wait_connected().unwrap();
    let study = small.study("slot_ms = 500\nphase_ms = 4000");
    let study = study.replace("expires_in_hours = 24", "expires_in_hours = 72");
    let last = study_of(&mut small, &study, |_| {
        fs::write(&clock, "+1d\n").unwrap();
    });
    assert_eq!(state(&last), "aborted", "{last}");
    let log = fs::read_to_string(log).unwrap();
    for word in ["a sum is denied", "review_overdue"] {
        assert!(log.contains(word), "{word} in {log}");
    }
    let spent = small.spent(0);
    assert!(spent > 0 && spent < one_study().0, "{spent}");
    let refused = wait_for("the history to have the refusal", STEP_MS, || {
        let all = history(&small, 0).into_iter();
        let mut refused = all.filter(|(kind, _)| kind == "study.refused");
        Ok(refused.next())
    });
    assert_eq!(refused.unwrap().1["code"], "Law");
}

fn a_year_ago(small: &Small, arguments: &[&str]) -> Outcome {
    let mut asked = command("aquifer-node", arguments);
    asked.arg("--dir").arg(&small.cluster.nodes[0].folder);
    run(asked.envs(shifted("-365d"))).unwrap()
}

#[test]
fn c2_a_clock_set_back_by_a_year_brings_nobody_back() {
    if !has_program("faketime") {
        return;
    }
    let mut small = Small::started(&by_consent());
    let count = unit(&small, 0).everybody_agrees();
    for index in 1..3 {
        unit(&small, index).everybody_agrees();
    }
    let last = small.cluster.run_study(&small.study(""), STEP_MS).unwrap();
    assert_eq!(state(&last), "published", "{last}");
    let ids: Vec<String> = small.company.of_unit(0).map(|own| own.id.clone()).collect();
    let withdraw = ["consent", "withdraw", "--subject", &ids[0]];
    said(&small, &withdraw, 0);
    let object = [
        "consent",
        "object",
        "--subject",
        &ids[1],
        "--purpose",
        "all",
    ];
    said(&small, &object, 0);
    let process = small.cluster.nodes[0].process.take();
    process.unwrap().stop().unwrap();
    let status = a_year_ago(&small, &["consent", "status", "--json"]);
    let status: Value = serde_json::from_str(&status.success().unwrap()).unwrap();
    let purposes = status["purposes"].as_array().unwrap().iter();
    let training = purposes.filter(|own| own["purpose"] == "churn.train");
    let training: Vec<&Value> = training.collect();
    assert_eq!(training[0]["eligible"], count - 2, "{status}");
    let shown = ["consent", "show", "--subject", &ids[0], "--json"];
    let shown: Value =
        serde_json::from_str(&a_year_ago(&small, &shown).success().unwrap()).unwrap();
    let states = shown["purposes"].as_array().unwrap().iter();
    assert!(
        states.clone().all(|own| own["eligible"] == false),
        "{shown}"
    );
    // With such a clock the coordinator's certificate is not valid yet: no model, no scores, no session.
    let out = small.folder.path().join("scores.csv");
    let out = out.to_string_lossy().into_owned();
    let score = [
        "score",
        "--model",
        "churn",
        "--purpose",
        "churn.score",
        "--out",
        &out,
    ];
    for arguments in [&score[..], &["run"]] {
        let refused = a_year_ago(&small, arguments);
        assert_ne!(refused.code, Some(0), "{}", refused.stdout);
        let words = ["not valid yet", "check the clock"];
        check_says(&refused, refused.code.unwrap_or(-1), &words);
    }
    assert!(!Path::new(&out).exists());
    small.cluster.start_node(0).unwrap();
    small.cluster.wait_connected().unwrap();
    let scores = unit(&small, 0).scores("after.csv");
    let suppressed = scores
        .iter()
        .filter(|(_, (state, _))| state == "suppressed");
    let suppressed: Vec<&String> = suppressed.map(|(id, _)| id).collect();
    let mut expected = [&ids[0], &ids[1]];
    expected.sort();
    assert_eq!(suppressed, expected);
}
