//! What happens to a node's participant, and what it wants done.

use aquifer_shared::base::ids::{AttemptId, Hash32, IdentityKey, Name, StudyHash};
use aquifer_shared::base::secret::Secret;
use aquifer_shared::domain::question::Question;
use aquifer_shared::domain::sum::{HoldOut, RoundTerms};
use aquifer_shared::protocol::aggregation::{Advert, Broken, Cannot, Confirm, Evidence};
use aquifer_shared::protocol::chain::Head;
use aquifer_shared::protocol::wire::{
    BudgetLeft, Decision, Delivery, End, LedgerCopy, LedgerHeld, Offer, Proof, Refusal,
    RefusalCode, Roster, StudyEnd, Task, TaskBody,
};

use super::Released;
use crate::core::lawful::Brief;
use crate::core::ledger::Batch;

/// Bytes that were drawn for one event and never used before; none where the source of randomness failed.
pub type Fresh = Option<Secret<[u8; 32]>>;

/// Something happened.
#[derive(Debug)]
pub enum Event {
    /// A session was welcomed by the coordinator.
    Connected,
    /// What the coordinator's mirror holds of this node's ledger.
    LedgerHeld(LedgerHeld),
    /// A study is offered.
    Offer(Offer),
    /// A sum is asked for. The fresh bytes become an ephemeral key.
    Task(Task, Fresh),
    /// Who takes part. The fresh bytes become the seed of the dealing.
    Roster(Roster, Fresh),
    /// What others dealt to this node.
    Delivery(Delivery),
    /// Enough members hold shares of the same set.
    Proof(Proof),
    /// An attempt is over.
    End(End),
    /// A study is over.
    StudyEnd(StudyEnd),
    /// The exact sum that [`Effect::Compute`] asked for, or why there is none.
    Computed {
        /// Which attempt.
        attempt: AttemptId,
        /// Which task of it.
        task: Hash32,
        /// The sum.
        sum: Result<Secret<Vec<i64>>, RefusalCode>,
    },
    /// The noise that [`Effect::Draw`] asked for; none where the source failed.
    Drawn {
        /// For which study.
        study: StudyHash,
        /// Of which kind.
        kind: NoiseKind,
        /// The draws.
        noise: Option<Secret<Vec<i64>>>,
    },
    /// The batch up to this head is on disk.
    Journaled(Head),
    /// The batch may or may not be on disk; nothing more can be written.
    JournalFailed,
    /// A stored update that [`Effect::Recall`] asked for.
    Recalled {
        /// The study.
        study: StudyHash,
        /// Round, from 0.
        round: u32,
        /// Attempt, from 0.
        attempt: u32,
        /// Its frame, if it is there.
        update: Option<Vec<u8>>,
    },
    /// The entries that [`Effect::ReadLinks`] asked for.
    Links {
        /// The entry before the first.
        after: u64,
        /// In order; none where they could not be read.
        links: Vec<Vec<u8>>,
    },
    /// [`Participant::next_wakeup`](super::Participant::next_wakeup) has come.
    Tick,
}

/// Something is to be done.
#[derive(Debug)]
pub enum Effect {
    /// Send to the coordinator; lost where there is no session (it asks again).
    Send(Outgoing),
    /// Add up this unit's customers.
    Compute(Box<ComputeJob>),
    /// Split the customers by the study's hold-out rule, ahead of its first sum.
    Prepare {
        /// The study's family.
        family: Name,
        /// Its rule.
        holdout: HoldOut,
    },
    /// Draw noise.
    Draw {
        /// For which study.
        study: StudyHash,
        /// Scale and number of cells.
        kind: NoiseKind,
    },
    /// Write these entries in one durable transaction, then the witness.
    Journal(Batch),
    /// Read a stored update.
    Recall {
        /// The study.
        study: StudyHash,
        /// Round, from 0.
        round: u32,
        /// Attempt, from 0.
        attempt: u32,
    },
    /// Read durable entries, as many as one message to the mirror takes.
    ReadLinks {
        /// The entry before the first.
        after: u64,
    },
    /// Tell the unit's operator: an answer of this study was not ready in its slot and leaves in a later one.
    Late {
        /// The study.
        study: StudyHash,
    },
    /// Keep evidence for the unit's audit.
    Audit(Audit),
}

/// A message for the coordinator.
#[derive(Debug)]
pub enum Outgoing {
    /// A verdict on a study.
    Decision(Decision),
    /// A refusal of an attempt.
    Refusal(Refused),
    /// A charged, noisy sum.
    Update(Released),
    /// Ready for a roster.
    Advert(Advert),
    /// Charged shares of a noisy sum, sealed for their receivers.
    Shares(Released),
    /// Records that do not open.
    Cannot(Cannot),
    /// Holds shares of a set.
    Confirm(Confirm),
    /// A charged point of the sum of a set.
    Opening(Released),
    /// Entries for the mirror.
    Copy(LedgerCopy),
    /// What is left of the budgets.
    Left(BudgetLeft),
}

/// A refusal, and for the log the rule behind it and the member that it is about.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Refused {
    /// As it is sent.
    pub refusal: Refusal,
    /// The rule, where the code alone does not say it.
    pub broken: Option<Broken>,
    /// The member.
    pub peer: Option<Peer>,
}

/// Another member of an attempt.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Peer {
    /// Its index in the group, from 1.
    pub index: u16,
    /// Its identity key.
    pub key: IdentityKey,
}

/// What does not fit together, with the public bytes that show it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Audit {
    /// In an attempt.
    Attempt {
        /// The study.
        study: StudyHash,
        /// Round, from 0.
        round: u32,
        /// Attempt, from 0.
        attempt: u32,
        /// The rule.
        broken: Broken,
        /// The member that it is about.
        peer: Option<Peer>,
        /// What shows it.
        exhibit: Exhibit,
    },
    /// The coordinator says that it mirrors a position of this node's ledger which the node has not signed.
    Mirror(LedgerHeld),
}

/// What shows that a rule was broken.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Exhibit {
    /// Two things of which there must be one.
    Two(Box<Evidence>),
    /// A member's signed statement.
    Advert(Box<Advert>),
}

/// Noise of one round's kind.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct NoiseKind {
    /// Scale.
    pub sigma: u64,
    /// Number of draws.
    pub cells: u32,
}

/// What is to be added up.
#[derive(Clone, Debug)]
pub struct ComputeJob {
    /// The attempt that asks.
    pub attempt: AttemptId,
    /// The hash of its task: an attempt's id does not say what was asked.
    pub task: Hash32,
    /// The study.
    pub study: StudyHash,
    /// Its family: fixes the hold-out.
    pub family: Name,
    /// Its hold-out rule.
    pub holdout: HoldOut,
    /// Residual bound of the plan.
    pub clip: u32,
    /// The round's terms.
    pub terms: RoundTerms,
    /// What is asked.
    pub body: TaskBody,
    /// What belongs to a [`TaskBody::Question`].
    pub inquiry: Option<Box<QuestionJob>>,
    /// What law is asked; a sum is about nobody without an answer.
    pub brief: Option<Box<Brief>>,
}

/// A question and what its answer depends on.
#[derive(Clone, Debug)]
pub struct QuestionJob {
    /// The question.
    pub question: Question,
    /// Customers per node, by the study's terms.
    pub customers_max: u64,
    /// The state of the tables that it is about.
    pub data_version: Option<Name>,
}
