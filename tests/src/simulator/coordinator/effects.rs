//! What the study wants, carried out: records, messages; with a chance to die at each of them.

use aquifer_coordinator::core::event::{Effect, Event, Member, Note, Record, Spool};
use aquifer_shared::base::limits::CLOCK_LOOK_MS;
use aquifer_shared::protocol::aggregation::Guard;
use aquifer_shared::protocol::codec::encode;
use aquifer_shared::protocol::wire::frame;

use super::{Coordinator, Store, Unsaved};
use crate::simulator::faults::Fault;
use crate::simulator::happening::AtCoordinator;
use crate::simulator::network::{Frame, Way};
use crate::simulator::oracle::Said;
use crate::simulator::plant::Plant;
use crate::simulator::surroundings::Surroundings;
use crate::simulator::transcript::Mark;

impl Coordinator {
    /// Carries out everything that the study wants now, until something waits for the store. Writes in a row are one.
    pub(super) fn act(&mut self, around: &mut Surroundings) {
        // The order of records and messages is kept twice, by machine and shell: the bug is that neither does.
        let eager = around.scenario.wish.plant == Some(Plant::Missing(Guard::SetFirst));
        while let Some(process) = &mut self.process {
            if process.unsaved.stores && !eager {
                break;
            }
            let effect = process
                .next
                .take()
                .or_else(|| process.machine.poll_effect());
            let Some(effect) = effect else {
                self.begin_save(around);
                break;
            };
            if let Effect::Persist {
                token,
                records,
                spool,
            } = effect
            {
                process.unsaved.tokens.push(token);
                process.unsaved.records.extend(records);
                let appended = process.unsaved.records.len();
                process.unsaved.appends.push(appended);
                process.unsaved.spool.extend(spool);
                continue;
            }
            if !process.unsaved.tokens.is_empty() && !eager {
                process.next = Some(effect);
                self.begin_save(around);
                break;
            }
            if let Some(mut numbers) = around.strikes(Fault::CoordinatorStops, 0) {
                return self.stop(around, &mut numbers);
            }
            self.perform(around, effect);
        }
        self.set_alarm(around);
    }

    fn begin_save(&mut self, around: &mut Surroundings) {
        let Some(process) = &mut self.process else {
            return;
        };
        if process.unsaved.tokens.is_empty() || process.unsaved.stores {
            return;
        }
        process.unsaved.stores = true;
        let ms = 1 + around.transcript.entries() % 4;
        around.later_at_coordinator(ms, self.life, AtCoordinator::Stores);
    }

    fn set_alarm(&mut self, around: &mut Surroundings) {
        if around.scenario.has(Plant::ForgottenAlarm) {
            return;
        }
        let now = self.clock.read(around.now());
        let Some(process) = &mut self.process else {
            return;
        };
        let wakeup = process.machine.next_wakeup();
        if wakeup == process.wakeup && wakeup.is_none_or(|at| at > now) {
            return;
        }
        process.wakeup = wakeup;
        process.alarm += 1;
        if let Some(at) = wakeup {
            let wakes = AtCoordinator::Wakes(process.alarm);
            let ms = at.since_ms(now).min(CLOCK_LOOK_MS);
            around.later_at_coordinator(ms, self.life, wakes);
        }
    }

    fn perform(&mut self, around: &mut Surroundings, effect: Effect) {
        let Some(process) = &self.process else { return };
        let now = around.now();
        match effect {
            Effect::Offer(member) => {
                let offer = process.machine.offer();
                self.send(around, member, &frame(&offer).into());
            }
            Effect::Task(member, task) => {
                around.oracle.on_task(&task);
                around.oracle.on_said(now, &Said::Task(&task));
                self.send(around, member, &frame(&*task).into());
            }
            Effect::Roster(member, roster) => {
                around.oracle.on_said(now, &Said::Roster(&roster, member));
                self.send(around, member, &frame(&*roster).into());
            }
            Effect::Deliver(member) => {
                if let Some(delivery) = process.machine.delivery(member) {
                    around
                        .oracle
                        .on_said(now, &Said::Delivery(&delivery, member));
                    self.send(around, member, &frame(&delivery).into());
                }
            }
            Effect::Proof(member, proof) => self.send(around, member, &frame(&*proof).into()),
            Effect::End(member, end) => {
                around.oracle.on_said(now, &Said::End(&end));
                self.send(around, member, &frame(&end).into());
            }
            Effect::StudyEnd(member, end) => self.send(around, member, &frame(&end).into()),
            Effect::Conclude => {
                around.later_at_coordinator(5, self.life, AtCoordinator::Concludes);
            }
            Effect::Note(Note::LeftOut { member, .. }) => {
                around.left_out.insert(member);
            }
            // Other notes are for people; a study is over since its record is stored; writes are not performed here.
            Effect::Note(_) | Effect::Finished(_) | Effect::Persist { .. } => {}
        }
    }

    pub(super) fn send(&mut self, around: &mut Surroundings, member: Member, frame: &Frame) {
        if let Some(session) = self.session(member) {
            around.carry(member, Way::Down, session, frame);
        }
    }

    /// The store takes what waits, or fails and is asked again.
    pub(super) fn save(&mut self, around: &mut Surroundings) {
        let Some(process) = &mut self.process else {
            return;
        };
        if around.now() < self.fails_until {
            return around.later_at_coordinator(1_000, self.life, AtCoordinator::Stores);
        }
        let Unsaved {
            tokens,
            records,
            appends,
            spool,
            ..
        } = std::mem::take(&mut process.unsaved);
        for record in &records {
            self.keep(around, record);
        }
        let before = self.store.records.len();
        let appends = appends.into_iter().map(|appended| before + appended);
        self.store.appends.extend(appends);
        self.store.records.extend(records);
        spool
            .into_iter()
            .for_each(|change| self.store.change(change));
        if let Some(mut numbers) = around.strikes(Fault::CoordinatorStopsAfterWrite, 0) {
            return self.stop(around, &mut numbers);
        }
        for token in tokens {
            if let Some(process) = &mut self.process {
                let now = self.clock.read(around.now());
                process.machine.handle(now, Event::Persisted(token));
            }
        }
        self.act(around);
    }

    fn keep(&mut self, around: &mut Surroundings, record: &Record) {
        let now = around.now();
        around.note(Mark::Records, 0, &encode(record));
        let struck = around.faults.struck().len();
        around.oracle.on_record(now, record, around.calm, struck);
        match record {
            Record::Result {
                round,
                attempt,
                members,
                cells,
                ..
            } => {
                around.note(Mark::Release, 0, &[]);
                around
                    .oracle
                    .on_release(now, (*round, *attempt), members, cells);
            }
            Record::GroupSum {
                round,
                group,
                attempt,
                dealers,
                cells,
                ..
            } => around
                .oracle
                .on_group_sum(now, (*round, *attempt), *group, dealers, cells),
            Record::Ended { ending, .. } => {
                around.oracle.on_ending(now, ending);
                self.finished = Some(ending.clone());
            }
            _ => {}
        }
    }
}

impl Store {
    fn change(&mut self, change: Spool) {
        match change {
            Spool::Keep { group, dealt } => {
                self.spool.retain(|(of, ..)| *of != group);
                let dealt = dealt.into_iter();
                self.spool
                    .extend(dealt.map(|(dealer, shares)| (group, dealer, shares)));
            }
            Spool::Drop { group } => self.spool.retain(|(of, ..)| *of != group),
            Spool::Clear => self.spool.clear(),
        }
    }
}
