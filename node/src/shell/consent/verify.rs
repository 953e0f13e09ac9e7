//! `aquifer-node consent verify`: holds the ledger against the history, so that a record which was changed later is found.

use std::path::Path;

use aquifer_shared::base::ids::Hash32;
use aquifer_shared::domain::history::{Json, Kind};
use aquifer_shared::domain::tlog::{Frontier, leaf_hash};
use aquifer_shared::shell::report::{self, Outcome, Table};
use serde::Serialize;
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use super::batch::{CHUNK_BYTES, commitment};
use super::command::open;
use super::ledger::{ConsentFault, ConsentLedger, fault};
use super::record;
use crate::core::consent::{EventKind, kind_of};
use crate::shell::telling::{ask_history, tell_soon};
use crate::shell::views::{Answer, Query};

/// What was found.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
pub(super) struct Verified {
    /// Events that are what was committed to.
    pub(super) held: u64,
    /// Events that are not: changed, or slipped in.
    pub(super) altered: u64,
    /// Commitments whose events are gone: erased.
    pub(super) gone: u64,
    /// Batches whose root the history has.
    pub(super) batches: u64,
    /// Batches whose root is another in the history.
    pub(super) contradicted: u64,
    /// Batches that the history does not have yet, or whose entry is erased.
    pub(super) open: u64,
}

/// A batch, as the ledger has it.
pub(super) struct Root {
    /// Its entry in the history.
    pub(super) place: Option<u64>,
    root: Hash32,
}

/// Prints what was found; exit code 1 where something was altered.
///
/// # Errors
///
/// The ledger or the history cannot be read.
///
/// # Privacy
///
/// Exact counts of records: for the unit's own people, and never for a message.
pub(super) fn run(directory: &Path, json: bool) -> anyhow::Result<Outcome> {
    let (_, mut ledger) = open(directory)?;
    tell_soon(directory);
    let found = ledger.verify(|entries| payloads(directory, entries))?;
    if json {
        report::print_json(&found)?;
    } else {
        let mut table = Table::new(&["CONSENT RECORDS", "COUNT"]);
        for (what, count) in [
            ("as the ledger committed to them", found.held),
            ("altered or slipped in", found.altered),
            ("erased", found.gone),
            ("batches that the history has", found.batches),
            ("batches that the history contradicts", found.contradicted),
            ("batches not in the history, or erased there", found.open),
        ] {
            table.row([what.to_owned(), count.to_string()]);
        }
        table.print()?;
    }
    Ok(match found.altered + found.contradicted {
        0 => Outcome::Done,
        _ => Outcome::Refused,
    })
}

/// Payloads of entries of the history, none where they are erased; nothing where there is no history.
fn payloads(directory: &Path, entries: &[u64]) -> anyhow::Result<Vec<Option<String>>> {
    let query = Query::Payloads {
        entries: entries.to_vec(),
    };
    match ask_history(directory, &query)? {
        Some(Answer::Payloads(payloads)) => Ok(payloads),
        Some(Answer::Refused(why)) => anyhow::bail!("the history was not read: {why}"),
        Some(_) => {
            anyhow::bail!("the running node answered something else; is it of this version?")
        }
        None => anyhow::bail!("the history that the records were entered in is not there any more"),
    }
}

impl ConsentLedger {
    /// Holds every event against its commitment, and every root against the history.
    pub(super) fn verify(
        &mut self,
        mut payloads: impl FnMut(&[u64]) -> anyhow::Result<Vec<Option<String>>>,
    ) -> anyhow::Result<Verified> {
        let mut found = Verified::default();
        self.verify_events(&mut found)?;
        let roots = self.roots(&mut found)?;
        found.gone = found.gone.saturating_sub(found.held + found.altered);
        let (entered, open): (Vec<&Root>, Vec<&Root>) =
            roots.iter().partition(|own| own.place.is_some());
        found.open = open.len() as u64;
        for some in entered.chunks(ENTRIES) {
            let places: Vec<u64> = some.iter().filter_map(|own| own.place).collect();
            for (own, payload) in some.iter().zip(payloads(&places)?) {
                match payload.map(|text| holds(&text, &own.root)) {
                    None => found.open += 1,
                    Some(true) => found.batches += 1,
                    Some(false) => found.contradicted += 1,
                }
            }
        }
        Ok(found)
    }

    fn verify_events(&mut self, found: &mut Verified) -> anyhow::Result<()> {
        let (mut after, mut chunk) = (0_i64, ((0, 0), Vec::new()));
        loop {
            let query = "SELECT seq, bytes, batch, place, salt FROM events WHERE seq > $1 ORDER BY seq LIMIT $2";
            let query = sqlx::query(query).bind(after).bind(PAGE);
            let rows = self.rows(query)?;
            let Some(last) = rows.last() else {
                return Ok(());
            };
            after = last.get("seq");
            for row in &rows {
                let (batch, place): (i64, i64) = (row.get("batch"), row.get("place"));
                let own = (batch, place / HASHES);
                if chunk.0 != own {
                    chunk = (own, self.chunk(own)?);
                }
                let start = usize::try_from(place % HASHES).unwrap_or(0) * 32;
                let expected = chunk.1.get(start..start + 32);
                match expected.is_some() && committed(row).as_deref() == expected {
                    true => found.held += 1,
                    false => found.altered += 1,
                }
            }
        }
    }

    fn chunk(&mut self, (batch, chunk): (i64, i64)) -> Result<Vec<u8>, ConsentFault> {
        let query = "SELECT hashes FROM commitments WHERE batch = $1 AND chunk = $2";
        let rows = self.rows(sqlx::query(query).bind(batch).bind(chunk))?;
        Ok(rows
            .first()
            .map(|row| row.get("hashes"))
            .unwrap_or_default())
    }

    /// Root of every batch, over its commitments, which `gone` counts.
    fn roots(&mut self, found: &mut Verified) -> Result<Vec<Root>, ConsentFault> {
        let rows = self.rows(sqlx::query(
            "SELECT number, kind, place FROM outbox ORDER BY number",
        ))?;
        let mut roots = Vec::new();
        for row in rows.iter().filter(|row| is_batch(row.get("kind"))) {
            let (number, mut tree) = (row.get("number"), Frontier::default());
            for chunk in 0.. {
                let hashes = self.chunk((number, chunk))?;
                for hash in hashes.chunks(32) {
                    tree.push(leaf_hash(hash), |_, _, _| {});
                }
                if hashes.len() < CHUNK_BYTES {
                    break;
                }
            }
            found.gone += tree.size();
            roots.push(Root {
                place: row.get::<Option<i64>, _>("place").map(i64::cast_unsigned),
                root: tree.root(),
            });
        }
        Ok(roots)
    }

    fn rows(
        &mut self,
        query: sqlx::query::Query<'_, sqlx::Sqlite, sqlx::sqlite::SqliteArguments>,
    ) -> Result<Vec<SqliteRow>, ConsentFault> {
        let rows = self.runtime.block_on(query.fetch_all(&mut self.connection));
        rows.map_err(|source| fault(&self.path, "read", source))
    }
}

/// What a row commits to, if it holds an event.
fn committed(row: &SqliteRow) -> Option<Vec<u8>> {
    let salt: [u8; 32] = row.get::<&[u8], _>("salt").try_into().ok()?;
    let event = record::read(row.get("bytes")).ok()?;
    Some(commitment(&salt, &event).0.to_vec())
}

/// Whether an entry of the history has this root.
fn holds(payload: &str, root: &Hash32) -> bool {
    let payload = Json::parse(payload.as_bytes()).ok();
    let found = payload.as_ref().and_then(|own| own.get("root")?.as_text());
    found == Some(root.to_string().as_str())
}

/// Whether an entry is about events that were written at once.
fn is_batch(kind: i64) -> bool {
    let kind = u16::try_from(kind).ok().and_then(Kind::of_code);
    let of_desk = |kind| EventKind::ALL.iter().any(|own| kind_of(*own) == kind);
    kind.is_some_and(|kind| kind == Kind::ImportBatch || of_desk(kind))
}

/// Commitments of one row.
const HASHES: i64 = (CHUNK_BYTES / 32) as i64;
/// Events that are read at once.
const PAGE: i64 = 10_000;
/// Entries that are asked for at once.
const ENTRIES: usize = 256;
