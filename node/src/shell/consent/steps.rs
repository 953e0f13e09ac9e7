//! Steps of the consent ledger: every transaction that changes what it says makes one.

use sqlx::sqlite::SqliteConnection;

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
