//! The thread that writes the usage ledger, beside the one that computes: it is told of cuts and entries, and nobody waits for it.
//!
//! A cut is told before its sum is known to anybody, an entry once it is durable. A charge without a cut is noted as such, and counts
//! for everybody where the cut does not come before the process ends.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use aquifer_shared::base::ids::{AttemptId, StudyHash};
use aquifer_shared::domain::sum::Part;
use aquifer_shared::protocol::chain::Head;
use sqlx::Connection as _;
use sqlx::sqlite::SqliteConnection;

use super::binding::changed;
use super::entries;
use super::ledger::{UsageFault, UsageLedger, fault};
use super::masks;
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
    /// Charged attempts of this process whose cut is not known: all that the file has.
    uncut: BTreeSet<AttemptId>,
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
    /// The number of the set of that cut.
    mask: Option<i64>,
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
            changed(&mut transaction).await?;
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
        let (mut broken, mut stopped) = (false, false);
        while !stopped && let Ok(first) = told.recv() {
            let batch;
            (batch, stopped) = gather(first, told);
            if broken {
                continue;
            }
            if let Err(error) = self.take_all(batch) {
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

    /// Takes news in order, in one transaction.
    pub(super) fn take_all(&mut self, batch: Vec<News>) -> Result<(), UsageFault> {
        let (mut head, mut steps) = (self.head, Vec::new());
        for news in batch {
            match news {
                News::Table(number, subjects) => {
                    steps.push(Step::Table(number, Persons::new(subjects)));
                }
                News::Cut {
                    attempt,
                    table,
                    eligible,
                } => steps.push(Step::Cut(attempt, Cut { table, eligible })),
                News::Entries(links) => head = follow(head, &links, &mut steps)?,
                News::Stop => {}
            }
        }
        self.write(head, steps)
    }

    /// Counts entries of the budget ledger, in one transaction.
    pub(super) fn count(&mut self, links: &[Vec<u8>]) -> Result<(), UsageFault> {
        let mut steps = Vec::new();
        let head = follow(self.head, links, &mut steps)?;
        self.write(head, steps)
    }

    fn write(&mut self, head: Head, steps: Vec<Step>) -> Result<(), UsageFault> {
        if steps.is_empty() && head == self.head {
            return Ok(());
        }
        let (connection, state, live) = (&mut self.ledger.connection, &mut self.state, self.live);
        let written = self.ledger.runtime.block_on(async {
            let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
            for step in steps {
                state.step(&mut transaction, step, live).await?;
            }
            if head != self.head {
                entries::reach(&mut transaction, head).await?;
            }
            changed(&mut transaction).await?;
            transaction.commit().await
        });
        written.map_err(|source| fault(&self.ledger.path, "write", source))?;
        self.head = head;
        Ok(())
    }
}

/// What news change.
enum Step {
    Table(u64, Persons),
    Cut(AttemptId, Cut),
    Change(Change),
}

/// News that are written together, and whether they are the last: each transaction waits for the disk, which sums need as well.
fn gather(first: News, told: &Receiver<News>) -> (Vec<News>, bool) {
    let until = Instant::now() + LINGER;
    let (mut batch, mut news) = (Vec::new(), first);
    loop {
        if matches!(news, News::Stop) {
            return (batch, true);
        }
        batch.push(news);
        let left = until.saturating_duration_since(Instant::now());
        news = match told.recv_timeout(left) {
            Ok(news) if batch.len() < BATCH_MAX => news,
            Ok(last) => {
                let stopped = matches!(last, News::Stop);
                batch.push(last);
                return (batch, stopped);
            }
            Err(_) => return (batch, false),
        };
    }
}

/// What entries of the budget ledger change, and its head after them.
fn follow(mut head: Head, links: &[Vec<u8>], steps: &mut Vec<Step>) -> Result<Head, UsageFault> {
    for bytes in links {
        let (link, next) = head.follow(bytes, ENTRY_BYTES_MAX)?;
        let entry = Entry::from_link(link.kind, &link.body)?;
        steps.extend(change_of(&entry)?.into_iter().map(Step::Change));
        head = next;
    }
    Ok(head)
}

impl State {
    async fn step(
        &mut self,
        connection: &mut SqliteConnection,
        step: Step,
        live: bool,
    ) -> Result<(), sqlx::Error> {
        match step {
            Step::Table(number, persons) => {
                self.tables.insert(number, persons);
                while self.tables.len() > TABLES_MAX {
                    // The training table has the first number, and stays.
                    let oldest = self.tables.keys().nth(1).copied();
                    self.tables.remove(&oldest.unwrap_or_default());
                }
                Ok(())
            }
            Step::Cut(attempt, cut) => match self.settle(connection, &attempt).await? {
                Some(run) => self.add(connection, (run, attempt), cut).await,
                None => {
                    self.keep(attempt, cut);
                    Ok(())
                }
            },
            Step::Change(change) => self.apply(connection, change, live).await,
        }
    }

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
                    Some(cut) => self.add(connection, (run, attempt), cut).await,
                    None if live => {
                        self.uncut.insert(attempt);
                        entries::uncut(connection, &attempt, &run).await
                    }
                    None => entries::everybody(connection, &run).await,
                }
            }
            Change::Closed(attempt) => {
                // Nothing of it was sent: a cut is told before its sum is.
                self.settle(connection, &attempt).await.map(drop)
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

    /// Takes an attempt off those whose cut is not known; its run, if it was one.
    async fn settle(
        &mut self,
        connection: &mut SqliteConnection,
        attempt: &AttemptId,
    ) -> Result<Option<StudyHash>, sqlx::Error> {
        match self.uncut.remove(attempt) {
            true => entries::settle(connection, attempt).await,
            false => Ok(None),
        }
    }

    /// Adds those of the cut of an attempt to a run.
    async fn add(
        &mut self,
        connection: &mut SqliteConnection,
        (run, attempt): (StudyHash, AttemptId),
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
                mask: None,
            },
        };
        let is_new = held.last.as_ref().is_none_or(|last| {
            let same = Arc::ptr_eq(&last.eligible, &cut.eligible) || last.eligible == cut.eligible;
            last.table != cut.table || !same
        });
        if is_new {
            let at = i64::try_from(crate::shell::clock::now().0).unwrap_or(i64::MAX);
            let numbers = persons.numbers_of(connection, &cut.eligible, at).await?;
            let mut mask = Ordinals::default();
            mask.add(numbers.iter().copied());
            let added = mask.without(&held.all);
            for chunk in held.all.add(numbers) {
                super::look::write_chunk(connection, &run, chunk, &held.all.chunk(chunk)).await?;
            }
            let absent = held.all.without(&mask);
            let number = masks::note(connection, (&run, &mask), (&added, &absent)).await?;
            (held.last, held.mask) = (Some(cut), Some(number));
        }
        if let Some(mask) = held.mask {
            masks::cut(connection, &attempt, mask).await?;
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

/// How long news wait for others.
const LINGER: Duration = Duration::from_millis(200);
/// News that are written together at most.
const BATCH_MAX: usize = 1_024;
/// What may wait to be written.
const QUEUE_MAX: usize = 4_096;
/// Cuts of attempts that may still be charged.
const CUTS_MAX: usize = 1_024;
/// Tables whose persons are known: the one for training, and published ones of some epochs.
const TABLES_MAX: usize = 64;
/// Runs whose sets are kept in memory.
const RUNS_MAX: usize = 32;
