//! Released and held models, by name and version.

use aquifer_shared::base::ids::{Hash32, IdentityKey, Name, StudyHash};
use aquifer_shared::base::limits::RECALL_WISH_DAYS;
use aquifer_shared::base::time::Timestamp;
use aquifer_shared::domain::law::Allowed;
use aquifer_shared::domain::law::witness::{Release, Run};
use aquifer_shared::domain::predictor::model::{Fate, Life, ModelFile};
use sqlx::any::AnyRow;

use super::registry::{number, text};
use super::{Store, StoreFault, fault, intact};

/// A model version as stored.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredModel {
    /// Name.
    pub name: Name,
    /// Version, from 1.
    pub version: u32,
    /// The study behind it.
    pub study: StudyHash,
    /// Published, or held for a person.
    pub published: bool,
    /// The model file (JSON).
    pub file: String,
    /// When.
    pub created: Timestamp,
    /// What people decided about its use.
    pub fate: Fate,
    /// When they did; 0 where they did not.
    pub fate_since: Timestamp,
}

impl StoredModel {
    /// `NAME@VERSION`.
    #[must_use]
    pub fn named(&self) -> String {
        format!("{}@{}", self.name, self.version)
    }

    /// How long it is used, with its file; none where the file is not one.
    #[must_use]
    pub fn life(&self) -> Option<(ModelFile, Life)> {
        let file = ModelFile::parse(&self.file).ok()?;
        let life = Life {
            fate: self.fate,
            since: self.fate_since,
            ..Life::of(file.card())
        };
        Some((file, life))
    }
}

/// What became of a wish to recall a model.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Recall {
    /// It waits for a second person.
    Asked,
    /// It is recalled.
    Done,
    /// The same person has asked before.
    SamePerson,
    /// No released model of that name and version is left to be recalled.
    NotReleased,
}

impl Store {
    /// The number that the next version of a model gets.
    ///
    /// # Errors
    ///
    /// If the store fails.
    pub async fn next_version(&self, name: &Name) -> Result<u32, StoreFault> {
        let last: Option<i64> = sqlx::query_scalar(
            "SELECT version FROM models WHERE name = $1 ORDER BY version DESC LIMIT 1",
        )
        .bind(name.as_str().to_owned())
        .fetch_optional(&self.pool)
        .await
        .map_err(fault("number a model"))?;
        intact("a model")(u32::try_from(last.unwrap_or(0) + 1))
    }

    /// Keeps a model and gives it back as it is stored: where the study has one already, that one.
    ///
    /// Published where a decision allows the release, else held, whatever `model` says.
    ///
    /// # Errors
    ///
    /// [`StoreFault::Taken`] if the number belongs to another study by now: number it anew. Or if the store fails.
    pub async fn add_model(
        &self,
        model: &StoredModel,
        allowed: Option<Allowed<Release, Run>>,
    ) -> Result<StoredModel, StoreFault> {
        let what = "keep a model";
        let state = if allowed.is_some() { PUBLISHED } else { HELD };
        let mut transaction = self.pool.begin().await.map_err(fault(what))?;
        sqlx::query(
            "INSERT INTO models (name, version, study, state, file, created) VALUES ($1, $2, $3, $4, $5, $6) \
             ON CONFLICT DO NOTHING",
        )
        .bind(model.name.as_str().to_owned())
        .bind(i64::from(model.version))
        .bind(model.study.to_string())
        .bind(state)
        .bind(model.file.clone())
        .bind(model.created.0 as i64)
        .execute(&mut *transaction)
        .await
        .map_err(fault(what))?;
        let row = sqlx::query(MODEL_OF)
            .bind(model.study.to_string())
            .fetch_optional(&mut *transaction)
            .await
            .map_err(fault(what))?;
        transaction.commit().await.map_err(fault(what))?;
        row.as_ref().map_or_else(
            || {
                Err(StoreFault::Taken {
                    name: model.name.clone(),
                    version: model.version,
                })
            },
            read_model,
        )
    }

    /// All models that are published or held, newest first.
    ///
    /// # Errors
    ///
    /// If the store fails.
    pub async fn models(&self) -> Result<Vec<StoredModel>, StoreFault> {
        let rows = sqlx::query(
            "SELECT name, version, study, state, file, created, fate, fate_since FROM models WHERE state <> $1 \
             ORDER BY created DESC, name, version DESC",
        )
        .bind(DROPPED)
        .fetch_all(&self.pool)
        .await
        .map_err(fault("list its models"))?;
        rows.iter().map(read_model).collect()
    }

    /// The model that a study made, if it made one; also if it was dropped since.
    ///
    /// # Errors
    ///
    /// If the store fails.
    pub async fn model_of(&self, study: &StudyHash) -> Result<Option<StoredModel>, StoreFault> {
        let row = sqlx::query(MODEL_OF)
            .bind(study.to_string())
            .fetch_optional(&self.pool)
            .await
            .map_err(fault("read a model"))?;
        row.as_ref().map(read_model).transpose()
    }

    /// Publishes a held model, or drops it for good (its number stays taken); false if there is no held one of that name and version.
    ///
    /// # Errors
    ///
    /// If the store fails.
    pub async fn decide_model(
        &self,
        name: &Name,
        version: u32,
        allowed: Option<Allowed<Release, Run>>,
    ) -> Result<bool, StoreFault> {
        let state = if allowed.is_some() {
            PUBLISHED
        } else {
            DROPPED
        };
        let done = sqlx::query(
            "UPDATE models SET state = $1 WHERE name = $2 AND version = $3 AND state = $4",
        )
        .bind(state)
        .bind(name.as_str().to_owned())
        .bind(i64::from(version))
        .bind(HELD)
        .execute(&self.pool)
        .await
        .map_err(fault("decide on a model"))?;
        Ok(done.rows_affected() > 0)
    }

    /// Ends the use of a released model; false if there is none of that name and version in use.
    ///
    /// # Errors
    ///
    /// If the store fails.
    pub async fn retire_model(
        &self,
        (name, version): (&Name, u32),
        now: Timestamp,
    ) -> Result<bool, StoreFault> {
        let done = sqlx::query(
            "UPDATE models SET fate = $1, fate_since = $2 WHERE name = $3 AND version = $4 AND state = $5 AND fate = $6",
        )
        .bind(RETIRED)
        .bind(now.0 as i64)
        .bind(name.as_str().to_owned())
        .bind(i64::from(version))
        .bind(PUBLISHED)
        .bind(IN_USE)
        .execute(&self.pool)
        .await
        .map_err(fault("retire a model"))?;
        Ok(done.rows_affected() > 0)
    }

    /// Writes down that this person wants a released model recalled; once another wants so too, it is.
    ///
    /// The first wish counts for [`RECALL_WISH_DAYS`], and as long as whoever entered it is registered with the same key in a role that
    /// may: then it is as if nobody had asked.
    ///
    /// # Errors
    ///
    /// If the store fails.
    pub async fn recall_model(
        &self,
        which: (&Name, u32),
        by: (&Name, &IdentityKey),
        now: Timestamp,
    ) -> Result<Recall, StoreFault> {
        // One statement each, so that two who ask at once are not both the first; whoever of them comes late looks again.
        for _ in 0..2 {
            if self.recall_step(which, RECALL_SECOND, by, now).await? {
                return Ok(Recall::Done);
            }
            if self.recall_step(which, RECALL_FIRST, by, now).await? {
                return Ok(Recall::Asked);
            }
        }
        let own: Option<i64> = sqlx::query_scalar(
            "SELECT version FROM models WHERE name = $1 AND version = $2 AND state = $3 AND fate <> $4 AND recall_by = $5",
        )
        .bind(which.0.as_str().to_owned())
        .bind(i64::from(which.1))
        .bind(PUBLISHED)
        .bind(RECALLED)
        .bind(by.0.as_str().to_owned())
        .fetch_optional(&self.pool)
        .await
        .map_err(fault("recall a model"))?;
        Ok(match own {
            Some(_) => Recall::SamePerson,
            None => Recall::NotReleased,
        })
    }

    async fn recall_step(
        &self,
        (name, version): (&Name, u32),
        statement: &'static str,
        (by, key): (&Name, &IdentityKey),
        now: Timestamp,
    ) -> Result<bool, StoreFault> {
        let since = now.0.saturating_sub(RECALL_WISH_DAYS * DAY_MS);
        let done = sqlx::query(statement)
            .bind(name.as_str().to_owned())
            .bind(i64::from(version))
            .bind(PUBLISHED)
            .bind(RECALLED)
            .bind(by.as_str().to_owned())
            .bind(now.0 as i64)
            .bind(key.to_string())
            .bind(since as i64)
            .execute(&self.pool)
            .await
            .map_err(fault("recall a model"))?;
        Ok(done.rows_affected() > 0)
    }
}

/// A number of a newer program is no model to be used.
fn fate_of(number: u64) -> Fate {
    match i64::try_from(number) {
        Ok(IN_USE) => Fate::InUse,
        Ok(RETIRED) => Fate::Retired,
        _ => Fate::Recalled,
    }
}

fn read_model(row: &AnyRow) -> Result<StoredModel, StoreFault> {
    let what = "a model";
    Ok(StoredModel {
        name: intact(what)(text(row, 0, what)?.parse())?,
        version: intact(what)(u32::try_from(number(row, 1, what)?))?,
        study: StudyHash(intact(what)(text(row, 2, what)?.parse::<Hash32>())?.0),
        published: number(row, 3, what)? == PUBLISHED as u64,
        file: text(row, 4, what)?,
        created: Timestamp(number(row, 5, what)?),
        fate: fate_of(number(row, 6, what)?),
        fate_since: Timestamp(number(row, 7, what)?),
    })
}

/// A model, and whether the wish for its recall stands: it is young enough, and whoever entered it may still.
macro_rules! recall_where {
    ($stands:literal, $more:literal) => {
        concat!(
            " WHERE name = $1 AND version = $2 AND state = $3 AND fate <> $4 AND ",
            $stands,
            " (recall_at >= $8 AND EXISTS (SELECT 1 FROM parties WHERE parties.name = models.recall_by \
             AND parties.identity = models.recall_key AND parties.revoked = 0 \
             AND parties.role IN ('operator', 'approver', 'dpo')))",
            $more
        )
    };
}
/// Somebody else has asked before. The key is in it so that both statements take the same values.
const RECALL_SECOND: &str = concat!(
    "UPDATE models SET fate = $4, fate_since = $6",
    recall_where!("", " AND recall_by <> $5 AND $7 <> ''")
);
/// Nobody has whose wish stands.
const RECALL_FIRST: &str = concat!(
    "UPDATE models SET recall_by = $5, recall_at = $6, recall_key = $7",
    recall_where!("NOT", "")
);
const DAY_MS: u64 = 24 * 3_600 * 1_000;
const MODEL_OF: &str = "SELECT name, version, study, state, file, created, fate, fate_since FROM models WHERE study = $1";
const HELD: i64 = 0;
const PUBLISHED: i64 = 1;
const DROPPED: i64 = 2;
const IN_USE: i64 = 0;
const RETIRED: i64 = 1;
const RECALLED: i64 = 2;
