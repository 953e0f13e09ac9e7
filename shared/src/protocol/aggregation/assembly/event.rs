//! What goes into an attempt at the coordinator, what comes out of it, and what is kept of it.

use std::fmt;
use std::sync::Arc;

use crate::protocol::aggregation::{
    Advert, Cannot, Confirm, Guard, MemberSet, Opening, Proof, Roster, Shares,
};
use crate::protocol::wire::Refusal;

/// Something happened. Members by their index in the group, from 1; who speaks is known from the session.
#[derive(Clone, Debug)]
pub enum AssemblyEvent {
    /// A member is asked now too (it accepted late); its TASK comes out as an effect.
    Asked(u16),
    /// A member has a session.
    Connected(u16),
    /// A member's session is gone.
    Disconnected(u16),
    /// A member is ready.
    Advert(u16, Advert),
    /// A member dealt.
    Shares(u16, Shares),
    /// A member confirms.
    Confirm(u16, Confirm),
    /// A member cannot open records.
    Cannot(u16, Cannot),
    /// A member's opening.
    Opening(u16, Opening),
    /// A member refuses the attempt or the study.
    Refused(u16, Refusal),
    /// The last [`AssemblyEffect::Persist`] is durable.
    Persisted,
    /// Time has passed.
    Tick,
}

/// Something to do, in order.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum AssemblyEffect {
    /// Make this durable, then say [`AssemblyEvent::Persisted`].
    Persist(Durable),
    /// Send the task (again).
    Task(u16),
    /// Send the roster.
    Roster(u16, Arc<Roster>),
    /// Send [`Assembly::delivery`](super::Assembly::delivery).
    Deliver(u16),
    /// Send the proof.
    Proof(u16, Arc<Proof>),
    /// For the audit.
    Audit(Audit),
    /// The sum. The last effect: the result is to be durable before anybody hears of it.
    Released(Box<SecureSum>),
    /// There will be no sum. The last effect.
    Failed(FailedSum),
}

/// What has to be durable before it is sent.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Durable {
    /// Before ROSTER.
    Roster(Arc<Roster>),
    /// Before DELIVERY.
    Set {
        /// U: never changes from here on.
        dealers: MemberSet,
        /// The spool: what the members of U dealt, by rising index.
        ///
        /// # Privacy
        ///
        /// Sealed for their receivers; worthless once the attempt is over: to be deleted then.
        spool: Vec<(u16, Arc<Shares>)>,
    },
}

/// What was durable of an attempt when the coordinator stopped.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Kept {
    /// Its number alone.
    Open,
    /// Its roster too.
    Roster(Roster),
    /// Its set of dealers too.
    Set {
        /// The roster.
        roster: Roster,
        /// U.
        dealers: MemberSet,
        /// The spool.
        spool: Vec<(u16, Shares)>,
    },
}

/// A sum that was opened and checked.
#[derive(Clone, Eq, PartialEq)]
pub struct SecureSum {
    /// U: whose sums and noise are in it.
    pub dealers: MemberSet,
    /// Whose openings it was read from.
    pub openers: MemberSet,
    /// The one opener whose opening was wrong and left out.
    pub left_out: Option<u16>,
    /// The noisy sum.
    pub cells: Vec<i64>,
}

/// An attempt without a sum.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct FailedSum {
    /// Why.
    pub failure: Failure,
    /// Whether members may have paid (ROSTER may have left).
    pub charged: bool,
    /// Members to leave out of the next attempt, and why; by rising index.
    pub suspects: Vec<(u16, Suspicion)>,
}

/// Why there is no sum.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Failure {
    /// Too few members are ready.
    #[error("too-few-adverts: {got} members are ready, expected {needed}")]
    TooFewAdverts {
        /// Found.
        got: usize,
        /// n − d_max.
        needed: usize,
    },
    /// Too few members dealt.
    #[error("too-few-dealers: {got} members dealt, expected {needed}")]
    TooFewDealers {
        /// Found.
        got: usize,
        /// n − d_max.
        needed: usize,
    },
    /// Too few members confirmed the set.
    #[error("too-few-confirmations: {got} members confirmed the set, expected {needed}")]
    TooFewConfirmations {
        /// Found.
        got: usize,
        /// Q.
        needed: usize,
    },
    /// More members than may collude say that a dealer's records do not open.
    #[error(
        "bad-dealing: {got} members cannot open the records of one dealer, at most {allowed} may be lying"
    )]
    BadDealing {
        /// How many say so.
        got: usize,
        /// c_max.
        allowed: usize,
    },
    /// Too few members opened.
    #[error("too-few-openings: {got} members opened, expected {needed}")]
    TooFewOpenings {
        /// Found.
        got: usize,
        /// w + 1.
        needed: usize,
    },
    /// Openings, or dealings, that do not belong together.
    #[error(
        "inconsistent-openings: the openings of {openers} members do not lie on one polynomial"
    )]
    InconsistentOpenings {
        /// How many there were.
        openers: usize,
    },
    /// The sum is no sum of honest vectors.
    #[error("sum-out-of-range: cell {cell} of the sum is out of range or is padding and not zero")]
    OutOfRange {
        /// Which, from 0.
        cell: usize,
    },
    /// What the coordinator kept when it stopped is not enough to go on.
    #[error("interrupted: the coordinator stopped, and what it kept is not enough to go on")]
    Interrupted,
}

/// Why a member is left out of the next attempt.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Suspicion {
    /// Its dealing does not open, says more than c_max members.
    Dealing,
    /// Its opening was wrong.
    Opening,
    /// Its ledger is behind, say enough of its peers; until it has adopted its own chain.
    Ledger,
    /// It sent what no honest member sends.
    Message,
}

/// A line for the audit: which member, which rule. Never what was in the message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Audit {
    /// The member that it is about.
    pub member: u16,
    /// What happened.
    pub offence: Offence,
}

/// What a member did, or is said to have done.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Offence {
    /// Its advert does not count, because of this rule.
    Advert(Guard),
    /// Its shares are not one record of the right size for every other member of the roster.
    Shares,
    /// Its confirmation is not signed by it over the set.
    Confirm,
    /// It names dealers that are not in the set.
    Cannot,
    /// Its opening is not signed by it, or is no opening.
    Opening,
    /// Its opening disagrees with all others.
    WrongOpening,
    /// This member says that its records do not open.
    Accused {
        /// Who says so.
        by: u16,
    },
    /// This member says that its ledger is behind.
    Behind {
        /// Who says so.
        by: u16,
    },
}

impl Offence {
    /// Its name in audits.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Advert(guard) => guard.name(),
            Self::Shares => "shares",
            Self::Confirm => "confirm",
            Self::Cannot => "cannot",
            Self::Opening => "opening",
            Self::WrongOpening => "spare-openings",
            Self::Accused { .. } => "records-open",
            Self::Behind { .. } => "peer-marks",
        }
    }
}

impl fmt::Display for Audit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (member {}", self.offence.name(), self.member)?;
        match self.offence {
            Offence::Accused { by } | Offence::Behind { by } => write!(f, ", says member {by})"),
            _ => f.write_str(")"),
        }
    }
}

impl fmt::Display for Suspicion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Dealing => "its records do not open",
            Self::Opening => "its opening was wrong",
            Self::Ledger => "its ledger is behind what its peers have seen",
            Self::Message => "it sent what no honest member sends",
        })
    }
}

impl fmt::Debug for SecureSum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "SecureSum({} cells of {} dealers)",
            self.cells.len(),
            self.dealers.len()
        )
    }
}
