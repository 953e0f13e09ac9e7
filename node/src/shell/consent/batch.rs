//! Events that are written at once, as the history commits to them: a salted commitment for each, and one root over all of them.
//!
//! The history gets one entry for a batch, however many events it has: its size says nothing about how many consents changed. An erasure
//! deletes an event with its salt; the commitment stays, and says nothing without them.

use std::collections::BTreeMap;

use aquifer_shared::base::ids::Hash32;
use aquifer_shared::domain::history::{Json, payload_commit};
use aquifer_shared::domain::tlog::{Frontier, leaf_hash};
use sqlx::sqlite::SqliteConnection;

use super::ledger::Taken;
use super::outbox::{self, Told};
use crate::core::consent::{ConsentEvent, told};

/// What came of a batch.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Written {
    /// Root over the commitments of new events, in the order in which they were written.
    pub root: Hash32,
    /// When all of it was written down.
    pub recorded_at: i64,
    /// New events by kind.
    pub kinds: BTreeMap<&'static str, u64>,
    /// Events that were known.
    pub known: u64,
    /// Events that contradict known ones.
    pub contradicted: u64,
    /// Events of persons who were erased.
    pub erased: u64,
}

impl Written {
    /// New events.
    #[must_use]
    pub fn new_events(&self) -> u64 {
        self.kinds.values().sum()
    }

    /// Figures for the history's entry about the batch.
    ///
    /// # Privacy
    ///
    /// Exact numbers of records: for the node's own history, whose payloads stay at the node.
    #[must_use]
    pub fn facts(&self, source: &str) -> BTreeMap<String, Json> {
        let kinds = self.kinds.iter();
        let kinds = kinds.map(|(kind, count)| ((*kind).to_owned(), Json::from(*count)));
        let facts = [
            ("contradicted", Json::from(self.contradicted)),
            ("erased", Json::from(self.erased)),
            ("events", Json::from(self.new_events())),
            ("kinds", Json::Object(kinds.collect())),
            ("known", Json::from(self.known)),
            ("recorded_at", Json::from(self.recorded_at)),
            ("root", Json::from(self.root.to_string())),
            ("source", Json::from(source)),
        ];
        let facts = facts.into_iter();
        facts.map(|(key, value)| (key.to_owned(), value)).collect()
    }
}

/// What the history commits to of an event.
pub(super) fn commitment(salt: &[u8; 32], event: &ConsentEvent) -> Hash32 {
    payload_commit(salt, told(event).to_text().as_bytes())
}

/// A batch in its transaction.
pub(super) struct Batch {
    /// Its number, and that of what the history is told of it.
    pub(super) number: i64,
    tree: Frontier,
    chunk: Vec<u8>,
    chunks: i64,
    written: Written,
}

impl Batch {
    pub(super) async fn begin(
        connection: &mut SqliteConnection,
        key: &str,
        recorded_at: i64,
    ) -> Result<Self, sqlx::Error> {
        Ok(Self {
            number: outbox::reserve(connection, key).await?,
            tree: Frontier::default(),
            chunk: Vec::new(),
            chunks: 0,
            written: Written {
                recorded_at,
                ..Written::default()
            },
        })
    }

    /// The place of the next event.
    pub(super) fn place(&self) -> i64 {
        self.tree.size().cast_signed()
    }

    /// Counts what came of an event, and commits to it where it is new.
    pub(super) async fn count(
        &mut self,
        connection: &mut SqliteConnection,
        taken: Taken,
        (event, salt): (&ConsentEvent, &[u8; 32]),
    ) -> Result<(), sqlx::Error> {
        match taken {
            Taken::New => {}
            Taken::Known => self.written.known += 1,
            Taken::Contradicts => self.written.contradicted += 1,
            Taken::Erased => self.written.erased += 1,
        }
        if taken != Taken::New {
            return Ok(());
        }
        *self.written.kinds.entry(event.kind.word()).or_default() += 1;
        let commitment = commitment(salt, event);
        self.tree.push(leaf_hash(&commitment.0), |_, _, _| {});
        self.chunk.extend(commitment.0);
        match self.chunk.len() < CHUNK_BYTES {
            true => Ok(()),
            false => self.flush(connection).await,
        }
    }

    async fn flush(&mut self, connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
        sqlx::query("INSERT INTO commitments (batch, chunk, hashes) VALUES ($1, $2, $3)")
            .bind(self.number)
            .bind(self.chunks)
            .bind(std::mem::take(&mut self.chunk))
            .execute(connection)
            .await?;
        self.chunks += 1;
        Ok(())
    }

    /// What came of it.
    pub(super) fn written(&mut self) -> &Written {
        self.written.root = self.tree.root();
        &self.written
    }

    /// Writes the last commitments, and what the history is told.
    pub(super) async fn finish(
        mut self,
        connection: &mut SqliteConnection,
        told: &Told,
    ) -> Result<(), sqlx::Error> {
        if !self.chunk.is_empty() {
            self.flush(connection).await?;
        }
        outbox::fill(connection, self.number, told).await
    }
}

/// Commitments of one row, in bytes.
pub(super) const CHUNK_BYTES: usize = 1_024 * 32;
