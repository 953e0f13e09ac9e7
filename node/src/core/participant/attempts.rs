//! Attempts: from a task to an update that leaves at its slot, paid for once.
//!
//! One live attempt per study. A repeated task is answered with the stored bytes; noise is used for one attempt and wiped.

use aquifer_shared::base::ids::{AttemptId, Hash32, StudyHash};
use aquifer_shared::base::secret::Secret;
use aquifer_shared::base::time::Timestamp;
use aquifer_shared::domain::sum::{Plan, RoundTerms, StudyTerms, attempt_id, task_hash};
use aquifer_shared::protocol::codec::decode;
use aquifer_shared::protocol::wire::{
    Message, RefusalCode, Task, TaskBody, Update, frame, update_digest,
};

use super::offers::code_of_end;
use super::{ComputeJob, Effect, Live, NoiseKind, Outgoing, Participant, Released, Sign, Step};
use crate::core::ledger::{AttemptOutcome, Standing};

/// A task that passed every check.
struct Wanted {
    body: TaskBody,
    terms: RoundTerms,
    clip: u32,
}

impl Participant {
    pub(super) fn on_task(&mut self, now: Timestamp, task: Task) {
        let (study, round, attempt) = (task.study, task.round, task.attempt);
        let id = attempt_id(&study, round, attempt);
        let hash = task_hash(&study, round, &task.body);
        if self.unfit {
            return self.refuse(id, study, RefusalCode::Unfit, 0);
        }
        if let Some(charged) = self.ledger.charged_task(&study, round, attempt) {
            return self.on_charged_task((study, round, attempt), charged == hash);
        }
        let live = self.desks.get(&study).and_then(|desk| desk.live.as_ref());
        if let Some(live) = live.filter(|live| (live.round, live.attempt) >= (round, attempt)) {
            // The same task again while it is worked on: the answer is on its way.
            if live.id != id || live.task != hash {
                self.refuse(id, study, RefusalCode::NotLive, 0);
            }
            return;
        }
        match self.check_task(now, &task) {
            Err((code, detail)) => self.refuse(id, study, code, detail),
            Ok(wanted) => self.start(now, (study, round, attempt), hash, wanted),
        }
    }

    /// A task for an attempt that is paid for: the stored bytes if it is the same task, else a refusal.
    fn on_charged_task(&mut self, attempt: (StudyHash, u32, u32), same: bool) {
        let (study, round, number) = attempt;
        let id = attempt_id(&study, round, number);
        if let Standing::Ended(reason) = self.ledger.standing(&study) {
            return self.refuse(id, study, code_of_end(reason), 0);
        }
        if !same {
            let detail = self.last_charged(&study);
            return self.refuse(id, study, RefusalCode::AlreadyCharged, detail);
        }
        let desk = self.desks.get(&study);
        let live = desk.and_then(|desk| desk.live.as_ref().filter(|live| live.id == id));
        match live.map(|live| &live.step) {
            Some(Step::Sent(update)) => {
                let charge = self.ledger.charge(&study, round, number);
                let released = charge.and_then(|charge| Released::of(&charge, update));
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

    fn last_charged(&self, study: &StudyHash) -> u64 {
        let last = self.ledger.last_charged(study);
        last.map_or(0, |(round, attempt)| {
            (u64::from(round) << 32) | u64::from(attempt)
        })
    }

    fn check_task(&self, now: Timestamp, task: &Task) -> Result<Wanted, (RefusalCode, u64)> {
        let refuse = |code| Err((code, 0));
        match self.ledger.standing(&task.study) {
            Standing::Accepted if self.ledger.is_durable(&task.study) => {}
            Standing::Accepted => return refuse(RefusalCode::NotLive),
            Standing::Ended(reason) => return refuse(code_of_end(reason)),
            _ => return refuse(RefusalCode::StudyUnknown),
        }
        let terms = self.ledger.terms(&task.study);
        let terms = terms.ok_or((RefusalCode::StudyUnknown, 0))?;
        if self.ledger.present(now) > terms.expires {
            return refuse(RefusalCode::Expired);
        }
        if task.attempt >= u32::from(terms.attempts_max) {
            return refuse(RefusalCode::AttemptsUsedUp);
        }
        let last = self.ledger.last_charged(&task.study);
        if last.is_some_and(|last| last >= (task.round, task.attempt)) {
            let detail = self.last_charged(&task.study);
            return Err((RefusalCode::AlreadyCharged, detail));
        }
        let still = self.rules.still_serves(terms);
        still.map_err(|code| (code, 0))?;
        let wanted = read_task(terms, task)
            .filter(|wanted| self.rules.fits(&wanted.body, wanted.terms.cells_max))
            .ok_or((RefusalCode::TermsDiffer, 0))?;
        let covered = self.ledger.covers(&task.study, task.round);
        covered.map_err(|shortfall| (RefusalCode::Budget, shortfall.left.0))?;
        Ok(wanted)
    }

    fn start(
        &mut self,
        now: Timestamp,
        (study, round, attempt): (StudyHash, u32, u32),
        task: Hash32,
        wanted: Wanted,
    ) {
        let id = attempt_id(&study, round, attempt);
        let desk = self.desks.entry(study).or_default();
        let erased = desk.live.take();
        // A synthetic sum reads no customer.
        let sum = match wanted.body {
            TaskBody::Synthetic(cells) => Some(Secret::new(vec![0; cells as usize])),
            _ => None,
        };
        let compute = sum.is_none();
        desk.live = Some(Live {
            id,
            round,
            attempt,
            task,
            arrived: now,
            step: Step::Gathering(sum),
        });
        if let Some(live) = erased {
            let attempt = (study, live.round, live.attempt);
            self.close(now, attempt, AttemptOutcome::Unknown);
        }
        self.draw_for_round(study, round);
        if compute {
            self.compute(study, id, wanted);
        }
        self.try_seal(now, study);
    }

    fn compute(&mut self, study: StudyHash, attempt: AttemptId, wanted: Wanted) {
        let terms = self.ledger.terms(&study).expect("accepted: see check_task");
        let job = ComputeJob {
            attempt,
            study,
            family: terms.family.clone(),
            holdout: terms.holdout.clone(),
            clip: wanted.clip,
            terms: wanted.terms,
            body: wanted.body,
        };
        self.effects.push_back(Effect::Compute(Box::new(job)));
    }

    pub(super) fn on_computed(
        &mut self,
        now: Timestamp,
        attempt: AttemptId,
        sum: Result<Secret<Vec<i64>>, RefusalCode>,
    ) {
        let found = self.desks.iter_mut().find_map(|(study, desk)| {
            let live = desk.live.as_mut().filter(|live| live.id == attempt)?;
            Some((*study, live))
        });
        let Some((study, live)) = found else { return };
        match sum {
            Ok(sum) => {
                if matches!(live.step, Step::Gathering(None)) {
                    live.step = Step::Gathering(Some(sum));
                    self.try_seal(now, study);
                }
            }
            Err(code) => self.give_up(study, attempt, code),
        }
    }

    pub(super) fn on_drawn(
        &mut self,
        now: Timestamp,
        study: StudyHash,
        kind: NoiseKind,
        noise: Option<Secret<Vec<i64>>>,
    ) {
        let Some(desk) = self.desks.get_mut(&study) else {
            return;
        };
        if desk.asked != Some(kind) {
            return;
        }
        desk.asked = None;
        let right = noise.filter(|noise| noise.expose().len() == kind.cells as usize);
        if let Some(noise) = right {
            desk.noise = Some((kind, noise));
            return self.try_seal(now, study);
        }
        let waiting = desk.live.as_ref();
        let waiting = waiting.filter(|live| matches!(live.step, Step::Gathering(_)));
        if let Some(id) = waiting.map(|live| live.id) {
            self.give_up(study, id, RefusalCode::Unfit);
        }
    }

    /// An attempt that was not charged ends here.
    fn give_up(&mut self, study: StudyHash, attempt: AttemptId, code: RefusalCode) {
        if let Some(desk) = self.desks.get_mut(&study) {
            desk.live = None;
        }
        self.refuse(attempt, study, code, 0);
    }

    /// Asks for the noise of a round unless it is there or on its way.
    pub(super) fn draw_for_round(&mut self, study: StudyHash, round: u32) {
        let Some(kind) = self.kind_of(&study, round) else {
            return;
        };
        let desk = self.desks.entry(study).or_default();
        let here = desk.noise.as_ref().map(|(kind, _)| *kind);
        if here != Some(kind) && desk.asked != Some(kind) {
            desk.asked = Some(kind);
            self.effects.push_back(Effect::Draw { study, kind });
        }
    }

    fn kind_of(&self, study: &StudyHash, round: u32) -> Option<NoiseKind> {
        let terms = self.ledger.terms(study)?.rounds.get(round as usize)?;
        Some(NoiseKind {
            sigma: terms.sigma_share,
            cells: terms.cells_max,
        })
    }

    /// With sum and noise there: adds, signs, wipes, pays.
    fn try_seal(&mut self, now: Timestamp, study: StudyHash) {
        let Some(live) = self.desks.get(&study).and_then(|desk| desk.live.as_ref()) else {
            return;
        };
        let (round, attempt) = (live.round, live.attempt);
        let kind = self.kind_of(&study, round);
        let bound = self.sum_abs_max(&study, round);
        let desk = self.desks.get_mut(&study).expect("found above");
        let there = desk.noise.as_ref().map(|(kind, _)| *kind) == kind;
        let live = desk.live.as_mut().expect("found above");
        let ready = matches!(live.step, Step::Gathering(Some(_)));
        if !(there && ready) {
            return;
        }
        let Step::Gathering(Some(sum)) = std::mem::replace(&mut live.step, Step::Gathering(None))
        else {
            return;
        };
        let (_, noise) = desk.noise.take().expect("found above");
        let (id, task) = (live.id, live.task);
        let update = seal(&self.sign, id, task, &sum, &noise, bound);
        drop((sum, noise));
        live.step = Step::Charging(update.clone());
        let paid = self
            .ledger
            .spend(now, (study, round, attempt), task, update);
        if let Err(shortfall) = paid {
            desk.live = None;
            return self.refuse(id, study, RefusalCode::Budget, shortfall.left.0);
        }
        self.urgent = true;
        self.draw_for_round(study, round + 1);
    }

    fn sum_abs_max(&self, study: &StudyHash, round: u32) -> u64 {
        let terms = self.ledger.terms(study);
        let round = terms.and_then(|terms| Some((terms, terms.rounds.get(round as usize)?)));
        round.map_or(0, |(terms, round)| {
            terms.customers_max * u64::from(round.cell_abs_max)
        })
    }

    /// The charge of a study's attempt may be durable now: its update waits for the slot.
    pub(super) fn on_durable(&mut self, now: Timestamp, study: StudyHash) {
        let slot_ms = self.ledger.terms(&study).map_or(0, |terms| terms.slot_ms);
        let Some(desk) = self.desks.get_mut(&study) else {
            return;
        };
        let Some(live) = &mut desk.live else { return };
        let durable = self.ledger.charge(&study, live.round, live.attempt);
        if let (Step::Charging(update), Some(_)) = (&mut live.step, durable) {
            let leaves = now.next_slot(live.arrived, slot_ms);
            live.step = Step::Waiting(std::mem::take(update), leaves);
        }
    }

    /// Sends the updates whose slot has come.
    pub(super) fn send_due(&mut self, now: Timestamp) {
        for (study, desk) in &mut self.desks {
            let Some(live) = &mut desk.live else { continue };
            let due = match &mut live.step {
                Step::Waiting(update, leaves) if *leaves <= now => std::mem::take(update),
                _ => continue,
            };
            let charge = self.ledger.charge(study, live.round, live.attempt);
            let released = charge.and_then(|charge| Released::of(&charge, &due));
            live.step = Step::Sent(due);
            let released =
                released.expect("durable since on_durable, and the bytes that were charged");
            let send = Effect::Send(Outgoing::Update(released));
            self.effects.push_back(send);
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
            .and_then(|(charge, update)| Released::of(&charge, &update));
        match released {
            Some(released) => self.send(Outgoing::Update(released)),
            None => {
                let id = attempt_id(&study, round, attempt);
                self.refuse(id, study, RefusalCode::NotLive, 0);
            }
        }
    }
}

/// The task's content, if it is what the plan asks in that round and fits the terms.
fn read_task(terms: &StudyTerms, task: &Task) -> Option<Wanted> {
    let round = *terms.rounds.get(task.round as usize)?;
    let body: TaskBody = decode("task body", &task.body, Task::BYTES_MAX).ok()?;
    let last = terms.rounds.len() - 1;
    let clip = match terms.plan {
        Plan::Additive { clip, .. } => {
            let expected = match (&body, task.round as usize) {
                (TaskBody::Counts, 0) => true,
                (TaskBody::Evaluation(_), index) => index == last,
                (TaskBody::Residuals(_), index) => index > 0 && index < last,
                _ => false,
            };
            expected.then_some(clip)?
        }
        Plan::Synthetic { .. } => {
            let fits = matches!(&body, TaskBody::Synthetic(cells) if (1..=round.cells_max).contains(cells));
            fits.then_some(0)?
        }
    };
    Some(Wanted {
        body,
        terms: round,
        clip,
    })
}

/// The update's frame: x + z, signed.
///
/// # Privacy
///
/// The exact sum leaves this function only with noise in every cell.
fn seal(
    sign: &Sign,
    attempt: AttemptId,
    task: Hash32,
    sum: &Secret<Vec<i64>>,
    noise: &Secret<Vec<i64>>,
    bound: u64,
) -> Vec<u8> {
    let (sum, noise) = (sum.expose(), noise.expose());
    assert!(
        (1..=noise.len()).contains(&sum.len()),
        "a sum has 1 to cells_max cells"
    );
    assert!(
        sum.iter().all(|cell| cell.unsigned_abs() <= bound),
        "no cell is above customers_max times cell_abs_max"
    );
    let add = |(x, z): (&i64, &i64)| {
        x.checked_add(*z)
            .expect("far below 2^63: sum and noise are bounded")
    };
    let cells: Vec<i64> = sum.iter().zip(noise).map(add).collect();
    let digest = update_digest(&attempt, &task, &cells);
    let signature = sign(&digest);
    frame(&Update {
        attempt,
        task,
        cells,
        signature,
    })
}
