//! What analysts ask outlives crashes, restarts and new states of the data: never free, never paid twice, the same under its request id.

use std::collections::BTreeSet;
use std::fs;
use std::process::Stdio;

use aquifer_tests::processes::wait_for;
use serde_json::Value;

use super::fixture::check_says;
use super::questions::{BY_CONTRACT, Reports, Shape, URHO};

/// Somebody kills the coordinator or a unit once this many steps of the sum have been taken; what was asked is asked again under its
/// request id until it is answered. Whether it was: it may also be charged and never answered, which is said then.
fn answers_after_crash(steps: usize, kill_unit: bool) -> bool {
    let mut reports = Reports::shaped(&Shape {
        log: Some("info,aquifer_coordinator=debug"),
        ..Shape::default()
    });
    let request = ["query", BY_CONTRACT, "--json", "--request-id", "december"];
    let mut asking = aquifer_tests::processes::command("aquifer", request);
    asking.args(["--purpose", "reporting", "--dir"]);
    asking.arg(&reports.analyst).stdin(Stdio::null());
    asking.stdout(Stdio::piped()).stderr(Stdio::piped());
    let asking = asking.spawn().unwrap();
    let log = reports.small.cluster.folder.join("coordinator.log");
    wait_for("steps of the sum", 20_000, || {
        let log = fs::read_to_string(&log)?;
        Ok((log.matches("a step of a secure sum").count() >= steps).then_some(()))
    })
    .unwrap();
    kill_and_restart(&mut reports, kill_unit);
    let first = asking.wait_with_output().unwrap();
    reports.small.cluster.wait_connected().unwrap();
    let mut answer = None;
    wait_for("an answer under the request id", 60_000, || {
        let again = reports.ask(request);
        if again.code == Some(0) {
            answer = Some(serde_json::from_str::<Value>(&again.stdout)?);
        } else {
            // Tables that are not served yet; or charged, and no answer: that is said, and stays so.
            assert!(
                ["QP006", "QP008"]
                    .iter()
                    .any(|code| again.stderr.contains(code)),
                "{again:?}"
            );
            if again.stderr.contains("QP008") {
                return Ok(Some(()));
            }
        }
        Ok(answer.as_ref().map(|_| ()))
    })
    .unwrap();
    let spent = reports.spent();
    assert!(spent.iter().all(|spent| *spent <= 2 * URHO), "{spent:?}");
    if let Some(answer) = &answer {
        assert!(
            spent.iter().filter(|spent| **spent >= URHO).count() >= 3,
            "never free: {spent:?}"
        );
        if first.status.success() {
            let first: Value = serde_json::from_slice(&first.stdout).unwrap();
            assert_eq!(
                first["release"]["release_id"],
                answer["release"]["release_id"]
            );
        }
        let again = reports.answer(&["--request-id", "december"], BY_CONTRACT);
        assert_eq!(
            again["release"]["release_id"],
            answer["release"]["release_id"]
        );
        assert_eq!(again["rows"], answer["rows"]);
    }
    assert_eq!(reports.spent(), spent, "never twice");
    answer.is_some()
}

/// Kills a unit or the coordinator, and starts it again.
fn kill_and_restart(reports: &mut Reports, unit: bool) {
    if unit {
        let unit = &mut reports.small.cluster.nodes[1];
        unit.process.take().unwrap().kill().unwrap();
        reports.small.cluster.start_node(1).unwrap();
    } else {
        reports.small.cluster.coordinator().kill().unwrap();
        reports.small.cluster.start_coordinator().unwrap();
    }
}

#[test]
fn a_question_whose_coordinator_dies_goes_on_under_its_request_id() {
    // The question is durable before anything is charged for it, and its second attempt is set aside: one crash never leaves it open.
    for steps in [0, 1, 5, 9] {
        assert!(answers_after_crash(steps, false), "after {steps} steps");
    }
}

#[test]
fn a_question_whose_unit_dies_goes_on_under_its_request_id() {
    // A unit that comes back is in the second attempt, and one that does not is one that may be missing.
    for steps in [2, 6] {
        assert!(answers_after_crash(steps, true), "after {steps} steps");
    }
}

/// Reads every unit's tables again, as another epoch, without some customer.
fn refresh(reports: &Reports, unit: usize, epoch: &str) {
    let folder = &reports.small.cluster.nodes[unit].folder;
    let table = fs::read_to_string(folder.join("customers.csv")).unwrap();
    let mut lines: Vec<&str> = table.lines().collect();
    lines.pop();
    fs::write(folder.join("customers.csv"), lines.join("\n") + "\n").unwrap();
    let config = fs::read_to_string(folder.join("node.toml")).unwrap();
    let config = config.replace("epoch = \"2026-11\"", &format!("epoch = {epoch:?}"));
    fs::write(folder.join("node.toml"), config).unwrap();
    check_says(&reports.small.node(unit, &["refresh"]), 0, &[epoch]);
}

#[test]
fn another_state_of_the_data_is_another_question() {
    let reports = Reports::open(4, 1_000_000);
    let before = reports.answer(&[], BY_CONTRACT);
    refresh(&reports, 0, "2026-12");
    // Served by one unit, it is already another state; nobody gets the old answer for the new data or is charged for nothing.
    let mixed = reports.answer(&[], BY_CONTRACT);
    assert_eq!(mixed["release"]["cached"], false, "{mixed}");
    (1..4).for_each(|unit| refresh(&reports, unit, "2026-12"));
    let after = reports.answer(&[], BY_CONTRACT);
    assert_eq!(after["release"]["cached"], false, "{after}");
    assert_eq!(
        after["release"]["data_versions"],
        Value::from(vec!["2026-12"])
    );
    assert_eq!(reports.spent(), [3 * URHO; 4], "each is charged");
    let ids = [&before, &mixed, &after].map(|answer| answer["release"]["release_id"].to_string());
    assert_eq!(BTreeSet::from(ids).len(), 3);
    // An epoch that was served stands for that state for good.
    check_says(&reports.small.node(1, &["refresh"]), 1, &["2026-12"]);
}

#[test]
fn answers_and_request_ids_outlive_a_restart_with_a_unit_away() {
    let mut reports = Reports::open(4, 1_000_000);
    let first = reports.answer(&["--request-id", "monday"], BY_CONTRACT);
    let unit = &mut reports.small.cluster.nodes[3];
    unit.process.take().unwrap().kill().unwrap();
    reports.small.cluster.coordinator().kill().unwrap();
    reports.small.cluster.start_coordinator().unwrap();
    // Three units are coming back, the fourth does not; nobody waits for any of them.
    let same = reports.answer(&["--request-id", "monday"], BY_CONTRACT);
    let stored = reports.answer(&[], BY_CONTRACT);
    for again in [same, stored] {
        assert_eq!(again["release"]["cached"], true);
        assert_eq!(
            again["release"]["release_id"],
            first["release"]["release_id"]
        );
    }
    refresh(&reports, 0, "2026-12");
    let later = reports.answer(&["--request-id", "monday"], BY_CONTRACT);
    assert_eq!(
        later["release"]["release_id"], first["release"]["release_id"],
        "whatever the data are now"
    );
    let long = "x".repeat(129);
    let refused = reports.ask(["query", BY_CONTRACT, "--request-id", &long]);
    check_says(&refused, 1, &["22023"]);
}
