//! A made-up log with keys, witnesses and checkpoints, for audit packs: in memory, the same for the same seed.
//!
//! Its times are made up; it can be told to say something else from some entry on, as one who holds the log's key could.

#[cfg(test)]
mod facts;
#[cfg(test)]
mod flips;
#[cfg(test)]
mod makers;
#[cfg(test)]
mod programs;
#[cfg(test)]
mod python;
#[cfg(test)]
mod receipts;
#[cfg(test)]
mod tampering;
#[cfg(test)]
mod units;

use std::collections::{BTreeMap, HashMap};

use aquifer_shared::base::hash::sha256;
use aquifer_shared::base::ids::{Hash32, IdentityKey};
use aquifer_shared::base::time::Timestamp;
use aquifer_shared::domain::history::{ActorKind, ActorRole, Json, Kind, Leaf, payload_commit};
use aquifer_shared::domain::pack::{
    Body, Book, COORDINATOR, CannotBuild, Entry, Files, Ledger, LogPolicy, Made, NODE, Programs,
    Quarter, Spend, Statement, VerifierKey, cosigned_text, demands_programs, draft, envelope, sbom,
    signed_statement,
};
use aquifer_shared::domain::tlog::{
    Checkpoint, Frontier, Hashes, NoteSignature, SignedNote, leaf_hash, root,
};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};

use crate::random::Seeded;

/// Name of the log.
pub const ORIGIN: &str = "coordinator.example/log";
/// Name of a unit's log.
pub const UNIT_ORIGIN: &str = "aquifer/node/0123456789abcdef";
/// Witnesses, of which three are needed.
pub const WITNESSES: [&str; 4] = ["north", "south", "east", "west"];
/// A rule pack with two clocks.
const CLOCKS: &str = "# made-up pack\n[pack]\nid = \"made-up\"\n\n[[rule]]\nkey = \"clock_request_days\"\nvalue = 28\norigin = \"law\"\n\
    ref = \"M\u{e4}de 12(3)\"\nvalid_from = 2018-05-25\nvalid_to = \"none\"\nreviewer = \"none\"\nconfidence = \"unchecked\"\n\n\
    [[rule]]\nkey = \"bases\"\nvalue = 3\n\n[[rule]]\nkey = \"clock_breach_hours\"\nvalue = 72\n";
/// A lock file of two packages from elsewhere and one of the product's own.
const LOCK: &str = "version = 4\n\n[[package]]\nname = \"made-up\"\nversion = \"0.1.0\"\ndependencies = [\"far\", \"near\"]\n\n\
    [[package]]\nname = \"far\"\nversion = \"1.0.0+odd\"\nsource = \"registry+https://example.org\"\n\
    checksum = \"00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\"\ndependencies = [\"near\"]\n\n\
    [[package]]\nname = \"near\"\nversion = \"0.3.1\"\nsource = \"registry+https://example.org\"\n\
    checksum = \"ffeeddccbbaa99887766554433221100ffeeddccbbaa99887766554433221100\"\n";
/// What most nodes run.
const PROGRAM: Hash32 = Hash32([0xa1; 32]);
/// The middle of 2026: where times begin.
const START_MS: u64 = 1_782_864_000_000;
/// Half a year.
const SPAN_MS: u64 = 184 * 24 * 3_600 * 1_000;

/// Who signs, and what for.
#[derive(Debug)]
pub struct Signer {
    pair: Ed25519KeyPair,
    /// The public half.
    pub key: VerifierKey,
}

impl Signer {
    /// A key of a log.
    ///
    /// # Panics
    ///
    /// Never: any 32 bytes are a seed.
    #[must_use]
    pub fn of_log(name: &str, seed: u8) -> Self {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).expect("32 bytes are a seed");
        let public = pair
            .public_key()
            .as_ref()
            .try_into()
            .expect("a key has 32 bytes");
        let key = VerifierKey::of_log(name, IdentityKey(public));
        Self { pair, key }
    }

    fn of_witness(name: &str, seed: u8) -> Self {
        let own = Self::of_log(name, seed);
        let key = VerifierKey::of_witness(name, own.key.key);
        Self { key, ..own }
    }

    /// An Ed25519 signature.
    ///
    /// # Panics
    ///
    /// Never: signatures have 64 bytes.
    #[must_use]
    pub fn sign(&self, bytes: &[u8]) -> [u8; 64] {
        self.pair
            .sign(bytes)
            .as_ref()
            .try_into()
            .expect("a signature has 64 bytes")
    }

    fn line(&self, bytes: Vec<u8>) -> NoteSignature {
        let text = self.key.to_text();
        let hash = text
            .split('+')
            .nth(1)
            .and_then(|hash| u32::from_str_radix(hash, 16).ok());
        NoteSignature {
            name: self.key.name.clone(),
            key_hash: hash.unwrap_or_default().to_be_bytes(),
            bytes,
        }
    }
}

/// Hashes of a tree in memory.
#[derive(Debug, Default)]
pub struct Memory(HashMap<(u32, u64), Hash32>);

impl Hashes for Memory {
    fn subtree(&self, level: u32, index: u64) -> Option<Hash32> {
        self.0.get(&(level, index)).copied()
    }
}

impl Memory {
    /// The tree of leaves.
    #[must_use]
    pub fn of<'a>(leaves: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let (mut memory, mut frontier) = (Self::default(), Frontier::default());
        for leaf in leaves {
            frontier.push(leaf_hash(leaf), |level, index, hash| {
                memory.0.insert((level, index), hash);
            });
        }
        memory
    }
}

/// A log.
#[derive(Debug)]
pub struct Log {
    /// All entries.
    pub entries: Vec<Entry>,
    /// Who signs its checkpoints.
    pub log: Signer,
    /// Who cosigns them.
    pub witnesses: Vec<Signer>,
    /// Leaves between checkpoints.
    pub every: u64,
    /// Witnesses that cosign.
    pub cosigning: usize,
}

impl Log {
    /// So many entries over the second half of 2026, with so many checkpoints.
    #[must_use]
    pub fn new(entries: u64, checkpoints: u64) -> Self {
        let mut random = Seeded::new(20_261_126, entries);
        let made = (0..entries)
            .map(|index| entry(index, START_MS + index * (SPAN_MS / entries), &mut random));
        let witnesses = WITNESSES.iter().zip(2..);
        Self {
            entries: made.collect(),
            log: Signer::of_log(ORIGIN, 1),
            witnesses: witnesses
                .map(|(name, seed)| Signer::of_witness(name, seed))
                .collect(),
            every: entries.div_ceil(checkpoints),
            cosigning: WITNESSES.len(),
        }
    }

    /// The log of a unit: about persons too, and without witnesses.
    #[must_use]
    pub fn of_unit(entries: u64, checkpoints: u64) -> Self {
        let mut log = Self::new(entries, checkpoints);
        log.log = Signer::of_log(UNIT_ORIGIN, 9);
        log.witnesses.clear();
        log.cosigning = 0;
        for entry in &mut log.entries {
            let kind = match entry.index % 16 {
                5..=8 => Kind::RoundCut,
                10 => Kind::ConsentWithdrawn,
                11 => Kind::ImportBatch,
                12 => Kind::RequestReceived,
                13 => Kind::RequestFulfilled,
                _ => continue,
            };
            entry.leaf[4..6].copy_from_slice(&kind.code().to_be_bytes());
            entry.leaf[42] = kind.retention() as u8;
            entry.leaf[43] = kind.persons() as u8;
        }
        log
    }

    /// Whom to believe.
    #[must_use]
    pub fn policy(&self) -> LogPolicy {
        let witnesses = self.witnesses.iter().map(|witness| witness.key.clone());
        LogPolicy::new(self.log.key.clone(), witnesses.collect(), 3)
    }

    /// The tree.
    #[must_use]
    pub fn tree(&self) -> Memory {
        Memory::of(self.entries.iter().map(|entry| entry.leaf.as_slice()))
    }

    /// Checkpoints of the first `size` leaves, each signed and cosigned.
    #[must_use]
    pub fn checkpoints(&self) -> Vec<String> {
        let mut frontier = Frontier::default();
        let mut notes = Vec::new();
        for entry in &self.entries {
            frontier.push(leaf_hash(&entry.leaf), |_, _, _| ());
            let size = frontier.size();
            if size % self.every == 0 || size == self.entries.len() as u64 {
                notes.push(self.note(size, frontier.root()));
            }
        }
        notes
    }

    /// A signed and cosigned checkpoint.
    #[must_use]
    pub fn note(&self, size: u64, root: Hash32) -> String {
        let checkpoint = Checkpoint {
            origin: self.log.key.name.clone(),
            size,
            root,
            extensions: Vec::new(),
        };
        let text = checkpoint.to_text();
        let mut signatures = vec![self.log.line(self.log.sign(text.as_bytes()).into())];
        for witness in &self.witnesses[..self.cosigning] {
            let seconds = START_MS / 1_000 + size;
            let signature = witness.sign(cosigned_text(seconds, &text).as_bytes());
            signatures.push(witness.line([&seconds.to_be_bytes()[..], &signature].concat()));
        }
        SignedNote { text, signatures }.to_text()
    }

    /// The pack of a quarter.
    ///
    /// # Errors
    ///
    /// As [`draft`] and its `build`.
    ///
    /// # Panics
    ///
    /// On a quarter that is none.
    pub fn pack(&self, quarter: &str) -> Result<Files, CannotBuild> {
        let (hashes, checkpoints, policy) = (self.tree(), self.checkpoints(), self.policy());
        let (books, tests) = (
            [book()],
            BTreeMap::from([("r1_same_ledger_same_bytes".to_owned(), true)]),
        );
        let ledger = Ledger {
            hashes: &hashes,
            checkpoints: &checkpoints,
            policy: &policy,
            books: &books,
            tests: &tests,
        };
        let quarter: Quarter = quarter.parse().expect("a quarter");
        let draft = draft(quarter, &ledger, self.entries.iter().cloned())?;
        let made = self.made(draft.end(), |_| ());
        draft.build(&ledger, &made)
    }

    /// What the program says of itself in a pack that ends there, changed before it signs.
    ///
    /// # Panics
    ///
    /// On a size that the log does not have.
    #[must_use]
    pub fn made(&self, size: u64, change: impl FnOnce(&mut Statement)) -> Made {
        let sbom = sbom("made-up", "0.1.0", LOCK).expect("the lock file holds together");
        let leaves = self.entries.iter().take(size as usize);
        let leaves = leaves.map(|entry| entry.leaf.as_slice());
        let mut statement = Statement {
            name: match self.log.key.is_of_unit() {
                true => NODE,
                false => COORDINATOR,
            }
            .to_owned(),
            program: Hash32([0x5a; 32]),
            version: "0.1.0".to_owned(),
            platform: "x86_64-linux".to_owned(),
            revision: Some("0123456789abcdef0123456789abcdef01234567".to_owned()),
            sbom: sha256(sbom.as_bytes()),
            origin: self.log.key.name.clone(),
            size,
            root: root(&Memory::of(leaves), 0..size).expect("so many leaves"),
        };
        change(&mut statement);
        let text = statement.to_json().to_text();
        let signature = self.log.sign(signed_statement(&text).as_bytes());
        Made {
            sbom,
            provenance: envelope(&text, &self.log.key, &signature),
        }
    }

    /// Gives every entry its place again.
    pub fn renumber(&mut self) {
        for (index, entry) in (0..).zip(&mut self.entries) {
            entry.index = index;
            entry.leaf[8..16].copy_from_slice(&index.to_be_bytes());
        }
    }

    /// Puts another payload in place of an entry's, and commits to it.
    pub fn say(&mut self, index: usize, payload: &Json) {
        let entry = &mut self.entries[index];
        let payload = payload.to_text().into_bytes();
        let salt = [9; 32];
        entry.leaf[76..].copy_from_slice(&payload_commit(&salt, &payload).0);
        entry.body = Body::Kept { salt, payload };
    }
}

/// The rules that all decisions of a made-up log name.
#[must_use]
pub fn book() -> Book {
    Book {
        purposes: "# made-up purposes\n".to_owned(),
        packs: vec![CLOCKS.to_owned(), "# made-up house\n".to_owned()],
    }
}

fn entry(index: u64, at: u64, random: &mut Seeded) -> Entry {
    let (kind, payload) = event(index, random);
    let mut salt = [0; 32];
    salt.chunks_mut(8)
        .for_each(|part| part.copy_from_slice(&random.next_u64().to_be_bytes()));
    let payload = payload.to_text().into_bytes();
    let leaf = Leaf {
        kind,
        seq: index,
        event_id: event_id(at, index),
        recorded_at: Timestamp(at),
        actor_kind: ActorKind::Program,
        actor_role: ActorRole::Coordinator,
        policy: book().digest(),
        payload_commit: payload_commit(&salt, &payload),
    };
    let body = match index % 97 == 96 && kind != Kind::BudgetSpent {
        true => Body::Erased,
        false => Body::Kept { salt, payload },
    };
    Entry {
        index,
        leaf: leaf.to_bytes(),
        body,
    }
}

fn event(index: u64, random: &mut Seeded) -> (Kind, Json) {
    let study = format!("{:064x}", index / 640);
    match index % 16 {
        0 => (
            Kind::PolicyDecision,
            Json::object([("gate", "train".into()), ("study", study.into())]),
        ),
        1 | 2 => (Kind::BudgetSpent, spend(index, study, random).to_payload()),
        3 => (
            Kind::ModelReleased,
            Json::object([("note", "a \"quoted\" text: \u{e4}\u{2014}\n".into())]),
        ),
        4 if index % 160 == 4 => (
            Kind::OverrideGranted,
            Json::object([("why", "drill".into())]),
        ),
        5 => (
            Kind::RoundAggregated,
            Json::object([("round", index.into()), ("study", study.into())]),
        ),
        6..=8 => (Kind::RoundAggregated, sum(index, study)),
        9 if index % 3_200 == 9 => {
            let demanded = [Hash32([0xa1; 32]), Hash32([0xa2; 32])];
            (Kind::PackLoaded, demands_programs(&demanded).payload)
        }
        _ => (
            Kind::QueryAnswered,
            Json::object([("big", u64::MAX.into()), ("study", study.into())]),
        ),
    }
}

/// A sum of four nodes, of which one may run another program than the rest.
fn sum(index: u64, study: String) -> Json {
    let other = Hash32([if index % 16 == 8 { 0xa2 } else { 0xa1 }; 32]);
    let reported = (0..4).map(|node| (node, Some(if node == 2 { other } else { PROGRAM })));
    let own = [
        ("members", Json::from(4u32)),
        ("round", index.into()),
        ("study", study.into()),
    ];
    let own = own.map(|(key, value)| (key.to_owned(), value));
    Json::Object(
        own.into_iter()
            .chain(Programs::new(reported).fields())
            .collect(),
    )
}

fn spend(index: u64, study: String, random: &mut Seeded) -> Spend {
    let shared = index / 640 % 3 == 2;
    Spend {
        purpose: ["churn", "reporting"][(index / 640 % 2) as usize].to_owned(),
        study,
        part: ["training", "holdout", "everyone"][(index / 16 % 3) as usize].to_owned(),
        mode: if shared { "shared-noise" } else { "node-noise" }.to_owned(),
        multiplicity: 1 + index / 640 % 2,
        rho_micro: 1 + random.next_u64() % 900,
        times: 1 + index / 16 % 2,
        delta_pico: 10_000_000 - index / 640,
    }
}

fn event_id(at: u64, index: u64) -> [u8; 16] {
    let mut id = [0; 16];
    id[..6].copy_from_slice(&at.to_be_bytes()[2..]);
    id[6] = 0x70;
    id[8..].copy_from_slice(&index.to_be_bytes());
    id[8] = 0x80;
    id
}
