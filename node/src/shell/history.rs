//! The node's history in the running program: opened at start, brought up to date from the ledger, published at fixed times.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use aquifer_shared::base::limits::{CLOCK_LOOK_MS, HISTORY_GROUP_MAX};
use aquifer_shared::domain::history::{Event, Json, Kind};
use aquifer_shared::protocol::witness::node_origin;
use aquifer_shared::shell::at_rest::DatabaseKey;
use aquifer_shared::shell::history::{History, HistoryFault, LogSigner, Place};
use aquifer_shared::shell::policy_kept::Known;
use tokio::sync::mpsc;

use super::at_rest;
use super::clock::now;
use super::config::NodeConfig;
use super::store::{Store, StoreFault};
use super::telling::Teller;
use super::witnessing::Heard;
use crate::core::chronicle::Chronicler;

/// The history cannot be brought up to date.
#[derive(Debug, thiserror::Error)]
pub enum CatchUpFault {
    /// The ledger cannot be read.
    #[error("the ledger was not read for the history")]
    Ledger(#[from] StoreFault),
    /// The history cannot be written.
    #[error("the history was not brought up to date")]
    History(#[from] HistoryFault),
}

/// Where a node's history is: its checkpoint beside the ledger's witness.
#[must_use]
pub fn place(config: &NodeConfig, directory: &Path, key: DatabaseKey) -> Place {
    let witness = config.witness_path(directory);
    Place {
        folder: directory.join(HISTORY_FOLDER),
        mark: witness.with_file_name(HISTORY_MARK),
        takes_persons: true,
        key,
    }
}

/// Opens a node's history. Checkpoints are signed with the node's identity key, which the coordinator and every roster name.
///
/// # Errors
///
/// It cannot be used, or is not what was signed last.
pub async fn open(config: &NodeConfig, directory: &Path) -> anyhow::Result<History> {
    let key = at_rest::identity(directory)?.into_identity();
    let signer = LogSigner::new(node_origin(&key.public()), key);
    let database = at_rest::vault(directory)?.database(at_rest::HISTORY);
    let opened = History::open(place(config, directory, database), signer, now);
    Ok(opened.await?)
}

/// Opens the history of a node that does not run, works with it, and closes it however that ends.
///
/// # Errors
///
/// It cannot be opened, or what the work says.
pub fn with_files<T>(
    directory: &Path,
    work: impl AsyncFnOnce(&History) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let config = NodeConfig::load(directory)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("the runtime did not start")?;
    runtime.block_on(async {
        let history = open(&config, directory).await?;
        let done = work(&history).await;
        history.close().await;
        done
    })
}

/// Enters what the ledger holds and the history does not: what a crash lost between the two.
///
/// # Errors
///
/// One of them cannot be used.
pub async fn catch_up(history: &History, store: &mut Store) -> Result<(), CatchUpFault> {
    let links = store.links_after(0, usize::MAX).await?;
    Ok(enter_links(history, &links).await?)
}

/// The same, of entries of a ledger. A history that begins beside some keeps that first: the start takes a broken glass then.
pub(in crate::shell) async fn enter_links(
    history: &History,
    links: &[Vec<u8>],
) -> Result<(), HistoryFault> {
    if !links.is_empty() {
        Known::begins_beside_a_past(history).await?;
    }
    let mut chronicler = Chronicler::default();
    let told = links.iter().flat_map(|link| chronicler.entered(link));
    let mut events: Vec<_> = told.collect();
    while !events.is_empty() {
        let rest = events.split_off(events.len().min(HISTORY_GROUP_MAX));
        history.append_once(events).await?;
        events = rest;
    }
    Ok(())
}

/// Publishes a padded checkpoint at every multiple of the period, as long as somebody takes it.
///
/// # Privacy
///
/// Times and sizes of what is published say nothing about what happened at the unit.
pub async fn publish(teller: Teller, to: mpsc::Sender<Heard>, period_ms: u64) {
    let mut due = next_time(now().0, period_ms);
    loop {
        let wait = due.saturating_sub(now().0).min(CLOCK_LOOK_MS);
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(wait.max(1))) => {}
            () = to.closed() => return,
        }
        if now().0 < due {
            continue;
        }
        due = next_time(now().0, period_ms);
        if let Err(fault) = teller.tell().await {
            let fault = format!("{fault:#}");
            tracing::error!(fault, "something is not in the history that is published");
        }
        match teller.history().publish_padded().await {
            Ok(padded) => {
                tracing::info!(entries = padded.edge.size, "the history is published");
                if to.send(Heard::Published(padded.note)).await.is_err() {
                    return;
                }
            }
            Err(fault) => {
                let fault = anyhow::Error::from(fault);
                tracing::error!(fault = format!("{fault:#}"), "the history is not published");
            }
        }
    }
}

fn next_time(now_ms: u64, period_ms: u64) -> u64 {
    (now_ms / period_ms + 1) * period_ms
}

/// Who was heard to show two histories, for the node's own.
#[must_use]
pub fn inconsistent(whose: &str, held: &str, shown: &str) -> Event {
    let short = |note: &str| Json::from(note.chars().take(2_000).collect::<String>());
    let payload = Json::object([
        ("held", short(held)),
        ("log", Json::from(whose)),
        ("shown", short(shown)),
    ]);
    Event::of_program(Kind::LogInconsistency, payload)
}

/// The file with the evidence of a fork, in a node's directory.
#[must_use]
pub fn fork_path(directory: &Path) -> PathBuf {
    directory.join(FORK_FILE)
}

/// The folder of the history in a node's directory.
pub const HISTORY_FOLDER: &str = "history";
/// Its newest checkpoint.
pub const HISTORY_MARK: &str = "history.checkpoint";
/// Both notes of a coordinator that shows two histories.
pub const FORK_FILE: &str = "history-fork.json";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_history_is_published_at_the_same_times_everywhere() {
        let hour = 3_600_000;
        assert_eq!(next_time(7_200_000, hour), 10_800_000);
        assert_eq!(next_time(7_200_001, hour), 10_800_000);
        assert_eq!(next_time(10_799_999, hour), 10_800_000);
    }
}
