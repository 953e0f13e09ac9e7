//! The description against what is served, by a checker that makes up requests of its own, and on answers to requests that are good.

use std::path::{Path, PathBuf};
use std::process::Command;

use aquifer_shared::base::units::MicroRho;
use aquifer_tests::measured::cap;
use aquifer_tests::policy::Policy;
use aquifer_tests::processes::run;
use aquifer_tests::standing::{PURPOSE, publish_customers};
use aquifer_tests::study::state;
use serde_json::Value;

use super::super::fixture::{STEP_MS, Small, check_says, company, one_study};
use super::super::questions::{STANDING, URHO};
use super::client::{Client, Door, free_port};

/// A tool of Python's, as `scripts/setup` puts it there; none where it was not run, which fails in CI.
fn tool(name: &str) -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let tool = root.join("target/tools/bin").join(name);
    if tool.exists() {
        return Some(tool);
    }
    println!("SKIPPED: no {}", tool.display());
    assert!(std::env::var_os("CI").is_none(), "{tool:?} is needed in CI");
    None
}

#[test]
fn what_is_served_is_what_is_described() {
    let Some(schemathesis) = tool("schemathesis") else {
        return;
    };
    // The name is one that every machine resolves.
    let door = Door::opened(&["--server-name", "localhost"]);
    let config = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/deployment/https/schemathesis.toml"
    );
    let header = format!("Authorization: Bearer {}", door.token);
    let place = format!("https://localhost:{}/v1/openapi.json", door.port);
    let mut checks = Command::new(schemathesis);
    checks.args([
        "--config-file",
        config,
        "--no-color",
        "run",
        &place,
        "--checks",
        "all",
    ]);
    checks.args([
        "--header",
        &header,
        "--seed",
        "20261125",
        "--max-time",
        "30",
    ]);
    checks.args([
        "--max-examples",
        "40",
        "--workers",
        // Python 3.11 trips over itself with more.
        "1",
        "--request-timeout",
        // On a machine with much else to do.
        "60",
        "--continue-on-failure",
        "--tls-verify",
    ]);
    checks
        .arg(door.reports.analyst.join("ca.pem"))
        .current_dir(door.reports.small.folder.path());
    let outcome = run(&mut checks).unwrap();
    // All 12 operations but `GET /v1/openapi.json`: a run passes over the place that it has read the description from.
    check_says(&outcome, 0, &["Tested: 11", "Fuzzing", "Stateful"]);
    let spent = door.reports.spent();
    assert!(spent.iter().all(|spent| *spent <= 1_000_000), "{spent:?}");
}

/// A deployment that has an answer to every operation: a released model, a published table and a standing study that is open.
fn furnished(port: u16) -> (Small, Client) {
    let mut company = company();
    publish_customers(&mut company).unwrap();
    let policy = Policy {
        cap: MicroRho(cap(one_study()).0 + STANDING.urho),
        purposes: vec!["churn.train".to_owned(), PURPOSE.to_owned()],
        ..Policy::default()
    };
    let address = format!("127.0.0.1:{port}");
    let init = ["--listen-https", &address, "--server-name", "localhost"];
    let mut small = Small::on(company, &policy, &init);
    small.cluster.start_nodes().unwrap();
    let last = small.cluster.run_study(&small.study(""), STEP_MS).unwrap();
    assert_eq!(state(&last), "published", "{last}");
    STANDING.open(&small.cluster, &small.company).unwrap();
    let ada = small.cluster.add_person("ada", "analyst").unwrap();
    let client = Client::of(port, &ada);
    (small, client)
}

/// Requests that are made up hardly ever get another answer than a refusal from operations that ask or predict: these do.
#[test]
fn what_is_answered_is_what_is_described() {
    let Some(python) = tool("python") else { return };
    let port = free_port();
    let (small, client) = furnished(port);
    let spent = || [0, 1, 2].map(|unit| small.spent(unit));
    let before = spent();
    let mut asks = Command::new(python);
    asks.arg(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/deployment/https/described.py"
    ));
    asks.arg(port.to_string())
        .arg(small.cluster.folder.join("ada/ca.pem"))
        .env("AQUIFER_TOKEN", &client.token)
        .current_dir(small.folder.path());
    let asked = run(&mut asks).unwrap().success().unwrap();
    let asked: Vec<String> = serde_json::from_str(&asked).unwrap();
    let described: Value = serde_json::from_str(DESCRIBED).unwrap();
    for path in described["paths"].as_object().unwrap().keys() {
        let named = asked.iter().any(|one| one.ends_with(&format!(" {path}")));
        assert!(named, "{path} is not among {asked:?}");
    }
    let paid = before.map(|spent| spent + URHO);
    assert_eq!(spent(), paid, "one question was fresh");
}

/// The description, as it is checked in.
const DESCRIBED: &str = include_str!("../../../../docs/openapi.json");
