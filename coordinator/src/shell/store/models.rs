//! Released and held models, by name and version.

use aquifer_shared::base::ids::{Hash32, Name, StudyHash};
use aquifer_shared::base::time::Timestamp;
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

    /// Keeps a model; a version of the same study that is there already stays as it is.
    ///
    /// # Errors
    ///
    /// If the store fails.
    pub async fn add_model(&self, model: &StoredModel) -> Result<(), StoreFault> {
        sqlx::query(
            "INSERT INTO models (name, version, study, published, file, created) VALUES ($1, $2, $3, $4, $5, $6) \
             ON CONFLICT (name, version) DO NOTHING",
        )
        .bind(model.name.as_str().to_owned())
        .bind(i64::from(model.version))
        .bind(model.study.to_string())
        .bind(i64::from(model.published))
        .bind(model.file.clone())
        .bind(model.created.0 as i64)
        .execute(&self.pool)
        .await
        .map(drop)
        .map_err(fault("keep a model"))
    }

    /// All models, newest first.
    ///
    /// # Errors
    ///
    /// If the store fails.
    pub async fn models(&self) -> Result<Vec<StoredModel>, StoreFault> {
        let rows = sqlx::query(
            "SELECT name, version, study, published, file, created FROM models ORDER BY created DESC, name, version DESC",
        )
        .fetch_all(&self.pool)
        .await
        .map_err(fault("list its models"))?;
        rows.iter().map(read_model).collect()
    }

    /// The model that a study made, if it made one.
    ///
    /// # Errors
    ///
    /// If the store fails.
    pub async fn model_of(&self, study: &StudyHash) -> Result<Option<StoredModel>, StoreFault> {
        let row = sqlx::query(
            "SELECT name, version, study, published, file, created FROM models WHERE study = $1",
        )
        .bind(study.to_string())
        .fetch_optional(&self.pool)
        .await
        .map_err(fault("read a model"))?;
        row.as_ref().map(read_model).transpose()
    }

    /// Publishes a held model, or drops it; false if there is no held one of that name and version.
    ///
    /// # Errors
    ///
    /// If the store fails.
    pub async fn decide_model(
        &self,
        name: &Name,
        version: u32,
        publish: bool,
    ) -> Result<bool, StoreFault> {
        let text = match publish {
            true => {
                "UPDATE models SET published = 1 WHERE name = $1 AND version = $2 AND published = 0"
            }
            false => "DELETE FROM models WHERE name = $1 AND version = $2 AND published = 0",
        };
        let done = sqlx::query(text)
            .bind(name.as_str().to_owned())
            .bind(i64::from(version))
            .execute(&self.pool)
            .await
            .map_err(fault("decide on a model"))?;
        Ok(done.rows_affected() > 0)
    }
}

fn read_model(row: &AnyRow) -> Result<StoredModel, StoreFault> {
    let what = "a model";
    Ok(StoredModel {
        name: intact(what)(text(row, 0, what)?.parse())?,
        version: intact(what)(u32::try_from(number(row, 1, what)?))?,
        study: StudyHash(intact(what)(text(row, 2, what)?.parse::<Hash32>())?.0),
        published: number(row, 3, what)? != 0,
        file: text(row, 4, what)?,
        created: Timestamp(number(row, 5, what)?),
    })
}
