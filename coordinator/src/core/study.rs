//! A study from approval to its end: offers, decisions, rounds, restarts.
//!
//! Decides only: sends nothing, stores nothing, reads no clock. Never uses an attempt number twice, never asks before the
//! number is durable, never publishes a sum that is not.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::sync::Arc;

use aquifer_shared::base::ids::StudyHash;
use aquifer_shared::base::limits::APPROVALS_MAX;
use aquifer_shared::base::time::Timestamp;
use aquifer_shared::domain::predictor::plan::Shape;
use aquifer_shared::domain::sum::{BrokenRule, StudyTerms, TrustMode, study_hash};
use aquifer_shared::protocol::aggregation::{Checks, Suspicion, Verify, is_signed};
use aquifer_shared::protocol::ask::{ReleasedSum, RoundStatus};
use aquifer_shared::protocol::codec::{CodecError, decode};
use aquifer_shared::protocol::wire::{
    Approval, End, Message, Offer, RefusalCode, StudyEnd, Task, Verdict,
};

use super::event::{Abort, Effect, Ending, Event, Member, Record, Spool, Token};
use super::group::SecureRound;
use super::known::Known;
use super::learning::{Learning, learning};
use super::round::Attempt;
use super::seat::{Seat, Standing};
use super::secure::Written;

/// The coordinator's side of one study.
pub struct Study {
    pub(super) hash: StudyHash,
    pub(super) terms: StudyTerms,
    bytes: Vec<u8>,
    pub(super) learning: Box<dyn Learning>,
    pub(super) conditions: Conditions,
    pub(super) approvals: Vec<Approval>,
    pub(super) seats: Vec<Seat>,
    /// Parts of the roster that add up on their own.
    pub(super) groups: Vec<Range<Member>>,
    pub(super) stage: Stage,
    pub(super) pending: Option<Pending>,
    /// Sums decided; the first `durable` of them are released.
    pub(super) sums: Vec<ReleasedSum>,
    pub(super) durable: usize,
    pub(super) rounds: Vec<RoundStatus>,
    /// The last attempt of the live round that each member says to have paid for.
    pub(super) known: Known,
    /// What groups wait for.
    pub(super) writes: BTreeMap<Token, Written>,
    /// Changes of the spool that the next write makes.
    pub(super) spool: Vec<Spool>,
    /// Members to leave out of the first attempts of the next round, by group.
    pub(super) suspects: Vec<BTreeMap<Member, Suspicion>>,
    /// How attempts ended that members may not have heard of, as this process was not there to tell.
    pub(super) farewells: Vec<Close>,
    next_token: u64,
    effects: VecDeque<Effect>,
}

/// Why bytes are not a study that can run.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum BadTerms {
    /// They do not decode.
    #[error(transparent)]
    Codec(#[from] CodecError),
    /// They break a rule.
    #[error(transparent)]
    Rule(#[from] BrokenRule),
}

/// What a study is held to, apart from its terms.
#[derive(Clone, Copy, Debug)]
pub struct Conditions {
    /// How long members that do not answer an offer are waited for.
    pub offer_ms: u64,
    /// How rules are judged.
    pub checks: Checks,
    /// How signatures of members are checked.
    pub verify: Verify,
}

pub(super) enum Stage {
    /// Waits for an approver.
    Submitted,
    /// A standing study that was approved: questions may be asked under it.
    Open,
    /// Waits for the members, until then; after that for people only.
    Offered {
        /// Until when.
        deadline: Timestamp,
        /// It has passed.
        late: bool,
    },
    /// An attempt is out.
    Gathering(Box<Attempt>),
    /// Groups are at their sums.
    Assembling(Box<SecureRound>),
    /// All sums are released; the model is being made.
    Concluding,
    /// Over.
    Ended(Ending),
}

/// What happens when records are durable.
pub(super) struct Pending {
    pub(super) token: Token,
    /// Closes attempts.
    pub(super) close: Vec<Close>,
    pub(super) then: Then,
}

/// A message that closes an attempt, for a part of the roster.
#[derive(Clone, Debug)]
pub(super) struct Close {
    pub(super) members: Range<Member>,
    pub(super) end: End,
}

pub(super) enum Then {
    Gather(Box<Attempt>),
    Assemble(Box<SecureRound>),
    Conclude,
    End(Ending),
}

impl Study {
    /// A study that nobody has signed yet, from the bytes of its terms and its contract's features.
    ///
    /// # Errors
    ///
    /// Bytes that are not terms, or terms that break a rule.
    pub fn new(bytes: Vec<u8>, shapes: &[Shape], conditions: Conditions) -> Result<Self, BadTerms> {
        let terms: StudyTerms = decode("study terms", &bytes, Offer::BYTES_MAX)?;
        terms.check()?;
        Ok(Self {
            hash: study_hash(&bytes),
            learning: learning(&terms, shapes),
            seats: vec![Seat::empty(); terms.roster.len()],
            groups: terms.groups(),
            terms,
            bytes,
            conditions,
            approvals: Vec::new(),
            stage: Stage::Submitted,
            pending: None,
            sums: Vec::new(),
            durable: 0,
            rounds: Vec::new(),
            known: Known::default(),
            writes: BTreeMap::new(),
            spool: Vec::new(),
            suspects: Vec::new(),
            farewells: Vec::new(),
            next_token: 0,
            effects: VecDeque::new(),
        })
    }

    /// Takes in what happened. Events that do not fit the state, repeated ones included, change nothing.
    pub fn handle(&mut self, now: Timestamp, event: Event) {
        match event {
            Event::Approved(approval) => self.approve(now, approval),
            Event::Connected(member) => self.connected(now, member),
            Event::Disconnected(member) => {
                self.with_seat(member, |seat| seat.connected = false);
                self.here(now, member, false);
            }
            Event::Decided(member, verdict) => self.decided(now, member, verdict),
            Event::Update(member, update) => self.update(member, update),
            Event::Malformed(member, malformed) => self.malformed(member, malformed),
            Event::Refused(member, refusal) => self.refused(now, member, refusal),
            Event::Secure(member, message) => self.secure(now, member, message),
            Event::Revoked(member) => self.revoked(member),
            Event::Persisted(token) => self.persisted(now, token),
            Event::Concluded(ending) => {
                if matches!(self.stage, Stage::Concluding) {
                    self.end(now, ending);
                }
            }
            Event::Abort(reason) => self.end(now, Ending::Aborted(Abort::ByPerson(reason))),
            Event::Denied(why) => self.end(now, Ending::Aborted(Abort::Law(why))),
            Event::Tick => {}
        }
        self.advance(now);
        if !self.spool.is_empty() {
            self.persist(Vec::new());
        }
    }

    /// The next thing to do.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// When [`Event::Tick`] is needed if nothing else happens before.
    #[must_use]
    pub fn next_wakeup(&self) -> Option<Timestamp> {
        let expiry = self.terms.expires.after_ms(1);
        match &self.stage {
            Stage::Submitted | Stage::Open => Some(expiry),
            Stage::Offered { .. } | Stage::Gathering(_) | Stage::Assembling(_)
                if self.pending.is_some() =>
            {
                Some(expiry)
            }
            Stage::Offered { late: true, .. } => Some(expiry),
            Stage::Offered { deadline, .. } => Some(expiry.min(*deadline)),
            Stage::Gathering(attempt) => Some(expiry.min(self.gathered_at(attempt))),
            Stage::Assembling(round) => {
                Some(expiry.min(self.secure_wakeup(round).unwrap_or(expiry)))
            }
            Stage::Concluding | Stage::Ended(_) => None,
        }
    }

    /// What members are asked to accept.
    #[must_use]
    pub fn offer(&self) -> Offer {
        Offer {
            terms: self.bytes.clone(),
            approvals: self.approvals.clone(),
        }
    }

    /// Moves on if time or the members allow it.
    fn advance(&mut self, now: Timestamp) {
        if matches!(self.stage, Stage::Concluding | Stage::Ended(_)) || self.is_ending() {
            return;
        }
        if now > self.terms.expires {
            return self.end(now, Ending::Aborted(Abort::Expired));
        }
        if self.pending.is_some() {
            return;
        }
        match self.stage {
            Stage::Offered { deadline, late } => self.advance_offer(now, deadline, late),
            Stage::Gathering(_) => self.advance_attempt(now),
            Stage::Assembling(_) => self.advance_secure(now),
            Stage::Submitted | Stage::Open | Stage::Concluding | Stage::Ended(_) => {}
        }
    }

    /// The stage after the first approval: of waiting for members, from now, or for questions.
    pub(super) fn approved(&self, now: Timestamp) -> Stage {
        if self.terms.is_standing() {
            return Stage::Open;
        }
        Stage::Offered {
            deadline: now.after_ms(self.conditions.offer_ms),
            late: false,
        }
    }

    fn approve(&mut self, now: Timestamp, approval: Approval) {
        let open = matches!(
            self.stage,
            Stage::Submitted | Stage::Open | Stage::Offered { .. }
        );
        let known = self.approvals.iter().any(|known| known.key == approval.key);
        if !open || known || self.approvals.len() >= APPROVALS_MAX || self.pending.is_some() {
            return;
        }
        self.approvals.push(approval.clone());
        self.persist(vec![Record::Approved { approval, at: now }]);
        if matches!(self.stage, Stage::Submitted) {
            self.stage = self.approved(now);
        }
        if self.terms.is_standing() {
            return;
        }
        for member in self.connected_where(|seat| !seat.has_answered()) {
            self.effects.push_back(Effect::Offer(member));
        }
    }

    fn connected(&mut self, now: Timestamp, member: Member) {
        self.with_seat(member, Seat::arrive);
        let Some(seat) = self.seats.get(member) else {
            return;
        };
        let (answered, eligible) = (seat.has_answered(), seat.is_eligible());
        match &self.stage {
            Stage::Ended(ending) => {
                let end = self.study_end(ending);
                return self.effects.push_back(Effect::StudyEnd(member, end));
            }
            Stage::Submitted | Stage::Open | Stage::Concluding => return,
            Stage::Offered { .. } | Stage::Gathering(_) | Stage::Assembling(_) => {}
        }
        if !answered {
            self.effects.push_back(Effect::Offer(member));
        }
        self.here(now, member, true);
        if eligible && self.pending.is_none() {
            self.ask_again(now, member);
        }
    }

    fn decided(&mut self, now: Timestamp, member: Member, verdict: Verdict) {
        let by_person = matches!(verdict, Verdict::Refused(RefusalCode::RefusedByPerson, _));
        let kept = by_person || matches!(verdict, Verdict::Accepted | Verdict::Held);
        if let (Stage::Ended(ending), true) = (&self.stage, kept) {
            // It was away when the study ended, and keeps it open, with budget aside or for a person, until it hears of it.
            let end = self.study_end(ending);
            return self.effects.push_back(Effect::StudyEnd(member, end));
        }
        let running = matches!(self.stage, Stage::Gathering(_) | Stage::Assembling(_));
        let open = running || matches!(self.stage, Stage::Offered { .. });
        let open = open && !self.is_ending();
        let Some(seat) = self.seats.get_mut(member).filter(|_| open) else {
            return;
        };
        if seat.verdict.as_ref() == Some(&verdict) {
            return;
        }
        let had_accepted = seat.has_accepted();
        if !seat.answer(verdict.clone()) {
            return;
        }
        if had_accepted && running {
            seat.standing = Standing::OutOfStudy;
        }
        let eligible = seat.is_eligible();
        self.persist(vec![Record::Decision {
            member: member as u32,
            verdict,
        }]);
        // A latecomer helps from here on.
        if !eligible || self.pending.is_some() {
            return;
        }
        match &self.stage {
            Stage::Gathering(attempt) => {
                let task = attempt.task();
                self.effects.push_back(Effect::Task(member, task));
            }
            _ => self.joins_late(now, member),
        }
    }

    /// Ends the study; durable before anybody hears of it.
    pub(super) fn end(&mut self, now: Timestamp, ending: Ending) {
        if matches!(self.stage, Stage::Ended(_)) || self.is_ending() {
            return;
        }
        // What is on its way to the disk stays true: that attempt is closed as it was going to be.
        let close = match (self.pending.take(), &self.stage) {
            (Some(pending), _) => pending.close,
            (None, Stage::Gathering(attempt)) => vec![self.for_all(attempt.end(None))],
            (None, Stage::Assembling(round)) => round.closes(),
            (None, _) => Vec::new(),
        };
        if self.terms.mode == TrustMode::SharedNoise {
            self.change_spool(Spool::Clear);
        }
        let record = Record::Ended {
            ending: ending.clone(),
            at: now,
        };
        self.persist_then(vec![record], close, Then::End(ending));
    }

    pub(super) fn ended(&mut self, ending: Ending) {
        let end = self.study_end(&ending);
        for member in self.connected_where(|_| true) {
            self.effects
                .push_back(Effect::StudyEnd(member, end.clone()));
        }
        self.effects.push_back(Effect::Finished(ending.clone()));
        self.stage = Stage::Ended(ending);
    }

    fn study_end(&self, ending: &Ending) -> StudyEnd {
        StudyEnd {
            study: self.hash,
            outcome: ending.outcome(),
        }
    }

    fn is_ending(&self) -> bool {
        let then = self.pending.as_ref().map(|pending| &pending.then);
        matches!(then, Some(Then::End(_)))
    }

    pub(super) fn persist_then(&mut self, records: Vec<Record>, close: Vec<Close>, then: Then) {
        let token = self.persist(records);
        self.pending = Some(Pending { token, close, then });
    }

    pub(super) fn persist(&mut self, records: Vec<Record>) -> Token {
        let token = Token(self.next_token);
        self.next_token += 1;
        self.effects.push_back(Effect::Persist {
            token,
            records,
            spool: std::mem::take(&mut self.spool),
        });
        token
    }

    pub(super) fn push(&mut self, effect: Effect) {
        self.effects.push_back(effect);
    }

    pub(super) fn send_task(&mut self, task: &Arc<Task>) {
        for member in self.connected_where(Seat::is_eligible) {
            self.push(Effect::Task(member, task.clone()));
        }
    }

    pub(super) fn connected_where(&self, counts: impl Fn(&Seat) -> bool) -> Vec<Member> {
        let seats = self.seats.iter().enumerate();
        seats
            .filter(|(_, seat)| seat.connected && counts(seat))
            .map(|(member, _)| member)
            .collect()
    }

    pub(super) fn with_seat(&mut self, member: Member, change: impl FnOnce(&mut Seat)) {
        if let Some(seat) = self.seats.get_mut(member) {
            change(seat);
        }
    }
}

impl Conditions {
    /// Every rule counts and every signature is checked: what every program uses.
    #[must_use]
    pub fn strict(offer_ms: u64) -> Self {
        Self {
            offer_ms,
            checks: Checks::STRICT,
            verify: is_signed,
        }
    }
}

#[cfg(test)]
#[path = "study_tests.rs"]
mod tests;

#[cfg(test)]
impl Study {
    /// Other groups than the roster's size gives, so that a test needs no hundreds of members.
    pub(super) fn with_groups(mut self, groups: Vec<Range<Member>>) -> Self {
        self.groups = groups;
        self
    }
}
