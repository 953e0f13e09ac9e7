//! Those who watch: after every step the invariants of the private sum are held against everything that happened.
//!
//! The watchers know all secrets and trust no machine. The first violation ends a history.

mod accounts;
mod attempts;
mod book;
mod calm;
mod once;
mod orders;
mod rosters;
mod secrecy;
mod sent;
mod sums;
mod violation;

use std::rc::Rc;

use aquifer_coordinator::core::event::{Ending, Record};
use aquifer_node::core::participant::{Audit, Event, Fresh};
use aquifer_shared::base::ids::AttemptId;
use aquifer_shared::base::time::Timestamp;
use aquifer_shared::domain::sum::{TrustMode, groups};
use aquifer_shared::protocol::aggregation::{Delivery, MemberSet, Roster};
use aquifer_shared::protocol::chain::Head;
use aquifer_shared::protocol::wire::{End, Task, Update, read_body};

use accounts::Accounts;
pub use accounts::KnownBy;
use attempts::Attempts;
use book::Book;
use calm::Calm;
use once::Once;
use orders::Orders;
use sums::Sums;
use violation::Breach;
pub use violation::{Invariant, Violation};

use super::clock::START;
use super::network::split;
use super::plant::Plant;
use super::scenario::{NoiseChoice, Scenario};
use super::study::Subject;

/// What the honest coordinator says to a member.
#[derive(Debug)]
pub enum Said<'a> {
    /// A sum is asked for.
    Task(&'a Task),
    /// Who takes part.
    Roster(&'a Roster, usize),
    /// What others dealt.
    Delivery(&'a Delivery, usize),
    /// An attempt is over.
    End(&'a End),
}

/// All watchers.
#[derive(Debug)]
pub struct Oracle {
    violation: Option<Violation>,
    book: Book,
    accounts: Accounts,
    attempts: Attempts,
    once: Once,
    exact: bool,
    orders: Orders,
    calm: Calm,
    sums: Sums,
    ending: Option<Ending>,
    released: u64,
    /// The last member that a node noted for its audit.
    audited: Option<(usize, u16)>,
    shared: bool,
    reused_key: bool,
    /// Several groups add up.
    several: bool,
}

impl Oracle {
    /// Watchers of a history that has not begun; `tampered` says that somebody may twist records.
    #[must_use]
    pub fn new(scenario: &Scenario, subject: &Subject, tampered: bool) -> Self {
        Self {
            violation: None,
            book: Book::new(subject),
            accounts: Accounts::new(scenario, subject),
            attempts: Attempts::new(scenario, subject, tampered),
            once: Once::new(scenario.nodes),
            exact: scenario.wish.noise == NoiseChoice::Zero,
            orders: Orders::new(subject),
            calm: Calm::default(),
            sums: Sums::new(scenario),
            ending: None,
            released: 0,
            audited: None,
            several: scenario.wish.trust == TrustMode::SharedNoise
                && groups(scenario.nodes).len() > 1,
            shared: scenario.wish.trust == TrustMode::SharedNoise,
            reused_key: scenario.has(Plant::ReusedKey),
        }
    }

    /// The first broken promise, if any.
    #[must_use]
    pub fn violation(&self) -> Option<&Violation> {
        self.violation.as_ref()
    }

    /// Sums that were released.
    #[must_use]
    pub fn released(&self) -> u64 {
        self.released
    }

    /// Attempts that were asked for.
    #[must_use]
    pub fn attempts(&self) -> u64 {
        self.book.len()
    }

    /// How the study ended.
    #[must_use]
    pub fn ending(&self) -> Option<&Ending> {
        self.ending.as_ref()
    }

    /// The round of an attempt that was ever asked for.
    #[must_use]
    pub fn round_of(&self, attempt: &AttemptId) -> Option<u32> {
        self.book.place(attempt).map(|(round, _)| round)
    }

    /// A promise is broken; only the first one counts.
    pub fn fail(&mut self, now: Timestamp, invariant: Invariant, what: String) {
        if self.violation.is_none() {
            self.violation = Some(Violation {
                invariant,
                what,
                at_ms: now.since_ms(START),
            });
        }
    }

    fn judge(&mut self, now: Timestamp, found: Result<(), Breach>) {
        if let Err(Breach(invariant, what)) = found {
            self.fail(now, invariant, what);
        }
    }

    /// Whoever coordinates asks for a sum.
    pub fn on_task(&mut self, task: &Task) {
        self.book.note(task);
    }

    /// The honest coordinator says something.
    pub fn on_said(&mut self, now: Timestamp, said: &Said) {
        let found = match said {
            Said::Task(task) => self.orders.task(task),
            Said::Roster(roster, member) => {
                let sound = self.attempts.check_called(*member, roster);
                self.orders.roster(roster).and(sound)
            }
            Said::Delivery(delivery, member) => {
                let group = self.attempts.group_of(*member) as u16;
                self.orders.delivery(group, delivery)
            }
            Said::End(end) => self.orders.end(end),
        };
        self.judge(now, found);
    }

    /// The honest coordinator's record is durable; `calm` says that all parties are well, `struck` how many faults have struck.
    pub fn on_record(&mut self, now: Timestamp, record: &Record, calm: bool, struck: usize) {
        let found = self.orders.record(record);
        self.judge(now, found);
        let found = self.calm.record(record, calm, struck);
        self.judge(now, found);
    }

    /// A node hears something.
    pub fn on_event(&mut self, now: Timestamp, node: usize, event: &Event) {
        match event {
            Event::Drawn {
                noise: Some(noise), ..
            } => self.sums.noise(node, noise.expose()),
            Event::Roster(roster, fresh) => {
                self.attempts.roster(node, roster);
                self.on_fresh(now, node, fresh);
            }
            Event::Proof(proof) => self.attempts.proof(node, proof),
            Event::Task(_, fresh) => self.on_fresh(now, node, fresh),
            Event::Delivery(delivery) if self.attempts.looks_at_records() => {
                self.attempts.delivery(node, delivery);
            }
            _ => {}
        }
    }

    fn on_fresh(&mut self, now: Timestamp, node: usize, fresh: &Fresh) {
        // That bug shall show on the wire.
        let Some(fresh) = fresh.as_ref().filter(|_| !self.reused_key) else {
            return;
        };
        let found = self.once.fresh(node, fresh.expose());
        self.judge(now, found);
    }

    /// A node notes something for its audit.
    pub fn on_audit(&mut self, node: usize, audit: &Audit) {
        if let Audit::Attempt {
            peer: Some(peer), ..
        } = audit
        {
            self.audited = Some((node, peer.index));
        }
    }

    /// A node's exact sum for an attempt.
    pub fn on_exact(&mut self, node: usize, attempt: AttemptId, sum: &[i64]) {
        self.sums.exact(node, attempt, sum);
    }

    /// A node's noise source gives a vector.
    pub fn on_draw(&mut self, now: Timestamp, node: usize, sigma: u64, noise: &[i64]) {
        let found = self.accounts.check_scale(node, sigma);
        self.judge(now, found);
        // Without noise every draw is the same on purpose.
        if !self.exact {
            let found = self.once.noise(node, noise);
            self.judge(now, found);
        }
    }

    /// The history is over: what is decided for all attempts at once.
    pub fn on_close(&mut self, now: Timestamp) {
        let found = self.attempts.check_secrecy();
        self.judge(now, found);
    }

    /// An update is on a node's disk, to be sent as it is.
    pub fn on_stored(&mut self, now: Timestamp, node: usize, frame: &[u8]) {
        let update = split(frame).and_then(|(kind, body)| read_body::<Update>(kind, body));
        if let Ok(update) = update {
            let found = self.sums.update(node, update.attempt, &update.cells);
            self.judge(now, found);
        }
    }

    /// A node's entry is on disk.
    pub fn on_entry(&mut self, now: Timestamp, node: usize, bytes: &[u8]) {
        let found = self.accounts.entry(node, bytes);
        self.judge(now, found);
    }

    /// A node wrote to its journal, which holds so many entries now.
    pub fn on_kept(&mut self, now: Timestamp, node: usize, entries: u64) {
        let found = self.accounts.check_kept(node, entries);
        self.judge(now, found);
    }

    /// A node started from its journal.
    pub fn on_start(&mut self, now: Timestamp, node: usize, head: Head) {
        let found = self.accounts.start(node, head);
        self.judge(now, found);
    }

    /// A node stopped.
    pub fn on_stop(&mut self, node: usize) {
        self.sums.stop(node);
    }

    /// A node may not start.
    pub fn on_lock(&mut self, node: usize) {
        self.accounts.lock(node);
    }

    /// A node's journal was put back to these entries.
    pub fn on_rollback(&mut self, node: usize, entries: &[Rc<[u8]>], known: KnownBy) {
        self.accounts.rollback(node, entries, known);
    }

    /// A node's operator let it go on with these entries.
    pub fn on_adoption(&mut self, now: Timestamp, node: usize, entries: &[Rc<[u8]>]) {
        let found = self.accounts.adoption(node, entries);
        self.judge(now, found);
    }

    /// The coordinator's store was put back.
    pub fn on_old_store(&mut self) {
        self.ending = None;
        self.orders.forget();
    }

    /// A round's sum is durable at the coordinator.
    pub fn on_release(
        &mut self,
        now: Timestamp,
        (round, attempt): (u32, u32),
        members: &[u32],
        cells: &[i64],
    ) {
        self.released += 1;
        let found = match self.several {
            true => self.sums.total(round, members, cells),
            false => self.check_sum((round, attempt), members, cells),
        };
        let found = found.and_then(|()| self.accounts.check_members(members));
        self.judge(now, found);
    }

    /// The sum of one of several groups is durable at the coordinator.
    pub fn on_group_sum(
        &mut self,
        now: Timestamp,
        place: (u32, u32),
        group: u16,
        dealers: &MemberSet,
        cells: &[i64],
    ) {
        let first = self.attempts.first_of(group.into()) as u32;
        let members: Vec<u32> = dealers
            .iter()
            .map(|index| first + u32::from(index) - 1)
            .collect();
        let found = self.check_sum(place, &members, cells);
        self.sums.part(place.0, &members, cells);
        self.judge(now, found);
    }

    fn check_sum(
        &mut self,
        place: (u32, u32),
        members: &[u32],
        cells: &[i64],
    ) -> Result<(), Breach> {
        let id = self.book.id(place);
        for member in members {
            self.accounts.check_charged(*member as usize, Some(place))?;
        }
        if self.shared {
            self.attempts.release(id, members)?;
        }
        if let Some(cell) = cells.iter().position(|cell| cell.unsigned_abs() >= 1 << 59) {
            let what = format!("cell {cell} of a release is where no honest sum can be");
            return Err(Breach(Invariant::ExactSum, what));
        }
        self.sums.release(id, members, cells)
    }

    /// The study is over.
    pub fn on_ending(&mut self, now: Timestamp, ending: &Ending) {
        if let Some(before) = &self.ending
            && before != ending
        {
            let what = format!("the study ended twice: {before:?}, then {ending:?}");
            self.fail(now, Invariant::OneSet, what);
        }
        self.ending = Some(ending.clone());
    }
}
