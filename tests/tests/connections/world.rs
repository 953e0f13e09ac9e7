//! One coordinator and its nodes on the simulated network: real sessions at both ends, real certificates, a real registry.
//!
//! TLS keys and the authority are Ed25519, whose signatures have one length: the same seed gives the same bytes on the wire.

use std::collections::BTreeMap;
use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aquifer_coordinator::shell::front::{COMMANDS_MAX, Command, Front};
use aquifer_coordinator::shell::registry::Registry;
use aquifer_coordinator::shell::serve::accept;
use aquifer_coordinator::shell::store::{Party, Redeemed, Store, Ticketed};
use aquifer_node::shell::link::{self, Ends, LinkEvent, Queued};
use aquifer_shared::base::hash::sha256;
use aquifer_shared::base::ids::{Hash32, IdentityKey, Name, Role};
use aquifer_shared::base::time::Timestamp;
use aquifer_shared::shell::at_rest::DatabaseKey;
use aquifer_shared::shell::certificates::{PeerCertificate, certificate_pem};
use aquifer_shared::shell::directory::{CoordinatorFile, IdentityDirectory};
use aquifer_shared::shell::keys::write_private;
use aquifer_shared::shell::platform::Platform;
use aquifer_shared::shell::quic::lasting_endpoint;
use aquifer_shared::shell::tls::{Credentials, server_main};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use rcgen::{KeyPair, PKCS_ED25519};
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinHandle;

use super::authority::{Authority, SERVER};
use super::network::{CENTRE, Host, Network, host};

const PORT: u16 = 7_400;
pub const DAY_MS: u64 = 86_400_000;
const BROKEN: &str = "broken";
/// Messages that may wait between a session and its application.
const QUEUE_MAX: usize = 256;

/// What happened, in order.
#[derive(Clone, Default)]
pub struct Log(Arc<Mutex<Pages>>);

#[derive(Default)]
struct Pages {
    entries: Vec<Entry>,
    /// By who saw it and its first word, or its first two.
    counts: BTreeMap<(String, String), usize>,
}

/// Something that an application saw.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Entry {
    pub at: Duration,
    pub who: String,
    pub what: String,
}

impl Log {
    pub fn add(&self, network: &Network, who: &str, what: impl Into<String>) {
        let entry = Entry {
            at: network.clock.now(),
            who: who.to_owned(),
            what: what.into(),
        };
        let words: Vec<&str> = entry.what.splitn(3, ' ').collect();
        let mut pages = self.pages();
        for length in 0..words.len().min(2) + 1 {
            let place = (who.to_owned(), words[..length].join(" "));
            *pages.counts.entry(place).or_default() += 1;
        }
        pages.entries.push(entry);
    }

    /// A rule was broken: the run fails.
    pub fn broken(&self, network: &Network, what: impl Into<String>) {
        self.add(network, BROKEN, what);
    }

    /// What happened beside messages that came as they should, for people.
    pub fn tale(&self) -> String {
        let told = self
            .entries()
            .into_iter()
            .filter(|entry| !entry.what.starts_with("heard"));
        let lines = told.map(|entry| format!("{:>12.3?} {}: {}", entry.at, entry.who, entry.what));
        lines.collect::<Vec<_>>().join("\n")
    }

    pub fn entries(&self) -> Vec<Entry> {
        self.pages().entries.clone()
    }

    /// How often somebody saw something that starts with this word or these two.
    pub fn count(&self, who: &str, what: &str) -> usize {
        let place = (who.to_owned(), what.to_owned());
        self.pages().counts.get(&place).copied().unwrap_or(0)
    }

    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The whole of it.
pub struct World {
    pub network: Network,
    pub log: Log,
    folder: TempDir,
    authority: Authority,
    store: Store,
    /// Where the store's work is done, in real time: the simulated clock stands still meanwhile.
    outside: Runtime,
    inside: Option<Runtime>,
}

/// A node's directory and address.
#[derive(Clone)]
pub struct Member {
    pub name: Name,
    pub identity: IdentityKey,
    pub address: IpAddr,
    folder: PathBuf,
    number: u8,
}

/// The coordinator's process.
pub struct Centre {
    pub front: Arc<Front>,
    /// What ends with it.
    tasks: Vec<JoinHandle<()>>,
}

/// A node's process.
pub struct Running {
    pub session: JoinHandle<()>,
    pub host: Host,
}

/// A node's application is given these.
pub struct Line {
    pub events: mpsc::Receiver<LinkEvent>,
    pub outgoing: Way,
}

/// The way to a node's session: as many frames as the queue holds may wait.
#[derive(Clone)]
pub struct Way {
    sender: mpsc::Sender<Queued>,
    room: Arc<Semaphore>,
}

impl Way {
    /// Hands a frame over; false where the session takes none.
    pub fn try_send(&self, bytes: Vec<u8>) -> bool {
        let room = self.room.clone().try_acquire_owned().ok();
        room.is_some_and(|room| self.sender.try_send((bytes, room)).is_ok())
    }
}

impl World {
    pub fn new(seed: u64) -> Self {
        let start = start();
        let network = Network::new(seed, start);
        let folder = tempfile::tempdir().unwrap();
        // With a thread that always works: connections go back to the store's pool in tasks of their own.
        let mut outside = Builder::new_multi_thread();
        let outside = outside.worker_threads(1).enable_all().build().unwrap();
        let store = outside.block_on(Store::open(
            "sqlite://store.sqlite",
            folder.path(),
            &DatabaseKey::new([7; 32]),
        ));
        Self {
            inside: Some(network.clock.runtime()),
            network,
            log: Log::default(),
            authority: Authority::new(start),
            folder,
            store: store.unwrap(),
            outside,
        }
    }

    /// The same with the store at work during the story.
    pub fn with_store(seed: u64) -> Self {
        let mut world = Self::new(seed);
        world.inside = Some(world.network.clock.runtime_with_store());
        world
    }

    /// Runs a story in simulated time.
    pub fn run<T>(&mut self, story: impl AsyncFnOnce(&Self) -> T) -> T {
        let inside = self.inside.take().unwrap();
        let told = inside.block_on(story(self));
        assert_eq!(self.log.count(BROKEN, ""), 0, "{}", self.log.tale());
        self.inside = Some(inside);
        told
    }

    /// Does the store's work in real time.
    pub fn outside<T: Send>(&self, work: impl Future<Output = T> + Send) -> T {
        // From a thread of its own: within a runtime nothing may block on another.
        std::thread::scope(|scope| {
            let done = scope.spawn(|| self.outside.block_on(work));
            done.join().unwrap()
        })
    }

    pub fn store(&self) -> &Store {
        &self.store
    }

    /// A node with a certificate that is good for a while, known to the registry.
    pub fn member(&self, number: u8, good_for: Duration) -> Member {
        let member = self.unregistered(number);
        let key = KeyPair::generate_for(&PKCS_ED25519).unwrap();
        let until = start().after_ms(u64::try_from(good_for.as_millis()).unwrap());
        let certificate = self.authority.client(&member.name, &key, until);
        self.register(&member, &key.serialize_pem(), &certificate);
        member
    }

    /// A node with a key of the kind that every joiner makes, whose certificate can be renewed.
    pub fn renewable(&self, number: u8, days: u32, issued: Timestamp) -> Member {
        let member = self.unregistered(number);
        let fresh = aquifer_shared::shell::certificates::new_request(&member.name).unwrap();
        let authority = self.authority.load();
        let signed = authority.sign_csr(&fresh.value, &member.name, Role::Node, issued, days);
        self.register(&member, &fresh.key_pem, &signed.unwrap().der);
        member
    }

    fn unregistered(&self, number: u8) -> Member {
        let name: Name = format!("unit-{number}").parse().unwrap();
        let pair = Ed25519KeyPair::from_seed_unchecked(&[number; 32]).unwrap();
        let folder = self.folder.path().join(name.as_str());
        fs::create_dir(&folder).unwrap();
        write_private(
            &folder.join("identity.key"),
            pair.to_pkcs8v1().unwrap().as_ref(),
        )
        .unwrap();
        Member {
            identity: IdentityKey(pair.public_key().as_ref().try_into().unwrap()),
            address: host(number),
            name,
            folder,
            number,
        }
    }

    fn register(&self, member: &Member, key_pem: &str, certificate: &[u8]) {
        let coordinator = CoordinatorFile {
            address: SocketAddr::new(CENTRE, PORT).to_string(),
            address_join: SocketAddr::new(CENTRE, PORT + 1).to_string(),
            server_name: SERVER.to_owned(),
            name: member.name.clone(),
            role: Role::Node,
            release_key: IdentityKey([3; 32]),
        };
        let put = |file: &str, text: &str| {
            write_private(&member.folder.join(file), text.as_bytes()).unwrap();
        };
        put("tls.key", key_pem);
        put("certificate.pem", &certificate_pem(certificate));
        put("ca.pem", &self.authority.certificate_pem);
        put(
            "coordinator.json",
            &serde_json::to_string(&coordinator).unwrap(),
        );
        let peer = PeerCertificate::parse(certificate).unwrap();
        let party = Party {
            name: member.name.clone(),
            role: Role::Node,
            identity: member.identity,
            fingerprint: peer.fingerprint,
            fingerprint_before: Hash32::default(),
            certificate_until: peer.not_after,
            revoked: false,
            last_seen: Timestamp::default(),
            ledger_seq: 0,
            software: String::new(),
        };
        let secret = sha256(&[member.number]);
        let ticket = Ticketed {
            name: member.name.clone(),
            role: Role::Node,
            expires: start().after_ms(DAY_MS),
            used_by: None,
        };
        self.outside(async {
            self.store.add_ticket(secret, &ticket).await.unwrap();
            let redeemed = self.store.redeem(secret, &party, start()).await.unwrap();
            assert_eq!(redeemed, Redeemed::Done);
        });
    }

    /// Starts the coordinator: its own endpoint, registry and sessions; commands go to the application.
    pub fn centre(&self) -> (Centre, mpsc::Receiver<Command>) {
        let (commands, queue) = mpsc::channel(COMMANDS_MAX);
        let registry = self.outside(Registry::load(self.store.clone())).unwrap();
        let authority = Arc::new(self.authority.load());
        let host = self.network.at(CENTRE);
        let (mirror, mut copies) = mpsc::channel(QUEUE_MAX);
        let front = Front::new(
            registry,
            self.store.clone(),
            authority,
            30,
            commands,
            mirror,
        );
        let front = Arc::new(front.on(Arc::new(host.clone())));
        // Copies of ledgers are taken, and kept by nobody.
        let forgetting = async move { while copies.recv().await.is_some() {} };
        let own = Credentials {
            certificate_pem: &self.authority.server.0,
            key_pem: &self.authority.server.1,
        };
        let tls = server_main(front.authority.certificate(), own).unwrap();
        let listen = SocketAddr::new(CENTRE, PORT);
        let endpoint = lasting_endpoint(&host, listen, tls, &Hash32([7; 32])).unwrap();
        let tasks = vec![
            tokio::spawn(accept(endpoint, front.clone())),
            tokio::spawn(forgetting),
        ];
        (Centre { front, tasks }, queue)
    }

    /// The coordinator's process dies: nobody hears of it.
    pub fn kill_centre(&self, centre: Centre) {
        self.network.unplug(CENTRE);
        centre.tasks.iter().for_each(JoinHandle::abort);
        self.log.add(&self.network, "world", "coordinator killed");
    }

    /// Starts a node's session.
    pub fn start(&self, member: &Member) -> (Running, Line) {
        let identity = IdentityDirectory::load(&member.folder).unwrap();
        let (events, heard) = mpsc::channel(QUEUE_MAX);
        let (outgoing, queued) = mpsc::channel(QUEUE_MAX);
        let (_, head) = watch::channel(Default::default());
        let (_, epochs) = watch::channel(None);
        let ends = Ends {
            events,
            outgoing: queued,
            head,
            epochs,
            program: Hash32::default(),
        };
        let host = self.network.at(member.address);
        let platform: Arc<dyn Platform> = Arc::new(host.clone());
        let session = tokio::spawn(link::run(platform, identity, ends));
        let line = Line {
            events: heard,
            outgoing: Way {
                sender: outgoing,
                room: Arc::new(Semaphore::new(QUEUE_MAX)),
            },
        };
        (Running { session, host }, line)
    }

    /// A node's process dies: nobody hears of it.
    pub fn kill(&self, member: &Member, running: Running) {
        self.network.unplug(member.address);
        running.session.abort();
        self.log
            .add(&self.network, "world", format!("{} killed", member.name));
    }

    /// A node is no longer welcome; a running coordinator learns of it as it does from its store.
    pub async fn revoke(&self, member: &Member, centre: &Centre) {
        self.outside(async {
            assert!(self.store.revoke(&member.name).await.unwrap());
            assert!(centre.front.registry.refresh().await.unwrap());
        });
        self.log
            .add(&self.network, "world", format!("{} revoked", member.name));
        centre.front.close_unwelcome().await;
    }

    pub async fn pass(&self, wait: Duration) {
        self.network.clock.sleep(wait).await;
    }

    /// Waits, in simulated time, until something is so.
    pub async fn until(&self, what: &str, limit: Duration, mut so: impl FnMut(&Log) -> bool) {
        let end = self.network.clock.now() + limit;
        while !so(&self.log) {
            assert!(
                self.network.clock.now() < end,
                "waited {limit:?} for {what}:\n{}",
                self.log.tale()
            );
            self.pass(Duration::from_millis(5)).await;
        }
    }
}

impl Centre {
    /// Runs its application.
    pub fn spawn(&mut self, application: impl Future<Output = ()> + Send + 'static) {
        self.tasks.push(tokio::spawn(application));
    }
}

impl Member {
    pub fn number(&self) -> u8 {
        self.number
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

/// A moment that certificates of this run are good at, on the simulated clock and on the real one; the same for every run.
pub fn start() -> Timestamp {
    static START: std::sync::OnceLock<u64> = std::sync::OnceLock::new();
    let read = || {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        since.as_secs() * 1_000
    };
    Timestamp(*START.get_or_init(read))
}
