//! Answers that were released, and who asked: the memory behind "the same question is free" and behind shares.
//!
//! Holds released numbers only: what a question's secure or noisy sum was, never anything exact.

use aquifer_shared::base::ids::{Hash32, IdentityKey, Name, StudyHash};
use aquifer_shared::base::limits::FRAME_BYTES_MAX;
use aquifer_shared::base::time::Timestamp;
use aquifer_shared::base::units::MicroRho;
use aquifer_shared::protocol::ask::ReleasedSum;
use aquifer_shared::protocol::codec::{decode, encode};
use sqlx::any::{AnyArguments, AnyRow};
use sqlx::{Any, AnyConnection, Row};

use super::registry::{number, text};
use super::spool::insert_records;
use super::studies::{end_study, insert_study, read_study};
use super::{Store, StoreFault, StoredStudy, fault, intact};

/// A released answer.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredAnswer {
    /// The study of the question.
    pub study: StudyHash,
    /// Everything that must be the same for it to answer another asker.
    pub key: Hash32,
    /// Its price.
    pub urho: MicroRho,
    /// Encoded terms of its study.
    pub terms: Vec<u8>,
    /// How many attempts were paid.
    pub attempts: u32,
    /// The sum.
    pub sum: ReleasedSum,
    /// When.
    pub created: Timestamp,
}

/// Who asked what, and what was paid for it.
#[derive(Clone, Debug, PartialEq)]
pub struct Asked {
    /// The person.
    pub analyst: Name,
    /// The person's own number for it; the study's hash where none was given.
    pub request: String,
    /// What was asked, whatever the state of the data.
    pub plan: Hash32,
    /// The study that answers it.
    pub study: StudyHash,
    /// The standing study under which it was asked.
    pub standing: StudyHash,
    /// Why.
    pub purpose: Name,
    /// Counted against the person's share; 0 where a stored answer was given.
    pub urho: MicroRho,
    /// When.
    pub at: Timestamp,
}

/// What a question that is answered leaves behind, written with the record of its end.
#[derive(Clone, Debug, PartialEq)]
pub struct Closing {
    /// The answer; one that is there already stays as it is.
    pub answer: StoredAnswer,
    /// What all attempts have cost.
    pub paid: MicroRho,
    /// When it ended.
    pub ended: Timestamp,
}

impl Closing {
    /// Answer, cost and end, in the transaction of their record.
    pub(super) async fn write(&self, transaction: &mut AnyConnection) -> Result<(), StoreFault> {
        let what = "keep an answer";
        let kept = insert_answer(&self.answer).execute(&mut *transaction).await;
        kept.map_err(fault(what))?;
        let study = &self.answer.study;
        let settled = settle(study, self.paid).execute(&mut *transaction).await;
        settled.map_err(fault(what))?;
        let ended = end_study(study, self.ended).execute(transaction).await;
        ended.map(drop).map_err(fault(what))
    }
}

impl Store {
    /// The dearest answer to a question.
    ///
    /// # Errors
    ///
    /// If the store fails.
    pub async fn answer_to(&self, key: &Hash32) -> Result<Option<StoredAnswer>, StoreFault> {
        let text = "SELECT study, plan_key, urho, terms, released, created, attempts FROM answers WHERE plan_key = $1 \
                    ORDER BY urho DESC, created, study LIMIT 1";
        self.one_answer(text, key.to_string()).await
    }

    /// The newest answers, so many at most.
    ///
    /// # Errors
    ///
    /// If the store fails.
    pub async fn answers(&self, count: usize) -> Result<Vec<StoredAnswer>, StoreFault> {
        let rows = sqlx::query(
            "SELECT study, plan_key, urho, terms, released, created, attempts FROM answers \
             ORDER BY created DESC, study LIMIT $1",
        )
        .bind(count as i64)
        .fetch_all(&self.pool)
        .await
        .map_err(fault("list answers"))?;
        rows.iter().map(read_answer).collect()
    }

    /// The answer of one study.
    ///
    /// # Errors
    ///
    /// If the store fails.
    pub async fn answer_of(&self, study: &StudyHash) -> Result<Option<StoredAnswer>, StoreFault> {
        let text = "SELECT study, plan_key, urho, terms, released, created, attempts FROM answers WHERE study = $1";
        self.one_answer(text, study.to_string()).await
    }

    /// Answers that are older than one, or than all, the newest first.
    ///
    /// # Errors
    ///
    /// If the store fails.
    pub async fn answers_before(
        &self,
        before: Option<&StudyHash>,
        most: usize,
    ) -> Result<Vec<StoredAnswer>, StoreFault> {
        let rows = sqlx::query(
            "SELECT study, plan_key, urho, terms, released, created, attempts FROM answers \
             WHERE $1 = '' OR created < (SELECT created FROM answers WHERE study = $2) \
             OR (created = (SELECT created FROM answers WHERE study = $3) AND study < $4) \
             ORDER BY created DESC, study DESC LIMIT $5",
        )
        .bind(before.map_or(String::new(), StudyHash::to_string))
        .bind(before.map_or(String::new(), StudyHash::to_string))
        .bind(before.map_or(String::new(), StudyHash::to_string))
        .bind(before.map_or(String::new(), StudyHash::to_string))
        .bind(i64::try_from(most).unwrap_or(i64::MAX))
        .fetch_all(&self.pool)
        .await
        .map_err(fault("list answers"))?;
        rows.iter().map(read_answer).collect()
    }

    async fn one_answer(
        &self,
        text: &'static str,
        value: String,
    ) -> Result<Option<StoredAnswer>, StoreFault> {
        let row = sqlx::query(text)
            .bind(value)
            .fetch_optional(&self.pool)
            .await
            .map_err(fault("find an answer"))?;
        row.as_ref().map(read_answer).transpose()
    }

    /// Notes a question that costs nothing; false where this person has used the number already, which is left as it is.
    ///
    /// # Errors
    ///
    /// If the store fails.
    pub async fn add_asked(&self, asked: &Asked) -> Result<bool, StoreFault> {
        let noted = insert_asked(asked).execute(&self.pool).await;
        let noted = noted.map_err(fault("note a question"))?;
        Ok(noted.rows_affected() == 1)
    }

    /// Notes a question with the study that answers it and its first records, all or none; false, and nothing kept, where this
    /// person used the number already. The contract is there: the standing study has brought it.
    ///
    /// # Errors
    ///
    /// If the store fails.
    pub async fn add_question(
        &self,
        study: &StoredStudy,
        asked: &Asked,
        records: &[Vec<u8>],
    ) -> Result<bool, StoreFault> {
        let what = "note a question";
        let mut transaction = self.pool.begin().await.map_err(fault(what))?;
        let noted = insert_asked(asked).execute(&mut *transaction).await;
        if noted.map_err(fault(what))?.rows_affected() == 0 {
            return Ok(false);
        }
        let kept = insert_study(study).execute(&mut *transaction).await;
        kept.map_err(fault(what))?;
        let kept = insert_records(&mut transaction, &study.hash, 0, records);
        kept.await.map_err(fault(what))?;
        transaction.commit().await.map_err(fault(what))?;
        Ok(true)
    }

    /// Sets what a question has cost in the end. One that cost nothing is forgotten where it brought no answer either: its number is
    /// free again.
    ///
    /// # Errors
    ///
    /// If the store fails.
    pub async fn settle_asked(&self, study: &StudyHash, paid: MicroRho) -> Result<(), StoreFault> {
        let settled = settle(study, paid).execute(&self.pool).await;
        settled.map(drop).map_err(fault("settle a question"))
    }

    /// What a person asked under a number.
    ///
    /// # Errors
    ///
    /// If the store fails.
    pub async fn asked(&self, analyst: &Name, request: &str) -> Result<Option<Asked>, StoreFault> {
        let row = sqlx::query(
            "SELECT analyst, request, plan_key, study, purpose, urho, at, standing FROM asked WHERE analyst = $1 AND request = $2",
        )
        .bind(analyst.as_str().to_owned())
        .bind(request.to_owned())
        .fetch_optional(&self.pool)
        .await
        .map_err(fault("find a question"))?;
        row.as_ref().map(read_asked).transpose()
    }

    /// What a person's questions under a standing study have cost, or everybody's: before `window`, and from `window` on.
    ///
    /// # Errors
    ///
    /// If the store fails.
    pub async fn share_used(
        &self,
        analyst: Option<&Name>,
        standing: &StudyHash,
        window: Timestamp,
    ) -> Result<(MicroRho, MicroRho), StoreFault> {
        let what = "add up a share";
        let text = match analyst {
            Some(_) => concat!(share_sums!(), " AND analyst = $3"),
            None => share_sums!(),
        };
        let sums = sqlx::query(text)
            .bind(window.0 as i64)
            .bind(standing.to_string());
        let sums = match analyst {
            Some(analyst) => sums.bind(analyst.as_str().to_owned()),
            None => sums,
        };
        let row = sums.fetch_one(&self.pool).await.map_err(fault(what))?;
        let sum = |at| number(&row, at, what).map(MicroRho);
        Ok((sum(0)?, sum(1)?))
    }

    /// Studies of questions that have ended and whose cost was not settled: the process stopped in between.
    ///
    /// # Errors
    ///
    /// If the store fails.
    pub async fn unsettled(&self) -> Result<Vec<StoredStudy>, StoreFault> {
        let what = "look for questions that are not settled";
        let rows = sqlx::query(
            "SELECT hash, name, terms, contract_hash, submitted, ended, question FROM studies \
             WHERE ended <> 0 AND question <> 0 AND hash IN (SELECT study FROM asked WHERE settled = 0 AND urho > 0)",
        )
        .fetch_all(&self.pool)
        .await
        .map_err(fault(what))?;
        rows.iter().map(read_study).collect()
    }

    /// Who asked a question first, with what it sets aside; none where it was not noted.
    ///
    /// # Errors
    ///
    /// If the store fails.
    pub async fn asker(&self, study: &StudyHash) -> Result<Option<Name>, StoreFault> {
        let what = "find who asked";
        let row = sqlx::query("SELECT analyst FROM asked WHERE study = $1 AND urho > 0")
            .bind(study.to_string())
            .fetch_optional(&self.pool)
            .await
            .map_err(fault(what))?;
        let name = |row: AnyRow| intact(what)(text(&row, 0, what)?.parse());
        row.map(name).transpose()
    }

    /// How many request ids of each person stand for answers that were there already, once those from before a moment are dropped.
    ///
    /// # Errors
    ///
    /// If the store fails.
    pub async fn request_ids(&self, before: Timestamp) -> Result<Vec<(Name, u64)>, StoreFault> {
        let what = "count request ids";
        sqlx::query("DELETE FROM asked WHERE urho = 0 AND at < $1")
            .bind(before.0 as i64)
            .execute(&self.pool)
            .await
            .map_err(fault(what))?;
        let rows =
            sqlx::query("SELECT analyst, count(*) FROM asked WHERE urho = 0 GROUP BY analyst")
                .fetch_all(&self.pool)
                .await
                .map_err(fault(what))?;
        let read = |row: &AnyRow| {
            let name = intact(what)(text(row, 0, what)?.parse())?;
            Ok((name, number(row, 1, what)?))
        };
        rows.iter().map(read).collect()
    }

    /// Which state of their tables nodes have served last.
    ///
    /// # Errors
    ///
    /// If the store fails.
    pub async fn data_versions(&self) -> Result<Vec<(IdentityKey, Name)>, StoreFault> {
        let what = "read data versions";
        let rows = sqlx::query("SELECT identity, version FROM data_versions")
            .fetch_all(&self.pool)
            .await
            .map_err(fault(what))?;
        let read = |row: &AnyRow| {
            let identity = intact(what)(text(row, 0, what)?.parse::<Hash32>())?;
            Ok((
                IdentityKey(identity.0),
                intact(what)(text(row, 1, what)?.parse())?,
            ))
        };
        rows.iter().map(read).collect()
    }

    /// Keeps which state of its tables a node serves.
    ///
    /// # Errors
    ///
    /// If the store fails.
    pub async fn set_data_version(
        &self,
        node: &IdentityKey,
        version: &Name,
    ) -> Result<(), StoreFault> {
        let kept = sqlx::query(
            "INSERT INTO data_versions (identity, version) VALUES ($1, $2) \
             ON CONFLICT (identity) DO UPDATE SET version = excluded.version",
        )
        .bind(node.to_string())
        .bind(version.as_str().to_owned())
        .execute(&self.pool)
        .await;
        kept.map(drop).map_err(fault("keep a data version"))
    }
}

/// Prices before and from the start of a window, of questions under a standing study.
macro_rules! share_sums {
    () => {
        "SELECT CAST(COALESCE(SUM(CASE WHEN at < $1 THEN urho ELSE 0 END), 0) AS BIGINT), \
         CAST(COALESCE(SUM(CASE WHEN at < $1 THEN 0 ELSE urho END), 0) AS BIGINT) \
         FROM asked WHERE urho > 0 AND standing = $2"
    };
}
use share_sums;

fn settle<'q>(study: &StudyHash, paid: MicroRho) -> sqlx::query::Query<'q, Any, AnyArguments> {
    let text = match paid {
        MicroRho::ZERO => {
            "DELETE FROM asked WHERE study = $1 AND NOT EXISTS (SELECT study FROM answers WHERE study = $1)"
        }
        _ => "UPDATE asked SET urho = $2, settled = 1 WHERE study = $1 AND urho > 0",
    };
    let settle = sqlx::query(text).bind(study.to_string());
    match paid {
        MicroRho::ZERO => settle,
        paid => settle.bind(paid.0 as i64),
    }
}

fn insert_answer(answer: &StoredAnswer) -> sqlx::query::Query<'_, Any, AnyArguments> {
    sqlx::query(
        "INSERT INTO answers (study, plan_key, urho, terms, released, created, attempts) VALUES ($1, $2, $3, $4, $5, $6, $7) \
         ON CONFLICT DO NOTHING",
    )
    .bind(answer.study.to_string())
    .bind(answer.key.to_string())
    .bind(answer.urho.0 as i64)
    .bind(answer.terms.clone())
    .bind(encode(&answer.sum))
    .bind(answer.created.0 as i64)
    .bind(i64::from(answer.attempts))
}

fn insert_asked(asked: &Asked) -> sqlx::query::Query<'_, Any, AnyArguments> {
    sqlx::query(
        "INSERT INTO asked (analyst, request, plan_key, study, purpose, urho, at, standing) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING",
    )
    .bind(asked.analyst.as_str().to_owned())
    .bind(asked.request.clone())
    .bind(asked.plan.to_string())
    .bind(asked.study.to_string())
    .bind(asked.purpose.as_str().to_owned())
    .bind(asked.urho.0 as i64)
    .bind(asked.at.0 as i64)
    .bind(asked.standing.to_string())
}

fn read_answer(row: &AnyRow) -> Result<StoredAnswer, StoreFault> {
    let what = "an answer";
    let released: Vec<u8> = intact(what)(row.try_get(4))?;
    Ok(StoredAnswer {
        study: StudyHash(intact(what)(text(row, 0, what)?.parse::<Hash32>())?.0),
        key: intact(what)(text(row, 1, what)?.parse())?,
        urho: MicroRho(number(row, 2, what)?),
        terms: intact(what)(row.try_get(3))?,
        sum: intact(what)(decode("released sum", &released, FRAME_BYTES_MAX))?,
        created: Timestamp(number(row, 5, what)?),
        attempts: intact(what)(number(row, 6, what)?.try_into())?,
    })
}

fn read_asked(row: &AnyRow) -> Result<Asked, StoreFault> {
    let what = "a question";
    Ok(Asked {
        analyst: intact(what)(text(row, 0, what)?.parse())?,
        request: text(row, 1, what)?,
        plan: intact(what)(text(row, 2, what)?.parse())?,
        study: StudyHash(intact(what)(text(row, 3, what)?.parse::<Hash32>())?.0),
        purpose: intact(what)(text(row, 4, what)?.parse())?,
        urho: MicroRho(number(row, 5, what)?),
        at: Timestamp(number(row, 6, what)?),
        standing: StudyHash(intact(what)(text(row, 7, what)?.parse::<Hash32>())?.0),
    })
}
