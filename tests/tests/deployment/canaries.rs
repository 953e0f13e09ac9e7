//! Values planted in a unit's data never turn up in logs, errors, the ledger, the store, or what is released.

use std::fs;
use std::path::Path;

use aquifer_tests::company::Company;
use aquifer_tests::study::state;

use super::fixture::{STEP_MS, Small, company, policy};

/// An id, a level that no contract lists, a level-like word in a number's place, a number: each is found nowhere else.
const CANARIES: [&str; 4] = [
    "QXCANARY-ID-4711",
    "qxcanary-level",
    "qxcanary-number",
    "87.654321",
];

fn planted() -> Company {
    let mut company = company();
    for unit in 0..company.units.len() {
        let customer = company
            .customers
            .iter_mut()
            .find(|customer| customer.unit == unit)
            .unwrap();
        customer.id = format!("{}-{unit}", CANARIES[0]);
        // Tenure, monthly charge, and the contract (the first column with levels).
        customer.values[0] = CANARIES[2].to_owned();
        customer.values[1] = CANARIES[3].to_owned();
        customer.values[8] = CANARIES[1].to_owned();
    }
    company
}

#[test]
fn planted_values_turn_up_nowhere() {
    let mut small = Small::of(planted(), &policy());
    let mut said = String::new();
    said += &spoken(&small, &["check"]);
    said += &spoken(&small, &["check", "--json"]);
    small.cluster.start_nodes().unwrap();
    let last = small.cluster.run_study(&small.study(""), STEP_MS).unwrap();
    assert_eq!(state(&last), "published", "{last}");
    said += &spoken(&small, &["budget"]);
    said += &spoken(&small, &["studies", "list"]);
    let model = small.folder.path().join("model.json");
    for arguments in [
        ["model", "card", "churn"].as_slice(),
        &[
            "model",
            "export",
            "churn",
            "--out",
            &model.to_string_lossy(),
        ],
    ] {
        said.push_str(&small.cluster.aquifer(arguments).unwrap().success().unwrap());
    }
    small.cluster.stop().unwrap();
    // A customer named twice, and a mapping whose query fails on the values themselves.
    let folder = small.cluster.nodes[0].folder.clone();
    let table = folder.join("customers.csv");
    let text = fs::read_to_string(&table).unwrap();
    let line = text
        .lines()
        .find(|line| line.contains(CANARIES[0]))
        .unwrap()
        .to_owned();
    fs::write(&table, format!("{text}{line}\n")).unwrap();
    said += &spoken(&small, &["check"]);
    said += &spoken(&small, &["run"]);
    let config = fs::read_to_string(folder.join("node.toml")).unwrap();
    let query =
        "SELECT *, CAST(tenure AS DOUBLE) AS t, CAST(customer_id AS INT) AS n FROM customers";
    fs::write(
        folder.join("node.toml"),
        config.replace("SELECT * FROM customers", query),
    )
    .unwrap();
    said += &spoken(&small, &["check"]);
    said += &spoken(&small, &["run"]);
    check_clean("what commands printed", said.as_bytes());
    check_files(small.folder.path());
}

/// All that a command of the first node printed.
fn spoken(small: &Small, arguments: &[&str]) -> String {
    let outcome = small.node(0, arguments);
    outcome.stdout + &outcome.stderr
}

/// Every file but the tables themselves.
fn check_files(folder: &Path) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            check_files(&path);
        } else if path.is_file() && path.extension().is_none_or(|end| end != "csv") {
            check_clean(&path.to_string_lossy(), &fs::read(&path).unwrap());
        }
    }
}

#[track_caller]
fn check_clean(what: &str, bytes: &[u8]) {
    for canary in CANARIES {
        let found = bytes
            .windows(canary.len())
            .position(|window| window.eq_ignore_ascii_case(canary.as_bytes()));
        if let Some(at) = found {
            let around = &bytes[at.saturating_sub(120)..(at + 120).min(bytes.len())];
            panic!(
                "{canary} is in {what}: …{}…",
                String::from_utf8_lossy(around)
            );
        }
    }
}
