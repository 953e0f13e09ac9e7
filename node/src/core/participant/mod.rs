//! A node's part in studies: offers, attempts, updates. One machine, the same in production and in tests.
//!
//! Time, exact sums, noise and journal acknowledgements arrive as events; everything to be done is an effect. Nothing here
//! reads a clock, a file or a socket.

mod attempts;
mod offers;
mod released;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};

use aquifer_shared::base::ids::{AttemptId, Hash32, Name, StudyHash};
use aquifer_shared::base::secret::Secret;
use aquifer_shared::base::time::Timestamp;
use aquifer_shared::domain::sum::{HoldOut, RoundTerms};
use aquifer_shared::protocol::chain::Head;
use aquifer_shared::protocol::wire::{
    Decision, End, Offer, Refusal, RefusalCode, StudyEnd, Task, TaskBody,
};

use super::ledger::{AttemptOutcome, Batch, EndReason, Ledger};
use super::policy::Rules;

pub use offers::DecideRefusal;
pub use released::Released;

/// Signs a labelled digest with the node's identity key: a function, so that the key stays with its owner.
pub type Sign = Box<dyn Fn(&Hash32) -> Vec<u8> + Send>;

/// The machine.
pub struct Participant {
    rules: Rules,
    ledger: Ledger,
    sign: Sign,
    desks: BTreeMap<StudyHash, Desk>,
    undecided: Vec<StudyHash>,
    effects: VecDeque<Effect>,
    urgent: bool,
    lazy_due: Option<Timestamp>,
    unfit: bool,
}

/// Something happened.
#[derive(Debug)]
pub enum Event {
    /// A session was welcomed by the coordinator.
    Connected,
    /// A study is offered.
    Offer(Offer),
    /// A sum is asked for.
    Task(Task),
    /// An attempt is over.
    End(End),
    /// A study is over.
    StudyEnd(StudyEnd),
    /// The exact sum that [`Effect::Compute`] asked for, or why there is none.
    Computed {
        /// Which attempt.
        attempt: AttemptId,
        /// The sum.
        sum: Result<Secret<Vec<i64>>, RefusalCode>,
    },
    /// The noise that [`Effect::Draw`] asked for; none where the source failed.
    Drawn {
        /// For which study.
        study: StudyHash,
        /// Of which kind.
        kind: NoiseKind,
        /// The draws.
        noise: Option<Secret<Vec<i64>>>,
    },
    /// The batch up to this head is on disk.
    Journaled(Head),
    /// The batch may or may not be on disk; nothing more can be written.
    JournalFailed,
    /// A stored update that [`Effect::Recall`] asked for.
    Recalled {
        /// The study.
        study: StudyHash,
        /// Round, from 0.
        round: u32,
        /// Attempt, from 0.
        attempt: u32,
        /// Its frame, if it is there.
        update: Option<Vec<u8>>,
    },
    /// [`Participant::next_wakeup`] has come.
    Tick,
}

/// Something is to be done.
#[derive(Debug)]
pub enum Effect {
    /// Send to the coordinator; lost where there is no session (it asks again).
    Send(Outgoing),
    /// Add up this unit's customers.
    Compute(Box<ComputeJob>),
    /// Split the customers by the study's hold-out rule, ahead of its first sum.
    Prepare {
        /// The study's family.
        family: Name,
        /// Its rule.
        holdout: HoldOut,
    },
    /// Draw noise.
    Draw {
        /// For which study.
        study: StudyHash,
        /// Scale and number of cells.
        kind: NoiseKind,
    },
    /// Write these entries in one durable transaction, then the witness.
    Journal(Batch),
    /// Read a stored update.
    Recall {
        /// The study.
        study: StudyHash,
        /// Round, from 0.
        round: u32,
        /// Attempt, from 0.
        attempt: u32,
    },
}

/// A message for the coordinator.
#[derive(Debug)]
pub enum Outgoing {
    /// A verdict on a study.
    Decision(Decision),
    /// A refusal of an attempt.
    Refusal(Refusal),
    /// A charged, noisy sum.
    Update(Released),
}

/// Noise of one round's kind.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct NoiseKind {
    /// Scale.
    pub sigma: u64,
    /// Number of draws.
    pub cells: u32,
}

/// What is to be added up.
#[derive(Clone, Debug)]
pub struct ComputeJob {
    /// The attempt that asks.
    pub attempt: AttemptId,
    /// The study.
    pub study: StudyHash,
    /// Its family: fixes the hold-out.
    pub family: Name,
    /// Its hold-out rule.
    pub holdout: HoldOut,
    /// Residual bound of the plan.
    pub clip: u32,
    /// The round's terms.
    pub terms: RoundTerms,
    /// What is asked.
    pub body: TaskBody,
}

/// What a study has in memory.
#[derive(Default)]
struct Desk {
    live: Option<Live>,
    asked: Option<NoiseKind>,
    noise: Option<(NoiseKind, Secret<Vec<i64>>)>,
}

/// The one attempt of a study that is under way.
struct Live {
    id: AttemptId,
    round: u32,
    attempt: u32,
    task: Hash32,
    arrived: Timestamp,
    step: Step,
}

enum Step {
    /// Waits for the exact sum and for noise.
    Gathering(Option<Secret<Vec<i64>>>),
    /// Waits for the charge to be durable.
    Charging(Vec<u8>),
    /// Waits for the slot.
    Waiting(Vec<u8>, Timestamp),
    /// Sent; kept to be sent again.
    Sent(Vec<u8>),
}

impl Participant {
    /// A machine that continues from a ledger; attempts that were under way count as lost.
    #[must_use]
    pub fn new(now: Timestamp, rules: Rules, ledger: Ledger, sign: Sign) -> Self {
        let mut machine = Self {
            rules,
            ledger,
            sign,
            desks: BTreeMap::new(),
            undecided: Vec::new(),
            effects: VecDeque::new(),
            urgent: false,
            lazy_due: None,
            unfit: false,
        };
        for attempt in machine.ledger.unclosed() {
            machine.close(now, attempt, AttemptOutcome::Lost);
        }
        machine.expire(now);
        machine.flush(now);
        machine
    }

    /// Takes an event.
    ///
    /// # Panics
    ///
    /// If the shell breaks its side: confirms another batch, or brings a sum outside the round's bounds (a bug in adding up:
    /// nothing may be sent then).
    pub fn handle(&mut self, now: Timestamp, event: Event) {
        match event {
            Event::Connected => self.on_connected(),
            Event::Offer(offer) => self.on_offer(now, &offer),
            Event::Task(task) => self.on_task(now, task),
            Event::End(end) => self.on_end(now, &end),
            Event::StudyEnd(end) => self.on_study_end(now, &end),
            Event::Computed { attempt, sum } => self.on_computed(now, attempt, sum),
            Event::Drawn { study, kind, noise } => self.on_drawn(now, study, kind, noise),
            Event::Journaled(head) => self.on_journaled(now, head),
            Event::JournalFailed => self.on_journal_failed(),
            Event::Recalled {
                study,
                round,
                attempt,
                update,
            } => self.on_recalled((study, round, attempt), update),
            Event::Tick => {}
        }
        self.expire(now);
        self.send_due(now);
        self.flush(now);
    }

    /// The next thing to do.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// When to come back with [`Event::Tick`] if nothing else happens.
    #[must_use]
    pub fn next_wakeup(&self) -> Option<Timestamp> {
        if self.unfit {
            return None;
        }
        let lazy = self.lazy_due.filter(|_| !self.ledger.is_writing());
        let lives = self.desks.iter().filter_map(|(study, desk)| {
            let live = desk.live.as_ref()?;
            let dies = self.dies(study, live);
            Some(match live.step {
                Step::Waiting(_, leaves) => leaves.min(dies),
                _ => dies,
            })
        });
        // A moment is over one millisecond after it: expiry is checked with `>`.
        let ends = self
            .ledger
            .open_studies()
            .map(|(_, terms)| terms.expires.after_ms(1));
        lives.chain(ends).chain(lazy).min()
    }

    /// The ledger, for reports.
    #[must_use]
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// The rules, for reports.
    #[must_use]
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Whether the journal failed: nothing is accepted or charged any more.
    #[must_use]
    pub fn is_unfit(&self) -> bool {
        self.unfit
    }

    fn on_end(&mut self, now: Timestamp, end: &End) {
        let found = self.desks.iter_mut().find_map(|(study, desk)| {
            let live = desk.live.take_if(|live| live.id == end.attempt)?;
            Some((*study, live.round, live.attempt))
        });
        let outcome = if end.released {
            AttemptOutcome::Released
        } else {
            AttemptOutcome::Failed
        };
        if let Some(attempt) = found {
            self.close(now, attempt, outcome);
        }
    }

    fn on_journaled(&mut self, now: Timestamp, head: Head) {
        self.ledger.confirm(head);
        self.announce_decisions();
        let charging: Vec<StudyHash> = self.desks.keys().copied().collect();
        for study in charging {
            self.on_durable(now, study);
        }
    }

    fn on_journal_failed(&mut self) {
        // What was under way may or may not be on disk: it counts as spent, and nothing of it is sent.
        self.unfit = true;
        self.desks.clear();
        self.undecided.clear();
    }

    fn close(&mut self, now: Timestamp, attempt: (StudyHash, u32, u32), outcome: AttemptOutcome) {
        self.ledger.close(now, attempt, outcome);
        if self.ledger.has_outbox() && self.lazy_due.is_none() {
            self.lazy_due = Some(now.after_ms(LAZY_MS));
        }
    }

    fn give_back(&mut self, now: Timestamp, study: StudyHash, reason: EndReason) {
        if let Some(live) = self.desks.remove(&study).and_then(|desk| desk.live) {
            let attempt = (study, live.round, live.attempt);
            self.close(now, attempt, AttemptOutcome::Unknown);
        }
        self.ledger.give_back(now, study, reason);
        self.urgent = true;
    }

    /// Ends studies and attempts whose time is over.
    fn expire(&mut self, now: Timestamp) {
        if self.unfit {
            return;
        }
        for study in self.ledger.expired(now) {
            self.give_back(now, study, EndReason::Expired);
        }
        let mut over = Vec::new();
        for (study, desk) in &self.desks {
            let late = |live: &&Live| self.dies(study, live) <= now;
            if let Some(live) = desk.live.as_ref().filter(late) {
                over.push((*study, live.round, live.attempt));
            }
        }
        for attempt in over {
            if let Some(desk) = self.desks.get_mut(&attempt.0) {
                desk.live = None;
            }
            self.close(now, attempt, AttemptOutcome::Unknown);
        }
    }

    fn dies(&self, study: &StudyHash, live: &Live) -> Timestamp {
        let terms = self.ledger.terms(study);
        let ttl_ms = terms.map_or(0, |terms| u64::from(terms.attempt_ttl_ms));
        live.arrived.after_ms(ttl_ms.max(1))
    }

    fn flush(&mut self, now: Timestamp) {
        let due = self.urgent || self.lazy_due.is_some_and(|due| due <= now);
        if self.unfit || !due {
            return;
        }
        if let Some(batch) = self.ledger.next_batch() {
            (self.urgent, self.lazy_due) = (false, None);
            self.effects.push_back(Effect::Journal(batch));
        }
    }

    fn send(&mut self, message: Outgoing) {
        self.effects.push_back(Effect::Send(message));
    }
}

/// Entries that nothing waits for are written with the next urgent one, or after this long.
const LAZY_MS: u64 = 1_000;
