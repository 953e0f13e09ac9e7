//! What all connections share: the registry, the way to the hub, and who is connected.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use aquifer_shared::base::ids::Name;
use aquifer_shared::base::limits::FRAME_BYTES_MAX;
use aquifer_shared::protocol::ask::{Request, Response};
use aquifer_shared::protocol::wire::{BudgetLeft, CloseReason, Decision, Hello, Refusal, Update};
use aquifer_shared::shell::certificates::{CertificateAuthority, PeerCertificate};
use aquifer_shared::shell::platform::{Platform, System};
use aquifer_shared::shell::quic::close;
use quinn::Connection;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};

use super::chronicle::Chronicle;
use super::demanded::ProgramList;
use super::lawful::Law;
use super::lookups::Lookups;
use super::mirror::Copied;
use super::outbox::Outbox;
use super::put::{OpenStanding, Put, Unit};
use super::registry::Registry;
use super::store::{Party, Store};
use crate::core::event::Secure;

/// Commands that may wait for the hub before connections are slowed down.
pub const COMMANDS_MAX: usize = 1_024;
/// Connections at a time.
pub const CONNECTIONS_MAX: usize = 4_096;
/// Connections of one party at a time.
pub const CONNECTIONS_PER_PARTY_MAX: usize = 16;
/// Bytes of messages that may wait for the hub: beyond them sessions read no further.
const INBOUND_BYTES_MAX: usize = 8 * FRAME_BYTES_MAX;
/// First frames of streams that are read at a time; further streams wait.
const FIRST_FRAMES_MAX: usize = 256;
/// First frames that are read at a time on one connection: no party takes all places.
pub const FIRST_FRAMES_PER_CONNECTION_MAX: usize = 4;
/// What room is counted in.
const ROOM_UNIT: usize = 1_024;

/// An encoded frame; one TASK goes to many nodes.
pub type SharedFrame = Arc<[u8]>;

/// What a connection tells the hub.
#[derive(Debug)]
pub enum Command {
    /// A node's session is open.
    Opened {
        /// The node.
        party: Box<Party>,
        /// Which session of it.
        session: u64,
        /// Its first words.
        hello: Hello,
        /// The way to it.
        line: Line,
    },
    /// A node's session is over.
    Closed {
        /// The node.
        party: Box<Party>,
        /// Which session of it.
        session: u64,
    },
    /// A node said something.
    Said {
        /// The node.
        party: Box<Party>,
        /// What.
        message: Said,
        /// Its place among the messages that wait.
        room: OwnedSemaphorePermit,
    },
    /// Somebody asks.
    Asked {
        /// Who.
        party: Box<Party>,
        /// What.
        request: Request,
        /// Answers; dropped after the last.
        answers: mpsc::Sender<Response>,
    },
    /// Somebody with a session asks.
    Put {
        /// Who.
        party: Box<Party>,
        /// What.
        put: Box<Put>,
        /// The answer; dropped after it.
        answers: mpsc::Sender<Response>,
    },
    /// Which units are there? Not answered where the store fails.
    Units(oneshot::Sender<Vec<Unit>>),
    /// The process is to stop.
    Stop,
}

/// The way to a node.
#[derive(Debug)]
pub struct Line {
    /// Frames for it.
    pub outbox: Outbox,
    /// What they travel over.
    pub connection: Connection,
}

/// What a node says within a session.
#[derive(Debug)]
pub enum Said {
    /// On a study.
    Decision(Decision),
    /// A noisy sum.
    Update(Update),
    /// Not this round.
    Refusal(Refusal),
    /// A step of a secure aggregation.
    Secure(Secure),
    /// What its budgets leave.
    Left(BudgetLeft),
}

/// Shared by all connections.
pub struct Front {
    /// Who may speak.
    pub registry: Registry,
    /// For renewals.
    pub store: Store,
    /// Signs renewals.
    pub authority: Arc<CertificateAuthority>,
    /// Life of a renewed certificate.
    pub certificate_days: u32,
    /// To the hub.
    pub hub: mpsc::Sender<Command>,
    /// To the mirror of ledgers.
    pub mirror: mpsc::Sender<Copied>,
    chronicle: OnceLock<Chronicle>,
    /// What questions look up again and again.
    pub(super) lookups: Lookups,
    /// What may run, be asked, be published.
    pub law: Law,
    /// Programs that nodes may run; any where there is no list.
    pub demanded: Option<ProgramList>,
    inbound: Arc<Semaphore>,
    firsts: Arc<Semaphore>,
    /// What connections live on.
    pub platform: Arc<dyn Platform>,
    live: Mutex<BTreeMap<u64, Live>>,
    counter: AtomicU64,
    /// Rises when those who are here must be looked at again.
    looked: watch::Sender<u64>,
    /// Standing studies that are open; none before the hub has looked.
    open: watch::Sender<Option<Arc<Vec<OpenStanding>>>>,
}

#[derive(Debug)]
struct Live {
    peer: PeerCertificate,
    connection: Connection,
}

impl Front {
    /// Nobody is connected yet.
    #[must_use]
    pub fn new(
        registry: Registry,
        store: Store,
        authority: Arc<CertificateAuthority>,
        certificate_days: u32,
        hub: mpsc::Sender<Command>,
        mirror: mpsc::Sender<Copied>,
    ) -> Self {
        let (live, counter) = (Mutex::default(), AtomicU64::new(1));
        let inbound = Arc::new(Semaphore::new(INBOUND_BYTES_MAX / ROOM_UNIT));
        let firsts = Arc::new(Semaphore::new(FIRST_FRAMES_MAX));
        Self {
            registry,
            store,
            authority,
            certificate_days,
            hub,
            mirror,
            chronicle: OnceLock::new(),
            lookups: Lookups::default(),
            law: Law::undeclared(),
            demanded: None,
            inbound,
            firsts,
            platform: Arc::new(System),
            live,
            counter,
            looked: watch::Sender::new(0),
            open: watch::Sender::new(None),
        }
    }

    /// From here on there is a history.
    pub fn attach(&self, chronicle: Chronicle) {
        // The first one stays.
        let _ = self.chronicle.set(chronicle);
    }

    /// The history, once there is one.
    #[must_use]
    pub fn chronicle(&self) -> Option<&Chronicle> {
        self.chronicle.get()
    }

    /// Tells which standing studies are open, the newest first.
    pub fn tell_open(&self, open: Vec<OpenStanding>) {
        self.open.send_replace(Some(Arc::new(open)));
    }

    /// Standing studies that are open, the newest first. The same list is the same allocation.
    pub async fn open(&self) -> Arc<Vec<OpenStanding>> {
        let mut told = self.open.subscribe();
        // The sender is here, in `self`.
        let open = told.wait_for(Option::is_some).await;
        open.ok().and_then(|open| open.clone()).unwrap_or_default()
    }

    /// Waits until a message of this length may wait for the hub.
    ///
    /// # Panics
    ///
    /// Never: the semaphore is not closed.
    pub async fn room(&self, bytes: usize) -> OwnedSemaphorePermit {
        let units = bytes
            .div_ceil(ROOM_UNIT)
            .clamp(1, FRAME_BYTES_MAX / ROOM_UNIT) as u32;
        let room = self.inbound.clone().acquire_many_owned(units).await;
        room.expect("nobody closes it")
    }

    /// Waits until the first frame of one more stream may be read, on a connection with these places.
    ///
    /// # Panics
    ///
    /// Never: the semaphores are not closed.
    pub async fn first(&self, own: &Arc<Semaphore>) -> [OwnedSemaphorePermit; 2] {
        let own = own.clone().acquire_owned().await;
        let all = self.firsts.clone().acquire_owned().await;
        [own, all].map(|place| place.expect("nobody closes it"))
    }

    /// First frames that may still be read now.
    #[cfg(test)]
    pub fn firsts_left(&self) -> usize {
        self.firsts.available_permits()
    }

    /// The same with rules of law; without, only synthetic studies run.
    #[must_use]
    pub fn under(self, law: Law) -> Self {
        Self { law, ..self }
    }

    /// The same where nodes may run these programs only.
    #[must_use]
    pub fn demanding(self, demanded: Option<ProgramList>) -> Self {
        Self { demanded, ..self }
    }

    /// The same on another platform.
    #[must_use]
    pub fn on(self, platform: Arc<dyn Platform>) -> Self {
        Self { platform, ..self }
    }

    /// Counts a connection in; the number by which it leaves, or none if there are too many.
    pub fn enter(&self, peer: &PeerCertificate, connection: &Connection) -> Option<u64> {
        let mut live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        let own = live
            .values()
            .filter(|other| other.peer.name == peer.name)
            .count();
        if live.len() >= CONNECTIONS_MAX || own >= CONNECTIONS_PER_PARTY_MAX {
            return None;
        }
        let number = self.counter.fetch_add(1, Ordering::Relaxed);
        live.insert(
            number,
            Live {
                peer: peer.clone(),
                connection: connection.clone(),
            },
        );
        Some(number)
    }

    /// Counts a connection out.
    pub fn leave(&self, number: u64) {
        self.live
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&number);
    }

    /// Closes every connection whose certificate is no longer good: revoked, replaced twice, or expired.
    pub async fn close_unwelcome(&self) {
        self.looked.send_modify(|times| *times += 1);
        let all: Vec<(PeerCertificate, Connection)> = {
            let live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
            live.values()
                .map(|one| (one.peer.clone(), one.connection.clone()))
                .collect()
        };
        for (peer, connection) in all {
            if let Err(reason) = self.check(&peer).await {
                tracing::info!(party = %peer.name, ?reason, "connection closed");
                close(&connection, reason);
            }
        }
    }

    /// Tells when those who are here must be looked at again.
    pub fn looks(&self) -> watch::Receiver<u64> {
        self.looked.subscribe()
    }

    /// The party behind a certificate now, or why it may not speak.
    ///
    /// # Errors
    ///
    /// The reason to close with.
    pub async fn check(&self, peer: &PeerCertificate) -> Result<Party, CloseReason> {
        if peer.not_after <= self.platform.now() {
            return Err(CloseReason::Expired);
        }
        self.registry.admit(peer).await
    }

    /// Closes everything, with a reason.
    pub fn close_all(&self, reason: CloseReason) {
        let live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        live.values().for_each(|one| close(&one.connection, reason));
    }

    /// Names of parties with a connection.
    pub fn connected(&self) -> Vec<Name> {
        let live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        live.values().map(|one| one.peer.name.clone()).collect()
    }
}
