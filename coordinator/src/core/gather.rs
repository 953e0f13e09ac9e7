//! The rounds of a study in which each update is private by itself: open an attempt, gather updates, release the sum or try again.
//!
//! The Open record of an attempt is durable before its task leaves; a Result and the next Open are one append.

use aquifer_shared::base::time::Timestamp;
use aquifer_shared::protocol::aggregation::Guard;
use aquifer_shared::protocol::ask::ReleasedSum;
use aquifer_shared::protocol::wire::{Refusal, RefusalCode, TaskBody};

use super::event::{Abort, Effect, Ending, Member, Record};
use super::known::Known;
use super::round::{Attempt, Taken};
use super::rounds::standing_after;
use super::seat::{Seat, Standing};
use super::study::{Close, Stage, Study, Then};
use super::update::{Malformed, VerifiedUpdate};

impl Study {
    /// When an attempt ends if nothing more comes.
    pub(super) fn gathered_at(&self, attempt: &Attempt) -> Timestamp {
        let quorum = usize::from(self.terms.quorum);
        let reaches = |(member, seat): (Member, &Seat)| {
            attempt.has(member) || (seat.is_eligible() && seat.connected)
        };
        let reached = self.seats.iter().enumerate().filter(|pair| reaches(*pair));
        attempt.until(attempt.count() >= quorum || reached.count() >= quorum)
    }

    pub(super) fn advance_attempt(&mut self, now: Timestamp) {
        let Stage::Gathering(attempt) = &self.stage else {
            return;
        };
        let waits = |(member, seat): &(Member, &Seat)| seat.is_eligible() && !attempt.has(*member);
        let waiting = self.seats.iter().enumerate().filter(waits).count();
        let (count, quorum) = (attempt.count(), usize::from(self.terms.quorum));
        let late = now >= self.gathered_at(attempt);
        if count >= quorum && (waiting == 0 || late) {
            return self.release(now);
        }
        if late || count + waiting < quorum {
            self.try_again(now);
        }
    }

    pub(super) fn update(&mut self, member: Member, update: VerifiedUpdate) {
        let eligible = self.seats.get(member).is_some_and(Seat::is_eligible);
        let Stage::Gathering(attempt) = &mut self.stage else {
            return;
        };
        if !eligible || self.pending.is_some() {
            return;
        }
        if attempt.take(member, update) == Taken::Malformed {
            self.leave_out(member, Standing::OutOfAttempt);
        }
    }

    pub(super) fn malformed(&mut self, member: Member, malformed: Malformed) {
        let Stage::Gathering(attempt) = &self.stage else {
            return;
        };
        let counts = attempt.is(&malformed.attempt) && !attempt.has(member);
        if counts && self.pending.is_none() {
            self.leave_out(member, Standing::OutOfAttempt);
        }
    }

    pub(super) fn refused(&mut self, now: Timestamp, member: Member, refusal: Refusal) {
        if refusal.study != self.hash {
            return;
        }
        let Stage::Gathering(attempt) = &self.stage else {
            return self.refused_secure(now, member, refusal);
        };
        let whole = refusal.attempt.0 == [0; 32];
        let live = attempt.is(&refusal.attempt) && self.pending.is_none();
        if !(whole || live) || attempt.has(member) {
            return;
        }
        let (round, charged) = (attempt.round, (refusal.detail >> 32, refusal.detail as u32));
        let standing = standing_after(refusal.code, charged.0, round.into());
        if refusal.code == RefusalCode::AlreadyCharged && charged.0 == u64::from(round) {
            self.known.report(member, charged.1);
        }
        self.leave_out(member, standing);
    }

    /// A member that came back and has not answered gets the live task again.
    pub(super) fn ask_again(&mut self, now: Timestamp, member: Member) {
        let quorum = usize::from(self.terms.quorum);
        let Stage::Gathering(attempt) = &mut self.stage else {
            return;
        };
        if attempt.has(member) {
            return;
        }
        if attempt.count() < quorum {
            attempt.extend(now);
        }
        let task = attempt.task();
        self.push(Effect::Task(member, task));
    }

    /// Begins a round, after the record of the last one's result.
    pub(super) fn begin_gathering(
        &mut self,
        now: Timestamp,
        records: Vec<Record>,
        close: Vec<Close>,
        (round, body): (u32, TaskBody),
    ) {
        let attempt = Attempt::start(now, &self.hash, &self.terms, (round, 0), body);
        self.known = Known::default();
        self.open(now, records, close, attempt);
    }

    /// Makes an attempt's number durable, after other records, and closes the attempt before.
    fn open(
        &mut self,
        now: Timestamp,
        mut records: Vec<Record>,
        close: Vec<Close>,
        attempt: Attempt,
    ) {
        records.push(Record::Open {
            round: attempt.round,
            attempt: attempt.number,
            at: now,
        });
        self.note_open(attempt.round, attempt.number);
        self.persist_then(records, close, Then::Gather(Box::new(attempt)));
    }

    fn release(&mut self, now: Timestamp) {
        let Stage::Gathering(attempt) = &self.stage else {
            return;
        };
        let Some(cells) = attempt.sum() else {
            return self.try_again(now);
        };
        let (round, members) = (attempt.round, attempt.members());
        let sum = ReleasedSum {
            round,
            updates: members.len() as u32,
            cells: cells.clone(),
        };
        let close = self.for_all(attempt.end(Some(&sum)));
        let result = Record::Result {
            round,
            attempt: attempt.number,
            members,
            cells,
            at: now,
        };
        let took_ms = attempt.age_ms(now);
        self.conclude_round(now, sum, took_ms, vec![result], vec![close]);
    }

    /// The attempt has failed: the next one, unless none is left or nobody would come.
    fn try_again(&mut self, now: Timestamp) {
        let Stage::Gathering(attempt) = &self.stage else {
            return;
        };
        let (round, body) = (attempt.round, attempt.body.clone());
        let spare = self.seats.len().saturating_sub(self.terms.quorum.into());
        let number = match self.conditions.checks.hold(Guard::FreshAttempt, false) {
            true => attempt.number,
            false => self.known.floor(spare).max(attempt.number + 1),
        };
        let comes = |seat: &&Seat| seat.has_accepted() && seat.standing <= Standing::OutOfAttempt;
        let (left, quorum) = (
            self.seats.iter().filter(comes).count() as u32,
            u32::from(self.terms.quorum),
        );
        if left < quorum {
            let abort = Abort::TooFewLeft {
                round,
                left,
                quorum,
            };
            return self.end(now, Ending::Aborted(abort));
        }
        if number >= u32::from(self.terms.attempts_max) {
            let abort = Abort::AttemptsUsedUp {
                round,
                attempts: attempt.number + 1,
                quorum,
            };
            return self.end(now, Ending::Aborted(abort));
        }
        let close = self.for_all(attempt.end(None));
        self.seats.iter_mut().for_each(Seat::enter_attempt);
        let next = Attempt::start(now, &self.hash, &self.terms, (round, number), body);
        self.open(now, Vec::new(), vec![close], next);
    }

    fn leave_out(&mut self, member: Member, standing: Standing) {
        self.with_seat(member, |seat| seat.leave_out(standing));
    }
}
