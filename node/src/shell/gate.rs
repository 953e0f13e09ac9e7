//! Tasks wait here until enough members of their study have signed the history that this node was shown; they are refused where that takes
//! too long.

use std::collections::BTreeMap;

use aquifer_shared::base::ids::{AttemptId, IdentityKey, StudyHash};
use aquifer_shared::base::time::Timestamp;
use aquifer_shared::domain::sum::attempt_id;
use aquifer_shared::protocol::wire::{Refusal, RefusalCode, Task};
use tokio::sync::watch;

use super::witnessing::Witnessed;
use crate::core::participant::{Event, Fresh, Refused};

/// The gate.
pub struct TaskGate {
    witnessed: Witnessed,
    /// At most one of each study: another task of it takes its place.
    waiting: BTreeMap<StudyHash, Waiting>,
}

struct Waiting {
    attempt: AttemptId,
    task: Task,
    fresh: Fresh,
    until: Timestamp,
}

/// What may go on now: the event itself, tasks that waited, and refusals of those that waited too long.
pub type Passed = (Option<Event>, Vec<Event>, Vec<Refused>);

impl TaskGate {
    /// Nothing waits.
    #[must_use]
    pub fn new(witnessed: Witnessed) -> Self {
        Self {
            witnessed,
            waiting: BTreeMap::new(),
        }
    }

    /// Told when there is a quorum to look at.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.witnessed.changed.clone()
    }

    /// When to look again, if that is before another moment.
    #[must_use]
    pub fn next_wakeup(&self, other: Option<Timestamp>) -> Option<Timestamp> {
        let own = self.waiting.values().map(|waiting| waiting.until);
        own.chain(other).min()
    }

    /// Lets an event pass, unless it is a task that has to wait.
    pub fn pass(
        &mut self,
        now: Timestamp,
        event: Event,
        roster: impl Fn(&StudyHash) -> Option<Vec<IdentityKey>>,
    ) -> Passed {
        let event = match event {
            Event::Task(task, fresh) => self.task(now, task, fresh, &roster),
            Event::End(end) => {
                self.waiting
                    .retain(|_, waiting| waiting.attempt != end.attempt);
                Some(Event::End(end))
            }
            Event::StudyEnd(end) => {
                self.waiting.remove(&end.study);
                Some(Event::StudyEnd(end))
            }
            other => Some(other),
        };
        let (mut ready, mut late) = (Vec::new(), Vec::new());
        for study in self.waiting.keys().copied().collect::<Vec<_>>() {
            let may = self.may_work(&study, &roster);
            let over = self.waiting[&study].until <= now;
            if !(may || over) {
                continue;
            }
            let Some(waiting) = self.waiting.remove(&study) else {
                continue;
            };
            match may {
                true => ready.push(Event::Task(waiting.task, waiting.fresh)),
                false => late.push(refusal(study, waiting.attempt)),
            }
        }
        (event, ready, late)
    }

    fn task(
        &mut self,
        now: Timestamp,
        task: Task,
        fresh: Fresh,
        roster: &impl Fn(&StudyHash) -> Option<Vec<IdentityKey>>,
    ) -> Option<Event> {
        if self.may_work(&task.study, roster) {
            self.waiting.remove(&task.study);
            return Some(Event::Task(task, fresh));
        }
        let attempt = attempt_id(&task.study, task.round, task.attempt);
        let waiting = Waiting {
            attempt,
            fresh,
            until: now.after_ms(PATIENCE_MS),
            task,
        };
        self.waiting.insert(waiting.task.study, waiting);
        None
    }

    /// A study that the node has not accepted is refused elsewhere.
    fn may_work(
        &self,
        study: &StudyHash,
        roster: &impl Fn(&StudyHash) -> Option<Vec<IdentityKey>>,
    ) -> bool {
        roster(study).is_none_or(|roster| self.witnessed.may_work(study, &roster))
    }
}

fn refusal(study: StudyHash, attempt: AttemptId) -> Refused {
    Refused {
        refusal: Refusal {
            attempt,
            study,
            code: RefusalCode::History,
            detail: 0,
        },
        broken: None,
        peer: None,
    }
}

/// How long a task waits for cosignatures, in milliseconds.
const PATIENCE_MS: u64 = 5_000;
