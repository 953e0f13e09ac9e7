//! How a study ends, and why one ends without a model.

use serde::{Deserialize, Serialize};

use aquifer_shared::protocol::wire::StudyOutcome;

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
    /// Too few members of a group accepted the offer.
    #[error(
        "group {group}: {accepted} of {members} nodes accepted, secure aggregation needs {needed}"
    )]
    GroupNotAccepted {
        /// Which, from 0.
        group: u16,
        /// Who accepted.
        accepted: u32,
        /// Members of the group.
        members: u32,
        /// n − d_max.
        needed: u32,
    },
    /// So many members of a group are gone that its sum cannot be opened any more.
    #[error(
        "round {round}, group {group}: {left} nodes are left, secure aggregation needs {needed}"
    )]
    GroupTooSmall {
        /// Which round, from 0.
        round: u32,
        /// Which group, from 0.
        group: u16,
        /// Members that still take part, or that were there.
        left: u32,
        /// n − d_max.
        needed: u32,
    },
    /// Every attempt at the sum of a group failed.
    #[error("round {round}, group {group}: {attempts} attempts failed, the last one as {reason}")]
    GroupAttemptsUsedUp {
        /// Which round, from 0.
        round: u32,
        /// Which group, from 0.
        group: u16,
        /// How many there were.
        attempts: u32,
        /// Why the last one failed.
        reason: String,
    },
    /// The rules of law let it go on no more.
    #[error("ended by the rules of law: {0}")]
    Law(String),
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
            Self::GroupNotAccepted { .. } => "too_few_accepted",
            Self::GroupTooSmall { .. } => "too_few_left",
            Self::GroupAttemptsUsedUp { .. } => "attempts_used_up",
            Self::Law(_) => "law",
        }
    }
}
