//! A coordinator in miniature that asks a real node process what a test wants asked.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use aquifer_shared::base::ids::{Hash32, IdentityKey, Name, Role, StudyHash};
use aquifer_shared::base::limits::FRAME_BYTES_MAX;
use aquifer_shared::base::time::Timestamp;
use aquifer_shared::base::units::MicroRho;
use aquifer_shared::domain::contract::Contract;
use aquifer_shared::domain::sum::{
    Gate, HoldOut, Part, Plan, RoundTerms, SUM_VERSION, StudyTerms, TrustMode, sigma_share,
    study_hash,
};
use aquifer_shared::domain::tlog::{SignedNote, leaf_hash};
use aquifer_shared::protocol::ask::{Request, Response};
use aquifer_shared::protocol::chain::Head;
use aquifer_shared::protocol::codec::encode;
use aquifer_shared::protocol::wire::{
    Approval, BudgetLeft, CloseReason, Cosigned, Decision, Hello, LedgerCopy, LedgerHeld, LogHead,
    LogQuorum, LogSeen, Message, NodeHead, Offer, Task, TaskBody, Verdict, Welcome, approve_digest,
    read_body,
};
use aquifer_shared::protocol::witness::{coordinator_origin, cosigned_text, with_cosignatures};
use aquifer_shared::shell::at_rest::{AtRestConfig, Vault};
use aquifer_shared::shell::certificates::{CertificateAuthority, certificate_pem, new_request};
use aquifer_shared::shell::directory::{CoordinatorFile, IdentityDirectory, Newcomer};
use aquifer_shared::shell::history::{Edge, LogSigner};
use aquifer_shared::shell::keys::{Identity, write_private};
use aquifer_shared::shell::quic::{FrameReader, close, receive_within, send, server_endpoint};
use aquifer_shared::shell::tls::{Credentials, server_main};
use quinn::{Connection, Endpoint, SendStream};
use tempfile::TempDir;

/// An authority, an endpoint, and the directory of a node that joined.
pub struct World {
    folder: TempDir,
    endpoint: Endpoint,
    identity: IdentityKey,
    approver: Identity,
    /// Three other members, which the node has pinned.
    pub peers: Vec<Identity>,
    /// Key of the coordinator's history, and its only checkpoint.
    history: (IdentityKey, String),
}

/// A history of one entry: its key, and its checkpoint.
fn history() -> (IdentityKey, String) {
    let key = Identity::generate().unwrap();
    let public = key.public();
    let root = leaf_hash(b"an entry");
    let note = LogSigner::new(coordinator_origin(&public), key).note(Edge { size: 1, root });
    (public, note)
}

/// What a coordinator holds of the node's ledger.
#[derive(Default)]
pub struct Mirror {
    links: Vec<Vec<u8>>,
    heads: Vec<Head>,
    /// The node's own, by the entry that they reach.
    signatures: BTreeMap<u64, Vec<u8>>,
}

/// A session that the coordinator has welcomed.
pub struct Session {
    pub connection: Connection,
    writer: SendStream,
    reader: FrameReader,
    pub hello: Hello,
    member: IdentityKey,
    history: (IdentityKey, String),
    /// What the other members signed of it.
    cosigned: Vec<(IdentityKey, u64, Vec<u8>)>,
}

/// A node process, killed with this value.
pub struct Node {
    child: Option<Child>,
}

impl World {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let name: Name = "coordinator".parse().unwrap();
        let authority = CertificateAuthority::create(&name, now()).unwrap();
        let server = authority.server_certificate("aquifer", now(), 30).unwrap();
        let own = Credentials {
            certificate_pem: &server.value,
            key_pem: &server.key_pem,
        };
        let tls = server_main(authority.certificate(), own).unwrap();
        let endpoint = server_endpoint("127.0.0.1:0".parse().unwrap(), tls).unwrap();
        let identity = Identity::generate().unwrap();
        let world = Self {
            identity: identity.public(),
            approver: Identity::generate().unwrap(),
            peers: (0..3).map(|_| Identity::generate().unwrap()).collect(),
            history: history(),
            folder,
            endpoint,
        };
        world.join(&authority, &identity);
        world.fill();
        world
    }

    fn join(&self, authority: &CertificateAuthority, identity: &Identity) {
        let name: Name = "north".parse().unwrap();
        let newcomer = Newcomer::prepare(&self.directory()).unwrap();
        let key = new_request(&name).unwrap();
        newcomer.store_keys(&key.key_pem, identity).unwrap();
        let issued = authority.sign_csr(&key.value, &name, Role::Node, now(), 30);
        let issued = issued.unwrap();
        assert!(certificate_pem(&issued.der).contains("BEGIN"));
        let address = self.endpoint.local_addr().unwrap().to_string();
        let coordinator = CoordinatorFile {
            address_join: address.clone(),
            address,
            server_name: "aquifer".into(),
            name,
            role: Role::Node,
            release_key: self.history.0,
        };
        let pinned = authority.certificate();
        newcomer
            .complete(&issued.der, pinned, &coordinator)
            .unwrap();
        write_private(&self.directory().join("node.key"), &[7; 32]).unwrap();
    }

    fn fill(&self) {
        let put = |file: &str, text: &str| fs::write(self.directory().join(file), text).unwrap();
        put("contract.toml", CONTRACT);
        let rows = (0..50).map(|row| format!("c{row},{},basic,Yes\n", row % 60));
        let rows: String = rows.collect();
        put(
            "customers.csv",
            &format!("customerID,tenure,Plan,Churn\n{rows}"),
        );
        let approver = self.approver.public();
        let config = CONFIG.replace("APPROVER", &approver.to_string());
        let pins = self.peers.iter().zip(1..).map(|(peer, number)| {
            let key = peer.public();
            format!("[[member]]\nname = \"unit-{number}\"\nkey = \"{key}\"\noperator = \"team-{number}\"\n")
        });
        put("node.toml", &(config + &pins.collect::<String>()));
    }

    pub fn directory(&self) -> PathBuf {
        self.folder.path().join("north")
    }

    pub fn witness(&self) -> PathBuf {
        self.folder.path().join("witness/ledger.witness")
    }

    pub fn change_config(&self, from: &str, to: &str) {
        let path = self.directory().join("node.toml");
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from));
        fs::write(path, text.replace(from, to)).unwrap();
    }

    /// A command of the node's program on its directory.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_aquifer-node"));
        command
            .args(arguments)
            .env("AQUIFER_NODE_DIR", self.directory());
        command
    }

    /// A command as a user who may read the node's directory and not write it; none where that cannot be arranged.
    pub fn read_only(&self, arguments: &[&str]) -> Option<Command> {
        use std::os::unix::fs::{PermissionsExt, chown};
        let mode = |path: &Path, mode| {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        };
        // What a first start writes is there: it is the ledger that cannot be made.
        let vault = Vault::open(&self.directory(), &AtRestConfig::default()).unwrap();
        IdentityDirectory::load_sealed(&self.directory(), &vault).unwrap();
        let root = rustix::process::geteuid().is_root();
        let program = env!("CARGO_BIN_EXE_aquifer-node");
        let mut command = Command::new(if root { "setpriv" } else { program });
        if root {
            Command::new("setpriv").arg("--version").output().ok()?;
            for entry in fs::read_dir(self.directory()).unwrap() {
                chown(entry.unwrap().path(), Some(NOBODY), Some(NOBODY)).unwrap();
            }
            chown(self.directory(), Some(NOBODY), Some(NOBODY)).unwrap();
            let nobody = NOBODY.to_string();
            command.args(["--reuid", &nobody, "--regid", &nobody, "--clear-groups"]);
            command.arg(program);
        }
        mode(self.folder.path(), 0o755);
        mode(&self.directory(), 0o500);
        command.args(arguments);
        Some(command)
    }

    pub fn start(&self) -> Node {
        let mut command = self.command(&["run"]);
        Node {
            child: Some(command.stderr(Stdio::null()).spawn().unwrap()),
        }
    }

    /// A node whose log is kept in a file.
    pub fn start_logged(&self) -> Node {
        let mut command = self.command(&["run"]);
        let log = fs::File::create(self.log()).unwrap();
        Node {
            child: Some(command.stderr(log).spawn().unwrap()),
        }
    }

    pub fn log(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    /// Runs a command to its end: exit code, standard output, standard error.
    pub async fn run(&self, arguments: &[&str]) -> (Option<i32>, String, String) {
        outcome(self.command(arguments)).await
    }

    /// Runs a command to its end while a coordinator answers what it asks of its mirror.
    pub async fn run_asking(
        &self,
        arguments: &[&str],
        mirror: &Mirror,
    ) -> (Option<i32>, String, String) {
        let ended = outcome(self.command(arguments));
        tokio::pin!(ended);
        loop {
            tokio::select! {
                ended = &mut ended => return ended,
                asked = self.endpoint.accept() => {
                    let connection = asked.unwrap().await.unwrap();
                    mirror.answer(&connection).await;
                }
            }
        }
    }

    /// What the other members sign of the coordinator's history.
    fn cosigned(&self) -> Vec<(IdentityKey, u64, Vec<u8>)> {
        let text = SignedNote::parse(&self.history.1).unwrap().text;
        let seconds = now().0 / 1_000;
        let sign = |peer: &Identity| {
            let signature = peer.sign_note(&cosigned_text(seconds, &text));
            (peer.public(), seconds, signature)
        };
        self.peers.iter().map(sign).collect()
    }

    /// The node's next session.
    pub async fn welcome(&self) -> Session {
        let waited = tokio::time::timeout(WAIT, self.endpoint.accept()).await;
        let connection = waited.unwrap().unwrap().await.unwrap();
        let (mut writer, mut reader) = connection.accept_bi().await.unwrap();
        let hello: Hello = receive_within(&mut reader, WAIT).await.unwrap();
        let welcome = Welcome {
            name: "north".parse().unwrap(),
            now: now(),
        };
        send(&mut writer, &welcome).await.unwrap();
        Session {
            connection,
            writer,
            reader: FrameReader::new(reader),
            hello,
            member: self.identity,
            history: self.history.clone(),
            cosigned: self.cosigned(),
        }
    }

    /// A study of synthetic sums, approved.
    pub fn offer(&self, rounds: u16) -> (StudyHash, Offer) {
        self.approve(&self.terms(rounds))
    }

    fn approve(&self, terms: &StudyTerms) -> (StudyHash, Offer) {
        let bytes = encode(terms);
        let study = study_hash(&bytes);
        let approval = Approval {
            key: self.approver.public(),
            signature: self.approver.sign(&approve_digest(&study)),
        };
        let approvals = vec![approval];
        let terms = bytes;
        (study, Offer { terms, approvals })
    }

    /// A study of synthetic sums in shared-noise among the node and its three peers, approved.
    pub fn offer_shared(&self, rounds: u16) -> (StudyTerms, StudyHash, Offer) {
        let mut terms = self.terms(rounds);
        let peers = self.peers.iter().map(Identity::public);
        terms.roster = peers.chain([self.identity]).collect();
        terms.roster.sort();
        (terms.mode, terms.d_max, terms.c_max) = (TrustMode::SharedNoise, 1, 1);
        terms.quorum = 3;
        terms.urho_cap = MicroRho(2 * terms.urho.0);
        let share = terms.noise_share().unwrap();
        for round in &mut terms.rounds {
            round.sigma_share = share.scale(round.delta_sq, round.urho).unwrap();
        }
        let (study, offer) = self.approve(&terms);
        (terms, study, offer)
    }

    fn terms(&self, rounds: u16) -> StudyTerms {
        let contract = Contract::parse(CONTRACT).unwrap();
        let (cells, urho, delta_sq) = (100, MicroRho(1_000), 65_536);
        let round = RoundTerms {
            part: Part::Training,
            cells_max: cells,
            cell_abs_max: 256,
            delta_sq,
            urho,
            sigma_share: sigma_share(delta_sq, 1, 1, urho).unwrap(),
        };
        let price = MicroRho(1_000 * u64::from(rounds));
        StudyTerms {
            version: SUM_VERSION,
            study_id: [7; 16],
            name: "transport".parse().unwrap(),
            family: "transport".parse().unwrap(),
            purpose: "churn.train".parse().unwrap(),
            contract_name: contract.name.clone(),
            contract_version: contract.version,
            contract_hash: contract.hash(),
            plan: Plan::Synthetic { cells, rounds },
            mode: TrustMode::NodeNoise,
            roster: vec![self.identity],
            d_max: 0,
            c_max: 0,
            multiplicity: 1,
            rounds: vec![round; rounds.into()],
            attempts_max: 2,
            urho_cap: price,
            urho: price,
            delta: 1e-6.try_into().unwrap(),
            population: 40_000,
            customers_max: 1_000,
            holdout: HoldOut::Fraction(150_000),
            slot_ms: 0,
            phase_ms: 2_000,
            attempt_ttl_ms: 120_000,
            expires: now().after_ms(3_600_000),
            quorum: 1,
            gate: Gate::Open,
            expected_gain_ppm: 0,
            synthetic: true,
        }
    }
}

impl Mirror {
    /// Position of the last entry.
    pub fn head(&self) -> Head {
        self.heads.last().copied().unwrap_or_default()
    }

    pub fn held(&self) -> LedgerHeld {
        LedgerHeld {
            head: self.head(),
            signature: self.signature(),
        }
    }

    fn signature(&self) -> Vec<u8> {
        let signature = self.signatures.get(&self.head().seq);
        signature.cloned().unwrap_or_default()
    }

    /// As it was when it held no more than this many entries: at the last position before that which the node signed.
    pub fn up_to(&self, entries: u64) -> Self {
        let signed = self.signatures.range(..=entries).next_back();
        let kept = *signed.expect("a signed position").0 as usize;
        Self {
            links: self.links[..kept].to_vec(),
            heads: self.heads[..kept].to_vec(),
            signatures: self.signatures.clone(),
        }
    }

    /// Takes a copy from wherever its first link follows on.
    pub fn take(&mut self, copy: LedgerCopy) {
        let follows = |keep: &usize| {
            let head = keep
                .checked_sub(1)
                .map_or(Head::default(), |last| self.heads[last]);
            head.follow(&copy.links[0], FRAME_BYTES_MAX).is_ok()
        };
        let keep = (0..=self.links.len()).rev().find(follows);
        // A forged copy follows nothing: it is kept as a coordinator would who lies.
        self.links.truncate(keep.unwrap_or(0));
        self.heads.truncate(keep.unwrap_or(0));
        for link in copy.links {
            let next = self.head().follow(&link, FRAME_BYTES_MAX);
            let seq = self.head().seq + 1;
            let forged = Head { seq, hash: NO_HASH };
            self.heads.push(next.map_or(forged, |(_, next)| next));
            self.links.push(link);
        }
        self.signatures.insert(self.head().seq, copy.signature);
    }

    /// Answers questions on one connection, one entry a page.
    async fn answer(&self, connection: &Connection) {
        while let Ok((mut writer, mut reader)) = connection.accept_bi().await {
            let asked: Request = receive_within(&mut reader, WAIT).await.unwrap();
            let Request::Ledger { from } = asked else {
                panic!("another question");
            };
            let links = self.links.iter().skip(from as usize).take(1);
            let answer = Response::Ledger {
                links: links.cloned().collect(),
                head: self.head(),
                signature: self.signature(),
            };
            send(&mut writer, &answer).await.unwrap();
            let _ = writer.finish();
        }
    }
}

impl Session {
    pub async fn say<M: Message>(&mut self, message: &M) {
        send(&mut self.writer, message).await.unwrap();
    }

    pub async fn say_frame(&mut self, frame: &[u8]) {
        self.writer.write_all(frame).await.unwrap();
    }

    /// The connection goes, as by a restart of the coordinator.
    pub fn lose(&self) {
        close(&self.connection, CloseReason::Shutdown);
    }

    pub async fn frame(&mut self) -> (u8, Vec<u8>) {
        loop {
            let next = tokio::time::timeout(WAIT, self.reader.next(FRAME_BYTES_MAX)).await;
            let (kind, body) = next.unwrap().unwrap().expect("a frame, not the end");
            if !self.is_about_history(kind, &body).await {
                return (kind, body);
            }
        }
    }

    /// Answers what a node says of histories: one checkpoint, which everybody signs.
    async fn is_about_history(&mut self, kind: u8, body: &[u8]) -> bool {
        let (key, note) = self.history.clone();
        match kind {
            LogSeen::KIND => {
                let seen: LogSeen = read_body(kind, body).unwrap();
                let consistency = Vec::new();
                let from = seen.size;
                let head = LogHead {
                    key,
                    note,
                    from,
                    consistency,
                };
                let _ = send(&mut self.writer, &head).await;
            }
            Cosigned::KIND => {
                let own: Cosigned = read_body(kind, body).unwrap();
                self.cosigned
                    .push((self.member, own.seconds, own.signature));
                let lines = self.cosigned.iter();
                let lines = lines.map(|(key, at, signature)| (key, *at, &signature[..]));
                let note = with_cosignatures(&note, lines).unwrap();
                let _ = send(&mut self.writer, &LogQuorum { note }).await;
            }
            NodeHead::KIND | BudgetLeft::KIND => {}
            _ => return false,
        }
        true
    }

    /// The next frame, or none where the node has gone.
    pub async fn frame_or_end(&mut self) -> Option<(u8, Vec<u8>)> {
        loop {
            let next = tokio::time::timeout(WAIT, self.reader.next(FRAME_BYTES_MAX)).await;
            let (kind, body) = next.unwrap().ok().flatten()?;
            if !self.is_about_history(kind, &body).await {
                return Some((kind, body));
            }
        }
    }

    pub async fn hear<M: Message>(&mut self) -> M {
        let (kind, body) = self.frame().await;
        read_body(kind, &body).unwrap()
    }

    /// Offers a study and hears that it is accepted.
    pub async fn offer(&mut self, offer: &Offer) {
        self.say(offer).await;
        let decision: Decision = self.hear().await;
        assert_eq!(decision.verdict, Verdict::Accepted);
    }

    pub async fn ask(&mut self, study: StudyHash, round: u32) -> (u8, Vec<u8>) {
        self.ask_for(study, round, 100).await;
        self.frame().await
    }

    pub async fn ask_for(&mut self, study: StudyHash, round: u32, cells: u32) {
        let body = encode(&TaskBody::Synthetic(cells));
        let attempt = 0;
        let task = Task {
            study,
            round,
            attempt,
            body,
        };
        self.say(&task).await;
    }

    pub fn end(self, reason: CloseReason) {
        close(&self.connection, reason);
    }
}

impl Node {
    pub async fn kill(mut self) {
        let mut child = self.child.take().unwrap();
        child.kill().unwrap();
        assert_eq!(wait(child).await.signal(), Some(9));
    }

    pub async fn terminate(mut self) -> ExitStatus {
        let child = self.child.take().unwrap();
        let pid = rustix::process::Pid::from_child(&child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        wait(child).await
    }

    pub async fn ended(mut self) -> Option<i32> {
        wait(self.child.take().unwrap()).await.code()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

async fn wait(mut child: Child) -> ExitStatus {
    let waited = tokio::task::spawn_blocking(move || child.wait());
    let waited = tokio::time::timeout(WAIT, waited).await;
    waited.unwrap().unwrap().unwrap()
}

pub async fn outcome(mut command: Command) -> (Option<i32>, String, String) {
    let ended = tokio::task::spawn_blocking(move || command.output());
    let ended = tokio::time::timeout(WAIT, ended).await;
    let ended = ended.unwrap().unwrap().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (ended.status.code(), text(ended.stdout), text(ended.stderr))
}

pub fn now() -> Timestamp {
    aquifer_node::shell::clock::now()
}

/// Copies a ledger with what SQLite keeps beside it.
pub fn copy_ledger(from: &Path, to: &Path) {
    for suffix in ["", "-wal"] {
        let name = |path: &Path| PathBuf::from(format!("{}{suffix}", path.display()));
        if name(from).exists() {
            fs::copy(name(from), name(to)).unwrap();
        } else {
            let _ = fs::remove_file(name(to));
        }
    }
}

pub const NO_HASH: Hash32 = Hash32([0; 32]);
const NOBODY: u32 = 65_534;
const WAIT: Duration = Duration::from_secs(60);

const CONTRACT: &str = r#"
[contract]
name = "churn"
version = 1
[table.customers]
privacy_unit = "customerID"
label = { column = "Churn", positive = "Yes" }
[table.customers.column.tenure]
low = 0
high = 64
[table.customers.column.Plan]
levels = ["basic", "plus"]
"#;

const CONFIG: &str = r#"
[data]
contract = "contract.toml"
query = "SELECT * FROM customers"
basis = "test"
customers_max = 1000
[data.tables]
customers = "customers.csv"
[ledger]
witness = "../witness/ledger.witness"
[policy]
rho_micro_per_contract = 20000
rho_micro_per_year = 20000
purposes = ["churn.train"]
approvers = ["APPROVER"]
allow_synthetic = true
operator = "north-it"
coordinator_operator = "central"
"#;
