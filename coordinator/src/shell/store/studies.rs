//! Studies, their contracts, and the append-only records from which a study's machine is rebuilt.

use aquifer_shared::base::ids::{Hash32, Name, StudyHash};
use aquifer_shared::base::time::Timestamp;
use sqlx::any::{AnyArguments, AnyRow};
use sqlx::{Any, Row};

use super::registry::{number, text};
use super::{Store, StoreFault, fault, intact};

/// A submitted study.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredStudy {
    /// Hash of its terms.
    pub hash: StudyHash,
    /// Its name.
    pub name: Name,
    /// Encoded terms, as hashed.
    pub terms: Vec<u8>,
    /// Hash of its contract.
    pub contract_hash: Hash32,
    /// When it was submitted.
    pub submitted: Timestamp,
    /// When it ended; 0 if it has not.
    pub ended: Timestamp,
    /// It is a question of an analyst.
    pub question: bool,
}

impl Store {
    /// Keeps a study and its contract; a study that is there already stays as it is.
    ///
    /// # Errors
    ///
    /// If the store fails.
    pub async fn add_study(
        &self,
        study: &StoredStudy,
        contract_name: &Name,
        contract_version: u32,
        contract_text: &str,
    ) -> Result<(), StoreFault> {
        let mut transaction = self.pool.begin().await.map_err(fault("begin"))?;
        let contract = (contract_name, contract_version, contract_text);
        insert_with_contract(&mut transaction, study, contract).await?;
        transaction.commit().await.map_err(fault("keep a study"))
    }

    /// All studies, oldest first; of questions those alone that have not ended.
    ///
    /// # Errors
    ///
    /// If the store fails.
    pub async fn studies(&self) -> Result<Vec<StoredStudy>, StoreFault> {
        let rows = sqlx::query(
            "SELECT hash, name, terms, contract_hash, submitted, ended, question FROM studies \
             WHERE question = 0 OR ended = 0 ORDER BY submitted, hash",
        )
        .fetch_all(&self.pool)
        .await
        .map_err(fault("list its studies"))?;
        rows.iter().map(read_study).collect()
    }

    /// All records of a study, in order.
    ///
    /// # Errors
    ///
    /// If the store fails.
    pub async fn records(&self, study: &StudyHash) -> Result<Vec<Vec<u8>>, StoreFault> {
        self.records_from(study, 0).await
    }

    /// The records of a study from this number on, in order.
    pub(super) async fn records_from(
        &self,
        study: &StudyHash,
        first: u64,
    ) -> Result<Vec<Vec<u8>>, StoreFault> {
        let text = "SELECT body FROM records WHERE study = $1 AND seq >= $2 ORDER BY seq";
        let rows = sqlx::query(text)
            .bind(study.to_string())
            .bind(first as i64)
            .fetch_all(&self.pool)
            .await
            .map_err(fault("read a study"))?;
        rows.iter()
            .map(|row| intact("a record")(row.try_get::<Vec<u8>, _>(0)))
            .collect()
    }

    /// Notes the end of a study.
    ///
    /// # Errors
    ///
    /// If the store fails.
    pub async fn end_study(&self, study: &StudyHash, now: Timestamp) -> Result<(), StoreFault> {
        let ended = end_study(study, now).execute(&self.pool).await;
        ended.map(drop).map_err(fault("end a study"))
    }

    /// A contract's text by its hash.
    ///
    /// # Errors
    ///
    /// If the store fails.
    pub async fn contract(&self, hash: &Hash32) -> Result<Option<String>, StoreFault> {
        sqlx::query_scalar("SELECT text FROM contracts WHERE hash = $1")
            .bind(hash.to_string())
            .fetch_optional(&self.pool)
            .await
            .map_err(fault("read a contract"))
    }

    /// A contract's text by name and version; the newest version where none is given.
    ///
    /// # Errors
    ///
    /// If the store fails.
    pub async fn contract_by_name(
        &self,
        name: &str,
        version: Option<u32>,
    ) -> Result<Option<String>, StoreFault> {
        sqlx::query_scalar(
            "SELECT text FROM contracts WHERE name = $1 AND (version = $2 OR $2 < 0) ORDER BY version DESC, hash LIMIT 1",
        )
        .bind(name.to_owned())
        .bind(version.map_or(-1, i64::from))
        .fetch_optional(&self.pool)
        .await
        .map_err(fault("read a contract"))
    }
}

pub(super) fn end_study<'q>(
    study: &StudyHash,
    now: Timestamp,
) -> sqlx::query::Query<'q, Any, AnyArguments> {
    sqlx::query("UPDATE studies SET ended = $1 WHERE hash = $2 AND ended = 0")
        .bind(now.0 as i64)
        .bind(study.to_string())
}

/// A study and its contract, each where it is not there yet.
pub(super) async fn insert_with_contract(
    transaction: &mut sqlx::Transaction<'_, Any>,
    study: &StoredStudy,
    (name, version, text): (&Name, u32, &str),
) -> Result<(), StoreFault> {
    sqlx::query("INSERT INTO contracts (hash, name, version, text) VALUES ($1, $2, $3, $4) ON CONFLICT (hash) DO NOTHING")
        .bind(study.contract_hash.to_string())
        .bind(name.as_str().to_owned())
        .bind(i64::from(version))
        .bind(text.to_owned())
        .execute(&mut **transaction)
        .await
        .map_err(fault("keep a contract"))?;
    let kept = insert_study(study).execute(&mut **transaction).await;
    kept.map(drop).map_err(fault("keep a study"))
}

pub(super) fn insert_study(study: &StoredStudy) -> sqlx::query::Query<'_, Any, AnyArguments> {
    sqlx::query(
        "INSERT INTO studies (hash, name, terms, contract_hash, submitted, ended, question) \
         VALUES ($1, $2, $3, $4, $5, 0, $6) ON CONFLICT (hash) DO NOTHING",
    )
    .bind(study.hash.to_string())
    .bind(study.name.as_str().to_owned())
    .bind(study.terms.clone())
    .bind(study.contract_hash.to_string())
    .bind(study.submitted.0 as i64)
    .bind(i64::from(study.question))
}

pub(super) fn read_study(row: &AnyRow) -> Result<StoredStudy, StoreFault> {
    let what = "a study";
    Ok(StoredStudy {
        hash: StudyHash(intact(what)(text(row, 0, what)?.parse::<Hash32>())?.0),
        name: intact(what)(text(row, 1, what)?.parse())?,
        terms: intact(what)(row.try_get::<Vec<u8>, _>(2))?,
        contract_hash: intact(what)(text(row, 3, what)?.parse())?,
        submitted: Timestamp(number(row, 4, what)?),
        ended: Timestamp(number(row, 5, what)?),
        question: number(row, 6, what)? != 0,
    })
}
