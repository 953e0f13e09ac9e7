//! `node.toml` of a unit: its data, its limits, whom it trusts.

use std::fs;
use std::path::Path;

use anyhow::Result;
use aquifer_shared::base::units::MicroRho;
use aquifer_shared::domain::law::Basis;

use crate::company::{Company, SPLIT_COLUMN};
use crate::law;

/// What a node's own file says beside its data.
#[derive(Clone, Debug)]
pub struct Policy {
    /// Cap per contract and per year.
    pub cap: MicroRho,
    /// Purposes that are allowed.
    pub purposes: Vec<String>,
    /// `automatic` or `person`.
    pub approval: &'static str,
    /// Whether studies marked synthetic are taken.
    pub allow_synthetic: bool,
    /// Trust modes that are taken.
    pub trust: Vec<&'static str>,
    /// Further lines of `[data.tables]`.
    pub tables: String,
    /// Lines that map published tables.
    pub published: String,
    /// On which basis all purposes rest.
    pub basis: Basis,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            cap: MicroRho(224_249),
            purposes: vec!["churn.train".to_owned()],
            approval: "automatic",
            allow_synthetic: false,
            trust: vec!["node-noise", "shared-noise"],
            tables: String::new(),
            published: String::new(),
            basis: Basis::Contract,
        }
    }
}

impl Policy {
    /// Writes contract and `node.toml` of a node into its directory; the witness goes beside all nodes.
    ///
    /// # Errors
    ///
    /// A file could not be written.
    pub fn write(
        &self,
        deployment: &Path,
        folder: &Path,
        company: &Company,
        approver: &str,
    ) -> Result<()> {
        let name = folder.file_name().unwrap_or_default().to_string_lossy();
        let witness = deployment.join("witness").join(&*name);
        fs::create_dir_all(&witness)?;
        fs::write(folder.join("contract.toml"), company.contract.to_toml())?;
        let purposes: Vec<String> = self
            .purposes
            .iter()
            .map(|purpose| format!("{purpose:?}"))
            .collect();
        let text = format!(
            "[data]\ncontract = \"contract.toml\"\nquery = \"SELECT * FROM customers\"\nbasis = \"made-up or public data\"\n\
             customers_max = {}\nholdout_column = \"{SPLIT_COLUMN}\"\n{epoch}[data.tables]\ncustomers = \"customers.csv\"\n{tables}{published}\
             [ledger]\nwitness = {:?}\n[policy]\nrho_micro_per_contract = {cap}\nrho_micro_per_year = {cap}\n\
             purposes = [{}]\napprovers = [\"{approver}\"]\napproval = \"{}\"\nallow_synthetic = {}\n\
             trust = {:?}\noperator = {name:?}\ncoordinator_operator = \"head-office\"\n{people}",
            company.customers_max(),
            witness.join("ledger.witness"),
            purposes.join(", "),
            self.approval,
            self.allow_synthetic,
            self.trust,
            epoch = match company.contract.published.is_empty() {
                true => "",
                false => "epoch = \"2026-11\"\n",
            },
            tables = self.tables,
            published = match self.published.is_empty() {
                true => String::new(),
                false => format!("[data.published]\n{}\n", self.published),
            },
            cap = self.cap.0,
            people = law::write(folder, &company.contract, &self.purposes, self.basis)?,
        );
        Ok(fs::write(folder.join("node.toml"), text)?)
    }
}
