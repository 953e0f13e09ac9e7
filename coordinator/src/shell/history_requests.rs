//! Answers about the history: entries, the checkpoint that nodes have signed, proofs.

use aquifer_shared::base::limits::{HISTORY_DAYS_SHOWN_MAX, HISTORY_ENTRIES_SHOWN_MAX};
use aquifer_shared::protocol::ask::{HistoryAsk, Request, Response};
use aquifer_shared::protocol::witness::tlog_proof;
use aquifer_shared::shell::history::{Entry, History, HistoryFault};
use serde_json::{Value, json};

use super::front::Front;
use super::program;
use super::requests::{barred, refused};
use super::store::Party;
use super::witnesses::{COSIGNED, cosigned_on};

/// What is asked of the history, or why this party does not see it.
pub(super) async fn history_of(front: &Front, party: &Party, asked: HistoryAsk) -> Response {
    if let Some(no) = barred(party, &Request::History(asked)) {
        return no;
    }
    let Some(chronicle) = front.chronicle() else {
        return refused("history", "this coordinator keeps no history".into());
    };
    match answer(&chronicle.history, asked).await {
        Ok(value) => Response::History(value.to_string()),
        Err(fault) => match fault.downcast_ref() {
            Some(range @ HistoryFault::Range { .. }) => refused("unknown", range.to_string()),
            _ => {
                tracing::error!(fault = format!("{fault:#}"), "the history was not read");
                let text = "the history cannot be read; the coordinator's operator finds the reason in the log";
                refused("history", text.into())
            }
        },
    }
}

async fn answer(history: &History, asked: HistoryAsk) -> anyhow::Result<Value> {
    history.settled().await?;
    let (edge, note) = history.checkpoint();
    Ok(match asked {
        HistoryAsk::Checkpoint => {
            let cosigned = history.kept(COSIGNED).await?;
            json!({ "checkpoint": note, "cosigned": cosigned, "key": history.key().to_string() })
        }
        HistoryAsk::Entries(from) => {
            let newest = edge.size.saturating_sub(NEWEST);
            let from = from.unwrap_or(newest);
            let end = from.saturating_add(HISTORY_ENTRIES_SHOWN_MAX);
            let entries = history.read(from..end.min(edge.size)).await?;
            let entries: Vec<Value> = entries.into_iter().map(shown).collect();
            json!({ "size": edge.size, "entries": entries })
        }
        HistoryAsk::Cosigned(from) => {
            let mut notes = Vec::new();
            for day in from..from.saturating_add(HISTORY_DAYS_SHOWN_MAX) {
                notes.extend(history.kept(&cosigned_on(day)).await?);
            }
            json!({ "key": history.key().to_string(), "cosigned": notes })
        }
        HistoryAsk::Made(size) => program::made(history, size).await?,
        HistoryAsk::Prove(index) => {
            let proof = history.prove(index, edge.size).await?;
            let entry = history.read(index..index + 1).await?.pop();
            json!({
                "entry": entry.map(shown),
                "key": history.key().to_string(),
                "proof": tlog_proof(index, &proof, &note),
            })
        }
    })
}

fn shown(entry: Entry) -> Value {
    let hex = |bytes: &[u8]| -> String { bytes.iter().map(|byte| format!("{byte:02x}")).collect() };
    let (salt, payload) = entry.opening.unzip();
    json!({
        "index": entry.leaf.seq,
        "kind": entry.leaf.kind.name(),
        "severity": entry.leaf.kind.severity().to_string(),
        "recorded_at": entry.leaf.recorded_at.0,
        "leaf": hex(&entry.leaf.to_bytes()),
        "salt": salt.map(|salt| hex(&salt)),
        "payload": payload.and_then(|payload| String::from_utf8(payload).ok()),
    })
}

/// Entries that are shown where none is named.
const NEWEST: u64 = 20;
