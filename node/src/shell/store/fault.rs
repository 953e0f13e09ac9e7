//! What can be wrong with a node's store, told so that an operator knows what to do.

use std::io;
use std::path::{Path, PathBuf};

use sqlx::error::DatabaseError;

use crate::core::ledger::{LedgerFault, LockReason};
use crate::shell::witness::WitnessFault;

/// The store cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreFault {
    /// Another process has it open.
    #[error("the ledger {} is in use by another process; a node runs once per ledger (stop the other one, or ask it: `aquifer-node budget` does so by itself)", path.display())]
    InUse {
        /// The ledger.
        path: PathBuf,
    },
    /// No room on the disk, or a size limit of the process.
    #[error("no room to write the ledger {}: the disk is full or a size limit is reached; nothing was sent", path.display())]
    Full {
        /// The ledger.
        path: PathBuf,
        /// Why.
        source: sqlx::Error,
    },
    /// The folder or the file cannot be written.
    #[error("the ledger {} cannot be written: file or folder is read-only for this user", path.display())]
    ReadOnly {
        /// The ledger.
        path: PathBuf,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The file is something else, or damaged.
    #[error("{} is no ledger, or it is damaged", path.display())]
    NotALedger {
        /// The file.
        path: PathBuf,
        /// Why.
        source: sqlx::Error,
    },
    /// Another failure of the disk or of SQLite.
    #[error("could not read or write the ledger {}", path.display())]
    Failed {
        /// The ledger.
        path: PathBuf,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// An earlier write failed.
    #[error("the ledger {} is read-only since a write failed; start the node again", path.display())]
    Stopped {
        /// The ledger.
        path: PathBuf,
    },
    /// The witness cannot be used.
    #[error(transparent)]
    Witness(#[from] WitnessFault),
    /// Witness and ledger name the same file.
    #[error("ledger and witness are both {}; the witness belongs on another path, best on another volume", path.display())]
    SamePath {
        /// The file.
        path: PathBuf,
    },
    /// The chain does not verify.
    #[error(transparent)]
    Ledger(#[from] LedgerFault),
    /// The ledger disagrees with its witness.
    #[error("ledger-behind: {} is locked ({reason}); get the lost entries back from the coordinator's mirror with `aquifer-node ledger adopt`, restore a newer copy with `aquifer-node ledger adopt FILE`, or give up the whole remaining budget with `aquifer-node ledger write-off`", path.display())]
    Locked {
        /// The ledger.
        path: PathBuf,
        /// Why.
        reason: LockReason,
    },
}

impl StoreFault {
    /// Sorts SQLite's errors by what an operator can do.
    pub(super) fn of(path: &Path, source: sqlx::Error) -> Self {
        let path = path.to_owned();
        match source.as_database_error().map(primary_code) {
            Some(BUSY | LOCKED) => Self::InUse { path },
            Some(FULL) => Self::Full { path, source },
            Some(READONLY | CANTOPEN | PERM) => Self::ReadOnly {
                path,
                source: source.into(),
            },
            Some(CORRUPT | NOTADB) => Self::NotALedger { path, source },
            Some(IOERR) if ran_out(&path) => Self::Full { path, source },
            _ => Self::Failed {
                path,
                source: source.into(),
            },
        }
    }

    /// Sorts errors of the file system likewise.
    pub(super) fn of_io(path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => Self::ReadOnly {
                path,
                source: source.into(),
            },
            _ => Self::Failed {
                path,
                source: source.into(),
            },
        }
    }

    /// Whether the rules say no (exit code 1) rather than the world failing (2).
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        matches!(
            self,
            Self::InUse { .. } | Self::Locked { .. } | Self::SamePath { .. }
        )
    }
}

/// A size limit of the process shows as a plain I/O error: the next page would pass it.
fn ran_out(path: &Path) -> bool {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Fsize).current;
    let files = ["", "-wal"].map(|suffix| {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        std::fs::metadata(PathBuf::from(name)).map_or(0, |facts| facts.len())
    });
    limit.is_some_and(|limit| files.into_iter().any(|length| length + PAGE_ROOM > limit))
}

fn primary_code(error: &dyn DatabaseError) -> u32 {
    let code = error.code().and_then(|code| code.parse::<u32>().ok());
    code.unwrap_or(0) & 0xff
}

const PERM: u32 = 3;
const BUSY: u32 = 5;
const LOCKED: u32 = 6;
const READONLY: u32 = 8;
const IOERR: u32 = 10;
const CORRUPT: u32 = 11;
const FULL: u32 = 13;
const CANTOPEN: u32 = 14;
const NOTADB: u32 = 26;
/// More than a page with its header in the write-ahead log.
const PAGE_ROOM: u64 = 16_384;
