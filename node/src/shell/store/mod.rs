//! The node's store: one SQLite file with the ledger's entries and the updates they paid for, and the witness beside it.
//!
//! One process at a time; one durable transaction per batch. A ledger that disagrees with its witness stays locked.

mod fault;
#[cfg(test)]
mod tests;

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use aquifer_shared::base::ids::{Hash32, StudyHash};
use aquifer_shared::base::time::Timestamp;
use aquifer_shared::base::units::MicroRho;
use aquifer_shared::protocol::chain::Head;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteLockingMode, SqliteSynchronous,
};
use sqlx::{Connection, Row};

use super::witness::{Witness, WitnessFault};
use crate::core::ledger::{Batch, Beside, EndReason, Ledger};

pub use fault::{LockReason, StoreFault};

/// An open store; nobody else has it open.
#[derive(Debug)]
pub struct Store {
    connection: SqliteConnection,
    path: PathBuf,
    witness: Option<Witness>,
    failed: bool,
    _lock: File,
}

/// A store whose entries were read but not yet held against the witness.
#[derive(Debug)]
pub struct Unwitnessed {
    store: Store,
    ledger: Ledger,
    witness_path: PathBuf,
    verdict: Result<Option<Witness>, LockReason>,
    /// Hash of every entry, from the first.
    hashes: Vec<Hash32>,
}

impl Store {
    /// Opens ledger and witness (and makes both on first use), verifies the chain, holds one against the other.
    ///
    /// # Errors
    ///
    /// Another process has it open; it cannot be read or written; the chain is broken; it disagrees with the witness.
    pub async fn open(ledger: &Path, witness: &Path) -> Result<(Self, Ledger), StoreFault> {
        Unwitnessed::open(ledger, witness).await?.admit()
    }

    /// Writes a batch in one durable transaction, then the witness.
    ///
    /// # Errors
    ///
    /// Disk full, read-only or broken. The batch may or may not be on disk then: nothing of it may be sent, and nothing more
    /// is written through this store.
    pub async fn append(&mut self, batch: &Batch) -> Result<Head, StoreFault> {
        if self.failed {
            return Err(StoreFault::Stopped {
                path: self.path.clone(),
            });
        }
        // Until the end it counts as failed: a caller that goes away half way must not go on writing.
        self.failed = true;
        self.commit(batch)
            .await
            .map_err(|source| StoreFault::of(&self.path, source))?;
        if let Some(witness) = &self.witness {
            witness.write(batch.head)?;
        }
        self.failed = false;
        Ok(batch.head)
    }

    async fn commit(&mut self, batch: &Batch) -> Result<(), sqlx::Error> {
        let mut transaction = self.connection.begin().await?;
        for record in &batch.records {
            sqlx::query("INSERT INTO entries (seq, bytes) VALUES ($1, $2)")
                .bind(record.seq.cast_signed())
                .bind(record.bytes.as_slice())
                .execute(&mut *transaction)
                .await?;
            match &record.beside {
                Beside::Nothing => {}
                Beside::Store {
                    study,
                    round,
                    attempt,
                    update,
                } => {
                    sqlx::query(
                        "INSERT INTO updates (study, round, attempt, bytes) VALUES ($1, $2, $3, $4)",
                    )
                    .bind(study.0.as_slice())
                    .bind(*round)
                    .bind(*attempt)
                    .bind(update.as_slice())
                    .execute(&mut *transaction)
                    .await?;
                }
                Beside::Drop(study) => {
                    sqlx::query("DELETE FROM updates WHERE study = $1")
                        .bind(study.0.as_slice())
                        .execute(&mut *transaction)
                        .await?;
                }
            }
        }
        transaction.commit().await
    }

    /// The stored frame of a charged update.
    ///
    /// # Errors
    ///
    /// The file cannot be read.
    pub async fn recall(
        &mut self,
        study: &StudyHash,
        round: u32,
        attempt: u32,
    ) -> Result<Option<Vec<u8>>, StoreFault> {
        let found = sqlx::query(
            "SELECT bytes FROM updates WHERE study = $1 AND round = $2 AND attempt = $3",
        )
        .bind(study.0.as_slice())
        .bind(round)
        .bind(attempt)
        .fetch_optional(&mut self.connection)
        .await;
        let found = found.map_err(|source| StoreFault::of(&self.path, source))?;
        Ok(found.map(|row| row.get::<Vec<u8>, _>(0)))
    }

    /// Closes the file in good order.
    ///
    /// # Errors
    ///
    /// The disk refuses; what was committed is safe all the same.
    pub async fn close(self) -> Result<(), StoreFault> {
        if let Some(witness) = &self.witness {
            witness.sync()?;
        }
        let closed = self.connection.close().await;
        closed.map_err(|source| StoreFault::of(&self.path, source))
    }
}

impl Unwitnessed {
    /// Opens the file, verifies the chain and reads the witness, without a verdict yet.
    ///
    /// # Errors
    ///
    /// Another process has it open, it cannot be read or written, or the chain is broken.
    pub async fn open(ledger: &Path, witness: &Path) -> Result<Self, StoreFault> {
        if ledger == witness {
            return Err(StoreFault::SamePath {
                path: ledger.to_owned(),
            });
        }
        let lock = lock(ledger)?;
        let mut store = Store {
            connection: connect(ledger)
                .await
                .map_err(|source| StoreFault::of(ledger, source))?,
            path: ledger.to_owned(),
            witness: None,
            failed: false,
            _lock: lock,
        };
        let (folded, hashes) = store.read().await?;
        let verdict = compare(&hashes, witness)?;
        Ok(Self {
            store,
            ledger: folded,
            witness_path: witness.to_owned(),
            verdict,
            hashes,
        })
    }

    /// The ledger as it is on disk.
    #[must_use]
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Why it is locked, if it is.
    #[must_use]
    pub fn lock_reason(&self) -> Option<&LockReason> {
        self.verdict.as_ref().err()
    }

    /// The store, if ledger and witness agree (or both are new).
    ///
    /// # Errors
    ///
    /// They disagree: the node is locked until its operator decides.
    pub fn admit(mut self) -> Result<(Store, Ledger), StoreFault> {
        let head = self.ledger.durable();
        let witness = match self.verdict {
            Err(reason) => {
                return Err(StoreFault::Locked {
                    path: self.store.path.clone(),
                    reason,
                });
            }
            Ok(None) => Witness::create(&self.witness_path, head)?,
            Ok(Some(witness)) => {
                witness.write(head)?;
                witness
            }
        };
        self.store.witness = Some(witness);
        Ok((self.store, self.ledger))
    }

    /// Whether the chain passes through this head.
    #[must_use]
    pub fn contains(&self, head: Head) -> bool {
        is_in(&self.hashes, head)
    }

    /// Counts this much as spent under every cap, ends every study, and unlocks the ledger. For the operator's own decision only.
    ///
    /// What is lost may have been charged by the very studies that are open here: their reservations must not be spent again.
    ///
    /// # Errors
    ///
    /// Ledger or witness cannot be written; the ledger stays locked then.
    pub async fn write_off(mut self, now: Timestamp, urho: MicroRho) -> Result<(), StoreFault> {
        let open = self.ledger.open_studies().map(|(study, _)| *study);
        let waiting = self.ledger.waiting().map(|(study, _)| *study);
        for study in open.chain(waiting).collect::<Vec<_>>() {
            self.ledger.give_back(now, study, EndReason::Withdrawn);
        }
        self.ledger.write_off(now, urho);
        let batch = self.ledger.next_batch();
        // The ledger first: a crash in between leaves it locked, not unlocked without the entry.
        if let Some(batch) = batch {
            let head = self.store.append(&batch).await?;
            self.ledger.confirm(head);
        }
        let (store, _) = self.overrule()?;
        store.close().await
    }

    /// Closes the file; the lock is held by what is returned, until it is dropped.
    ///
    /// # Errors
    ///
    /// The disk refuses.
    pub async fn retire(self) -> Result<File, StoreFault> {
        let Store {
            connection,
            path,
            _lock,
            ..
        } = self.store;
        let closed = connection.close().await;
        closed.map_err(|source| StoreFault::of(&path, source))?;
        Ok(_lock)
    }

    /// The store, with the witness made anew from the ledger as it is. For the operator's own decision only.
    ///
    /// # Errors
    ///
    /// The witness cannot be written.
    pub fn overrule(mut self) -> Result<(Store, Ledger), StoreFault> {
        let head = self.ledger.durable();
        self.store.witness = Some(Witness::create(&self.witness_path, head)?);
        Ok((self.store, self.ledger))
    }
}

impl Store {
    /// Folds all entries.
    async fn read(&mut self) -> Result<(Ledger, Vec<Hash32>), StoreFault> {
        let (mut ledger, mut hashes) = (Ledger::default(), Vec::new());
        let rows = sqlx::query("SELECT bytes FROM entries ORDER BY seq")
            .fetch_all(&mut self.connection)
            .await
            .map_err(|source| StoreFault::of(&self.path, source))?;
        for row in rows {
            ledger.follow(row.get::<&[u8], _>(0))?;
            hashes.push(ledger.durable().hash);
        }
        Ok((ledger, hashes))
    }
}

/// Holds the entries against the witness.
fn compare(
    hashes: &[Hash32],
    witness: &Path,
) -> Result<Result<Option<Witness>, LockReason>, StoreFault> {
    let ledger = hashes.len() as u64;
    let (file, head) = match Witness::open(witness) {
        Ok(Some(found)) => found,
        Ok(None) if ledger == 0 => return Ok(Ok(None)),
        Ok(None) => return Ok(Err(LockReason::Missing { ledger })),
        Err(WitnessFault::Unreadable { .. }) => return Ok(Err(LockReason::Unreadable)),
        Err(fault) => return Err(fault.into()),
    };
    if is_in(hashes, head) {
        return Ok(Ok(Some(file)));
    }
    let (seq, witness) = (head.seq, head.seq);
    if seq > ledger {
        return Ok(Err(LockReason::Behind { ledger, witness }));
    }
    Ok(Err(LockReason::Forked { seq }))
}

/// Whether a chain passes through a head.
fn is_in(hashes: &[Hash32], head: Head) -> bool {
    let before = usize::try_from(head.seq)
        .ok()
        .and_then(|seq| seq.checked_sub(1));
    match before {
        None => head == Head::default(),
        Some(index) => hashes.get(index) == Some(&head.hash),
    }
}

async fn connect(path: &Path) -> Result<SqliteConnection, sqlx::Error> {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .locking_mode(SqliteLockingMode::Exclusive)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .pragma("cache_size", "-512");
    let mut connection = SqliteConnection::connect_with(&options).await?;
    for statement in SCHEMA {
        sqlx::query(statement).execute(&mut connection).await?;
    }
    Ok(connection)
}

/// A lock of the operating system: it goes with the process, however that ends.
fn lock(ledger: &Path) -> Result<File, StoreFault> {
    let fault = |source: io::Error| StoreFault::of_io(ledger, source);
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    // The ledger too is made here, so that only its owner can ever read it.
    options.mode(0o600).open(ledger).map_err(fault)?;
    let mut name = ledger.as_os_str().to_owned();
    name.push(".lock");
    let lock = options.open(PathBuf::from(name)).map_err(fault)?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(StoreFault::InUse {
            path: ledger.to_owned(),
        }),
        Err(TryLockError::Error(source)) => Err(fault(source)),
    }
}

const SCHEMA: [&str; 2] = [
    "CREATE TABLE IF NOT EXISTS entries (seq INTEGER PRIMARY KEY, bytes BLOB NOT NULL) STRICT",
    "CREATE TABLE IF NOT EXISTS updates (study BLOB NOT NULL, round INTEGER NOT NULL, attempt INTEGER NOT NULL, \
     bytes BLOB NOT NULL, PRIMARY KEY (study, round, attempt)) STRICT, WITHOUT ROWID",
];
