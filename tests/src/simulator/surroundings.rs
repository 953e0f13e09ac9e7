//! What all parties live in: time, fate, network, the record of what happened, and those who watch.

use std::collections::BTreeSet;
use std::rc::Rc;

use aquifer_node::core::participant::Judges;
use aquifer_shared::base::time::Timestamp;

use super::clock::Agenda;
use super::faults::{Fault, Faults};
use super::happening::{AtCoordinator, AtNode, Happening};
use super::keys::Keys;
use super::network::{Frame, Network, Way};
use super::oracle::Oracle;
use super::scenario::Scenario;
use super::study::Subject;
use super::transcript::{Mark, Transcript};

/// The world but its parties.
#[derive(Debug)]
pub struct Surroundings {
    /// What is simulated.
    pub scenario: Rc<Scenario>,
    /// Everybody's keys.
    pub keys: Keys,
    /// The study.
    pub subject: Rc<Subject>,
    /// All parties are well: looked at before the coordinator writes.
    pub calm: bool,
    /// Members that lie.
    pub liars: Vec<bool>,
    /// Members that the coordinator has left out of an attempt.
    pub left_out: BTreeSet<usize>,
    /// How the nodes judge rules and signatures.
    pub judges: Judges,
    /// What happens next.
    pub agenda: Agenda<Happening>,
    /// What goes wrong.
    pub faults: Faults,
    /// The links.
    pub network: Network,
    /// What happened.
    pub transcript: Transcript,
    /// Who watches.
    pub oracle: Oracle,
}

impl Surroundings {
    /// The present.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.agenda.now()
    }

    /// A chance for a fault at a party; 0 is the coordinator, nodes count from 1.
    pub fn strikes(&mut self, fault: Fault, party: usize) -> Option<crate::random::Seeded> {
        let struck = self.faults.strikes(self.agenda.now(), fault, party);
        if struck.is_some() {
            self.note(Mark::Fault, party, fault.name().as_bytes());
        }
        struck
    }

    /// Something happened at a party.
    pub fn note(&mut self, mark: Mark, party: usize, bytes: &[u8]) {
        self.transcript.note(self.agenda.now(), mark, party, bytes);
    }

    /// Plans something for a node's life.
    pub fn later_at_node(&mut self, ms: u64, node: usize, life: u32, what: AtNode) {
        self.agenda
            .after_ms(ms, Happening::AtNode { node, life, what });
    }

    /// Plans something for the coordinator's life.
    pub fn later_at_coordinator(&mut self, ms: u64, life: u32, what: AtCoordinator) {
        self.agenda
            .after_ms(ms, Happening::AtCoordinator { life, what });
    }

    /// Puts a frame on the way in a session.
    pub fn carry(&mut self, node: usize, way: Way, session: u64, frame: &Frame) {
        let now = self.agenda.now();
        let before = self.faults.struck().len();
        self.network.count(frame);
        let carried = self.network.send(now, node, way, &mut self.faults);
        if self.faults.struck().len() > before {
            self.note(Mark::Fault, node + 1, b"network");
        }
        for arrival in carried.arrivals.into_iter().flatten() {
            let frame = Rc::clone(frame);
            let arrives = Happening::Arrives {
                node,
                way,
                session,
                frame,
            };
            self.agenda.at(arrival, arrives);
        }
        if let Some(at) = carried.breaks {
            self.agenda
                .at(at, Happening::SessionBreaks { node, session });
        }
    }
}
