//! What goes into a study, what comes out of it, and what is kept of it.

use serde::{Deserialize, Serialize};

use aquifer_shared::base::time::Timestamp;
use aquifer_shared::protocol::wire::{
    Approval, End, Refusal, StudyEnd, StudyOutcome, Task, Verdict,
};

use super::update::{Malformed, VerifiedUpdate};

/// Position of a member in the study's roster, from 0.
pub type Member = usize;

/// Names one [`Effect::Persist`].
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Token(pub u64);

/// Something happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// An approver signed; the signature is checked already ([`super::update::is_approval`]).
    Approved(Approval),
    /// A member has a session.
    Connected(Member),
    /// A member's session is gone.
    Disconnected(Member),
    /// A member answered the offer.
    Decided(Member, Verdict),
    /// A member's update.
    Update(Member, VerifiedUpdate),
    /// A member sent an update that does not verify.
    Malformed(Member, Malformed),
    /// A member refuses the round or the study.
    Refused(Member, Refusal),
    /// The records of a [`Effect::Persist`] are durable.
    Persisted(Token),
    /// After [`Effect::Conclude`]: what became of the model; published or held, or aborted with a reason.
    Concluded(Ending),
    /// A person stops the study, with a reason for people.
    Abort(String),
    /// Time has passed.
    Tick,
}

/// Something to do. In order; a [`Effect::Persist`] must be durable before the next one is begun.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Append these records, all or none, then say [`Event::Persisted`].
    Persist {
        /// To be handed back.
        token: Token,
        /// In this order.
        records: Vec<Record>,
    },
    /// Send the study's offer ([`super::study::Study::offer`]).
    Offer(Member),
    /// Send a task.
    Task(Member, Task),
    /// Say that an attempt is over.
    End(Member, End),
    /// Say that the study is over.
    StudyEnd(Member, StudyEnd),
    /// Every sum is released and durable: make the model of [`super::study::Study::released`], then say
    /// [`Event::Concluded`]. Comes again after a restart; the same study must not publish twice.
    Conclude,
    /// The study is over and that is durable. Comes once per life of the process.
    Finished(Ending),
}

/// A durable fact of a study. Together they rebuild it; none holds an update of a single node.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub enum Record {
    /// An approver signed.
    Approved {
        /// By whom.
        approval: Approval,
        /// When.
        at: Timestamp,
    },
    /// A member answered the offer; the last answer counts.
    Decision {
        /// Its position in the roster.
        member: u32,
        /// Its answer.
        verdict: Verdict,
    },
    /// An attempt number is used up; durable before its task leaves.
    Open {
        /// From 0.
        round: u32,
        /// From 0; never twice in a round.
        attempt: u32,
        /// When.
        at: Timestamp,
    },
    /// A sum is released; durable before anybody hears of it.
    Result {
        /// From 0.
        round: u32,
        /// The attempt that it came from.
        attempt: u32,
        /// Whose updates are in it, rising.
        members: Vec<u32>,
        /// The sum.
        cells: Vec<i64>,
        /// When.
        at: Timestamp,
    },
    /// The study is over.
    Ended {
        /// How.
        ending: Ending,
        /// When.
        at: Timestamp,
    },
}

/// How a study ended.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, thiserror::Error)]
pub enum Ending {
    /// A model version was published.
    #[error("published")]
    Published,
    /// A candidate waits for a person, because of this.
    #[error("held: {0}")]
    Held(String),
    /// Nothing was published.
    #[error(transparent)]
    Aborted(Abort),
}

/// Why a study ended without a model.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, thiserror::Error)]
pub enum Abort {
    /// A person stopped it.
    #[error("stopped by a person: {0}")]
    ByPerson(String),
    /// Its time is over.
    #[error("the study expired")]
    Expired,
    /// Too few members accepted the offer.
    #[error("{accepted} of {members} nodes accepted, the quorum is {quorum}")]
    TooFewAccepted {
        /// Who accepted.
        accepted: u32,
        /// Roster.
        members: u32,
        /// Needed.
        quorum: u32,
    },
    /// So many members left during the study that no sum can be released any more.
    #[error("round {round}: {left} nodes are left in the study, the quorum is {quorum}")]
    TooFewLeft {
        /// Which round, from 0.
        round: u32,
        /// Members that still take part.
        left: u32,
        /// Needed.
        quorum: u32,
    },
    /// Every attempt of a round failed.
    #[error("round {round}: {attempts} attempts brought fewer than {quorum} updates each")]
    AttemptsUsedUp {
        /// Which round, from 0.
        round: u32,
        /// How many there were.
        attempts: u32,
        /// Needed.
        quorum: u32,
    },
    /// The released sums tell that going on is useless.
    #[error("{code}: {reason}")]
    Stopped {
        /// Fixed code, as `too_little_data`.
        code: String,
        /// For people.
        reason: String,
    },
}

impl Ending {
    /// As nodes and lists see it.
    #[must_use]
    pub fn outcome(&self) -> StudyOutcome {
        match self {
            Self::Published => StudyOutcome::Published,
            Self::Held(_) => StudyOutcome::Held,
            Self::Aborted(_) => StudyOutcome::Aborted,
        }
    }

    /// For people; empty if a model was published.
    #[must_use]
    pub fn reason(&self) -> String {
        match self {
            Self::Published => String::new(),
            Self::Held(reason) => reason.clone(),
            Self::Aborted(abort) => abort.to_string(),
        }
    }
}

impl Abort {
    /// Fixed code for programs.
    #[must_use]
    pub fn code(&self) -> &str {
        match self {
            Self::ByPerson(_) => "stopped_by_person",
            Self::Expired => "expired",
            Self::TooFewAccepted { .. } => "too_few_accepted",
            Self::TooFewLeft { .. } => "too_few_left",
            Self::AttemptsUsedUp { .. } => "attempts_used_up",
            Self::Stopped { code, .. } => code,
        }
    }
}
