//! The coordinator's durable store: registry, studies, records of rounds, models, contracts.
//!
//! One set of SQL texts for SQLite (the default) and PostgreSQL, through sqlx's `any` driver. Flags are BIGINT 0/1, times are
//! milliseconds as BIGINT, identifiers and hashes are lower-case hexadecimal text. Holds no update of a single node.

mod models;
mod registry;
mod schema;
mod studies;
#[cfg(test)]
mod suite;

use std::path::Path;

use sqlx::any::AnyPoolOptions;
use sqlx::{AnyPool, Executor};

pub use models::StoredModel;
pub use registry::{Party, Redeemed, Ticketed};
pub use studies::StoredStudy;

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
}

/// An open store. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Store {
    pool: AnyPool,
}

impl Store {
    /// Opens the store at a `sqlite://` or `postgres://` URL and brings its tables up to date.
    ///
    /// A relative SQLite path is taken from `dir`.
    ///
    /// # Errors
    ///
    /// If the database cannot be opened or written.
    pub async fn open(url: &str, dir: &Path) -> Result<Self, StoreFault> {
        sqlx::any::install_default_drivers();
        let sqlite = url.strip_prefix("sqlite://").map(|file| dir.join(file));
        let address = sqlite.as_ref().map_or_else(
            || url.to_owned(),
            |file| format!("sqlite://{}?mode=rwc", file.display()),
        );
        let pooled = AnyPoolOptions::new().max_connections(if sqlite.is_some() { 1 } else { 8 });
        let durable = sqlite.is_some();
        let pool = pooled
            .after_connect(move |connection, _| {
                Box::pin(async move {
                    if durable {
                        connection.execute("PRAGMA journal_mode = WAL").await?;
                        connection.execute("PRAGMA synchronous = FULL").await?;
                    }
                    Ok(())
                })
            })
            .connect(&address)
            .await
            .map_err(fault("open its database"))?;
        let store = Self { pool };
        store.migrate().await?;
        Ok(store)
    }

    /// Closes all connections; what was committed stays.
    pub async fn close(self) {
        self.pool.close().await;
    }
}

/// Names what was tried when the database says no.
fn fault(what: &'static str) -> impl FnOnce(sqlx::Error) -> StoreFault {
    move |source| StoreFault::Database { what, source }
}

/// Takes a parsed value out of a row, or says which thing is damaged.
fn intact<T, E>(what: &'static str) -> impl FnOnce(Result<T, E>) -> Result<T, StoreFault> {
    move |value| value.map_err(|_| StoreFault::Damaged { what })
}
