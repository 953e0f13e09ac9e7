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
use super::steps::PutBack;

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
#[derive(Debug)]
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
    /// A ledger of this node is not the one that its history knows.
    PutBack(PutBack),
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

#[cfg(test)]
mod tests {
    use aquifer_shared::base::ids::Hash32;
    use aquifer_shared::domain::history::{Event, Json, Kind};
    use aquifer_shared::protocol::witness::coordinator_origin;
    use aquifer_shared::shell::history::{Edge, LogSigner, Place};

    use super::*;

    struct World {
        folder: tempfile::TempDir,
        task: Witnessing,
        witnessed: Witnessed,
        coordinator: LogSigner,
        sent: mpsc::Receiver<Queued>,
        distrust: mpsc::Receiver<Distrust>,
    }

    fn identity(folder: &Path) -> Identity {
        Identity::load(&folder.join("identity.key")).unwrap()
    }

    async fn world() -> World {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        Identity::generate()
            .unwrap()
            .save(&path.join("identity.key"))
            .unwrap();
        let key = identity(path);
        let signer = LogSigner::new(node_origin(&key.public()), key);
        let place = Place {
            folder: path.join("history"),
            mark: path.join("history.checkpoint"),
            takes_persons: true,
            key: aquifer_shared::shell::at_rest::DatabaseKey::new([7; 32]),
        };
        let history = History::open(place, signer, now).await.unwrap();
        let event = || Event::of_program(Kind::BudgetSpent, Json::object([]));
        history.append(vec![event(), event()]).await.unwrap();
        let release = Identity::generate().unwrap();
        let key = release.public();
        let coordinator = LogSigner::new(coordinator_origin(&key), release);
        let (outgoing, sent) = mpsc::channel(8);
        let (to_loop, distrust) = mpsc::channel(1);
        let room = Arc::new(Semaphore::new(1_000));
        let made = Witnessing::new(
            path,
            (identity(path), key),
            history,
            (outgoing, room),
            (0, to_loop),
        );
        let (task, witnessed) = made.unwrap();
        World {
            folder,
            task,
            witnessed,
            coordinator,
            sent,
            distrust,
        }
    }

    impl World {
        fn head(&self, size: u64, root: u8) -> Box<LogHead> {
            let root = Hash32([root; 32]);
            Box::new(LogHead {
                key: self.coordinator.public(),
                note: self.coordinator.note(Edge { size, root }),
                from: self.task.member().seen().size,
                consistency: Vec::new(),
            })
        }
    }

    #[tokio::test]
    async fn what_is_signed_is_on_disk_before_it_is_sent() {
        let mut world = world().await;
        let head = world.head(5, 1);
        assert!(world.task.look(&head).await.is_none());
        assert!(world.sent.try_recv().is_ok());
        let held = read_held(world.folder.path()).unwrap();
        assert_eq!((held.size, held.note), (5, head.note));
    }

    #[tokio::test]
    async fn two_histories_end_the_node_and_leave_evidence() {
        let mut world = world().await;
        let (first, second) = (world.head(5, 1), world.head(5, 2));
        let folder = world.folder.path().to_owned();
        let (heard, queue) = mpsc::channel(8);
        heard.send(Heard::Head(first)).await.unwrap();
        heard.send(Heard::Head(second)).await.unwrap();
        world.task.run(queue).await;
        let distrust = world.distrust.recv().await;
        assert!(matches!(distrust, Some(Distrust::Fork(_))));
        let fork = read_fork(&folder).unwrap().unwrap();
        assert_ne!(fork.held, fork.shown);
        assert_eq!(read_held(&folder).unwrap().size, 5);
        let study = StudyHash([1; 32]);
        assert!(
            !world
                .witnessed
                .may_work(&study, &[world.coordinator.public()])
        );
    }

    #[tokio::test]
    async fn a_coordinator_with_another_key_than_the_ticket_named_is_refused() {
        let world = world().await;
        let other = LogSigner::new("other".to_owned(), Identity::generate().unwrap());
        let mut head = world.head(5, 1);
        head.key = other.public();
        let refused = world.task.look(&head).await;
        assert!(matches!(refused, Some(Distrust::Fork(_))));
    }

    #[tokio::test]
    async fn a_node_that_was_put_back_finds_what_it_signed_at_the_coordinator() {
        let world = world().await;
        let own = identity(world.folder.path());
        let signer = LogSigner::new(node_origin(&own.public()), own);
        let edge = *world.task.history.edge().borrow();
        assert!(world.task.compare(&signer.note(edge)).await.is_none());
        let longer = Edge { size: 256, ..edge };
        let refused = world.task.compare(&signer.note(longer)).await;
        let own = Some((256, 2));
        let found = refused.and_then(|distrust| match distrust {
            Distrust::Own { signed, entries } => Some((signed, entries)),
            _ => None,
        });
        assert_eq!(found, own);
        let root = Hash32([9; 32]);
        let beside = signer.note(Edge { root, ..edge });
        assert!(world.task.compare(&beside).await.is_some());
        // Nobody else's word counts.
        let strange = world.coordinator.note(longer);
        assert!(world.task.compare(&strange).await.is_none());
    }
}
