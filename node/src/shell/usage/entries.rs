//! Entries of the budget ledger, written down as runs, charges, and attempts whose cut is not known.

use aquifer_shared::base::ids::{AttemptId, StudyHash};
use aquifer_shared::base::time::Timestamp;
use aquifer_shared::base::units::MicroRho;
use aquifer_shared::domain::sum::Part;
use aquifer_shared::protocol::chain::Head;
use aquifer_shared::protocol::codec::encode;
use sqlx::Row as _;
use sqlx::sqlite::SqliteConnection;

use crate::core::ledger::EndReason;
use crate::core::rights::RunFacts;

/// A study was accepted.
pub(super) async fn open(
    connection: &mut SqliteConnection,
    (study, run): (&StudyHash, &StudyHash),
    facts: &RunFacts,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO runs (run, facts, everybody) VALUES ($1, $2, 0) ON CONFLICT DO NOTHING",
    )
    .bind(run.0.as_slice())
    .bind(encode(facts))
    .execute(&mut *connection)
    .await?;
    sqlx::query("INSERT OR REPLACE INTO studies (study, run) VALUES ($1, $2)")
        .bind(study.0.as_slice())
        .bind(run.0.as_slice())
        .execute(connection)
        .await?;
    Ok(())
}

/// The run of a study; none of one that reads nobody or is over.
pub(super) async fn run_of(
    connection: &mut SqliteConnection,
    study: &StudyHash,
) -> Result<Option<StudyHash>, sqlx::Error> {
    let row = sqlx::query("SELECT run FROM studies WHERE study = $1")
        .bind(study.0.as_slice())
        .fetch_optional(connection)
        .await?;
    Ok(row.and_then(|row| row.get::<&[u8], _>(0).try_into().ok().map(StudyHash)))
}

/// A charge of a run, or one that is lost.
pub(super) async fn charge(
    connection: &mut SqliteConnection,
    run: &StudyHash,
    (part, urho, at): (Part, MicroRho, Timestamp),
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO charges (run, day, part, urho, attempts, first_at, last_at) VALUES ($1, $2, $3, $4, 1, $5, $5) \
         ON CONFLICT (run, day, part) DO UPDATE SET urho = urho + excluded.urho, attempts = attempts + 1, \
         first_at = MIN(first_at, excluded.first_at), last_at = MAX(last_at, excluded.last_at)",
    )
    .bind(run.0.as_slice())
    .bind((at.0 / DAY_MS).cast_signed())
    .bind(part_number(part))
    // More than SQLite counts is more than any cap: it stays too much.
    .bind(i64::try_from(urho.0).unwrap_or(i64::MAX / 4))
    .bind(at.0.cast_signed())
    .execute(connection)
    .await?;
    Ok(())
}

/// An attempt whose cut is not known.
pub(super) async fn uncut(
    connection: &mut SqliteConnection,
    attempt: &AttemptId,
    run: &StudyHash,
) -> Result<(), sqlx::Error> {
    sqlx::query("INSERT OR REPLACE INTO uncut (attempt, run) VALUES ($1, $2)")
        .bind(attempt.0.as_slice())
        .bind(run.0.as_slice())
        .execute(connection)
        .await?;
    Ok(())
}

/// Takes an attempt off those whose cut is not known; its run, if it was one.
pub(super) async fn settle(
    connection: &mut SqliteConnection,
    attempt: &AttemptId,
) -> Result<Option<StudyHash>, sqlx::Error> {
    let row = sqlx::query("DELETE FROM uncut WHERE attempt = $1 RETURNING run")
        .bind(attempt.0.as_slice())
        .fetch_optional(connection)
        .await?;
    Ok(row.and_then(|row| row.get::<&[u8], _>(0).try_into().ok().map(StudyHash)))
}

/// Everybody counts as eligible for a run.
pub(super) async fn everybody(
    connection: &mut SqliteConnection,
    run: &StudyHash,
) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE runs SET everybody = 1 WHERE run = $1")
        .bind(run.0.as_slice())
        .execute(connection)
        .await?;
    Ok(())
}

/// Cuts that did not come before the process ended will not come any more.
pub(super) async fn give_up_cuts(connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    for statement in [
        "UPDATE runs SET everybody = 1 WHERE run IN (SELECT run FROM uncut)",
        "DELETE FROM uncut",
    ] {
        sqlx::query(statement).execute(&mut *connection).await?;
    }
    Ok(())
}

/// Everything that comes from the budget ledger goes, to be counted again; who was eligible is not known any more.
pub(super) async fn start_again(connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    for statement in [
        "DELETE FROM position",
        "DELETE FROM charges",
        "DELETE FROM studies",
        "DELETE FROM uncut",
        "UPDATE runs SET everybody = 1, ended = NULL, ended_at = NULL",
    ] {
        sqlx::query(statement).execute(&mut *connection).await?;
    }
    Ok(())
}

/// A study is over. Runs of questions go on.
pub(super) async fn end(
    connection: &mut SqliteConnection,
    study: &StudyHash,
    (reason, at): (EndReason, Timestamp),
) -> Result<(), sqlx::Error> {
    sqlx::query("DELETE FROM studies WHERE study = $1")
        .bind(study.0.as_slice())
        .execute(&mut *connection)
        .await?;
    sqlx::query("UPDATE runs SET ended = $2, ended_at = $3 WHERE run = $1")
        .bind(study.0.as_slice())
        .bind(i64::from(reason == EndReason::Published))
        .bind(at.0.cast_signed())
        .execute(connection)
        .await?;
    Ok(())
}

/// Up to here the budget ledger is counted.
pub(super) async fn reach(
    connection: &mut SqliteConnection,
    head: Head,
) -> Result<(), sqlx::Error> {
    sqlx::query("INSERT OR REPLACE INTO position (one, seq, hash) VALUES (1, $1, $2)")
        .bind(head.seq.cast_signed())
        .bind(head.hash.0.as_slice())
        .execute(connection)
        .await?;
    Ok(())
}

pub(super) fn part_number(part: Part) -> i64 {
    match part {
        Part::Training => 0,
        Part::HoldOut => 1,
        Part::Everyone => 2,
    }
}

/// The run of charges that were lost.
pub(super) const LOST: StudyHash = StudyHash([0; 32]);
pub(super) const DAY_MS: u64 = 24 * 3_600 * 1_000;
