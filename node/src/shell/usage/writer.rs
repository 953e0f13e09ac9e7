//! The thread that writes the usage ledger, beside the one that computes: it is told of cuts and entries, and nobody waits for it.
//!
//! A cut is told before its sum is known to anybody, an entry once it is durable. A charge without a cut is noted as such, and counts
//! for everybody where the cut does not come before the process ends.

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use aquifer_shared::base::ids::{AttemptId, StudyHash};
use aquifer_shared::domain::sum::Part;
use aquifer_shared::protocol::chain::Head;
use sqlx::Connection as _;
use sqlx::sqlite::SqliteConnection;

use super::entries;
use super::ledger::{UsageFault, UsageLedger, fault};
use super::persons::Persons;
use crate::core::consent::SubjectRef;
use crate::core::ledger::{ENTRY_BYTES_MAX, Entry, Ledger};
use crate::core::rights::{Change, Ordinals, change_of};
use crate::core::table::Bits;

/// What the thread is told.
///
/// # Privacy
///
/// Says who is in a table and in a sum: it has no `Debug`, and stays in the process.
pub enum News {
    /// The persons of a table, by place, under a number of this process.
    Table(u64, Vec<SubjectRef>),
    /// Who may be in the sum of an attempt, by place in a table.
    Cut {
        /// The attempt.
        attempt: AttemptId,
        /// The table.
        table: u64,
        /// Who.
        eligible: Arc<Bits>,
    },
    /// Durable entries of the budget ledger, in order.
    Entries(Vec<Vec<u8>>),
    /// The last of all.
    Stop,
}

/// Where the thread is told. What does not fit into its queue is counted again at the next start, at its worst.
#[derive(Clone)]
pub struct Usage(SyncSender<News>);

impl Usage {
    /// Tells, without waiting.
    pub fn tell(&self, news: News) {
        if self.0.try_send(news).is_err() {
            tracing::warn!("the usage ledger does not keep up: everybody counts as eligible");
        }
    }
}

/// The thread.
pub struct UsageThread {
    usage: Usage,
    thread: JoinHandle<()>,
}

impl UsageThread {
    /// Where it is told.
    #[must_use]
    pub fn usage(&self) -> Usage {
        self.usage.clone()
    }

    /// Waits until everything is written that it was told so far.
    pub fn finish(self) {
        let _ = self.usage.0.send(News::Stop);
        let _ = self.thread.join();
    }
}

/// Opens the usage ledger, counts what the budget ledger has more, and starts the thread; `links` gives durable entries after a number.
///
/// # Errors
///
/// One of the ledgers cannot be read, or this one not be written.
pub fn start(
    directory: &Path,
    ledger: &Ledger,
    links: impl FnOnce(u64) -> anyhow::Result<Vec<Vec<u8>>>,
) -> anyhow::Result<UsageThread> {
    let mut writer = Writer::open(directory, ledger)?;
    writer.count(&links(writer.counted())?)?;
    writer.go_live();
    let (sender, told) = sync_channel(QUEUE_MAX);
    let thread = std::thread::Builder::new().name("usage".into());
    let thread = thread.spawn(move || writer.write_all(&told))?;
    let usage = Usage(sender);
    Ok(UsageThread { usage, thread })
}

/// What the thread knows.
pub(super) struct Writer {
    ledger: UsageLedger,
    head: Head,
    state: State,
    /// Cuts of this process may still come.
    live: bool,
}

#[derive(Default)]
struct State {
    tables: BTreeMap<u64, Persons>,
    /// Cuts of attempts that were not charged yet.
    cuts: BTreeMap<AttemptId, Cut>,
    order: VecDeque<AttemptId>,
    runs: BTreeMap<StudyHash, Held>,
}

#[derive(Clone)]
struct Cut {
    table: u64,
    eligible: Arc<Bits>,
}

/// Who was ever eligible for a run, and the cut that was added last.
#[derive(Default)]
struct Held {
    all: Ordinals,
    last: Option<Cut>,
}

impl Writer {
    pub(super) fn open(directory: &Path, budget: &Ledger) -> Result<Self, UsageFault> {
        let mut ledger = UsageLedger::open_for_node(directory)?;
        let found = ledger.position()?;
        let follows = budget.contains(found);
        let (path, connection) = (&ledger.path, &mut ledger.connection);
        let begun = ledger.runtime.block_on(async {
            let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
            match follows {
                true => entries::give_up_cuts(&mut transaction).await?,
                false => entries::start_again(&mut transaction).await?,
            }
            transaction.commit().await
        });
        begun.map_err(|source| fault(path, "write", source))?;
        Ok(Self {
            ledger,
            head: if follows { found } else { Head::default() },
            state: State::default(),
            live: false,
        })
    }

    /// From now on cuts may come.
    pub(super) fn go_live(&mut self) {
        self.live = true;
    }

    /// Entries of the budget ledger that are counted.
    pub(super) fn counted(&self) -> u64 {
        self.head.seq
    }

    fn write_all(mut self, told: &Receiver<News>) {
        let mut broken = false;
        while let Ok(news) = told.recv() {
            if matches!(news, News::Stop) {
                return;
            }
            if broken {
                continue;
            }
            if let Err(error) = self.take(news) {
                // What is counted is right as far as it goes; the next start counts the rest.
                let error = anyhow::Error::from(error);
                tracing::error!(
                    error = format!("{error:#}"),
                    "the usage ledger is not written any more; start the node again"
                );
                broken = true;
            }
        }
    }

    pub(super) fn take(&mut self, news: News) -> Result<(), UsageFault> {
        match news {
            News::Table(number, subjects) => {
                self.state.tables.insert(number, Persons::new(subjects));
                while self.state.tables.len() > TABLES_MAX {
                    // The training table has the first number, and stays.
                    let oldest = self.state.tables.keys().nth(1).copied();
                    self.state.tables.remove(&oldest.unwrap_or_default());
                }
                Ok(())
            }
            News::Cut {
                attempt,
                table,
                eligible,
            } => self.cut(attempt, Cut { table, eligible }),
            News::Entries(links) => self.count(&links),
            News::Stop => Ok(()),
        }
    }

    fn cut(&mut self, attempt: AttemptId, cut: Cut) -> Result<(), UsageFault> {
        let (connection, state) = (&mut self.ledger.connection, &mut self.state);
        let charged = self.ledger.runtime.block_on(async {
            let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
            let run = entries::settle(&mut transaction, &attempt).await?;
            if let Some(run) = run {
                state.add(&mut transaction, run, cut.clone()).await?;
            }
            transaction.commit().await?;
            Ok(run.is_some())
        });
        let charged = charged.map_err(|source| fault(&self.ledger.path, "write", source))?;
        if !charged {
            self.state.keep(attempt, cut);
        }
        Ok(())
    }

    /// Counts entries of the budget ledger, in one transaction.
    pub(super) fn count(&mut self, links: &[Vec<u8>]) -> Result<(), UsageFault> {
        let (mut head, mut changes) = (self.head, Vec::new());
        for bytes in links {
            let (link, next) = head.follow(bytes, ENTRY_BYTES_MAX)?;
            let entry = Entry::from_link(link.kind, &link.body)?;
            changes.extend(change_of(&entry)?);
            head = next;
        }
        if head == self.head {
            return Ok(());
        }
        let (connection, state, live) = (&mut self.ledger.connection, &mut self.state, self.live);
        let counted = self.ledger.runtime.block_on(async {
            let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
            for change in changes {
                state.apply(&mut transaction, change, live).await?;
            }
            entries::reach(&mut transaction, head).await?;
            transaction.commit().await
        });
        counted.map_err(|source| fault(&self.ledger.path, "write", source))?;
        self.head = head;
        Ok(())
    }
}

impl State {
    async fn apply(
        &mut self,
        connection: &mut SqliteConnection,
        change: Change,
        live: bool,
    ) -> Result<(), sqlx::Error> {
        match change {
            Change::Opened { study, run, facts } => {
                entries::open(connection, (&study, &run), &facts).await
            }
            Change::Charged {
                study,
                attempt,
                part,
                urho,
                at,
            } => {
                let Some(run) = entries::run_of(connection, &study).await? else {
                    return Ok(());
                };
                entries::charge(connection, &run, (part, urho, at)).await?;
                match self.cuts.remove(&attempt) {
                    Some(cut) => self.add(connection, run, cut).await,
                    None if live => entries::uncut(connection, &attempt, &run).await,
                    None => entries::everybody(connection, &run).await,
                }
            }
            Change::Closed(attempt) => {
                // Nothing of it was sent: a cut is told before its sum is.
                entries::settle(connection, &attempt).await.map(drop)
            }
            Change::Ended { study, reason, at } => {
                self.runs.remove(&study);
                entries::end(connection, &study, (reason, at)).await
            }
            Change::WrittenOff { urho, at } => {
                entries::charge(connection, &entries::LOST, (Part::Everyone, urho, at)).await
            }
        }
    }

    /// Adds those of a cut to a run.
    async fn add(
        &mut self,
        connection: &mut SqliteConnection,
        run: StudyHash,
        cut: Cut,
    ) -> Result<(), sqlx::Error> {
        let Some(persons) = self.tables.get_mut(&cut.table) else {
            return entries::everybody(connection, &run).await;
        };
        if self.runs.len() >= RUNS_MAX && !self.runs.contains_key(&run) {
            self.runs.pop_first();
        }
        // Gone from here while it is changed: what fails half way is read again.
        let mut held = match self.runs.remove(&run) {
            Some(held) => held,
            None => Held {
                all: super::look::all_of(connection, &run).await?,
                last: None,
            },
        };
        let is_new = held.last.as_ref().is_none_or(|last| {
            let same = Arc::ptr_eq(&last.eligible, &cut.eligible) || last.eligible == cut.eligible;
            last.table != cut.table || !same
        });
        if is_new {
            let at = i64::try_from(crate::shell::clock::now().0).unwrap_or(i64::MAX);
            let numbers = persons.numbers_of(connection, &cut.eligible, at).await?;
            for chunk in held.all.add(numbers) {
                super::look::write_chunk(connection, &run, chunk, &held.all.chunk(chunk)).await?;
            }
            held.last = Some(cut);
        }
        self.runs.insert(run, held);
        Ok(())
    }

    fn keep(&mut self, attempt: AttemptId, cut: Cut) {
        if self.cuts.insert(attempt, cut).is_none() {
            self.order.push_back(attempt);
        }
        while self.order.len() > CUTS_MAX {
            if let Some(oldest) = self.order.pop_front() {
                self.cuts.remove(&oldest);
            }
        }
    }
}

/// What may wait to be written.
const QUEUE_MAX: usize = 4_096;
/// Cuts of attempts that may still be charged.
const CUTS_MAX: usize = 1_024;
/// Tables whose persons are known: the one for training, and published ones of some epochs.
const TABLES_MAX: usize = 64;
/// Runs whose sets are kept in memory.
const RUNS_MAX: usize = 32;
