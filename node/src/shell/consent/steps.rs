//! Steps of the consent ledger: every transaction that changes what it says makes one.

use sqlx::sqlite::SqliteConnection;
use sqlx::{Connection as _, Row as _};

use super::ledger::{ConsentFault, ConsentLedger, LEDGER_FILE, fault};
use crate::shell::steps::{Bound, PutBack, Step, newest};

/// What the history knows of the ledger.
pub(super) const CONSENT: &Bound = &Bound {
    file: LEDGER_FILE,
    kept: "consent",
    label: "aquifer/consent-step/1",
    lost: "withdrawals, objections and erasures since then are not in it, and nobody's data is read",
    again: "import and erase again what came since that copy",
    code: "consent",
};

impl ConsentLedger {
    /// The newest step.
    pub(super) fn step(&mut self) -> Result<Step, ConsentFault> {
        let newest = newest(&mut self.connection);
        let newest = self.runtime.block_on(newest);
        newest.map_err(|source| fault(&self.path, "read", source))
    }

    /// The newest step, if the ledger goes on from the one that is known.
    pub(super) fn goes_on(
        &mut self,
        known: Option<Step>,
    ) -> Result<Result<Step, PutBack>, ConsentFault> {
        let found = CONSENT.goes_on(&mut self.connection, (self.path.as_path(), known));
        let found = self.runtime.block_on(found);
        found.map_err(|source| fault(&self.path, "read", source))
    }
}

/// Makes a step in a transaction; `drawn` is like no other.
pub(super) async fn advance(
    connection: &mut SqliteConnection,
    drawn: &str,
) -> Result<(), sqlx::Error> {
    CONSENT.advance(connection, drawn.as_bytes()).await
}

/// The first step of a ledger from before there were steps: without one, the history would not know it until it is written to again.
pub(super) async fn begin(
    connection: &mut SqliteConnection,
    drawn: &str,
) -> Result<(), sqlx::Error> {
    if !has_no_step(connection).await? {
        return Ok(());
    }
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    // Somebody else may have been first.
    if has_no_step(&mut transaction).await? {
        advance(&mut transaction, drawn).await?;
    }
    transaction.commit().await
}

/// Whether something is in the ledger that no step stands for.
async fn has_no_step(connection: &mut SqliteConnection) -> Result<bool, sqlx::Error> {
    let row = sqlx::query(
        "SELECT NOT EXISTS (SELECT 1 FROM steps) AND (EXISTS (SELECT 1 FROM events) OR EXISTS (SELECT 1 FROM tombstones) \
         OR EXISTS (SELECT 1 FROM notices) OR EXISTS (SELECT 1 FROM outbox)) AS unbound",
    );
    let row = row.fetch_one(connection).await?;
    Ok(row.get::<i64, _>("unbound") != 0)
}
