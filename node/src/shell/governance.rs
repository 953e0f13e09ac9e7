//! The policy of the unit's files held against what two officers accepted.

use std::path::Path;

use anyhow::Context as _;
use aquifer_shared::base::ids::{Hash32, IdentityKey};
use aquifer_shared::base::time::Timestamp;
use aquifer_shared::domain::law::change::Accepted;
use aquifer_shared::shell::documents::read_document;
use aquifer_shared::shell::exceptions::{self, Held};
use aquifer_shared::shell::policy_record::{self, Policy, Standing};
use aquifer_shared::shell::report::Outcome;

use super::at_rest;
use super::clock::now;
use super::config::{CONFIG_FILE, NodeConfig};
use super::history::HISTORY_FOLDER;
use crate::core::chronicle::Keyed;
use crate::core::gatekeeper::Gatekeeper;

/// A policy that is in force.
#[derive(Clone, Debug)]
pub struct InForce {
    /// What is kept of it.
    pub accepted: Accepted,
    /// What the history is told: changes and exceptions from rules, once each.
    pub said: Vec<Keyed>,
}

/// Accepts the policy of the files with its exceptions, or says what is missing. `entries` are those of the ledger.
///
/// # Errors
///
/// `PolicyFault`, or a file that cannot be read or written.
pub fn hold(
    directory: &Path,
    policy: (&NodeConfig, Option<&Gatekeeper>),
    (site, entries): (&IdentityKey, u64),
    (reason, kept, now): (Option<&str>, Option<&str>, Timestamp),
) -> anyhow::Result<InForce> {
    let standing = standing(directory, policy, kept)?;
    let mut accepted = standing.accept(entries > 0, reason, now)?;
    let (_, gatekeeper) = policy;
    // By the officers of the policy that was accepted: who breaks the glass brings none of their own.
    let held = held_exceptions(directory, (site, &accepted.officers), gatekeeper)?;
    accepted.exceptions = exceptions::granted(&held);
    standing.keep(&accepted)?;
    let granted = accepted.exceptions.iter();
    let granted = granted.map(|granted| exceptions::said(granted, book(gatekeeper)));
    let said = standing.said(&accepted).into_iter().chain(granted);
    Ok(InForce {
        said: said.collect(),
        accepted,
    })
}

/// Whether the policy of the files is in force, for whoever reads them beside a start: what two officers have not signed counts for none.
///
/// # Errors
///
/// `PolicyFault`, or a file that cannot be read.
pub fn stands(
    directory: &Path,
    policy: (&NodeConfig, Option<&Gatekeeper>),
    now: Timestamp,
) -> anyhow::Result<()> {
    // A unit with a history has accepted a policy before: who takes the record away does not begin anew.
    let has_past = directory.join(HISTORY_FOLDER).exists();
    standing(directory, policy, None)?.accept(has_past, None, now)?;
    Ok(())
}

/// Prints the digest of the files' policy, and what is accepted.
///
/// # Errors
///
/// A file that cannot be read.
pub fn status(directory: &Path, json: bool) -> anyhow::Result<Outcome> {
    let config = NodeConfig::load(directory)?;
    let gatekeeper = config.gatekeeper(directory)?;
    let standing = standing(directory, (&config, gatekeeper.as_ref()), None)?;
    let site = at_rest::identity(directory)?.identity().public();
    let accepted = policy_record::accepted(directory)?;
    let officers = accepted.map_or(Vec::new(), |own| own.officers);
    let held = held_exceptions(directory, (&site, &officers), gatekeeper.as_ref())?;
    standing.print(&site, (&held, now()), json)
}

fn standing(
    directory: &Path,
    (config, gatekeeper): (&NodeConfig, Option<&Gatekeeper>),
    kept: Option<&str>,
) -> anyhow::Result<Standing> {
    let text = read_document(&directory.join(CONFIG_FILE))?;
    let digest = policy_record::digest(&text, &PLACES, book(gatekeeper));
    let policy = Policy {
        program: "aquifer-node",
        directory,
        digest: digest.context(CONFIG_FILE)?,
        officers: &config.policy.officers,
    };
    Standing::of(&policy, kept).context(CONFIG_FILE)
}

fn held_exceptions(
    directory: &Path,
    own: (&IdentityKey, &[IdentityKey]),
    gatekeeper: Option<&Gatekeeper>,
) -> anyhow::Result<Vec<Held>> {
    let purposes = gatekeeper.map_or(&[][..], |own| own.book().purposes());
    exceptions::all(&directory.join(exceptions::FOLDER), own, purposes)
}

fn book(gatekeeper: Option<&Gatekeeper>) -> Hash32 {
    gatekeeper.map_or(Hash32::default(), |own| own.book().digest())
}

/// What one person may change: where the ledger is, and the name of the state of the tables. Everything else of `[data]` decides which rows
/// are read.
const PLACES: [&str; 2] = ["ledger", "data.epoch"];
