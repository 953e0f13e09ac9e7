//! One attempt at one private sum: who was asked, what came, and the sum of what counts.
//!
//! Lives in memory only. An attempt's number is durable before this exists; its sum is durable before anybody hears of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use aquifer_shared::base::hash::sha256;
use aquifer_shared::base::ids::{AttemptId, Hash32, StudyHash};
use aquifer_shared::base::time::Timestamp;
use aquifer_shared::domain::sum::{StudyTerms, attempt_id, task_hash};
use aquifer_shared::protocol::ask::ReleasedSum;
use aquifer_shared::protocol::codec::encode;
use aquifer_shared::protocol::wire::{End, Task, TaskBody};

use super::event::Member;
use super::update::{CELL_ABS_LIMIT, VerifiedUpdate};

/// The live attempt of a study.
#[derive(Clone, Debug)]
pub(super) struct Attempt {
    pub(super) round: u32,
    pub(super) number: u32,
    pub(super) body: TaskBody,
    id: AttemptId,
    task: Arc<Task>,
    task_hash: Hash32,
    cells: usize,
    opened: Timestamp,
    deadline: Timestamp,
    phase_ms: u32,
    ttl_ms: u32,
    updates: BTreeMap<Member, Vec<i64>>,
}

/// What became of an update.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Taken {
    /// It is in.
    Kept,
    /// The member's update is in already, or it is for another attempt.
    Ignored,
    /// It answers something else than the task.
    Malformed,
}

impl Attempt {
    pub(super) fn start(
        now: Timestamp,
        study: &StudyHash,
        terms: &StudyTerms,
        (round, number): (u32, u32),
        body: TaskBody,
    ) -> Self {
        let bytes = encode(&body);
        Self {
            round,
            number,
            id: attempt_id(study, round, number),
            task_hash: task_hash(study, round, &bytes),
            cells: cells_of(&body, terms.rounds[round as usize].cells_max),
            task: Arc::new(Task {
                study: *study,
                round,
                attempt: number,
                body: bytes,
            }),
            body,
            opened: now,
            deadline: now.after_ms(terms.phase_ms.into()),
            phase_ms: terms.phase_ms,
            ttl_ms: terms.attempt_ttl_ms,
            updates: BTreeMap::new(),
        }
    }

    /// Its number is durable and its task leaves now.
    pub(super) fn begin(&mut self, now: Timestamp) {
        self.opened = now;
        self.deadline = now.after_ms(self.phase_ms.into());
    }

    pub(super) fn age_ms(&self, now: Timestamp) -> u64 {
        now.since_ms(self.opened)
    }

    /// The task, the same bytes whenever it is sent.
    pub(super) fn task(&self) -> Arc<Task> {
        self.task.clone()
    }

    pub(super) fn is(&self, attempt: &AttemptId) -> bool {
        self.id == *attempt
    }

    pub(super) fn take(&mut self, member: Member, update: VerifiedUpdate) -> Taken {
        if !self.is(&update.attempt()) || self.has(member) {
            return Taken::Ignored;
        }
        if update.task() != self.task_hash || update.length() != self.cells {
            return Taken::Malformed;
        }
        self.updates.insert(member, update.into_cells());
        Taken::Kept
    }

    pub(super) fn has(&self, member: Member) -> bool {
        self.updates.contains_key(&member)
    }

    pub(super) fn count(&self) -> usize {
        self.updates.len()
    }

    pub(super) fn members(&self) -> Vec<u32> {
        self.updates.keys().map(|member| *member as u32).collect()
    }

    /// The sum of all updates; `None` if a cell is where no honest sum can be.
    pub(super) fn sum(&self) -> Option<Vec<i64>> {
        let mut sum = vec![0_i64; self.cells];
        for update in self.updates.values() {
            for (total, cell) in sum.iter_mut().zip(update) {
                let next = total.checked_add(*cell)?;
                *total = Some(next).filter(|next| next.unsigned_abs() < CELL_ABS_LIMIT)?;
            }
        }
        Some(sum)
    }

    /// When gathering ends: at the deadline, or at the end of the attempt's life while too few could answer at all.
    pub(super) fn until(&self, reachable: bool) -> Timestamp {
        if reachable {
            return self.deadline;
        }
        self.deadline.max(self.opened.after_ms(self.ttl_ms.into()))
    }

    /// A member that can still help has just been asked: it gets a full phase, within the attempt's life.
    pub(super) fn extend(&mut self, now: Timestamp) {
        let life = self.opened.after_ms(self.ttl_ms.into());
        let phase = now.after_ms(self.phase_ms.into()).min(life);
        self.deadline = self.deadline.max(phase);
    }

    /// The message that closes it.
    pub(super) fn end(&self, released: Option<&ReleasedSum>) -> End {
        End {
            attempt: self.id,
            released: released.is_some(),
            release: released.map_or(Hash32::default(), |sum| sha256(&encode(sum))),
        }
    }
}

/// Cells of the answer to a task.
pub(super) fn cells_of(body: &TaskBody, cells_max: u32) -> usize {
    match body {
        TaskBody::Counts | TaskBody::Evaluation(_) | TaskBody::Question => cells_max as usize,
        TaskBody::Residuals(state) => state.curves.len(),
        TaskBody::Synthetic(cells) => *cells as usize,
    }
}
