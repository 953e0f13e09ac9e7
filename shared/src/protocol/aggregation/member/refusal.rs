//! Why a member refuses a message: a fixed code for the coordinator, the rule for the log.

use crate::base::ids::Hash32;
use crate::protocol::aggregation::roster::Fault;
use crate::protocol::aggregation::{Guard, MemberSet, Roster};
use crate::protocol::wire::RefusalCode;

/// A message was refused.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{broken} does not hold")]
pub struct MemberRefusal {
    /// For the coordinator.
    pub code: RefusalCode,
    /// For the coordinator: index of the peer in [`RefusalCode::PeerBehind`], else 0.
    pub detail: u64,
    /// For the log: the rule.
    pub broken: Broken,
    /// For the log: the member that the rule is about.
    pub peer: Option<u16>,
    /// Whether the attempt is over at this node.
    pub ends: bool,
    /// For the audit: what does not fit together.
    pub evidence: Option<Box<Evidence>>,
}

/// Which rule a refused message broke.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Broken {
    /// A rule of the protocol.
    #[error("{}", .0.name())]
    Rule(Guard),
    /// The message is for another attempt or comes out of turn.
    #[error("live-attempt")]
    Live,
}

/// Two things of which there must be one per attempt: public bytes only.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Evidence {
    /// Two rosters.
    Rosters {
        /// The one that was accepted.
        held: Roster,
        /// The other.
        shown: Roster,
    },
    /// Two sets of dealers.
    Sets {
        /// The roster of both.
        roster: Hash32,
        /// The one that was fixed.
        held: MemberSet,
        /// The other.
        shown: MemberSet,
    },
}

impl MemberRefusal {
    /// For another attempt, or out of turn: nothing has changed.
    pub(super) fn not_live() -> Self {
        Self {
            code: RefusalCode::NotLive,
            detail: 0,
            broken: Broken::Live,
            peer: None,
            ends: false,
            evidence: None,
        }
    }

    /// A rule that does not hold; nothing has changed.
    pub(super) fn of(code: RefusalCode, guard: Guard) -> Self {
        Self {
            code,
            broken: Broken::Rule(guard),
            ..Self::not_live()
        }
    }

    /// A roster that is not accepted: the attempt is over.
    pub(super) fn of_roster(fault: Fault) -> Self {
        let (code, detail) = match (fault.guard, fault.peer) {
            (Guard::PeerMarks, Some(peer)) => (RefusalCode::PeerBehind, u64::from(peer)),
            _ => (RefusalCode::RosterInvalid, 0),
        };
        Self {
            detail,
            peer: fault.peer,
            ends: true,
            ..Self::of(code, fault.guard)
        }
    }

    /// A second roster or a second set: the attempt is over.
    pub(super) fn of_equivocation(evidence: Evidence) -> Self {
        let guard = match evidence {
            Evidence::Rosters { .. } => Guard::OneRoster,
            Evidence::Sets { .. } => Guard::OneSet,
        };
        Self {
            ends: true,
            evidence: Some(Box::new(evidence)),
            ..Self::of(RefusalCode::Equivocation, guard)
        }
    }
}
