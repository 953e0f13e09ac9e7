//! Erased persons: their events are gone, and a mark keeps them out until its time is over.

use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{Connection as _, Row as _};

use super::ledger::{ConsentFault, ConsentLedger, fault, latest};
use super::outbox::drawn_key;
use super::steps::advance;
use crate::core::consent::{AgeSaid, ConsentEvent, EventKind, Scope, SubjectRef};

/// What an erasure took away.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Erased {
    /// Events.
    pub events: u64,
    /// Receipts.
    pub receipts: u64,
    /// Entries of the history that are about the person: whoever has it open takes payload and salt out of it.
    pub entries: u64,
    /// The file's log was emptied as well; where not, a reader held it open, and the next erasure or the last to close empties it.
    pub log_emptied: bool,
}

impl ConsentLedger {
    /// Deletes the events and receipts of a person, and keeps the person out until a time: what is imported about them later is refused,
    /// and whoever reads on from a `Position` learns that they are blocked. What the history was told of them is marked, so that it goes
    /// there too. In one durable transaction.
    ///
    /// # Errors
    ///
    /// The file cannot be written: nothing was deleted then.
    ///
    /// # Privacy
    ///
    /// The keyed reference stays, as the mark that keeps the person out. Pages are overwritten, and the log is emptied unless a reader
    /// holds it open.
    pub fn erase(
        &mut self,
        subject: SubjectRef,
        at: i64,
        until: i64,
    ) -> Result<Erased, ConsentFault> {
        let drawn = drawn_key()?;
        let connection = &mut self.connection;
        let erased = self.runtime.block_on(async {
            let times = (at, until);
            let [events, receipts, entries] = erase(connection, &drawn, subject, times).await?;
            let row = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)");
            let row = row.fetch_one(connection).await?;
            let log_emptied = row.get::<i64, _>(0) == 0;
            Ok(Erased {
                events,
                receipts,
                entries,
                log_emptied,
            })
        });
        erased.map_err(|source| fault(&self.path, "write", source))
    }

    /// Until when an erased person is kept out, if one is at this time.
    ///
    /// # Errors
    ///
    /// The file cannot be read.
    pub fn erased_until(
        &mut self,
        subject: SubjectRef,
        at: i64,
    ) -> Result<Option<i64>, ConsentFault> {
        let query = "SELECT MAX(until) AS until FROM tombstones WHERE subject = $1 AND until > $2";
        let row = sqlx::query(query)
            .bind(subject.0.to_be_bytes().to_vec())
            .bind(at)
            .fetch_one(&mut self.connection);
        let row = self.runtime.block_on(row);
        row.map(|row| row.get("until"))
            .map_err(|source| fault(&self.path, "read", source))
    }

    /// Everybody who was ever erased.
    ///
    /// # Errors
    ///
    /// The file cannot be read.
    ///
    /// # Privacy
    ///
    /// By keyed references, which stay at the node.
    pub fn erased(&mut self) -> Result<Vec<SubjectRef>, ConsentFault> {
        let tombstones = self.tombstones(0)?;
        Ok(tombstones.into_iter().map(|(_, own)| own.subject).collect())
    }

    /// Tombstones after a number, with theirs.
    pub(super) fn tombstones(&mut self, after: i64) -> Result<Vec<(i64, Tombstone)>, ConsentFault> {
        let query =
            "SELECT number, subject, at, until FROM tombstones WHERE number > $1 ORDER BY number";
        let rows = sqlx::query(query).bind(after);
        let rows = self.runtime.block_on(rows.fetch_all(&mut self.connection));
        let rows = rows.map_err(|source| fault(&self.path, "read", source))?;
        let read = |row: &SqliteRow| {
            let subject = row.get::<&[u8], _>("subject").try_into().ok()?;
            let tombstone = Tombstone {
                subject: SubjectRef(u128::from_be_bytes(subject)),
                at: row.get("at"),
                until: row.get("until"),
            };
            Some((row.get("number"), tombstone))
        };
        Ok(rows.iter().filter_map(read).collect())
    }
}

/// An erased person.
pub(super) struct Tombstone {
    subject: SubjectRef,
    at: i64,
    until: i64,
}

impl Tombstone {
    /// What it does to eligibility: everything ends and is blocked, and the block is lifted when its time is over.
    pub(super) fn into_events(self) -> [ConsentEvent; 3] {
        let happens = |kind, event_at| ConsentEvent {
            subject: self.subject,
            scope: Scope::All,
            kind,
            explicit: false,
            notice: None,
            event_at,
            recorded_at: self.at,
            valid_from: None,
            valid_until: None,
            age: AgeSaid::Unsaid,
            place: None,
            order: u64::MAX,
        };
        [
            happens(EventKind::Invalidated, self.at),
            happens(EventKind::Objected, self.at),
            happens(EventKind::ObjectionWithdrawn, self.until),
        ]
    }
}

async fn erase(
    connection: &mut SqliteConnection,
    drawn: &str,
    subject: SubjectRef,
    (at, until): (i64, i64),
) -> Result<[u64; 3], sqlx::Error> {
    let subject = subject.0.to_be_bytes().to_vec();
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    let at = latest(&mut transaction).await?.max(at);
    advance(&mut transaction, drawn).await?;
    let mut counts = [0; 3];
    for (count, statement) in counts.iter_mut().zip(ERASE) {
        let query = sqlx::query(statement).bind(&subject);
        *count = query.execute(&mut *transaction).await?.rows_affected();
    }
    sqlx::query("INSERT INTO tombstones (subject, at, until) VALUES ($1, $2, $3)")
        .bind(&subject)
        .bind(at)
        .bind(until)
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await?;
    Ok(counts)
}

/// Events, receipts, and what the history was told: it names the person until it is out of the history.
const ERASE: [&str; 3] = [
    "DELETE FROM events WHERE subject = $1",
    "DELETE FROM receipts WHERE subject = $1",
    "UPDATE outbox SET gone = 1, payload = NULL WHERE subject = $1",
];
