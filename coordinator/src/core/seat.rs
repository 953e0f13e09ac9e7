//! A place in a study's roster: what its member said, whether it is there, and whether it takes part.

use aquifer_shared::protocol::wire::{RefusalCode, Verdict};

/// A place in the roster.
#[derive(Clone, Debug)]
pub(super) struct Seat {
    pub(super) verdict: Option<Verdict>,
    pub(super) connected: bool,
    pub(super) standing: Standing,
}

/// Whether a member that accepted takes part now.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Standing {
    /// It does.
    In,
    /// Not in this attempt.
    OutOfAttempt,
    /// Not until it has a session again: it was revoked, or its ledger is behind.
    UntilBack,
    /// In no attempt of this round.
    OutOfRound,
    /// Never again.
    OutOfStudy,
}

impl Seat {
    /// One whose member was not heard yet.
    pub(super) fn empty() -> Self {
        Self {
            verdict: None,
            connected: false,
            standing: Standing::In,
        }
    }

    pub(super) fn has_accepted(&self) -> bool {
        self.verdict == Some(Verdict::Accepted)
    }

    pub(super) fn is_eligible(&self) -> bool {
        self.has_accepted() && self.standing == Standing::In
    }

    /// Whether it could take part in another attempt of the round.
    pub(super) fn may_come(&self) -> bool {
        self.has_accepted() && self.standing < Standing::OutOfRound
    }

    /// Whether it has said its last word: a person may still decide, a further approval may still come.
    pub(super) fn has_answered(&self) -> bool {
        match &self.verdict {
            None | Some(Verdict::Held) => false,
            Some(Verdict::Refused(code, _)) => *code != RefusalCode::NotApproved,
            Some(Verdict::Accepted) => true,
        }
    }

    pub(super) fn leave_out(&mut self, standing: Standing) {
        self.standing = self.standing.max(standing);
    }

    pub(super) fn enter_attempt(&mut self) {
        if self.standing == Standing::OutOfAttempt {
            self.standing = Standing::In;
        }
    }

    pub(super) fn enter_round(&mut self) {
        if !matches!(self.standing, Standing::UntilBack | Standing::OutOfStudy) {
            self.standing = Standing::In;
        }
    }

    /// It has a session.
    pub(super) fn arrive(&mut self) {
        self.connected = true;
        if self.standing == Standing::UntilBack {
            self.standing = Standing::In;
        }
    }
}
