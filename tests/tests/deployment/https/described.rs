//! The description against what is served, by a checker that makes up requests of its own.

use std::path::{Path, PathBuf};
use std::process::Command;

use aquifer_tests::processes::run;

use super::super::fixture::check_says;
use super::client::Door;

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
    check_says(&outcome, 0, &["Tested: 11", "Fuzzing", "Stateful"]);
    let spent = door.reports.spent();
    assert!(spent.iter().all(|spent| *spent <= 1_000_000), "{spent:?}");
}
