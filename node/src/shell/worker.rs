//! The two threads beside the loop: one adds up customers, one draws noise. Both answer through one queue.
//!
//! Sums and noise exist here and in the participant only, wiped when dropped; neither is ever printed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use aquifer_shared::base::ids::{AttemptId, Name, StudyHash};
use aquifer_shared::base::secret::Secret;
use aquifer_shared::domain::sum::{HoldOut, RoundTerms};
use aquifer_shared::protocol::wire::RefusalCode;
use aquifer_shared::shell::noise::Noise;
use tokio::sync::mpsc::Sender;

use super::cohorts::Cohorts;
use crate::core::contribution::contribution;
use crate::core::holdout::Split;
use crate::core::lawful::Brief;
use crate::core::participant::{ComputeJob, Event, NoiseKind, QuestionJob};
use crate::core::table::Table;
use crate::shell::published::{NoAnswer, Shelf};

/// The threads, as the loop sees them.
pub struct Workers {
    compute: SyncSender<Job>,
    draw: SyncSender<(StudyHash, NoiseKind)>,
}

impl Workers {
    /// Starts both threads; they end when this is dropped.
    ///
    /// # Errors
    ///
    /// The system gives no thread.
    ///
    /// # Privacy
    ///
    /// The table and the hold-out key move to the computing thread and stay there.
    pub fn start(
        (table, cohorts): (Table, Cohorts),
        shelf: Arc<Shelf>,
        holdout_key: Secret<[u8; 32]>,
        noise: impl Noise + 'static,
        events: Sender<Event>,
    ) -> std::io::Result<Self> {
        let (compute, jobs) = sync_channel(QUEUE_MAX);
        let (draw, wishes) = sync_channel(QUEUE_MAX);
        let computed = events.clone();
        let compute_thread = thread::Builder::new().name("compute".into());
        compute_thread.spawn(move || {
            compute_all((&table, cohorts), &shelf, &holdout_key, &jobs, &computed)
        })?;
        let noise_thread = thread::Builder::new().name("noise".into());
        noise_thread.spawn(move || draw_all(noise, &wishes, &events))?;
        Ok(Self { compute, draw })
    }

    /// Asks for the split of the customers ahead of time; costs nothing but time where it is not done.
    pub fn prepare(&self, family: Name, holdout: HoldOut) {
        let _ = self.compute.try_send(Job::Prepare(family, holdout));
    }

    /// Asks for a sum; false where the queue is full or the thread has gone.
    #[must_use]
    pub fn compute(&self, job: Box<ComputeJob>) -> bool {
        self.compute.try_send(Job::Compute(job)).is_ok()
    }

    /// Asks for noise; false where the queue is full or the thread has gone.
    #[must_use]
    pub fn draw(&self, study: StudyHash, kind: NoiseKind) -> bool {
        self.draw.try_send((study, kind)).is_ok()
    }
}

enum Job {
    Prepare(Name, HoldOut),
    Compute(Box<ComputeJob>),
}

fn draw_all(
    mut noise: impl Noise,
    wishes: &Receiver<(StudyHash, NoiseKind)>,
    events: &Sender<Event>,
) {
    while let Ok((study, kind)) = wishes.recv() {
        let drawn = noise.draw(kind.sigma, kind.cells as usize);
        if let Err(fault) = &drawn {
            tracing::error!(study = %study.short(), %fault, "no noise");
        }
        let noise = drawn.ok().map(Secret::new);
        let event = Event::Drawn { study, kind, noise };
        if events.blocking_send(event).is_err() {
            return;
        }
    }
}

fn compute_all(
    (table, mut cohorts): (&Table, Cohorts),
    shelf: &Shelf,
    key: &Secret<[u8; 32]>,
    jobs: &Receiver<Job>,
    events: &Sender<Event>,
) {
    let mut splits = Splits::default();
    cohorts.prepare();
    while let Ok(job) = jobs.recv() {
        let job = match job {
            Job::Compute(job) => job,
            Job::Prepare(family, holdout) => {
                // A rule that cannot be kept shows at the first sum.
                let _ = splits.of(table, key, &family, &holdout);
                continue;
            }
        };
        let sum = match (&job.brief, &job.inquiry) {
            (None, _) => Err(RefusalCode::Law),
            (Some(brief), Some(inquiry)) => {
                let asked = (&**brief, job.attempt);
                answer(shelf, (asked, &mut cohorts), inquiry, &job.terms).map(Secret::new)
            }
            (Some(brief), None) => {
                let split = splits.of(table, key, &job.family, &job.holdout);
                split.and_then(|split| {
                    let cohort = cohorts.of_training(brief, job.attempt)?;
                    let sum = contribution(table, split, &cohort, &job.body, &job.terms, job.clip);
                    sum.map_err(|_| RefusalCode::TermsDiffer)
                })
            }
        };
        if sum.is_ok() {
            cohorts.used_for(&job.study, &job.attempt);
        }
        let (attempt, task) = (job.attempt, job.task);
        let event = Event::Computed { attempt, task, sum };
        if events.blocking_send(event).is_err() {
            return;
        }
    }
}

/// The tables that are served now must still be those that the question is about.
fn answer(
    shelf: &Shelf,
    (asked, cohorts): ((&Brief, AttemptId), &mut Cohorts),
    inquiry: &QuestionJob,
    terms: &RoundTerms,
) -> Result<Vec<i64>, RefusalCode> {
    let snapshot = shelf.current().ok_or(RefusalCode::NotPublished)?;
    if Some(snapshot.epoch()) != inquiry.data_version.as_ref() {
        return Err(RefusalCode::DataVersion);
    }
    let (name, table) = snapshot
        .table(&inquiry.question.table)
        .ok_or(RefusalCode::NotPublished)?;
    if !snapshot.is_for(name, &asked.0.purpose) {
        tracing::warn!(
            table = name,
            purpose = asked.0.purpose,
            "a question is denied: the table was not read for this purpose"
        );
        return Err(RefusalCode::Law);
    }
    let cohort = cohorts.of_question(asked, (name, snapshot.epoch()), table)?;
    let sum = snapshot.answer(&inquiry.question, &cohort, inquiry.customers_max, terms);
    sum.map_err(|refused| match refused {
        NoAnswer::NotServed(_) => RefusalCode::NotPublished,
        NoAnswer::Misfit(_) => RefusalCode::TermsDiffer,
    })
}

/// Hold-outs that were computed, a few at a time.
#[derive(Default)]
struct Splits {
    known: BTreeMap<(Name, String), Split>,
}

impl Splits {
    fn of(
        &mut self,
        table: &Table,
        key: &Secret<[u8; 32]>,
        family: &Name,
        rule: &HoldOut,
    ) -> Result<&Split, RefusalCode> {
        let place = (family.clone(), format!("{rule:?}"));
        if !self.known.contains_key(&place) {
            if self.known.len() >= SPLITS_MAX {
                self.known.clear();
            }
            let split = Split::of(table, key.expose(), family, rule);
            let split = split.map_err(|_| RefusalCode::HoldOut)?;
            self.known.insert(place.clone(), split);
        }
        self.known.get(&place).ok_or(RefusalCode::HoldOut)
    }
}

/// Jobs that may wait; more are refused.
const QUEUE_MAX: usize = 256;
/// Hold-outs kept in memory.
const SPLITS_MAX: usize = 8;
