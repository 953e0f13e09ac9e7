//! The SQLite file of a log: entries, complete tiles, a few named values.

use std::collections::HashMap;
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::Duration;

use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{AssertSqlSafe, Connection, Row};

use super::fault::{HistoryFault, database, file};
use super::tiles::{Growing, TileId, Tiles, fold, from_bytes, levels, tile_at, to_bytes};
use super::{Edge, Entry};
use crate::base::ids::Hash32;
use crate::domain::history::Leaf;
use crate::domain::tlog::leaf_hash;
use crate::shell::at_rest::{DatabaseKey, Shape, open_sqlite};

/// One row of entries.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) leaf: Vec<u8>,
    pub(super) salt: [u8; 32],
    pub(super) payload: Vec<u8>,
    pub(super) once: Option<Vec<u8>>,
}

/// The open file.
#[derive(Debug)]
pub(super) struct LogFile {
    connection: SqliteConnection,
    path: PathBuf,
}

impl LogFile {
    pub(super) async fn open(folder: &Path, key: &DatabaseKey) -> Result<Self, HistoryFault> {
        let mut builder = DirBuilder::new();
        let made = builder.mode(0o700).recursive(true).create(folder);
        made.map_err(file(folder))?;
        let path = folder.join(FILE);
        let connection = connect(&path, key).await.map_err(database(&path))?;
        Ok(Self { connection, path })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The right edge of the tree, and the newest leaf.
    pub(super) async fn edge(&mut self) -> Result<(Growing, Option<Leaf>), HistoryFault> {
        let last = sqlx::query("SELECT seq, leaf FROM entries ORDER BY seq DESC LIMIT 1")
            .fetch_optional(&mut self.connection)
            .await
            .map_err(database(&self.path))?;
        let Some(row) = last else {
            return Ok((Growing::default(), None));
        };
        let seq = row.get::<i64, _>(0).cast_unsigned();
        let leaf = parse_leaf(seq, &row.get::<Vec<u8>, _>(1))?;
        let size = seq + 1;
        let mut partial = Vec::new();
        for level in levels(size) {
            partial.push(self.behind_last_tile(level, size).await?);
        }
        let growing = Growing::of(size, partial).ok_or_else(|| self.damaged(seq))?;
        Ok((growing, Some(leaf)))
    }

    /// Hashes of a level behind its last complete tile.
    async fn behind_last_tile(
        &mut self,
        level: u8,
        size: u64,
    ) -> Result<Vec<Hash32>, HistoryFault> {
        let first = tile_at(level, size) << 8;
        let end = size >> (8 * u32::from(level));
        let mut hashes = Vec::new();
        if level == 0 {
            for (seq, leaf) in self.leaves(first, end).await? {
                if seq != first + hashes.len() as u64 {
                    return Err(self.damaged(first + hashes.len() as u64));
                }
                hashes.push(leaf_hash(&leaf));
            }
        } else {
            for number in first..end {
                let below = (level - 1, number);
                let tile = self.tile(below).await?;
                let tile = tile.ok_or_else(|| self.damaged(number << (8 * u32::from(level))))?;
                hashes.push(fold(&tile));
            }
        }
        if hashes.len() as u64 != end - first {
            return Err(self.damaged(size - 1));
        }
        Ok(hashes)
    }

    /// Bytes of leaves in order, with their numbers.
    pub(super) async fn leaves(
        &mut self,
        first: u64,
        end: u64,
    ) -> Result<Vec<(u64, Vec<u8>)>, HistoryFault> {
        let rows =
            sqlx::query("SELECT seq, leaf FROM entries WHERE seq >= $1 AND seq < $2 ORDER BY seq")
                .bind(first.cast_signed())
                .bind(end.cast_signed())
                .fetch_all(&mut self.connection)
                .await
                .map_err(database(&self.path))?;
        let read = |row: &SqliteRow| (row.get::<i64, _>(0).cast_unsigned(), row.get(1));
        Ok(rows.iter().map(read).collect())
    }

    /// A complete tile.
    pub(super) async fn tile(&mut self, id: TileId) -> Result<Option<Vec<Hash32>>, HistoryFault> {
        let row = sqlx::query("SELECT hashes FROM tiles WHERE id = $1")
            .bind(id_of(id))
            .fetch_optional(&mut self.connection)
            .await
            .map_err(database(&self.path))?;
        Ok(row.and_then(|row| from_bytes(&row.get::<Vec<u8>, _>(0))))
    }

    /// The tiles that a proof about a leaf reads.
    pub(super) async fn tiles(
        &mut self,
        growing: &Growing,
        leaf: u64,
        size: u64,
    ) -> Result<Tiles, HistoryFault> {
        let mut tiles = Tiles::default();
        for id in Tiles::needed(leaf, size) {
            match growing.partial(id) {
                Some(partial) => tiles.put(id, partial.to_vec()),
                None => {
                    if let Some(hashes) = self.tile(id).await? {
                        tiles.put(id, hashes);
                    }
                }
            }
        }
        Ok(tiles)
    }

    /// Which of these keys are there, and where: some with each statement.
    pub(super) async fn places_of(
        &mut self,
        keys: &[Vec<u8>],
    ) -> Result<HashMap<Vec<u8>, u64>, HistoryFault> {
        let mut places = HashMap::new();
        for some in keys.chunks(KEYS) {
            let mut query = sqlx::query(FIND_KEYS.as_str());
            // What is left over of the statement asks for the last once more.
            for place in 0..KEYS {
                query = query.bind(some[place.min(some.len() - 1)].as_slice());
            }
            let rows = query.fetch_all(&mut self.connection).await;
            for row in rows.map_err(database(&self.path))? {
                places.insert(row.get(0), row.get::<i64, _>(1).cast_unsigned());
            }
        }
        Ok(places)
    }

    /// Where this key is, if it is there.
    pub(super) async fn place_of(&mut self, once: &[u8]) -> Result<Option<u64>, HistoryFault> {
        let row = sqlx::query("SELECT seq FROM entries WHERE once = $1")
            .bind(once)
            .fetch_optional(&mut self.connection)
            .await
            .map_err(database(&self.path))?;
        Ok(row.map(|row| row.get::<i64, _>(0).cast_unsigned()))
    }

    /// Entries from `first` on, tiles and values, in one durable transaction.
    pub(super) async fn write(
        &mut self,
        first: u64,
        entries: &[Written],
        tiles: &[(TileId, Vec<Hash32>)],
        values: &[(&str, String)],
    ) -> Result<(), HistoryFault> {
        let written = self.transaction(first, entries, tiles, values).await;
        written.map_err(database(&self.path))
    }

    async fn transaction(
        &mut self,
        first: u64,
        entries: &[Written],
        tiles: &[(TileId, Vec<Hash32>)],
        values: &[(&str, String)],
    ) -> Result<(), sqlx::Error> {
        if entries.len() <= ROWS && tiles.is_empty() && values.is_empty() {
            // One statement is a transaction by itself, without the ways to the file's thread for its begin and end.
            return insert_entries(&mut self.connection, first, entries).await;
        }
        let mut transaction = self.connection.begin().await?;
        insert_entries(&mut transaction, first, entries).await?;
        for (id, hashes) in tiles {
            sqlx::query("INSERT INTO tiles (id, hashes) VALUES ($1, $2)")
                .bind(id_of(*id))
                .bind(to_bytes(hashes))
                .execute(&mut *transaction)
                .await?;
        }
        for (name, value) in values {
            sqlx::query("INSERT OR REPLACE INTO named (name, value) VALUES ($1, $2)")
                .bind(*name)
                .bind(value)
                .execute(&mut *transaction)
                .await?;
        }
        transaction.commit().await
    }

    /// A named value.
    pub(super) async fn named(&mut self, name: &str) -> Result<Option<String>, HistoryFault> {
        let row = sqlx::query("SELECT value FROM named WHERE name = $1")
            .bind(name)
            .fetch_optional(&mut self.connection)
            .await
            .map_err(database(&self.path))?;
        Ok(row.map(|row| row.get(0)))
    }

    /// Entries in order.
    pub(super) async fn entries(
        &mut self,
        first: u64,
        end: u64,
    ) -> Result<Vec<Entry>, HistoryFault> {
        let rows = sqlx::query(
            "SELECT seq, leaf, salt, payload FROM entries WHERE seq >= $1 AND seq < $2 ORDER BY seq",
        )
        .bind(first.cast_signed())
        .bind(end.cast_signed())
        .fetch_all(&mut self.connection)
        .await
        .map_err(database(&self.path))?;
        let mut entries = Vec::with_capacity(rows.len());
        for (index, row) in (first..).zip(rows) {
            if row.get::<i64, _>(0).cast_unsigned() != index {
                return Err(self.damaged(index));
            }
            let salt: Option<Vec<u8>> = row.get(2);
            let salt = salt.and_then(|salt| salt.try_into().ok());
            let payload: Option<Vec<u8>> = row.get(3);
            entries.push(Entry {
                leaf: parse_leaf(index, &row.get::<Vec<u8>, _>(1))?,
                opening: salt.zip(payload),
            });
        }
        Ok(entries)
    }

    /// Removes payload and salt, also from what SQLite keeps beside the file.
    pub(super) async fn erase(&mut self, index: u64) -> Result<(), HistoryFault> {
        for statement in [
            "UPDATE entries SET salt = NULL, payload = NULL WHERE seq = $1",
            "PRAGMA wal_checkpoint(TRUNCATE)",
        ] {
            let query = sqlx::query(statement);
            let query = match statement.starts_with("UPDATE") {
                true => query.bind(index.cast_signed()),
                false => query,
            };
            let done = query.execute(&mut self.connection).await;
            done.map_err(database(&self.path))?;
        }
        Ok(())
    }

    pub(super) async fn close(self) {
        if let Err(error) = self.connection.close().await {
            tracing::error!(%error, "the history was not closed in good order");
        }
    }

    pub(super) fn damaged(&self, index: u64) -> HistoryFault {
        HistoryFault::Damaged {
            path: self.path.clone(),
            index,
        }
    }

    /// Root of a part of the log that begins with it.
    pub(super) async fn root_at(
        &mut self,
        growing: &Growing,
        size: u64,
    ) -> Result<Edge, HistoryFault> {
        let tiles = self.tiles(growing, size, size).await?;
        let root = crate::domain::tlog::root(&tiles, 0..size);
        let root = root.ok_or_else(|| self.damaged(size.saturating_sub(1)))?;
        Ok(Edge { size, root })
    }
}

/// Entries from `first` on, [`ROWS`] with each statement.
async fn insert_entries(
    connection: &mut SqliteConnection,
    first: u64,
    entries: &[Written],
) -> Result<(), sqlx::Error> {
    let mut seq = first.cast_signed();
    for chunk in entries.chunks(ROWS) {
        let text: &'static str = match chunk.len() {
            ROWS => &INSERT_ROWS,
            1 => INSERT_ONE,
            _ => "",
        };
        let mut query = match text {
            "" => sqlx::query(AssertSqlSafe(insert(chunk.len()))),
            text => sqlx::query(text),
        };
        for entry in chunk {
            query = query
                .bind(seq)
                .bind(entry.leaf.as_slice())
                .bind(entry.salt.as_slice())
                .bind(entry.payload.as_slice())
                .bind(entry.once.as_deref());
            seq += 1;
        }
        let done = query.execute(&mut *connection).await?;
        if done.rows_affected() != chunk.len() as u64 {
            // The file's thread is gone.
            return Err(sqlx::Error::WorkerCrashed);
        }
    }
    Ok(())
}

fn parse_leaf(index: u64, bytes: &[u8]) -> Result<Leaf, HistoryFault> {
    Leaf::parse(bytes).map_err(|source| HistoryFault::Leaf { index, source })
}

fn id_of((level, number): TileId) -> i64 {
    (u64::from(level) << 56 | number).cast_signed()
}

async fn connect(path: &Path, key: &DatabaseKey) -> Result<SqliteConnection, sqlx::Error> {
    let mut connection = open_sqlite(path, key, Shape::Log(BUSY)).await?;
    for statement in SCHEMA {
        sqlx::query(statement).execute(&mut connection).await?;
    }
    Ok(connection)
}

fn insert(rows: usize) -> String {
    let places: Vec<String> = (0..rows)
        .map(|row| {
            let at = |column: usize| 5 * row + column;
            format!(
                "(${}, ${}, ${}, ${}, ${})",
                at(1),
                at(2),
                at(3),
                at(4),
                at(5)
            )
        })
        .collect();
    format!("{INSERT}{}", places.join(", "))
}

/// Keys that are looked for by one statement, which is prepared once.
const KEYS: usize = 16;
static FIND_KEYS: LazyLock<String> = LazyLock::new(|| {
    let places: Vec<String> = (1..=KEYS).map(|place| format!("${place}")).collect();
    let places = places.join(", ");
    format!("SELECT once, seq FROM entries WHERE once IN ({places})")
});
const INSERT: &str = "INSERT INTO entries (seq, leaf, salt, payload, once) VALUES ";
const INSERT_ONE: &str =
    "INSERT INTO entries (seq, leaf, salt, payload, once) VALUES ($1, $2, $3, $4, $5)";
/// Rows of one statement, which is prepared once.
const ROWS: usize = 64;
static INSERT_ROWS: LazyLock<String> = LazyLock::new(|| insert(ROWS));
/// Name of the file in its folder.
const FILE: &str = "history.sqlite";
/// Nobody else has it open for longer than it takes to close it.
const BUSY: Duration = Duration::from_secs(2);
const SCHEMA: [&str; 4] = [
    "CREATE TABLE IF NOT EXISTS entries (seq INTEGER PRIMARY KEY, leaf BLOB NOT NULL, salt BLOB, payload BLOB, once BLOB) STRICT",
    "CREATE UNIQUE INDEX IF NOT EXISTS entries_once ON entries (once) WHERE once IS NOT NULL",
    "CREATE TABLE IF NOT EXISTS tiles (id INTEGER PRIMARY KEY, hashes BLOB NOT NULL) STRICT",
    "CREATE TABLE IF NOT EXISTS named (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT",
];
