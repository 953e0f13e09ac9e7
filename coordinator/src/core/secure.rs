//! The rounds of a study whose sums are secure: groups open attempts, follow their steps, release their sums or try again.
//!
//! What is durable before what: an attempt's number before its TASK, its roster before ROSTER, the set of dealers with the spool
//! before DELIVERY, a sum before anybody hears of it. With one group the result and the next opening are one append.

use aquifer_shared::base::time::Timestamp;
use aquifer_shared::protocol::aggregation::AssemblyEvent;
use aquifer_shared::protocol::wire::{Delivery, Refusal, RefusalCode, TaskBody};

use super::event::{Abort, Effect, Ending, Member, Record, Secure};
use super::group::{Group, Progress, SecureRound};
use super::rounds::standing_after;
use super::seat::{Seat, Standing};
use super::study::{Close, Stage, Study, Then};

/// What a group waits for; groups by their place in the round.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Written {
    /// Attempt numbers of these groups.
    Opened(Vec<usize>),
    /// A roster, or a set of dealers with its spool.
    Step(usize),
    /// The sum of a group, while others have none yet.
    Summed(usize),
}

impl Study {
    /// Begins a round, after other records: groups whose members are there open their first attempt in the same write.
    pub(super) fn begin_secure(
        &mut self,
        now: Timestamp,
        mut records: Vec<Record>,
        close: Vec<Close>,
        (round, body): (u32, TaskBody),
    ) {
        let place = (round, &body);
        let next = SecureRound::new(now, &self.hash, &self.terms, &self.groups, place);
        let mut next = Box::new(next);
        let suspects = std::mem::take(&mut self.suspects);
        for (group, suspects) in next.groups.iter_mut().zip(suspects) {
            group.suspects = suspects;
            let left_out = group.leave_out(&mut self.seats);
            self.push_notes(left_out);
        }
        let (_, opened) = self.open_ready(now, &mut next);
        records.extend(opened);
        if records.is_empty() {
            self.stage = Stage::Assembling(next);
            return;
        }
        self.persist_then(records, close, Then::Assemble(next));
    }

    /// A round goes on, and what it opened is durable.
    pub(super) fn assemble(&mut self, now: Timestamp, round: Box<SecureRound>) {
        let opening = |group: &Group| matches!(group.progress, Progress::Opening);
        let groups = round.groups.iter().enumerate();
        let opened: Vec<usize> = groups
            .filter(|(_, group)| opening(group))
            .map(|(index, _)| index)
            .collect();
        self.stage = Stage::Assembling(round);
        self.begin_attempts(now, &opened);
    }

    /// Opens attempts of waiting groups whose members are there; which, and their records.
    fn open_ready(&mut self, now: Timestamp, round: &mut SecureRound) -> (Vec<usize>, Vec<Record>) {
        let (mut opened, mut records) = (Vec::new(), Vec::new());
        let number = round.round;
        for (index, group) in round.groups.iter_mut().enumerate() {
            if !matches!(group.progress, Progress::Waiting { .. }) {
                continue;
            }
            let there = group.count(&self.seats, |seat| seat.is_eligible() && seat.connected);
            if there < group.needed() {
                continue;
            }
            let attempt = group.next_attempt(self.conditions);
            group.attempt = Some(attempt);
            group.progress = Progress::Opening;
            opened.push(index);
            records.push(Record::GroupOpened {
                round: number,
                group: group.number,
                attempt,
                at: now,
            });
        }
        for record in &records {
            if let Record::GroupOpened { attempt, .. } = record {
                self.note_open(number, *attempt);
            }
        }
        (opened, records)
    }

    fn begin_attempts(&mut self, now: Timestamp, opened: &[usize]) {
        for index in opened {
            let Stage::Assembling(round) = &mut self.stage else {
                return;
            };
            let begun = round.begin(now, *index, &self.seats, self.conditions);
            let Some((task, members)) = begun else {
                continue;
            };
            for member in members {
                self.push(Effect::Task(member, task.clone()));
            }
        }
    }

    /// Moves groups on whose time has come or whose members are there.
    pub(super) fn advance_secure(&mut self, now: Timestamp) {
        let Stage::Assembling(round) = &self.stage else {
            return;
        };
        let is_due = |group: &Group| match &group.progress {
            Progress::Live(assembly) => assembly.next_wakeup().is_some_and(|due| due <= now),
            _ => false,
        };
        let groups = round.groups.iter().enumerate();
        let due: Vec<usize> = groups
            .filter(|(_, group)| is_due(group))
            .map(|(index, _)| index)
            .collect();
        for index in due {
            self.hand(now, index, AssemblyEvent::Tick);
        }
        self.open_waiting(now);
    }

    /// Opens attempts of waiting groups, or ends the study where members do not come.
    fn open_waiting(&mut self, now: Timestamp) {
        if self.pending.is_some() || !matches!(self.stage, Stage::Assembling(_)) {
            return;
        }
        let Stage::Assembling(mut round) = std::mem::replace(&mut self.stage, Stage::Concluding)
        else {
            return;
        };
        let (opened, records) = self.open_ready(now, &mut round);
        let hopeless = round
            .groups
            .iter()
            .find_map(|group| self.hopeless(now, group));
        let number = round.round;
        self.stage = Stage::Assembling(round);
        if !records.is_empty() {
            let token = self.persist(records);
            self.writes.insert(token, Written::Opened(opened));
        }
        if let Some((group, left, needed)) = hopeless {
            let abort = Abort::GroupTooSmall {
                round: number,
                group,
                left,
                needed,
            };
            self.end(now, Ending::Aborted(abort));
        }
    }

    /// A waiting group that too few members can come to, or did in time: its number, how many, and how many it needs.
    fn hopeless(&self, now: Timestamp, group: &Group) -> Option<(u16, u32, u32)> {
        let Progress::Waiting { until } = group.progress else {
            return None;
        };
        let there = |seat: &Seat| seat.is_eligible() && seat.connected;
        let left = match now >= until {
            true => group.count(&self.seats, there),
            false => group.count(&self.seats, Seat::may_come),
        };
        let needed = group.needed();
        (left < needed).then_some((group.number, left as u32, needed as u32))
    }

    /// When something is to be done if nothing else happens before.
    pub(super) fn secure_wakeup(&self, round: &SecureRound) -> Option<Timestamp> {
        let wakeup = |group: &Group| match &group.progress {
            Progress::Waiting { until } => Some(*until),
            Progress::Live(assembly) => assembly.next_wakeup(),
            Progress::Opening | Progress::Done { .. } => None,
        };
        round.groups.iter().filter_map(wakeup).min()
    }

    /// What is durable may be sent.
    pub(super) fn written(&mut self, now: Timestamp, written: Written) {
        // Where the study ends meanwhile, nothing new begins.
        if self.pending.is_some() {
            return;
        }
        match written {
            Written::Opened(groups) => self.begin_attempts(now, &groups),
            Written::Step(index) => self.hand(now, index, AssemblyEvent::Persisted),
            Written::Summed(index) => {
                let close = self.with_group(index, |round, index| {
                    let group = &mut round.groups[index];
                    if let Progress::Done { told, .. } = &mut group.progress {
                        *told = true;
                    }
                    round.released(&round.groups[index])
                });
                self.tell(close.into_iter().collect());
            }
        }
    }

    /// A member's step of a sum.
    pub(super) fn secure(&mut self, now: Timestamp, member: Member, message: Secure) {
        let Some((index, place)) = self.place(member) else {
            return;
        };
        let event = match message {
            Secure::Advert(advert) => AssemblyEvent::Advert(place, advert),
            Secure::Shares(shares) => AssemblyEvent::Shares(place, shares),
            Secure::Confirm(confirm) => AssemblyEvent::Confirm(place, confirm),
            Secure::Cannot(cannot) => AssemblyEvent::Cannot(place, cannot),
            Secure::Opening(opening) => AssemblyEvent::Opening(place, opening),
        };
        self.hand(now, index, event);
    }

    /// A member has a session, or has none any more: its group is told, and it hears what it may have missed.
    pub(super) fn here(&mut self, now: Timestamp, member: Member, connected: bool) {
        if connected {
            let missed = self.farewells.iter();
            let missed = missed.filter(|close| close.members.contains(&member));
            let missed: Vec<Effect> = missed
                .map(|close| Effect::End(member, close.end.clone()))
                .collect();
            missed.into_iter().for_each(|effect| self.push(effect));
        }
        let Some((index, place)) = self.place(member) else {
            return;
        };
        let event = match connected {
            true => AssemblyEvent::Connected(place),
            false => AssemblyEvent::Disconnected(place),
        };
        self.hand(now, index, event);
        let told = self.with_group(index, |round, index| {
            let group = &round.groups[index];
            let told = matches!(group.progress, Progress::Done { told: true, .. });
            told.then(|| round.released(group)).flatten()
        });
        if let (Some(close), true) = (told, connected) {
            self.push(Effect::End(member, close.end));
        }
    }

    /// A member accepted while rounds run: it helps from here on.
    pub(super) fn joins_late(&mut self, now: Timestamp, member: Member) {
        if let Some((index, place)) = self.place(member) {
            self.hand(now, index, AssemblyEvent::Asked(place));
        }
    }

    /// A member refuses its group's attempt, or the study.
    pub(super) fn refused_secure(&mut self, now: Timestamp, member: Member, refusal: Refusal) {
        let Some((index, place)) = self.place(member) else {
            return;
        };
        let whole = refusal.attempt.0 == [0; 32];
        let charged = (refusal.detail >> 32, refusal.detail as u32);
        let found = self.with_group(index, |round, index| {
            let number = round.round;
            let group = &mut round.groups[index];
            let Progress::Live(assembly) = &group.progress else {
                return whole.then_some(number);
            };
            let live = assembly.attempt() == refusal.attempt;
            let known = refusal.code == RefusalCode::AlreadyCharged;
            if live && known && charged.0 == u64::from(number) {
                group.known.report(member, charged.1);
            }
            (whole || live).then_some(number)
        });
        let Some(round) = found else { return };
        let standing = standing_after(refusal.code, charged.0, round.into());
        self.with_seat(member, |seat| seat.leave_out(standing));
        self.hand(now, index, AssemblyEvent::Refused(place, refusal));
    }

    /// A member was revoked: its session is gone, and it is not asked again unless it comes back.
    pub(super) fn revoked(&mut self, member: Member) {
        self.with_seat(member, |seat| seat.leave_out(Standing::UntilBack));
    }

    /// What [`Effect::Deliver`] sends; none where it is not due any more.
    #[must_use]
    pub fn delivery(&self, member: Member) -> Option<Delivery> {
        let Stage::Assembling(round) = &self.stage else {
            return None;
        };
        let (index, place) = round.place(member)?;
        match &round.groups[index].progress {
            Progress::Live(assembly) => assembly.delivery(place),
            _ => None,
        }
    }

    fn place(&self, member: Member) -> Option<(usize, u16)> {
        match &self.stage {
            Stage::Assembling(round) => round.place(member),
            _ => None,
        }
    }

    pub(super) fn with_group<T>(
        &mut self,
        index: usize,
        change: impl FnOnce(&mut SecureRound, usize) -> Option<T>,
    ) -> Option<T> {
        match &mut self.stage {
            Stage::Assembling(round) => change(round, index),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
