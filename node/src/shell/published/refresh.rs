//! Reads the published tables again while the node runs: another epoch, whole or not at all.
//!
//! The rules of law are asked each time. Studies go on: what is being added up keeps the tables that it began with. The training table
//! stays as it was read at the start, as all rounds of a study must see the same customers.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use aquifer_shared::base::ids::{Hash32, Name};
use aquifer_shared::base::secret::Secret;
use aquifer_shared::domain::law::change::Accepted;
use aquifer_shared::shell::report::chain;
use serde::{Deserialize, Serialize};

use super::epochs::Epochs;
use super::mapping::epoch;
use super::shelf::{Shelf, Snapshot, epoch_of};
use crate::core::consent::SubjectKey;
use crate::shell::clock::now;
use crate::shell::config::NodeConfig;
use crate::shell::doorman::Doorman;
use crate::shell::governance;
use crate::shell::mapped::read_contract;
use crate::shell::source::DataConfig;
use crate::shell::source_error::SourceError;

/// Starts refreshes, and knows how the last one went.
pub struct Refresher {
    directory: PathBuf,
    node_key: Secret<[u8; 32]>,
    subjects: SubjectKey,
    doorman: Doorman,
    contract: Hash32,
    /// The policy that the node was started with.
    accepted: Accepted,
    shelf: Arc<Shelf>,
    progress: Arc<Mutex<Progress>>,
}

#[derive(Default)]
struct Progress {
    /// Epochs served so far: none of them may come to mean something else.
    served: Vec<Name>,
    reading: Option<Name>,
    failed: Option<Failed>,
}

/// A refresh that failed.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Failed {
    /// The epoch that it was for.
    pub epoch: Name,
    /// Why, without a value of a customer.
    pub problem: String,
}

/// What a node serves to analysts.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct DataView {
    /// The epoch of the tables; none where nothing is published.
    pub epoch: Option<Name>,
    /// The tables.
    pub tables: Vec<String>,
    /// The epoch that is being read.
    pub reading: Option<Name>,
    /// The last refresh, if it failed.
    pub failed: Option<Failed>,
}

/// Reads the tables at the start of a node; where their epoch stands for something else, none, and why. Blocks.
///
/// # Errors
///
/// As [`Snapshot::load`].
pub fn first(
    config: &DataConfig,
    directory: &Path,
    keys: (&[u8; 32], &SubjectKey),
    doorman: &Doorman,
) -> Result<(Option<Snapshot>, Option<Failed>), SourceError> {
    let snapshot = match Snapshot::load(config, directory, keys, doorman) {
        Ok(Some(snapshot)) => snapshot,
        Ok(None) => return Ok((None, None)),
        // The node runs, and says why it serves none.
        Err(SourceError::Shut(shut)) => {
            let (epoch, problem) = (epoch(config)?.clone(), shut.to_string());
            return Ok((None, Some(Failed { epoch, problem })));
        }
        Err(error) => return Err(error),
    };
    let (node_key, _) = keys;
    match Epochs::of(directory).hold(&snapshot, node_key) {
        Ok(()) => Ok((Some(snapshot), None)),
        Err(problem) => {
            let problem = chain(&problem.into());
            let epoch = snapshot.epoch().clone();
            tracing::error!(%epoch, problem, "tables for analysts are not served");
            Ok((None, Some(Failed { epoch, problem })))
        }
    }
}

impl Refresher {
    /// For the node of a directory, which runs under this contract and policy; with what went wrong when tables were read first.
    #[must_use]
    pub fn new(
        directory: &Path,
        (node_key, subjects): (Secret<[u8; 32]>, SubjectKey),
        (contract, accepted, doorman): (Hash32, Accepted, Doorman),
        shelf: Arc<Shelf>,
        failed: Option<Failed>,
    ) -> Self {
        let served = shelf.current().map(|snapshot| snapshot.epoch().clone());
        let progress = Progress {
            served: served.into_iter().collect(),
            failed,
            ..Progress::default()
        };
        Self {
            directory: directory.to_owned(),
            node_key,
            subjects,
            doorman,
            contract,
            accepted,
            shelf,
            progress: Arc::new(Mutex::new(progress)),
        }
    }

    /// Where the newest tables are.
    #[must_use]
    pub fn shelf(&self) -> &Arc<Shelf> {
        &self.shelf
    }

    /// What is served now.
    #[must_use]
    pub fn view(&self) -> DataView {
        let progress = locked(&self.progress);
        let current = self.shelf.current();
        let tables = current.iter().flat_map(|snapshot| snapshot.tables());
        DataView {
            epoch: current.as_ref().map(|snapshot| snapshot.epoch().clone()),
            tables: tables.map(str::to_owned).collect(),
            reading: progress.reading.clone(),
            failed: progress.failed.clone(),
        }
    }

    /// Reads node.toml again and starts to read its tables; [`Refresher::view`] tells how it goes.
    ///
    /// # Errors
    ///
    /// Nothing was started: node.toml is wrong, the contract is another one, or the epoch is not new.
    pub fn start(&self) -> anyhow::Result<()> {
        let config = NodeConfig::load(&self.directory)?;
        let gatekeeper = config.gatekeeper(&self.directory)?;
        // A running node reads no rows either that two officers have not agreed to.
        let policy = (&config, gatekeeper.as_ref());
        governance::still_stands(&self.directory, policy, (&self.accepted, now()))?;
        let config = config.data;
        let contract = read_contract(&self.directory.join(&config.contract))?;
        anyhow::ensure!(
            contract.hash() == self.contract,
            "the contract is not the one that this node runs under: start the node again"
        );
        let epoch = epoch_of(&config, &contract)?;
        let epoch = epoch.ok_or_else(|| anyhow::anyhow!("node.toml maps no table for analysts"))?;
        let mut progress = locked(&self.progress);
        if let Some(reading) = &progress.reading {
            anyhow::bail!("epoch {reading} is being read already");
        }
        anyhow::ensure!(
            !progress.served.contains(epoch),
            "epoch {epoch} was served already and names that state for good: give the new one another name in node.toml"
        );
        self.spawn(config.clone(), epoch.clone())?;
        (progress.reading, progress.failed) = (Some(epoch.clone()), None);
        Ok(())
    }

    fn spawn(&self, config: DataConfig, epoch: Name) -> std::io::Result<()> {
        let (directory, key) = (self.directory.clone(), Secret::new(*self.node_key.expose()));
        let subjects = self.subjects.clone();
        let (shelf, progress) = (self.shelf.clone(), self.progress.clone());
        let (contract, doorman) = (self.contract, self.doorman.clone());
        let thread = thread::Builder::new().name("refresh".to_owned());
        thread.spawn(move || {
            let keys = (key.expose(), &subjects);
            let loaded = read(&config, &directory, keys, (contract, &doorman));
            let mut progress = locked(&progress);
            progress.reading = None;
            match loaded {
                Ok(snapshot) => {
                    tracing::info!(%epoch, "tables for analysts were read again");
                    progress.served.push(epoch);
                    shelf.replace(snapshot);
                }
                Err(error) => progress.failed = failed(epoch, chain(&error)),
            }
        })?;
        Ok(())
    }
}

/// Tables of another epoch, which is noted for good before they are served.
fn read(
    config: &DataConfig,
    directory: &Path,
    keys: (&[u8; 32], &SubjectKey),
    (contract, doorman): (Hash32, &Doorman),
) -> anyhow::Result<Snapshot> {
    let loaded = Snapshot::load(config, directory, keys, doorman)?;
    let same = loaded.filter(|snapshot| snapshot.contract().hash() == contract);
    let snapshot = same.ok_or_else(|| anyhow::anyhow!("the contract changed meanwhile"))?;
    Epochs::of(directory).hold(&snapshot, keys.0)?;
    Ok(snapshot)
}

fn failed(epoch: Name, problem: String) -> Option<Failed> {
    tracing::error!(%epoch, problem, "tables for analysts were not read again; the old ones are served");
    Some(Failed { epoch, problem })
}

fn locked(progress: &Mutex<Progress>) -> MutexGuard<'_, Progress> {
    progress.lock().unwrap_or_else(PoisonError::into_inner)
}
