//! What the loop does about histories: opens the node's own, tells it what happens, passes on what the coordinator says of its.

use std::path::Path;

use aquifer_shared::base::ids::StudyHash;
use aquifer_shared::protocol::codec::CodecError;
use aquifer_shared::protocol::wire::{
    LogHead, LogQuorum, Message, ModelLives, ModelPlans, NodeHeld, read_body,
};
use aquifer_shared::protocol::witness::Fork;
use aquifer_shared::shell::history::History;
use aquifer_shared::shell::keys::Identity;

use super::at_rest;
use super::clock::now;
use super::config::NodeConfig;
use super::history::{self, FORK_FILE, catch_up};
use super::rights;
use super::serve::{Node, read_frame};
use super::store::Store;
use super::witnessing::{Heard, read_fork};
use crate::core::chronicle::{Keyed, decided, refused, sent};
use crate::core::participant::{Event, Outgoing};

/// Why a node does not start.
#[derive(Debug, thiserror::Error)]
pub enum RefusedHistory {
    /// The coordinator was seen to show two histories.
    #[error("the coordinator showed two histories: {}; `aquifer-node history show` prints both checkpoints; this node works again once a person has looked into it and moved the evidence ({FORK_FILE}) away", .0.reason)]
    Fork(Box<Fork>),
    /// The node's own history was put back.
    #[error(
        "this node's history has {entries} entries or another past, but it signed {signed} of them, which the coordinator holds: its directory was put back from a backup"
    )]
    Own {
        /// Entries that the coordinator has a checkpoint of.
        signed: u64,
        /// Entries here.
        entries: u64,
    },
}

/// Opens a node's history and brings it up to date, unless the coordinator was seen to show two.
pub(super) async fn attach(
    directory: &Path,
    config: &NodeConfig,
    store: &mut Store,
) -> anyhow::Result<History> {
    if let Some(fork) = read_fork(directory)? {
        return Err(RefusedHistory::Fork(Box::new(fork)).into());
    }
    let history = history::open(config, directory).await?;
    catch_up(&history, store).await?;
    Ok(history)
}

/// The key that signs what the node saw.
pub(super) fn signer_of(directory: &Path) -> anyhow::Result<Identity> {
    Ok(at_rest::identity(directory)?.into_identity())
}

impl Node {
    /// Reads a frame; what is about histories goes to the task that watches them.
    pub(super) fn read(&mut self, kind: u8, body: &[u8]) -> Result<Event, CodecError> {
        let heard = match kind {
            LogHead::KIND => Heard::Head(Box::new(read_body(kind, body)?)),
            LogQuorum::KIND => Heard::Quorum(read_body(kind, body)?),
            NodeHeld::KIND => Heard::Held(read_body(kind, body)?),
            ModelLives::KIND => {
                let said: ModelLives = read_body(kind, body)?;
                self.learn(move |directory| rights::learn(directory, &said.models, now()));
                return Ok(Event::Tick);
            }
            ModelPlans::KIND => {
                let said: ModelPlans = read_body(kind, body)?;
                self.learn(move |directory| rights::learn_plans(directory, &said.models, now()));
                return Ok(Event::Tick);
            }
            _ => return read_frame(kind, body),
        };
        self.tell(heard);
        Ok(Event::Tick)
    }

    /// What is said of models goes to erasures that wait for them, beside the loop; certificates that it outdates are issued again.
    fn learn(&self, keep: impl FnOnce(&Path) -> anyhow::Result<usize> + Send + 'static) {
        let (teller, directory) = (self.teller.clone(), self.directory.clone());
        let learnt = async move {
            let learning = tokio::task::spawn_blocking(move || keep(&directory));
            if learning.await?? > 0 {
                teller.tell().await?;
            }
            anyhow::Ok(())
        };
        tokio::spawn(async move {
            if let Err(fault) = learnt.await {
                tracing::error!(
                    fault = format!("{fault:#}"),
                    "what the coordinator says of models is not kept; it says so again in the next session"
                );
            }
        });
    }

    pub(super) fn tell(&self, heard: Heard) {
        // Where too much waits, the coordinator shows its history again in the next session.
        if self.heard.try_send(heard).is_err() {
            tracing::warn!("a message about histories was dropped");
        }
    }

    /// Lets a task wait until enough others have signed the history; those that waited go first.
    pub(super) fn gated(&mut self, event: Event) -> Option<Event> {
        let terms = |study: &StudyHash| {
            let terms = self.participant.ledger().terms(study)?;
            Some(terms.roster.clone())
        };
        let (event, ready, late) = self.gate.pass(now(), event, terms);
        for event in ready {
            self.participant.handle(now(), event);
        }
        for refusal in late {
            self.send(Outgoing::Refusal(refusal));
        }
        event
    }

    pub(super) async fn note(&self, said: impl IntoIterator<Item = Keyed>) {
        for (key, event) in said {
            self.history.note(Some(key), event).await;
        }
    }

    /// Hands what leaves to the history; nothing waits for its disk.
    pub(super) async fn note_sent(&self, message: &Outgoing) {
        let event = match message {
            Outgoing::Decision(decision) => decided(&decision.study, &decision.verdict),
            Outgoing::Refusal(found) => Some(refused(&found.refusal)),
            Outgoing::Update(released) => Some(sent("update", released.frame().len())),
            Outgoing::Shares(released) => Some(sent("shares", released.frame().len())),
            _ => None,
        };
        if let Some(event) = event {
            self.history.note(None, event).await;
        }
    }
}
