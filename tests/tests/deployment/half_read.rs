//! Answers that are read in part and left: what was charged stands, and what is there answers again.

use std::path::Path;
use std::process::Command;

use aquifer_tests::processes::run;
use serde_json::Value;

use super::drivers::python;
use super::psql::Door;
use super::questions::URHO;

/// Reads a row of the answer to this question, leaves it in this way, and asks again.
#[track_caller]
fn check_left(door: &Door, python: &Path, way: &str, question: &str) {
    let mut script = Command::new(python);
    script.args([
        "-c",
        include_str!("half_read.py"),
        &door.port.to_string(),
        "ada",
    ]);
    script.arg(door.reports.analyst.join("ca.pem"));
    script
        .args([way, question])
        .env("PGPASSWORD", &door.password);
    let printed = run(&mut script).unwrap().success().unwrap();
    let found: Value = serde_json::from_str(&printed).unwrap();
    let rows = found["rows"].as_array().unwrap();
    assert!(rows.len() > 1, "there was more to read: {found}");
    assert_eq!(found["row"], rows[0], "{way}");
    let (first, again) = (found["first"].to_string(), found["again"].to_string());
    assert!(first.contains("fresh"), "{way}: {first}");
    assert!(
        again.contains("nothing charged, cached") && !again.contains("fresh"),
        "{way}: {again}"
    );
}

#[test]
fn an_answer_that_was_read_in_part_is_paid_for_once() {
    let (Some(door), Some(python)) = (Door::open(), python()) else {
        return;
    };
    let question = |age: u32| {
        format!(
            "SELECT contract, COUNT(*) AS n FROM customers WHERE age >= {age} GROUP BY contract"
        )
    };
    check_left(&door, &python, "leave", &question(30));
    assert_eq!(door.reports.spent(), [URHO; 4]);
    check_left(&door, &python, "terminate", &question(31));
    assert_eq!(door.reports.spent(), [2 * URHO; 4]);
}
