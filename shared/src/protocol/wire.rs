//! Frames and messages between nodes, people and the coordinator.
//!
//! A frame is `version u8 ‖ kind u8 ‖ length u32 LE ‖ body`. The first frame of a stream decides what the stream is:
//! HELLO opens a node's session, REQUEST asks one question, JOIN (on the join endpoint only) redeems a ticket.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

pub use super::aggregation::{Advert, Cannot, Confirm, Delivery, Opening, Proof, Roster, Shares};
pub use super::ask::{
    MemberStatus, ModelEntry, NodeEntry, ReleasedSum, Request, Response, RoundStatus, StudyDetail,
    StudyState, StudyStatus, SumsBundle,
};
use super::chain::Head;
use super::codec::{CodecError, decode, encode};
pub use super::mirror::{BudgetLeft, LedgerCopy, LedgerHeld};
pub use super::models::{ModelLife, ModelLives, ModelPlan, ModelPlans};
pub use super::witness::{Cosigned, LogHead, LogQuorum, LogSeen, NodeHead, NodeHeld};
use crate::base::ids::{AttemptId, Hash32, IdentityKey, Name, Role, StudyHash};
use crate::base::limits::{
    ADVERT_BYTES, CONFIRMATION_BYTES, DOCUMENT_BYTES_MAX, FRAME_BYTES_MAX, GREETING_BYTES_MAX,
    GROUP_MAX, OPENING_BYTES_MAX, SHARES_BYTES_MAX,
};
use crate::base::time::Timestamp;
use crate::domain::predictor::ModelState;

/// First byte of every frame.
pub const FRAME_VERSION: u8 = 1;
/// Bytes before a frame's body.
pub const HEADER_BYTES: usize = 6;
/// ALPN of sessions and requests.
pub const ALPN_MAIN: &[u8] = b"aquifer/1";
/// ALPN of the endpoint that redeems tickets.
pub const ALPN_JOIN: &[u8] = b"aquifer-join/1";

/// An Ed25519 signature.
pub type Signature = Vec<u8>;

/// A message that fills one frame.
pub trait Message: Serialize + DeserializeOwned {
    /// Second byte of its frame.
    const KIND: u8;
    /// Name in errors.
    const NAME: &'static str;
    /// Largest body.
    const BYTES_MAX: usize = FRAME_BYTES_MAX;
}

macro_rules! message {
    ($kind:literal, $type:ident, $limit:expr) => {
        impl Message for $type {
            const KIND: u8 = $kind;
            const NAME: &'static str = stringify!($type);
            const BYTES_MAX: usize = $limit;
        }
    };
}

// Kinds 23, 24 and 36 are in `mirror`, 25 to 29 and 32 in `witness`, 33 in `program`.
pub(super) use message;
message!(1, Hello, GREETING_BYTES_MAX);
message!(2, Welcome, GREETING_BYTES_MAX);
message!(3, Offer, 1 << 20);
message!(4, Decision, GREETING_BYTES_MAX);
message!(5, Task, 8 << 20);
message!(6, Update, FRAME_BYTES_MAX);
message!(7, Refusal, GREETING_BYTES_MAX);
message!(8, End, GREETING_BYTES_MAX);
message!(9, StudyEnd, GREETING_BYTES_MAX);
message!(10, Renew, GREETING_BYTES_MAX);
message!(11, Renewed, GREETING_BYTES_MAX);
message!(12, Goodbye, GREETING_BYTES_MAX);
message!(13, Advert, GREETING_BYTES_MAX);
message!(14, Roster, 8 + ADVERT_BYTES * GROUP_MAX);
message!(15, Shares, SHARES_BYTES_MAX);
message!(16, Delivery, SHARES_BYTES_MAX + 16);
message!(17, Confirm, GREETING_BYTES_MAX);
message!(18, Proof, 40 + CONFIRMATION_BYTES * GROUP_MAX);
message!(19, Opening, OPENING_BYTES_MAX);
message!(20, Join, GREETING_BYTES_MAX);
message!(21, Joined, GREETING_BYTES_MAX);
message!(22, Cannot, GREETING_BYTES_MAX);
message!(30, Request, 2 * DOCUMENT_BYTES_MAX + GREETING_BYTES_MAX);
message!(31, Response, FRAME_BYTES_MAX);

/// N→C, first frame of a session: who speaks is known from the certificate.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Hello {
    /// Protocol version of the node.
    pub protocol: u16,
    /// Program version, for the operator's table.
    pub software: String,
    /// Position of the node's ledger.
    pub ledger_seq: u64,
    /// Head hash of the node's ledger.
    pub ledger_head: Hash32,
    /// Which state of its published tables it serves; none where it publishes nothing.
    pub data_version: Option<Name>,
    /// SHA-256 of the file that the node's program runs from: its own word, no attestation.
    pub program: Hash32,
}

/// C→N: the node counts as joined from here on.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Welcome {
    /// Name under which the coordinator knows the node.
    pub name: Name,
    /// The coordinator's clock, for a warning if the clocks differ.
    pub now: Timestamp,
}

/// C→N: a study to accept, hold or refuse.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Offer {
    /// Encoded study terms, as they are hashed and signed.
    pub terms: Vec<u8>,
    /// Approvals over the study's hash.
    pub approvals: Vec<Approval>,
}

/// An approver's signature over a study's hash, label `aquifer/sum/1/approve`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Approval {
    /// The approver's identity key.
    pub key: IdentityKey,
    /// Ed25519 over the labelled hash.
    pub signature: Signature,
}

/// N→C: what the node (or its person) decided.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Decision {
    /// The study.
    pub study: StudyHash,
    /// The decision.
    pub verdict: Verdict,
}

/// A node's answer to an offer.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Verdict {
    /// Reserved durably; rounds may start.
    Accepted,
    /// Waits for a person at the unit.
    Held,
    /// The rules say no.
    Refused(RefusalCode, u64),
}

/// Why a node refuses a study or a round: fixed codes, decided before data is touched, without text.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RefusalCode {
    /// The message is for another attempt than the live one.
    NotLive,
    /// The study is not known or was not accepted.
    StudyUnknown,
    /// The study has expired (or the clock says so).
    Expired,
    /// What was sent differs from the signed terms, or the terms break a rule.
    TermsDiffer,
    /// The budget does not cover it; detail is what is left in micro-rho.
    Budget,
    /// The attempt was charged for another task; detail = round·2³² + attempt of the last charge.
    AlreadyCharged,
    /// No attempt of the round is left.
    AttemptsUsedUp,
    /// The node's ledger disagrees with a witness.
    Locked,
    /// Noise, disk or source failed; the node cannot work.
    Unfit,
    /// The node's operator withdrew from the study.
    Withdrawn,
    /// A version that the node does not speak.
    Version,
    /// The purpose is not in the node's policy.
    PurposeUnknown,
    /// Name, version or hash of the contract is not the node's.
    ContractDiffers,
    /// No pinned approver signed.
    NotApproved,
    /// Delta is above 1 / (10 · population), or population or customers_max is below what policy demands.
    DeltaTooLarge,
    /// The trust mode is not in the node's policy.
    TrustMode,
    /// The study is synthetic and policy does not take such, or its slot is too short.
    Synthetic,
    /// A person at the unit said no.
    RefusedByPerson,
    /// The roster does not hold this node, or is smaller than policy demands.
    Roster,
    /// The study's hold-out rule cannot be kept here (no such column).
    HoldOut,
    /// An attempt's roster breaks a rule.
    RosterInvalid,
    /// A peer's ledger is behind or beside its mark; detail is its index.
    PeerBehind,
    /// A second roster or a second set of dealers for one attempt.
    Equivocation,
    /// A proof without enough valid confirmations of the own set.
    ProofInvalid,
    /// A member of the roster is not pinned by the unit; detail is its place in the roster, from 1.
    NotPinned,
    /// One operator runs more members of a group than may collude; detail is the place of the one too many, or 0 where
    /// nobody stated who runs the coordinator.
    Operators,
    /// The study's tolerances are not those that the unit's policy demands; detail is 1 for too few honest shares, 2 for too
    /// few colluders, 3 for too many.
    Tolerances,
    /// A question is not what its standing study allows: price, tables, expiry, approvals.
    Standing,
    /// All questions under one standing study together would cost more than was signed; detail is what is left in micro-rho.
    StandingBudget,
    /// The node does not publish the table that a question reads.
    NotPublished,
    /// The node serves another data version than the question is about.
    DataVersion,
    /// Law or the unit's declarations deny it; detail is the place of the first cause in the list of causes, 0 where the unit has declared
    /// nothing of its people.
    Law,
    /// Too few members of the roster have signed the history that this node was shown.
    History,
}

/// C→N: compute this sum.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Task {
    /// The study.
    pub study: StudyHash,
    /// Round, from 0.
    pub round: u32,
    /// Attempt, from 0.
    pub attempt: u32,
    /// Encoded [`TaskBody`], as it is hashed.
    pub body: Vec<u8>,
}

/// What a round computes; the study's terms bound it, whatever it says.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum TaskBody {
    /// One cell per feature and customer, fine cells.
    Counts,
    /// Residuals against a model, merged bins.
    Residuals(ModelState),
    /// Score bin by label.
    Evaluation(ModelState),
    /// A vector of this many zeros (studies marked synthetic only).
    Synthetic(u32),
    /// The question that the study's terms hold.
    Question,
}

/// N→C: the noisy sum (node-noise).
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Update {
    /// The attempt.
    pub attempt: AttemptId,
    /// Hash of the task it answers.
    pub task: Hash32,
    /// x + z.
    pub cells: Vec<i64>,
    /// Ed25519 over [`update_digest`].
    pub signature: Signature,
}

/// N→C: a round or a study is refused.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Refusal {
    /// The attempt, or zero where the study as a whole is meant.
    pub attempt: AttemptId,
    /// The study.
    pub study: StudyHash,
    /// Fixed code.
    pub code: RefusalCode,
    /// Number that belongs to the code, else 0.
    pub detail: u64,
}

/// C→N: an attempt is over.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct End {
    /// The attempt.
    pub attempt: AttemptId,
    /// Whether a sum was released.
    pub released: bool,
    /// SHA-256 of the released sum's encoding, or zero.
    pub release: Hash32,
}

/// C→N: the study is over; what is left of its reservation is free again.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct StudyEnd {
    /// The study.
    pub study: StudyHash,
    /// Published, held or aborted.
    pub outcome: StudyOutcome,
}

/// How a study ended.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum StudyOutcome {
    /// A model version was published.
    Published,
    /// A candidate waits for a person.
    Held,
    /// Nothing was published.
    Aborted,
}

/// N→C: a new certificate for the same keys, before the old one ends.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Renew {
    /// Certificate request, DER.
    pub csr: Vec<u8>,
}

/// C→N: the renewed certificate.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Renewed {
    /// Certificate, DER.
    pub certificate: Vec<u8>,
}

/// Either way: the session ends, with a reason for the log.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Goodbye {
    /// Why.
    pub reason: CloseReason,
}

/// Why a connection is closed; also the QUIC application close code.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum CloseReason {
    /// The process stops.
    Shutdown,
    /// The certificate was revoked.
    Revoked,
    /// The certificate is not in the registry, or has another role.
    WrongRole,
    /// A message broke the protocol.
    Protocol,
    /// Another session of the same node took over.
    Replaced,
    /// Too many connections or requests.
    Busy,
    /// Another protocol version.
    Version,
    /// The certificate has expired.
    Expired,
    /// The node reported another program than the settings demand.
    Program,
}

/// P→C on the join endpoint: redeem a ticket.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Join {
    /// Name on the ticket.
    pub name: Name,
    /// Certificate request for the TLS key, DER.
    pub csr: Vec<u8>,
    /// Ed25519 identity key.
    pub identity: IdentityKey,
    /// The ticket's secret.
    pub secret: [u8; 32],
    /// By the identity key over [`join_digest`].
    pub signature: Signature,
}

/// C→P: the certificate, or why not.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Joined {
    /// Done.
    Accepted {
        /// Certificate, DER.
        certificate: Vec<u8>,
        /// Role it carries.
        role: Role,
    },
    /// Not done; the ticket is unchanged unless it was used.
    Rejected(JoinRejection),
}

/// Why a ticket is not redeemed.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum JoinRejection {
    /// Unknown, already used, or for another name: told alike on purpose.
    TicketInvalid,
    /// The ticket has expired.
    TicketExpired,
    /// The request is malformed or its signature does not verify.
    RequestInvalid,
}

/// What a node signs under an update: label `aquifer/sum/1/update`.
#[must_use]
pub fn update_digest(attempt: &AttemptId, task: &Hash32, cells: &[i64]) -> Hash32 {
    let body = encode(&(attempt, task, cells));
    crate::base::hash::labelled("aquifer/sum/1/update", &[&body])
}

/// What a node signs under its ledger's position: label `aquifer/ledger/1/head`.
#[must_use]
pub fn ledger_digest(head: &Head) -> Hash32 {
    crate::base::hash::labelled("aquifer/ledger/1/head", &[&encode(head)])
}

/// What an approver signs: label `aquifer/sum/1/approve`.
#[must_use]
pub fn approve_digest(study: &StudyHash) -> Hash32 {
    crate::base::hash::labelled("aquifer/sum/1/approve", &[&study.0])
}

/// What a joiner signs: label `aquifer/join/1`.
#[must_use]
pub fn join_digest(name: &Name, csr: &[u8], identity: &IdentityKey, secret: &[u8; 32]) -> Hash32 {
    let body = encode(&(name, csr, identity, secret));
    crate::base::hash::labelled("aquifer/join/1", &[&body])
}

/// A frame as it travels.
#[must_use]
pub fn frame<M: Message>(message: &M) -> Vec<u8> {
    let body = encode(message);
    let length = u32::try_from(body.len()).expect("messages are far below 4 GiB");
    let mut bytes = Vec::with_capacity(HEADER_BYTES + body.len());
    bytes.extend([FRAME_VERSION, M::KIND]);
    bytes.extend(length.to_le_bytes());
    bytes.extend(body);
    bytes
}

/// Kind and body length of a frame, from its first bytes.
///
/// # Errors
///
/// Another version, or a body above `limit`.
pub fn read_header(header: [u8; HEADER_BYTES], limit: usize) -> Result<(u8, usize), CodecError> {
    let [version, kind, a, b, c, d] = header;
    if version != FRAME_VERSION {
        return Err(CodecError::Version {
            got: version,
            expected: FRAME_VERSION,
        });
    }
    let length = u32::from_le_bytes([a, b, c, d]) as usize;
    if length > limit {
        return Err(CodecError::TooLong {
            what: "frame",
            length,
            limit,
        });
    }
    Ok((kind, length))
}

/// A message from kind and body.
///
/// # Errors
///
/// Another kind, or bytes that [`frame`] would not have written.
pub fn read_body<M: Message>(kind: u8, body: &[u8]) -> Result<M, CodecError> {
    if kind != M::KIND {
        return Err(CodecError::Kind { got: kind });
    }
    decode(M::NAME, body, M::BYTES_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_reads_back() {
        let message = Goodbye {
            reason: CloseReason::Revoked,
        };
        let bytes = frame(&message);
        let header: [u8; HEADER_BYTES] = bytes[..HEADER_BYTES].try_into().unwrap();
        let (kind, length) = read_header(header, 100).unwrap();
        assert_eq!(length, bytes.len() - HEADER_BYTES);
        assert_eq!(
            read_body::<Goodbye>(kind, &bytes[HEADER_BYTES..]),
            Ok(message)
        );
    }

    #[test]
    fn other_versions_and_kinds_are_refused() {
        assert!(matches!(
            read_header([2, 1, 0, 0, 0, 0], 10),
            Err(CodecError::Version { got: 2, .. })
        ));
        assert!(matches!(
            read_header([1, 1, 11, 0, 0, 0], 10),
            Err(CodecError::TooLong { .. })
        ));
        assert!(matches!(
            read_body::<Goodbye>(1, &[]),
            Err(CodecError::Kind { got: 1 })
        ));
    }
}
