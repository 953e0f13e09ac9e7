//! What can be asked of the demonstration.

use std::path::PathBuf;

use aquifer_shared::base::units::{Delta, Epsilon};
use clap::Parser;

/// Trains eight units' customers together on this machine, privately, and shows what it is worth.
#[derive(Debug, Parser)]
#[command(name = "demo", after_help = EXAMPLES)]
pub struct Options {
    /// Reads PATH/NAME.csv and PATH/NAME.schema.json instead of making up a company.
    #[arg(long, value_name = "PATH/NAME")]
    pub dataset: Option<PathBuf>,
    /// Column of the data set that says which unit a customer belongs to.
    #[arg(long, value_name = "COLUMN", default_value = "unit_iid")]
    pub split: String,
    /// Privacy target of the study.
    #[arg(long, default_value_t = 1.0)]
    pub epsilon: f64,
    /// Delta of the target.
    #[arg(long, default_value_t = 1e-6)]
    pub delta: f64,
    /// Trust mode, node-noise or shared-noise [default: what the product chooses for so many units].
    #[arg(long, value_name = "MODE")]
    pub trust: Option<String>,
    /// Seed of the made-up company.
    #[arg(long, value_name = "SEED", default_value_t = aquifer_tests::synthetic::SEED)]
    pub seed_data: u64,
    /// Leaves everything running and says how to reach it.
    #[arg(long)]
    pub keep: bool,
    /// Writes the figures to a file as JSON.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

impl Options {
    /// What the rules say no to, before anything starts.
    pub fn check(&self) -> Result<(), String> {
        let unknown = self
            .trust
            .as_deref()
            .filter(|mode| !["node-noise", "shared-noise"].contains(mode));
        if let Some(mode) = unknown {
            return Err(format!(
                "trust mode is {mode:?}, expected node-noise or shared-noise"
            ));
        }
        Epsilon::try_from(self.epsilon).map_err(|error| error.to_string())?;
        Delta::try_from(self.delta).map_err(|error| error.to_string())?;
        Ok(())
    }
}

const EXAMPLES: &str = "Examples:
  scripts/demo
  scripts/demo --epsilon 4
  scripts/demo --trust node-noise
  scripts/demo --dataset ../shared/data/adult --split unit_region --json adult.json";
