//! The task that shows the history to nodes: a checkpoint with its proof to each, then the cosignatures of all to all.

use std::collections::HashMap;
use std::time::Duration;

use aquifer_shared::base::ids::{IdentityKey, Name};
use aquifer_shared::domain::history::Event;
use aquifer_shared::protocol::wire::{Message, frame};
use aquifer_shared::protocol::witness::{
    Cosigned, Gathering, LogHead, LogQuorum, LogSeen, NodeHead, NodeHeld, node_origin, read_note,
};
use aquifer_shared::shell::history::{History, HistoryFault};
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};

use super::clock::now;
use super::outbox::Outbox;
use crate::core::chronicle::{inconsistent, node_checkpoint};

/// What a session says about logs.
#[derive(Debug)]
pub enum WitnessNews {
    /// A node is here and says what it signed last.
    Seen {
        /// The node.
        node: IdentityKey,
        /// Its name.
        name: Name,
        /// Which session of it.
        session: u64,
        /// The way to it.
        outbox: Outbox,
        /// What it signed.
        said: LogSeen,
    },
    /// A node signed a checkpoint.
    Cosigned {
        /// The node.
        node: IdentityKey,
        /// The cosignature.
        said: Cosigned,
    },
    /// A checkpoint of a node's own log.
    Head {
        /// The node.
        node: IdentityKey,
        /// The checkpoint.
        said: NodeHead,
    },
    /// A session is over.
    Gone {
        /// The node.
        node: IdentityKey,
        /// Which session of it.
        session: u64,
    },
}

/// Shows the history to all nodes until nobody brings news any more.
pub async fn show(history: History, mut news: mpsc::Receiver<WitnessNews>) {
    let mut witnesses = Witnesses {
        history,
        gathering: Gathering::default(),
        lines: HashMap::new(),
    };
    let mut tick = interval(LOOK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let heard = tokio::select! {
            heard = news.recv() => match heard {
                Some(heard) => Some(heard),
                None => return,
            },
            _ = tick.tick() => None,
        };
        let done = async {
            if let Some(heard) = heard {
                witnesses.hear(heard).await?;
            }
            witnesses.go_on().await
        };
        if let Err(fault) = done.await {
            let fault = anyhow::Error::from(fault);
            tracing::error!(
                fault = format!("{fault:#}"),
                "the history is not shown to nodes"
            );
        }
    }
}

struct Witnesses {
    history: History,
    gathering: Gathering,
    lines: HashMap<IdentityKey, (u64, Outbox)>,
}

impl Witnesses {
    async fn hear(&mut self, news: WitnessNews) -> Result<(), HistoryFault> {
        match news {
            WitnessNews::Seen {
                node,
                name,
                session,
                outbox,
                said,
            } => {
                self.lines.insert(node, (session, outbox));
                self.compare(&node, &name, &said).await?;
                self.gathering.seen(node, said.size);
                if let Some(note) = self.history.kept(&kept_under(&node)).await? {
                    self.send(&node, &NodeHeld { note });
                }
                if let Some(note) = self.gathering.noted() {
                    self.send(&node, &LogQuorum { note });
                }
            }
            WitnessNews::Cosigned { node, said } => {
                if !self.gathering.cosigned(&node, &said) {
                    tracing::debug!(%node, size = said.size, "a cosignature of another checkpoint");
                }
            }
            WitnessNews::Head { node, said } => self.enter(&node, &said.note).await?,
            WitnessNews::Gone { node, session } => {
                if self.lines.get(&node).is_some_and(|line| line.0 == session) {
                    self.lines.remove(&node);
                    self.gathering.gone(&node);
                }
            }
        }
        Ok(())
    }

    /// A node that signed what this log does not hold: this log was put back, or another runs under its name.
    async fn compare(
        &mut self,
        node: &IdentityKey,
        name: &Name,
        said: &LogSeen,
    ) -> Result<(), HistoryFault> {
        let size = self.history.edge().borrow().size;
        let same = match said.size {
            0 => true,
            seen if seen > size => false,
            seen => self.history.root_at(seen).await? == said.root,
        };
        if same {
            return Ok(());
        }
        tracing::error!(node = %name, signed = said.size, entries = size,
            "log-inconsistency: this node signed a history that is not this one; was this directory put back from a backup?");
        let shown = format!("{}\n{}", said.size, said.root);
        let event = inconsistent(node, "coordinator", &size.to_string(), &shown);
        self.history.note(None, event).await;
        Ok(())
    }

    /// Enters a checkpoint of a node's own log; one that does not follow the last is kept as what it is.
    async fn enter(&mut self, node: &IdentityKey, note: &str) -> Result<(), HistoryFault> {
        let Some((_, shown)) = read_note(note, &node_origin(node), node) else {
            tracing::warn!(%node, "a checkpoint that the node did not sign");
            return Ok(());
        };
        let name = kept_under(node);
        let held = self.history.kept(&name).await?;
        let before = held
            .as_deref()
            .and_then(|held| read_note(held, &node_origin(node), node));
        if let (Some(held), Some((_, before))) = (&held, before) {
            let forked = shown.size == before.size && shown.root != before.root;
            if forked || shown.size < before.size {
                tracing::error!(%node, held = before.size, shown = shown.size,
                    "log-inconsistency: the history of this node is not what it signed before");
                let event: Event = inconsistent(node, "node", held, note);
                self.history.note(None, event).await;
                return Ok(());
            }
        }
        let (key, event) = node_checkpoint(node, shown.size, &shown.root.to_string(), note);
        self.history.append_once(vec![(key, event)]).await?;
        self.history.keep(&name, note.to_owned()).await
    }

    /// Publishes, shows and tells what is due.
    async fn go_on(&mut self) -> Result<(), HistoryFault> {
        if self.lines.is_empty() {
            return Ok(());
        }
        let (edge, note) = self.history.checkpoint();
        if self.gathering.is_due(now(), edge.size) {
            let shown = (edge.size, edge.root);
            self.gathering.publish(now(), shown, note);
        }
        if let Some((note, size, owed)) = self.gathering.owed() {
            for (node, from) in owed {
                self.show_to(&node, (&note, size), from).await?;
            }
        }
        if let Some(note) = self.gathering.news() {
            let message = LogQuorum { note };
            let bytes: std::sync::Arc<[u8]> = frame(&message).into();
            for (_, outbox) in self.lines.values() {
                // A node that does not read is given up by its session.
                let _ = outbox.put(bytes.clone());
            }
            let day = now().0 / DAY_MS;
            self.history.keep(COSIGNED, message.note.clone()).await?;
            self.history.keep(&cosigned_on(day), message.note).await?;
        }
        Ok(())
    }

    async fn show_to(
        &self,
        node: &IdentityKey,
        (note, size): (&str, u64),
        from: u64,
    ) -> Result<(), HistoryFault> {
        let consistency = match from <= size {
            true => self.history.consistency(from, size).await?,
            // The node sees for itself that the log is shorter than it was.
            false => Vec::new(),
        };
        let head = LogHead {
            key: self.history.key(),
            note: note.to_owned(),
            from,
            consistency,
        };
        self.send(node, &head);
        Ok(())
    }

    fn send<M: Message>(&self, node: &IdentityKey, message: &M) {
        if let Some((_, outbox)) = self.lines.get(node) {
            // A node that does not read is given up by its session.
            let _ = outbox.put(frame(message).into());
        }
    }
}

fn kept_under(node: &IdentityKey) -> String {
    format!("node/{node}")
}

/// The last checkpoint with cosignatures of a day (days since 1970) is kept under this name: audit packs begin and end at them.
#[must_use]
pub fn cosigned_on(day: u64) -> String {
    format!("cosigned/{day}")
}

/// The newest checkpoint with cosignatures is kept under this name.
pub const COSIGNED: &str = "cosigned";
const DAY_MS: u64 = 24 * 3_600 * 1_000;
/// News that may wait.
pub const NEWS_MAX: usize = 4_096;
/// How often it is looked whether another checkpoint is due.
const LOOK: Duration = Duration::from_millis(200);

#[cfg(test)]
mod tests {
    use aquifer_shared::base::ids::Hash32;
    use aquifer_shared::domain::history::Kind;
    use aquifer_shared::protocol::witness::coordinator_origin;
    use aquifer_shared::shell::history::{Edge, LogSigner, Place};
    use aquifer_shared::shell::keys::Identity;

    use super::*;
    use crate::core::chronicle::enrolled;
    use crate::shell::outbox::{Queue, outbox};

    struct World {
        _folder: tempfile::TempDir,
        witnesses: Witnesses,
        node: LogSigner,
        _queue: Queue,
    }

    async fn world() -> World {
        let folder = tempfile::tempdir().unwrap();
        let key = Identity::generate().unwrap();
        let signer = LogSigner::new(coordinator_origin(&key.public()), key);
        let place = Place {
            folder: folder.path().join("history"),
            mark: folder.path().join("history.checkpoint"),
            takes_persons: false,
            key: aquifer_shared::shell::at_rest::DatabaseKey::new([7; 32]),
        };
        let history = History::open(place, signer, now).await.unwrap();
        let key = Identity::generate().unwrap();
        let node = LogSigner::new(node_origin(&key.public()), key);
        let name = "north".parse().unwrap();
        let event = enrolled(
            &name,
            aquifer_shared::base::ids::Role::Node,
            &node.public(),
            false,
        );
        history.append_once(vec![event]).await.unwrap();
        let (_, queue) = outbox();
        World {
            _folder: folder,
            witnesses: Witnesses {
                history,
                gathering: Gathering::default(),
                lines: HashMap::new(),
            },
            node,
            _queue: queue,
        }
    }

    impl World {
        async fn seen(&mut self, size: u64, root: Hash32) {
            let (outbox, _queue) = outbox();
            let news = WitnessNews::Seen {
                node: self.node.public(),
                name: "north".parse().unwrap(),
                session: 1,
                outbox,
                said: LogSeen { size, root },
            };
            self.witnesses.hear(news).await.unwrap();
        }

        async fn head(&mut self, size: u64, root: u8) {
            let root = Hash32([root; 32]);
            let note = self.node.note(Edge { size, root });
            let node = self.node.public();
            let news = WitnessNews::Head {
                node,
                said: NodeHead { note },
            };
            self.witnesses.hear(news).await.unwrap();
        }

        async fn kinds(&self) -> Vec<Kind> {
            let entries = self.witnesses.history.read(1..99).await.unwrap();
            entries.iter().map(|entry| entry.leaf.kind).collect()
        }
    }

    #[tokio::test]
    async fn a_node_that_signed_what_is_here_is_no_news() {
        let mut world = world().await;
        let root = world.witnesses.history.edge().borrow().root;
        world.seen(0, Hash32::default()).await;
        world.seen(1, root).await;
        assert_eq!(world.kinds().await, []);
    }

    #[tokio::test]
    async fn a_node_that_signed_something_else_is_entered() {
        let mut world = world().await;
        world.seen(9, Hash32([1; 32])).await;
        world.seen(1, Hash32([1; 32])).await;
        assert_eq!(world.kinds().await, [Kind::LogInconsistency; 2]);
    }

    #[tokio::test]
    async fn checkpoints_of_nodes_are_entered_once_and_must_follow() {
        let mut world = world().await;
        world.head(256, 1).await;
        world.head(256, 1).await;
        world.head(512, 2).await;
        assert_eq!(world.kinds().await, [Kind::CheckpointPublished; 2]);
        world.head(256, 1).await;
        world.head(512, 3).await;
        assert_eq!(world.kinds().await[2..], [Kind::LogInconsistency; 2]);
        let kept = kept_under(&world.node.public());
        let kept = world.witnesses.history.kept(&kept).await.unwrap().unwrap();
        assert!(kept.contains("\n512\n"));
    }
}
