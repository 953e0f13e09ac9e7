//! Studies' records together with the spool: what the dealers of a fixed set dealt, sealed for its receivers.
//!
//! # Privacy
//!
//! The spool is the only thing of single nodes that is ever stored. No key that opens it is stored anywhere; it is written in the
//! transaction that fixes the set, and deleted in the one that ends the attempt.

use std::sync::LazyLock;

use aquifer_shared::base::ids::StudyHash;
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row};

use super::registry::number;
use super::{Closing, Store, StoreFault, fault, intact};

/// A change of a study's spool.
#[derive(Clone, Debug, PartialEq)]
pub enum SpoolWrite {
    /// What a dealer of a group dealt.
    Keep(Spooled),
    /// The attempt of a group is over.
    Drop {
        /// Its number in the study.
        group: u16,
    },
    /// The round or the study is over.
    Clear,
}

/// What a dealer dealt.
#[derive(Clone, Debug, PartialEq)]
pub struct Spooled {
    /// Number of its group in the study.
    pub group: u16,
    /// Its index in the group, from 1.
    pub dealer: u16,
    /// Encoded SHARES.
    pub shares: Vec<u8>,
}

impl Store {
    /// Appends records to a study, changes its spool, and keeps what an answered question leaves behind, all or none; `first` is the
    /// number of the first record.
    ///
    /// Durable when it returns. The same call may be made again where its answer was lost: what is there already stays.
    ///
    /// # Errors
    ///
    /// If the store fails; [`StoreFault::Overtaken`] if another process has appended meanwhile.
    pub async fn append(
        &self,
        study: &StudyHash,
        first: u64,
        records: &[Vec<u8>],
        spool: &[SpoolWrite],
        closing: Option<&Closing>,
    ) -> Result<(), StoreFault> {
        let appended = self.try_append(study, first, records, spool, closing);
        match appended.await {
            Err(StoreFault::Database { source, .. })
                if is_taken(&source) && !records.is_empty() =>
            {
                let there = self.records_from(study, first).await?;
                // All or none: with its records the whole write is there.
                let study = *study;
                (there == records)
                    .then_some(())
                    .ok_or(StoreFault::Overtaken { study })
            }
            tried => tried,
        }
    }

    async fn try_append(
        &self,
        study: &StudyHash,
        first: u64,
        records: &[Vec<u8>],
        spool: &[SpoolWrite],
        closing: Option<&Closing>,
    ) -> Result<(), StoreFault> {
        if spool.is_empty() && closing.is_none() && records.len() <= INSERTS.len() {
            // One statement is a transaction by itself.
            let mut connection = self.pool.acquire().await.map_err(fault(APPEND))?;
            let kept = insert_records(&mut connection, study, first, records).await;
            return kept.map_err(fault(APPEND));
        }
        let mut transaction = self.pool.begin().await.map_err(fault("begin"))?;
        let kept = insert_records(&mut transaction, study, first, records);
        kept.await.map_err(fault(APPEND))?;
        for change in spool {
            write(&mut transaction, study, change).await?;
        }
        if let Some(closing) = closing {
            closing.write(&mut transaction).await?;
        }
        transaction.commit().await.map_err(fault(APPEND))
    }

    /// What is spooled of a study, by group and dealer.
    ///
    /// # Errors
    ///
    /// If the store fails.
    pub async fn spool(&self, study: &StudyHash) -> Result<Vec<Spooled>, StoreFault> {
        let rows = sqlx::query(
            "SELECT group_number, dealer, shares FROM spool WHERE study = $1 ORDER BY group_number, dealer",
        )
        .bind(study.to_string())
        .fetch_all(&self.pool)
        .await
        .map_err(fault("read a study's spool"))?;
        rows.iter().map(read).collect()
    }
}

/// Records of a study by their numbers, some with each statement: each is a way to the disk's thread and back.
pub(super) async fn insert_records(
    connection: &mut AnyConnection,
    study: &StudyHash,
    first: u64,
    records: &[Vec<u8>],
) -> Result<(), sqlx::Error> {
    let study = study.to_string();
    let mut seq = first as i64;
    for some in records.chunks(INSERTS.len()) {
        let mut query = sqlx::query(INSERTS[some.len() - 1].as_str());
        for record in some {
            query = query.bind(study.clone()).bind(seq).bind(record.clone());
            seq += 1;
        }
        let done = query.execute(&mut *connection).await?;
        if done.rows_affected() != some.len() as u64 {
            // Of a file: its thread is gone.
            return Err(sqlx::Error::WorkerCrashed);
        }
    }
    Ok(())
}

/// Statements that insert one record, two, and so on.
static INSERTS: LazyLock<[String; 16]> = LazyLock::new(|| {
    std::array::from_fn(|last| {
        let row = |row: usize| {
            let [a, b, c] = [1, 2, 3].map(|column| 3 * row + column);
            format!("(${a}, ${b}, ${c})")
        };
        let rows: Vec<String> = (0..=last).map(row).collect();
        format!(
            "INSERT INTO records (study, seq, body) VALUES {}",
            rows.join(", ")
        )
    })
});

async fn write(
    transaction: &mut AnyConnection,
    study: &StudyHash,
    change: &SpoolWrite,
) -> Result<(), StoreFault> {
    let study = study.to_string();
    let query = match change {
        SpoolWrite::Keep(spooled) => sqlx::query(
            "INSERT INTO spool (study, group_number, dealer, shares) VALUES ($1, $2, $3, $4)",
        )
        .bind(study)
        .bind(i64::from(spooled.group))
        .bind(i64::from(spooled.dealer))
        .bind(spooled.shares.clone()),
        SpoolWrite::Drop { group } => {
            sqlx::query("DELETE FROM spool WHERE study = $1 AND group_number = $2")
                .bind(study)
                .bind(i64::from(*group))
        }
        SpoolWrite::Clear => sqlx::query("DELETE FROM spool WHERE study = $1").bind(study),
    };
    let done = query.execute(transaction).await;
    done.map(drop).map_err(fault(APPEND))
}

/// Whether the database found a row of the same key.
fn is_taken(error: &sqlx::Error) -> bool {
    error
        .as_database_error()
        .is_some_and(|error| error.is_unique_violation())
}

fn read(row: &AnyRow) -> Result<Spooled, StoreFault> {
    let what = "a spool";
    let small = |column| intact(what)(u16::try_from(number(row, column, what)?));
    Ok(Spooled {
        group: small(0)?,
        dealer: small(1)?,
        shares: intact(what)(row.try_get(2))?,
    })
}

const APPEND: &str = "append to a study";
