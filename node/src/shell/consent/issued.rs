//! Receipts that were issued, as they are kept: each with what the history is told of it, in one durable transaction.

use aquifer_shared::base::ids::Hash32;
use sqlx::{Connection as _, Row as _};

use super::ledger::{ConsentFault, ConsentLedger, fault};
use super::outbox::{Told, fresh_key, insert};
use crate::core::consent::SubjectRef;

/// A receipt that was issued.
pub(super) struct Issued {
    /// What it says, as it is hashed.
    pub(super) content: String,
    /// Where the history has it, once it does.
    pub(super) place: Option<u64>,
}

impl ConsentLedger {
    /// The newest receipt of a person and a purpose, if one was issued about the same facts.
    pub(super) fn issued(
        &mut self,
        subject: SubjectRef,
        (purpose, facts): (&str, &Hash32),
    ) -> Result<Option<Issued>, ConsentFault> {
        let query = "SELECT content, place FROM receipts JOIN outbox ON outbox.number = receipts.number \
             WHERE receipts.subject = $1 AND purpose = $2 AND facts = $3 ORDER BY receipts.number DESC LIMIT 1";
        let row = sqlx::query(query)
            .bind(subject.0.to_be_bytes().to_vec())
            .bind(purpose)
            .bind(facts.0.to_vec())
            .fetch_optional(&mut self.connection);
        let row = self.runtime.block_on(row);
        let row = row.map_err(|source| fault(&self.path, "read", source))?;
        Ok(row.map(|row| Issued {
            content: row.get("content"),
            place: row.get::<Option<i64>, _>("place").map(i64::cast_unsigned),
        }))
    }

    /// Keeps a receipt, and what the history is told of it; whether it could, which it cannot for a person who was erased.
    pub(super) fn issue(
        &mut self,
        (subject, purpose): (SubjectRef, &str),
        (facts, content): (&Hash32, &str),
        told: &Told,
        at: i64,
    ) -> Result<bool, ConsentFault> {
        let key = fresh_key(told)?;
        let (path, connection) = (&self.path, &mut self.connection);
        let written = self.runtime.block_on(async {
            let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
            let Some(number) = insert(&mut transaction, &key, told, at).await? else {
                return Ok(false);
            };
            sqlx::query(
                "INSERT INTO receipts (number, subject, purpose, facts, content) VALUES ($1, $2, $3, $4, $5)",
            )
            .bind(number)
            .bind(subject.0.to_be_bytes().to_vec())
            .bind(purpose)
            .bind(facts.0.to_vec())
            .bind(content)
            .execute(&mut *transaction)
            .await?;
            transaction.commit().await?;
            Ok(true)
        });
        written.map_err(|source| fault(path, "write", source))
    }
}
