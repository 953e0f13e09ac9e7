//! A node's folder with a table somewhere, and what `aquifer-node check` says of it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use aquifer_tests::processes::{Outcome, command, run};
use serde_json::Value;
use tempfile::TempDir;

/// What no output may hold.
pub const CANARIES: [&str; 4] = [
    "QXCANARY-ID-4711",
    "qxcanary-value",
    "qxCanary-Pass_word",
    "QXCANARYKEY",
];

pub const CONTRACT: &str = r#"
[contract]
name = "customers"
version = 1
[table.customers]
privacy_unit = "customer_id"
label = { column = "churned", positive = "yes" }
[table.customers.column.tenure]
low = 0
high = 64
[table.customers.column.plan]
levels = ["month", "year"]
"#;

pub struct Unit {
    pub folder: TempDir,
    environment: Vec<(String, String)>,
}

impl Unit {
    /// With these lines below `[data.tables]`.
    pub fn with(tables: &str) -> Self {
        Self::mapped("SELECT * FROM customers", tables)
    }

    pub fn mapped(query: &str, tables: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).unwrap();
        fs::write(folder.path().join("contract.toml"), CONTRACT).unwrap();
        let config = format!(
            "[data]\ncontract = \"contract.toml\"\nquery = \"\"\"{query}\"\"\"\nbasis = \"made-up data\"\n\
             customers_max = 1000000\n[data.tables]\n{tables}\n[ledger]\nwitness = \"w\"\n[policy]\n\
             rho_micro_per_contract = 1\nrho_micro_per_year = 1\npurposes = [\"x\"]\napprovers = []\n"
        );
        fs::write(folder.path().join("node.toml"), config).unwrap();
        Self {
            folder,
            environment: Vec::new(),
        }
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// A file that its owner alone can read.
    pub fn secret(self, name: &str, content: &str) -> Self {
        write_secret(&self.path().join(name), content);
        self
    }

    pub fn environment(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// What the command printed, in which no canary is.
    pub fn check(&self, arguments: &[&str]) -> Outcome {
        let mut check = command("aquifer-node", ["check", "--dir"]);
        check.arg(self.path()).args(arguments);
        check.envs(self.environment.iter().map(|(name, value)| (name, value)));
        check.env("AQUIFER_LOG", "trace").env("RUST_BACKTRACE", "1");
        let outcome = run(&mut check).unwrap();
        let said = format!("{}{}", outcome.stdout, outcome.stderr);
        let lower = said.to_lowercase();
        let canary = CANARIES
            .iter()
            .find(|canary| lower.contains(&canary.to_lowercase()));
        assert_eq!(canary, None, "{said}");
        outcome
    }

    /// The report of a table that is good.
    pub fn report(&self) -> Value {
        serde_json::from_str(&self.check(&["--json"]).success().unwrap()).unwrap()
    }
}

/// Writes a file that its owner alone can read.
pub fn write_secret(path: &Path, content: &str) {
    fs::write(path, content).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

/// Rows of the mapped table, customers with a label, and those with the positive one.
#[track_caller]
pub fn check_counts(unit: &Unit, rows: u64, customers: u64, positive: u64) {
    let report = unit.report();
    let count = |name: &str| report[name].as_u64().unwrap();
    assert_eq!(
        [count("rows"), count("customers"), count("positive")],
        [rows, customers, positive],
        "{report:#}"
    );
}

/// The command refuses with these words, and with no canary.
#[track_caller]
pub fn check_refused(unit: &Unit, words: &[&str]) {
    let outcome = unit.check(&[]);
    let said = format!("{}{}", outcome.stdout, outcome.stderr);
    assert_eq!(outcome.code, Some(2), "{said}");
    for word in words {
        assert!(said.contains(word), "expected {word:?} in:\n{said}");
    }
}
