//! Which program each node reported last.

use aquifer_shared::base::ids::{Hash32, IdentityKey};
use sqlx::any::AnyRow;

use super::registry::text;
use super::{Store, StoreFault, fault, intact};

impl Store {
    /// Which programs nodes reported last.
    ///
    /// # Errors
    ///
    /// If the store fails.
    pub async fn programs(&self) -> Result<Vec<(IdentityKey, Hash32)>, StoreFault> {
        let what = "read programs of nodes";
        let rows = sqlx::query("SELECT identity, sha256 FROM node_programs")
            .fetch_all(&self.pool)
            .await
            .map_err(fault(what))?;
        let digest =
            |row: &AnyRow, column: usize| intact(what)(text(row, column, what)?.parse::<Hash32>());
        let read = |row: &AnyRow| Ok((IdentityKey(digest(row, 0)?.0), digest(row, 1)?));
        rows.iter().map(read).collect()
    }

    /// Keeps which program a node reports.
    ///
    /// # Errors
    ///
    /// If the store fails.
    pub async fn set_program(
        &self,
        node: &IdentityKey,
        program: &Hash32,
    ) -> Result<(), StoreFault> {
        let kept = sqlx::query(
            "INSERT INTO node_programs (identity, sha256) VALUES ($1, $2) \
             ON CONFLICT (identity) DO UPDATE SET sha256 = excluded.sha256",
        )
        .bind(node.to_string())
        .bind(program.to_string())
        .execute(&self.pool)
        .await;
        kept.map(drop).map_err(fault("keep the program of a node"))
    }
}
