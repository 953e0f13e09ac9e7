//! A small deployment: three units of the synthetic company, enough customers and epsilon for a model.

use std::path::Path;
use std::process::Command;

use aquifer_shared::base::units::MicroRho;
use aquifer_tests::cluster::Cluster;
use aquifer_tests::company::Company;
use aquifer_tests::measured::{cap, price};
use aquifer_tests::policy::Policy;
use aquifer_tests::processes::{Outcome, command, run};
use aquifer_tests::study::Study;
use serde_json::Value;
use tempfile::TempDir;

pub const EPSILON: f64 = 8.0;
pub const DELTA: f64 = 1e-6;
/// How long a study may stand still, in milliseconds.
pub const STEP_MS: u64 = 60_000;

/// Fields drop in order: processes end before their folder goes.
pub struct Small {
    pub cluster: Cluster,
    pub company: Company,
    pub folder: TempDir,
}

pub fn company() -> Company {
    let mut company = Company::synthetic(11, 6_000);
    company.keep_units(3);
    company
}

/// The price of one study.
pub fn one_study() -> MicroRho {
    price(EPSILON, DELTA).unwrap()
}

/// Caps that cover one study and its spare attempts.
pub fn policy() -> Policy {
    Policy {
        cap: cap(one_study()),
        ..Policy::default()
    }
}

impl Small {
    /// Three nodes, joined and described, not started.
    pub fn prepared(policy: &Policy) -> Self {
        Self::of(company(), policy)
    }

    pub fn of(company: Company, policy: &Policy) -> Self {
        Self::on(company, policy, &[])
    }

    /// With further arguments for `aquifer-coordinator init`.
    pub fn on(company: Company, policy: &Policy, init: &[&str]) -> Self {
        let folder = tempfile::Builder::new().prefix("aq-").tempdir().unwrap();
        let mut cluster = Cluster::start_with(folder.path(), init).unwrap();
        cluster.add_units(&company, policy).unwrap();
        Self {
            cluster,
            company,
            folder,
        }
    }

    /// Three connected nodes.
    pub fn started(policy: &Policy) -> Self {
        let mut small = Self::prepared(policy);
        small.cluster.start_nodes().unwrap();
        small
    }

    /// The study file, with further lines.
    pub fn study(&self, more: &str) -> String {
        let (name, trust) = ("churn", Some("node-noise"));
        let study = Study {
            name,
            epsilon: EPSILON,
            delta: DELTA,
            trust,
            more,
        };
        study.file(&self.company)
    }

    /// A command of one node to its end.
    pub fn node(&self, index: usize, arguments: &[&str]) -> Outcome {
        node_command(&self.cluster.nodes[index].folder, arguments)
    }

    /// Micro-rho that a node says it has spent.
    pub fn spent(&self, index: usize) -> u64 {
        let printed = self.node(index, &["budget", "--json"]).success().unwrap();
        let budget: Value = serde_json::from_str(&printed).unwrap();
        budget["per_contract"]["spent"]["rho_micro"]
            .as_u64()
            .unwrap()
    }
}

pub fn node_command(folder: &Path, arguments: &[&str]) -> Outcome {
    run(command("aquifer-node", arguments).arg("--dir").arg(folder)).unwrap()
}

/// The command ended with this code and said all of these.
#[track_caller]
pub fn check_says(outcome: &Outcome, code: i32, words: &[&str]) {
    let said = format!("{}{}", outcome.stdout, outcome.stderr);
    assert_eq!(outcome.code, Some(code), "{said}");
    for word in words {
        assert!(said.contains(word), "expected {word:?} in:\n{said}");
    }
}

/// Runs a command that this machine may lack; where it does, the test says so loudly, and fails in CI.
pub fn has_program(name: &str) -> bool {
    let found = Command::new("sh")
        .args(["-c", &format!("command -v {name}")])
        .output();
    let found = found.is_ok_and(|output| output.status.success());
    if !found {
        println!("SKIPPED: {name} is not installed");
        assert!(std::env::var_os("CI").is_none(), "{name} is needed in CI");
    }
    found
}
