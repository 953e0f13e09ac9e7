//! The simulated coordinator: the production machine of one study, its store, and the process around them.
//!
//! Stands in for the shell of the coordinator: sessions, records that are durable before anything depends on them, restarts.

mod effects;
mod frames;
mod mirror;

use std::fmt;
use std::sync::Arc;

use aquifer_coordinator::core::event::{Effect, Ending, Event, Record, Spool, Token};
use aquifer_coordinator::core::resume::Durables;
use aquifer_coordinator::core::study::{Conditions, Study};
use aquifer_shared::base::time::Timestamp;
use aquifer_shared::protocol::aggregation::Shares;
use aquifer_shared::protocol::wire::LedgerHeld;

use frames::Heard;
use mirror::Mirror;

use super::clock::LocalClock;
use super::faults::Fault;
use super::happening::{AtCoordinator, Happening};
use super::network::{Frame, IDLE_MS};
use super::surroundings::Surroundings;
use super::transcript::Mark;
use crate::random::Seeded;

/// The coordinator.
pub struct Coordinator {
    store: Store,
    life: u32,
    process: Option<Process>,
    /// How the study ended, once that is durable and said.
    finished: Option<Ending>,
    fails_until: Timestamp,
    clock: LocalClock,
}

/// What is stored.
#[derive(Clone, Debug, Default)]
struct Store {
    records: Vec<Record>,
    /// How many records there were after each append, which is all there or not at all.
    appends: Vec<usize>,
    /// What dealers of a fixed set dealt: group, dealer, shares.
    spool: Vec<(u16, u16, Arc<Shares>)>,
    /// Ledgers of the nodes.
    mirrors: Vec<Mirror>,
}

/// The running program.
struct Process {
    machine: Study,
    sessions: Vec<Option<u64>>,
    /// What waits for the store: nothing else is done before it is in.
    unsaved: Unsaved,
    /// What comes after it.
    next: Option<Effect>,
    wakeup: Option<Timestamp>,
    alarm: u32,
}

/// What waits for the store, in order.
#[derive(Debug, Default)]
struct Unsaved {
    tokens: Vec<Token>,
    records: Vec<Record>,
    /// How many of these records there are after each append.
    appends: Vec<usize>,
    spool: Vec<Spool>,
    /// It is on its way.
    stores: bool,
}

impl Coordinator {
    /// A coordinator that has not started; the study is submitted.
    #[must_use]
    pub fn new(nodes: usize) -> Self {
        let store = Store {
            mirrors: vec![Mirror::default(); nodes],
            ..Store::default()
        };
        Self {
            store,
            life: 0,
            process: None,
            finished: None,
            fails_until: Timestamp(0),
            clock: LocalClock::default(),
        }
    }

    /// Whether its program runs.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.process.is_some()
    }

    /// How the study ended, if it has.
    #[must_use]
    pub fn finished(&self) -> Option<&Ending> {
        self.finished.as_ref()
    }

    /// The program starts, and goes on where its records stop.
    ///
    /// # Panics
    ///
    /// If its own records make no study: a bug.
    pub fn boot(&mut self, around: &mut Surroundings) {
        if self.process.is_some() {
            return;
        }
        let (subject, now) = (around.subject.clone(), self.clock.read(around.now()));
        around.note(Mark::Start, 0, &[]);
        let conditions = Conditions {
            offer_ms: OFFER_MS,
            checks: around.judges.checks,
            verify: around.judges.verify,
        };
        let spool = self.store.spool.iter();
        let durable = Durables {
            records: self.store.records.clone(),
            spool: spool
                .map(|(group, dealer, shares)| (*group, *dealer, (**shares).clone()))
                .collect(),
        };
        let (bytes, shapes) = (subject.bytes.clone(), &subject.shapes);
        let machine = Study::resume(now, bytes, shapes, conditions, durable);
        self.process = Some(Process {
            machine: machine.expect("the records of this study"),
            sessions: vec![None; around.scenario.nodes],
            unsaved: Unsaved::default(),
            next: None,
            wakeup: None,
            alarm: 0,
        });
        self.tell(around, Event::Tick);
        if self.is_unsigned() {
            self.tell(around, Event::Approved(subject.approval.clone()));
        }
    }

    fn is_unsigned(&self) -> bool {
        self.process
            .as_ref()
            .is_some_and(|process| process.machine.approvals().is_empty())
    }

    /// The program dies where it stands, and starts again after a while.
    fn stop(&mut self, around: &mut Surroundings, numbers: &mut Seeded) {
        let Some(process) = self.process.take() else {
            return;
        };
        self.life += 1;
        around.note(Mark::Crash, 0, &[]);
        let pause_ms = 20 + numbers.next_u64() % (1 << (7 + numbers.next_u64() % 7));
        around
            .agenda
            .after_ms(pause_ms, Happening::CoordinatorBoots);
        for (node, session) in process.sessions.into_iter().enumerate() {
            if let Some(session) = session {
                let breaks = Happening::SessionBreaks { node, session };
                around.agenda.after_ms(IDLE_MS.min(pause_ms), breaks);
            }
        }
    }

    /// Something that was planned for a life of the program happens.
    pub fn happens(&mut self, around: &mut Surroundings, life: u32, what: AtCoordinator) {
        if life != self.life {
            return;
        }
        match what {
            AtCoordinator::Stores => self.save(around),
            AtCoordinator::Wakes(alarm) => {
                let process = self.process.as_mut();
                if let Some(process) = process.filter(|process| process.alarm == alarm) {
                    process.wakeup = None;
                    self.tell(around, Event::Tick);
                }
            }
            AtCoordinator::Concludes => {
                self.tell(around, Event::Concluded(Ending::Published));
            }
        }
    }

    /// A session with a node is up, in place of any before: what is held of its ledger; nothing if nobody answers.
    pub fn greet(&mut self, node: usize, session: u64) -> Option<LedgerHeld> {
        let process = self.process.as_mut()?;
        process.sessions[node] = Some(session);
        Some(self.store.mirrors[node].held())
    }

    /// A node that was greeted has its welcome on the way: the study hears of it.
    pub fn welcome(&mut self, around: &mut Surroundings, node: usize) {
        self.tell(around, Event::Connected(node));
    }

    /// A session with a node is over.
    pub fn lose_session(&mut self, around: &mut Surroundings, node: usize, session: u64) {
        let Some(process) = &mut self.process else {
            return;
        };
        if process.sessions[node]
            .take_if(|own| *own == session)
            .is_some()
        {
            self.tell(around, Event::Disconnected(node));
        }
    }

    /// A node's certificate is revoked: its session ends, and the study hears of it.
    pub fn revoke(&mut self, around: &mut Surroundings, node: usize) {
        let Some(process) = &mut self.process else {
            return;
        };
        if process.sessions[node].take().is_some() {
            self.tell(around, Event::Disconnected(node));
        }
        self.tell(around, Event::Revoked(node));
    }

    /// Whether its clock is right.
    #[must_use]
    pub fn keeps_time(&self) -> bool {
        self.clock.is_right()
    }

    /// The session that it has with a node.
    #[must_use]
    pub fn session(&self, node: usize) -> Option<u64> {
        self.process.as_ref()?.sessions[node]
    }

    /// A frame of a node arrives; false if it broke the protocol.
    pub fn hear(&mut self, around: &mut Surroundings, node: usize, frame: &Frame) -> bool {
        let Some(process) = &self.process else {
            return true;
        };
        match frames::read(&process.machine, node, frame) {
            Ok(Heard::Event(event)) => self.tell(around, *event),
            Ok(Heard::Copy(copy)) => {
                let key = around.subject.terms.roster[node];
                self.store.mirrors[node].take(&key, copy);
            }
            Ok(Heard::Nothing) => {}
            Err(_) => return false,
        }
        true
    }

    /// What the mirror holds of a node's ledger, for its operator.
    #[must_use]
    pub fn mirrored(&self, node: usize) -> Vec<Vec<u8>> {
        self.store.mirrors[node].links()
    }

    /// How many entries the mirror holds of a node's ledger.
    #[must_use]
    pub fn mirrored_entries(&self, node: usize) -> u64 {
        self.store.mirrors[node].len()
    }

    /// The mirror of a node's ledger is gone.
    pub fn lose_mirror(&mut self, node: usize) {
        self.store.mirrors[node] = Mirror::default();
    }

    /// The machine hears something; what it wants is carried out.
    fn tell(&mut self, around: &mut Surroundings, event: Event) {
        let Some(process) = &mut self.process else {
            return;
        };
        let now = self.clock.read(around.now());
        process.machine.handle(now, event);
        self.act(around);
    }

    /// Chances for what does not depend on what the machine does.
    pub fn weather(&mut self, around: &mut Surroundings) {
        if let Some(mut numbers) = around.strikes(Fault::CoordinatorClock, 0) {
            let ms = (numbers.next_u64() % 7_200_000).cast_signed() - 3_600_000;
            self.clock.jump(ms);
        }
        if let Some(mut numbers) = around.strikes(Fault::StoreFails, 0) {
            let ms = 100 + numbers.next_u64() % 10_000;
            self.fails_until = around.now().after_ms(ms);
        }
        if let Some(mut numbers) = around.strikes(Fault::OldStore, 0) {
            let records = self.store.records.len();
            // Never so old that the study is unknown, or not signed.
            let appends = self.store.appends.len();
            let kept = 1 + numbers.next_u64() as usize % appends.max(1);
            self.store.appends.truncate(kept);
            let kept = self.store.appends.last().copied().unwrap_or_default();
            self.store.records.truncate(kept);
            self.store.spool.clear();
            if kept < records {
                self.finished = None;
            }
            around.oracle.on_old_store();
            self.stop(around, &mut numbers);
        }
    }

    /// Whatever was wrong with store and clock is mended.
    pub fn heal(&mut self) {
        self.fails_until = Timestamp(0);
        self.clock.mend();
    }
}

impl fmt::Debug for Coordinator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Coordinator({} records)", self.store.records.len())
    }
}

/// How long members that do not answer an offer are waited for.
const OFFER_MS: u64 = 30_000;
