//! Binds the usage ledger to the node's history, so that one which was deleted, or put back from a backup alone, is known.
//!
//! What changes the ledger leaves a mark in it; whoever has the history open makes a step of everything since the last one, in a transaction
//! that waits for the disk, and only then has the history know it. What the node writes without waiting makes no step of its own: a loss of
//! power takes no step away that the history knows.

use std::path::Path;

use aquifer_shared::base::time::Timestamp;
use aquifer_shared::shell::history::History;
use aquifer_shared::shell::keys::random_bytes32;
use sqlx::Connection as _;
use sqlx::sqlite::SqliteConnection;

use super::ledger::{USAGE_FILE, UsageFault, UsageLedger, fault};
use crate::shell::steps::{Bound, PutBack, Step, newest};

/// What the history knows of the ledger.
const USAGE: &Bound = &Bound {
    file: USAGE_FILE,
    kept: "usage",
    label: "aquifer/usage-step/1",
    lost: "erasures, their clocks and certificates, and who was eligible for which sum since then are not in it, and the node does not start",
    again: "erase again who was erased since that copy; everybody counts as eligible for what is not in it",
    code: "usage",
};

/// Refuses a ledger that was deleted or put back alone from a backup, unless there is a reason to take it as it is. Before it is written to.
///
/// # Errors
///
/// [`PutBack`], or the ledger or the history cannot be used.
pub async fn hold(
    history: &History,
    directory: &Path,
    (reason, now): (Option<&str>, Timestamp),
) -> anyhow::Result<()> {
    let known = USAGE.known(history).await?;
    let (found, held) = match directory.join(USAGE_FILE).exists() {
        false => (Step::default(), USAGE.absent(directory, known)),
        true => {
            let looked = move |ledger: &mut UsageLedger| {
                Ok((ledger.step()?, ledger.goes_on(known)?.map(drop)))
            };
            with_ledger(directory, looked).await?
        }
    };
    let steps = (known, found);
    USAGE.hold(history, steps, held, (reason, now)).await
}

/// Makes a step of what changed since the last one, and has the history know it. One task at a time, of the process that has the history
/// open.
///
/// # Errors
///
/// The ledger or the history cannot be used. [`PutBack`]: nothing was changed.
pub async fn bind(history: &History, directory: &Path) -> anyhow::Result<()> {
    let mut known = USAGE.known(history).await?;
    if !directory.join(USAGE_FILE).exists() {
        return Ok(USAGE.absent(directory, known)?);
    }
    let looked = move |ledger: &mut UsageLedger| match ledger.goes_on(known)? {
        Ok(_) => Ok(Ok(ledger.advance(known)?)),
        Err(put_back) => Ok(Err(put_back)),
    };
    let reached = with_ledger(directory, looked).await?;
    USAGE.follow(history, &mut known, reached).await
}

/// Leaves the mark that something changed, in the transaction of what it is.
pub(in crate::shell) async fn changed(
    connection: &mut SqliteConnection,
) -> Result<(), sqlx::Error> {
    let query = sqlx::query("INSERT OR IGNORE INTO changed (one) VALUES (1)");
    query.execute(connection).await.map(drop)
}

impl UsageLedger {
    fn step(&mut self) -> Result<Step, UsageFault> {
        let newest = newest(&mut self.connection);
        let newest = self.runtime.block_on(newest);
        newest.map_err(|source| fault(&self.path, "read", source))
    }

    fn goes_on(&mut self, known: Option<Step>) -> Result<Result<Step, PutBack>, UsageFault> {
        let found = USAGE.goes_on(&mut self.connection, (self.path.as_path(), known));
        let found = self.runtime.block_on(found);
        found.map_err(|source| fault(&self.path, "read", source))
    }

    /// A step, if something changed since the last one; the newest. Durable on return, with all that was written before. Steps before the
    /// one that is known are not needed any more.
    fn advance(&mut self, known: Option<Step>) -> Result<Step, UsageFault> {
        let drawn = random_bytes32().map_err(UsageFault::Random)?;
        let (path, connection) = (&self.path, &mut self.connection);
        let stepped = self.runtime.block_on(async {
            let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
            let gone = sqlx::query("DELETE FROM changed")
                .execute(&mut *transaction)
                .await?;
            if gone.rows_affected() > 0 {
                USAGE.advance(&mut transaction, &drawn).await?;
            }
            sqlx::query("DELETE FROM steps WHERE number < $1")
                .bind(known.map_or(0, |step| step.number().cast_signed()))
                .execute(&mut *transaction)
                .await?;
            let newest = newest(&mut transaction).await?;
            transaction.commit().await?;
            Ok(newest)
        });
        stepped.map_err(|source| fault(path, "write", source))
    }
}

/// Works on the ledger, which blocks, beside the caller's tasks.
async fn with_ledger<T: Send + 'static>(
    directory: &Path,
    work: impl FnOnce(&mut UsageLedger) -> Result<T, UsageFault> + Send + 'static,
) -> anyhow::Result<T> {
    let directory = directory.to_owned();
    let done = tokio::task::spawn_blocking(move || {
        let mut ledger = UsageLedger::open(&directory)?;
        work(&mut ledger)
    });
    Ok(done.await??)
}

#[cfg(test)]
#[path = "binding_tests.rs"]
mod tests;
