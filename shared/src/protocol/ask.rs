//! Questions of people's commands and of a node's command line, and the coordinator's answers.

use serde::{Deserialize, Serialize};

use super::chain::Head;
pub use super::models::{CanaryRecord, ModelEntry};
use super::models::{ModelLife, ModelPlan};
use super::wire::{Approval, Signature, Verdict};
use crate::base::ids::{Hash32, IdentityKey, Name, Role, StudyHash};
use crate::base::time::Timestamp;
use crate::domain::sum::TrustMode;

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
    /// Analyst: a statement about published tables, in SQL.
    Ask(Box<Ask>),
    /// A person: keep a new token for HTTPS clients, which the asker has made.
    TokenIssue {
        /// What the asker calls it.
        name: Name,
        /// What it may be used for at most: the asker's own role, or auditor (reads only).
        role: Role,
        /// What it is known by, as [`token_hash`] says.
        ///
        /// [`token_hash`]: super::token::token_hash
        hash: Hash32,
        /// How long it is good, in milliseconds.
        life_ms: u64,
    },
    /// The asker's own tokens; everybody's where an operator asks.
    TokenList,
    /// Forget a token of the asker's own; an operator may name another's.
    TokenRevoke {
        /// Whose; the asker's own where it is left out.
        owner: Option<Name>,
        /// Which.
        name: Name,
    },
    /// What there is to ask about, what is left, and what was answered before; spends nothing.
    Look(Look),
    /// The coordinator's history.
    History(HistoryAsk),
    /// One model to predict with: as [`Request::ModelFetch`], but refused once it is out of use; `NAME` is the newest that is used.
    ModelUse(String),
    /// Approver: end the use of a released model. Operator, approver and data protection officer: recall one; it takes two of them.
    ModelEnd {
        /// `NAME@VERSION`.
        model: String,
        /// Recall it: it should not have been used.
        recall: bool,
        /// Why, for the history; about no customer.
        why: String,
    },
    /// Auditor and data protection officer: what an audit by canaries of the training path came to, for a released model.
    ModelAudited {
        /// `NAME@VERSION`.
        model: String,
        /// What it came to.
        result: CanaryRecord,
    },
    /// How long each model of [`Request::ModelList`] is used.
    ModelLives,
    /// Operator: propose the study of a released model again, so that another version takes its place. An
    /// approver and the units decide on it as on every study.
    ModelRetrain {
        /// `NAME@VERSION`.
        model: String,
        /// Why, for the history; about no customer.
        why: String,
    },
    /// What becomes of the place of each model of [`Request::ModelLives`].
    ModelPlans,
}

/// What is asked of the coordinator's history.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum HistoryAsk {
    /// The newest checkpoint with its cosignatures.
    Checkpoint,
    /// Entries from this one on, as many as one answer takes; the newest where none is named.
    Entries(Option<u64>),
    /// An entry with the proof that it is in the log.
    Prove(u64),
    /// The last cosigned checkpoint of each day, from this one on (days since 1970), for [`HISTORY_DAYS_SHOWN_MAX`] days.
    ///
    /// [`HISTORY_DAYS_SHOWN_MAX`]: crate::base::limits::HISTORY_DAYS_SHOWN_MAX
    Cosigned(u64),
    /// Which program this is: the list of its parts, and its statement about itself and the log of this size, for audit packs.
    Made(u64),
}

/// What may be looked at, as rows of an [`Answer`] without a release.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Look {
    /// Columns of published tables under standing studies that are open, with their bounds and levels.
    Columns,
    /// Analysts: what is left of the asker's own share of each standing study.
    Budget,
    /// Past answers that the asker may see, the newest first: price, privacy, units, a statement that gives each again.
    Releases,
}

/// A statement of an analyst.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Ask {
    /// The statement: a question, or `EXPLAIN` before one.
    pub sql: String,
    /// Why it is asked; picks the standing study.
    pub purpose: Name,
    /// Name or hash of the standing study, where several serve the purpose.
    pub standing: Option<String>,
    /// Price in micro-rho of a fresh answer; the standing study's default where it is left out.
    pub urho: Option<u64>,
    /// The asker's own name for it: the same name gives the same release, whatever was lost on the way.
    pub request_id: Option<String>,
    /// Only an answer that is there already.
    pub only_stored: bool,
}

/// Rows for an analyst, and what they cost.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Answer {
    /// Names of the columns.
    pub columns: Vec<AnswerColumn>,
    /// One value for each column.
    pub rows: Vec<Vec<AnswerValue>>,
    /// What the asker should know.
    pub notices: Vec<String>,
    /// The release behind it; none for a price tag.
    pub release: Option<ReleaseLine>,
}

/// A column of an answer.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct AnswerColumn {
    /// Its name.
    pub name: String,
    /// Its type.
    pub kind: AnswerKind,
}

/// Types of columns of answers.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum AnswerKind {
    /// A whole number.
    Whole,
    /// A number.
    Number,
    /// A text.
    Text,
    /// Yes or no.
    Truth,
    /// A day, as `YYYY-MM-DD`.
    Day,
    /// JSON as text.
    Json,
}

/// A value of an answer.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AnswerValue {
    /// None: suppressed, or nothing to tell.
    Null,
    /// A whole number.
    Whole(i64),
    /// A number.
    Number(f64),
    /// A text or a day.
    Text(String),
    /// Yes or no.
    Truth(bool),
}

/// What was paid for an answer, and by whom it was given.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct ReleaseLine {
    /// The study of the question.
    pub study: StudyHash,
    /// Its standing study.
    pub standing: StudyHash,
    /// Charged at each node; for all attempts that nodes may have paid.
    pub urho: u64,
    /// Epsilon of that at the study's delta, rounded up.
    pub epsilon: f64,
    /// Delta.
    pub delta: f64,
    /// It was there before, and nothing was charged for it now.
    pub stored: bool,
    /// Who must be honest.
    pub mode: TrustMode,
    /// Units in the roster.
    pub members: u32,
    /// Units in the sum.
    pub updates: u32,
    /// States of the tables that were asked, without repeats.
    pub data_versions: Vec<Name>,
    /// When it was released.
    pub created: Timestamp,
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
    /// Rows for an analyst.
    Answer(Box<Answer>),
    /// A statement is refused: nothing was spent, unless the code says so.
    Objection(Box<Objection>),
    /// Tokens.
    Tokens(Vec<TokenEntry>),
    /// Of the history: JSON text.
    History(String),
    /// How long models are used.
    ModelLives(Vec<ModelLife>),
    /// What becomes of their places.
    ModelPlans(Vec<ModelPlan>),
}

/// A token of an HTTPS client, as people see it.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct TokenEntry {
    /// Whose it is.
    pub owner: Name,
    /// What its owner calls it.
    pub name: Name,
    /// What it may be used for at most.
    pub role: Role,
    /// When it was made.
    pub issued: Timestamp,
    /// Its last moment.
    pub expires: Timestamp,
    /// It may be used now: neither expired nor left over from a registration that has ended.
    pub good: bool,
}

/// Why a statement is refused.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Objection {
    /// SQLSTATE.
    pub sqlstate: String,
    /// What was found and what was expected; constant but for names from the statement and the contract.
    pub message: String,
    /// What to write instead, or whom to ask.
    pub hint: String,
    /// Place in the statement in characters from 1, where one is meant.
    pub position: Option<u32>,
    /// The rule that says no, by its stable name; none where a budget, a policy or a unit does.
    pub rule: Option<String>,
}

/// Where a study stands.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum StudyState {
    /// Waits for an approver.
    Submitted,
    /// Waits for the nodes.
    Offered,
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
    /// Questions may be asked under it.
    Open,
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
