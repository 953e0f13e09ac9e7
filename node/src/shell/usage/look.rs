//! What the usage ledger says about one person, and sets of persons as they are written.

use aquifer_shared::base::ids::StudyHash;
use aquifer_shared::base::units::MicroRho;
use aquifer_shared::protocol::codec::decode;
use sqlx::Row as _;
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use std::collections::BTreeMap;

use super::entries::{DAY_MS, LOST};
use super::ledger::{UsageFault, UsageLedger, fault};
use crate::core::consent::SubjectRef;
use crate::core::ledger::{ENTRY_BYTES_MAX, Parts};
use crate::core::rights::{CHUNK, Ordinals, RunFacts, Spending, chunk_has};

/// A run for which a person's record was eligible, or may have been.
#[derive(Clone, Debug, PartialEq)]
pub struct UsedRun {
    /// The study; of questions, their standing study.
    pub run: StudyHash,
    /// What it is.
    pub facts: RunFacts,
    /// What was charged.
    pub spent: Spending,
    /// Sums that were charged.
    pub attempts: u64,
    /// When the first one was.
    pub first_at: i64,
    /// And the last.
    pub last_at: i64,
    /// Who was eligible is not known: everybody counts.
    pub everybody: bool,
    /// Whether a result was published, once it is over.
    pub published: Option<bool>,
    /// Since when it is over.
    pub ended_at: Option<i64>,
}

/// Charges of which nobody knows any more what they were for; they count for everybody. None where a sum does not fit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Lost {
    /// Of the last 365 days.
    pub year: Option<MicroRho>,
    /// Ever.
    pub all: Option<MicroRho>,
}

impl UsageLedger {
    /// Runs that were charged and for which a person's record was eligible, at their worst, in the order of their first charge;
    /// and what was lost.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or holds what it should not.
    ///
    /// # Privacy
    ///
    /// About one person: for the person and the desk.
    pub fn of_person(
        &mut self,
        subject: SubjectRef,
        at: i64,
    ) -> Result<(Vec<UsedRun>, Lost), UsageFault> {
        let subject = subject.0.to_be_bytes();
        let connection = &mut self.connection;
        let read = self.runtime.block_on(async {
            let mut transaction = sqlx::Connection::begin(connection).await?;
            let number = sqlx::query("SELECT ordinal FROM persons WHERE subject = $1")
                .bind(subject.as_slice())
                .fetch_optional(&mut *transaction)
                .await?;
            let number = number.and_then(|row| u32::try_from(row.get::<i64, _>(0)).ok());
            let chunks = sqlx::query("SELECT run, bits FROM eligible WHERE chunk = $1")
                .bind(number.map_or(-1, |number| i64::from(number / CHUNK)))
                .fetch_all(&mut *transaction)
                .await?;
            let runs = sqlx::query(
                "SELECT run, facts, ended, ended_at, (everybody OR run IN (SELECT run FROM uncut)) AS everybody FROM runs",
            );
            let runs = runs.fetch_all(&mut *transaction).await?;
            let charges = sqlx::query(
                "SELECT run, part, SUM(urho) AS urho, SUM(CASE WHEN day >= $1 THEN urho ELSE 0 END) AS year, \
                 SUM(attempts) AS attempts, MIN(first_at) AS first_at, MAX(last_at) AS last_at FROM charges GROUP BY run, part",
            )
            .bind(year_start(at))
            .fetch_all(&mut *transaction)
            .await?;
            transaction.rollback().await?;
            Ok((number, chunks, runs, charges))
        });
        let (number, chunks, runs, charges) =
            read.map_err(|source| fault(&self.path, "read", source))?;
        let charges = charged(&charges).ok_or_else(|| self.none("a charge"))?;
        let mut eligible = BTreeMap::new();
        for (row, number) in chunks.iter().zip(std::iter::repeat(number.unwrap_or(0))) {
            let has = chunk_has(row.get("bits"), number);
            let has = has.ok_or_else(|| self.none("a set of persons"))?;
            eligible.insert(row.get::<&[u8], _>("run"), has);
        }
        let mut used = Vec::new();
        for row in &runs {
            let run: &[u8] = row.get("run");
            let everybody = row.get::<i64, _>("everybody") != 0;
            let has = everybody || eligible.get(run) == Some(&true);
            let charged = charges.get(run).filter(|_| has);
            if let Some(charged) = charged {
                let run = used_run(row, charged, everybody).ok_or_else(|| self.none("a run"))?;
                used.push(run);
            }
        }
        used.sort_by_key(|own| (own.first_at, own.run));
        let lost = charges.get(LOST.0.as_slice()).copied().unwrap_or_default();
        let lost = Lost {
            year: (!lost.too_much).then_some(lost.spent.year.everyone),
            all: (!lost.too_much).then_some(lost.spent.all.everyone),
        };
        Ok((used, lost))
    }
}

/// What one run was charged.
#[derive(Clone, Copy, Debug, Default)]
struct Charged {
    spent: Spending,
    attempts: u64,
    first_at: i64,
    last_at: i64,
    too_much: bool,
}

fn charged(rows: &[SqliteRow]) -> Option<BTreeMap<&[u8], Charged>> {
    let mut all: BTreeMap<&[u8], Charged> = BTreeMap::new();
    for row in rows {
        let run = row.get::<&[u8], _>("run");
        let known = all.contains_key(run);
        let own = all.entry(run).or_default();
        let number = |column| Some(MicroRho(u64::try_from(row.get::<i64, _>(column)).ok()?));
        let (urho, year) = (number("urho")?, number("year")?);
        own.too_much |= urho.0 >= TOO_MUCH;
        let (of_all, of_year) = match row.get::<i64, _>("part") {
            0 => (&mut own.spent.all.training, &mut own.spent.year.training),
            1 => (&mut own.spent.all.holdout, &mut own.spent.year.holdout),
            2 => (&mut own.spent.all.everyone, &mut own.spent.year.everyone),
            _ => return None,
        };
        (*of_all, *of_year) = (urho, year);
        own.attempts += number("attempts")?.0;
        let (first, last) = (row.get("first_at"), row.get("last_at"));
        own.first_at = if known {
            own.first_at.min(first)
        } else {
            first
        };
        own.last_at = own.last_at.max(last);
    }
    Some(all)
}

fn used_run(row: &SqliteRow, charged: &Charged, everybody: bool) -> Option<UsedRun> {
    let mut spent = charged.spent;
    if charged.too_much {
        // Stays too much for any sum.
        spent = Spending {
            year: Parts::only(
                aquifer_shared::domain::sum::Part::Everyone,
                MicroRho(u64::MAX),
            ),
            all: Parts::only(
                aquifer_shared::domain::sum::Part::Everyone,
                MicroRho(u64::MAX),
            ),
        };
    }
    Some(UsedRun {
        run: StudyHash(row.get::<&[u8], _>("run").try_into().ok()?),
        facts: decode("run", row.get("facts"), ENTRY_BYTES_MAX).ok()?,
        spent,
        attempts: charged.attempts,
        first_at: charged.first_at,
        last_at: charged.last_at,
        everybody,
        published: row
            .get::<Option<i64>, _>("ended")
            .map(|published| published == 1),
        ended_at: row.get("ended_at"),
    })
}

/// The first day of the year that ends now.
fn year_start(at: i64) -> i64 {
    at.div_euclid(DAY_MS.cast_signed()) - YEAR_DAYS
}

/// Everybody who was ever eligible for a run.
pub(super) async fn all_of(
    connection: &mut SqliteConnection,
    run: &StudyHash,
) -> Result<Ordinals, sqlx::Error> {
    let rows = sqlx::query("SELECT chunk, bits FROM eligible WHERE run = $1")
        .bind(run.0.as_slice())
        .fetch_all(connection)
        .await?;
    let mut all = Ordinals::default();
    for row in &rows {
        let chunk = u32::try_from(row.get::<i64, _>("chunk")).ok();
        let taken = chunk.is_some_and(|chunk| all.take(chunk, row.get("bits")));
        if !taken {
            return Err(sqlx::Error::RowNotFound);
        }
    }
    Ok(all)
}

pub(super) async fn write_chunk(
    connection: &mut SqliteConnection,
    run: &StudyHash,
    chunk: u32,
    bits: &[u8],
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO eligible (chunk, run, bits) VALUES ($1, $2, $3) ON CONFLICT (chunk, run) DO UPDATE SET bits = excluded.bits",
    )
    .bind(i64::from(chunk))
    .bind(run.0.as_slice())
    .bind(bits)
    .execute(connection)
    .await?;
    Ok(())
}

const YEAR_DAYS: i64 = 365;
/// More than is ever charged: such a sum was cut off.
const TOO_MUCH: u64 = i64::MAX as u64 / 4;
