//! The task that watches the coordinator's history for the node: what it signs is on disk before it is sent, and a fork ends the node.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use aquifer_shared::base::ids::{IdentityKey, StudyHash};
use aquifer_shared::protocol::wire::{LogHead, LogQuorum, Message, NodeHead, NodeHeld, frame};
use aquifer_shared::protocol::witness::{Fork, Held, Member, Step, node_origin, read_note};
use aquifer_shared::shell::history::History;
use aquifer_shared::shell::keys::Identity;
use tokio::sync::{Semaphore, mpsc, watch};

use super::clock::now;
use super::history::{fork_path, inconsistent};
use super::link::Queued;

/// What the task hears.
#[derive(Debug)]
pub enum Heard {
    /// A session is up.
    Up,
    /// A checkpoint of the coordinator.
    Head(Box<LogHead>),
    /// Cosignatures.
    Quorum(LogQuorum),
    /// What the coordinator knows of this node's history.
    Held(NodeHeld),
    /// This node's history was published.
    Published(String),
}

/// Why the node works no more.
#[derive(Clone, Debug)]
pub enum Distrust {
    /// The coordinator shows two histories.
    Fork(Box<Fork>),
    /// This node's history is not the one that it signed.
    Own {
        /// What the coordinator has, signed by this node.
        signed: u64,
        /// Entries here.
        entries: u64,
    },
}

/// What others see of the task.
#[derive(Clone)]
pub struct Witnessed {
    member: Arc<Mutex<Member>>,
    /// Told when there is a quorum to look at.
    pub changed: watch::Receiver<u64>,
}

/// The task.
pub struct Witnessing {
    directory: PathBuf,
    identity: Identity,
    history: History,
    member: Arc<Mutex<Member>>,
    outgoing: mpsc::Sender<Queued>,
    room: Arc<Semaphore>,
    changed: watch::Sender<u64>,
    distrust: mpsc::Sender<Distrust>,
}

impl Witnessed {
    /// Whether a study of these members may be worked for now; then it counts as worked for.
    pub fn may_work(&self, study: &StudyHash, roster: &[IdentityKey]) -> bool {
        let mut member = self.member.lock().unwrap_or_else(PoisonError::into_inner);
        let may = member.may_work(now(), study, roster);
        if may {
            member.works(*study);
        }
        may
    }
}

impl Witnessing {
    /// A witness that goes on from what the directory holds.
    ///
    /// # Errors
    ///
    /// Its state cannot be read.
    pub fn new(
        directory: &Path,
        (identity, release_key): (Identity, IdentityKey),
        history: History,
        (outgoing, room): (mpsc::Sender<Queued>, Arc<Semaphore>),
        (dishonest, distrust): (usize, mpsc::Sender<Distrust>),
    ) -> io::Result<(Self, Witnessed)> {
        let mut held = read_held(directory)?;
        // The ticket named the key of releases, which signs the history too: another one is another coordinator.
        held.key.get_or_insert_with(|| release_key.to_string());
        let member = Arc::new(Mutex::new(Member::new(held, dishonest, now())));
        let (changed, seen) = watch::channel(0);
        let witnessed = Witnessed {
            member: member.clone(),
            changed: seen,
        };
        let task = Self {
            directory: directory.to_owned(),
            identity,
            history,
            member,
            outgoing,
            room,
            changed,
            distrust,
        };
        Ok((task, witnessed))
    }

    /// Works until nobody speaks any more, or nothing can be trusted.
    pub async fn run(self, mut heard: mpsc::Receiver<Heard>) {
        while let Some(heard) = heard.recv().await {
            let distrust = match heard {
                Heard::Up => self.greet().await,
                Heard::Head(head) => self.look(&head).await,
                Heard::Quorum(quorum) => {
                    let fork = self.member().on_quorum(&quorum.note);
                    self.changed.send_modify(|times| *times += 1);
                    fork.map(Distrust::Fork)
                }
                Heard::Held(held) => self.compare(&held.note).await,
                Heard::Published(note) => {
                    self.send(&NodeHead { note });
                    None
                }
            };
            if let Some(distrust) = distrust {
                self.part(distrust).await;
                return;
            }
        }
    }

    fn member(&self) -> std::sync::MutexGuard<'_, Member> {
        self.member.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn greet(&self) -> Option<Distrust> {
        let seen = self.member().seen();
        self.send(&seen);
        match self.history.published().await {
            Ok(Some(note)) => self.send(&NodeHead { note }),
            Ok(None) => {}
            Err(fault) => tracing::error!(%fault, "the node's own history is not shown"),
        }
        None
    }

    async fn look(&self, head: &LogHead) -> Option<Distrust> {
        let step = self.member().look(head);
        match step {
            Step::Cosign(held) => {
                let (directory, kept) = (self.directory.clone(), held.clone());
                let written = tokio::task::spawn_blocking(move || write_held(&directory, &kept));
                if !matches!(written.await, Ok(Ok(()))) {
                    tracing::error!(
                        "what this node signs of the coordinator's history cannot be kept: it signs nothing"
                    );
                    return None;
                }
                let sign = |text: &str| self.identity.sign_note(text);
                let cosigned = self.member().signed(now(), *held, sign);
                if let Some(cosigned) = cosigned {
                    self.send(&cosigned);
                }
                None
            }
            Step::Fork(fork) => Some(Distrust::Fork(fork)),
            Step::Ignore(why) => {
                tracing::warn!(why, "a checkpoint of the coordinator was not signed");
                None
            }
        }
    }

    /// What the coordinator has of this node's own history must be a part of it.
    async fn compare(&self, note: &str) -> Option<Distrust> {
        let key = self.identity.public();
        let (_, signed) = read_note(note, &node_origin(&key), &key)?;
        let entries = self.history.edge().borrow().size;
        let same = match signed.size <= entries {
            true => match self.history.root_at(signed.size).await {
                Ok(root) => root == signed.root,
                Err(fault) => {
                    tracing::error!(%fault, "the node's own history was not read");
                    return None;
                }
            },
            false => false,
        };
        let signed = signed.size;
        (!same).then_some(Distrust::Own { signed, entries })
    }

    /// Keeps the evidence and says that nothing can be trusted.
    async fn part(&self, distrust: Distrust) {
        if let Distrust::Fork(fork) = &distrust {
            let path = fork_path(&self.directory);
            let text = serde_json::to_string_pretty(&**fork).unwrap_or_default();
            if let Err(error) = replace(&path, text.as_bytes()) {
                tracing::error!(path = %path.display(), %error, "the evidence was not kept");
            }
            let event = inconsistent("coordinator", &fork.held, &fork.shown);
            if let Err(fault) = self.history.append(vec![event]).await {
                tracing::error!(%fault, "the fork is not in the node's history");
            }
        }
        // Fails only where the loop has gone.
        let _ = self.distrust.send(distrust).await;
    }

    fn send<M: Message>(&self, message: &M) {
        let bytes = frame(message);
        let kib = u32::try_from(bytes.len() / 1_024 + 1).unwrap_or(u32::MAX);
        let room = self.room.clone().try_acquire_many_owned(kib).ok();
        let sent = room.is_some_and(|room| self.outgoing.try_send((bytes, room)).is_ok());
        if !sent {
            tracing::warn!("a message about histories was dropped: no session takes it");
        }
    }
}

/// What the node signed last of the coordinator's history.
///
/// # Errors
///
/// The file cannot be read, or is not what this program wrote.
pub fn read_held(directory: &Path) -> io::Result<Held> {
    match std::fs::read(directory.join(HELD_FILE)) {
        Ok(bytes) => serde_json::from_slice(&bytes).map_err(io::Error::from),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Held::default()),
        Err(error) => Err(error),
    }
}

/// The evidence of a fork, if there is any.
///
/// # Errors
///
/// The file cannot be read.
pub fn read_fork(directory: &Path) -> io::Result<Option<Fork>> {
    match std::fs::read(fork_path(directory)) {
        Ok(bytes) => serde_json::from_slice(&bytes)
            .map_err(io::Error::from)
            .map(Some),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn write_held(directory: &Path, held: &Held) -> io::Result<()> {
    let text = serde_json::to_vec(held)?;
    replace(&directory.join(HELD_FILE), &text)
}

/// Whole or as it was before, at any moment; on disk on return.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let beside = path.with_extension("new");
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let mut file = options.open(&beside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&beside, path)?;
    File::open(path.parent().unwrap_or(path))?.sync_all()
}

/// The file with what was signed last, in a node's directory.
pub const HELD_FILE: &str = "history-seen.json";
