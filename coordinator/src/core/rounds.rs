//! What all rounds have in common: they begin with a task, end with a released sum, and the next one follows in the same write.

use aquifer_shared::base::time::Timestamp;
use aquifer_shared::domain::predictor::stop::Stop;
use aquifer_shared::domain::sum::TrustMode;
use aquifer_shared::protocol::aggregation::Guard;
use aquifer_shared::protocol::ask::{ReleasedSum, RoundStatus};
use aquifer_shared::protocol::wire::{End, RefusalCode, TaskBody};

use super::event::{Abort, Effect, Ending, Record, Spool, Token};
use super::seat::{Seat, Standing};
use super::study::{Close, Stage, Study, Then};

impl Study {
    /// Opens the first round.
    pub(super) fn start(&mut self, now: Timestamp) {
        match self.learning.next_task(&self.sums) {
            Ok(body) => self.begin_round(now, Vec::new(), Vec::new(), (0, body)),
            Err(stop) => self.end(now, stopped(&stop)),
        }
    }

    fn begin_round(
        &mut self,
        now: Timestamp,
        records: Vec<Record>,
        close: Vec<Close>,
        next: (u32, TaskBody),
    ) {
        match self.terms.mode {
            TrustMode::NodeNoise => self.begin_gathering(now, records, close, next),
            TrustMode::SharedNoise => self.begin_secure(now, records, close, next),
        }
    }

    /// The sum of the live round is there: makes it durable, together with the opening of the next round.
    pub(super) fn conclude_round(
        &mut self,
        now: Timestamp,
        sum: ReleasedSum,
        took_ms: u64,
        mut records: Vec<Record>,
        mut close: Vec<Close>,
    ) {
        let next = sum.round + 1;
        self.note_result(&sum, took_ms);
        self.sums.push(sum);
        if self.conditions.checks.hold(Guard::ResultFirst, false) {
            self.durable = self.sums.len();
            self.tell(std::mem::take(&mut close));
        }
        if self.sums.len() == self.terms.rounds.len() {
            return self.persist_then(records, close, Then::Conclude);
        }
        self.seats.iter_mut().for_each(Seat::enter_round);
        match self.learning.next_task(&self.sums) {
            Ok(body) => self.begin_round(now, records, close, (next, body)),
            Err(stop) => {
                let ending = stopped(&stop);
                records.push(Record::Ended {
                    ending: ending.clone(),
                    at: now,
                });
                self.persist_then(records, close, Then::End(ending));
            }
        }
    }

    /// Records are durable: what waited for them happens.
    pub(super) fn persisted(&mut self, now: Timestamp, token: Token) {
        if let Some(written) = self.writes.remove(&token) {
            return self.written(now, written);
        }
        let awaited = self.pending.take_if(|pending| pending.token == token);
        let Some(pending) = awaited else {
            return;
        };
        self.durable = self.sums.len();
        self.tell(pending.close);
        match pending.then {
            Then::Gather(mut attempt) => {
                attempt.begin(now);
                self.send_task(&attempt.task());
                self.stage = Stage::Gathering(attempt);
            }
            Then::Assemble(round) => self.assemble(now, round),
            Then::Conclude => {
                self.stage = Stage::Concluding;
                self.push(Effect::Conclude);
            }
            Then::End(ending) => self.ended(ending),
        }
    }

    /// Tells members how attempts ended.
    pub(super) fn tell(&mut self, closes: Vec<Close>) {
        for Close { members, end } in closes {
            let there = |seat: &Seat| seat.connected && seat.has_accepted();
            let told: Vec<usize> = members
                .filter(|member| there(&self.seats[*member]))
                .collect();
            for member in told {
                self.push(Effect::End(member, end.clone()));
            }
        }
    }

    /// A message to the whole roster.
    pub(super) fn for_all(&self, end: End) -> Close {
        let members = 0..self.seats.len();
        Close { members, end }
    }

    /// Keeps or forgets what dealers dealt, with the next write.
    pub(super) fn change_spool(&mut self, change: Spool) {
        self.spool.push(change);
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
            // Groups count their attempts apart; the round shows, and is paid as, the most of them.
            status.attempts = status.attempts.max(attempt + 1);
        }
    }

    pub(super) fn note_result(&mut self, sum: &ReleasedSum, took_ms: u64) {
        if let Some(status) = self.rounds.last_mut() {
            (status.updates, status.took_ms) = (sum.updates, took_ms);
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
pub(super) fn standing_after(code: RefusalCode, charged_round: u64, round: u64) -> Standing {
    match code {
        // It knows a later round than this coordinator does: nothing earlier will ever come from it.
        RefusalCode::AlreadyCharged if charged_round > round => Standing::OutOfStudy,
        RefusalCode::AlreadyCharged | RefusalCode::NotLive | RefusalCode::Unfit => {
            Standing::OutOfAttempt
        }
        // It is the attempt that it cannot take, not the study.
        RefusalCode::RosterInvalid
        | RefusalCode::PeerBehind
        | RefusalCode::Equivocation
        | RefusalCode::ProofInvalid => Standing::OutOfAttempt,
        RefusalCode::AttemptsUsedUp | RefusalCode::Budget | RefusalCode::Locked => {
            Standing::OutOfRound
        }
        _ => Standing::OutOfStudy,
    }
}
