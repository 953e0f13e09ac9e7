//! `aquifer-node laws` and `aquifer-node policy`: the packs in force at this unit, and made-up cases under its purposes. Asks nobody.

use std::path::{Path, PathBuf};

use aquifer_shared::base::calendar;
use aquifer_shared::base::time::Timestamp;
use aquifer_shared::shell::law_packs::moment_of;
use aquifer_shared::shell::report::{Outcome, refuse};
use aquifer_shared::shell::{laws_view, policy_view};
use clap::Subcommand;

use super::clock::now;
use super::config::NodeConfig;
use super::governance;

/// Commands about rule packs.
#[derive(Debug, Subcommand)]
pub enum LawsCommand {
    /// List the packs, or every value of one with its reference.
    List {
        /// A pack, to see its values; left out: all packs in short.
        pack: Option<String>,
        /// Print the file of the pack as it is.
        #[arg(long, requires = "pack", conflicts_with = "json")]
        text: bool,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Tell what nobody has reviewed, what has expired and what soon will; exit code 1 if something has expired.
    Status {
        /// A day like 2027-01-31; today (UTC) if left out.
        #[arg(long, value_name = "DATE", value_parser = day)]
        on: Option<i32>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

/// Commands about decisions.
#[derive(Debug, Subcommand)]
pub enum PolicyCommand {
    /// Print the digest of the policy of the files that officers sign, who signed it, and what is accepted.
    Status {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Decide a made-up case under the unit's packs and purposes; exit code 1 if it is denied.
    Check {
        /// The case (TOML); put no customer's facts into it.
        #[arg(long, value_name = "FILE")]
        what_if: PathBuf,
        /// The day, where the case names none; today (UTC) if left out.
        #[arg(long, value_name = "DATE", value_parser = day)]
        on: Option<i32>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

impl LawsCommand {
    /// Whether a program reads the answer.
    #[must_use]
    pub fn json(&self) -> bool {
        match self {
            Self::List { json, .. } | Self::Status { json, .. } => *json,
        }
    }
}

impl PolicyCommand {
    /// Whether a program reads the answer.
    #[must_use]
    pub fn json(&self) -> bool {
        match self {
            Self::Status { json } | Self::Check { json, .. } => *json,
        }
    }
}

/// Carries out a command about rule packs.
///
/// # Errors
///
/// `node.toml` or a folder cannot be read.
pub fn laws(directory: &Path, command: &LawsCommand) -> anyhow::Result<Outcome> {
    let config = NodeConfig::load(directory)?;
    let people = config.people.as_ref();
    let folder = people.and_then(|people| people.packs_folder(directory));
    let folder = folder.as_deref();
    let ended = match command {
        LawsCommand::List { pack, text, json } => {
            laws_view::list(*json, folder, pack.as_deref(), *text)
        }
        LawsCommand::Status { on, json } => laws_view::status(*json, folder, at(*on)),
    };
    laws_view::broken(command.json(), ended)
}

/// Carries out a command about decisions.
///
/// # Errors
///
/// `node.toml`, packs, purposes or the case cannot be read.
pub fn policy(directory: &Path, command: &PolicyCommand) -> anyhow::Result<Outcome> {
    let (what_if, on, json) = match command {
        PolicyCommand::Status { json } => return governance::status(directory, *json),
        PolicyCommand::Check { what_if, on, json } => (what_if, on, json),
    };
    let Some(gatekeeper) = NodeConfig::load(directory)?.gatekeeper(directory)? else {
        let why = "node.toml has no [people]: no purpose is declared, and everything but synthetic studies is denied";
        return refuse(*json, "law", why);
    };
    let ended = policy_view::check(*json, what_if, gatekeeper.book(), at(*on));
    laws_view::broken(*json, ended)
}

fn at(day: Option<i32>) -> Timestamp {
    moment_of(day, now())
}

fn day(text: &str) -> Result<i32, String> {
    let found = calendar::parse(text).filter(|day| *day >= 0);
    found.ok_or_else(|| "expected a date like 2027-01-31, from 1970 on".to_owned())
}
