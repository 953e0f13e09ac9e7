//! What the history is told of the ledger: written in the transaction of what it is about, and kept until it is entered.
//!
//! Whoever has the history open enters it, by a key that is drawn once: what a crash interrupts is gone on with, and nothing is entered
//! twice. What is about one person is known by that person, so that an erasure finds it, in the history too.

use std::path::PathBuf;

use aquifer_shared::base::ids::Hash32;
use aquifer_shared::domain::history::{ActorKind, ActorRole, BadPayload, Event, Json, Kind};
use aquifer_shared::shell::keys::random_bytes32;
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{Connection as _, Row as _};

use super::ledger::{ConsentFault, ConsentLedger, fault};
use super::steps::advance;
use crate::core::chronicle::Keyed;
use crate::core::consent::SubjectRef;

/// Something that the history is told.
#[derive(Clone, PartialEq)]
pub struct Told {
    /// What happened.
    pub kind: Kind,
    /// Whom it is about, if it is about one person.
    pub subject: Option<SubjectRef>,
    /// Everything else.
    pub payload: Json,
}

impl std::fmt::Debug for Told {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Told({})", self.kind)
    }
}

/// A row that somebody must still do something about.
pub(super) struct Open {
    pub(super) number: i64,
    pub(super) key: String,
    kind: i64,
    payload: Option<Vec<u8>>,
    /// What a program decided by itself: under these rules.
    policy: Option<Vec<u8>>,
    /// Where it is in the history.
    pub(super) place: Option<u64>,
    /// It is about a person who was erased.
    pub(super) gone: bool,
}

impl Open {
    /// The event and its key: a person's act under the rules in force now, or a program's under those of its own time.
    pub(super) fn keyed(&self, rules: Hash32) -> anyhow::Result<Keyed> {
        let none = || anyhow::anyhow!("consent.db, outbox {}: not an event", self.number);
        let kind = u16::try_from(self.kind).ok().and_then(Kind::of_code);
        let payload = self.payload.as_deref().map(Json::parse);
        let payload = payload.and_then(Result::ok).ok_or_else(none)?;
        let event = Event::of_program(kind.ok_or_else(none)?, payload);
        let event = match &self.policy {
            Some(policy) => Event {
                policy: Hash32(policy.as_slice().try_into().map_err(|_| none())?),
                ..event
            },
            None => Event {
                policy: rules,
                ..event.by(ActorKind::Person, ActorRole::Unit)
            },
        };
        Ok((self.key.clone(), event))
    }

    fn read(row: &SqliteRow) -> Self {
        Self {
            number: row.get("number"),
            key: row.get("key"),
            kind: row.get("kind"),
            payload: row.get("payload"),
            policy: row.get("policy"),
            place: row.get::<Option<i64>, _>("place").map(i64::cast_unsigned),
            gone: row.get("gone"),
        }
    }
}

impl ConsentLedger {
    /// The directory that the ledger is in.
    #[must_use]
    pub fn directory(&self) -> PathBuf {
        self.path.parent().map(PathBuf::from).unwrap_or_default()
    }

    /// Writes down what the history is to be told; durable on return. None where it is about a person who was erased.
    ///
    /// # Errors
    ///
    /// The payload is none, or the file cannot be written.
    pub fn tell(&mut self, told: &Told, at: i64) -> Result<Option<i64>, ConsentFault> {
        let key = fresh_key(told)?;
        let (path, connection) = (&self.path, &mut self.connection);
        let written = self.runtime.block_on(async {
            let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
            let number = insert(&mut transaction, &key, told, at).await?;
            transaction.commit().await?;
            Ok(number)
        });
        written.map_err(|source| fault(path, "write", source))
    }

    /// The same for what a program decided by itself, about no one person: it is entered as that, under the rules that it was decided by.
    ///
    /// # Errors
    ///
    /// As [`ConsentLedger::tell`].
    pub fn tell_decided(&mut self, decided: &Event, at: i64) -> Result<(), ConsentFault> {
        let told = Told {
            kind: decided.kind,
            subject: None,
            payload: decided.payload.clone(),
        };
        let key = fresh_key(&told)?;
        let (path, connection) = (&self.path, &mut self.connection);
        let written = self.runtime.block_on(async {
            let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
            let number = insert(&mut transaction, &key, &told, at).await?;
            sqlx::query("INSERT INTO decided (number, policy) VALUES ($1, $2)")
                .bind(number)
                .bind(decided.policy.0.as_slice())
                .execute(&mut *transaction)
                .await?;
            transaction.commit().await
        });
        written.map_err(|source| fault(path, "write", source))
    }

    /// What is not entered yet, and what was entered about persons who were erased since: some of it, and none only where there is no
    /// more.
    pub(super) fn open_entries(&mut self) -> Result<Vec<Open>, ConsentFault> {
        let rows = sqlx::query(
            "SELECT outbox.*, decided.policy FROM outbox LEFT JOIN decided ON decided.number = outbox.number \
             WHERE place IS NULL OR gone = 1 ORDER BY gone DESC, outbox.number LIMIT $1",
        )
        .bind(OPEN_ROWS);
        let rows = self.runtime.block_on(rows.fetch_all(&mut self.connection));
        let rows = rows.map_err(|source| fault(&self.path, "read", source))?;
        Ok(rows.iter().map(Open::read).collect())
    }

    /// How much is not entered yet.
    #[cfg(test)]
    pub(in crate::shell) fn unentered(&mut self) -> Result<usize, ConsentFault> {
        let open = self.open_entries()?;
        Ok(open.iter().filter(|own| own.place.is_none()).count())
    }

    /// Notes where rows were entered, and drops those that are out of the history.
    pub(super) fn settle(
        &mut self,
        entered: &[(i64, u64)],
        dropped: &[i64],
    ) -> Result<(), ConsentFault> {
        let (path, connection) = (&self.path, &mut self.connection);
        let written = self.runtime.block_on(async {
            let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
            for (number, place) in entered {
                sqlx::query("UPDATE outbox SET place = $2, payload = NULL WHERE number = $1")
                    .bind(number)
                    .bind(place.cast_signed())
                    .execute(&mut *transaction)
                    .await?;
                let decided = sqlx::query("DELETE FROM decided WHERE number = $1").bind(number);
                decided.execute(&mut *transaction).await?;
            }
            for number in dropped {
                for statement in [
                    "DELETE FROM outbox WHERE number = $1 AND gone = 1",
                    "DELETE FROM commitments WHERE batch = $1",
                ] {
                    let query = sqlx::query(statement).bind(number);
                    query.execute(&mut *transaction).await?;
                }
            }
            transaction.commit().await
        });
        written.map_err(|source| fault(path, "write", source))
    }

    /// Drops what is about erased persons and never was in a history, where there is none; how much was entered in one and remains.
    ///
    /// # Errors
    ///
    /// The file cannot be written.
    pub fn drop_unentered(&mut self) -> Result<i64, ConsentFault> {
        let (path, connection) = (&self.path, &mut self.connection);
        let written = self.runtime.block_on(async {
            let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
            for statement in [
                "DELETE FROM commitments WHERE batch IN (SELECT number FROM outbox WHERE gone = 1 AND place IS NULL)",
                "DELETE FROM outbox WHERE gone = 1 AND place IS NULL",
            ] {
                sqlx::query(statement).execute(&mut *transaction).await?;
            }
            let left = sqlx::query("SELECT COUNT(*) AS remaining FROM outbox WHERE gone = 1")
                .fetch_one(&mut *transaction)
                .await?;
            transaction.commit().await?;
            Ok(left.get("remaining"))
        });
        written.map_err(|source| fault(path, "write", source))
    }
}

/// A key that nobody else draws, for a payload that the history takes.
pub(super) fn fresh_key(told: &Told) -> Result<String, ConsentFault> {
    told.payload
        .to_payload()
        .map_err(|source| payload(told.kind, source))?;
    drawn_key()
}

/// A key that nobody else draws: a ledger that is put back from a backup does not tell other things under old keys.
pub(super) fn drawn_key() -> Result<String, ConsentFault> {
    let drawn = random_bytes32().map_err(ConsentFault::Random)?;
    let digits: String = drawn[..16]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    Ok(format!("consent/{digits}"))
}

pub(super) fn payload(kind: Kind, source: BadPayload) -> ConsentFault {
    ConsentFault::Payload { kind, source }
}

/// A row to be filled at the end of the transaction; the ledger makes a step.
pub(super) async fn reserve(
    connection: &mut SqliteConnection,
    key: &str,
) -> Result<i64, sqlx::Error> {
    advance(connection, key).await?;
    let row = sqlx::query("INSERT INTO outbox (key, kind) VALUES ($1, 0) RETURNING number")
        .bind(key)
        .fetch_one(connection)
        .await?;
    Ok(row.get("number"))
}

/// Fills a reserved row.
pub(super) async fn fill(
    connection: &mut SqliteConnection,
    number: i64,
    told: &Told,
) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE outbox SET subject = $2, kind = $3, payload = $4 WHERE number = $1")
        .bind(number)
        .bind(told.subject.map(|own| own.0.to_be_bytes().to_vec()))
        .bind(i64::from(told.kind.code()))
        .bind(told.payload.to_text().into_bytes())
        .execute(connection)
        .await?;
    Ok(())
}

/// Adds a row, unless it is about a person who was erased.
pub(super) async fn insert(
    connection: &mut SqliteConnection,
    key: &str,
    told: &Told,
    at: i64,
) -> Result<Option<i64>, sqlx::Error> {
    if let Some(subject) = told.subject {
        let erased = sqlx::query("SELECT 1 FROM tombstones WHERE subject = $1 AND until > $2")
            .bind(subject.0.to_be_bytes().to_vec())
            .bind(at)
            .fetch_optional(&mut *connection)
            .await?;
        if erased.is_some() {
            return Ok(None);
        }
    }
    let number = reserve(connection, key).await?;
    fill(connection, number, told).await?;
    Ok(Some(number))
}

/// Rows that are entered at once.
const OPEN_ROWS: i64 = 256;
