//! Files of studies, and which studies were proposed to train a model anew.

use aquifer_shared::base::ids::{Hash32, Name, StudyHash};
use aquifer_shared::base::time::Timestamp;
use sqlx::any::AnyRow;

use super::registry::{number, text};
use super::studies::insert_with_contract;
use super::{Store, StoreFault, StoredStudy, fault, intact};

/// A study that is proposed so that its model takes the place of another.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Retraining {
    /// The study.
    pub study: StudyHash,
    /// The study of the model whose place it is.
    pub succeeds: StudyHash,
    /// That model's version.
    pub version: u32,
    /// Its place among the proposals for that model; there is one of each number.
    pub number: u32,
    /// On whose word: who asked for it, or submitted the study whose file asks for it.
    pub who: String,
    /// Why.
    pub why: String,
    /// When.
    pub at: Timestamp,
}

impl Store {
    /// Keeps a study with its contract and its file, and of which model it takes the place if it does, in one write. False if another
    /// study has that place already: nothing is kept.
    ///
    /// # Errors
    ///
    /// If the store fails.
    pub async fn propose(
        &self,
        study: &StoredStudy,
        contract: (&Name, u32, &str),
        (file, lead_days): (&str, Option<u32>),
        retraining: Option<&Retraining>,
    ) -> Result<bool, StoreFault> {
        let what = "keep a study";
        let mut transaction = self.pool.begin().await.map_err(fault(what))?;
        if let Some(own) = retraining {
            let kept = sqlx::query(
                "INSERT INTO retrainings (study, succeeds, version, number, who, why, at) VALUES ($1, $2, $3, $4, $5, $6, $7) \
                 ON CONFLICT DO NOTHING",
            )
            .bind(own.study.to_string())
            .bind(own.succeeds.to_string())
            .bind(i64::from(own.version))
            .bind(i64::from(own.number))
            .bind(own.who.clone())
            .bind(own.why.clone())
            .bind(own.at.0 as i64)
            .execute(&mut *transaction)
            .await
            .map_err(fault(what))?;
            if kept.rows_affected() == 0 {
                return Ok(false);
            }
        }
        insert_with_contract(&mut transaction, study, contract).await?;
        sqlx::query("INSERT INTO study_files (study, text, lead_days) VALUES ($1, $2, $3) ON CONFLICT (study) DO NOTHING")
            .bind(study.hash.to_string())
            .bind(file.to_owned())
            .bind(lead_days.map_or(-1, i64::from))
            .execute(&mut *transaction)
            .await
            .map_err(fault(what))?;
        transaction.commit().await.map_err(fault(what))?;
        Ok(true)
    }

    /// The file of a study; none of those that were submitted before files were kept.
    ///
    /// # Errors
    ///
    /// If the store fails.
    pub async fn study_file(&self, study: &StudyHash) -> Result<Option<String>, StoreFault> {
        sqlx::query_scalar("SELECT text FROM study_files WHERE study = $1")
            .bind(study.to_string())
            .fetch_optional(&self.pool)
            .await
            .map_err(fault("read the file of a study"))
    }

    /// Studies whose files say that they are proposed again, and how many days before the date of their model.
    ///
    /// # Errors
    ///
    /// If the store fails.
    pub async fn leads(&self) -> Result<Vec<(StudyHash, u32)>, StoreFault> {
        let rows = sqlx::query("SELECT study, lead_days FROM study_files WHERE lead_days >= 0")
            .fetch_all(&self.pool)
            .await
            .map_err(fault("read files of studies"))?;
        let what = "the file of a study";
        let lead = |row: &AnyRow| {
            let days = intact(what)(u32::try_from(number(row, 1, what)?))?;
            Ok((hash(row, 0, what)?, days))
        };
        rows.iter().map(lead).collect()
    }

    /// All proposals to train models anew, the oldest first.
    ///
    /// # Errors
    ///
    /// If the store fails.
    pub async fn retrainings(&self) -> Result<Vec<Retraining>, StoreFault> {
        let rows = sqlx::query(
            "SELECT study, succeeds, version, number, who, why, at FROM retrainings ORDER BY at, number",
        )
        .fetch_all(&self.pool)
        .await
        .map_err(fault("list proposals"))?;
        rows.iter().map(read).collect()
    }

    /// The model whose place a study is to take; none of other studies.
    ///
    /// # Errors
    ///
    /// If the store fails.
    pub async fn retraining_of(&self, study: &StudyHash) -> Result<Option<Retraining>, StoreFault> {
        let row = sqlx::query(
            "SELECT study, succeeds, version, number, who, why, at FROM retrainings WHERE study = $1",
        )
        .bind(study.to_string())
        .fetch_optional(&self.pool)
        .await
        .map_err(fault("read a proposal"))?;
        row.as_ref().map(read).transpose()
    }
}

fn read(row: &AnyRow) -> Result<Retraining, StoreFault> {
    let what = "a proposal";
    let small = |column| intact(what)(u32::try_from(number(row, column, what)?));
    Ok(Retraining {
        study: hash(row, 0, what)?,
        succeeds: hash(row, 1, what)?,
        version: small(2)?,
        number: small(3)?,
        who: text(row, 4, what)?,
        why: text(row, 5, what)?,
        at: Timestamp(number(row, 6, what)?),
    })
}

fn hash(row: &AnyRow, column: usize, what: &'static str) -> Result<StudyHash, StoreFault> {
    Ok(StudyHash(
        intact(what)(text(row, column, what)?.parse::<Hash32>())?.0,
    ))
}
