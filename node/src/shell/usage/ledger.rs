//! The file: SQLite in WAL mode, so that commands read while the node writes.

use std::path::{Path, PathBuf};

use aquifer_shared::base::ids::Hash32;
use aquifer_shared::protocol::chain::{BrokenChain, Head};
use aquifer_shared::protocol::codec::CodecError;
use aquifer_shared::shell::at_rest::{Shape, open_sqlite};
use aquifer_shared::shell::keys::KeyFault;
use sqlx::sqlite::SqliteConnection;
use sqlx::{Connection as _, Row as _};
use tokio::runtime::Runtime;

use super::binding::changed;
use crate::core::consent::SubjectRef;
use crate::shell::at_rest;
use crate::shell::steps::TABLE;

/// The usage ledger, open. Blocks while it works.
///
/// # Privacy
///
/// Persons are keyed references, and numbers that are never given twice. The file is readable for its owner alone.
pub struct UsageLedger {
    pub(in crate::shell) path: PathBuf,
    pub(in crate::shell) runtime: Runtime,
    pub(in crate::shell) connection: SqliteConnection,
}

/// The usage ledger cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum UsageFault {
    /// The file or the disk.
    #[error("could not {what} {}", path.display())]
    Database {
        /// What was tried.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: sqlx::Error,
    },
    /// Something in it that is not what it should be.
    #[error("{}: {what} that is none", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What.
        what: &'static str,
    },
    /// An entry of the budget ledger that cannot be read.
    #[error("an entry of the budget ledger cannot be read")]
    Entry(#[from] CodecError),
    /// Entries of the budget ledger that do not follow those before.
    #[error("entries of the budget ledger do not follow those that are counted already")]
    Chain(#[from] BrokenChain),
    /// Two work on one erasure.
    #[error(
        "the erasure was written by another command or by the running node meanwhile, expected it as it was read: the same command again \
         goes on from there"
    )]
    Meanwhile,
    /// Its key cannot be had.
    #[error("the usage ledger's key cannot be had")]
    Key(#[source] anyhow::Error),
    /// There is nothing to draw a step from.
    #[error("no step of the usage ledger could be drawn")]
    Random(#[source] KeyFault),
    /// The process cannot start what reads it.
    #[error("the runtime did not start")]
    Runtime(#[source] std::io::Error),
}

impl UsageLedger {
    /// Opens the ledger of a node's directory; makes it where there is none. Every write is durable.
    ///
    /// # Errors
    ///
    /// It cannot be opened.
    pub fn open(directory: &Path) -> Result<Self, UsageFault> {
        Self::open_with(directory, DURABLE)
    }

    /// The same for the node, which writes what it could count again: a write is in order, and durable some time later.
    pub(super) fn open_for_node(directory: &Path) -> Result<Self, UsageFault> {
        Self::open_with(directory, IN_ORDER)
    }

    fn open_with(directory: &Path, synchronous: &'static str) -> Result<Self, UsageFault> {
        let path = directory.join(USAGE_FILE);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(UsageFault::Runtime)?;
        let vault = at_rest::vault(directory).map_err(UsageFault::Key)?;
        let key = vault.database(at_rest::USAGE);
        let opened = runtime.block_on(async {
            let mut connection = open_sqlite(&path, &key, Shape::Shared(BUSY_WAIT)).await?;
            sqlx::query(synchronous).execute(&mut connection).await?;
            prepare(&mut connection).await?;
            Ok(connection)
        });
        let connection = opened.map_err(|source| fault(&path, "open", source))?;
        Ok(Self {
            path,
            runtime,
            connection,
        })
    }

    /// Up to where the budget ledger is counted.
    ///
    /// # Errors
    ///
    /// The file cannot be read.
    pub fn position(&mut self) -> Result<Head, UsageFault> {
        let row = sqlx::query("SELECT seq, hash FROM position");
        let row = self
            .runtime
            .block_on(row.fetch_optional(&mut self.connection));
        let row = row.map_err(|source| fault(&self.path, "read", source))?;
        let Some(row) = row else {
            return Ok(Head::default());
        };
        let hash = row.get::<&[u8], _>("hash").try_into().ok();
        let hash = hash.ok_or_else(|| self.none("a position"))?;
        Ok(Head {
            seq: row.get::<i64, _>("seq").cast_unsigned(),
            hash: Hash32(hash),
        })
    }

    /// Deletes the number of a person, and gives none again until a time; whether there was one. In one durable transaction.
    ///
    /// # Errors
    ///
    /// The file cannot be written.
    ///
    /// # Privacy
    ///
    /// The keyed reference stays, as the mark that keeps the person out. Sets of numbers stay as they are: a number without a person
    /// says nothing about anybody.
    pub fn forget_number(&mut self, subject: SubjectRef, until: i64) -> Result<u64, UsageFault> {
        let subject = subject.0.to_be_bytes();
        let connection = &mut self.connection;
        let done = self.runtime.block_on(async {
            let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
            let deleted = sqlx::query("DELETE FROM persons WHERE subject = $1")
                .bind(subject.as_slice())
                .execute(&mut *transaction)
                .await?;
            sqlx::query("INSERT OR REPLACE INTO kept_out (subject, until) VALUES ($1, $2)")
                .bind(subject.as_slice())
                .bind(until)
                .execute(&mut *transaction)
                .await?;
            changed(&mut transaction).await?;
            transaction.commit().await?;
            let truncated = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)");
            truncated.fetch_one(&mut *connection).await?;
            Ok(deleted.rows_affected())
        });
        done.map_err(|source| fault(&self.path, "write", source))
    }

    pub(in crate::shell) fn none(&self, what: &'static str) -> UsageFault {
        let path = self.path.clone();
        UsageFault::Content { path, what }
    }
}

pub(in crate::shell) fn fault(path: &Path, what: &'static str, source: sqlx::Error) -> UsageFault {
    UsageFault::Database {
        what,
        path: path.to_owned(),
        source,
    }
}

/// Makes what is missing, at once: each piece on its own would write the same pages again and wait for the disk.
async fn prepare(connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    let there = "SELECT COUNT(*) AS pieces FROM sqlite_schema WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%'";
    let there = sqlx::query(there).fetch_one(&mut *connection).await?;
    if there.get::<i64, _>("pieces") == SCHEMA.len() as i64 {
        return Ok(());
    }
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    for statement in SCHEMA {
        sqlx::query(statement).execute(&mut *transaction).await?;
    }
    transaction.commit().await
}

/// Name of the ledger in a node's directory.
pub const USAGE_FILE: &str = "usage.db";
/// How long one waits for another who writes.
const BUSY_WAIT: std::time::Duration = std::time::Duration::from_secs(30);
const DURABLE: &str = "PRAGMA synchronous = FULL";
const IN_ORDER: &str = "PRAGMA synchronous = NORMAL";
/// Numbers of persons are never given again.
const SCHEMA: [&str; 18] = [
    "CREATE TABLE IF NOT EXISTS position (one INTEGER PRIMARY KEY CHECK (one = 1), seq INTEGER NOT NULL, hash BLOB NOT NULL) STRICT",
    "CREATE TABLE IF NOT EXISTS persons (ordinal INTEGER PRIMARY KEY AUTOINCREMENT, subject BLOB NOT NULL UNIQUE) STRICT",
    "CREATE TABLE IF NOT EXISTS kept_out (subject BLOB PRIMARY KEY, until INTEGER NOT NULL) STRICT, WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS runs (run BLOB PRIMARY KEY, facts BLOB NOT NULL, everybody INTEGER NOT NULL, ended INTEGER, \
     ended_at INTEGER) STRICT",
    "CREATE TABLE IF NOT EXISTS studies (study BLOB PRIMARY KEY, run BLOB NOT NULL) STRICT, WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS charges (run BLOB NOT NULL, day INTEGER NOT NULL, part INTEGER NOT NULL, urho INTEGER NOT NULL, \
     attempts INTEGER NOT NULL, first_at INTEGER NOT NULL, last_at INTEGER NOT NULL, PRIMARY KEY (run, day, part)) \
     STRICT, WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS uncut (attempt BLOB PRIMARY KEY, run BLOB NOT NULL) STRICT, WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS eligible (number INTEGER PRIMARY KEY, chunk INTEGER NOT NULL, run BLOB NOT NULL, bits BLOB NOT NULL, \
     UNIQUE (chunk, run)) STRICT",
    "CREATE TABLE IF NOT EXISTS requests (request BLOB PRIMARY KEY, subject BLOB, received_at INTEGER NOT NULL, \
     over INTEGER NOT NULL, bytes BLOB NOT NULL) STRICT",
    "CREATE INDEX IF NOT EXISTS requests_of_subject ON requests (subject)",
    "CREATE TABLE IF NOT EXISTS masks (number INTEGER PRIMARY KEY AUTOINCREMENT, run BLOB NOT NULL, digest BLOB NOT NULL, \
     added BLOB NOT NULL, absent BLOB NOT NULL, UNIQUE (run, digest)) STRICT",
    "CREATE TABLE IF NOT EXISTS cuts (number INTEGER PRIMARY KEY AUTOINCREMENT, attempt BLOB NOT NULL UNIQUE, mask INTEGER NOT NULL, \
     told INTEGER NOT NULL) STRICT",
    "CREATE TABLE IF NOT EXISTS certificates (digest BLOB PRIMARY KEY, request BLOB NOT NULL, text TEXT NOT NULL) STRICT",
    "CREATE TABLE IF NOT EXISTS models (study BLOB PRIMARY KEY, bytes BLOB NOT NULL) STRICT",
    "CREATE TABLE IF NOT EXISTS extensions (request BLOB PRIMARY KEY, at INTEGER NOT NULL, until INTEGER NOT NULL, \
     reason TEXT NOT NULL) STRICT, WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS changed (one INTEGER PRIMARY KEY CHECK (one = 1)) STRICT",
    TABLE,
    "CREATE TABLE IF NOT EXISTS plans (study BLOB PRIMARY KEY, bytes BLOB NOT NULL) STRICT, WITHOUT ROWID",
];
