//! The coordinator's side of one attempt at a secure sum of one group: from adverts to the sum, or to a typed failure.
//!
//! Pure: time and acknowledgements are arguments. Sees sealed records and openings, never a member's sum. What stays with the
//! caller (the study machine): the attempt's number and TASK (Open durable before), END, RESULT (durable before it is
//! published), which attempt comes next. After [`AssemblyEffect::Released`] or [`AssemblyEffect::Failed`] nothing more comes.
//!
//! Effects come in order; a [`AssemblyEffect::Persist`] must be durable before [`AssemblyEvent::Persisted`] is said. There is
//! never more than one on its way, and what depends on it comes out only after.
//!
//! Members that are away get what they need when they come back: TASK, ROSTER, DELIVERY or PROOF, the same bytes.

mod event;

use super::{Delivery, MemberSet, Setting};
use crate::base::ids::AttemptId;
use crate::base::time::Timestamp;

pub use event::{
    AssemblyEffect, AssemblyEvent, Audit, Durable, FailedSum, Failure, Kept, Offence, SecureSum,
    Suspicion,
};

/// The machine.
#[derive(Debug)]
pub struct Assembly {
    setting: Setting,
}

/// How long an attempt may take.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Timing {
    /// When its TASK left (after Open was durable).
    pub opened: Timestamp,
    /// After this long a step goes on with the members that it has, if they are enough.
    pub phase_ms: u32,
    /// After this long the attempt has failed.
    pub attempt_ttl_ms: u32,
}

impl Assembly {
    /// An attempt whose TASK leaves now to `asked`, of whom `connected` have a session.
    #[must_use]
    pub fn start(setting: Setting, timing: Timing, asked: MemberSet, connected: MemberSet) -> Self {
        todo!()
    }

    /// An attempt that a coordinator had under way when it stopped, from what is durable. Nobody is connected yet.
    ///
    /// Nothing but Open: it has failed uncharged (the effect says so).
    #[must_use]
    pub fn resume(now: Timestamp, setting: Setting, timing: Timing, kept: Kept) -> Self {
        todo!()
    }

    /// Takes an event. Events for another attempt, duplicates and late ones change nothing.
    pub fn handle(&mut self, now: Timestamp, event: AssemblyEvent) {
        todo!()
    }

    /// The next thing to do.
    pub fn poll_effect(&mut self) -> Option<AssemblyEffect> {
        todo!()
    }

    /// When [`AssemblyEvent::Tick`] is needed if nothing else happens before.
    #[must_use]
    pub fn next_wakeup(&self) -> Option<Timestamp> {
        todo!()
    }

    /// The attempt.
    #[must_use]
    pub fn attempt(&self) -> AttemptId {
        self.setting.attempt
    }

    /// What [`AssemblyEffect::Deliver`] sends; made when it is sent, because it is large. `None` where it is not due (any
    /// more).
    #[must_use]
    pub fn delivery(&self, member: u16) -> Option<Delivery> {
        todo!()
    }
}
