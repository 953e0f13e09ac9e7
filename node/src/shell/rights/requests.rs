//! Erasures as they are written down: each stage in one durable transaction.

use aquifer_shared::base::ids::Hash32;
use aquifer_shared::protocol::codec::{decode, encode};
use sqlx::Connection as _;
use sqlx::Row as _;
use sqlx::sqlite::{SqliteConnection, SqliteRow};

use crate::core::consent::SubjectRef;
use crate::core::ledger::ENTRY_BYTES_MAX;
use crate::core::rights::Case;
use crate::shell::usage::{UsageFault, UsageLedger, changed, fault};

impl UsageLedger {
    /// The erasure of a person that is not over, if there is one.
    pub(super) fn open_case(&mut self, subject: SubjectRef) -> Result<Option<Case>, UsageFault> {
        let query = sqlx::query("SELECT bytes FROM requests WHERE subject = $1 AND over = 0")
            .bind(subject.0.to_be_bytes().to_vec());
        let row = query.fetch_optional(&mut self.connection);
        let row = self.runtime.block_on(row);
        let row = row.map_err(|source| self.read_fault(source))?;
        row.map(|row| self.case(&row)).transpose()
    }

    /// One erasure by its number.
    pub(super) fn case_of(&mut self, request: &Hash32) -> Result<Option<Case>, UsageFault> {
        let query =
            sqlx::query("SELECT bytes FROM requests WHERE request = $1").bind(request.0.to_vec());
        let row = query.fetch_optional(&mut self.connection);
        let row = self.runtime.block_on(row);
        let row = row.map_err(|source| self.read_fault(source))?;
        row.map(|row| self.case(&row)).transpose()
    }

    /// All erasures, in the order in which they were asked for.
    pub(super) fn cases(&mut self) -> Result<Vec<Case>, UsageFault> {
        let query = sqlx::query("SELECT bytes FROM requests ORDER BY received_at, request");
        let rows = query.fetch_all(&mut self.connection);
        let rows = self.runtime.block_on(rows);
        let rows = rows.map_err(|source| self.read_fault(source))?;
        rows.iter().map(|row| self.case(row)).collect()
    }

    /// Writes an erasure down as it is, with a certificate if one was made, in place of what it was `before`: the desk and the running node
    /// may both work on it. Who it is about is kept until there is a certificate, or until it is over.
    ///
    /// # Errors
    ///
    /// The file cannot be written, or somebody else has written the erasure since it was read: nothing was written then.
    pub(super) fn write_case(
        &mut self,
        (before, case): (Option<&Case>, &Case),
        subject: Option<SubjectRef>,
        certificate: Option<(&Hash32, &str)>,
    ) -> Result<(), UsageFault> {
        let request = case.request.0.to_vec();
        let subject = subject.map(|subject| subject.0.to_be_bytes().to_vec());
        let received = case.reached.first().map_or(0, |(_, at)| *at);
        let connection = &mut self.connection;
        let written = self.runtime.block_on(async {
            let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
            let found = (request.as_slice(), subject.as_deref());
            if !is_as_it_was(&mut transaction, found, before).await? {
                transaction.rollback().await?;
                return Ok(false);
            }
            sqlx::query(
                "INSERT OR REPLACE INTO requests (request, subject, received_at, over, bytes) VALUES ($1, $2, $3, $4, $5)",
            )
            .bind(&request)
            .bind(subject)
            .bind(received)
            .bind(i64::from(case.is_over()))
            .bind(encode(case))
            .execute(&mut *transaction)
            .await?;
            if let Some((digest, text)) = certificate {
                sqlx::query("INSERT OR IGNORE INTO certificates (digest, request, text) VALUES ($1, $2, $3)")
                    .bind(digest.0.to_vec())
                    .bind(&request)
                    .bind(text)
                    .execute(&mut *transaction)
                    .await?;
            }
            changed(&mut transaction).await?;
            transaction.commit().await?;
            Ok(true)
        });
        match written {
            Ok(true) => Ok(()),
            Ok(false) => Err(UsageFault::Meanwhile),
            Err(source) => Err(fault(&self.path, "write", source)),
        }
    }

    /// The text of a certificate.
    pub(super) fn certificate(&mut self, digest: &Hash32) -> Result<Option<String>, UsageFault> {
        let query =
            sqlx::query("SELECT text FROM certificates WHERE digest = $1").bind(digest.0.to_vec());
        let row = query.fetch_optional(&mut self.connection);
        let row = self.runtime.block_on(row);
        let row = row.map_err(|source| self.read_fault(source))?;
        Ok(row.map(|row| row.get("text")))
    }

    fn case(&self, row: &SqliteRow) -> Result<Case, UsageFault> {
        let case = decode("erasure", row.get("bytes"), ENTRY_BYTES_MAX);
        case.map_err(|_| self.none("an erasure"))
    }

    fn read_fault(&self, source: sqlx::Error) -> UsageFault {
        fault(&self.path, "read", source)
    }
}

/// Whether an erasure is in the file as it was read; of a new one, whether there is none, nor another of the person that is not over.
async fn is_as_it_was(
    connection: &mut SqliteConnection,
    (request, subject): (&[u8], Option<&[u8]>),
    before: Option<&Case>,
) -> Result<bool, sqlx::Error> {
    let query =
        "SELECT bytes FROM requests WHERE request = $1 OR ($2 AND subject = $3 AND over = 0)";
    let row = sqlx::query(query)
        .bind(request)
        .bind(before.is_none())
        .bind(subject)
        .fetch_optional(connection)
        .await?;
    let found = row.map(|row| row.get::<Vec<u8>, _>("bytes"));
    Ok(found == before.map(encode))
}
