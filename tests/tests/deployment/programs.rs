//! What programs read: JSON alone on standard output, refusals included; three exit codes; completions for every shell.

use std::fs;
use std::path::Path;

use aquifer_tests::cluster::Cluster;
use aquifer_tests::processes::{Outcome, command, run};
use serde_json::Value;

const PROGRAMS: [&str; 3] = ["aquifer", "aquifer-node", "aquifer-coordinator"];

fn ask(program: &str, folder: &Path, arguments: &[&str]) -> Outcome {
    run(command(program, arguments)
        .arg("--json")
        .arg("--dir")
        .arg(folder))
    .unwrap()
}

/// Every line of standard output, as a program reads it.
#[track_caller]
fn lines(outcome: &Outcome) -> Vec<Value> {
    let read =
        |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    outcome.stdout.lines().map(read).collect()
}

#[track_caller]
fn check_done(outcome: &Outcome, key: &str) {
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    let lines = lines(outcome);
    assert!(!lines.is_empty());
    let holds =
        |value: &Value| value.get(key).is_some() || value.as_array().is_some_and(Vec::is_empty);
    let first = lines[0]
        .as_array()
        .and_then(|all| all.first())
        .unwrap_or(&lines[0]);
    assert!(holds(first), "expected {key:?} in {first}");
}

#[track_caller]
fn check_refused(outcome: &Outcome, code: &str) {
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    let lines = lines(outcome);
    let refused = &lines.last().expect("a refusal is printed")["refused"];
    assert_eq!(refused["code"], code, "{refused}");
    assert!(!refused["message"].as_str().unwrap().is_empty());
    assert!(outcome.stderr.contains("refused:"), "{}", outcome.stderr);
}

#[track_caller]
fn check_failed(outcome: &Outcome) {
    assert_eq!(outcome.code, Some(2), "{outcome:?}");
    assert_eq!(outcome.stdout, "");
    assert!(outcome.stderr.contains("error:"), "{}", outcome.stderr);
}

#[test]
fn the_coordinators_commands_speak_to_programs() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("central");
    let ask = |arguments: &[&str]| ask("aquifer-coordinator", &home, arguments);
    check_failed(&ask(&["nodes"]));
    let init = ["init", "--address", "127.0.0.1:7400"];
    check_done(&ask(&init), "release_key");
    check_refused(&ask(&init), "home");
    check_refused(&ask(&["init", "--address", "127.0.0.1:65535"]), "address");
    check_done(&ask(&["invite", "north", "--role", "node"]), "ticket");
    check_done(&ask(&["nodes"]), "name");
    check_done(&ask(&["revoke", "north"]), "revoked");
    check_refused(&ask(&["revoke", "nobody"]), "unknown");
}

#[test]
fn peoples_commands_speak_to_programs() {
    let folder = tempfile::tempdir().unwrap();
    let cluster = Cluster::start(folder.path()).unwrap();
    let person = |arguments: &[&str]| ask("aquifer", &cluster.operator, arguments);
    check_done(&person(&["whoami"]), "identity");
    check_done(&person(&["nodes"]), "name");
    check_done(&person(&["study", "list"]), "study");
    check_done(&person(&["model", "list"]), "name");
    for arguments in [
        ["study", "show", "none"].as_slice(),
        &["study", "watch", "none"],
        &["study", "abort", "none"],
        &["model", "show", "none"],
        &["model", "card", "none"],
        &["model", "export", "none"],
        &["model", "replay", "none"],
        &["contract", "show", "none"],
        &[
            "predict",
            "--model",
            "none",
            "--input",
            "hypothetical",
            "{}",
        ],
    ] {
        check_refused(&person(arguments), "unknown");
    }
    let approver = |arguments: &[&str]| ask("aquifer", &cluster.approver, arguments);
    check_refused(&approver(&["study", "approve", "none"]), "unknown");
    for decision in ["release", "drop"] {
        check_refused(&person(&["model", decision, "none"]), "role");
        check_refused(&approver(&["model", decision, "none"]), "unknown");
    }
    let ticket = cluster.ticket("north", "node").unwrap();
    check_refused(&person(&["join", &ticket]), "role");
    check_refused(&person(&["join", "nonsense"]), "ticket");
    let file = folder.path().join("contract.toml");
    fs::write(&file, "[contract]\nname = 7\n").unwrap();
    let broken = person(&["contract", "check", &file.to_string_lossy()]);
    assert_eq!(
        (broken.code, lines(&broken)[0]["ok"].as_bool()),
        (Some(1), Some(false))
    );
    check_failed(&person(&["contract", "check", "/nowhere/none.toml"]));
    check_failed(&ask("aquifer", folder.path(), &["whoami"]));
}

#[test]
fn the_nodes_commands_speak_to_programs() {
    let folder = tempfile::tempdir().unwrap();
    let cluster = Cluster::start(folder.path()).unwrap();
    let north = folder.path().join("north");
    let node = |arguments: &[&str]| ask("aquifer-node", &north, arguments);
    check_failed(&node(&["budget"]));
    check_refused(&node(&["join", "nonsense"]), "ticket");
    let person = cluster.ticket("ada", "analyst").unwrap();
    check_refused(&node(&["join", &person]), "role");
    let ticket = cluster.ticket("north", "node").unwrap();
    check_done(&node(&["join", &ticket]), "identity");
    check_refused(
        &node(&["score", "--model", "churn", "--out", "scores.txt"]),
        "format",
    );
    check_failed(&node(&["check"]));
}

#[test]
fn every_program_completes_in_every_shell() {
    for program in PROGRAMS {
        for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
            let outcome = run(&mut command(program, ["completions", shell])).unwrap();
            let script = outcome.success().unwrap();
            assert!(
                script.contains(program) && script.contains("completions"),
                "{program} {shell}"
            );
        }
        let unknown = run(&mut command(program, ["completions", "tcsh"])).unwrap();
        assert_eq!(unknown.code, Some(2), "{program}");
    }
}

#[test]
fn a_reader_that_stops_reading_is_no_failure() {
    for program in PROGRAMS {
        let mut piped = std::process::Command::new("bash");
        let line = format!(
            "set -o pipefail; '{}' completions zsh | head -c 1 >/dev/null",
            aquifer_tests::processes::program(program).display()
        );
        let outcome = run(piped.args(["-c", &line])).unwrap();
        assert_eq!(outcome.code, Some(0), "{program}: {}", outcome.stderr);
    }
}
