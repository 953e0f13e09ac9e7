//! Attempts: from a task to sum and noise, whatever leaves of them afterwards.
//!
//! One live attempt per study; noise is used for one attempt and wiped. In node-noise a repeated task is answered with the
//! stored bytes; in shared-noise nothing is stored. No attempt is begun twice in the life of a process, and none that was charged.

use aquifer_shared::base::ids::{AttemptId, Hash32, StudyHash};
use aquifer_shared::base::secret::Secret;
use aquifer_shared::base::time::Timestamp;
use aquifer_shared::domain::sum::{Plan, RoundTerms, StudyTerms, TrustMode, attempt_id, task_hash};
use aquifer_shared::protocol::aggregation::{Broken, Checks, Guard};
use aquifer_shared::protocol::codec::decode;
use aquifer_shared::protocol::wire::{Message, RefusalCode, Task, TaskBody};

use super::offers::code_of_end;
use super::{ComputeJob, Effect, Fresh, Live, NoiseKind, Participant, QuestionJob, Step, Work};
use crate::core::ledger::{AttemptOutcome, Standing};
use crate::core::question::question_of;

/// Why a task is refused: code, detail, and the rule where it is one of the protocol's.
type Broke = (RefusalCode, u64, Option<Guard>);

/// A task that passed every check.
struct Wanted {
    body: TaskBody,
    terms: RoundTerms,
    clip: u32,
}

impl Wanted {
    fn work(&self) -> Work {
        match self.body {
            TaskBody::Question => Work::Question,
            TaskBody::Synthetic(_) => Work::Nothing,
            TaskBody::Counts | TaskBody::Residuals(_) | TaskBody::Evaluation(_) => Work::Round,
        }
    }
}

impl Participant {
    pub(super) fn on_task(&mut self, now: Timestamp, task: &Task, fresh: Fresh) {
        let (study, round, attempt) = (task.study, task.round, task.attempt);
        let id = attempt_id(&study, round, attempt);
        let hash = task_hash(&study, round, &task.body);
        if let Some(code) = self.stopped() {
            return self.refuse(id, study, code, 0);
        }
        if let Some(charged) = self.ledger.charged_task(&study, round, attempt)
            && !self.may_begin_again(&study)
        {
            return self.on_charged_task((study, round, attempt), charged == hash);
        }
        let live = self.desks.get(&study).and_then(|desk| desk.live.as_ref());
        let live = live.map(|live| ((live.round, live.attempt), live.task));
        match live {
            Some((number, _)) if number < (round, attempt) => {
                self.end_live(now, study, AttemptOutcome::Unknown);
            }
            Some((number, task)) if number == (round, attempt) && task == hash => {
                return self.repeat_advert(study);
            }
            Some(_) => return self.refuse(id, study, RefusalCode::NotLive, 0),
            None => {}
        }
        let checked = self.check_task(now, task);
        match checked {
            Err((code, detail, guard)) => {
                let broken = guard.map(Broken::Rule);
                self.refuse_by((id, study), (code, detail), broken, None);
            }
            Ok(_) if fresh.is_none() && self.is_shared(&study) => {
                self.refuse(id, study, RefusalCode::Unfit, 0);
            }
            // What is before it takes longer than it may live: public, like the slots of what is before it.
            Ok(wanted) if self.slots_from(now, &study, &wanted).is_none() => {
                self.refuse(id, study, RefusalCode::NotLive, 0);
            }
            Ok(wanted) => self.start(now, (study, round, attempt), (hash, fresh), wanted),
        }
    }

    /// In shared-noise a charged attempt is over for good: nothing of it is stored. Only a simulation says otherwise.
    fn may_begin_again(&self, study: &StudyHash) -> bool {
        self.is_shared(study) && self.judges.checks.hold(Guard::RisingAttempt, false)
    }

    pub(super) fn is_shared(&self, study: &StudyHash) -> bool {
        let terms = self.ledger.terms(study);
        terms.is_some_and(|terms| terms.mode == TrustMode::SharedNoise)
    }

    /// A task for an attempt that is paid for: the stored bytes if it is the same task, else a refusal.
    fn on_charged_task(&mut self, attempt: (StudyHash, u32, u32), same: bool) {
        let (study, round, number) = attempt;
        let id = attempt_id(&study, round, number);
        if let Standing::Ended(reason) = self.ledger.standing(&study) {
            return self.refuse(id, study, code_of_end(reason), 0);
        }
        if !same || self.is_shared(&study) {
            let detail = self.last_charged(&study);
            let broken = Some(Broken::Rule(Guard::RisingAttempt));
            let code = (RefusalCode::AlreadyCharged, detail);
            return self.refuse_by((id, study), code, broken, None);
        }
        self.repeat_update(attempt);
    }

    fn last_charged(&self, study: &StudyHash) -> u64 {
        let last = self.ledger.last_charged(study);
        last.map_or(0, |(round, attempt)| {
            (u64::from(round) << 32) | u64::from(attempt)
        })
    }

    fn check_task(&self, now: Timestamp, task: &Task) -> Result<Wanted, Broke> {
        let refuse = |code| Err((code, 0, None));
        match self.ledger.standing(&task.study) {
            Standing::Accepted if self.ledger.is_durable(&task.study) => {}
            Standing::Accepted => return refuse(RefusalCode::NotLive),
            Standing::Ended(reason) => return refuse(code_of_end(reason)),
            _ => return refuse(RefusalCode::StudyUnknown),
        }
        let terms = self.ledger.terms(&task.study);
        let terms = terms.ok_or((RefusalCode::StudyUnknown, 0, None))?;
        if self.ledger.present(now) > terms.expires {
            return refuse(RefusalCode::Expired);
        }
        let checks = self.judges.checks;
        let within = task.attempt < u32::from(terms.attempts_max);
        if !checks.hold(Guard::TermsHold, within) {
            return refuse(RefusalCode::AttemptsUsedUp);
        }
        let last = self.ledger.last_charged(&task.study);
        let rises = last.is_none_or(|last| last < (task.round, task.attempt));
        if !checks.hold(Guard::RisingAttempt, rises) {
            let detail = self.last_charged(&task.study);
            let guard = Some(Guard::RisingAttempt);
            return Err((RefusalCode::AlreadyCharged, detail, guard));
        }
        let desk = self.desks.get(&task.study);
        let begun = desk.is_some_and(|desk| desk.begun.contains(&(task.round, task.attempt)));
        if !checks.hold(Guard::RisingAttempt, !begun) {
            return Err((RefusalCode::NotLive, 0, Some(Guard::RisingAttempt)));
        }
        self.still_serves(&task.study, terms)
            .map_err(|code| (code, 0, None))?;
        let differs = (RefusalCode::TermsDiffer, 0, Some(Guard::TermsHold));
        let wanted = read_task(terms, task, checks).ok_or(differs)?;
        let fits = self.rules.fits(&wanted.body, wanted.terms.cells_max);
        if !checks.hold(Guard::TermsHold, fits) {
            return Err(differs);
        }
        let covered = self.ledger.covers(&task.study, task.round);
        let guard = Some(Guard::WithinBudget);
        covered.map_err(|shortfall| (RefusalCode::Budget, shortfall.left.0, guard))?;
        Ok(wanted)
    }

    /// Whether a study may be served as it was accepted: by the policy of today, with customers split as they were then.
    fn still_serves(&self, study: &StudyHash, terms: &StudyTerms) -> Result<(), RefusalCode> {
        let accepted = self.ledger.accepted_with(study);
        let (approvals, split) = accepted.ok_or(RefusalCode::StudyUnknown)?;
        self.rules.still_serves(study, terms, approvals)?;
        if split != self.rules.split {
            return Err(RefusalCode::HoldOut);
        }
        Ok(())
    }

    /// From when the slots of a task that arrives now are counted; none where its answer would leave after its life.
    fn slots_from(&self, now: Timestamp, study: &StudyHash, wanted: &Wanted) -> Option<Timestamp> {
        let terms = self.ledger.terms(study)?;
        let slots_from = self.turns.next(now, wanted.work());
        let leaves = slots_from.after_ms(terms.slot_ms.into());
        let dies = now.after_ms(terms.attempt_ttl_ms.into());
        (slots_from == now || leaves < dies).then_some(slots_from)
    }

    fn start(
        &mut self,
        now: Timestamp,
        (study, round, attempt): (StudyHash, u32, u32),
        (task, fresh): (Hash32, Fresh),
        wanted: Wanted,
    ) {
        let id = attempt_id(&study, round, attempt);
        let slot_ms = self.ledger.terms(&study).map_or(0, |terms| terms.slot_ms);
        let slots_from = self.turns.next(now, wanted.work());
        self.turns.take(now, slot_ms, wanted.work());
        let desk = self.desks.entry(study).or_default();
        // A synthetic sum reads no customer.
        let sum = match wanted.body {
            TaskBody::Synthetic(cells) => Some(Secret::new(vec![0; cells as usize])),
            _ => None,
        };
        let compute = sum.is_none();
        desk.begun.insert((round, attempt));
        desk.live = Some(Live {
            id,
            round,
            attempt,
            task,
            arrived: now,
            slots_from,
            fresh,
            step: Step::Gathering(sum),
        });
        self.draw_for_round(study, round);
        if compute {
            self.compute(now, study, (id, task), wanted);
        }
        self.try_seal(now, study);
    }

    /// Erases a study's live attempt; what was charged of it stays charged.
    pub(super) fn end_live(&mut self, now: Timestamp, study: StudyHash, outcome: AttemptOutcome) {
        let desk = self.desks.get_mut(&study);
        if let Some(live) = desk.and_then(|desk| desk.live.take()) {
            self.close(now, (study, live.round, live.attempt), outcome);
        }
    }

    /// Asks for the sum of the live attempt, after the one that is being computed: at most one sum of a study is under way,
    /// so that tasks that are called off at once make no queue.
    fn compute(
        &mut self,
        now: Timestamp,
        study: StudyHash,
        (attempt, task): (AttemptId, Hash32),
        wanted: Wanted,
    ) {
        let terms = self.ledger.terms(&study).expect("accepted: see check_task");
        let brief = self.rules.brief(now, &self.ledger, terms).map(Box::new);
        let job = ComputeJob {
            attempt,
            task,
            study,
            family: terms.family.clone(),
            holdout: terms.holdout.clone(),
            clip: wanted.clip,
            terms: wanted.terms,
            inquiry: question_of(&terms.plan).map(|question| {
                Box::new(QuestionJob {
                    question,
                    customers_max: terms.customers_max,
                    data_version: self.rules.data_version.clone(),
                })
            }),
            body: wanted.body,
            brief,
        };
        self.desks.entry(study).or_default().next_job = Some(Box::new(job));
        self.compute_next(study);
    }

    /// Has the study's next sum computed, if none is under way and it is still wanted.
    fn compute_next(&mut self, study: StudyHash) {
        let desk = self.desks.entry(study).or_default();
        if desk.computing.is_some() {
            return;
        }
        let live = desk.live.as_ref();
        let live = live.filter(|live| matches!(live.step, Step::Gathering(None)));
        let wanted = live.map(|live| (live.id, live.task));
        let job = desk.next_job.take();
        if let Some(job) = job.filter(|job| wanted == Some((job.attempt, job.task))) {
            desk.computing = wanted;
            self.effects.push_back(Effect::Compute(job));
        }
    }

    pub(super) fn on_computed(
        &mut self,
        now: Timestamp,
        asked: (AttemptId, Hash32),
        sum: Result<Secret<Vec<i64>>, RefusalCode>,
    ) {
        let mut desks = self.desks.iter_mut();
        let Some((study, desk)) = desks.find(|(_, desk)| desk.computing == Some(asked)) else {
            return;
        };
        let study = *study;
        desk.computing = None;
        // Asked again for something else, the same attempt would take the sum of another task.
        let live = desk.live.as_mut();
        let live = live.filter(|live| (live.id, live.task) == asked);
        let live = live.filter(|live| matches!(live.step, Step::Gathering(None)));
        match (live, sum) {
            (Some(live), Ok(sum)) => {
                live.step = Step::Gathering(Some(sum));
                self.try_seal(now, study);
            }
            (Some(_), Err(code)) => self.give_up(now, study, asked.0, code),
            (None, _) => {}
        }
        self.compute_next(study);
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
            self.give_up(now, study, id, RefusalCode::Unfit);
        }
    }

    /// An attempt that was not charged ends here; its refusal leaves when its answer would have.
    ///
    /// # Privacy
    ///
    /// At once, a refusal would tell to the millisecond when computing was over.
    pub(super) fn give_up(
        &mut self,
        now: Timestamp,
        study: StudyHash,
        attempt: AttemptId,
        code: RefusalCode,
    ) {
        let leaves = self.leaves(now, study);
        let live = self.desks.get_mut(&study);
        let live = live.and_then(|desk| desk.live.as_mut());
        if let Some(live) = live.filter(|live| live.id == attempt) {
            live.step = Step::GivingUp(code, leaves);
        }
    }

    /// Refuses the attempts that were given up and whose slot has come.
    pub(super) fn send_due_refusals(&mut self, now: Timestamp) {
        let mut due = Vec::new();
        for (study, desk) in &mut self.desks {
            let over = |live: &mut Live| matches!(live.step, Step::GivingUp(_, at) if at <= now);
            if let Some(live) = desk.live.take_if(over)
                && let Step::GivingUp(code, _) = live.step
            {
                due.push((live.id, *study, code));
            }
        }
        for (id, study, code) in due {
            self.refuse(id, study, code, 0);
        }
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

    /// With sum and noise there: adds and wipes them; what follows waits for the slot.
    pub(super) fn try_seal(&mut self, now: Timestamp, study: StudyHash) {
        let Some(noisy) = self.add_up(&study) else {
            return;
        };
        if self.is_shared(&study) {
            self.advertise(now, study, noisy);
        } else {
            self.await_slot(now, study, noisy);
        }
        // Ahead of the next task; not where this one has ended.
        if let Some(round) = self.live_round(&study) {
            self.draw_for_round(study, round.saturating_add(1));
        }
    }

    fn live_round(&self, study: &StudyHash) -> Option<u32> {
        let live = self.desks.get(study)?.live.as_ref()?;
        Some(live.round)
    }

    /// Sum plus noise, once both are there. Each is used once.
    ///
    /// # Privacy
    ///
    /// The exact sum leaves this function only with noise in every cell.
    fn add_up(&mut self, study: &StudyHash) -> Option<Secret<Vec<i64>>> {
        let round = self.live_round(study)?;
        let kind = self.kind_of(study, round);
        let bound = self.sum_abs_max(study, round);
        let desk = self.desks.get_mut(study)?;
        let there = desk.noise.as_ref().map(|(kind, _)| *kind) == kind;
        let live = desk.live.as_mut()?;
        if !there || !matches!(live.step, Step::Gathering(Some(_))) {
            return None;
        }
        let step = std::mem::replace(&mut live.step, Step::Gathering(None));
        let Step::Gathering(Some(sum)) = step else {
            return None;
        };
        let (_, noise) = desk.noise.take()?;
        Some(add(&sum, &noise, bound))
    }

    fn sum_abs_max(&self, study: &StudyHash, round: u32) -> u64 {
        let terms = self.ledger.terms(study);
        let round = terms.and_then(|terms| Some((terms, terms.rounds.get(round as usize)?)));
        round.map_or(0, |(terms, round)| {
            terms.customers_max * u64::from(round.cell_abs_max)
        })
    }
}

/// The task's content, if it is what the plan asks in that round and fits the terms.
fn read_task(terms: &StudyTerms, task: &Task, checks: Checks) -> Option<Wanted> {
    let round = *terms.rounds.get(task.round as usize)?;
    let body: TaskBody = decode("task body", &task.body, Task::BYTES_MAX).ok()?;
    let last = terms.rounds.len() - 1;
    let clip = match &terms.plan {
        Plan::Additive { clip, .. } => {
            let expected = match (&body, task.round as usize) {
                (TaskBody::Counts, 0) => true,
                (TaskBody::Evaluation(_), index) => index == last,
                (TaskBody::Residuals(_), index) => index > 0 && index < last,
                _ => false,
            };
            let fits = checks.hold(Guard::TermsHold, expected);
            fits.then_some(*clip)?
        }
        Plan::Synthetic { .. } => {
            let fits = matches!(&body, TaskBody::Synthetic(cells) if (1..=round.cells_max).contains(cells));
            checks.hold(Guard::TermsHold, fits).then_some(0)?
        }
        Plan::Question { .. } => {
            let fits = matches!(body, TaskBody::Question);
            checks.hold(Guard::TermsHold, fits).then_some(0)?
        }
    };
    Some(Wanted {
        body,
        terms: round,
        clip,
    })
}

/// x + z.
///
/// # Privacy
///
/// Every cell of the sum gets a draw of its own; draws that no cell needs are wiped with the rest.
fn add(sum: &Secret<Vec<i64>>, noise: &Secret<Vec<i64>>, bound: u64) -> Secret<Vec<i64>> {
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
    Secret::new(sum.iter().zip(noise).map(add).collect())
}
