//! Makes up eight units' customers, opens a standing study over them, and lets a notebook ask. Stops everything it started.

use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result, ensure};
use aquifer_shared::base::units::MicroRho;
use aquifer_shared::shell::report::{Outcome, finish, note};
use aquifer_tests::cluster::Cluster;
use aquifer_tests::company::Company;
use aquifer_tests::policy::Policy;
use aquifer_tests::processes::free_ports;
use aquifer_tests::standing::{PURPOSE, Standing, publish_accounts};
use aquifer_tests::synthetic::SEED;
use clap::Parser;

const STANDING: Standing<'_> = Standing {
    name: "reports",
    nodes: "\"all\"",
    tables: &["accounts"],
    urho_max: 20_000,
    urho_default: 5_000,
    urho: 200_000,
    cohort_floor: 50,
    plan: ", urho_share = 100000, window = \"month\"",
};

/// Answers a business question privately, over eight made-up units on this machine, with pandas and two plots.
#[derive(Debug, Parser)]
#[command(name = "notebook")]
struct Options {
    /// Python with psycopg, SQLAlchemy, pandas and matplotlib.
    #[arg(long, value_name = "FILE", default_value = "target/tools/bin/python")]
    python: PathBuf,
    /// The notebook.
    #[arg(long, value_name = "FILE", default_value = "scripts/notebook.py")]
    script: PathBuf,
    /// Where its plots go.
    #[arg(long, value_name = "FOLDER", default_value = ".")]
    out: PathBuf,
    /// Customers of all units together.
    #[arg(long, default_value_t = 40_000)]
    customers: usize,
}

fn main() -> ExitCode {
    let options = Options::parse();
    finish(ask(&options).map(|()| Outcome::Done))
}

fn ask(options: &Options) -> Result<()> {
    let mut company = Company::synthetic(SEED, options.customers);
    let mapping = publish_accounts(&mut company)?;
    let folder = tempfile::Builder::new().prefix("aquifer-").tempdir()?;
    let [port] = free_ports::<1>()?;
    let address = format!("127.0.0.1:{port}");
    let mut cluster = Cluster::start_with(folder.path(), &["--listen-sql", &address])?;
    let policy = Policy {
        cap: MicroRho(STANDING.urho),
        purposes: vec![PURPOSE.to_owned()],
        published: mapping,
        ..Policy::default()
    };
    cluster.add_units(&company, &policy)?;
    cluster.start_nodes()?;
    STANDING.open(&cluster, &company)?;
    note(&format!(
        "{} customers at {} units; a standing study is open; ada asks",
        company.customers.len(),
        company.units.len()
    ));
    let ada = cluster.add_person("ada", "analyst")?;
    let password = cluster.coordinator_command(["sql-password", "ada"])?;
    let password = password
        .success()
        .context("aquifer-coordinator sql-password")?;
    let mut python = Command::new(&options.python);
    python.arg(&options.script).arg(&options.out);
    python.stdin(Stdio::null()).envs([
        ("PGHOST", "aquifer"),
        ("PGHOSTADDR", "127.0.0.1"),
        ("PGPORT", &port.to_string()),
        ("PGUSER", "ada"),
        ("PGDATABASE", "aquifer"),
        ("PGPASSWORD", password.trim()),
        ("PGSSLMODE", "verify-full"),
        ("PGOPTIONS", &format!("-c aquifer.purpose={PURPOSE}")),
        ("MPLBACKEND", "Agg"),
    ]);
    python.env("PGSSLROOTCERT", ada.join("ca.pem"));
    let ended = python.status();
    let ended = ended.with_context(|| format!("cannot start {}", options.python.display()))?;
    cluster.stop()?;
    ensure!(ended.success(), "the notebook ended with {ended}");
    Ok(())
}
