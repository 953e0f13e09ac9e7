//! `aquifer-node history show`: the node's own log, what it signed of the coordinator's, and the evidence of a fork.

use std::path::Path;

use aquifer_shared::protocol::witness::{Fork, Held};
use aquifer_shared::shell::history::{Entry, History};
use aquifer_shared::shell::report::{Outcome, Table, print, print_json};
use serde::{Deserialize, Serialize};

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
    let mut table = Table::new(&["entry", "kind", "severity", "payload"]);
    for line in &view.newest {
        let payload = line.payload.as_deref().unwrap_or("erased");
        table.row([
            line.index.to_string(),
            line.kind.clone(),
            line.severity.clone(),
            payload.chars().take(80).collect(),
        ]);
    }
    table.print()
}

/// Entries that are shown.
const NEWEST: u64 = 20;
