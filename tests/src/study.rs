//! Study files for a company, and what commands print about studies.

use serde_json::Value;

use crate::company::{Company, SPLIT_COLUMN};

/// Name under which the operator's watching command is measured: it is no part of the deployment.
pub const WATCH: &str = "watch";
/// States in which a study stays.
pub const ENDS: [&str; 3] = ["published", "held", "aborted"];

/// Where a study stands, from a line of `study watch --json`.
#[must_use]
pub fn state(status: &Value) -> &str {
    status["status"]["state"]
        .as_str()
        .or_else(|| status["state"].as_str())
        .unwrap_or_default()
}

/// A list that a command printed, bare or under a name.
#[must_use]
pub fn list<'a>(value: &'a Value, name: &str) -> Option<&'a Vec<Value>> {
    value.as_array().or_else(|| value.get(name)?.as_array())
}

/// What a study file says.
#[derive(Clone, Debug)]
pub struct Study<'a> {
    /// Name of study and model.
    pub name: &'a str,
    /// Target.
    pub epsilon: f64,
    /// Delta of the statement.
    pub delta: f64,
    /// Trust mode; the product's own choice where it is none.
    pub trust: Option<&'a str>,
    /// Further lines.
    pub more: &'a str,
}

impl Study<'_> {
    /// The file for a company, held out by column.
    #[must_use]
    pub fn file(&self, company: &Company) -> String {
        let contract = &company.contract;
        let population = (company.customers.len() as u64).next_multiple_of(10_000);
        format!(
            "name = \"{}\"\npurpose = \"churn.train\"\ncontract = {{ name = \"{}\", version = {} }}\nplan = \"additive\"\n\
             epsilon = {:?}\ndelta = {:e}\n{}nodes = \"all\"\ncustomers_max = {}\npopulation = {population}\n\
             holdout = {{ column = \"{SPLIT_COLUMN}\" }}\nexpires_in_hours = 24\n{}\n",
            self.name,
            contract.name,
            contract.version,
            self.epsilon,
            self.delta,
            self.trust
                .map_or(String::new(), |trust| format!("trust = \"{trust}\"\n")),
            company.customers_max(),
            self.more,
        )
    }
}
