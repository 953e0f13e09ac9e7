//! `aquifer history`: entries, checkpoint and proofs of the coordinator's log; what is printed was checked here.

use anyhow::{Context as _, ensure};
use aquifer_shared::base::ids::IdentityKey;
use aquifer_shared::base::time::Timestamp;
use aquifer_shared::domain::tlog::{leaf_hash, verify_inclusion};
use aquifer_shared::protocol::ask::{HistoryAsk, Request, Response};
use aquifer_shared::protocol::witness::{coordinator_origin, read_note, read_tlog_proof};
use aquifer_shared::shell::report::{self, Outcome, Table};
use serde_json::Value;

use crate::args::HistoryCommand;
use crate::client::{Session, not_expected};
use crate::show::moment;

/// Shows entries, the checkpoint or a proof.
///
/// # Errors
///
/// The coordinator cannot be asked, or what it answers does not verify.
pub(crate) async fn run(session: &Session, command: &HistoryCommand) -> anyhow::Result<Outcome> {
    let asked = match command {
        HistoryCommand::Show { from } => HistoryAsk::Entries(*from),
        HistoryCommand::Checkpoint => HistoryAsk::Checkpoint,
        HistoryCommand::Prove { index } => HistoryAsk::Prove(*index),
    };
    let text = match session.ask(Request::History(asked)).await? {
        Response::History(text) => text,
        other => return not_expected(other, session.json),
    };
    let value: Value = serde_json::from_str(&text).context("the answer is not JSON")?;
    // The ticket named the key: whatever is signed by another is refused.
    let key = session.identity()?.coordinator().release_key;
    match command {
        HistoryCommand::Show { .. } if !session.json => show(&value)?,
        HistoryCommand::Show { .. } => report::print_json(&value)?,
        HistoryCommand::Checkpoint => {
            let note = field(&value, "checkpoint")?;
            read_note(note, &coordinator_origin(&key), &key)
                .context("the checkpoint is not signed by the coordinator")?;
            let cosigned = value["cosigned"].as_str().unwrap_or(note);
            match session.json {
                true => report::print_json(&value)?,
                false => report::print(cosigned)?,
            }
        }
        HistoryCommand::Prove { index } => {
            check(&value, *index, &key)?;
            match session.json {
                true => report::print_json(&value)?,
                false => report::print(field(&value, "proof")?)?,
            }
        }
    }
    Ok(Outcome::Done)
}

/// The leaf is in the log that the checkpoint in the proof is about.
fn check(value: &Value, index: u64, key: &IdentityKey) -> anyhow::Result<()> {
    let proof = field(value, "proof")?;
    let (place, hashes, note) = read_tlog_proof(proof).context("the proof is none")?;
    let (_, checkpoint) = read_note(&note, &coordinator_origin(key), key)
        .context("the proof's checkpoint is not signed by the coordinator")?;
    ensure!(place == index, "the proof is of entry {place}");
    let leaf = from_hex(field(&value["entry"], "leaf")?).context("the leaf is not hexadecimal")?;
    let at = (index, checkpoint.size);
    verify_inclusion(&leaf_hash(&leaf), at, &hashes, &checkpoint.root)
        .context("the proof does not hold")
}

fn field<'a>(value: &'a Value, name: &str) -> anyhow::Result<&'a str> {
    value[name]
        .as_str()
        .with_context(|| format!("the answer has no {name}"))
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let pairs = text.as_bytes().chunks(2);
    let byte = |pair| u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok();
    pairs.map(byte).collect()
}

fn show(value: &Value) -> anyhow::Result<()> {
    let mut table = Table::new(&["entry", "time", "kind", "severity", "payload"]);
    for entry in value["entries"].as_array().into_iter().flatten() {
        let text = |name: &str| report::printable(entry[name].as_str().unwrap_or("erased"));
        let at = entry["recorded_at"].as_u64().unwrap_or_default();
        table.row([
            entry["index"].to_string(),
            moment(Timestamp(at)),
            text("kind"),
            text("severity"),
            text("payload").chars().take(100).collect(),
        ]);
    }
    report::print(&format!("{} entries\n", value["size"]))?;
    table.print()
}
