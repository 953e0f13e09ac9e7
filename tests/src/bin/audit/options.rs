//! What can be asked of the audit.

use aquifer_shared::base::units::{Delta, Epsilon};
use aquifer_shared::domain::predictor::plan::RESIDUAL_ROUNDS;
use aquifer_shared::domain::sum::TrustMode;
use aquifer_tests::audit::{Design, Fault};
use clap::{Parser, ValueEnum};

/// Audits the training path: plants made-up customers by coins, runs a study over them, and guesses the coins from what it
/// releases.
///
/// For each claim one study that costs it. Ends with code 1 if a claim is falsified, or if the guesses are too few for it. A claim
/// that is not falsified may still be wrong: a better attacker, or more canaries, may see more.
#[derive(Debug, Parser)]
#[command(name = "audit-privacy", after_help = EXAMPLES)]
pub struct Options {
    /// Claimed epsilons, with commas between.
    #[arg(
        long,
        value_name = "EPSILONS",
        value_delimiter = ',',
        default_value = "0.5,1,2"
    )]
    pub claims: Vec<f64>,
    /// Delta of the claims.
    #[arg(long, value_name = "DELTA", default_value = "1e-6", value_parser = delta)]
    pub delta: Delta,
    /// Canaries: each is in or out by a fair coin.
    #[arg(long, value_name = "M", default_value_t = 4_000)]
    pub canaries: usize,
    /// Coins that are guessed.
    #[arg(long, value_name = "R", default_value_t = 500)]
    pub guesses: usize,
    /// Columns of the made-up data.
    #[arg(long, value_name = "K", default_value_t = 32)]
    pub features: usize,
    /// Levels of each column.
    #[arg(long, value_name = "L", default_value_t = 128)]
    pub levels: usize,
    /// Ordinary customers; by default so many that levels keep bins of their own under the noise.
    #[arg(long, value_name = "N")]
    pub customers: Option<usize>,
    /// Trust mode.
    #[arg(long, value_name = "MODE", default_value = "node-noise")]
    pub trust: Trust,
    /// Nodes; by default 2, or 4 in shared-noise.
    #[arg(long, value_name = "N")]
    pub nodes: Option<usize>,
    /// Residual sums after the counting sum.
    #[arg(long, value_name = "T", default_value_t = RESIDUAL_ROUNDS)]
    pub rounds: u16,
    /// Fixes customers and coins; noise cannot be fixed.
    #[arg(long, value_name = "SEED", default_value_t = 1)]
    pub seed: u64,
    /// Builds in a fault, to see it caught: quarter, tenth, no-clipping, shared-nodes or shared-cells.
    #[arg(long, value_name = "FAULT")]
    pub fault: Option<Fault>,
    /// Prints JSON, one record for each claim.
    #[arg(long)]
    pub json: bool,
}

/// See [`TrustMode`].
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum Trust {
    /// Each update is private on its own.
    NodeNoise,
    /// Only the sum over the nodes can be opened; as many are missing and collude as is tolerated.
    SharedNoise,
}

impl Options {
    /// Shape and size of the audit.
    pub fn design(&self) -> Design {
        let (trust, nodes) = match self.trust {
            Trust::NodeNoise => (TrustMode::NodeNoise, 2),
            Trust::SharedNoise => (TrustMode::SharedNoise, 4),
        };
        Design {
            features: self.features,
            levels: self.levels,
            customers: self.customers,
            canaries: self.canaries,
            guesses: self.guesses,
            trust,
            nodes: self.nodes.unwrap_or(nodes),
            residual_rounds: self.rounds,
            delta: self.delta,
        }
    }

    /// The claims.
    ///
    /// # Errors
    ///
    /// What is no epsilon, and what is expected.
    pub fn claims(&self) -> Result<Vec<Epsilon>, String> {
        let claims = self.claims.iter();
        let claims =
            claims.map(|claim| Epsilon::try_from(*claim).map_err(|error| error.to_string()));
        claims.collect()
    }
}

fn delta(text: &str) -> Result<Delta, String> {
    let number: f64 = text.parse().map_err(|_| format!("{text:?} is no number"))?;
    Delta::try_from(number).map_err(|error| error.to_string())
}

const EXAMPLES: &str = "Examples:
  scripts/audit-privacy
  scripts/audit-privacy --claims 1 --trust shared-noise --nodes 8
  scripts/audit-privacy --claims 4 --canaries 8000 --guesses 1000 --levels 256
  scripts/audit-privacy --claims 1 --fault quarter
  scripts/audit-privacy --json";
