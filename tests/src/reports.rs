//! A deployment that answers analysts: units that publish their customers, standing studies that are open, a door for SQL clients.

use std::net::TcpListener;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use aquifer_shared::base::units::MicroRho;
use aquifer_shared::domain::contract::{Contract, Published};

use crate::cluster::Cluster;
use crate::company::Company;
use crate::policy::Policy;

/// What every unit may spend here: more than any measurement asks for.
const CAP: MicroRho = MicroRho(1_000_000_000);
/// What all questions of a standing study may cost: about as much as one can state.
const ALL: u64 = 10_000_000;

/// The deployment.
pub struct Reports {
    /// Its processes.
    pub cluster: Cluster,
    /// Everybody's customers.
    pub company: Company,
    /// Customers of a unit at most, as declared.
    pub customers_max: u64,
    /// Where SQL clients connect, on loopback.
    pub port: u16,
}

/// A standing study for questions about the customers.
#[derive(Clone, Copy, Debug)]
pub struct Standing<'a> {
    /// Its name, and the purpose that it serves.
    pub purpose: &'a str,
    /// Trust mode.
    pub trust: &'a str,
    /// Price of a question that says nothing of its own.
    pub urho: u64,
}

/// Somebody who may ask.
#[derive(Clone, Debug)]
pub struct Analyst {
    /// The name.
    pub name: String,
    /// For the door.
    pub password: String,
    /// Certificate of the authority that the door shows a certificate of.
    pub authority: PathBuf,
}

/// The company with its customers published as a table for analysts, one row each.
///
/// # Errors
///
/// A contract that cannot be published so.
pub fn published(mut company: Company) -> Result<Company> {
    let most = company.customers_max();
    let text = company.contract.to_toml();
    let head = text.find("[table.").context("a contract has a table")?;
    let end = text[head..].find('\n').context("a table has lines")? + head + 1;
    let text = format!("{}size_band = [1, {most}]\n{}", &text[..end], &text[end..]);
    company.contract = Contract::parse(&text)?;
    Ok(company)
}

impl Reports {
    /// Starts the coordinator and lets the units join; their nodes do not run yet.
    ///
    /// # Errors
    ///
    /// A command failed.
    pub fn prepare(folder: &Path, company: Company, standings: &[Standing<'_>]) -> Result<Self> {
        Self::prepare_under(folder, company, standings, Policy::default())
    }

    /// The same under a policy that names further tables; purposes and caps are those of the standing studies.
    ///
    /// # Errors
    ///
    /// A command failed.
    pub fn prepare_under(
        folder: &Path,
        company: Company,
        standings: &[Standing<'_>],
        policy: Policy,
    ) -> Result<Self> {
        let free = TcpListener::bind(("127.0.0.1", 0))?;
        let port = free.local_addr()?.port();
        drop(free);
        let address = format!("127.0.0.1:{port}");
        let mut cluster = Cluster::start_with(folder, &["--listen-sql", &address])?;
        let purposes = standings.iter().map(|standing| standing.purpose.to_owned());
        let policy = Policy {
            cap: CAP,
            purposes: purposes.collect(),
            ..policy
        };
        cluster.add_units(&company, &policy)?;
        Ok(Self {
            cluster,
            customers_max: company.customers_max(),
            company,
            port,
        })
    }

    /// Starts the nodes and opens the standing studies.
    ///
    /// # Errors
    ///
    /// A command failed.
    pub fn start(&mut self, standings: &[Standing<'_>]) -> Result<()> {
        self.cluster.start_nodes()?;
        self.open(standings)
    }

    /// Opens standing studies with the nodes that there are.
    ///
    /// # Errors
    ///
    /// A command failed.
    pub fn open(&self, standings: &[Standing<'_>]) -> Result<()> {
        for standing in standings {
            let hash = self.cluster.submit(&self.study(standing))?;
            self.cluster.approve(&hash)?;
        }
        Ok(())
    }

    fn study(&self, standing: &Standing<'_>) -> String {
        let contract = &self.company.contract;
        let tables: Vec<&str> = contract
            .published
            .iter()
            .map(|table| table.name.as_str())
            .collect();
        let limit = self.customers_max;
        let population = limit * self.cluster.nodes.len() as u64;
        let delta = (0.1 / population as f64).min(1e-6);
        format!(
            "name = {name:?}\npurpose = {name:?}\ntrust = {trust:?}\ncontract = {{ name = {contract:?}, version = {version} }}\n\
             plan = {{ questions = {{ tables = {tables:?}, urho_max = {most}, urho_default = {urho}, cohort_floor = 1 }} }}\n\
             urho = {all}\ndelta = {delta:e}\nnodes = \"all\"\ncustomers_max = {limit}\npopulation = {population}\nexpires_in_hours = 24\n",
            name = standing.purpose,
            trust = standing.trust,
            contract = contract.name.as_str(),
            version = contract.version,
            most = 10 * standing.urho,
            urho = standing.urho,
            all = ALL,
        )
    }

    /// Lets an analyst join and gives a password for the door.
    ///
    /// # Errors
    ///
    /// A command failed.
    pub fn add_analyst(&self, name: &str) -> Result<Analyst> {
        let folder = self.cluster.add_person(name, "analyst")?;
        let printed = self.cluster.coordinator_command(["sql-password", name])?;
        let password = printed
            .success()
            .context("aquifer-coordinator sql-password")?;
        Ok(Analyst {
            name: name.to_owned(),
            password: password.trim().to_owned(),
            authority: folder.join("ca.pem"),
        })
    }

    /// The table of customers, as analysts see it.
    ///
    /// # Panics
    ///
    /// If the company was not published.
    #[must_use]
    pub fn table(&self) -> &Published {
        let contract = &self.company.contract;
        contract.published(&contract.table).expect("published")
    }
}
