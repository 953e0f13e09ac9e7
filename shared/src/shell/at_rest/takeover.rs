//! Encrypts a plain database of before: into a new file beside it, which takes its place once it is on disk.
//!
//! Where there are none of before any more, a plain one is refused: somebody put it there. No plain copy is kept. Ended at any step, the plain file is whole, or the encrypted one is in its place.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use sqlx::sqlite::SqliteConnection;
use sqlx::{ConnectOptions as _, Connection as _, Executor as _};

use super::AtRestFault;
use super::database::plain;
use super::keyring::{beside, sync_folder_of};
use super::keys::DatabaseKey;

/// Encrypts the file if it is a plain database of before; leaves everything else alone.
pub(super) async fn take_over(path: &Path, key: &DatabaseKey) -> Result<(), sqlx::Error> {
    if !is_plain(path)? {
        return Ok(());
    }
    if !key.takes_plain {
        let path = path.to_owned();
        return Err(sqlx::Error::Configuration(Box::new(AtRestFault::Plain {
            path,
        })));
    }
    let sealing = beside(path, ".sealing");
    for left in [
        &sealing,
        &beside(&sealing, "-wal"),
        &beside(&sealing, "-journal"),
    ] {
        match std::fs::remove_file(left) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
    }
    let options = plain(path).locking_mode(sqlx::sqlite::SqliteLockingMode::Exclusive);
    let mut connection = options.connect().await?;
    let exported = export(&mut connection, &sealing, key).await;
    if exported.is_ok() {
        // While the plain file is still locked: nobody else may write to it any more.
        put_in_place(&sealing, path)?;
    }
    connection.close().await?;
    exported?;
    tracing::info!(file = %path.display(), "was a plain database and is encrypted now");
    Ok(())
}

async fn export(
    connection: &mut SqliteConnection,
    sealing: &Path,
    key: &DatabaseKey,
) -> Result<(), sqlx::Error> {
    // Folds the log in, and takes the lock for as long as this connection lasts.
    connection.execute("PRAGMA journal_mode = DELETE").await?;
    connection.execute("BEGIN EXCLUSIVE").await?;
    connection.execute("COMMIT").await?;
    std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(sealing)?;
    let name = sealing.to_str().ok_or_else(|| {
        sqlx::Error::Io(io::Error::new(
            io::ErrorKind::InvalidInput,
            "the path is not UTF-8",
        ))
    })?;
    sqlx::query("ATTACH DATABASE $1 AS sealing KEY $2")
        .bind(name)
        .bind(key.literal().as_str())
        .execute(&mut *connection)
        .await?;
    connection
        .execute("SELECT sqlcipher_export('sealing')")
        .await?;
    connection.execute("DETACH DATABASE sealing").await?;
    Ok(())
}

fn put_in_place(sealing: &Path, path: &Path) -> Result<(), sqlx::Error> {
    File::open(sealing)?.sync_all()?;
    std::fs::rename(sealing, path)?;
    sync_folder_of(path).map_err(|fault| sqlx::Error::Io(io::Error::other(fault)))
}

/// Whether a file is a plain database. Each file is read once in a process, before its first connection: closing a file drops every lock
/// that the process has on it, those of open connections too, and another process would take the log from under them.
fn is_plain(path: &Path) -> io::Result<bool> {
    let facts = std::fs::metadata(path)?;
    let own = (std::path::absolute(path)?, facts.dev(), facts.ino());
    // Held while the file is open here: nobody connects to it meanwhile who has not been here.
    let mut looked = LOOKED.lock().unwrap_or_else(PoisonError::into_inner);
    if looked.contains(&own) {
        return Ok(false);
    }
    let mut start = [0; PLAIN.len()];
    let is_plain = match File::open(path)?.read_exact(&mut start) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => false,
        read => read.map(|()| &start == PLAIN)?,
    };
    if !is_plain {
        looked.insert(own);
    }
    Ok(is_plain)
}

/// Files that are not plain: path, device, number.
static LOOKED: Mutex<BTreeSet<(PathBuf, u64, u64)>> = Mutex::new(BTreeSet::new());
/// How a plain database starts.
pub(super) const PLAIN: &[u8; 16] = b"SQLite format 3\0";
