//! The node's store: one SQLite file with the ledger's entries and the updates they paid for, and the witness beside it.
//!
//! One process at a time; one durable transaction per batch. A ledger that disagrees with its witness stays locked.

mod fault;
mod recent;
#[cfg(test)]
mod tests;

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use aquifer_shared::base::ids::StudyHash;
use aquifer_shared::base::time::Timestamp;
use aquifer_shared::base::units::MicroRho;
use aquifer_shared::protocol::chain::Head;
use aquifer_shared::shell::at_rest::{DatabaseKey, Shape, open_sqlite};
use aquifer_shared::shell::statements::{Statements, places};
use futures_util::StreamExt;
use sqlx::sqlite::SqliteConnection;
use sqlx::{Connection, Row};

use super::witness::{Witness, WitnessFault};
use crate::core::ledger::{Adoption, Batch, Beside, EndReason, Ledger, LockReason, Lost, SeenBy};

pub use fault::StoreFault;
use recent::Recent;

/// An open store; nobody else has it open.
#[derive(Debug)]
pub struct Store {
    connection: SqliteConnection,
    path: PathBuf,
    witness: Option<Witness>,
    /// The newest durable entries, which are sent to a mirror as soon as they are there.
    recent: Recent,
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
    /// What the witness names, if it can be read.
    witnessed: Option<Head>,
}

impl Store {
    /// Opens ledger and witness (and makes both on first use), verifies the chain, holds one against the other.
    ///
    /// # Errors
    ///
    /// Another process has it open; it cannot be read or written; the chain is broken; it disagrees with the witness.
    pub async fn open(
        ledger: &Path,
        witness: &Path,
        key: &DatabaseKey,
    ) -> Result<(Self, Ledger), StoreFault> {
        Unwitnessed::open(ledger, witness, key).await?.admit()
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
        let records = batch.records.iter();
        self.recent
            .add(records.map(|record| (record.seq, &record.bytes)));
        Ok(batch.head)
    }

    async fn commit(&mut self, batch: &Batch) -> Result<(), sqlx::Error> {
        let mut statements = Statements::default();
        for some in batch.records.chunks(ROWS) {
            let rows = places(some.len(), 2);
            statements.say(&format!("INSERT INTO entries (seq, bytes) VALUES {rows}"));
            for record in some {
                statements.bind(record.seq.cast_signed())?;
                statements.bind(record.bytes.as_slice())?;
            }
        }
        for record in &batch.records {
            match &record.beside {
                Beside::Nothing => {}
                Beside::Store {
                    study,
                    round,
                    attempt,
                    update,
                } => {
                    statements.say(
                        "INSERT INTO updates (study, round, attempt, bytes) VALUES (?, ?, ?, ?)",
                    );
                    statements.bind(study.0.as_slice())?.bind(*round)?;
                    statements.bind(*attempt)?.bind(update.as_slice())?;
                }
                Beside::Drop(study) => {
                    statements.say("DELETE FROM updates WHERE study = ?");
                    statements.bind(study.0.as_slice())?;
                }
            }
        }
        statements.commit(&mut self.connection).await
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
    pub async fn open(
        ledger: &Path,
        witness: &Path,
        key: &DatabaseKey,
    ) -> Result<Self, StoreFault> {
        if ledger == witness {
            return Err(StoreFault::SamePath {
                path: ledger.to_owned(),
            });
        }
        let lock = lock(ledger)?;
        let mut store = Store {
            connection: connect(ledger, key)
                .await
                .map_err(|source| StoreFault::of(ledger, source))?,
            path: ledger.to_owned(),
            witness: None,
            recent: Recent::default(),
            failed: false,
            _lock: lock,
        };
        let folded = store.read().await?;
        let (verdict, witnessed) = compare(&folded, witness)?;
        Ok(Self {
            store,
            ledger: folded,
            witness_path: witness.to_owned(),
            verdict,
            witnessed,
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

    /// What the witness names, if it can be read.
    #[must_use]
    pub fn witnessed(&self) -> Option<Head> {
        self.witnessed
    }

    /// All entries, as they are encoded.
    ///
    /// # Errors
    ///
    /// The file cannot be read.
    pub async fn entries(&mut self) -> Result<Vec<Vec<u8>>, StoreFault> {
        self.store.links_after(0, usize::MAX).await
    }

    /// Counts this much as spent under every cap, ends every study, gives up the pasts that a witness or mirror named, and
    /// unlocks the ledger. For the operator's own decision only.
    ///
    /// What is lost may have been charged by the very studies that are open here: their reservations must not be spent again.
    ///
    /// # Errors
    ///
    /// Ledger or witness cannot be written; the ledger stays locked then.
    pub async fn write_off(
        mut self,
        now: Timestamp,
        urho: MicroRho,
        (given_up, common): (Vec<Head>, u64),
    ) -> Result<(), StoreFault> {
        // Nobody knows what was charged: it counts at its worst under the cap of the floor as well.
        let lost = Lost::at_worst(urho);
        self.ledger.write_off(now, lost, given_up, common);
        let open = self.ledger.open_studies().map(|(study, _)| *study);
        let waiting = self.ledger.waiting().map(|(study, _)| *study);
        for study in open.chain(waiting).collect::<Vec<_>>() {
            self.ledger.give_back(now, study, EndReason::Withdrawn);
        }
        let batch = self.ledger.next_batch();
        // The ledger first: a crash in between leaves it locked, not unlocked without the entry.
        if let Some(batch) = batch {
            let head = self.store.append(&batch).await?;
            self.ledger.confirm(head);
        }
        let (store, _) = self.overrule()?;
        store.close().await
    }

    /// Goes on with another chain of this node's own signatures, in one transaction. For the operator's own decision only.
    ///
    /// # Errors
    ///
    /// Ledger or witness cannot be written; the ledger stays locked then.
    pub async fn adopt(mut self, adoption: Adoption, mirror: Head) -> Result<(), StoreFault> {
        if adoption.ledger.contains(mirror) {
            // After a crash in between, the witness names what the mirror can bring once more.
            Witness::create(&self.witness_path, mirror)?;
        }
        let path = self.store.path.clone();
        let exchanged = self.store.exchange(&adoption).await;
        exchanged.map_err(|source| StoreFault::of(&path, source))?;
        self.ledger = adoption.ledger;
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
    /// Durable entries after this one, in order: as many as these bytes allow, and at least one if there are any.
    ///
    /// # Errors
    ///
    /// The file cannot be read.
    pub async fn links_after(
        &mut self,
        after: u64,
        bytes_max: usize,
    ) -> Result<Vec<Vec<u8>>, StoreFault> {
        if let Some(links) = self.recent.after(after, bytes_max) {
            return Ok(links);
        }
        let (mut links, mut bytes) = (Vec::<Vec<u8>>::new(), 0_usize);
        let mut rows = sqlx::query("SELECT bytes FROM entries WHERE seq > $1 ORDER BY seq")
            .bind(after.cast_signed())
            .fetch(&mut self.connection);
        while let Some(row) = rows.next().await {
            let row = row.map_err(|source| StoreFault::of(&self.path, source))?;
            let link = row.get::<Vec<u8>, _>(0);
            bytes = bytes.saturating_add(link.len());
            if bytes > bytes_max && !links.is_empty() {
                break;
            }
            links.push(link);
        }
        Ok(links)
    }

    /// Folds all entries.
    async fn read(&mut self) -> Result<Ledger, StoreFault> {
        let mut ledger = Ledger::default();
        for link in self.links_after(0, usize::MAX).await? {
            ledger.follow(&link)?;
        }
        Ok(ledger)
    }

    async fn exchange(&mut self, adoption: &Adoption) -> Result<(), sqlx::Error> {
        self.recent = Recent::default();
        let mut transaction = self.connection.begin().await?;
        sqlx::query("DELETE FROM entries WHERE seq > $1")
            .bind(adoption.keep.cast_signed())
            .execute(&mut *transaction)
            .await?;
        for (study, round, attempt) in &adoption.dropped {
            sqlx::query("DELETE FROM updates WHERE study = $1 AND round = $2 AND attempt = $3")
                .bind(study.0.as_slice())
                .bind(*round)
                .bind(*attempt)
                .execute(&mut *transaction)
                .await?;
        }
        for (seq, bytes) in &adoption.links {
            sqlx::query("INSERT INTO entries (seq, bytes) VALUES ($1, $2)")
                .bind(seq.cast_signed())
                .bind(bytes.as_slice())
                .execute(&mut *transaction)
                .await?;
        }
        transaction.commit().await
    }
}

/// The witness where it agrees (none where it is to be made anew), and what it names.
type Verdict = (Result<Option<Witness>, LockReason>, Option<Head>);

/// Holds the entries against the witness.
fn compare(ledger: &Ledger, witness: &Path) -> Result<Verdict, StoreFault> {
    let entries = ledger.durable().seq;
    let (file, head) = match Witness::open(witness) {
        Ok(Some(found)) => found,
        Ok(None) if entries == 0 => return Ok((Ok(None), None)),
        Ok(None) => return Ok((Err(LockReason::Missing { ledger: entries }), None)),
        Err(WitnessFault::Unreadable { .. }) => return Ok((Err(LockReason::Unreadable), None)),
        Err(fault) => return Err(fault.into()),
    };
    let agrees = ledger.held_against(head, SeenBy::Witness);
    // A witness of a past that was given up names nothing of this one.
    let file = agrees.map(|()| ledger.contains(head).then_some(file));
    Ok((file, Some(head)))
}

async fn connect(path: &Path, key: &DatabaseKey) -> Result<SqliteConnection, sqlx::Error> {
    let mut connection = open_sqlite(path, key, Shape::Exclusive).await?;
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

/// Entries of one statement.
const ROWS: usize = 64;
const SCHEMA: [&str; 2] = [
    "CREATE TABLE IF NOT EXISTS entries (seq INTEGER PRIMARY KEY, bytes BLOB NOT NULL) STRICT",
    "CREATE TABLE IF NOT EXISTS updates (study BLOB NOT NULL, round INTEGER NOT NULL, attempt INTEGER NOT NULL, \
     bytes BLOB NOT NULL, PRIMARY KEY (study, round, attempt)) STRICT, WITHOUT ROWID",
];
