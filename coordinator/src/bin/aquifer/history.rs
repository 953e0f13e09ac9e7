//! `aquifer history`: entries, checkpoint and proofs of the coordinator's log; what is printed was checked here.

use anyhow::{Context as _, ensure};
use aquifer_shared::base::ids::{IdentityKey, Role};
use aquifer_shared::base::time::Timestamp;
use aquifer_shared::domain::pack::VerifierKey;
use aquifer_shared::domain::tlog::{leaf_hash, verify_inclusion};
use aquifer_shared::protocol::ask::{HistoryAsk, NodeEntry, Request, Response};
use aquifer_shared::protocol::witness::{
    coordinator_origin, node_origin, quorum, read_note, read_tlog_proof,
};
use aquifer_shared::shell::report::{self, Outcome, Table};
use serde_json::{Value, json};

use crate::args::HistoryCommand;
use crate::audit_pack::policy;
use crate::client::{Session, not_expected};
use crate::show::moment;

/// Shows entries, the checkpoint or a proof.
///
/// # Errors
///
/// The coordinator cannot be asked, or what it answers does not verify.
pub(crate) async fn run(session: &Session, command: &HistoryCommand) -> anyhow::Result<Outcome> {
    let asked = match command {
        HistoryCommand::Show { keys: true, .. } => return keys(session).await,
        HistoryCommand::Show { from, .. } => HistoryAsk::Entries(*from),
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

/// The keys by which an auditor checks the log: its own, which the ticket named, and those of the units that cosign it.
async fn keys(session: &Session) -> anyhow::Result<Outcome> {
    let client = session.connect().await?;
    let log = client.directory.coordinator().release_key;
    let nodes = client.ask(Request::Nodes).await;
    client.close().await;
    let nodes = match nodes? {
        Response::Nodes(nodes) => nodes,
        other => return not_expected(other, session.json),
    };
    match session.json {
        true => report::print_json(&keys_json(&log, &nodes))?,
        false => report::print(&keys_text(&log, &nodes))?,
    }
    Ok(Outcome::Done)
}

fn keys_text(log: &IdentityKey, nodes: &[NodeEntry]) -> String {
    let mut text = KEYS_HEAD.to_owned();
    for node in witnesses(nodes) {
        text += &format!("# {} is the unit {}\n", node_origin(&node.key), node.name);
    }
    text + &policy(log, nodes).to_text()
}

fn keys_json(log: &IdentityKey, nodes: &[NodeEntry]) -> Value {
    let witness = |node: &NodeEntry| {
        let key = VerifierKey::of_witness(&node_origin(&node.key), node.key);
        json!({"unit": node.name, "key": key.to_text()})
    };
    let units: Vec<Value> = witnesses(nodes).map(witness).collect();
    json!({
        "log": VerifierKey::of_log(&coordinator_origin(log), *log).to_text(),
        "witnesses": units,
        "quorum": quorum(units.len(), 0),
        "policy": policy(log, nodes).to_text(),
    })
}

fn witnesses(nodes: &[NodeEntry]) -> impl Iterator<Item = &NodeEntry> {
    let units = nodes.iter();
    units.filter(|node| node.role == Role::Node && !node.revoked)
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
    let mut table = Table::new(&["ENTRY", "TIME", "KIND", "SEVERITY", "PAYLOAD"]);
    table.wrap(&[4]);
    for entry in value["entries"].as_array().into_iter().flatten() {
        let text = |name: &str| report::printable(entry[name].as_str().unwrap_or("erased"));
        let at = entry["recorded_at"].as_u64().unwrap_or_default();
        table.row([
            entry["index"].to_string(),
            moment(Timestamp(at)),
            text("kind"),
            text("severity"),
            text("payload").chars().take(200).collect(),
        ]);
    }
    report::print(&format!("{} entries\n", value["size"]))?;
    table.print()
}

/// What stands above the keys, for whoever reads the file later.
const KEYS_HEAD: &str = "# keys of the coordinator's log and of the units that cosign it (C2SP tlog-policy)\n\
    # the log's key is the one in the ticket; the units' are as the coordinator tells them:\n\
    # hold them against what `aquifer-node history show --keys` prints at two units or more\n";

#[cfg(test)]
mod tests {
    use aquifer_shared::domain::pack::LogPolicy;

    use super::*;

    fn node(number: u8, role: Role, revoked: bool) -> NodeEntry {
        NodeEntry {
            name: format!("n{number}").parse().unwrap(),
            role,
            key: IdentityKey([number; 32]),
            connected: false,
            revoked,
            certificate_until: Timestamp(0),
            last_seen: Timestamp(0),
            ledger_seq: 0,
            software: String::new(),
        }
    }

    #[test]
    fn keys_are_a_policy_of_the_units_that_are_there() {
        let nodes = [
            node(1, Role::Node, false),
            node(2, Role::Node, false),
            node(3, Role::Node, false),
            node(4, Role::Node, true),
            node(5, Role::Analyst, false),
        ];
        let log = IdentityKey([9; 32]);
        let text = keys_text(&log, &nodes);
        let policy = LogPolicy::parse(&text).unwrap();
        assert_eq!(policy.log.key, log);
        let names: Vec<&str> = policy.witnesses.iter().map(|(name, _)| &**name).collect();
        assert_eq!(names.len(), 3);
        assert!(policy.is_quorum(&names[..2]) && !policy.is_quorum(&names[..1]));
        assert!(text.contains("is the unit n2"), "{text}");
        let told = keys_json(&log, &nodes);
        assert_eq!(
            (&told["quorum"], &told["witnesses"][2]["unit"]),
            (&json!(2), &json!("n3"))
        );
        assert_eq!(
            LogPolicy::parse(told["policy"].as_str().unwrap()),
            Ok(policy)
        );
    }
}
