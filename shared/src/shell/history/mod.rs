//! A transparency log on disk: one SQLite file, a tree over its leaves, and the newest signed checkpoint in a second place.
//!
//! One task owns the file. Whoever appends waits for the disk together with all who append meanwhile: one transaction, one sync. What is
//! in memory is the right edge of the tree; complete tiles are read back when a proof needs them. Opening hashes at most the edge again,
//! and holds it against the second place: a log that was deleted, cut or put back to an older copy is not opened.

mod declare;
#[cfg(test)]
mod documents;
mod export;
mod fault;
mod file;
mod mark;
mod signer;
#[cfg(test)]
mod tests;
mod tiles;
mod work;

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot, watch};

use crate::base::ids::{Hash32, IdentityKey};
use crate::base::limits::HISTORY_QUEUE_MAX;
use crate::base::time::Timestamp;
use crate::domain::history::{Event, Leaf, Persons};
use crate::domain::pack::Statement;
use crate::shell::at_rest::DatabaseKey;

pub use fault::HistoryFault;
pub use signer::LogSigner;
use work::{Ask, Prepared, Worker};

/// Where a log is and what it takes.
#[derive(Clone, Debug)]
pub struct Place {
    /// Folder of the log; made on first use.
    pub folder: PathBuf,
    /// File with the newest checkpoint: best on another disk.
    pub mark: PathBuf,
    /// Whether events about persons are taken: at nodes only.
    pub takes_persons: bool,
    /// What its file is encrypted under.
    pub key: DatabaseKey,
}

/// Size and root of a log.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Edge {
    /// Leaves.
    pub size: u64,
    /// Root of them.
    pub root: Hash32,
}

/// What is kept of an entry.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Entry {
    /// As it was hashed.
    pub leaf: Leaf,
    /// Salt and payload, unless they were erased.
    pub opening: Option<([u8; 32], Vec<u8>)>,
}

/// An open log. Cheap to clone; the file is closed when the last one goes.
#[derive(Clone, Debug)]
pub struct History {
    asks: mpsc::Sender<Ask>,
    edge: watch::Receiver<Edge>,
    takes_persons: bool,
    signer: Arc<LogSigner>,
}

impl History {
    /// Opens a log, or makes it where neither it nor its mark is there.
    ///
    /// # Errors
    ///
    /// It is open elsewhere, cannot be read, or is not what its mark says: deleted, cut, or an older copy.
    pub async fn open(
        place: Place,
        signer: LogSigner,
        clock: fn() -> Timestamp,
    ) -> Result<Self, HistoryFault> {
        let signer = Arc::new(signer);
        let takes_persons = place.takes_persons;
        let worker = Worker::open(place, signer.clone(), clock).await?;
        let (asks, queue) = mpsc::channel(HISTORY_QUEUE_MAX);
        let edge = worker.edge();
        tokio::spawn(worker.run(queue));
        Ok(Self {
            asks,
            edge,
            takes_persons,
            signer,
        })
    }

    /// Appends events, all or none; durable on return. Their places in the log.
    ///
    /// # Errors
    ///
    /// An event that this log does not take, or a disk that fails: nothing more is appended then.
    pub async fn append(&self, events: Vec<Event>) -> Result<Vec<u64>, HistoryFault> {
        let prepared = self.prepare(events.into_iter().map(|event| (None, event)))?;
        self.ask(|reply| Ask::Append(prepared, Some(reply))).await?
    }

    /// Appends each event unless one of the same key is there; durable on return. Their places, or those of what was there.
    ///
    /// # Errors
    ///
    /// See [`History::append`].
    pub async fn append_once(
        &self,
        events: Vec<(String, Event)>,
    ) -> Result<Vec<u64>, HistoryFault> {
        let keyed = events.into_iter().map(|(key, event)| (Some(key), event));
        let prepared = self.prepare(keyed)?;
        self.ask(|reply| Ask::Append(prepared, Some(reply))).await?
    }

    /// Where the event of a key is, if it was appended.
    ///
    /// # Errors
    ///
    /// It cannot be read.
    pub async fn find(&self, key: &str) -> Result<Option<u64>, HistoryFault> {
        let key = key.to_owned();
        self.ask(|reply| Ask::Find { key, reply }).await?
    }

    /// Hands an event over without waiting for the disk; a crash may lose it, so that whoever starts again says it again by its key. What
    /// is wrong is logged.
    pub async fn note(&self, key: Option<String>, event: Event) {
        let kind = event.kind;
        let handed = match self.prepare([(key, event)]) {
            Ok(prepared) => {
                let sent = self.asks.send(Ask::Append(prepared, None)).await;
                sent.map_err(|_| HistoryFault::Stopped)
            }
            Err(fault) => Err(fault),
        };
        if let Err(fault) = handed {
            tracing::error!(%kind, %fault, "an event is not in the history");
        }
    }

    /// The same from code that cannot wait, on whatever thread: where too much waits already, the thread does, or a task.
    pub fn tell(&self, key: Option<String>, event: Event) {
        let kind = event.kind;
        let prepared = match self.prepare([(key, event)]) {
            Ok(prepared) => prepared,
            Err(fault) => return tracing::error!(%kind, %fault, "an event is not in the history"),
        };
        let Err(TrySendError::Full(ask)) = self.asks.try_send(Ask::Append(prepared, None)) else {
            return;
        };
        let asks = self.asks.clone();
        match Handle::try_current() {
            // Fails only where the program ends.
            Ok(runtime) => drop(runtime.spawn(async move { drop(asks.send(ask).await) })),
            Err(_) => drop(asks.blocking_send(ask)),
        }
    }

    /// The size and root that are durable now; changes are told.
    #[must_use]
    pub fn edge(&self) -> watch::Receiver<Edge> {
        self.edge.clone()
    }

    /// The log's name for good.
    #[must_use]
    pub fn origin(&self) -> &str {
        self.signer.origin()
    }

    /// What is durable, and a signed checkpoint of it: a C2SP note.
    #[must_use]
    pub fn checkpoint(&self) -> (Edge, String) {
        let edge = *self.edge.borrow();
        (edge, self.signer.note(edge))
    }

    /// A statement of the log's owner in its signed envelope, for audit packs.
    #[must_use]
    pub fn attested(&self, statement: &Statement) -> String {
        self.signer.attested(statement)
    }

    /// The log's public key.
    #[must_use]
    pub fn key(&self) -> IdentityKey {
        self.signer.public()
    }

    /// Proof that a leaf is in the log of this size.
    ///
    /// # Errors
    ///
    /// There is no such leaf or size, or it cannot be read.
    pub async fn prove(&self, index: u64, size: u64) -> Result<Vec<Hash32>, HistoryFault> {
        self.ask(|reply| Ask::Prove { index, size, reply }).await?
    }

    /// Proof that the log of `size` leaves continues that of `old`.
    ///
    /// # Errors
    ///
    /// There are no such sizes, or it cannot be read.
    pub async fn consistency(&self, old: u64, size: u64) -> Result<Vec<Hash32>, HistoryFault> {
        self.ask(|reply| Ask::Consistency { old, size, reply })
            .await?
    }

    /// Root of the first `size` leaves.
    ///
    /// # Errors
    ///
    /// The log is shorter, or it cannot be read.
    pub async fn root_at(&self, size: u64) -> Result<Hash32, HistoryFault> {
        self.ask(|reply| Ask::RootAt { size, reply }).await?
    }

    /// Entries in order; fewer where the log ends.
    ///
    /// # Errors
    ///
    /// It cannot be read, or holds what this program did not write.
    pub async fn read(&self, range: Range<u64>) -> Result<Vec<Entry>, HistoryFault> {
        self.ask(|reply| Ask::Read { range, reply }).await?
    }

    /// When the newest entry was written down; 0 where there is none.
    ///
    /// # Errors
    ///
    /// It cannot be read.
    pub async fn latest(&self) -> Result<Timestamp, HistoryFault> {
        let size = self.edge.borrow().size;
        let newest = self.read(size.saturating_sub(1)..size).await?;
        let newest = newest.last().map(|entry| entry.leaf.recorded_at);
        Ok(newest.unwrap_or_default())
    }

    /// Removes payload and salt of an entry for good; its leaf stays. Durable on return.
    ///
    /// # Errors
    ///
    /// There is no such entry, or the disk refuses.
    pub async fn erase(&self, index: u64) -> Result<(), HistoryFault> {
        self.ask(|reply| Ask::Erase { index, reply }).await?
    }

    /// Fills the log with `log.pad` up to a public number of leaves, and signs a checkpoint there ([`Padded`]).
    ///
    /// # Errors
    ///
    /// The disk refuses.
    ///
    /// # Privacy
    ///
    /// The size that others see says nothing about how many events there were, unless they were more than ever before.
    pub async fn publish_padded(&self) -> Result<Padded, HistoryFault> {
        self.ask(|reply| Ask::Pad { reply }).await?
    }

    /// The newest checkpoint that was published with padding, if any.
    ///
    /// # Errors
    ///
    /// It cannot be read.
    pub async fn published(&self) -> Result<Option<String>, HistoryFault> {
        self.kept(work::PUBLISHED).await
    }

    /// The last checkpoint of each of some days (days since 1970) that was published with padding.
    ///
    /// # Errors
    ///
    /// They cannot be read.
    pub async fn published_in(&self, days: Range<u64>) -> Result<Vec<String>, HistoryFault> {
        let mut notes = Vec::new();
        for day in days {
            notes.extend(self.kept(&work::published_on(day)).await?);
        }
        Ok(notes)
    }

    /// Keeps a short text beside the log under a name; durable on return.
    ///
    /// # Errors
    ///
    /// The disk refuses.
    pub async fn keep(&self, name: &str, value: String) -> Result<(), HistoryFault> {
        let name = name.to_owned();
        self.ask(|reply| Ask::Keep { name, value, reply }).await?
    }

    /// Waits until everything is written that was handed over so far; the log as it is then.
    ///
    /// # Errors
    ///
    /// Nobody writes it any more.
    pub async fn settled(&self) -> Result<Edge, HistoryFault> {
        self.ask(|reply| Ask::Settle { reply }).await?
    }

    /// What was kept under a name.
    ///
    /// # Errors
    ///
    /// It cannot be read.
    pub async fn kept(&self, name: &str) -> Result<Option<String>, HistoryFault> {
        let name = name.to_owned();
        self.ask(|reply| Ask::Kept { name, reply }).await?
    }

    /// Writes the log as C2SP tiles (tlog-tiles) into a folder that is not there yet: `checkpoint`, `tile/…`, `tile/entries/…`.
    ///
    /// # Errors
    ///
    /// The folder is there, or something cannot be read or written.
    pub async fn export(&self, folder: PathBuf) -> Result<Edge, HistoryFault> {
        self.ask(|reply| Ask::Export { folder, reply }).await?
    }

    /// Waits until everything that was handed over is on disk, and closes the file; others who hold it are told that it is closed.
    pub async fn close(self) {
        // Nobody answers where it is closed already.
        let _ = self.ask(|reply| Ask::Close { reply }).await;
    }

    /// Hashes every leaf again and holds that against the tree.
    ///
    /// # Errors
    ///
    /// The first entry that is missing or not what the tree says.
    pub async fn verify(&self) -> Result<Edge, HistoryFault> {
        self.ask(|reply| Ask::Verify { reply }).await?
    }

    async fn ask<T>(&self, ask: impl FnOnce(oneshot::Sender<T>) -> Ask) -> Result<T, HistoryFault> {
        let (reply, answer) = oneshot::channel();
        let sent = self.asks.send(ask(reply)).await;
        sent.map_err(|_| HistoryFault::Stopped)?;
        answer.await.map_err(|_| HistoryFault::Stopped)
    }

    fn prepare(
        &self,
        events: impl IntoIterator<Item = (Option<String>, Event)>,
    ) -> Result<Vec<Prepared>, HistoryFault> {
        let each = |(key, event): (Option<String>, Event)| {
            if event.kind.persons() == Persons::Some && !self.takes_persons {
                return Err(HistoryFault::AboutPersons { kind: event.kind });
            }
            Prepared::of(key.as_deref(), event)
        };
        events.into_iter().map(each).collect()
    }
}

/// A checkpoint at a size that says nothing.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Padded {
    /// The signed note.
    pub note: String,
    /// Its size and root.
    pub edge: Edge,
    /// Leaves of one period.
    pub quota: u64,
}
