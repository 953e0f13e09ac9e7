//! The ledger's file: SQLite in WAL mode, so that a running node reads while a command writes.

use std::path::{Path, PathBuf};

use aquifer_shared::base::hash::labelled;
use aquifer_shared::base::ids::Hash32;
use aquifer_shared::domain::history::{BadPayload, Kind};
use aquifer_shared::protocol::codec::CodecError;
use aquifer_shared::shell::at_rest::{Shape, open_sqlite};
use aquifer_shared::shell::keys::{KeyFault, random_bytes32};
use futures_util::StreamExt as _;
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{Connection as _, Row as _};
use tokio::runtime::Runtime;

use super::batch::{Batch, Written};
use super::outbox::{Told, drawn_key, payload};
use super::record;
use super::steps::{advance, begin};
use super::tombstone::Tombstone;
use crate::core::consent::{ConsentEvent, Notice, NoticeBook, NoticeFault, SubjectKey, SubjectRef};
use crate::shell::at_rest;
use crate::shell::steps::TABLE;

/// The ledger, open. Blocks while it works.
///
/// # Privacy
///
/// Persons are keyed references; ids of sources and of their events are not kept. The file is readable for its owner alone.
pub struct ConsentLedger {
    pub(super) path: PathBuf,
    pub(super) runtime: Runtime,
    pub(super) connection: SqliteConnection,
}

/// The ledger cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConsentFault {
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
    /// An entry that is none.
    #[error("{}, event {seq}: {source}", path.display())]
    Event {
        /// The file.
        path: PathBuf,
        /// Which.
        seq: i64,
        /// What is wrong.
        source: CodecError,
    },
    /// Its notices do not hold together.
    #[error("{}: {source}", path.display())]
    Notices {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: NoticeFault,
    },
    /// Its key cannot be had.
    #[error("the consent ledger's key cannot be had")]
    Key(#[source] anyhow::Error),
    /// The process cannot start what reads it.
    #[error("the runtime did not start")]
    Runtime(#[source] std::io::Error),
    /// There is nothing to draw salts from.
    #[error("no salt could be drawn for a record of consent")]
    Random(#[source] KeyFault),
    /// What the history is told is no payload of it.
    #[error("{kind} is not told to the history")]
    Payload {
        /// What.
        kind: Kind,
        /// What is wrong.
        source: BadPayload,
    },
}

/// By what a source knows an event: a keyed digest, so that neither the id itself is kept nor one of the customer within it.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct EventKey(pub [u8; 16]);

impl EventKey {
    /// The key of an event of a source.
    #[must_use]
    pub fn of(key: &SubjectKey, source: &str, event_id: &str) -> Self {
        Self(key.event(source, event_id))
    }

    /// The order of the event among those of one moment.
    #[must_use]
    pub fn order(self) -> u64 {
        let [a, b, c, d, e, f, g, h, ..] = self.0;
        u64::from_be_bytes([a, b, c, d, e, f, g, h])
    }
}

/// How far somebody has read.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Position {
    event: i64,
    tombstone: i64,
}

impl Position {
    /// The number of the last event that was read.
    #[must_use]
    pub fn events(self) -> i64 {
        self.event
    }
}

/// What came of an event that was to be written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Taken {
    /// It is new.
    New,
    /// It was there.
    Known,
    /// Another one is there under its key.
    Contradicts,
    /// The person was erased, and does not come back.
    Erased,
}

impl ConsentLedger {
    /// Opens the ledger of a node's directory; makes it where there is none.
    ///
    /// # Errors
    ///
    /// It cannot be opened.
    pub fn open(directory: &Path) -> Result<Self, ConsentFault> {
        let path = directory.join(LEDGER_FILE);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(ConsentFault::Runtime)?;
        let key = at_rest::vault(directory).map_err(ConsentFault::Key)?;
        let key = key.database(at_rest::CONSENT);
        let drawn = drawn_key()?;
        let opened = runtime.block_on(async {
            let mut connection = open_sqlite(&path, &key, Shape::Shared(BUSY_WAIT)).await?;
            for statement in SCHEMA {
                sqlx::query(statement).execute(&mut connection).await?;
            }
            begin(&mut connection, &drawn).await?;
            Ok(connection)
        });
        match opened {
            Ok(connection) => Ok(Self {
                path,
                runtime,
                connection,
            }),
            Err(source) => Err(ConsentFault::Database {
                what: "open",
                path,
                source,
            }),
        }
    }

    /// Events after a position, in the order in which they were written, and the position of the last: so many that they fit into memory, and
    /// none only where there are no more. Erased persons come as blocked from everything until their time.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or an event is none.
    pub fn since(
        &mut self,
        after: Position,
    ) -> Result<(Vec<ConsentEvent>, Position), ConsentFault> {
        let query = "SELECT seq, bytes FROM events WHERE seq > $1 ORDER BY seq LIMIT $2";
        let bind = |query: Prepared| query.bind(after.event).bind(PAGE_EVENTS);
        let (mut found, event) = self.events(query, bind, after.event)?;
        let tombstones = self.tombstones(after.tombstone)?;
        let last = tombstones.last().map(|(number, _)| *number);
        let position = Position {
            event,
            tombstone: last.unwrap_or(after.tombstone),
        };
        let tombstones = tombstones.into_iter().map(|(_, tombstone)| tombstone);
        found.extend(tombstones.flat_map(Tombstone::into_events));
        Ok((found, position))
    }

    /// Events with a number above `after` and up to another, in the order in which they were written, and the number of the last: so many
    /// that they fit into memory, and none only where there are no more. Erasures have left theirs out.
    ///
    /// # Errors
    ///
    /// As [`ConsentLedger::since`].
    pub fn between(
        &mut self,
        after: i64,
        upto: i64,
    ) -> Result<(Vec<ConsentEvent>, i64), ConsentFault> {
        let query =
            "SELECT seq, bytes FROM events WHERE seq > $1 AND seq <= $3 ORDER BY seq LIMIT $2";
        let bind = |query: Prepared| query.bind(after).bind(PAGE_EVENTS).bind(upto);
        self.events(query, bind, after)
    }

    /// Events of one person.
    ///
    /// # Errors
    ///
    /// As [`ConsentLedger::since`].
    pub fn of_person(&mut self, subject: SubjectRef) -> Result<Vec<ConsentEvent>, ConsentFault> {
        let query = "SELECT seq, bytes FROM events WHERE subject = $1 ORDER BY seq";
        let subject = subject.0.to_be_bytes().to_vec();
        let found = self.events(query, |query| query.bind(subject), 0)?;
        Ok(found.0)
    }

    /// Everybody about whom there are events.
    ///
    /// # Errors
    ///
    /// The file cannot be read.
    ///
    /// # Privacy
    ///
    /// By keyed references, which stay at the node.
    pub fn persons(&mut self) -> Result<Vec<SubjectRef>, ConsentFault> {
        let rows = sqlx::query("SELECT DISTINCT subject FROM events");
        let rows = self.runtime.block_on(rows.fetch_all(&mut self.connection));
        let rows = rows.map_err(|source| fault(&self.path, "read", source))?;
        let read = |row: &SqliteRow| {
            let bytes: Option<[u8; 16]> = row.get::<&[u8], _>("subject").try_into().ok();
            bytes.map(|own| SubjectRef(u128::from_be_bytes(own)))
        };
        Ok(rows.iter().filter_map(read).collect())
    }

    /// The latest moment at which something was written: time does not run backwards in here.
    ///
    /// # Errors
    ///
    /// The file cannot be read.
    pub fn latest(&mut self) -> Result<i64, ConsentFault> {
        let latest = latest(&mut self.connection);
        let latest = self.runtime.block_on(latest);
        latest.map_err(|source| fault(&self.path, "read", source))
    }

    /// Writes events in one durable transaction: those that `next` gives until it ends, each as far as it is new. `keep` decides at
    /// the end what the history is told of it; where it says nothing, nothing is kept. All are written down at the same time: that of
    /// `clock`, and never before what is there.
    ///
    /// # Errors
    ///
    /// What `next` or `keep` say, or the file cannot be written: nothing was written then.
    pub fn write<E: From<ConsentFault>>(
        &mut self,
        clock: impl FnOnce() -> i64,
        mut next: impl FnMut(Option<Taken>) -> Result<Option<(EventKey, ConsentEvent)>, E>,
        keep: impl FnOnce(&Written) -> Result<Option<Told>, E>,
    ) -> Result<(), E> {
        let path = self.path.clone();
        let could_not = |source| E::from(fault(&path, "write", source));
        let batch_key = drawn_key()?;
        let connection = &mut self.connection;
        let written = self.runtime.block_on(async {
            // Keys of events come in no order: pages that had to be read and decrypted again for each would take most of the time.
            let larger = sqlx::query(WRITING_CACHE).execute(&mut *connection);
            larger.await.map_err(could_not)?;
            let mut transaction = connection
                .begin_with("BEGIN IMMEDIATE")
                .await
                .map_err(could_not)?;
            let latest = latest(&mut transaction).await.map_err(could_not)?;
            let recorded_at = latest.max(clock());
            let batch = Batch::begin(&mut transaction, &batch_key, recorded_at).await;
            let mut batch = batch.map_err(could_not)?;
            let mut before = None;
            while let Some((key, mut event)) = next(before)? {
                event.recorded_at = recorded_at;
                let salt = random_bytes32().map_err(ConsentFault::Random)?;
                let said = (&event, &salt);
                let taken = take(&mut transaction, key, said, &batch).await;
                let taken = taken.map_err(could_not)?;
                let counted = batch.count(&mut transaction, taken, said).await;
                counted.map_err(could_not)?;
                before = Some(taken);
            }
            let Some(told) = keep(batch.written())? else {
                return transaction.rollback().await.map_err(could_not);
            };
            let checked = told.payload.to_payload();
            checked.map_err(|source| payload(told.kind, source))?;
            let finished = batch.finish(&mut transaction, &told).await;
            finished.map_err(could_not)?;
            transaction.commit().await.map_err(could_not)
        });
        // What was written is written, whether memory is given back or not.
        let smaller = sqlx::query(READING_CACHE).execute(&mut self.connection);
        let _ = self.runtime.block_on(smaller);
        written
    }

    /// The notices of the unit.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or they do not hold together.
    pub fn notices(&mut self) -> Result<NoticeBook, ConsentFault> {
        let rows = sqlx::query("SELECT * FROM notices ORDER BY number");
        let rows = self.runtime.block_on(rows.fetch_all(&mut self.connection));
        let rows = rows.map_err(|source| fault(&self.path, "read", source))?;
        let notices = rows.iter().filter_map(notice).collect();
        NoticeBook::new(notices).map_err(|source| ConsentFault::Notices {
            path: self.path.clone(),
            source,
        })
    }

    /// Adds notices to the list; those that are there stay as they are.
    ///
    /// # Errors
    ///
    /// The file cannot be written, or the list does not hold together any more: nothing was written then.
    pub fn add_notices(&mut self, new: &[Notice]) -> Result<usize, ConsentFault> {
        let known = self.notices()?;
        let new = new
            .iter()
            .filter(|notice| known.number(&notice.sha256).is_none());
        let new: Vec<Notice> = new.cloned().collect();
        let all = (0..known.len()).filter_map(|number| known.get(number as u16).cloned());
        let all = all.chain(new.iter().cloned()).collect();
        NoticeBook::new(all).map_err(|source| ConsentFault::Notices {
            path: self.path.clone(),
            source,
        })?;
        let drawn = drawn_key()?;
        let connection = &mut self.connection;
        let written = self.runtime.block_on(async {
            let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
            if !new.is_empty() {
                advance(&mut transaction, &drawn).await?;
            }
            for (number, notice) in (known.len()..).zip(&new) {
                sqlx::query("INSERT INTO notices VALUES ($1, $2, $3, $4, $5, $6, $7)")
                    .bind(number as i64)
                    .bind(notice.id.as_str())
                    .bind(notice.version)
                    .bind(&notice.lang)
                    .bind(notice.sha256.0.as_slice())
                    .bind(notice.material)
                    .bind(notice.signer.as_deref())
                    .execute(&mut *transaction)
                    .await?;
            }
            transaction.commit().await
        });
        written.map_err(|source| fault(&self.path, "write", source))?;
        Ok(new.len())
    }

    fn events(
        &mut self,
        query: &'static str,
        bind: impl FnOnce(Prepared) -> Prepared,
        after: i64,
    ) -> Result<(Vec<ConsentEvent>, i64), ConsentFault> {
        let (path, connection) = (&self.path, &mut self.connection);
        self.runtime.block_on(async {
            let mut rows = bind(sqlx::query(query)).fetch(connection);
            let (mut found, mut last) = (Vec::new(), after);
            while let Some(row) = rows.next().await {
                let row = row.map_err(|source| fault(path, "read", source))?;
                last = row.get("seq");
                let event = record::read(row.get::<&[u8], _>("bytes"));
                found.push(event.map_err(|source| ConsentFault::Event {
                    path: path.clone(),
                    seq: last,
                    source,
                })?);
            }
            Ok((found, last))
        })
    }
}

type Prepared = sqlx::query::Query<'static, sqlx::Sqlite, sqlx::sqlite::SqliteArguments>;

/// When something was written down last. Rows are in the order of time, so that the last one is enough.
pub(super) async fn latest(connection: &mut SqliteConnection) -> Result<i64, sqlx::Error> {
    let query = "SELECT MAX(COALESCE((SELECT recorded_at FROM events ORDER BY seq DESC LIMIT 1), 0), \
         COALESCE((SELECT at FROM tombstones ORDER BY number DESC LIMIT 1), 0)) AS latest";
    let row = sqlx::query(query).fetch_one(connection).await?;
    Ok(row.get("latest"))
}

async fn take(
    connection: &mut SqliteConnection,
    key: EventKey,
    (event, salt): (&ConsentEvent, &[u8; 32]),
    batch: &Batch,
) -> Result<Taken, sqlx::Error> {
    let subject = event.subject.0.to_be_bytes();
    let bytes = record::written(event);
    let content = content(event);
    let inserted = sqlx::query(
        "INSERT INTO events (key, subject, content, recorded_at, bytes, batch, place, salt) SELECT $1, $2, $3, $4, $5, $6, $7, $8 \
         WHERE NOT EXISTS (SELECT 1 FROM tombstones WHERE subject = $2 AND until > $4) \
         ON CONFLICT (key) DO NOTHING",
    )
    .bind(key.0.as_slice())
    .bind(subject.as_slice())
    .bind(content.0.as_slice())
    .bind(event.recorded_at)
    .bind(bytes)
    .bind(batch.number)
    .bind(batch.place())
    .bind(salt.as_slice())
    .execute(&mut *connection)
    .await?;
    if inserted.rows_affected() == 1 {
        return Ok(Taken::New);
    }
    let known = sqlx::query("SELECT content FROM events WHERE key = $1")
        .bind(key.0.as_slice())
        .fetch_optional(connection)
        .await?;
    Ok(match known {
        None => Taken::Erased,
        Some(row) if row.get::<&[u8], _>("content") == content.0.as_slice() => Taken::Known,
        Some(_) => Taken::Contradicts,
    })
}

/// What an event says, whenever it was written down.
fn content(event: &ConsentEvent) -> Hash32 {
    let plain = ConsentEvent {
        recorded_at: 0,
        ..event.clone()
    };
    labelled("aquifer/consent-content/1", &[&record::written(&plain)])
}

fn notice(row: &SqliteRow) -> Option<Notice> {
    Some(Notice {
        id: row.get::<&str, _>("id").parse().ok()?,
        version: row.get("version"),
        lang: row.get("lang"),
        sha256: Hash32(row.get::<&[u8], _>("sha256").try_into().ok()?),
        material: row.get("material"),
        signer: row.get("signer"),
    })
}

pub(super) fn fault(path: &Path, what: &'static str, source: sqlx::Error) -> ConsentFault {
    ConsentFault::Database {
        what,
        path: path.to_owned(),
        source,
    }
}

/// Events that are read at once.
const PAGE_EVENTS: i64 = 100_000;
/// Name of the ledger in a node's directory.
pub const LEDGER_FILE: &str = "consent.db";
/// 256 MiB, taken as they are needed: the index over 3,000,000 events.
const WRITING_CACHE: &str = "PRAGMA cache_size = -262144";
/// What a ledger has otherwise.
const READING_CACHE: &str = "PRAGMA cache_size = -2000";
/// How long one waits for another who writes.
const BUSY_WAIT: std::time::Duration = std::time::Duration::from_secs(30);
/// Numbers are never given again, so that who has read up to one misses nothing after a deletion.
const SCHEMA: [&str; 13] = [
    TABLE,
    "CREATE TABLE IF NOT EXISTS events (seq INTEGER PRIMARY KEY AUTOINCREMENT, key BLOB NOT NULL UNIQUE, subject BLOB NOT NULL, \
     content BLOB NOT NULL, recorded_at INTEGER NOT NULL, bytes BLOB NOT NULL, batch INTEGER NOT NULL, place INTEGER NOT NULL, \
     salt BLOB NOT NULL)",
    "CREATE INDEX IF NOT EXISTS events_of_subject ON events (subject)",
    "CREATE TABLE IF NOT EXISTS notices (number INTEGER PRIMARY KEY, id TEXT NOT NULL, version INTEGER NOT NULL, lang TEXT NOT NULL, \
     sha256 BLOB NOT NULL UNIQUE, material INTEGER NOT NULL, signer TEXT)",
    "CREATE TABLE IF NOT EXISTS tombstones (number INTEGER PRIMARY KEY AUTOINCREMENT, subject BLOB NOT NULL, at INTEGER NOT NULL, \
     until INTEGER NOT NULL)",
    "CREATE INDEX IF NOT EXISTS tombstones_of_subject ON tombstones (subject)",
    "CREATE TABLE IF NOT EXISTS commitments (batch INTEGER NOT NULL, chunk INTEGER NOT NULL, hashes BLOB NOT NULL, \
     PRIMARY KEY (batch, chunk))",
    "CREATE TABLE IF NOT EXISTS outbox (number INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL UNIQUE, subject BLOB, \
     kind INTEGER NOT NULL, payload BLOB, place INTEGER, gone INTEGER NOT NULL DEFAULT 0)",
    "CREATE TABLE IF NOT EXISTS decided (number INTEGER PRIMARY KEY, policy BLOB NOT NULL)",
    "CREATE INDEX IF NOT EXISTS outbox_open ON outbox (number) WHERE place IS NULL OR gone = 1",
    "CREATE INDEX IF NOT EXISTS outbox_of_subject ON outbox (subject) WHERE subject IS NOT NULL",
    "CREATE TABLE IF NOT EXISTS receipts (number INTEGER PRIMARY KEY, subject BLOB NOT NULL, purpose TEXT NOT NULL, \
     facts BLOB NOT NULL, content TEXT NOT NULL)",
    "CREATE INDEX IF NOT EXISTS receipts_of_subject ON receipts (subject)",
];
