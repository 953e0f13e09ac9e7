//! A node's part in studies: offers, attempts, updates, secure sums. One machine, the same in production and in tests.
//!
//! Time, randomness, exact sums, noise and journal acknowledgements arrive as events; everything to be done is an effect.
//! Nothing here reads a clock, a file or a socket.

mod attempts;
mod event;
mod mirror;
mod offers;
mod released;
#[cfg(test)]
mod shared_tests;
#[cfg(test)]
mod shared_world;
mod sharing;
#[cfg(test)]
mod tests;
mod turns;
#[cfg(test)]
mod turns_tests;
mod update;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use aquifer_shared::base::ids::{AttemptId, Hash32, Name, StudyHash};
use aquifer_shared::base::secret::Secret;
use aquifer_shared::base::time::Timestamp;
use aquifer_shared::protocol::aggregation::{Broken, Checks, Verify, is_signed};
use aquifer_shared::protocol::chain::Head;
use aquifer_shared::protocol::wire::{End, Refusal, RefusalCode};

use super::ledger::{AttemptOutcome, EndReason, Ledger, LockReason};
use super::policy::Rules;
use mirror::Mirror;
use sharing::{Place, Sharing};
use turns::{Turns, Work};

pub use event::{
    Audit, ComputeJob, Effect, Event, Exhibit, Fresh, NoiseKind, Outgoing, Peer, QuestionJob,
    Refused,
};
pub use mirror::MirrorState;
pub use offers::DecideRefusal;
pub use released::Released;

/// Signs a labelled digest with the node's identity key: a function, so that the key stays with its owner.
pub type Sign = Box<dyn Fn(&Hash32) -> Vec<u8> + Send>;

/// How rules and signatures are judged; strictly in every program, otherwise in simulations of what a loss would do.
#[derive(Clone, Copy, Debug)]
pub struct Judges {
    /// Rules.
    pub checks: Checks,
    /// Signatures.
    pub verify: Verify,
}

impl Judges {
    /// Every rule counts, every signature is checked.
    pub const STRICT: Self = Self {
        checks: Checks::STRICT,
        verify: is_signed,
    };
}

/// The machine.
pub struct Participant {
    rules: Rules,
    ledger: Ledger,
    sign: Sign,
    judges: Judges,
    desks: BTreeMap<StudyHash, Desk>,
    undecided: Vec<StudyHash>,
    effects: VecDeque<Effect>,
    urgent: bool,
    lazy_due: Option<Timestamp>,
    unfit: bool,
    lock: Option<LockReason>,
    mirror: Mirror,
    turns: Turns,
}

/// What a study has in memory.
#[derive(Default)]
struct Desk {
    live: Option<Live>,
    asked: Option<NoiseKind>,
    noise: Option<(NoiseKind, Secret<Vec<i64>>)>,
    place: Option<Place>,
    /// Attempts that were begun by this process: none is begun twice.
    begun: BTreeSet<(u32, u32)>,
    /// Attempt and task of the one sum that is being computed, whether or not it is still wanted.
    computing: Option<(AttemptId, Hash32)>,
    /// The sum that is computed after that one.
    next_job: Option<Box<ComputeJob>>,
    /// The split of the customers was asked for.
    prepared: bool,
}

/// The one attempt of a study that is under way.
struct Live {
    id: AttemptId,
    round: u32,
    attempt: u32,
    task: Hash32,
    arrived: Timestamp,
    /// From when its slots are counted.
    slots_from: Timestamp,
    /// For the ephemeral key; used once.
    fresh: Fresh,
    step: Step,
}

enum Step {
    /// Waits for the exact sum and for noise.
    Gathering(Option<Secret<Vec<i64>>>),
    /// There will be no sum; saying so waits for the slot like a sum.
    GivingUp(RefusalCode, Timestamp),
    /// In node-noise: sum and noise are together and wait for the slot.
    Waiting(Secret<Vec<i64>>, Timestamp),
    /// Waits for the charge to be durable.
    Charging(Vec<u8>),
    /// Sent; kept to be sent again.
    Sent(Vec<u8>),
    /// In shared-noise, from the advert on.
    Sharing(Box<Sharing>),
}

impl Participant {
    /// A machine that continues from a ledger; attempts that were under way count as lost.
    #[must_use]
    pub fn new(now: Timestamp, rules: Rules, ledger: Ledger, sign: Sign, judges: Judges) -> Self {
        let mut machine = Self {
            rules,
            ledger: ledger.judged_by(judges.checks),
            sign,
            judges,
            desks: BTreeMap::new(),
            undecided: Vec::new(),
            effects: VecDeque::new(),
            urgent: false,
            lazy_due: None,
            unfit: false,
            lock: None,
            mirror: Mirror::default(),
            turns: Turns::default(),
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
            Event::LedgerHeld(held) => self.on_ledger_held(now, held),
            Event::Offer(offer) => self.on_offer(now, &offer),
            Event::Task(task, fresh) => self.on_task(now, &task, fresh),
            Event::Roster(roster, fresh) => self.on_roster(now, roster, fresh),
            Event::Delivery(delivery) => self.on_delivery(now, delivery),
            Event::Proof(proof) => self.on_proof(now, &proof),
            Event::End(end) => self.on_end(now, &end),
            Event::StudyEnd(end) => self.on_study_end(now, &end),
            Event::Computed { attempt, task, sum } => self.on_computed(now, (attempt, task), sum),
            Event::Drawn { study, kind, noise } => self.on_drawn(now, study, kind, noise),
            Event::Journaled(head) => self.on_journaled(now, head),
            Event::JournalFailed => self.on_journal_failed(),
            Event::Recalled {
                study,
                round,
                attempt,
                update,
            } => self.on_recalled((study, round, attempt), update),
            Event::Links { after, links } => self.on_links(now, after, links),
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
        if self.stopped().is_some() {
            return None;
        }
        let lazy = self.lazy_due.filter(|_| !self.ledger.is_writing());
        let lives = self.desks.iter().filter_map(|(study, desk)| {
            let live = desk.live.as_ref()?;
            let dies = self.dies(study, live);
            let leaves = match &live.step {
                Step::Waiting(_, leaves) | Step::GivingUp(_, leaves) => Some(*leaves),
                Step::Sharing(sharing) => sharing.advert_leaves(),
                _ => None,
            };
            Some(leaves.map_or(dies, |leaves| leaves.min(dies)))
        });
        // A moment is over one millisecond after it: expiry is checked with `>`.
        let ends = self
            .ledger
            .open_studies()
            .map(|(_, terms)| terms.expires.after_ms(1));
        lives.chain(ends).chain(lazy).chain(self.copy_due()).min()
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

    /// Other tables for analysts are served from now on: questions about the old ones are refused.
    pub fn serve_data(&mut self, data_version: Option<Name>) {
        self.rules.data_version = data_version;
    }

    /// Whether the journal failed: nothing is accepted or charged any more.
    #[must_use]
    pub fn is_unfit(&self) -> bool {
        self.unfit
    }

    /// Why nothing is accepted or charged any more until an operator decides: the coordinator's mirror holds entries that this
    /// node signed and does not have.
    #[must_use]
    pub fn lock(&self) -> Option<&LockReason> {
        self.lock.as_ref()
    }

    /// The code under which everything is refused, if it is.
    fn stopped(&self) -> Option<RefusalCode> {
        let locked = self.lock.map(|_| RefusalCode::Locked);
        self.unfit.then_some(RefusalCode::Unfit).or(locked)
    }

    /// What waits for the disk may go on now.
    fn on_durable(&mut self, study: StudyHash) {
        self.send_paid_update(study);
        self.deal_when_durable(study);
        self.confirm_when_durable(study);
    }

    /// Pays for or sends what waits for a slot that has come.
    fn send_due(&mut self, now: Timestamp) {
        self.send_due_refusals(now);
        self.pay_due_updates(now);
        self.send_due_adverts(now);
        self.send_due_copy(now);
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
            self.on_durable(study);
        }
        self.gather_copy(now);
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
        if self.stopped().is_some() {
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

    /// The slot in which what is ready now leaves. Told aloud where that is not the first: the study's slot is too short then.
    fn leaves(&mut self, now: Timestamp, study: StudyHash) -> Timestamp {
        let slot_ms = self.ledger.terms(&study).map_or(0, |terms| terms.slot_ms);
        let live = self.desks.get(&study).and_then(|desk| desk.live.as_ref());
        let slots_from = live.map_or(now, |live| live.slots_from);
        if slot_ms > 0 && now > slots_from.after_ms(slot_ms.into()) {
            self.effects.push_back(Effect::Late { study });
        }
        now.next_slot(slots_from, slot_ms)
    }

    fn dies(&self, study: &StudyHash, live: &Live) -> Timestamp {
        let terms = self.ledger.terms(study);
        let ttl_ms = terms.map_or(0, |terms| u64::from(terms.attempt_ttl_ms));
        live.arrived.after_ms(ttl_ms.max(1))
    }

    fn flush(&mut self, now: Timestamp) {
        let due = self.urgent || self.lazy_due.is_some_and(|due| due <= now);
        if self.stopped().is_some() || !due {
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

    fn refuse(&mut self, attempt: AttemptId, study: StudyHash, code: RefusalCode, detail: u64) {
        self.refuse_by((attempt, study), (code, detail), None, None);
    }

    fn refuse_by(
        &mut self,
        (attempt, study): (AttemptId, StudyHash),
        (code, detail): (RefusalCode, u64),
        broken: Option<Broken>,
        peer: Option<Peer>,
    ) {
        let refusal = Refusal {
            attempt,
            study,
            code,
            detail,
        };
        self.send(Outgoing::Refusal(Refused {
            refusal,
            broken,
            peer,
        }));
    }
}

/// Entries that nothing waits for are written with the next urgent one, or after this long.
const LAZY_MS: u64 = 1_000;
