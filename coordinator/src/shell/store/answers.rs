//! Answers that were released, and who asked: the memory behind "the same question is free" and behind shares.
//!
//! Holds released numbers only: what a question's secure or noisy sum was, never anything exact.

use aquifer_shared::base::ids::{Hash32, Name, StudyHash};
use aquifer_shared::base::limits::FRAME_BYTES_MAX;
use aquifer_shared::base::time::Timestamp;
use aquifer_shared::base::units::MicroRho;
use aquifer_shared::protocol::ask::ReleasedSum;
use aquifer_shared::protocol::codec::{decode, encode};
use sqlx::Row;
use sqlx::any::AnyRow;

use super::registry::{number, text};
use super::{Store, StoreFault, fault, intact};

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
    /// What was asked, as in [`StoredAnswer::key`].
    pub key: Hash32,
    /// The study that answers it.
    pub study: StudyHash,
    /// Why.
    pub purpose: Name,
    /// Counted against the person's share; 0 where a stored answer was given.
    pub urho: MicroRho,
    /// When.
    pub at: Timestamp,
}

impl Store {
    /// Keeps an answer; one that is there already stays as it is.
    ///
    /// # Errors
    ///
    /// If the store fails.
    pub async fn add_answer(&self, answer: &StoredAnswer) -> Result<(), StoreFault> {
        sqlx::query(
            "INSERT INTO answers (study, plan_key, urho, terms, released, created) VALUES ($1, $2, $3, $4, $5, $6) \
             ON CONFLICT DO NOTHING",
        )
        .bind(answer.study.to_string())
        .bind(answer.key.to_string())
        .bind(answer.urho.0 as i64)
        .bind(answer.terms.clone())
        .bind(encode(&answer.sum))
        .bind(answer.created.0 as i64)
        .execute(&self.pool)
        .await
        .map(drop)
        .map_err(fault("keep an answer"))
    }

    /// The dearest answer to a question.
    ///
    /// # Errors
    ///
    /// If the store fails.
    pub async fn answer_to(&self, key: &Hash32) -> Result<Option<StoredAnswer>, StoreFault> {
        let text = "SELECT study, plan_key, urho, terms, released, created FROM answers WHERE plan_key = $1 \
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
            "SELECT study, plan_key, urho, terms, released, created FROM answers \
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
        let text =
            "SELECT study, plan_key, urho, terms, released, created FROM answers WHERE study = $1";
        self.one_answer(text, study.to_string()).await
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

    /// Notes a question before anything is asked; false where this person used the number already.
    ///
    /// # Errors
    ///
    /// If the store fails.
    pub async fn add_asked(&self, asked: &Asked) -> Result<bool, StoreFault> {
        let done = sqlx::query(
            "INSERT INTO asked (analyst, request, plan_key, study, purpose, urho, at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING",
        )
        .bind(asked.analyst.as_str().to_owned())
        .bind(asked.request.clone())
        .bind(asked.key.to_string())
        .bind(asked.study.to_string())
        .bind(asked.purpose.as_str().to_owned())
        .bind(asked.urho.0 as i64)
        .bind(asked.at.0 as i64)
        .execute(&self.pool)
        .await
        .map_err(fault("note a question"))?;
        Ok(done.rows_affected() == 1)
    }

    /// What a person asked under a number.
    ///
    /// # Errors
    ///
    /// If the store fails.
    pub async fn asked(&self, analyst: &Name, request: &str) -> Result<Option<Asked>, StoreFault> {
        let row = sqlx::query(
            "SELECT analyst, request, plan_key, study, purpose, urho, at FROM asked WHERE analyst = $1 AND request = $2",
        )
        .bind(analyst.as_str().to_owned())
        .bind(request.to_owned())
        .fetch_optional(&self.pool)
        .await
        .map_err(fault("find a question"))?;
        row.as_ref().map(read_asked).transpose()
    }

    /// What a person's questions for a purpose have cost.
    ///
    /// # Errors
    ///
    /// If the store fails.
    pub async fn share_used(&self, analyst: &Name, purpose: &Name) -> Result<MicroRho, StoreFault> {
        let what = "add up a share";
        let rows =
            sqlx::query("SELECT urho FROM asked WHERE analyst = $1 AND purpose = $2 AND urho > 0")
                .bind(analyst.as_str().to_owned())
                .bind(purpose.as_str().to_owned())
                .fetch_all(&self.pool)
                .await
                .map_err(fault(what))?;
        let prices = rows.iter().map(|row| number(row, 0, what).map(MicroRho));
        prices.into_iter().try_fold(MicroRho::ZERO, |sum, one| {
            Ok(sum.checked_add(one?).unwrap_or(MicroRho(u64::MAX)))
        })
    }
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
    })
}

fn read_asked(row: &AnyRow) -> Result<Asked, StoreFault> {
    let what = "a question";
    Ok(Asked {
        analyst: intact(what)(text(row, 0, what)?.parse())?,
        request: text(row, 1, what)?,
        key: intact(what)(text(row, 2, what)?.parse())?,
        study: StudyHash(intact(what)(text(row, 3, what)?.parse::<Hash32>())?.0),
        purpose: intact(what)(text(row, 4, what)?.parse())?,
        urho: MicroRho(number(row, 5, what)?),
        at: Timestamp(number(row, 6, what)?),
    })
}
