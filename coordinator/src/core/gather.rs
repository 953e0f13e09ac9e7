//! The rounds of a study: open an attempt, gather updates, release the sum or try again.
//!
//! The Open record of an attempt is durable before its task leaves; a Result and the next Open are one append.

use aquifer_shared::base::time::Timestamp;
use aquifer_shared::domain::predictor::stop::Stop;
use aquifer_shared::protocol::ask::{ReleasedSum, RoundStatus};
use aquifer_shared::protocol::wire::{Refusal, RefusalCode};

use super::event::{Abort, Effect, Ending, Member, Record, Token};
use super::round::{Attempt, Taken};
use super::study::{Seat, Stage, Standing, Study, Then};
use super::update::{Malformed, VerifiedUpdate};

impl Study {
    /// Opens the first round.
    pub(super) fn start(&mut self, now: Timestamp) {
        match self.learning.next_task(&self.sums) {
            Ok(body) => {
                let attempt = Attempt::start(now, &self.hash, &self.terms, (0, 0), body);
                self.open(now, Vec::new(), attempt);
            }
            Err(stop) => self.end(now, stopped(&stop)),
        }
    }

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

    pub(super) fn refused(&mut self, member: Member, refusal: &Refusal) {
        let Stage::Gathering(attempt) = &self.stage else {
            return;
        };
        let whole = refusal.attempt.0 == [0; 32];
        let live = attempt.is(&refusal.attempt) && self.pending.is_none();
        if refusal.study != self.hash || !(whole || live) || attempt.has(member) {
            return;
        }
        let (round, charged) = (attempt.round, (refusal.detail >> 32, refusal.detail as u32));
        let standing = standing_after(refusal.code, charged.0, round.into());
        if refusal.code == RefusalCode::AlreadyCharged && charged.0 == u64::from(round) {
            let above = charged.1.saturating_add(1);
            self.attempt_floor = self.attempt_floor.max(above);
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

    pub(super) fn persisted(&mut self, now: Timestamp, token: Token) {
        let awaited = self.pending.take_if(|pending| pending.token == token);
        let Some(pending) = awaited else {
            return;
        };
        self.durable = self.sums.len();
        if let Some(end) = pending.close {
            for member in self.connected_where(Seat::has_accepted) {
                self.push(Effect::End(member, end.clone()));
            }
        }
        match pending.then {
            Then::Gather(mut attempt) => {
                attempt.begin(now);
                self.send_task(&attempt.task());
                self.stage = Stage::Gathering(attempt);
            }
            Then::Conclude => {
                self.stage = Stage::Concluding;
                self.push(Effect::Conclude);
            }
            Then::End(ending) => self.ended(ending),
        }
    }

    /// Makes an attempt's number durable, after other records, and closes the attempt before.
    fn open(&mut self, now: Timestamp, mut records: Vec<Record>, attempt: Attempt) {
        let close = match &self.stage {
            Stage::Gathering(before) => {
                let released = self.sums.get(before.round as usize);
                Some(before.end(released))
            }
            _ => None,
        };
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
        let end = attempt.end(Some(&sum));
        let result = Record::Result {
            round,
            attempt: attempt.number,
            members,
            cells,
            at: now,
        };
        let took_ms = attempt.age_ms(now);
        self.note_result(&sum, took_ms);
        self.sums.push(sum);
        if self.sums.len() == self.terms.rounds.len() {
            return self.persist_then(vec![result], Some(end), Then::Conclude);
        }
        self.seats.iter_mut().for_each(Seat::enter_round);
        self.attempt_floor = 0;
        match self.learning.next_task(&self.sums) {
            Ok(body) => {
                let next = (round + 1, 0);
                let attempt = Attempt::start(now, &self.hash, &self.terms, next, body);
                self.open(now, vec![result], attempt);
            }
            Err(stop) => {
                let ending = stopped(&stop);
                let ended = Record::Ended {
                    ending: ending.clone(),
                    at: now,
                };
                self.persist_then(vec![result, ended], Some(end), Then::End(ending));
            }
        }
    }

    /// The attempt has failed: the next one, unless none is left or nobody would come.
    fn try_again(&mut self, now: Timestamp) {
        let Stage::Gathering(attempt) = &self.stage else {
            return;
        };
        let (round, body) = (attempt.round, attempt.body.clone());
        let number = self.attempt_floor.max(attempt.number + 1);
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
        self.seats.iter_mut().for_each(Seat::enter_attempt);
        let next = Attempt::start(now, &self.hash, &self.terms, (round, number), body);
        self.open(now, Vec::new(), next);
    }

    fn leave_out(&mut self, member: Member, standing: Standing) {
        self.with_seat(member, |seat| seat.standing = seat.standing.max(standing));
    }

    pub(super) fn note_open(&mut self, round: u32, attempt: u32) {
        if self.rounds.len() <= round as usize {
            self.rounds.push(RoundStatus {
                round,
                attempts: 0,
                updates: 0,
                took_ms: 0,
            });
        }
        if let Some(status) = self.rounds.last_mut() {
            status.attempts = attempt + 1;
        }
    }

    pub(super) fn note_result(&mut self, sum: &ReleasedSum, took_ms: u64) {
        if let Some(status) = self.rounds.last_mut() {
            (status.updates, status.took_ms) = (sum.updates, took_ms);
        }
    }
}

impl Seat {
    fn enter_attempt(&mut self) {
        if self.standing == Standing::OutOfAttempt {
            self.standing = Standing::In;
        }
    }

    fn enter_round(&mut self) {
        if self.standing != Standing::OutOfStudy {
            self.standing = Standing::In;
        }
    }
}

pub(super) fn stopped(stop: &Stop) -> Ending {
    Ending::Aborted(Abort::Stopped {
        code: stop.code().to_owned(),
        reason: stop.to_string(),
    })
}

/// How long a refusal keeps its member out.
fn standing_after(code: RefusalCode, charged_round: u64, round: u64) -> Standing {
    match code {
        // It knows a later round than this coordinator does: nothing earlier will ever come from it.
        RefusalCode::AlreadyCharged if charged_round > round => Standing::OutOfStudy,
        RefusalCode::AlreadyCharged | RefusalCode::NotLive | RefusalCode::Unfit => {
            Standing::OutOfAttempt
        }
        RefusalCode::AttemptsUsedUp | RefusalCode::Budget | RefusalCode::Locked => {
            Standing::OutOfRound
        }
        _ => Standing::OutOfStudy,
    }
}
