//! What a node's machine wants, carried out: sums, noise, writes, messages; with a chance to die at each of them.

use aquifer_node::core::ledger::{Batch, Beside};
use aquifer_node::core::participant::{ComputeJob, Effect, Event, Outgoing};
use aquifer_shared::base::limits::CLOCK_LOOK_MS;
use aquifer_shared::base::secret::Secret;
use aquifer_shared::protocol::wire::TaskBody;

use super::{Node, frames};
use crate::random::Seeded;
use crate::simulator::disk::{ends_in_vain, torn, without_charges};
use crate::simulator::faults::Fault;
use crate::simulator::happening::AtNode;
use crate::simulator::inputs;
use crate::simulator::network::Way;
use crate::simulator::plant::Plant;
use crate::simulator::surroundings::Surroundings;
use crate::simulator::transcript::Mark;

impl Node {
    /// Carries out everything that the machine wants now, as long as it lives.
    pub(super) fn act(&mut self, around: &mut Surroundings) {
        while let Some(effect) = self
            .process
            .as_mut()
            .and_then(|process| process.machine.poll_effect())
        {
            match effect {
                Effect::Send(message) => self.send(around, message),
                Effect::Journal(batch) => self.write(around, batch),
                Effect::Prepare { .. } | Effect::Late { .. } => {}
                Effect::Compute(job) => self.compute(around, &job),
                Effect::Draw { study, kind } => {
                    let known = study == around.subject.hash;
                    let noise = self.draw(around, (kind.sigma, known), kind.cells as usize);
                    let noise = Some(Secret::new(noise));
                    let drawn = Event::Drawn { study, kind, noise };
                    self.soon(around, AtNode::Done(drawn));
                }
                Effect::Recall {
                    study,
                    round,
                    attempt,
                } => {
                    let update = self.volumes.journal.update((study, round, attempt));
                    let recalled = Event::Recalled {
                        study,
                        round,
                        attempt,
                        update,
                    };
                    around.later_at_node(1, self.place, self.life, AtNode::Done(recalled));
                }
                Effect::ReadLinks { after } => {
                    let links = self.volumes.journal.links_after(after);
                    let links = Event::Links { after, links };
                    around.later_at_node(1, self.place, self.life, AtNode::Done(links));
                }
                Effect::Audit(audit) => around.oracle.on_audit(self.place, &audit),
            }
        }
        self.set_alarm(around);
    }

    /// Wakes the machine when it wants, by a timer that its clock's jumps do not move.
    fn set_alarm(&mut self, around: &mut Surroundings) {
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
            let wakes = AtNode::Wakes(process.alarm);
            let ms = at.since_ms(now).min(CLOCK_LOOK_MS);
            around.later_at_node(ms, self.place, self.life, wakes);
        }
    }

    fn send(&mut self, around: &mut Surroundings, message: Outgoing) {
        let party = self.party();
        if around.scenario.has(Plant::NoOpening) && matches!(message, Outgoing::Opening(_)) {
            return;
        }
        if let Some(mut numbers) = around.strikes(Fault::StopBeforeSend, party) {
            return self.stop(around, &mut numbers);
        }
        let frame = frames::write(message);
        let now = around.now();
        around.oracle.on_sent(now, self.place, &frame);
        let frames = match around.liars[self.place] {
            true => self.liar.twist(around, self.place, frame),
            false => vec![frame],
        };
        for (session, frame) in self
            .session()
            .into_iter()
            .flat_map(|session| frames.iter().map(move |frame| (session, frame)))
        {
            around.carry(self.place, Way::Up, session, frame);
        }
        if let Some(mut numbers) = around.strikes(Fault::StopAfterSend, party) {
            self.stop(around, &mut numbers);
        }
    }

    fn write(&mut self, around: &mut Surroundings, batch: Batch) {
        let party = self.party();
        if let Some(mut numbers) = around.strikes(Fault::StopBeforeWrite, party) {
            return self.stop(around, &mut numbers);
        }
        if let Some(mut numbers) = around.strikes(Fault::TornWrite, party) {
            // A transaction keeps all or nothing; a journal of another make could keep some.
            let torn = torn(batch, &mut numbers);
            self.keep_entries(around, &torn);
            return self.stop(around, &mut numbers);
        }
        if let Some(mut numbers) = around.strikes(Fault::DiskFull, party) {
            // It may be on disk or not: nobody can tell.
            if numbers.next_u64().is_multiple_of(2) {
                self.keep(around, &batch);
            }
            if let Some(process) = &mut self.process {
                process
                    .machine
                    .handle(self.clock.read(around.agenda.now()), Event::JournalFailed);
            }
            return self.stop(around, &mut numbers);
        }
        if around.scenario.has(Plant::ForgottenFsync) {
            let head = batch.head;
            around.later_at_node(50, self.place, self.life, AtNode::Lands(batch, false));
            return self.tell(around, Event::Journaled(head));
        }
        let batch = match around.scenario.has(Plant::DroppedCharge) {
            true => without_charges(batch),
            false => batch,
        };
        self.soon(around, AtNode::Lands(batch, true));
    }

    /// A batch reaches the disk; then, mostly, the machine hears of it.
    pub(super) fn land(&mut self, around: &mut Surroundings, batch: &Batch, tell: bool) {
        let before = self.volumes.witness;
        self.keep(around, batch);
        if let Some(mut numbers) = around.strikes(Fault::StopAfterWrite, self.party()) {
            if numbers.next_u64().is_multiple_of(2) {
                // The witness is written without waiting for its disk.
                self.volumes.witness = before;
            }
            return self.stop(around, &mut numbers);
        }
        if tell {
            self.tell(around, Event::Journaled(batch.head));
        }
    }

    /// The batch is on disk, and the witness names it.
    fn keep(&mut self, around: &mut Surroundings, batch: &Batch) {
        self.keep_entries(around, batch);
        self.volumes.witness = Some(batch.head);
    }

    /// The entries of a batch are on disk.
    fn keep_entries(&mut self, around: &mut Surroundings, batch: &Batch) {
        self.volumes.journal.write(batch);
        let now = around.now();
        for record in &batch.records {
            around.note(Mark::Entries, self.party(), &record.bytes);
            around.oracle.on_entry(now, self.place, &record.bytes);
            if let Beside::Store { update, .. } = &record.beside {
                around.oracle.on_stored(now, self.place, update);
            }
        }
        if around.scenario.has(Plant::RefundOnTimeOut) && ends_in_vain(batch) {
            self.volumes.journal.refund();
        }
        let kept = self.volumes.journal.entries().len() as u64;
        around.oracle.on_kept(now, self.place, kept);
    }

    fn compute(&mut self, around: &mut Surroundings, job: &ComputeJob) {
        let cells = match &job.body {
            TaskBody::Residuals(state) => state.curves.len(),
            _ => job.terms.cells_max as usize,
        };
        let round = around.oracle.round_of(&job.attempt).unwrap_or_default();
        let place = (round, job.terms.part);
        let mut sum = inputs::exact(&around.scenario, self.place, place, &job.body, cells);
        around.oracle.on_exact(self.place, job.attempt, &sum);
        if around.scenario.has(Plant::DoubleCount) {
            sum.iter_mut().for_each(|cell| *cell *= 2);
        }
        let (attempt, task) = (job.attempt, job.task);
        let sum = Ok(Secret::new(sum));
        let computed = Event::Computed { attempt, task, sum };
        self.soon(around, AtNode::Done(computed));
    }

    /// Noise of a scale. A flipped bit in an entry that the witness does not know yet can make another study of the one that
    /// was accepted: nobody asks for that, and its terms are not those that are watched.
    fn draw(
        &mut self,
        around: &mut Surroundings,
        (sigma, known): (u64, bool),
        cells: usize,
    ) -> Vec<i64> {
        let sigma = match around.scenario.has(Plant::WrongHonest) {
            true => sigma * u64::from(around.scenario.honest()) / around.scenario.nodes as u64,
            false => sigma,
        };
        let reused = around.scenario.has(Plant::ReusedNoise);
        if !(reused && self.draws > 0) {
            self.draws += 1;
        }
        let mut noise = inputs::noise(&around.scenario, self.place, self.draws, sigma, cells);
        if around.liars[self.place] && around.strikes(Fault::OutOfRange, self.party()).is_some() {
            noise[0] += 1 << 60;
        }
        let now = around.now();
        if known {
            around.oracle.on_draw(now, self.place, sigma, &noise);
        }
        noise
    }

    /// Work of a few milliseconds; of seconds where the unit is slow.
    fn soon(&mut self, around: &mut Surroundings, what: AtNode) {
        let mut numbers = Seeded::new(around.scenario.seed, around.transcript.entries());
        let mut ms = 1 + numbers.next_u64() % 6;
        if around.now() < self.slow_until {
            ms = 500 + numbers.next_u64() % 60_000;
            self.busy_until = self.busy_until.max(around.now().after_ms(ms));
        }
        if around.scenario.has(Plant::TellingPace) {
            ms += around.scenario.wish.customers;
        }
        around.later_at_node(ms, self.place, self.life, what);
    }
}
