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
mod registry;
mod schema;
mod spool;
mod studies;
#[cfg(test)]
mod suite;
mod tokens;

use std::fs::OpenOptions;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use aquifer_shared::base::ids::{Name, StudyHash};
use sqlx::any::AnyPoolOptions;
use sqlx::{AnyConnection, AnyPool, Connection, Executor};

pub use answers::{Asked, Closing, StoredAnswer};
pub use mirror::{Fork, MirrorWrite};
pub use models::StoredModel;
pub use passwords::SqlPassword;
pub use registry::{Party, Redeemed, Ticketed};
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
    /// A relative SQLite path is taken from `dir`; a new file is readable for its owner alone. A store that is up to date is
    /// only read.
    ///
    /// # Errors
    ///
    /// If the database cannot be opened, or its tables are missing and cannot be made.
    pub async fn open(url: &str, dir: &Path) -> Result<Self, StoreFault> {
        let opened = "open its database";
        sqlx::any::install_default_drivers();
        let (address, connections) = match sqlite_file(url, dir) {
            None => (url.to_owned(), SERVER_CONNECTIONS_MAX),
            Some(file) => {
                make_private(&file).map_err(|error| fault(opened)(error.into()))?;
                (sqlite_url(&file), 1)
            }
        };
        let sqlite = address.starts_with(SQLITE);
        if sqlite {
            probe(&address).await.map_err(fault(opened))?;
        }
        let pool = AnyPoolOptions::new()
            .max_connections(connections)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .after_connect(move |connection, _| {
                Box::pin(async move {
                    if sqlite {
                        durable(connection).await?;
                    }
                    Ok(())
                })
            })
            .connect(&address)
            .await
            .map_err(fault(opened))?;
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

/// Tells at once why a SQLite file cannot be used: a pool tries again and again, and says in the end that it has waited.
async fn probe(address: &str) -> Result<(), sqlx::Error> {
    let first = async {
        let mut first = AnyConnection::connect(address).await?;
        durable(&mut first).await?;
        first.close().await
    };
    match first.await {
        // Another process is opening or closing it: worth waiting for.
        Err(error) if is_busy(&error) => Ok(()),
        probed => probed,
    }
}

/// SQLITE_BUSY, in its plain and extended forms.
fn is_busy(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    code.and_then(|code| code.parse::<u32>().ok())
        .is_some_and(|code| code & 0xff == 5)
}

/// What is committed on a SQLite connection survives a power cut from here on.
async fn durable(connection: &mut AnyConnection) -> Result<(), sqlx::Error> {
    connection.execute("PRAGMA journal_mode = WAL").await?;
    connection.execute("PRAGMA synchronous = FULL").await?;
    Ok(())
}

/// The file of a `sqlite://` URL; none for a database server.
#[must_use]
pub fn sqlite_file(url: &str, dir: &Path) -> Option<PathBuf> {
    url.strip_prefix(SQLITE).map(|file| dir.join(file))
}

/// The URL of a file, whatever characters its path has.
fn sqlite_url(file: &Path) -> String {
    let whole = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
    let mut url = SQLITE.to_owned();
    for byte in whole.as_os_str().as_bytes() {
        match byte {
            b'/' | b'.' | b'-' | b'_' | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' => {
                url.push(char::from(*byte));
            }
            other => url.push_str(&format!("%{other:02X}")),
        }
    }
    url + "?mode=rw"
}

/// Makes an empty file for its owner alone, unless there is one.
fn make_private(file: &Path) -> io::Result<()> {
    let made = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(file);
    match made {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
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

const SQLITE: &str = "sqlite://";
/// Connections to a database server; a SQLite file gets one.
const SERVER_CONNECTIONS_MAX: u32 = 8;
/// How long an answer waits for a free connection, or for the database to come up.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);
