//! What is asked for is what is paid: prices that a statement or a session names, to the micro-rho, through a real client; and what is
//! only described, prepared or priced costs nothing.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use aquifer_shared::base::units::MicroRho;
use aquifer_tests::processes::{run, wait_for};
use aquifer_tests::standing::Standing;
use serde_json::{Value, json};

use super::drivers::python;
use super::evasions::following;
use super::fixture::{STEP_MS, check_says, has_program};
use super::psql::{Door, PURPOSE};
use super::questions::{BY_CONTRACT, Reports, STANDING, Shape, URHO, listed};

fn priced(options: &str, age: u32) -> String {
    format!(
        "SELECT WITH DIFFERENTIAL_PRIVACY OPTIONS ({options}) COUNT(*) AS n FROM customers WHERE age >= {age}"
    )
}

/// Largest price within epsilon 0.9 at delta 1e-6: a golden value is that 20,000 micro-rho are epsilon 0.899935, and 1 more adds
/// about 0.000024.
const WITHIN_EPSILON: std::ops::RangeInclusive<u64> = 20_001..=20_004;

#[test]
fn options_of_a_statement_are_its_price() {
    let Some(door) = Door::open() else { return };
    let rho = door.asks(&[PURPOSE, &priced("rho = 0.03", 30)]);
    check_says(&rho, 0, &["rho 0.03 charged", "fresh", "n|n_low|n_high"]);
    assert_eq!(door.reports.spent(), [30_000; 4]);
    let epsilon = door.asks(&[PURPOSE, &priced("epsilon = 0.9, delta = 1e-6", 31)]);
    check_says(&epsilon, 0, &["fresh", "n|n_low|n_high"]);
    let paid: Vec<u64> = door
        .reports
        .spent()
        .iter()
        .map(|all| all - 30_000)
        .collect();
    assert!(WITHIN_EPSILON.contains(&paid[0]), "{paid:?}");
    assert_eq!(paid, [paid[0]; 4]);
    // As much as fits, and no more; told as it is charged.
    let told = format!(
        "SELECT epsilon <= 0.9 AND epsilon > 0.8998 AS within, urho FROM aquifer.releases WHERE urho = {}",
        paid[0]
    );
    check_says(
        &door.asks(&[&told]),
        0,
        &[&format!("\nt|{}\n(1 row)", paid[0])],
    );
    let named = format!("rho {} charged", MicroRho(paid[0]).as_rho());
    check_says(&epsilon, 0, &[&named]);
}

#[test]
fn a_part_of_a_share_is_a_part_of_what_is_left_of_it() {
    let shape = Shape {
        plan: ", urho_share = 80000, window = \"month\"",
        ..Shape::default()
    };
    let Some(door) = Door::shaped(shape) else {
        return;
    };
    let asks = |share: &str, age: u32, charged: &str| {
        let set = format!("SET aquifer.rho_share = {share}");
        let sql = format!("SELECT COUNT(*) AS n FROM customers WHERE age >= {age}");
        let outcome = door.asks(&[PURPOSE, &set, &sql]);
        check_says(&outcome, 0, &[&format!("rho {charged} charged"), "fresh"]);
    };
    // 0.375 of 80,000 with the repeated attempt, then a quarter of the 65,000 that are left.
    asks("0.375", 30, "0.015");
    assert_eq!(door.reports.spent(), [15_000; 4]);
    asks("0.25", 31, "0.008125");
    assert_eq!(door.reports.spent(), [23_125; 4]);
}

#[test]
fn the_first_answer_of_a_new_week_tells_what_was_paid_before_it() {
    if !has_program("faketime") {
        return;
    }
    let mut reports = Reports::open(4, 1_000_000);
    let clock = reports.small.folder.path().join("clock");
    fs::write(&clock, "+0\n").unwrap();
    let cluster = &mut reports.small.cluster;
    cluster.coordinator().stop().unwrap();
    cluster.start_coordinator_with(following(&clock)).unwrap();
    cluster.wait_connected().unwrap();
    let weekly = Standing {
        name: "weekly",
        plan: ", urho_share = 200000, window = \"week\"",
        ..STANDING
    };
    let file = weekly.file(&reports.small.company);
    let file = file.replace("expires_in_hours = 24", "expires_in_hours = 240");
    let hash = cluster.submit(&file).unwrap();
    cluster.approve(&hash).unwrap();
    let asks = |reports: &Reports, age: u32| {
        let sql = format!("SELECT COUNT(*) AS n FROM customers WHERE age >= {age}");
        let answer = reports.answer(&["--standing", "weekly"], &sql);
        assert_eq!(answer["release"]["cached"], false, "{answer}");
        answer["notices"].to_string()
    };
    for age in [30, 31] {
        let said = asks(&reports, age);
        assert!(!said.contains("has opened"), "{said}");
    }
    fs::write(&clock, "+7d\n").unwrap();
    wait_for("the week to be over", STEP_MS, || {
        let shares = listed(&reports, &["budget"]);
        let shares = shares["rows"].as_array().unwrap().iter();
        let mut weekly = shares.filter(|share| share["window"] == "week");
        Ok((weekly.next().unwrap()["used_urho"] == 0).then_some(()))
    })
    .unwrap();
    let first = asks(&reports, 32);
    for words in [
        "a new week has opened for your share; it restores no privacy",
        "after answers of rho 0.04 in all before it",
    ] {
        assert!(first.contains(words), "{words} in {first}");
    }
    let second = asks(&reports, 33);
    assert!(!second.contains("has opened"), "{second}");
    assert_eq!(
        reports.spent(),
        [4 * URHO; 4],
        "every unit counts all weeks"
    );
}

/// All bytes of the units' ledgers.
fn ledgers(reports: &Reports) -> Vec<Vec<u8>> {
    let units = reports.small.cluster.nodes.iter();
    let ledger = units.map(|unit| {
        let files = fs::read_dir(&unit.folder).unwrap();
        let files = files.map(|file| file.unwrap().path());
        let of_ledger =
            |path: &PathBuf| path.is_file() && path.to_string_lossy().contains("ledger");
        let mut files: Vec<_> = files.filter(of_ledger).collect();
        files.sort();
        files
            .iter()
            .flat_map(|file| fs::read(file).unwrap())
            .collect()
    });
    ledger.collect()
}

/// Columns and parameters of a question that a driver prepares, and never executes.
fn prepared(door: &Door, python: PathBuf) -> Value {
    let mut script = Command::new(python);
    script.args(["-c", include_str!("prepare_client.py")]);
    script.args([&door.port.to_string(), "ada"]);
    script
        .arg(door.reports.analyst.join("ca.pem"))
        .env("PGPASSWORD", &door.password);
    let printed = run(&mut script).unwrap().success().unwrap();
    serde_json::from_str(&printed).unwrap()
}

#[test]
fn describing_and_pricing_leave_every_ledger_as_it_is() {
    let (Some(door), Some(python)) = (Door::open(), python()) else {
        return;
    };
    let before = ledgers(&door.reports);
    assert!(before.iter().all(|ledger| !ledger.is_empty()));
    let file = format!(
        "{PURPOSE};\nEXPLAIN {BY_CONTRACT};\nEXPLAIN (FORMAT JSON) {BY_CONTRACT};\n{BY_CONTRACT} \\gdesc\n\
         SELECT COUNT(*) AS n FROM customers LIMIT 0;\n\\dt\n"
    );
    let outcome = door.asks_file(&file);
    let words = [
        "price|rho 0.02 (20000 micro-rho), epsilon 0.9\n",
        "\"rho_micro\":20000",
        "Column|Type\ncontract|text\nn|bigint\nn_low|bigint\nn_high|bigint\nsuppressed|boolean\n",
        "n|n_low|n_high|suppressed\n(0 rows)\n",
        "public|customers|table|aquifer\n",
    ];
    check_says(&outcome, 0, &words);
    assert!(!outcome.stderr.contains("NOTICE"), "{}", outcome.stderr);
    let by_name = door.asks_file(&format!("{PURPOSE};\nPREPARE mine AS {BY_CONTRACT};\n"));
    check_says(&by_name, 3, &["0A000"]);
    let expected = json!({
        "columns": ["contract", "n", "n_low", "n_high", "suppressed"],
        "bound": ["float8"],
    });
    assert_eq!(prepared(&door, python), expected);
    let none = door.reports.ask(["explain", BY_CONTRACT, "--json"]);
    check_says(&none, 0, &["20000 micro-rho"]);
    assert_eq!(ledgers(&door.reports), before);
    assert_eq!(door.reports.spent(), [0; 4]);
}
