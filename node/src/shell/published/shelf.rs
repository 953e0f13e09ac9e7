//! The published tables of one epoch, and the place where questions find the newest.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use aquifer_shared::base::hash::labelled;
use aquifer_shared::base::ids::{Hash32, Name};
use aquifer_shared::domain::contract::Contract;
use aquifer_shared::domain::law::witness::Query;
use aquifer_shared::domain::question::Question;
use aquifer_shared::domain::sum::RoundTerms;

use tokio::sync::watch;

use super::encode::encode;
use super::mapping::{epoch, mappings};
use crate::core::analytics::{ChoiceKey, Inquiry, Misfit, RowTable, scales_within};
use crate::core::cohort::Cohort;
use crate::core::consent::SubjectKey;
use crate::core::intake::{Intake, Wanted};
use crate::shell::doorman::Doorman;
use crate::shell::mapped::read_contract;
use crate::shell::source::DataConfig;
use crate::shell::source_error::SourceError;

/// All published tables of this node as they were read under one epoch.
#[derive(Debug)]
pub struct Snapshot {
    epoch: Name,
    contract: Contract,
    tables: BTreeMap<String, LetIn>,
}

/// A table, and for which purposes it was read.
#[derive(Debug)]
struct LetIn {
    rows: RowTable,
    intake: Intake,
}

/// A question that gets no answer here. Public: does not depend on any row.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum NoAnswer {
    /// node.toml maps no such table.
    #[error("this node does not publish table {0:?}")]
    NotServed(String),
    /// It does not fit contract or terms.
    #[error(transparent)]
    Misfit(#[from] Misfit),
}

impl Snapshot {
    /// Reads every published table that node.toml maps and the rules of law let in; none where it maps none. Blocks.
    ///
    /// # Errors
    ///
    /// The rules let no table in, or whatever is wrong with files, mapping or rows, without a value of a customer.
    ///
    /// # Privacy
    ///
    /// The epoch is a label that people choose: it follows a schedule, never the data.
    pub fn load(
        config: &DataConfig,
        directory: &Path,
        (node_key, subjects): (&[u8; 32], &SubjectKey),
        doorman: &Doorman,
    ) -> Result<Option<Self>, SourceError> {
        let contract = read_contract(&directory.join(&config.contract))?;
        let mappings = mappings(config, &contract)?;
        if mappings.is_empty() {
            return Ok(None);
        }
        let epoch = epoch(config)?.clone();
        let (mut tables, mut shut) = (BTreeMap::new(), None);
        for mapping in mappings {
            let published = mapping.published;
            let intake = match doorman.admit(&Wanted::published(published)) {
                Ok(intake) => intake,
                Err(no) => {
                    shut = shut.or(Some(no));
                    continue;
                }
            };
            let key = ChoiceKey::derive(node_key, subjects, &published.name);
            let rows = encode(config, directory, (&intake, mapping), key)?;
            doorman.registered(&intake, &contract, Some(&epoch));
            tables.insert(published.name.clone(), LetIn { rows, intake });
        }
        if let (true, Some(no)) = (tables.is_empty(), shut) {
            return Err(no.into());
        }
        Ok(Some(Self {
            epoch,
            contract,
            tables,
        }))
    }

    /// The public name of the state that the tables show.
    #[must_use]
    pub fn epoch(&self) -> &Name {
        &self.epoch
    }

    /// The contract under which they were read.
    #[must_use]
    pub fn contract(&self) -> &Contract {
        &self.contract
    }

    /// What the tables hold, under a key of its own: the same rows give the same, in whatever order they were read.
    ///
    /// # Privacy
    ///
    /// Says nothing to who does not hold the node's key; stays at the node.
    #[must_use]
    pub fn digest(&self, node_key: &[u8; 32]) -> Hash32 {
        let key = labelled("aquifer/published-state-key/1", &[node_key]);
        let tables = self.tables.iter();
        tables.fold(Hash32::default(), |before, (name, table)| {
            let own = table.rows.digest(&key.0);
            labelled(
                "aquifer/published-states/1",
                &[&before.0, name.as_bytes(), &own.0],
            )
        })
    }

    /// Names of the tables.
    pub fn tables(&self) -> impl Iterator<Item = &str> {
        self.tables.keys().map(String::as_str)
    }

    /// A table, by its name.
    #[must_use]
    pub fn table(&self, name: &str) -> Option<(&str, &RowTable)> {
        let (name, table) = self.tables.get_key_value(name)?;
        Some((name, &table.rows))
    }

    /// Whether a table was read for a purpose.
    #[must_use]
    pub fn is_for(&self, name: &str, purpose: &str) -> bool {
        let table = self.tables.get(name);
        table.is_some_and(|table| table.intake.is_for(purpose))
    }

    /// What those of this node's customers who are eligible add up to, in the terms of its round, on up to two threads. Blocks.
    ///
    /// # Errors
    ///
    /// The question does not fit contract or terms, or its table is not served here.
    ///
    /// # Privacy
    ///
    /// Exact: it must be charged and noised before it goes anywhere. One customer changes it by a vector of squared length at
    /// most `terms.delta_sq`.
    pub fn answer(
        &self,
        question: &Question,
        cohort: &Cohort<Query>,
        customers_max: u64,
        terms: &RoundTerms,
    ) -> Result<Vec<i64>, NoAnswer> {
        let (published, scales) = scales_within(question, &self.contract, customers_max, terms)?;
        let not_served = || NoAnswer::NotServed(question.table.clone());
        let table = self.tables.get(&question.table).ok_or_else(not_served)?;
        let table = &table.rows;
        let inquiry = Inquiry::new((table, cohort), published, question, &scales);
        let parts = if table.rows() < SIDE_BY_SIDE_ROWS_MIN {
            1
        } else {
            THREADS
        };
        let mut parts = inquiry.parts(parts).into_iter();
        let own = parts.next().unwrap_or(0..0);
        Ok(thread::scope(|scope| {
            let others: Vec<_> = parts
                .map(|part| scope.spawn(|| inquiry.sum(part)))
                .collect();
            let mut sums = inquiry.sum(own);
            for other in others {
                let other = other.join().expect("adding up does not panic");
                sums.iter_mut()
                    .zip(other)
                    .for_each(|(sum, more)| *sum += more);
            }
            sums
        }))
    }
}

/// Where the tables of the newest epoch are; those of an older one live on while somebody holds them.
#[derive(Debug)]
pub struct Shelf {
    current: Mutex<Option<Arc<Snapshot>>>,
    epoch: watch::Sender<Option<Name>>,
}

impl Shelf {
    /// A shelf with these tables, or without any.
    #[must_use]
    pub fn new(snapshot: Option<Snapshot>) -> Self {
        let epoch = snapshot.as_ref().map(|snapshot| snapshot.epoch.clone());
        Self {
            current: Mutex::new(snapshot.map(Arc::new)),
            epoch: watch::Sender::new(epoch),
        }
    }

    /// The epoch of the tables, now and whenever others take their place.
    #[must_use]
    pub fn epochs(&self) -> watch::Receiver<Option<Name>> {
        self.epoch.subscribe()
    }

    /// The newest tables, whole; none where nothing is published.
    #[must_use]
    pub fn current(&self) -> Option<Arc<Snapshot>> {
        let current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        current.clone()
    }

    /// Puts other tables in their place.
    pub fn replace(&self, snapshot: Snapshot) {
        let epoch = snapshot.epoch.clone();
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        *current = Some(Arc::new(snapshot));
        self.epoch.send_replace(Some(epoch));
    }
}

/// Whether a contract publishes anything that node.toml maps.
///
/// # Errors
///
/// As [`mappings`] and [`epoch`].
pub fn epoch_of<'a>(
    config: &'a DataConfig,
    contract: &Contract,
) -> Result<Option<&'a Name>, SourceError> {
    if mappings(config, contract)?.is_empty() {
        return Ok(None);
    }
    epoch(config).map(Some)
}

/// Threads that add up one question.
const THREADS: usize = 2;
/// Fewer rows are not worth another thread.
const SIDE_BY_SIDE_ROWS_MIN: usize = 1 << 16;
