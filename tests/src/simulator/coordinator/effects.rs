//! What the study wants, carried out: records, messages; with a chance to die at each of them.

use aquifer_coordinator::core::event::{Effect, Event, Member, Record};
use aquifer_shared::protocol::codec::encode;
use aquifer_shared::protocol::wire::{Message, frame};

use super::Coordinator;
use crate::simulator::faults::Fault;
use crate::simulator::happening::AtCoordinator;
use crate::simulator::network::Way;
use crate::simulator::surroundings::Surroundings;
use crate::simulator::transcript::Mark;

impl Coordinator {
    /// Carries out everything that the study wants now, until records wait for the store.
    pub(super) fn act(&mut self, around: &mut Surroundings) {
        loop {
            let Some(process) = self.process.as_mut().filter(|process| process.unsaved.is_none())
            else {
                break;
            };
            let Some(effect) = process.machine.poll_effect() else {
                break;
            };
            if let Some(mut numbers) = around.strikes(Fault::CoordinatorStops, 0) {
                return self.stop(around, &mut numbers);
            }
            self.perform(around, effect);
        }
        self.set_alarm(around);
    }

    fn set_alarm(&mut self, around: &mut Surroundings) {
        let now = around.now();
        let Some(process) = &mut self.process else { return };
        let wakeup = process.machine.next_wakeup();
        if wakeup == process.wakeup && wakeup.is_none_or(|at| at > now) {
            return;
        }
        process.wakeup = wakeup;
        process.alarm += 1;
        if let Some(at) = wakeup {
            let wakes = AtCoordinator::Wakes(process.alarm);
            around.later_at_coordinator(at.since_ms(now), self.life, wakes);
        }
    }

    fn perform(&mut self, around: &mut Surroundings, effect: Effect) {
        match effect {
            Effect::Persist { token, records } => {
                if let Some(process) = &mut self.process {
                    process.unsaved = Some((token, records));
                }
                let ms = 1 + around.transcript.entries() % 4;
                around.later_at_coordinator(ms, self.life, AtCoordinator::Stores);
            }
            Effect::Offer(member) => {
                let offer = self.process.as_ref().map(|process| process.machine.offer());
                if let Some(offer) = offer {
                    self.send(around, member, &offer);
                }
            }
            Effect::Task(member, task) => {
                around.oracle.on_task(&task);
                self.send(around, member, &task);
            }
            Effect::End(member, end) => self.send(around, member, &end),
            Effect::StudyEnd(member, end) => self.send(around, member, &end),
            Effect::Conclude => {
                around.later_at_coordinator(5, self.life, AtCoordinator::Concludes);
            }
            // It is over since its record is stored.
            Effect::Finished(_) => {}
        }
    }

    fn send<M: Message>(&mut self, around: &mut Surroundings, member: Member, message: &M) {
        if let Some(session) = self.session(member) {
            around.carry(member, Way::Down, session, &frame(message).into());
        }
    }

    /// The store takes the records that wait, or fails and is asked again.
    pub(super) fn save(&mut self, around: &mut Surroundings) {
        let Some(process) = &mut self.process else { return };
        if around.now() < self.fails_until {
            return around.later_at_coordinator(1_000, self.life, AtCoordinator::Stores);
        }
        let Some((token, records)) = process.unsaved.take() else {
            return;
        };
        let now = around.now();
        for record in &records {
            around.note(Mark::Records, 0, &encode(record));
            if let Record::Result {
                round,
                attempt,
                members,
                cells,
                ..
            } = record
            {
                around.note(Mark::Release, 0, &[]);
                around.oracle.on_release(now, (*round, *attempt), members, cells);
            }
            if let Record::Ended { ending, .. } = record {
                around.oracle.on_ending(now, ending);
                self.finished = Some(ending.clone());
            }
        }
        self.store.records.extend(records);
        if let Some(mut numbers) = around.strikes(Fault::CoordinatorStopsAfterWrite, 0) {
            return self.stop(around, &mut numbers);
        }
        self.tell(around, Event::Persisted(token));
    }
}
