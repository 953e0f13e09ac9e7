//! `aquifer audit pack`: reads the coordinator's history whole, hashes it again, and writes what an auditor takes away.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, ensure};
use aquifer_shared::base::ids::{IdentityKey, Role};
use aquifer_shared::base::limits::HISTORY_DAYS_SHOWN_MAX;
use aquifer_shared::domain::history::LEAF_BYTES;
use aquifer_shared::domain::pack::{
    Body, Book, CannotBuild, Entry, Files, Ledger, LogPolicy, Made, PackTree, Quarter, VerifierKey,
    draft,
};
use aquifer_shared::protocol::ask::{HistoryAsk, NodeEntry, Request, Response};
use aquifer_shared::protocol::witness::{coordinator_origin, node_origin, quorum, read_note};
use aquifer_shared::shell::pack_folder;
use aquifer_shared::shell::pack_made::{keep, lacking};
use aquifer_shared::shell::report::{self, Outcome};
use serde_json::Value;

use crate::audit_given::{Given, books, tests};
use crate::client::{Client, Session, not_expected, now};

/// Makes the pack of a quarter.
///
/// # Errors
///
/// The coordinator cannot be asked, its history does not hold together, or the folder cannot be written.
pub(crate) async fn make(
    session: &Session,
    quarter: Quarter,
    out: Option<&Path>,
    given: &Given<'_>,
) -> anyhow::Result<Outcome> {
    let (books, tests) = (books(given)?, tests(given.tests)?);
    let client = session.connect().await?;
    let packed = packed(&client, quarter, &books, &tests).await;
    client.close().await;
    let (files, policy) = match packed {
        Ok(Ok(packed)) => packed,
        Ok(Err(other)) => return not_expected(other, session.json),
        Err(error) => match error.downcast_ref() {
            Some(none @ CannotBuild::NoCheckpoint) => {
                return report::refuse(session.json, "checkpoint", &none.to_string());
            }
            Some(_) => return Err(error).context("no pack can be made of the history"),
            None => return Err(error),
        },
    };
    let lacking = lacking(&files, &policy, &books)?;
    let name = quarter.to_string();
    let folder = out.unwrap_or(Path::new(&name));
    keep(session.json, (folder, pack_folder::write), &files, &lacking)
}

/// The pack with the keys that it was made by, or another answer than expected.
async fn packed(
    client: &Client,
    quarter: Quarter,
    books: &[Book],
    tests: &BTreeMap<String, bool>,
) -> anyhow::Result<Result<(Files, LogPolicy), Response>> {
    let read = match read(client, quarter).await? {
        Ok(read) => read,
        Err(other) => return Ok(Err(other)),
    };
    let tree = PackTree::whole(read.entries.iter().map(|entry| entry.leaf.as_slice()));
    let ledger = Ledger {
        hashes: &tree,
        checkpoints: &read.checkpoints,
        policy: &read.policy,
        books,
        tests,
    };
    let draft = draft(quarter, &ledger, read.entries)?;
    let made = match asked(client, HistoryAsk::Made(draft.end())).await? {
        Ok(value) => made(&value)?,
        Err(other) => return Ok(Err(other)),
    };
    let files = draft.build(&ledger, &made)?;
    Ok(Ok((files, read.policy)))
}

fn made(value: &Value) -> anyhow::Result<Made> {
    let text = |name: &str| {
        let text = value[name].as_str().map(str::to_owned);
        text.with_context(|| format!("the answer has no {name}"))
    };
    Ok(Made {
        sbom: text("sbom")?,
        provenance: text("provenance")?,
    })
}

struct Read {
    checkpoints: Vec<String>,
    policy: LogPolicy,
    entries: Vec<Entry>,
}

async fn read(client: &Client, quarter: Quarter) -> anyhow::Result<Result<Read, Response>> {
    let key = client.directory.coordinator().release_key;
    let nodes = match client.ask(Request::Nodes).await? {
        Response::Nodes(nodes) => nodes,
        other => return Ok(Err(other)),
    };
    let policy = policy(&key, &nodes);
    let mut checkpoints = Vec::new();
    let mut asks = vec![HistoryAsk::Checkpoint];
    asks.extend(days(quarter).map(HistoryAsk::Cosigned));
    for ask in asks {
        let value = match asked(client, ask).await? {
            Ok(value) => value,
            Err(other) => return Ok(Err(other)),
        };
        let cosigned = value["cosigned"].as_array().into_iter().flatten();
        let notes = cosigned.chain([&value["checkpoint"], &value["cosigned"]]);
        checkpoints.extend(notes.filter_map(|note| note.as_str().map(str::to_owned)));
    }
    let origin = coordinator_origin(&key);
    let mut size = 0;
    for note in &checkpoints {
        let (_, checkpoint) = read_note(note, &origin, &key).context(
            "a checkpoint of the coordinator is not signed by the key that the ticket named",
        )?;
        size = size.max(checkpoint.size);
    }
    let mut entries: Vec<Entry> = Vec::new();
    while (entries.len() as u64) < size {
        let from = entries.len() as u64;
        let value = match asked(client, HistoryAsk::Entries(Some(from))).await? {
            Ok(value) => value,
            Err(other) => return Ok(Err(other)),
        };
        let page = value["entries"].as_array().into_iter().flatten();
        let page: Vec<Entry> = (from..)
            .zip(page)
            .map(entry)
            .collect::<anyhow::Result<_>>()?;
        ensure!(
            !page.is_empty(),
            "the history ends at {from}, its checkpoint says {size}"
        );
        entries.extend(page);
    }
    Ok(Ok(Read {
        checkpoints,
        policy,
        entries,
    }))
}

async fn asked(client: &Client, ask: HistoryAsk) -> anyhow::Result<Result<Value, Response>> {
    match client.ask(Request::History(ask)).await? {
        Response::History(text) => Ok(Ok(
            serde_json::from_str(&text).context("the answer is not JSON")?
        )),
        other => Ok(Err(other)),
    }
}

/// First days of the answers that cover a quarter, a year before it, and a month after it.
fn days(quarter: Quarter) -> impl Iterator<Item = u64> {
    let time = quarter.range();
    let first = (time.start / DAY_MS).saturating_sub(366);
    let end = (time.end / DAY_MS + 31).min(now().0 / DAY_MS + 1);
    (first..end).step_by(usize::try_from(HISTORY_DAYS_SHOWN_MAX).unwrap_or(1))
}

fn entry((index, value): (u64, &Value)) -> anyhow::Result<Entry> {
    let bad = || format!("entry {index} of the answer is none");
    let leaf = value["leaf"]
        .as_str()
        .and_then(from_hex)
        .with_context(bad)?;
    let leaf: [u8; LEAF_BYTES] = leaf.try_into().ok().with_context(bad)?;
    let body = match (value["salt"].as_str(), value["payload"].as_str()) {
        (Some(salt), Some(payload)) => Body::Kept {
            salt: from_hex(salt)
                .and_then(|salt| salt.try_into().ok())
                .with_context(bad)?,
            payload: payload.as_bytes().to_vec(),
        },
        _ => Body::Erased,
    };
    Ok(Entry { index, leaf, body })
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let pairs = text.as_bytes().chunks(2);
    let byte = |pair| u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok();
    pairs.map(byte).collect()
}

/// The log's key as the ticket named it; all units as witnesses.
fn policy(key: &IdentityKey, nodes: &[NodeEntry]) -> LogPolicy {
    let units = nodes
        .iter()
        .filter(|node| node.role == Role::Node && !node.revoked);
    let witnesses: Vec<VerifierKey> = units
        .map(|node| VerifierKey::of_witness(&node_origin(&node.key), node.key))
        .collect();
    let needed = quorum(witnesses.len(), 0);
    let log = VerifierKey::of_log(&coordinator_origin(key), *key);
    LogPolicy::new(log, witnesses, needed)
}

const DAY_MS: u64 = 24 * 3_600 * 1_000;
