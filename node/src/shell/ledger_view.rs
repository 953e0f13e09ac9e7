//! `aquifer-node ledger show`: how far the ledger is, who has seen how much of it, and where the ledgers of other members stand.

use std::path::Path;

use anyhow::Context;
use aquifer_shared::shell::report::{Outcome, Table, print, print_json};
use serde::{Deserialize, Serialize};

use super::at_rest;
use super::config::NodeConfig;
use super::control::ask;
use super::store::Unwitnessed;
use super::views::{Answer, Query};
use crate::core::ledger::{Ledger, PeerReport};
use crate::core::participant::{MirrorState, Participant};
use crate::core::trust::TrustPolicy;

/// The ledger's position and what others have seen.
///
/// # Privacy
///
/// Numbers and hashes of entries; nothing about customers.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct LedgerView {
    /// Number of entries on disk.
    pub entries: u64,
    /// Hash of the last.
    pub head: String,
    /// Why it is locked, if it is.
    pub locked: Option<String>,
    /// `follows`, `unheard`, `doubted`; `not-asked` where no node runs.
    pub mirror: String,
    /// Entries that the coordinator's mirror has been sent.
    pub mirrored: Option<u64>,
    /// Other members whose ledgers were seen.
    pub peers: Vec<PeerLine>,
}

/// The highest position at which a peer's ledger was seen.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct PeerLine {
    /// Identity key.
    pub key: String,
    /// Name under which the unit pinned it.
    pub name: Option<String>,
    /// Number of its last entry then.
    pub entry: u64,
    /// It dealt there, so its ledger must have grown since.
    pub dealt: bool,
    /// When, milliseconds since 1970.
    pub at: u64,
    /// In how many studies it was met.
    pub studies: usize,
}

impl LedgerView {
    /// As a running node sees it.
    #[must_use]
    pub fn of_running(node: &Participant) -> Self {
        let (mirror, mirrored) = match node.mirror() {
            MirrorState::Unheard => ("unheard", None),
            MirrorState::Doubted => ("doubted", None),
            MirrorState::Follows(entry) => ("follows", Some(entry)),
        };
        Self {
            locked: node.lock().map(ToString::to_string),
            mirror: mirror.to_owned(),
            mirrored,
            ..Self::of(node.ledger(), &node.rules().policy.trust)
        }
    }

    fn of(ledger: &Ledger, trust: &TrustPolicy) -> Self {
        let head = ledger.durable();
        let line = |report: PeerReport| PeerLine {
            key: report.peer.to_string(),
            name: trust.pins.get(&report.peer).map(|pin| pin.name.to_string()),
            entry: report.head.seq,
            dealt: report.dealt,
            at: report.at.0,
            studies: report.studies,
        };
        Self {
            entries: head.seq,
            head: head.hash.to_string(),
            locked: None,
            mirror: "not-asked".to_owned(),
            mirrored: None,
            peers: ledger.peers().into_iter().map(line).collect(),
        }
    }
}

/// Asks the running node, or its ledger where none runs, and prints.
///
/// # Errors
///
/// Neither can be asked.
pub fn show(directory: &Path, json: bool) -> anyhow::Result<Outcome> {
    let view = match ask(directory, &Query::Ledger)? {
        Some(Answer::Ledger(view)) => view,
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
    Ok(Outcome::Done)
}

fn read(directory: &Path) -> anyhow::Result<LedgerView> {
    let config = NodeConfig::load(directory)?;
    let (ledger, witness) = (
        config.ledger_path(directory),
        config.witness_path(directory),
    );
    let key = at_rest::vault(directory)?.database(at_rest::LEDGER);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("the runtime did not start")?;
    runtime.block_on(async {
        let present = Unwitnessed::open(&ledger, &witness, &key).await?;
        let view = LedgerView {
            locked: present.lock_reason().map(ToString::to_string),
            ..LedgerView::of(present.ledger(), &config.trust())
        };
        present.retire().await?;
        Ok(view)
    })
}

fn print_view(view: &LedgerView) -> anyhow::Result<()> {
    let mirror = match (view.mirror.as_str(), view.mirrored) {
        ("follows", Some(entry)) => format!("has been sent up to entry {entry}"),
        ("doubted", _) => {
            "claims a position that this node has not signed (see evidence.jsonl)".to_owned()
        }
        ("unheard", _) => "has not said in this session what it holds".to_owned(),
        _ => "is asked when the node runs".to_owned(),
    };
    let locked = match &view.locked {
        Some(reason) => format!("ledger-behind: locked, {reason}"),
        None => "not locked".to_owned(),
    };
    let (entries, head) = (view.entries, &view.head[..12]);
    print(&format!(
        "{entries} entries, head {head}\n{locked}\nthe coordinator's mirror {mirror}\n"
    ))?;
    if view.peers.is_empty() {
        return Ok(());
    }
    let mut table = Table::new(&["member", "key", "seen at entry", "dealt", "studies"]);
    for peer in &view.peers {
        table.row([
            peer.name.clone().unwrap_or_else(|| "not pinned".to_owned()),
            peer.key[..12].to_owned(),
            peer.entry.to_string(),
            (if peer.dealt { "yes" } else { "no" }).to_owned(),
            peer.studies.to_string(),
        ]);
    }
    print("\n")?;
    table.print()
}
