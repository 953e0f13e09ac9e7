//! Who was eligible at each cut: kept as what a cut had more and less than the run so far, and bound by a digest that the history is told.
//!
//! Numbers of persons are never given twice, so that a set stays what it was when a person is erased: their number is nobody's then.

use std::path::Path;

use aquifer_shared::base::ids::{AttemptId, Hash32, StudyHash};
use aquifer_shared::domain::history::{Event, Json, Kind};
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{Connection as _, Row as _};

use super::ledger::{USAGE_FILE, UsageFault, UsageLedger, fault};
use crate::core::chronicle::Keyed;
use crate::core::consent::SubjectRef;
use crate::core::rights::Ordinals;

/// Who was eligible at one cut.
///
/// # Privacy
///
/// Membership is about people: it has no `Debug`, and stays at the node.
pub struct KeptMask {
    /// The run that it is of.
    pub run: StudyHash,
    /// What the ledger says that its digest is.
    pub digest: Hash32,
    /// Numbers of persons.
    pub numbers: Ordinals,
}

/// Notes the set of a cut, unless the run has it already; its number.
pub(super) async fn note(
    connection: &mut SqliteConnection,
    (run, mask): (&StudyHash, &Ordinals),
    (added, absent): (&Ordinals, &Ordinals),
) -> Result<i64, sqlx::Error> {
    let digest = mask.digest();
    let known = sqlx::query("SELECT number FROM masks WHERE run = $1 AND digest = $2")
        .bind(run.0.as_slice())
        .bind(digest.0.as_slice())
        .fetch_optional(&mut *connection)
        .await?;
    if let Some(known) = known {
        return Ok(known.get("number"));
    }
    // Of a run's first set the run's own says who was in it.
    let is_first = sqlx::query("SELECT 1 FROM masks WHERE run = $1 LIMIT 1")
        .bind(run.0.as_slice())
        .fetch_optional(&mut *connection)
        .await?
        .is_none();
    let added = match is_first {
        true => Vec::new(),
        false => added.to_bytes(),
    };
    let row = sqlx::query(
        "INSERT INTO masks (run, digest, added, absent) VALUES ($1, $2, $3, $4) RETURNING number",
    )
    .bind(run.0.as_slice())
    .bind(digest.0.as_slice())
    .bind(added)
    .bind(absent.to_bytes())
    .fetch_one(connection)
    .await?;
    Ok(row.get("number"))
}

/// An attempt that was charged rests on a set.
pub(super) async fn cut(
    connection: &mut SqliteConnection,
    attempt: &AttemptId,
    mask: i64,
) -> Result<(), sqlx::Error> {
    sqlx::query("INSERT INTO cuts (attempt, mask, told) VALUES ($1, $2, 0) ON CONFLICT DO NOTHING")
        .bind(attempt.0.as_slice())
        .bind(mask)
        .execute(connection)
        .await?;
    Ok(())
}

/// What the history is told of cuts that it has not heard of, some at a time, and the number of the last; nothing where there is no usage
/// ledger yet. Blocks.
///
/// # Errors
///
/// The ledger cannot be read.
///
/// # Privacy
///
/// A digest of numbers that the unit gives: it says neither who nor how many.
pub fn told(directory: &Path) -> Result<(Vec<Keyed>, i64), UsageFault> {
    if !directory.join(USAGE_FILE).exists() {
        return Ok((Vec::new(), 0));
    }
    let mut ledger = UsageLedger::open(directory)?;
    let rows = sqlx::query(
        "SELECT cuts.number, attempt, run, digest FROM cuts JOIN masks ON masks.number = mask WHERE told = 0 ORDER BY cuts.number LIMIT $1",
    )
    .bind(TOLD_MAX);
    let rows = ledger
        .runtime
        .block_on(rows.fetch_all(&mut ledger.connection));
    let rows = rows.map_err(|source| fault(&ledger.path, "read", source))?;
    let events: Option<Vec<Keyed>> = rows.iter().map(keyed).collect();
    let events = events.ok_or_else(|| ledger.none("a cut"))?;
    let last = rows.last().map_or(0, |row| row.get("number"));
    Ok((events, last))
}

fn keyed(row: &SqliteRow) -> Option<Keyed> {
    let hash = |column: &str| Some(Hash32(row.get::<&[u8], _>(column).try_into().ok()?));
    let attempt = hash("attempt")?.to_string();
    let payload = Json::object([
        ("attempt", attempt.as_str().into()),
        ("eligible", hash("digest")?.to_string().into()),
        ("run", hash("run")?.to_string().into()),
    ]);
    let event = Event::of_program(Kind::RoundCut, payload);
    Some((format!("eligible/{attempt}"), event))
}

impl UsageLedger {
    /// The history has heard of cuts up to a number.
    ///
    /// # Errors
    ///
    /// The file cannot be written.
    pub fn heard(&mut self, last: i64) -> Result<(), UsageFault> {
        let query =
            sqlx::query("UPDATE cuts SET told = 1 WHERE told = 0 AND number <= $1").bind(last);
        let done = self.runtime.block_on(query.execute(&mut self.connection));
        done.map(drop)
            .map_err(|source| fault(&self.path, "write", source))
    }

    /// Who was eligible at the cut of an attempt; none where that was not written down.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or holds what it should not.
    pub fn mask_of(&mut self, attempt: &AttemptId) -> Result<Option<KeptMask>, UsageFault> {
        let connection = &mut self.connection;
        let read = self.runtime.block_on(async {
            let mut transaction = connection.begin().await?;
            let row = sqlx::query(
                "SELECT masks.number, run, digest, absent FROM cuts JOIN masks ON masks.number = mask WHERE attempt = $1",
            )
            .bind(attempt.0.as_slice())
            .fetch_optional(&mut *transaction)
            .await?;
            let Some(row) = row else {
                return Ok(None);
            };
            let run: &[u8] = row.get("run");
            let run = run.try_into().map_err(|_| sqlx::Error::RowNotFound)?;
            let all = super::look::all_of(&mut transaction, &StudyHash(run)).await?;
            let added = sqlx::query("SELECT number, added FROM masks WHERE run = $1")
                .bind(run.as_slice())
                .fetch_all(&mut *transaction)
                .await?;
            Ok(Some((row, StudyHash(run), all, added)))
        });
        let read = read.map_err(|source| fault(&self.path, "read", source))?;
        let Some((row, run, all, added)) = read else {
            return Ok(None);
        };
        let kept = kept(&row, run, all, &added);
        kept.map(Some).ok_or_else(|| self.none("a set of persons"))
    }

    /// Everybody who has a number.
    ///
    /// # Errors
    ///
    /// The file cannot be read.
    ///
    /// # Privacy
    ///
    /// By keyed references, which stay at the node.
    pub fn numbered(&mut self) -> Result<Vec<(u32, SubjectRef)>, UsageFault> {
        let rows = sqlx::query("SELECT ordinal, subject FROM persons ORDER BY ordinal");
        let rows = self.runtime.block_on(rows.fetch_all(&mut self.connection));
        let rows = rows.map_err(|source| fault(&self.path, "read", source))?;
        let read = |row: &SqliteRow| {
            let number = u32::try_from(row.get::<i64, _>("ordinal")).ok()?;
            let subject = row.get::<&[u8], _>("subject").try_into().ok()?;
            Some((number, SubjectRef(u128::from_be_bytes(subject))))
        };
        let all: Option<Vec<(u32, SubjectRef)>> = rows.iter().map(read).collect();
        all.ok_or_else(|| self.none("a person"))
    }
}

/// The set of a cut: the run's, without what came later and without who was not in it.
fn kept(row: &SqliteRow, run: StudyHash, all: Ordinals, added: &[SqliteRow]) -> Option<KeptMask> {
    let own: i64 = row.get("number");
    let mut later = Ordinals::of_bytes(row.get("absent"))?;
    for other in added
        .iter()
        .filter(|other| other.get::<i64, _>("number") > own)
    {
        later.join(&Ordinals::of_bytes(other.get("added"))?);
    }
    Some(KeptMask {
        run,
        digest: Hash32(row.get::<&[u8], _>("digest").try_into().ok()?),
        numbers: all.without(&later),
    })
}

/// Cuts of which the history is told at once.
const TOLD_MAX: i64 = 1_024;
