//! Questions of people's commands and of a node's command line, and the coordinator's answers.

use serde::{Deserialize, Serialize};

use super::chain::Head;
use super::wire::{Approval, Signature, Verdict};
use crate::base::ids::{Hash32, IdentityKey, Name, Role, StudyHash};
use crate::base::time::Timestamp;

/// A question of a person's command or of a node's command line.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub enum Request {
    /// Operator: check and expand a study (TOML); registers it unless `dry_run`.
    StudySubmit {
        /// The study file.
        study: String,
        /// The contract file.
        contract: String,
        /// Print, do not register.
        dry_run: bool,
    },
    /// Approver: a signature over a study's hash.
    StudyApprove {
        /// The study.
        study: StudyHash,
        /// By the approver's identity key.
        signature: Signature,
    },
    /// All studies.
    StudyList,
    /// One study; by name (newest), full hash or a unique start of the hash.
    StudyShow(String),
    /// One study's status now and at every change until it ends: several responses on the stream.
    StudyWatch(String),
    /// Operator: stop a study.
    StudyAbort(String),
    /// All published and held models.
    ModelList,
    /// One model: `NAME` (newest), `NAME@VERSION`.
    ModelFetch(String),
    /// The released sums behind a model, for replay.
    ModelSums(String),
    /// Approver: publish a held model, or drop it.
    ModelRelease {
        /// `NAME@VERSION`.
        model: String,
        /// Publish or drop.
        publish: bool,
    },
    /// The nodes and their public state.
    Nodes,
    /// A contract by name (newest) or name@version.
    ContractShow(String),
    /// A new certificate for the same keys.
    Renew {
        /// Certificate request, DER.
        csr: Vec<u8>,
    },
    /// Node: what the coordinator's mirror holds of the asking node's own ledger after this entry.
    Ledger {
        /// Position of the last entry that the node does not need; 0 for all of them.
        from: u64,
    },
}

/// An answer of the coordinator.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub enum Response {
    /// The rules say no, or the thing does not exist: what, and what to do.
    Refused {
        /// Stable code for programs.
        code: String,
        /// For people: the rule, what was found, whom to ask.
        message: String,
    },
    /// After submission (or its dry run).
    Submitted {
        /// Encoded terms.
        terms: Vec<u8>,
        /// Their hash.
        study: StudyHash,
        /// What the person should know (for example too little customers for a visible figure).
        notes: Vec<String>,
    },
    /// Done.
    Done(String),
    /// Studies.
    Studies(Vec<StudyStatus>),
    /// One study.
    Study(Box<StudyDetail>),
    /// Models.
    Models(Vec<ModelEntry>),
    /// A model file (JSON text).
    Model(String),
    /// Released sums of a study, in order, and its encoded terms and contract, for replay.
    Sums(Box<SumsBundle>),
    /// Nodes.
    Nodes(Vec<NodeEntry>),
    /// A contract file (TOML text).
    Contract(String),
    /// A certificate, DER.
    Certificate(Vec<u8>),
    /// The mirror of the asking node's ledger.
    Ledger {
        /// Encoded links after the entry that was named, in order, as many as [`LEDGER_COPY_BYTES_MAX`] allows and at least
        /// one if there are any; the node asks again from the last one.
        ///
        /// [`LEDGER_COPY_BYTES_MAX`]: crate::base::limits::LEDGER_COPY_BYTES_MAX
        links: Vec<Vec<u8>>,
        /// Position of the mirror's last entry; zero if it holds none.
        head: Head,
        /// The node's own signature over that position; empty if the mirror holds nothing.
        signature: Signature,
    },
}

/// Where a study stands.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum StudyState {
    /// Waits for an approver.
    Submitted,
    /// Waits for the nodes.
    Offered,
    /// Questions may be asked under it.
    Open,
    /// Rounds run.
    Running,
    /// A model was published.
    Published,
    /// A candidate waits for a person.
    Held,
    /// It ended without a model.
    Aborted,
    /// The coordinator's store does not hold it whole: nothing of it runs.
    Damaged,
}

/// A line of the list of studies.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct StudyStatus {
    /// Its hash.
    pub study: StudyHash,
    /// Its name.
    pub name: Name,
    /// Its purpose.
    pub purpose: Name,
    /// Where it stands.
    pub state: StudyState,
    /// Why it stands there (abort or hold reason), or empty.
    pub reason: String,
    /// Sums done.
    pub rounds_done: u32,
    /// Sums in all.
    pub rounds_total: u32,
    /// Price of the study in micro-rho.
    pub urho: u64,
    /// Epsilon at its delta, rounded up at the 4th decimal.
    pub epsilon: f64,
    /// Delta.
    pub delta: f64,
    /// When it was submitted.
    pub submitted: Timestamp,
    /// When it ended; 0 if it has not.
    pub ended: Timestamp,
}

/// All about a study.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct StudyDetail {
    /// The line.
    pub status: StudyStatus,
    /// Encoded terms.
    pub terms: Vec<u8>,
    /// Approvals.
    pub approvals: Vec<Approval>,
    /// Members and what they said.
    pub members: Vec<MemberStatus>,
    /// Rounds with their attempts.
    pub rounds: Vec<RoundStatus>,
}

/// A member of a study.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct MemberStatus {
    /// Name in the registry.
    pub name: Name,
    /// Identity key.
    pub key: IdentityKey,
    /// Its verdict; none yet.
    pub verdict: Option<Verdict>,
    /// Has a session now.
    pub connected: bool,
}

/// A round of a study.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct RoundStatus {
    /// Round, from 0.
    pub round: u32,
    /// Attempts opened.
    pub attempts: u32,
    /// Updates in the release, 0 if none.
    pub updates: u32,
    /// From opening of the last attempt to the release, in milliseconds.
    pub took_ms: u64,
}

/// A line of the list of models.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct ModelEntry {
    /// Name.
    pub name: Name,
    /// Version, from 1.
    pub version: u32,
    /// The study behind it.
    pub study: StudyHash,
    /// Published or held.
    pub published: bool,
    /// SHA-256 of the hashed part.
    pub model_hash: Hash32,
    /// Epsilon of its study.
    pub epsilon: f64,
    /// Delta of its study.
    pub delta: f64,
    /// Private AUC, if there was enough data to tell.
    pub auc: Option<f64>,
    /// When.
    pub created: Timestamp,
    /// Warnings of its card.
    pub warnings: Vec<String>,
}

/// What a replay needs.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct SumsBundle {
    /// Encoded terms.
    pub terms: Vec<u8>,
    /// Contract file.
    pub contract: String,
    /// Released sums, rounds in order.
    pub sums: Vec<ReleasedSum>,
}

/// One released sum.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct ReleasedSum {
    /// Round, from 0.
    pub round: u32,
    /// How many nodes' updates (and noise vectors) are in it.
    pub updates: u32,
    /// The integers.
    pub cells: Vec<i64>,
}

/// A node as the coordinator sees it.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct NodeEntry {
    /// Name.
    pub name: Name,
    /// Role (people are listed for operators and auditors).
    pub role: Role,
    /// Identity key.
    pub key: IdentityKey,
    /// Has a session now.
    pub connected: bool,
    /// Was revoked.
    pub revoked: bool,
    /// End of its certificate.
    pub certificate_until: Timestamp,
    /// Last hello; 0 if never.
    pub last_seen: Timestamp,
    /// Position of its ledger at the last hello.
    pub ledger_seq: u64,
    /// Program version at the last hello.
    pub software: String,
}
