//! What comes of a group's live attempt: messages, writes, its sum, or the next attempt.

use aquifer_shared::base::time::Timestamp;
use aquifer_shared::protocol::aggregation::{
    AssemblyEffect, AssemblyEvent, Audit, Durable, FailedSum, SecureSum, Suspicion,
};
use aquifer_shared::protocol::ask::ReleasedSum;

use super::event::{Abort, Effect, Ending, Note, Record, Spool};
use super::group::{GroupSum, Progress, SecureRound};
use super::seat::Seat;
use super::secure::Written;
use super::study::{Stage, Study};

impl Study {
    /// Hands an event to the live attempt of a group, and follows what comes of it.
    pub(super) fn hand(&mut self, now: Timestamp, index: usize, event: AssemblyEvent) {
        if self.pending.is_some() {
            return;
        }
        self.with_group(index, |round, index| {
            match &mut round.groups[index].progress {
                Progress::Live(assembly) => assembly.handle(now, event),
                _ => return None,
            }
            Some(())
        });
        self.follow(now, index);
    }

    /// Follows the live attempt of a group until it has nothing to say.
    pub(super) fn follow(&mut self, now: Timestamp, index: usize) {
        let next = |round: &mut SecureRound, index: usize| match &mut round.groups[index].progress {
            Progress::Live(assembly) => assembly.poll_effect(),
            _ => None,
        };
        while let Some(effect) = self.with_group(index, next) {
            self.perform(now, index, effect);
        }
    }

    fn perform(&mut self, now: Timestamp, index: usize, effect: AssemblyEffect) {
        let Stage::Assembling(round) = &mut self.stage else {
            return;
        };
        let position = |place: u16| round.groups[index].position(place);
        let effect = match effect {
            AssemblyEffect::Task(place) => {
                let (member, attempt) = (position(place), round.groups[index].attempt);
                Effect::Task(member, round.task(attempt.unwrap_or_default()))
            }
            AssemblyEffect::Roster(place, roster) => Effect::Roster(position(place), roster),
            AssemblyEffect::Deliver(place) => Effect::Deliver(position(place)),
            AssemblyEffect::Proof(place, proof) => Effect::Proof(position(place), proof),
            AssemblyEffect::Audit(Audit { member, offence }) => {
                match round.groups[index].note(member, offence) {
                    Some(note) => Effect::Note(note),
                    None => return,
                }
            }
            AssemblyEffect::Persist(durable) => return self.keep_step(index, durable),
            AssemblyEffect::Released(sum) => return self.group_released(now, index, *sum),
            AssemblyEffect::Failed(failed) => return self.group_failed(now, index, failed),
        };
        self.push(effect);
    }

    pub(super) fn push_notes(&mut self, notes: Vec<Note>) {
        let notes = notes.into_iter().map(Effect::Note);
        notes.for_each(|note| self.push(note));
    }

    fn keep_step(&mut self, index: usize, durable: Durable) {
        let Stage::Assembling(round) = &mut self.stage else {
            return;
        };
        let (number, group) = (round.round, &mut round.groups[index]);
        let Some(attempt) = group.attempt else { return };
        let (round, place) = (number, group.number);
        let record = match durable {
            Durable::Roster(roster) => Record::Roster {
                round,
                group: place,
                attempt,
                roster: (*roster).clone(),
            },
            Durable::Set { dealers, spool } => {
                group.spooled = true;
                self.change_spool(Spool::Keep {
                    group: place,
                    dealt: spool,
                });
                Record::Set {
                    round,
                    group: place,
                    attempt,
                    dealers,
                }
            }
        };
        let token = self.persist(vec![record]);
        self.writes.insert(token, Written::Step(index));
    }

    fn group_released(&mut self, now: Timestamp, index: usize, sum: SecureSum) {
        let Stage::Assembling(round) = &mut self.stage else {
            return;
        };
        let (number, groups) = (round.round, round.groups.len());
        let group = &mut round.groups[index];
        if let Some(wrong) = sum.left_out {
            let member = group.position(wrong);
            group.suspects.insert(member, Suspicion::Opening);
        }
        group.suspect_behind();
        let attempt = group.attempt.unwrap_or_default();
        let record = Record::GroupSum {
            round: number,
            group: group.number,
            attempt,
            dealers: sum.dealers,
            cells: sum.cells.clone(),
            at: now,
        };
        let (place, dealers, cells) = (group.number, sum.dealers, sum.cells);
        let sum = GroupSum {
            attempt,
            dealers,
            cells,
        };
        group.progress = Progress::Done { sum, told: false };
        let records = if groups > 1 { vec![record] } else { Vec::new() };
        if round.is_done() {
            return self.release_secure(now, records);
        }
        self.change_spool(Spool::Drop { group: place });
        let token = self.persist(records);
        self.writes.insert(token, Written::Summed(index));
    }

    /// Every group has its sum: releases theirs together.
    fn release_secure(&mut self, now: Timestamp, mut records: Vec<Record>) {
        let Stage::Assembling(round) = &mut self.stage else {
            return;
        };
        let number = round.round;
        let Some((members, cells)) = round.total() else {
            let code = "sum-out-of-range".to_owned();
            let reason = format!("round {number}: the groups' sums do not add up");
            return self.end(now, Ending::Aborted(Abort::Stopped { code, reason }));
        };
        let attempts = round.groups.iter().filter_map(|group| group.attempt);
        records.push(Record::Result {
            round: number,
            attempt: attempts.max().unwrap_or_default(),
            members: members.iter().map(|member| *member as u32).collect(),
            cells: cells.clone(),
            at: now,
        });
        let sum = ReleasedSum {
            round: number,
            updates: members.len() as u32,
            cells,
        };
        let (close, took_ms) = (round.closes(), now.since_ms(round.opened));
        let suspects = round.groups.iter_mut();
        let suspects = suspects.map(|group| std::mem::take(&mut group.suspects));
        self.suspects = suspects.collect();
        self.farewells.clear();
        self.change_spool(Spool::Clear);
        self.conclude_round(now, sum, took_ms, records, close);
    }

    /// A group has no sum: the next attempt, unless none is left or too few would come.
    fn group_failed(&mut self, now: Timestamp, index: usize, failed: FailedSum) {
        let Stage::Assembling(round) = &mut self.stage else {
            return;
        };
        let number = round.round;
        let close = round.failed(&round.groups[index]);
        let group = &mut round.groups[index];
        let (place, attempt) = (group.number, group.attempt.unwrap_or_default());
        let next = group.next_attempt(self.conditions);
        let until = round.patience(now, next);
        let group = &mut round.groups[index];
        for (suspect, why) in failed.suspects {
            let member = group.position(suspect);
            group.suspects.insert(member, why);
        }
        group.close_attempt();
        group.progress = Progress::Waiting { until };
        let seats = &mut self.seats;
        seats[group.members.clone()]
            .iter_mut()
            .for_each(Seat::enter_attempt);
        let left_out = group.leave_out(seats);
        let spooled = std::mem::take(&mut group.spooled);
        self.push(Effect::Note(Note::Failed {
            round: number,
            group: place,
            attempt,
            charged: failed.charged,
            failure: failed.failure,
        }));
        self.push_notes(left_out);
        self.tell(close.into_iter().collect());
        if spooled {
            self.change_spool(Spool::Drop { group: place });
        }
        if next >= u32::from(self.terms.attempts_max) {
            let abort = Abort::GroupAttemptsUsedUp {
                round: number,
                group: place,
                attempts: attempt + 1,
                reason: failed.failure.to_string(),
            };
            self.end(now, Ending::Aborted(abort));
        }
    }
}
