//! A standing study over published tables and the analysts who ask under it: what notebook, tests and figures have in common.

use std::fmt::Write as _;

use anyhow::{Context, Result};
use aquifer_shared::domain::contract::Contract;

use crate::cluster::Cluster;
use crate::company::Company;

/// Why analysts ask.
pub const PURPOSE: &str = "reporting";

/// A standing study.
#[derive(Clone, Copy, Debug)]
pub struct Standing<'a> {
    /// Its name.
    pub name: &'a str,
    /// Members as the file writes them: `"all"`, or a list of names.
    pub nodes: &'a str,
    /// Tables that may be asked about.
    pub tables: &'a [&'a str],
    /// Most that one question may cost, in micro-rho.
    pub urho_max: u64,
    /// What a question costs that says nothing of it.
    pub urho_default: u64,
    /// All questions together.
    pub urho: u64,
    /// Noisy counts below it are not shown.
    pub cohort_floor: u32,
    /// Further entries of the plan.
    pub plan: &'a str,
}

impl Standing<'_> {
    /// The study file for a company.
    #[must_use]
    pub fn file(&self, company: &Company) -> String {
        let contract = &company.contract;
        format!(
            "name = {:?}\npurpose = \"{PURPOSE}\"\ncontract = {{ name = \"{}\", version = {} }}\n\
             plan = {{ questions = {{ tables = {:?}, urho_max = {}, urho_default = {}, cohort_floor = {}{} }} }}\n\
             urho = {}\ndelta = 1e-6\nnodes = {}\ncustomers_max = {}\npopulation = {}\nexpires_in_hours = 24\n",
            self.name,
            contract.name,
            contract.version,
            self.tables,
            self.urho_max,
            self.urho_default,
            self.cohort_floor,
            self.plan,
            self.urho,
            self.nodes,
            company.customers_max(),
            (company.customers.len() as u64).next_multiple_of(10_000),
        )
    }

    /// Submits and approves it.
    ///
    /// # Errors
    ///
    /// A command that failed: which, and what it printed.
    pub fn open(&self, cluster: &Cluster, company: &Company) -> Result<()> {
        let hash = cluster.submit(&self.file(company))?;
        cluster.approve(&hash)
    }
}

/// Publishes the training table as it is.
///
/// # Errors
///
/// A contract that has no table of customers.
pub fn publish_customers(company: &mut Company) -> Result<()> {
    let limit = company.customers_max();
    let text = company.contract.to_toml();
    let published = format!("[table.customers]\nsize_band = [1, {limit}]\n");
    let text = text.replace("[table.customers]\n", &published);
    company.contract = Contract::parse(&text).context("the published table of customers")?;
    Ok(())
}

/// Publishes a table `accounts` of the synthetic company: some features, and whether the customer has left. The query that maps it.
///
/// # Errors
///
/// Another company, which has no such columns.
pub fn publish_accounts(company: &mut Company) -> Result<String> {
    let mut text = company.contract.to_toml();
    let limit = company.customers_max();
    write!(
        text,
        "\n[table.accounts]\nprivacy_unit = \"customer_id\"\nrows_per_group_max = 1\ngroups_per_unit_max = 1\n\
         size_band = [1, {limit}]\ndescription = \"one row for each customer\"\n\
         [table.accounts.column.contract]\nlevels = [\"month\", \"one year\", \"two years\"]\nunknown = \"other\"\n\
         [table.accounts.column.churned]\nlevels = [\"no\", \"yes\"]\nunknown = \"other\"\n\
         [table.accounts.column.tenure]\nlow = 0\nhigh = 120\nstep = 1\nunit = \"months\"\n\
         [table.accounts.column.monthly_charge]\nlow = 0\nhigh = 150\nstep = 0.01\nunit = \"euro\"\n\
         [table.accounts.column.support_calls]\nlow = 0\nhigh = 20\nstep = 1\nunit = \"calls in 90 days\"\n"
    )?;
    company.contract = Contract::parse(&text).context("the published table of accounts")?;
    let columns = "customer_id, contract, churned, tenure, monthly_charge, support_calls";
    Ok(format!("accounts = \"SELECT {columns} FROM customers\""))
}
