//! node-noise: a noisy sum is private on its own. At its slot it is signed, paid for, stored, and leaves.

use aquifer_shared::base::ids::{AttemptId, Hash32, StudyHash};
use aquifer_shared::base::secret::Secret;
use aquifer_shared::base::time::Timestamp;
use aquifer_shared::domain::sum::attempt_id;
use aquifer_shared::protocol::wire::{RefusalCode, Update, frame, update_digest};

use super::{Effect, Outgoing, Participant, Released, Sign, Step};
use crate::core::ledger::Payment;

impl Participant {
    /// A noisy sum waits for its slot. It is not charged before: a charge shows in refusals, in the answer to a repeated task
    /// and in greetings, and would tell how long adding up took.
    pub(super) fn await_slot(&mut self, now: Timestamp, study: StudyHash, noisy: Secret<Vec<i64>>) {
        let leaves = self.leaves(now, study);
        let desk = self.desks.get_mut(&study);
        if let Some(live) = desk.and_then(|desk| desk.live.as_mut()) {
            live.step = Step::Waiting(noisy, leaves);
        }
    }

    /// Pays for the sums whose slot has come.
    pub(super) fn pay_due_updates(&mut self, now: Timestamp) {
        let mut due = Vec::new();
        for (study, desk) in &mut self.desks {
            let Some(live) = &mut desk.live else { continue };
            if !matches!(&live.step, Step::Waiting(_, leaves) if *leaves <= now) {
                continue;
            }
            let step = std::mem::replace(&mut live.step, Step::Gathering(None));
            if let Step::Waiting(noisy, _) = step {
                due.push((*study, noisy));
            }
        }
        for (study, noisy) in due {
            self.pay_update(now, study, &noisy);
        }
    }

    /// Signs a noisy sum and pays for it.
    ///
    /// # Privacy
    ///
    /// It has this node's whole noise in every cell, so its bytes may be stored and, once paid for, sent.
    fn pay_update(&mut self, now: Timestamp, study: StudyHash, noisy: &Secret<Vec<i64>>) {
        let desk = self.desks.get_mut(&study);
        let Some(live) = desk.and_then(|desk| desk.live.as_mut()) else {
            return;
        };
        let (id, task) = (live.id, live.task);
        let attempt = (study, live.round, live.attempt);
        let update = seal(&self.sign, id, task, noisy);
        live.step = Step::Charging(update.clone());
        let payment = Payment::Update(update);
        if let Err(shortfall) = self.ledger.spend(now, attempt, task, payment) {
            self.desks.entry(study).or_default().live = None;
            return self.refuse(id, study, RefusalCode::Budget, shortfall.left.0);
        }
        self.urgent = true;
        self.on_durable(study);
    }

    /// The charge of a study's attempt may be durable now: its update leaves.
    pub(super) fn send_paid_update(&mut self, study: StudyHash) {
        let desk = self.desks.get_mut(&study);
        let Some(live) = desk.and_then(|desk| desk.live.as_mut()) else {
            return;
        };
        let charge = self.ledger.charge(&study, live.round, live.attempt);
        if let (Step::Charging(update), Some(charge)) = (&mut live.step, charge) {
            let update = std::mem::take(update);
            let released = Released::update(&charge, &update);
            live.step = Step::Sent(update);
            let released = released.expect("the bytes that were charged");
            self.send(Outgoing::Update(released));
        }
    }

    /// Sends the bytes of a charged attempt once more, from memory or from the store.
    pub(super) fn repeat_update(&mut self, attempt: (StudyHash, u32, u32)) {
        let (study, round, number) = attempt;
        let id = attempt_id(&study, round, number);
        let desk = self.desks.get(&study);
        let live = desk.and_then(|desk| desk.live.as_ref().filter(|live| live.id == id));
        match live.map(|live| &live.step) {
            Some(Step::Sent(update)) => {
                let charge = self.ledger.charge(&study, round, number);
                let released = charge.and_then(|charge| Released::update(&charge, update));
                if let Some(released) = released {
                    self.send(Outgoing::Update(released));
                }
            }
            // On its way to the disk: the answer will come.
            Some(_) => {}
            None => self.effects.push_back(Effect::Recall {
                study,
                round,
                attempt: number,
            }),
        }
    }

    pub(super) fn on_recalled(
        &mut self,
        (study, round, attempt): (StudyHash, u32, u32),
        update: Option<Vec<u8>>,
    ) {
        let charge = self.ledger.charge(&study, round, attempt);
        let released = charge
            .zip(update)
            .and_then(|(charge, update)| Released::update(&charge, &update));
        match released {
            Some(released) => self.send(Outgoing::Update(released)),
            None => {
                let id = attempt_id(&study, round, attempt);
                self.refuse(id, study, RefusalCode::NotLive, 0);
            }
        }
    }
}

/// The update's frame, signed.
fn seal(sign: &Sign, attempt: AttemptId, task: Hash32, noisy: &Secret<Vec<i64>>) -> Vec<u8> {
    let cells = noisy.expose().clone();
    let digest = update_digest(&attempt, &task, &cells);
    let signature = sign(&digest);
    frame(&Update {
        attempt,
        task,
        cells,
        signature,
    })
}
