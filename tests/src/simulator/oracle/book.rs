//! Which attempt is which: from the hash that messages carry to round and number.

use std::collections::HashMap;

use aquifer_shared::base::ids::{AttemptId, StudyHash};
use aquifer_shared::domain::sum::attempt_id;
use aquifer_shared::protocol::wire::Task;

use crate::simulator::study::Subject;

/// Attempts that were asked for.
#[derive(Debug)]
pub(super) struct Book {
    study: StudyHash,
    places: HashMap<AttemptId, (u32, u32)>,
}

impl Book {
    pub(super) fn new(subject: &Subject) -> Self {
        Self {
            study: subject.hash,
            places: HashMap::new(),
        }
    }

    /// A task names an attempt.
    pub(super) fn note(&mut self, task: &Task) {
        let id = attempt_id(&task.study, task.round, task.attempt);
        self.places.insert(id, (task.round, task.attempt));
    }

    /// How many attempts were asked for.
    pub(super) fn len(&self) -> u64 {
        self.places.len() as u64
    }

    /// Round and number of an attempt that was asked for.
    pub(super) fn place(&self, id: &AttemptId) -> Option<(u32, u32)> {
        self.places.get(id).copied()
    }

    /// The attempt with this round and number.
    pub(super) fn id(&self, (round, attempt): (u32, u32)) -> AttemptId {
        attempt_id(&self.study, round, attempt)
    }
}
