//! A simulated unit: the production machine, its disk, its clock, and the process around them that may die at any point.
//!
//! Stands in for the shell of a node: carries out what the machine wants, brings it what it asked for.

mod effects;
mod frames;
mod operator;
mod weather;

use std::fmt;

use aquifer_node::core::participant::{Event, Participant};
use aquifer_shared::base::time::Timestamp;
use aquifer_shared::protocol::chain::Head;
use aquifer_shared::protocol::wire::{LedgerHeld, Message, Task};

use super::adversary::liar::Liar;
use super::clock::LocalClock;
use super::disk::Volumes;
use super::happening::{AtNode, Happening};
use super::inputs;
use super::network::{Frame, IDLE_MS};
use super::plant::Plant;
use super::study::sign_with;
use super::surroundings::Surroundings;
use super::transcript::Mark;
use crate::random::Seeded;

pub use weather::Weathered;

/// A unit.
pub struct Node {
    place: usize,
    /// Its own caps do not cover the study.
    tight: bool,
    /// Its program knows nothing of secure sums.
    old_version: bool,
    /// Its journal is not what it once was, and no person has looked at it.
    forgetful: bool,
    volumes: Volumes,
    clock: LocalClock,
    life: u32,
    process: Option<Process>,
    standing: Standing,
    /// Noise vectors that were drawn so far.
    draws: u64,
    /// What it remembers to lie with.
    liar: Liar,
    /// Times that fresh bytes were drawn.
    fresh: u64,
    slow_until: Timestamp,
    /// When the last work is done that it began while it was slow.
    busy_until: Timestamp,
    tries: u32,
}

/// Whether a unit takes part at all.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Standing {
    /// It does.
    In,
    /// Its journal must not be used: it waits for its operator.
    Locked,
    /// Its certificate is expired or revoked, or it speaks another version.
    Out,
}

/// The running program.
struct Process {
    machine: Participant,
    session: Option<u64>,
    wakeup: Option<Timestamp>,
    alarm: u32,
}

impl Node {
    /// A unit that has not started.
    #[must_use]
    pub fn new(place: usize, tight: bool) -> Self {
        Self {
            place,
            tight,
            old_version: false,
            forgetful: false,
            volumes: Volumes::default(),
            clock: LocalClock::default(),
            life: 0,
            process: None,
            standing: Standing::In,
            draws: 0,
            liar: Liar::default(),
            fresh: 0,
            slow_until: Timestamp(0),
            busy_until: Timestamp(0),
            tries: 0,
        }
    }

    /// Its number as a party: the coordinator is 0.
    #[must_use]
    pub fn party(&self) -> usize {
        self.place + 1
    }

    /// Whether it takes part.
    #[must_use]
    pub fn standing(&self) -> Standing {
        self.standing
    }

    /// Whether its program runs.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.process.is_some()
    }

    /// Whether nothing is wrong with it.
    #[must_use]
    pub fn is_well(&self, now: Timestamp) -> bool {
        let slow = now < self.slow_until || now <= self.busy_until;
        let sound = !self.tight && !self.old_version && !self.forgetful;
        self.standing == Standing::In && sound && !slow && self.clock.is_right()
    }

    /// Its disk holds less than it has signed, as far as nobody has put that right.
    #[must_use]
    pub fn has_forgotten(&self) -> bool {
        self.forgetful
    }

    /// Which life it lives.
    #[must_use]
    pub fn life(&self) -> u32 {
        self.life
    }

    /// The session that it believes to have.
    #[must_use]
    pub fn session(&self) -> Option<u64> {
        self.process.as_ref()?.session
    }

    /// The program starts: reads the journal, and runs if it may.
    pub fn boot(&mut self, around: &mut Surroundings) {
        if self.process.is_some() || self.standing != Standing::In {
            return;
        }
        self.busy_until = Timestamp(0);
        if around.scenario.has(Plant::Refund) && self.life > 0 {
            self.volumes.journal.refund();
        }
        let unseen = around.scenario.has(Plant::NoWitness) || around.scenario.has(Plant::Refund);
        let opened = match unseen {
            true => self.volumes.open_unwitnessed(),
            false => self.volumes.open(),
        };
        let Ok(ledger) = opened else {
            return self.lock(around);
        };
        let now = around.now();
        around.note(Mark::Start, self.party(), &[]);
        around.oracle.on_start(now, self.place, ledger.durable());
        let own = &around.keys.members()[self.place];
        let (sign, rules) = (
            sign_with(own),
            around.subject.rules(own.public(), self.tight),
        );
        self.process = Some(Process {
            machine: Participant::new(self.clock.read(now), rules, ledger, sign, around.judges),
            session: None,
            wakeup: None,
            alarm: 0,
        });
        self.act(around);
        around.later_at_node(1, self.place, self.life, AtNode::Dials);
    }

    /// The program dies where it stands. What the disk did not acknowledge is lost; it starts again after a while.
    pub fn stop(&mut self, around: &mut Surroundings, numbers: &mut Seeded) {
        let Some(process) = self.process.take() else {
            return;
        };
        self.life += 1;
        around.note(Mark::Crash, self.party(), &[]);
        around.oracle.on_stop(self.place);
        let pause_ms = 50 + numbers.next_u64() % (1 << (8 + numbers.next_u64() % 7));
        let node = self.place;
        around.agenda.after_ms(pause_ms, Happening::Boots(node));
        if let Some(session) = process.session {
            let breaks = Happening::SessionBreaks { node, session };
            around.agenda.after_ms(IDLE_MS.min(pause_ms), breaks);
        }
    }

    /// Something that was planned for this life happens.
    pub fn happens(&mut self, around: &mut Surroundings, what: AtNode) {
        match what {
            AtNode::Dials => self.dial(around),
            AtNode::Welcomed(session, held) => {
                self.tries = 0;
                if let Some(process) = &mut self.process {
                    process.session = Some(session);
                }
                self.tell(around, Event::Connected);
                let held = match around.scenario.has(Plant::NoMirror) {
                    true => nothing_held(),
                    false => held,
                };
                self.tell(around, Event::LedgerHeld(held));
            }
            AtNode::Done(event) => self.tell(around, event),
            AtNode::Lands(batch, tell) => self.land(around, &batch, tell),
            AtNode::Wakes(alarm) => {
                let process = self.process.as_mut();
                if let Some(process) = process.filter(|process| process.alarm == alarm) {
                    process.wakeup = None;
                    self.tell(around, Event::Tick);
                }
            }
        }
    }

    /// Its session is over.
    pub fn lose_session(&mut self, around: &mut Surroundings, session: u64) {
        let Some(process) = &mut self.process else {
            return;
        };
        if process.session.take_if(|own| *own == session).is_some() {
            self.redial(around);
        }
    }

    /// Its program is an old one, which knows nothing of secure sums.
    pub fn grow_old(&mut self) {
        self.old_version = true;
    }

    /// Its certificate does not hold any more: the program ends.
    pub fn shut_out(&mut self, around: &mut Surroundings) {
        self.standing = Standing::Out;
        self.quit(around);
    }

    /// A person brought it back.
    pub fn let_in(&mut self, around: &mut Surroundings) {
        if self.standing == Standing::Out {
            self.standing = Standing::In;
            self.boot(around);
        }
    }

    /// Whatever was wrong with clock and speed is mended.
    pub fn heal(&mut self) {
        self.clock.mend();
        self.slow_until = Timestamp(0);
    }

    fn dial(&mut self, around: &mut Surroundings) {
        let (node, life) = (self.place, self.life);
        if self
            .process
            .as_ref()
            .is_none_or(|process| process.session.is_some())
        {
            return;
        }
        // What it hears back decides; whether the coordinator is there shows then.
        match around.network.dial(around.now(), node) {
            Some(session) => {
                let ms = 2 * around.network.latency_ms(node);
                let greeted = Happening::Greeted {
                    node,
                    life,
                    session,
                };
                around.agenda.after_ms(ms, greeted);
            }
            None => self.redial(around),
        }
    }

    /// Tries again after a pause that grows.
    pub fn redial(&mut self, around: &mut Surroundings) {
        let pause_ms = (100 << self.tries.min(7)).min(10_000);
        self.tries += 1;
        around.later_at_node(pause_ms, self.place, self.life, AtNode::Dials);
    }

    /// A frame arrives in a session.
    pub fn hear(&mut self, around: &mut Surroundings, session: u64, frame: &Frame) {
        if self.session() != Some(session) {
            return;
        }
        if self.old_version && frames::is_new(frame) {
            return self.stop(around, &mut Seeded::new(session, 0));
        }
        let (node, drawn, scenario) = (self.place, &mut self.fresh, &around.scenario);
        let fresh = |kind| {
            let again = match kind {
                Task::KIND => scenario.has(Plant::ReusedKey),
                _ => scenario.has(Plant::ReusedSeed),
            };
            *drawn += u64::from(!again);
            inputs::fresh(scenario.seed, node, *drawn)
        };
        match frames::read(frame, fresh) {
            Ok(event) => self.tell(around, event),
            // The session ends, and with it the program; its operator starts it again.
            Err(_) => self.stop(around, &mut Seeded::new(session, 0)),
        }
    }

    /// The machine hears something; what it wants is carried out.
    fn tell(&mut self, around: &mut Surroundings, event: Event) {
        let now = self.clock.read(around.now());
        let Some(process) = &mut self.process else {
            return;
        };
        around.oracle.on_event(now, self.place, &event);
        if around.liars[self.place] {
            self.liar.overhear(&event);
        }
        process.machine.handle(now, event);
        if self.standing == Standing::In && process.machine.lock().is_some() {
            self.lock(around);
        }
        self.act(around);
    }

    /// It may not go on before its operator decided.
    fn lock(&mut self, around: &mut Surroundings) {
        self.standing = Standing::Locked;
        around.oracle.on_lock(self.place);
        let ms = OPERATOR_MS + around.transcript.entries() % OPERATOR_MS;
        around.agenda.after_ms(ms, Happening::Decides(self.place));
    }

    /// The program ends in good order.
    fn quit(&mut self, around: &mut Surroundings) {
        let Some(process) = self.process.take() else {
            return;
        };
        self.life += 1;
        around.note(Mark::Crash, self.party(), &[]);
        around.oracle.on_stop(self.place);
        if let Some(session) = process.session {
            let node = self.place;
            let breaks = Happening::SessionBreaks { node, session };
            around.agenda.after_ms(1, breaks);
        }
    }

    /// The nightly backup.
    pub fn back_up(&mut self) {
        self.volumes.back_up();
    }
}

/// A mirror that is empty.
fn nothing_held() -> LedgerHeld {
    LedgerHeld {
        head: Head::default(),
        signature: Vec::new(),
    }
}

/// How long a person takes to look at a locked ledger.
const OPERATOR_MS: u64 = 20_000;

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Node({}, {:?})", self.place, self.standing)
    }
}
