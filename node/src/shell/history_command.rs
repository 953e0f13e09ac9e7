//! `aquifer-node history show`: the node's own log, what it signed of the coordinator's, and the evidence of a fork.

use std::path::Path;

use aquifer_shared::base::ids::IdentityKey;
use aquifer_shared::domain::pack::{LogPolicy, VerifierKey};
use aquifer_shared::protocol::witness::{Fork, Held, coordinator_origin, node_origin};
use aquifer_shared::shell::history::{Entry, History};
use aquifer_shared::shell::report::{Outcome, Table, print, print_json};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::at_rest;
use super::control::ask;
use super::history::{self, HISTORY_FOLDER};
use super::views::{Answer, Query};
use super::witnessing::{read_fork, read_held};

/// A node's history, for people and programs at the unit.
///
/// # Privacy
///
/// Payloads may name persons by keyed references: for the unit's own people only.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct HistoryView {
    /// Entries, those that fill up included.
    pub entries: u64,
    /// Root of them, in hexadecimal digits.
    pub root: String,
    /// The newest checkpoint that left the unit.
    pub published: Option<String>,
    /// What was signed last of the coordinator's history.
    pub coordinator: Held,
    /// Two checkpoints of the coordinator that do not go together.
    pub fork: Option<Fork>,
    /// The newest entries, the newest last.
    pub newest: Vec<EntryLine>,
}

/// One entry.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct EntryLine {
    /// Its place, from 0.
    pub index: u64,
    /// When, milliseconds since 1970.
    pub recorded_at: u64,
    /// What.
    pub kind: String,
    /// How much it matters.
    pub severity: String,
    /// The payload; none where it was erased.
    pub payload: Option<String>,
}

impl HistoryView {
    /// Of an open history.
    ///
    /// # Errors
    ///
    /// Something cannot be read.
    pub async fn of(history: &History, directory: &Path) -> anyhow::Result<Self> {
        let edge = history.settled().await?;
        let from = edge.size.saturating_sub(NEWEST);
        let newest = history.read(from..edge.size).await?;
        Ok(Self {
            entries: edge.size,
            root: edge.root.to_string(),
            published: history.published().await?,
            coordinator: read_held(directory)?,
            fork: read_fork(directory)?,
            newest: newest.into_iter().map(line).collect(),
        })
    }
}

fn line(entry: Entry) -> EntryLine {
    let payload = entry.opening.map(|(_, payload)| payload);
    let payload = payload.and_then(|payload| String::from_utf8(payload).ok());
    EntryLine {
        index: entry.leaf.seq,
        recorded_at: entry.leaf.recorded_at.0,
        kind: entry.leaf.kind.to_string(),
        severity: entry.leaf.kind.severity().to_string(),
        payload,
    }
}

/// Prints the history.
///
/// # Errors
///
/// It cannot be read, or is not what was signed last.
pub fn show(directory: &Path, json: bool) -> anyhow::Result<Outcome> {
    let view = match ask(directory, &Query::History)? {
        Some(Answer::History(view)) => *view,
        Some(_) => {
            anyhow::bail!("the running node answered something else; is it of this version?")
        }
        None => read(directory)?,
    };
    if json {
        print_json(&view)?;
    } else {
        print_view(&view)?;
    }
    match view.fork {
        Some(_) => Ok(Outcome::Refused),
        None => Ok(Outcome::Done),
    }
}

/// Prints the keys of the coordinator's log, as the ticket named it, of this unit as its witness, and of the unit's own log.
///
/// # Errors
///
/// Nobody joined from here.
pub fn keys(directory: &Path, json: bool) -> anyhow::Result<Outcome> {
    let joined = at_rest::identity(directory)?;
    let (own, log) = (joined.identity().public(), joined.coordinator().release_key);
    match json {
        true => print_json(&keys_json(own, log))?,
        false => print(&keys_text(own, log))?,
    }
    Ok(Outcome::Done)
}

/// The coordinator's log under this unit alone, and the unit's own log under nobody.
fn policies(own: IdentityKey, log: IdentityKey) -> [LogPolicy; 2] {
    let origin = node_origin(&own);
    let coordinators = VerifierKey::of_log(&coordinator_origin(&log), log);
    let witness = VerifierKey::of_witness(&origin, own);
    [
        LogPolicy::new(coordinators, vec![witness], 1),
        LogPolicy::new(VerifierKey::of_log(&origin, own), Vec::new(), 0),
    ]
}

fn keys_text(own: IdentityKey, log: IdentityKey) -> String {
    let [coordinators, units] = policies(own, log).map(|policy| policy.to_text());
    let units: String = units.lines().map(|line| format!("# {line}\n")).collect();
    format!(
        "# the coordinator's log as this unit knows it, with the unit as a witness (C2SP tlog-policy)\n{coordinators}\
         # this unit's own log is a policy of its own: take the rest without the number signs\n{units}"
    )
}

fn keys_json(own: IdentityKey, log: IdentityKey) -> Value {
    let [coordinators, units] = policies(own, log);
    json!({
        "coordinator": {
            "log": coordinators.log.to_text(),
            "witness": VerifierKey::of_witness(&node_origin(&own), own).to_text(),
            "policy": coordinators.to_text(),
        },
        "unit": { "log": units.log.to_text(), "policy": units.to_text() },
    })
}

fn read(directory: &Path) -> anyhow::Result<HistoryView> {
    if !directory.join(HISTORY_FOLDER).exists() {
        anyhow::bail!("there is no history yet: it begins when the node runs for the first time");
    }
    history::with_files(directory, async |history| {
        HistoryView::of(history, directory).await
    })
}

fn print_view(view: &HistoryView) -> anyhow::Result<()> {
    let mut text = format!(
        "entries      {}\nroot         {}\n",
        view.entries, view.root
    );
    let seen = &view.coordinator;
    text += &match seen.note.is_empty() {
        true => "coordinator  nothing was signed of its history yet\n".to_owned(),
        false => format!("coordinator  signed up to entry {}\n", seen.size),
    };
    match &view.published {
        Some(note) => text += &format!("\npublished:\n{note}\n"),
        None => text += "published    nothing yet\n",
    }
    if let Some(fork) = &view.fork {
        text += &format!(
            "\nTWO HISTORIES OF THE COORDINATOR: {}\nthis node signed:\n{}\nand was shown later:\n{}\n",
            fork.reason, fork.held, fork.shown
        );
    }
    print(&text)?;
    let mut table = Table::new(&["ENTRY", "KIND", "SEVERITY", "PAYLOAD"]);
    table.wrap(&[3]);
    for line in &view.newest {
        let payload = line.payload.as_deref().unwrap_or("erased");
        table.row([
            line.index.to_string(),
            line.kind.clone(),
            line.severity.clone(),
            payload.chars().take(200).collect(),
        ]);
    }
    table.print()
}

/// Entries that are shown.
const NEWEST: u64 = 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_two_policies() {
        let (own, log) = (IdentityKey([7; 32]), IdentityKey([9; 32]));
        let text = keys_text(own, log);
        let coordinators = LogPolicy::parse(&text).unwrap();
        assert_eq!(coordinators.log.key, log);
        assert_eq!(coordinators.witnesses[0].1.key, own);
        let (_, rest) = text.rsplit_once("number signs\n").unwrap();
        let units = LogPolicy::parse(&rest.replace("# ", "")).unwrap();
        assert!(units.log.key == own && !units.has_quorum());
        let told = keys_json(own, log);
        let policy = |of: &str| LogPolicy::parse(told[of]["policy"].as_str().unwrap());
        assert_eq!(
            (policy("coordinator"), policy("unit")),
            (Ok(coordinators), Ok(units))
        );
    }
}
