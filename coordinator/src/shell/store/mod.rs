//! The coordinator's durable store: registry, studies, records of rounds, models, contracts.
//!
//! One set of SQL texts for SQLite (the default) and PostgreSQL, through sqlx's `any` driver. Flags are BIGINT 0/1, times are
//! milliseconds as BIGINT, identifiers and hashes are lower-case hexadecimal text. Of single nodes it holds copies
//! of their ledgers and, while a sum is being opened, sealed shares: never an update.

mod answers;
mod mirror;
mod models;
mod passwords;
#[cfg(test)]
mod postgres;
mod programs;
mod registry;
mod retrainings;
mod schema;
mod spool;
mod studies;
#[cfg(test)]
mod suite;
mod tokens;

use std::path::{Path, PathBuf};
use std::time::Duration;

use aquifer_shared::base::ids::{Name, StudyHash};
use aquifer_shared::shell::at_rest::{DatabaseKey, open_any};
use sqlx::AnyPool;
use sqlx::any::AnyPoolOptions;

pub use answers::{Asked, Closing, StoredAnswer};
pub use mirror::{Fork, MirrorWrite};
pub use models::{Recall, StoredModel};
pub use passwords::SqlPassword;
pub use registry::{Party, Redeemed, Ticketed};
pub use retrainings::Retraining;
pub use spool::{SpoolWrite, Spooled};
pub use studies::StoredStudy;
pub use tokens::Token;

/// The store could not do its work; the world failed, not a rule.
#[derive(Debug, thiserror::Error)]
pub enum StoreFault {
    /// The database said no (disk full, read-only, gone, locked).
    #[error("the store could not {what}")]
    Database {
        /// What was tried.
        what: &'static str,
        /// The driver's reason.
        source: sqlx::Error,
    },
    /// A row does not hold what this program writes.
    #[error("the store holds {what} that this program did not write")]
    Damaged {
        /// Which thing.
        what: &'static str,
    },
    /// A certificate is not of the party that has the name now.
    #[error("party {name} was revoked, or has another key or other certificates by now")]
    Replaced {
        /// The name.
        name: Name,
    },
    /// Another coordinator has written to the same study.
    #[error(
        "study {} was continued by another coordinator: two run on one store; stop one of them",
        study.short()
    )]
    Overtaken {
        /// The study.
        study: StudyHash,
    },
    /// A newer program made the tables.
    #[error("the store was made by a newer program (tables {found}); update this one")]
    Newer {
        /// The number of its tables.
        found: i64,
    },
    /// Another coordinator took the number meanwhile.
    #[error("the version number {version} of model {name} was taken meanwhile; try again")]
    Taken {
        /// The model.
        name: Name,
        /// The number.
        version: u32,
    },
}

/// An open store. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Store {
    pool: AnyPool,
    sqlite: bool,
}

impl Store {
    /// Opens the store at a `sqlite://` or `postgres://` URL and brings its tables up to date.
    ///
    /// A relative SQLite path is taken from `dir`; the file is encrypted under `key`, and readable for its owner alone. What a
    /// database server keeps is its own to encrypt. A store that is up to date is only read.
    ///
    /// # Errors
    ///
    /// If the database cannot be opened, or its tables are missing and cannot be made.
    pub async fn open(url: &str, dir: &Path, key: &DatabaseKey) -> Result<Self, StoreFault> {
        let opened = fault("open its database");
        sqlx::any::install_default_drivers();
        let file = sqlite_file(url, dir);
        let sqlite = file.is_some();
        let pool = match file {
            Some(file) => open_any(&file, key, ACQUIRE_TIMEOUT).await,
            None => {
                AnyPoolOptions::new()
                    .max_connections(SERVER_CONNECTIONS_MAX)
                    .acquire_timeout(ACQUIRE_TIMEOUT)
                    .connect(url)
                    .await
            }
        };
        let pool = pool.map_err(opened)?;
        let store = Self { pool, sqlite };
        store.migrate().await?;
        Ok(store)
    }

    /// Whether nobody was ever invited or registered here, and no study submitted.
    ///
    /// # Errors
    ///
    /// If the store fails.
    pub async fn is_empty(&self) -> Result<bool, StoreFault> {
        let rows: i64 = sqlx::query_scalar(
            "SELECT (SELECT count(*) FROM parties) + (SELECT count(*) FROM tickets) + (SELECT count(*) FROM studies)",
        )
        .fetch_one(&self.pool)
        .await
        .map_err(fault("count its rows"))?;
        Ok(rows == 0)
    }

    /// Closes all connections; what was committed stays.
    pub async fn close(self) {
        self.pool.close().await;
    }
}

/// The file of a `sqlite://` URL; none for a database server.
#[must_use]
pub fn sqlite_file(url: &str, dir: &Path) -> Option<PathBuf> {
    url.strip_prefix(SQLITE).map(|file| dir.join(file))
}

/// Names what was tried when the database says no.
fn fault(what: &'static str) -> impl FnOnce(sqlx::Error) -> StoreFault {
    move |source| StoreFault::Database { what, source }
}

/// Takes a parsed value out of a row, or says which thing is damaged.
fn intact<T, E>(what: &'static str) -> impl FnOnce(Result<T, E>) -> Result<T, StoreFault> {
    move |value| value.map_err(|_| StoreFault::Damaged { what })
}

const SQLITE: &str = "sqlite://";
/// Connections to a database server; a SQLite file gets one.
const SERVER_CONNECTIONS_MAX: u32 = 8;
/// How long an answer waits for a free connection, or for the database to come up.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);
