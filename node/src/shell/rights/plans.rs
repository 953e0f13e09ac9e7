//! What becomes of the places of models, as the coordinator says: kept beside the usage ledger, for certificates of erasures.

use std::collections::BTreeMap;
use std::path::Path;

use aquifer_shared::base::ids::Hash32;
use aquifer_shared::base::time::Timestamp;
use aquifer_shared::domain::predictor::model::Succession;
use aquifer_shared::protocol::codec::{decode, encode};
use aquifer_shared::protocol::wire::ModelPlan;
use sqlx::sqlite::SqliteRow;
use sqlx::{Connection as _, Row as _};

use super::models::{renew_with, trained};
use crate::core::ledger::ENTRY_BYTES_MAX;
use crate::shell::usage::{UsageFault, UsageLedger, changed, fault};

/// Plans by the hash of the model's study.
pub(super) type Plans = BTreeMap<Hash32, Succession>;

/// Keeps what the coordinator said, and issues certificates again that it outdates; how many. Blocks.
///
/// # Errors
///
/// The usage ledger or the identity cannot be used.
pub fn learn_plans(directory: &Path, said: &[ModelPlan], now: Timestamp) -> anyhow::Result<usize> {
    let mut usage = UsageLedger::open(directory)?;
    usage.keep_plans(said)?;
    renew_with(directory, &mut usage, now)
}

impl UsageLedger {
    /// Keeps what is said of the places of models that persons of this unit may be in; the last word counts.
    ///
    /// # Errors
    ///
    /// The file cannot be written.
    pub(super) fn keep_plans(&mut self, said: &[ModelPlan]) -> Result<(), UsageFault> {
        let connection = &mut self.connection;
        let written = self.runtime.block_on(async {
            let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
            let own_studies = trained(&mut transaction).await?;
            let about_own = |own: &&ModelPlan| own_studies.contains(&Hash32(own.study.0));
            for own in said.iter().filter(about_own) {
                sqlx::query("INSERT OR REPLACE INTO plans (study, bytes) VALUES ($1, $2)")
                    .bind(own.study.0.to_vec())
                    .bind(encode(&own.succession))
                    .execute(&mut *transaction)
                    .await?;
            }
            changed(&mut transaction).await?;
            transaction.commit().await
        });
        written.map_err(|source| fault(&self.path, "write", source))
    }

    /// What is known of the places of models.
    ///
    /// # Errors
    ///
    /// The file cannot be read.
    pub(super) fn plans(&mut self) -> Result<Plans, UsageFault> {
        let rows = sqlx::query("SELECT study, bytes FROM plans").fetch_all(&mut self.connection);
        let rows = self.runtime.block_on(rows);
        let rows = rows.map_err(|source| fault(&self.path, "read", source))?;
        let read: Option<Plans> = rows.iter().map(plan).collect();
        read.ok_or_else(|| self.none("the place of a model"))
    }
}

fn plan(row: &SqliteRow) -> Option<(Hash32, Succession)> {
    let study = row.get::<&[u8], _>("study").try_into().ok()?;
    let planned = decode("plan", row.get("bytes"), ENTRY_BYTES_MAX).ok()?;
    Some((Hash32(study), planned))
}
