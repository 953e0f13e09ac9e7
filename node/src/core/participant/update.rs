//! node-noise: a noisy sum is private on its own. It is signed, paid for, stored, and leaves at its slot.

use aquifer_shared::base::ids::{AttemptId, Hash32, StudyHash};
use aquifer_shared::base::secret::Secret;
use aquifer_shared::base::time::Timestamp;
use aquifer_shared::domain::sum::attempt_id;
use aquifer_shared::protocol::wire::{RefusalCode, Update, frame, update_digest};

use super::{Effect, Outgoing, Participant, Released, Sign, Step};
use crate::core::ledger::Payment;

impl Participant {
    /// Signs a noisy sum and pays for it.
    ///
    /// # Privacy
    ///
    /// It has this node's whole noise in every cell, so its bytes may be stored and, once paid for, sent.
    pub(super) fn pay_update(
        &mut self,
        now: Timestamp,
        study: StudyHash,
        noisy: &Secret<Vec<i64>>,
    ) {
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
        self.on_durable(now, study);
    }

    /// The charge of a study's attempt may be durable now: its update waits for the slot.
    pub(super) fn await_slot(&mut self, now: Timestamp, study: StudyHash) {
        let slot_ms = self.ledger.terms(&study).map_or(0, |terms| terms.slot_ms);
        let desk = self.desks.get_mut(&study);
        let Some(live) = desk.and_then(|desk| desk.live.as_mut()) else {
            return;
        };
        let durable = self.ledger.charge(&study, live.round, live.attempt);
        if let (Step::Charging(update), Some(_)) = (&mut live.step, durable) {
            let leaves = now.next_slot(live.arrived, slot_ms);
            live.step = Step::Waiting(std::mem::take(update), leaves);
        }
    }

    /// Sends the updates whose slot has come.
    pub(super) fn send_due_updates(&mut self, now: Timestamp) {
        for (study, desk) in &mut self.desks {
            let Some(live) = &mut desk.live else { continue };
            let due = match &mut live.step {
                Step::Waiting(update, leaves) if *leaves <= now => std::mem::take(update),
                _ => continue,
            };
            let charge = self.ledger.charge(study, live.round, live.attempt);
            let released = charge.and_then(|charge| Released::update(&charge, &due));
            live.step = Step::Sent(due);
            let released =
                released.expect("durable since await_slot, and the bytes that were charged");
            let send = Effect::Send(Outgoing::Update(released));
            self.effects.push_back(send);
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
            // On its way to the disk or to its slot: the answer will come.
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
