//! The unit's data, attached to a node: who adds it up, under which rules, and what serves analysts.
//!
//! The policy first, then leave to read, then the rows.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use aquifer_shared::base::ids::{IdentityKey, Name};
use aquifer_shared::base::secret::Secret;
use aquifer_shared::base::time::Timestamp;
use aquifer_shared::shell::history::History;
use aquifer_shared::shell::noise::OpenDpNoise;
use aquifer_shared::shell::policy_record::Term;
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, watch};

use super::clock::now;
use super::cohorts::Cohorts;
use super::config::NodeConfig;
use super::consent;
use super::declarations::declared;
use super::doorman::Doorman;
use super::glass::{Glass, Lock};
use super::governance::{self, InForce};
use super::holdout_key;
use super::published::{Refresher, Shelf, first};
use super::subject_key;
use super::usage::Usage;
use super::worker::Workers;
use crate::core::gatekeeper::Gatekeeper;
use crate::core::holdout::split_of;
use crate::core::ledger::Ledger;
use crate::core::participant::Event;
use crate::core::policy::Rules;

/// The unit's data.
pub(super) struct Data {
    pub(super) rules: Rules,
    pub(super) workers: Workers,
    pub(super) refresher: Refresher,
    pub(super) epochs: watch::Receiver<Option<Name>>,
    pub(super) results: mpsc::Receiver<Event>,
    /// How long the policy is in force.
    pub(super) term: Term,
}

impl Data {
    /// Reads everything that the rules let in, under the policy that two officers accepted.
    pub(super) fn attach(
        directory: &Path,
        (config, own): (&NodeConfig, IdentityKey),
        ledger: &Ledger,
        (history, runtime): (&History, &Runtime),
        (glass, usage): (&Glass, Usage),
    ) -> anyhow::Result<Self> {
        let site = (&own, ledger.durable().seq);
        let key = holdout_key::load(directory, site.1)?;
        let split = split_of(key.expose());
        let floor = ledger.present(Timestamp(0));
        let found = (glass.reason(Lock::Policy), now().max(floor));
        let (gatekeeper, held) = in_force(directory, (config, site), (history, runtime), found)?;
        let time = (now as fn() -> Timestamp, floor);
        let doorman = Doorman::of_node(gatekeeper.clone(), history, time);
        let (contract, table, intake) = doorman.training(&config.data, directory)?;
        let subjects = subject_key::load(directory)?;
        let keys = (key.expose(), &subjects);
        let (published, failed) = first(&config.data, directory, keys, &doorman)?;
        tracing::info!(
            contract = %contract.name,
            version = contract.version,
            epoch = published.as_ref().map(|published| published.epoch().as_str()),
            "data attached"
        );
        let shelf = Arc::new(Shelf::new(published));
        let epochs = shelf.epochs();
        let epoch = epochs.borrow().clone();
        let node_key = Secret::new(*key.expose());
        let refresher = Refresher::new(
            directory,
            (node_key, subjects.clone()),
            (contract.hash(), held.accepted, doorman),
            shelf.clone(),
            failed,
        );
        let (results, results_heard) = mpsc::channel(RESULTS_MAX);
        // Held against the history once more: what is read from here on is what is open now.
        let known = runtime.block_on(consent::entering::known(history))?;
        let consents = consent::attach(directory, known)?;
        let told = history.clone();
        let read = (&table, intake);
        let cohorts = Cohorts::new(gatekeeper.clone(), &subjects, read, consents, now)
            .not_before(floor)
            .telling(Box::new(move |event| told.tell(None, event)))
            .noting(usage);
        let workers = Workers::start((table, cohorts), shelf, key, OpenDpNoise, results);
        let workers = workers.context("no thread")?;
        let rules = config.rules(&contract, own, split, epoch, gatekeeper);
        Ok(Self {
            rules,
            workers,
            refresher,
            epochs,
            results: results_heard,
            term: held.term,
        })
    }
}

/// The rules of the policy in force, with its exceptions; the history is told of both, and of what is declared where that changed.
fn in_force(
    directory: &Path,
    (config, site): (&NodeConfig, (&IdentityKey, u64)),
    (history, runtime): (&History, &Runtime),
    (break_glass, now): (Option<&str>, Timestamp),
) -> anyhow::Result<(Option<Gatekeeper>, InForce)> {
    let gatekeeper = config.gatekeeper(directory)?;
    let policy = (config, gatekeeper.as_ref());
    let found = (break_glass, history, now);
    let held = runtime.block_on(governance::hold(directory, policy, site, found))?;
    if gatekeeper.is_none() {
        tracing::warn!(
            "node.toml has no [people]: nothing is declared of customers, so no table is read and only synthetic studies are taken"
        );
    }
    // Before any table is read: what is declared later is processing that was not.
    let declared = declared(config.facts.as_ref(), gatekeeper.as_ref(), now)?;
    runtime.block_on(history.declare(declared))?;
    let exceptions = held.accepted.exceptions.clone();
    Ok((gatekeeper.map(|own| own.excepting(exceptions)), held))
}

/// Sums that may wait for the loop.
const RESULTS_MAX: usize = 256;
