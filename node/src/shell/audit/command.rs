//! `aquifer-node audit`: what a unit shows its auditors.

use std::path::{Path, PathBuf};

use aquifer_shared::domain::pack::Quarter;
use aquifer_shared::shell::report::Outcome;
use clap::Subcommand;

use super::books::Before;
use super::pack;
use super::replay::{self, Wanted};

/// What an auditor asks of the unit.
#[derive(Debug, Subcommand)]
pub enum AuditCommand {
    /// Make the audit pack of a quarter from the unit's own history; it is checked before it is written. It holds keyed references and exact
    /// numbers of persons, and stays at the unit.
    #[command(
        after_help = "Example:\n  aquifer-node audit pack --quarter 2026Q4 --out 2026Q4-north --dir north\n\nThe same history gives the same bytes. `aquifer audit verify` and scripts/verify-audit check it, offline, at the unit. The rules in node.toml go into it, and those from before that you name:\n  aquifer-node audit pack --quarter 2026Q4 --purposes purposes-2025.toml --dir north"
    )]
    Pack {
        /// Like 2026Q4.
        #[arg(long, value_name = "QUARTER")]
        quarter: Quarter,
        /// A file of purposes that were in force before those in node.toml; may be given several times.
        #[arg(long, value_name = "FILE")]
        purposes: Vec<PathBuf>,
        /// A folder of rule packs that were in force before; may be given several times.
        #[arg(long, value_name = "DIR")]
        packs: Vec<PathBuf>,
        /// New folder [default: the quarter's name].
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
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
            Self::Pack { json, .. } | Self::ReplayEligibility { json, .. } => *json,
        }
    }
}

/// Carries out a command.
///
/// # Errors
///
/// The history does not verify, a ledger or node.toml cannot be read, or a folder cannot be written.
pub fn run(directory: &Path, command: &AuditCommand) -> anyhow::Result<Outcome> {
    match command {
        AuditCommand::Pack {
            quarter,
            purposes,
            packs,
            out,
            json,
        } => {
            let before = Before { purposes, packs };
            pack::run(directory, (*quarter, before), out.as_deref(), *json)
        }
        AuditCommand::ReplayEligibility { study, entry, json } => {
            let wanted = Wanted {
                study: study.as_deref(),
                entry: *entry,
            };
            replay::run(directory, wanted, *json)
        }
    }
}
