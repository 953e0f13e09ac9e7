//! What goes into a study, what comes out of it, and what is kept of it.

use std::sync::Arc;

use aquifer_shared::base::ids::AttemptId;
use aquifer_shared::protocol::aggregation::{Failure, Offence, Suspicion};
use aquifer_shared::protocol::wire::{
    Advert, Approval, Cannot, Confirm, End, Message, Opening, Proof, Refusal, Roster, Shares,
    StudyEnd, Task, Verdict,
};

use super::update::{Malformed, VerifiedUpdate};

pub use super::ending::{Abort, Ending};
pub use super::record::Record;

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
    /// A member's step of a secure sum, as it came: nothing of it is checked yet.
    Secure(Member, Secure),
    /// A member was revoked: it is not asked any more, unless it comes back.
    Revoked(Member),
    /// The records of a [`Effect::Persist`] are durable.
    Persisted(Token),
    /// After [`Effect::Conclude`]: what became of the model; published or held, or aborted with a reason.
    Concluded(Ending),
    /// A person stops the study, with a reason for people.
    Abort(String),
    /// The rules of law let the study go on no more, and why.
    Denied(String),
    /// Time has passed.
    Tick,
}

/// What a member says in the course of a secure sum.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Secure {
    /// It is ready.
    Advert(Advert),
    /// It dealt.
    Shares(Shares),
    /// It holds its shares of the set.
    Confirm(Confirm),
    /// It cannot open records.
    Cannot(Cannot),
    /// Its point of the sum.
    Opening(Opening),
}

/// Something to do. In order; a [`Effect::Persist`] must be durable before anything after it that is no such is begun, and
/// several in a row may be made durable together.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Append these records and change the spool, all or nothing, then say [`Event::Persisted`].
    Persist {
        /// To be handed back.
        token: Token,
        /// In this order.
        records: Vec<Record>,
        /// In this order.
        spool: Vec<Spool>,
    },
    /// Send the study's offer ([`super::study::Study::offer`]).
    Offer(Member),
    /// Send a task.
    Task(Member, Arc<Task>),
    /// Send a roster.
    Roster(Member, Arc<Roster>),
    /// Send what [`super::study::Study::delivery`] gives.
    Deliver(Member),
    /// Send a proof.
    Proof(Member, Arc<Proof>),
    /// For the log and the audit.
    Note(Note),
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

/// A change of what is kept of the dealers of a fixed set until its attempt is over.
///
/// # Privacy
///
/// What dealers dealt is sealed for its receivers, under keys that are stored nowhere.
#[derive(Clone, Debug, PartialEq)]
pub enum Spool {
    /// Keep what the dealers of a group's set dealt.
    Keep {
        /// Number of the group in the study.
        group: u16,
        /// Index in the group, from 1, and what it dealt.
        dealt: Vec<(u16, Arc<Shares>)>,
    },
    /// The attempt of a group is over.
    Drop {
        /// Number of the group in the study.
        group: u16,
    },
    /// The round or the study is over.
    Clear,
}

/// A line for the log and the audit: who, and which rule; never what was in a message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Note {
    /// A member broke a rule, or another one says so. Once for each attempt.
    Offence {
        /// The member that it is about.
        member: Member,
        /// The rule.
        rule: &'static str,
        /// Who says so, if it was not seen here.
        by: Option<Member>,
    },
    /// A member is left out of the next attempt.
    LeftOut {
        /// Which.
        member: Member,
        /// Why.
        why: Suspicion,
    },
    /// An attempt at a secure sum failed.
    Failed {
        /// Round, from 0.
        round: u32,
        /// Number of the group in the study.
        group: u16,
        /// Attempt, from 0.
        attempt: u32,
        /// Whether members may have paid.
        charged: bool,
        /// Why.
        failure: Failure,
    },
}

impl Secure {
    /// Which step it is, for the log.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Advert(_) => Advert::NAME,
            Self::Shares(_) => Shares::NAME,
            Self::Confirm(_) => Confirm::NAME,
            Self::Cannot(_) => Cannot::NAME,
            Self::Opening(_) => Opening::NAME,
        }
    }

    /// The attempt that it names.
    #[must_use]
    pub fn attempt(&self) -> AttemptId {
        match self {
            Self::Advert(advert) => advert.attempt,
            Self::Shares(shares) => shares.attempt,
            Self::Confirm(confirm) => confirm.attempt,
            Self::Cannot(cannot) => cannot.attempt,
            Self::Opening(opening) => opening.attempt,
        }
    }
}

/// The member of the group who says that another one did this, if it was not seen here.
pub(super) fn said_by(offence: Offence) -> Option<u16> {
    match offence {
        Offence::Accused { by } | Offence::Behind { by } => Some(by),
        Offence::Advert(_)
        | Offence::Shares
        | Offence::Confirm
        | Offence::Cannot
        | Offence::Opening
        | Offence::WrongOpening => None,
    }
}
