//! The policy of the unit's files held against what two officers accepted.

use std::path::Path;

use anyhow::Context as _;
use aquifer_shared::base::ids::{Hash32, IdentityKey};
use aquifer_shared::base::time::Timestamp;
use aquifer_shared::domain::law::change::Accepted;
use aquifer_shared::shell::exceptions::{self, Held};
use aquifer_shared::shell::history::{History, HistoryFault};
use aquifer_shared::shell::policy_kept::Known;
use aquifer_shared::shell::policy_record::{self, Policy, Standing, Term};
use aquifer_shared::shell::report::{Outcome, chain, note};

use super::at_rest;
use super::clock::now;
use super::config::{CONFIG_FILE, NodeConfig};
use super::consent::LEDGER_FILE;
use super::history::HISTORY_MARK;
use super::telling::ask_history;
use super::usage::USAGE_FILE;
use super::views::{Answer, Query};
use crate::core::gatekeeper::Gatekeeper;

/// A policy that is in force.
#[derive(Clone, Debug)]
pub struct InForce {
    /// What is kept of it.
    pub accepted: Accepted,
    /// How long.
    pub term: Term,
}

/// Accepts the policy of the files with its exceptions, or says what is missing; the history has both on return. `entries` are those of
/// the ledger.
///
/// # Errors
///
/// `PolicyFault`, or a file or a history that cannot be read or written.
pub async fn hold(
    directory: &Path,
    policy: (&NodeConfig, Option<&Gatekeeper>),
    (site, entries): (&IdentityKey, u64),
    (reason, history, now): (Option<&str>, &History, Timestamp),
) -> anyhow::Result<InForce> {
    let standing = standing(directory, policy, Known::of(history).await?)?;
    let mut accepted = standing.accept(entries > 0, reason, now)?;
    let (_, gatekeeper) = policy;
    // By the officers of the policy that was accepted: who breaks the glass brings none of their own.
    let held = held_exceptions(directory, (site, &accepted.officers), gatekeeper)?;
    accepted.exceptions = exceptions::granted(&held);
    let granted = accepted.exceptions.iter();
    let granted = granted.map(|granted| exceptions::said(granted, book(gatekeeper)));
    standing.settle(&accepted, granted, history).await?;
    let mut term = standing.term(&accepted, now);
    term.charge(history).await?;
    Ok(InForce { accepted, term })
}

/// The policy of the files, if it is in force, for whoever reads them beside a start: what two officers have not signed counts for none,
/// nor does a record that the history does not know. With the moment before which it is not now, whatever a clock says.
///
/// # Errors
///
/// `PolicyFault`, a file that cannot be read, or a node that does not answer.
pub fn stands(
    directory: &Path,
    policy: (&NodeConfig, Option<&Gatekeeper>),
    now: Timestamp,
) -> anyhow::Result<(Accepted, Timestamp)> {
    let (config, _) = policy;
    let known = known(directory, config)?;
    // The ledger is made by the first start; where somebody names another place for it, the history has its entries.
    let has_past = config.ledger_path(directory).exists() || known.latest > Timestamp(0);
    let floor = known.latest;
    let standing = standing(directory, policy, known)?;
    Ok((standing.accept(has_past, None, now)?, floor))
}

/// Whether what the files say now is in force beside a running node: what it accepted at its start. A change of that counts from the next
/// start on, when the history hears of it, whoever signed it; what has become of the record meanwhile changes nothing.
///
/// # Errors
///
/// `PolicyFault`, or signatures that cannot be read.
pub fn still_stands(
    directory: &Path,
    (config, gatekeeper): (&NodeConfig, Option<&Gatekeeper>),
    (accepted, now): (&Accepted, Timestamp),
) -> anyhow::Result<()> {
    let digest = digest(config, gatekeeper)?;
    let standing = Standing::under(&policy(directory, config, digest), accepted);
    Ok(standing.context(CONFIG_FILE)?.same(now)?)
}

/// Prints the digest of the files' policy, and what is accepted.
///
/// # Errors
///
/// A file that cannot be read, or a history that cannot be asked.
pub fn status(directory: &Path, json: bool) -> anyhow::Result<Outcome> {
    let config = NodeConfig::load(directory)?;
    let gatekeeper = config.gatekeeper(directory)?;
    let policy = (&config, gatekeeper.as_ref());
    let known = known(directory, &config).or_else(|fault| by_record(&fault).ok_or(fault))?;
    let standing = standing(directory, policy, known)?;
    let site = at_rest::identity(directory)?.identity().public();
    let own = (&site, standing.signing());
    let held = held_exceptions(directory, own, gatekeeper.as_ref())?;
    standing.print(&site, (&held, now()), json)
}

/// What the history knows, asked of the running node, or of the history where none runs. One that is not there, or knows nothing, beside
/// what only a past leaves was moved away.
fn known(directory: &Path, config: &NodeConfig) -> anyhow::Result<Known> {
    let has_past = has_past(directory, config);
    let known = match ask_history(directory, &Query::Policy)? {
        None => Known::default(),
        Some(Answer::Policy(known)) => known,
        Some(Answer::Refused(why)) => anyhow::bail!("the node's history was not asked: {why}"),
        Some(_) => anyhow::bail!("the running node answered something else"),
    };
    match has_past && known == Known::default() {
        true => Ok(Known::lost()),
        false => Ok(known),
    }
}

/// Whether anything is there that a start leaves. A desk may write consents down before the first one; nobody is scored before it then.
fn has_past(directory: &Path, config: &NodeConfig) -> bool {
    let mark = config.witness_path(directory);
    let elsewhere = [
        config.ledger_path(directory),
        mark.with_file_name(HISTORY_MARK),
    ];
    let own = [policy_record::ACCEPTED_FILE, USAGE_FILE, LEDGER_FILE];
    let own = own.map(|name| directory.join(name));
    elsewhere.iter().chain(&own).any(|path| path.exists())
}

/// Where the history cannot be asked just now, the record alone is shown; not where it is another one than was signed.
fn by_record(fault: &anyhow::Error) -> Option<Known> {
    let refused = fault.downcast_ref().is_some_and(HistoryFault::is_refusal);
    if refused {
        return None;
    }
    let why = chain(fault);
    note(&format!(
        "the history was not asked, so that this is by policy.accepted alone ({why})"
    ));
    Some(Known::default())
}

fn standing(
    directory: &Path,
    (config, gatekeeper): (&NodeConfig, Option<&Gatekeeper>),
    known: Known,
) -> anyhow::Result<Standing> {
    let digest = digest(config, gatekeeper)?;
    Standing::of(&policy(directory, config, digest), known).context(CONFIG_FILE)
}

fn policy<'a>(directory: &'a Path, config: &'a NodeConfig, digest: Hash32) -> Policy<'a> {
    Policy {
        program: "aquifer-node",
        directory,
        digest,
        officers: &config.policy.officers,
    }
}

/// Of what was read: the file is not looked at again.
pub(in crate::shell) fn digest(
    config: &NodeConfig,
    gatekeeper: Option<&Gatekeeper>,
) -> anyhow::Result<Hash32> {
    let digest = config.written.digest(&PLACES, book(gatekeeper));
    digest.context(CONFIG_FILE)
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

#[cfg(test)]
#[path = "governance_tests.rs"]
mod tests;
