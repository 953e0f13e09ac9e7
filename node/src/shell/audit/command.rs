//! `aquifer-node audit`: what a unit shows its auditors.

use std::path::Path;

use aquifer_shared::shell::report::Outcome;
use clap::Subcommand;

use super::replay::{self, Wanted};

/// What an auditor asks of the unit.
#[derive(Debug, Subcommand)]
pub enum AuditCommand {
    /// Take every cut of the history again from the consent ledger, and compare with who was recorded as eligible; exit code 1 where
    /// that is contradicted. Exact numbers: for the unit's own people and its auditors.
    #[command(
        after_help = "Example:\n  aquifer-node audit replay-eligibility --study 4f1b02 --dir north\n\nWho was erased since gives a range: nobody can tell any more."
    )]
    ReplayEligibility {
        /// Only cuts of this study: its hash, or a start of it.
        #[arg(long, value_name = "STUDY")]
        study: Option<String>,
        /// Only the cut that this entry of the history tells of.
        #[arg(long, value_name = "INDEX")]
        entry: Option<u64>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

impl AuditCommand {
    /// Whether a program reads the answer.
    #[must_use]
    pub fn json(&self) -> bool {
        match self {
            Self::ReplayEligibility { json, .. } => *json,
        }
    }
}

/// Carries out a command.
///
/// # Errors
///
/// The history does not verify, or a ledger or node.toml cannot be read.
pub fn run(directory: &Path, command: &AuditCommand) -> anyhow::Result<Outcome> {
    match command {
        AuditCommand::ReplayEligibility { study, entry, json } => {
            let wanted = Wanted {
                study: study.as_deref(),
                entry: *entry,
            };
            replay::run(directory, wanted, *json)
        }
    }
}
