//! A coordinator of the adversary's own: asks for sums as the product's does, and in most attempts tries one attack.
//!
//! Knows what colluding members know and signs for them. Goes on by its own clock; nobody promises that it ever ends well.

mod hands;
mod moves;

use std::collections::BTreeSet;
use std::fmt;

use aquifer_coordinator::core::event::Ending;
use aquifer_shared::domain::predictor::ModelState;
use aquifer_shared::domain::sum::{TrustMode, attempt_id};
use aquifer_shared::protocol::codec::encode;
use aquifer_shared::protocol::wire::{
    Decision, End, LedgerHeld, Offer, StudyEnd, StudyOutcome, Task, TaskBody, Verdict, frame,
    read_body,
};

use crate::random::Seeded;
use crate::simulator::faults::Fault;
use crate::simulator::happening::AtCoordinator;
use crate::simulator::network::{Frame, Way, split};
use crate::simulator::scenario::Kind;
use crate::simulator::surroundings::Surroundings;
use hands::Hands;

/// The adversary's coordinator.
pub struct Rogue {
    sessions: Vec<Option<u64>>,
    colluders: Vec<bool>,
    accepted: BTreeSet<usize>,
    place: (u32, u32),
    step: Step,
    script: Option<Fault>,
    numbers: Seeded,
    hands: Hands,
    /// What was sent in earlier attempts, to be sent again.
    past: Vec<(usize, Frame)>,
    sent: Vec<(usize, Frame)>,
    alarm: u32,
    finished: Option<Ending>,
}

/// How far an attempt is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Step {
    Offered,
    Asked,
    Called,
    CalledAgain,
    Delivered,
    Proved,
}

impl Rogue {
    /// A coordinator that has not started.
    #[must_use]
    pub fn new(seed: u64, colluders: Vec<bool>) -> Self {
        Self {
            sessions: vec![None; colluders.len()],
            colluders,
            accepted: BTreeSet::new(),
            place: (0, 0),
            step: Step::Offered,
            script: None,
            numbers: Seeded::new(seed, 3),
            hands: Hands::default(),
            past: Vec::new(),
            sent: Vec::new(),
            alarm: 0,
            finished: None,
        }
    }

    /// How it ended, once it has had enough.
    #[must_use]
    pub fn finished(&self) -> Option<&Ending> {
        self.finished.as_ref()
    }

    /// It starts.
    pub fn boot(&mut self, around: &mut Surroundings) {
        self.wait(around, 2_000);
    }

    fn wait(&mut self, around: &mut Surroundings, ms: u64) {
        self.alarm += 1;
        around.later_at_coordinator(ms, 0, AtCoordinator::Wakes(self.alarm));
    }

    /// Its next step is due.
    pub fn happens(&mut self, around: &mut Surroundings, what: &AtCoordinator) {
        if matches!(what, AtCoordinator::Wakes(alarm) if *alarm == self.alarm)
            && self.finished.is_none()
        {
            self.go_on(around);
        }
    }

    /// A session is up.
    pub fn greet(&mut self, node: usize, session: u64) -> LedgerHeld {
        self.sessions[node] = Some(session);
        LedgerHeld {
            head: Default::default(),
            signature: Vec::new(),
        }
    }

    /// A node that was greeted is offered the study.
    pub fn welcome(&mut self, around: &mut Surroundings, node: usize) {
        let offer = Offer {
            terms: around.subject.bytes.clone(),
            approvals: vec![around.subject.approval.clone()],
        };
        self.send(around, node, &frame(&offer).into());
    }

    /// A session is over.
    pub fn lose_session(&mut self, node: usize, session: u64) {
        self.sessions[node].take_if(|own| *own == session);
    }

    /// The session that it has with a node.
    #[must_use]
    pub fn session(&self, node: usize) -> Option<u64> {
        self.sessions[node]
    }

    /// A frame of a node arrives.
    pub fn hear(&mut self, node: usize, frame: &Frame) {
        let Ok((kind, body)) = split(frame) else {
            return;
        };
        if let Ok(decision) = read_body::<Decision>(kind, body) {
            if decision.verdict == Verdict::Accepted {
                self.accepted.insert(node);
            }
            return;
        }
        self.hands.take(node, kind, body);
    }

    fn send(&mut self, around: &mut Surroundings, node: usize, frame: &Frame) {
        if let Some(session) = self.sessions[node] {
            around.carry(node, Way::Down, session, frame);
        }
    }

    fn send_all(&mut self, around: &mut Surroundings, frames: Vec<(usize, Frame)>) {
        for (node, frame) in frames {
            self.send(around, node, &frame);
            self.sent.push((node, frame));
        }
    }

    fn go_on(&mut self, around: &mut Surroundings) {
        let shared = around.scenario.wish.trust == TrustMode::SharedNoise;
        self.replay(around);
        match self.step {
            Step::Offered => self.ask(around),
            Step::Asked if shared => {
                let frames = self.rosters(around);
                self.send_all(around, frames);
                self.step = Step::Called;
            }
            Step::Called if self.script == Some(Fault::TwoRosters) => {
                let frames = self.second_rosters(around);
                self.send_all(around, frames);
                self.step = Step::CalledAgain;
            }
            Step::Called | Step::CalledAgain => {
                let frames = self.deliveries(around);
                self.send_all(around, frames);
                self.step = Step::Delivered;
            }
            Step::Delivered => {
                let frames = self.proofs(around);
                self.send_all(around, frames);
                self.step = Step::Proved;
            }
            Step::Proved | Step::Asked => self.next(around),
        }
        if self.script == Some(Fault::FalseEnd) && self.numbers.next_u64().is_multiple_of(3) {
            self.end_attempt(around, true);
        }
        if self.finished.is_none() {
            let ms = STEP_MS + u64::from(around.scenario.slot_ms);
            self.wait(around, ms);
        }
    }

    /// Messages of earlier attempts come again, now and then.
    fn replay(&mut self, around: &mut Surroundings) {
        if self.script != Some(Fault::Replays) || self.past.is_empty() {
            return;
        }
        for _ in 0..8 {
            let at = self.numbers.next_u64() as usize % self.past.len();
            let (_, frame) = self.past[at].clone();
            let node = self.numbers.next_u64() as usize % self.sessions.len();
            self.send(around, node, &frame);
        }
    }

    /// Asks for the attempt whose turn it is, with an attack or without one.
    fn ask(&mut self, around: &mut Surroundings) {
        self.script = SCRIPTS
            .into_iter()
            .find(|script| around.strikes(*script, 0).is_some());
        self.hands.clear();
        self.past.append(&mut self.sent);
        let old = self.past.len().saturating_sub(PAST_MAX);
        self.past.drain(..old);
        let mut frames = Vec::new();
        for node in self.accepted.iter().copied() {
            let task = self.task(around, node);
            around.oracle.on_task(&task);
            frames.push((node, frame(&task).into()));
        }
        self.send_all(around, frames);
        self.step = Step::Asked;
    }

    fn task(&self, around: &Surroundings, node: usize) -> Task {
        let (round, attempt) = self.place;
        let odd = match self.script {
            Some(Fault::TwoTasks) => node.is_multiple_of(2),
            Some(Fault::WrongTask) => true,
            _ => false,
        };
        let rounds = around.scenario.wish.rounds;
        let body = match around.scenario.kind {
            Kind::Synthetic => {
                let cells = around.scenario.cells;
                let other = match self.script {
                    Some(Fault::WrongTask) => cells + 1,
                    _ => cells.saturating_sub(1).max(1),
                };
                TaskBody::Synthetic(if odd { other } else { cells })
            }
            Kind::Additive if round == 0 => TaskBody::Counts,
            Kind::Additive if round + 1 == u32::from(rounds) => {
                TaskBody::Evaluation(model(around, odd))
            }
            Kind::Additive => TaskBody::Residuals(model(around, odd)),
        };
        Task {
            study: around.subject.hash,
            round,
            attempt,
            body: encode(&body),
        }
    }

    fn end_attempt(&mut self, around: &mut Surroundings, released: bool) {
        let (round, attempt) = self.place;
        let end = End {
            attempt: attempt_id(&around.subject.hash, round, attempt),
            released,
            release: Default::default(),
        };
        let frame: Frame = frame(&end).into();
        for node in 0..self.sessions.len() {
            self.send(around, node, &frame);
        }
    }

    /// The attempt is over: the next one, or the same once more.
    fn next(&mut self, around: &mut Surroundings) {
        let (round, attempt) = self.place;
        let released = self.numbers.next_u64().is_multiple_of(2);
        self.end_attempt(around, released);
        let attempts = match self.script {
            Some(Fault::ManyAttempts) => u32::from(around.scenario.attempts_max) + 3,
            _ => 1 + self.numbers.next_u64() as u32 % 2,
        };
        self.place = match self.script {
            Some(Fault::OldTask) => (round, attempt),
            _ if attempt + 1 < attempts => (round, attempt + 1),
            _ => (round + 1, 0),
        };
        if self.place.0 >= u32::from(around.scenario.wish.rounds) {
            return self.finish(around);
        }
        self.ask(around);
    }

    fn finish(&mut self, around: &mut Surroundings) {
        let end = StudyEnd {
            study: around.subject.hash,
            outcome: StudyOutcome::Aborted,
        };
        let frame: Frame = frame(&end).into();
        for node in 0..self.sessions.len() {
            self.send(around, node, &frame);
        }
        self.finished = Some(Ending::Held("had enough".to_owned()));
    }
}

/// A model of the right shape that says nothing, or another one.
fn model(around: &Surroundings, odd: bool) -> ModelState {
    let shapes = &around.subject.shapes;
    ModelState {
        base: i32::from(odd),
        bin_of_cell: vec![0; shapes.iter().map(|shape| shape.cells).sum()],
        curves: vec![0; shapes.len()],
    }
}

impl fmt::Debug for Rogue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Rogue({:?}, {:?})", self.place, self.step)
    }
}

/// What may be tried in an attempt; the first that strikes.
const SCRIPTS: [Fault; 26] = [
    Fault::TwoTasks,
    Fault::SmallRoster,
    Fault::RepeatedMember,
    Fault::ForgedAdverts,
    Fault::SameKey,
    Fault::OldAdvert,
    Fault::WithoutOwn,
    Fault::TwoRosters,
    Fault::OldLedger,
    Fault::TwoSets,
    Fault::TwoSetsToOne,
    Fault::ShortSet,
    Fault::ForeignSet,
    Fault::SwappedRecords,
    Fault::MissingRecords,
    Fault::WrongRoster,
    Fault::EarlyProof,
    Fault::ForgedProof,
    Fault::RepeatedProof,
    Fault::Replays,
    Fault::OldTask,
    Fault::ManyAttempts,
    Fault::WrongTask,
    Fault::FalseEnd,
    Fault::SplitRosters,
    Fault::OtherOrder,
];
/// Time for a question and its answers.
const STEP_MS: u64 = 250;
const PAST_MAX: usize = 200;
