//! What can go wrong with a log on disk.

use std::io;
use std::path::{Path, PathBuf};

use crate::domain::history::{BadLeaf, BadPayload, Kind};
use crate::domain::tlog::{BadCheckpoint, BadNote};
use crate::shell::keys::KeyFault;

/// A log cannot be used, or does not take an event.
#[derive(Debug, thiserror::Error)]
pub enum HistoryFault {
    /// The file cannot be read or written.
    #[error("the history {} cannot be used", path.display())]
    Database {
        /// The file.
        path: PathBuf,
        /// Why.
        source: sqlx::Error,
    },
    /// A file beside it cannot be read or written.
    #[error("could not read or write {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// There are checkpoints of a longer log.
    #[error("the history {} has {found} entries, but a checkpoint of {expected} was signed ({}): it was cut, deleted or put back to an older copy", path.display(), mark.display())]
    Short {
        /// The file.
        path: PathBuf,
        /// The second place.
        mark: PathBuf,
        /// Entries.
        found: u64,
        /// Entries of the checkpoint.
        expected: u64,
    },
    /// There is a checkpoint of another log.
    #[error("the first {size} entries of the history {} are not those of the checkpoint that was signed ({}): it was changed or exchanged", path.display(), mark.display())]
    Forked {
        /// The file.
        path: PathBuf,
        /// The second place.
        mark: PathBuf,
        /// Entries of the checkpoint.
        size: u64,
    },
    /// Entries, but no checkpoint in the second place.
    #[error("the history {} has {found} entries, but its checkpoint {} is missing: one of them was deleted or put back", path.display(), mark.display())]
    NoMark {
        /// The file.
        path: PathBuf,
        /// The second place.
        mark: PathBuf,
        /// Entries.
        found: u64,
    },
    /// Nothing in the second place can be read.
    #[error("{} holds no checkpoint that this program wrote", mark.display())]
    BadMark {
        /// The second place.
        mark: PathBuf,
    },
    /// The checkpoint is not this key's.
    #[error("the checkpoint {} is not signed by this log's key", mark.display())]
    OtherKey {
        /// The second place.
        mark: PathBuf,
        /// Which signature.
        source: BadNote,
    },
    /// The text below a signature is no checkpoint.
    #[error("{} holds no checkpoint", mark.display())]
    Checkpoint {
        /// The second place.
        mark: PathBuf,
        /// Where.
        source: BadCheckpoint,
    },
    /// An entry or a tile is not what this program writes.
    #[error("entry {index} of the history {} is missing or damaged", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// From 0.
        index: u64,
    },
    /// An entry's leaf is none.
    #[error("entry {index} is no leaf")]
    Leaf {
        /// From 0.
        index: u64,
        /// Why.
        source: BadLeaf,
    },
    /// A payload that no entry has.
    #[error("an event {kind} is not taken")]
    Payload {
        /// Of what.
        kind: Kind,
        /// Why.
        source: BadPayload,
    },
    /// An event about persons, for a log that leaves the unit.
    #[error("an event {kind} says something about persons: it belongs into a unit's history only")]
    AboutPersons {
        /// Of what.
        kind: Kind,
    },
    /// No such entry or size.
    #[error("the history has {size} entries: there is no {asked}")]
    Range {
        /// Entries.
        size: u64,
        /// What was asked for.
        asked: u64,
    },
    /// No randomness.
    #[error("no salt for an entry")]
    Key(#[from] KeyFault),
    /// A write failed before, or the program ends.
    #[error("the history is not written any more: a write failed before, or the program ends")]
    Stopped,
}

impl HistoryFault {
    /// Whether the log is another one than was signed, rather than a failure of disk or program.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        matches!(
            self,
            Self::Short { .. }
                | Self::Forked { .. }
                | Self::NoMark { .. }
                | Self::OtherKey { .. }
                | Self::AboutPersons { .. }
                | Self::Range { .. }
        )
    }
}

pub(super) fn database(path: &Path) -> impl Fn(sqlx::Error) -> HistoryFault {
    let path = path.to_owned();
    move |source| HistoryFault::Database {
        path: path.clone(),
        source,
    }
}

pub(super) fn file(path: &Path) -> impl Fn(io::Error) -> HistoryFault {
    let path = path.to_owned();
    move |source| HistoryFault::File {
        path: path.clone(),
        source,
    }
}
