//! What a ledger can say: kinds of entries and their encoding.
//!
//! An entry is written once and never changed; the budget is the fold over all of them.

use aquifer_shared::base::ids::{Hash32, StudyHash};
use aquifer_shared::base::limits::GROUP_MAX;
use aquifer_shared::base::time::Timestamp;
use aquifer_shared::base::units::MicroRho;
use aquifer_shared::domain::sum::{NoiseShare, Part, StudyTerms, study_hash};
use aquifer_shared::protocol::chain::{Head, WRITE_OFF_KIND};
use aquifer_shared::protocol::codec::{CodecError, decode, encode};
use aquifer_shared::protocol::wire::Approval;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// One statement of the ledger.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Entry {
    /// Budget is set aside: the study is accepted.
    Reserve(Reserve),
    /// An attempt is paid for.
    Spend(Spend),
    /// An attempt is over; returns nothing.
    Close(Close),
    /// A study is over; what it did not spend is free again.
    Return(Return),
    /// A study waits for a person.
    Hold(Hold),
    /// A person said no to a study that waited.
    Decline(Decline),
    /// The operator wrote off budget after the ledger had lost entries.
    WriteOff(WriteOff),
    /// Where the ledgers of other members of a study stood.
    PeerMarks(PeerMarks),
}

/// A price per part.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Parts {
    /// Customers that the model learns from.
    pub training: MicroRho,
    /// Customers kept for evaluation.
    pub holdout: MicroRho,
    /// What is charged to all of them alike, beside their part.
    pub everyone: MicroRho,
}

/// Content of [`Entry::Reserve`].
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Reserve {
    /// When.
    pub at: Timestamp,
    /// Encoded study terms.
    pub terms: Vec<u8>,
    /// The approvals that the decision rests on.
    pub approvals: Vec<Approval>,
    /// What is set aside.
    pub parts: Parts,
    /// Under which key customers are split into training and hold-out.
    pub split: Hash32,
    /// A person at the unit decided.
    pub by_person: bool,
}

/// Content of [`Entry::Spend`].
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Spend {
    /// When.
    pub at: Timestamp,
    /// The study.
    pub study: StudyHash,
    /// Round, from 0.
    pub round: u32,
    /// Attempt, from 0.
    pub attempt: u32,
    /// Whose budget.
    pub part: Part,
    /// The price.
    pub urho: MicroRho,
    /// Honest noise shares that the price rests on; 1 in node-noise.
    pub honest: u16,
    /// Scale of the noise.
    pub sigma_share: u64,
    /// Squared reach of one customer.
    pub delta_sq: u64,
    /// At how many nodes a customer may be.
    pub multiplicity: u16,
    /// What was asked.
    pub task: Hash32,
    /// What may leave for it.
    pub pays: Paid,
}

/// What a charge pays for.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Paid {
    /// In node-noise: SHA-256 of the update's frame, which is stored beside the entry until the study ends.
    Update(Hash32),
    /// In shared-noise: the hash of the roster among which shares are dealt; nothing of them is stored.
    Shares(Hash32),
}

/// Content of [`Entry::Close`].
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Close {
    /// When.
    pub at: Timestamp,
    /// The study.
    pub study: StudyHash,
    /// Round, from 0.
    pub round: u32,
    /// Attempt, from 0.
    pub attempt: u32,
    /// How it ended.
    pub outcome: AttemptOutcome,
}

/// How a charged attempt ended.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum AttemptOutcome {
    /// A sum was released.
    Released,
    /// The coordinator gave it up, or broke a rule.
    Failed,
    /// The node stopped in between.
    Lost,
    /// The node heard no more of it.
    Unknown,
}

/// Content of [`Entry::Return`].
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Return {
    /// When.
    pub at: Timestamp,
    /// The study.
    pub study: StudyHash,
    /// Why.
    pub reason: EndReason,
}

/// Why a study is over at this node.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum EndReason {
    /// A model version was published.
    Published,
    /// A candidate waits for a person at the coordinator.
    Held,
    /// Nothing was published.
    Aborted,
    /// Its time was up.
    Expired,
    /// The unit took its consent back.
    Withdrawn,
}

/// Content of [`Entry::Hold`].
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Hold {
    /// When.
    pub at: Timestamp,
    /// Encoded study terms.
    pub terms: Vec<u8>,
    /// Approvals that came with them.
    pub approvals: Vec<Approval>,
}

/// Content of [`Entry::Decline`].
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Decline {
    /// When.
    pub at: Timestamp,
    /// The study.
    pub study: StudyHash,
}

/// Charges that were lost, as they count under the caps.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Lost {
    /// Under the caps on what customers lose.
    pub urho: MicroRho,
    /// Under the cap on what they would lose if every other member colluded.
    pub floor: MicroRho,
}

impl Lost {
    /// This much at its worst: as if it had been charged with the smallest share of the noise that there is.
    #[must_use]
    pub fn at_worst(urho: MicroRho) -> Self {
        let floor = MicroRho(urho.0.saturating_mul(GROUP_MAX as u64));
        Self { urho, floor }
    }

    /// Together with another loss; `None` where a sum does not fit.
    #[must_use]
    pub fn checked_add(self, other: Self) -> Option<Self> {
        Some(Self {
            urho: self.urho.checked_add(other.urho)?,
            floor: self.floor.checked_add(other.floor)?,
        })
    }
}

impl Spend {
    /// This charge as a loss.
    pub(super) fn as_lost(&self) -> Option<Lost> {
        let share = NoiseShare {
            honest: self.honest,
            multiplicity: self.multiplicity,
        };
        let floor = match self.pays {
            // Its noise was whole.
            Paid::Update(_) => self.urho,
            Paid::Shares(_) => share.floor(self.urho)?,
        };
        let urho = self.urho;
        Some(Lost { urho, floor })
    }
}

/// Content of [`Entry::WriteOff`].
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct WriteOff {
    /// When.
    pub at: Timestamp,
    /// Counted as spent under every cap.
    pub lost: Lost,
    /// Positions that a witness or the mirror named and this chain does not pass through: given up with it.
    pub given_up: Vec<Head>,
    /// Entries up to this one are common to the pasts that were given up and this one, as far as that is known.
    pub common: u64,
}

/// Content of [`Entry::PeerMarks`].
///
/// # Privacy
///
/// Positions of other nodes' ledgers: numbers and hashes, nothing about customers.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct PeerMarks {
    /// When.
    pub at: Timestamp,
    /// The study in whose roster they stood there.
    pub study: StudyHash,
    /// Where the ledgers of other members stood, by their places in the study's roster, from 0.
    pub stood: Vec<(u16, Head)>,
    /// Places of members that dealt: their ledgers have grown since they last stood somewhere.
    pub dealt: Vec<u16>,
}

impl Parts {
    /// The price of one part.
    #[must_use]
    pub fn of(&self, part: Part) -> MicroRho {
        match part {
            Part::Training => self.training,
            Part::HoldOut => self.holdout,
            Part::Everyone => self.everyone,
        }
    }

    /// Part by part; `None` where a sum does not fit.
    #[must_use]
    pub fn checked_add(self, other: Self) -> Option<Self> {
        Some(Self {
            training: self.training.checked_add(other.training)?,
            holdout: self.holdout.checked_add(other.holdout)?,
            everyone: self.everyone.checked_add(other.everyone)?,
        })
    }

    /// What is left part by part.
    #[must_use]
    pub fn left_after(self, other: Self) -> Self {
        Self {
            training: self.training.left_after(other.training),
            holdout: self.holdout.left_after(other.holdout),
            everyone: self.everyone.left_after(other.everyone),
        }
    }

    /// A price in one part alone.
    #[must_use]
    pub fn only(part: Part, urho: MicroRho) -> Self {
        let mut parts = Self::default();
        match part {
            Part::Training => parts.training = urho,
            Part::HoldOut => parts.holdout = urho,
            Part::Everyone => parts.everyone = urho,
        }
        parts
    }
}

impl Entry {
    /// Kind and body, as they enter the chain.
    #[must_use]
    pub fn to_link(&self) -> (u8, Vec<u8>) {
        match self {
            Self::Reserve(body) => (1, encode(body)),
            Self::Spend(body) => (2, encode(body)),
            Self::Close(body) => (3, encode(body)),
            Self::Return(body) => (4, encode(body)),
            Self::Hold(body) => (5, encode(body)),
            Self::Decline(body) => (6, encode(body)),
            Self::WriteOff(body) => (WRITE_OFF_KIND, encode(body)),
            Self::PeerMarks(body) => (8, encode(body)),
        }
    }

    /// Reads kind and body.
    ///
    /// # Errors
    ///
    /// An unknown kind, or a body that does not decode.
    pub fn from_link(kind: u8, body: &[u8]) -> Result<Self, CodecError> {
        Ok(match kind {
            1 => Self::Reserve(read("reservation", body)?),
            2 => Self::Spend(read("charge", body)?),
            3 => Self::Close(read("close", body)?),
            4 => Self::Return(read("return", body)?),
            5 => Self::Hold(read("hold", body)?),
            6 => Self::Decline(read("decline", body)?),
            WRITE_OFF_KIND => Self::WriteOff(read("write-off", body)?),
            8 => Self::PeerMarks(read("peer marks", body)?),
            got => return Err(CodecError::Kind { got }),
        })
    }

    /// When it was written.
    #[must_use]
    pub fn at(&self) -> Timestamp {
        match self {
            Self::Reserve(body) => body.at,
            Self::Spend(body) => body.at,
            Self::Close(body) => body.at,
            Self::Return(body) => body.at,
            Self::Hold(body) => body.at,
            Self::Decline(body) => body.at,
            Self::WriteOff(body) => body.at,
            Self::PeerMarks(body) => body.at,
        }
    }
}

/// Study terms from the bytes that are hashed and signed.
///
/// # Errors
///
/// Bytes that are no study terms.
pub fn read_terms(bytes: &[u8]) -> Result<(StudyHash, StudyTerms), CodecError> {
    let terms = decode("study terms", bytes, ENTRY_BYTES_MAX)?;
    Ok((study_hash(bytes), terms))
}

fn read<T: Serialize + DeserializeOwned>(what: &'static str, body: &[u8]) -> Result<T, CodecError> {
    decode(what, body, ENTRY_BYTES_MAX)
}

/// Largest entry: study terms of the longest study, with approvals.
pub const ENTRY_BYTES_MAX: usize = 2 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    const STUDY: StudyHash = StudyHash([1; 32]);
    const AT: Timestamp = Timestamp(7);

    fn spend(pays: Paid) -> Entry {
        Entry::Spend(Spend {
            at: AT,
            study: STUDY,
            round: 2,
            attempt: 1,
            part: Part::HoldOut,
            urho: MicroRho(3_361),
            honest: 5,
            sigma_share: 5_035,
            delta_sq: 851_968,
            multiplicity: 1,
            task: Hash32([2; 32]),
            pays,
        })
    }

    fn head(seq: u64) -> Head {
        Head {
            seq,
            hash: Hash32([seq as u8; 32]),
        }
    }

    /// One entry of every kind.
    fn samples() -> Vec<Entry> {
        let (study, at, urho) = (STUDY, AT, MicroRho(9));
        let parts = Parts::only(Part::Training, urho);
        vec![
            Entry::Reserve(Reserve {
                at,
                terms: vec![1, 2],
                approvals: Vec::new(),
                parts,
                split: Hash32([6; 32]),
                by_person: true,
            }),
            spend(Paid::Update(Hash32([3; 32]))),
            spend(Paid::Shares(Hash32([4; 32]))),
            Entry::Close(Close {
                at,
                study,
                round: 2,
                attempt: 1,
                outcome: AttemptOutcome::Lost,
            }),
            Entry::Return(Return {
                at,
                study,
                reason: EndReason::Aborted,
            }),
            Entry::Hold(Hold {
                at,
                terms: vec![1],
                approvals: Vec::new(),
            }),
            Entry::Decline(Decline { at, study }),
            Entry::WriteOff(WriteOff {
                at,
                lost: Lost::at_worst(urho),
                given_up: vec![head(6)],
                common: 3,
            }),
            Entry::PeerMarks(PeerMarks {
                at,
                study,
                stood: vec![(2, head(8))],
                dealt: vec![1],
            }),
        ]
    }

    #[test]
    fn entries_read_back() {
        for entry in samples() {
            let (kind, body) = entry.to_link();
            assert_eq!(entry.at(), AT);
            assert_eq!(Entry::from_link(kind, &body), Ok(entry));
        }
    }

    #[test]
    fn the_chain_of_every_kind_has_the_published_head() {
        let chain = samples().iter().fold(Head::default(), |head, entry| {
            let (kind, body) = entry.to_link();
            head.append(kind, body).1
        });
        assert_eq!(chain.hash.to_string(), GOLDEN_HEAD);
    }

    #[test]
    fn unknown_kinds_are_refused() {
        assert_eq!(Entry::from_link(99, &[]), Err(CodecError::Kind { got: 99 }));
    }

    const GOLDEN_HEAD: &str = "b12362d785b81a30b9639addd907304ad0cb3239ca3cbcbdb6bef7622609a286";
}
