//! One simulated world: everything that happens, one thing after the other, until the study is over or a promise is broken.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use aquifer_coordinator::core::event::Ending;
use aquifer_shared::base::ids::Hash32;
use aquifer_shared::base::limits::GROUP_MAX;
use aquifer_shared::base::time::Timestamp;
use aquifer_shared::domain::sum::TrustMode;

use super::adversary::rogue::Rogue;
use super::centre::Centre;
use super::clock::{Agenda, START};
use super::coordinator::Coordinator;
use super::faults::{Fault, FaultId, Faults};
use super::happening::{AtCoordinator, AtNode, Happening};
use super::judges::{self, SignatureChecks};
use super::keys::Keys;
use super::network::{Network, Traffic, Way};
use super::node::{Node, Weathered};
use super::oracle::{Invariant, Oracle, Violation};
use super::scenario::Scenario;
use super::study::Subject;
use super::surroundings::Surroundings;
use super::transcript::Transcript;

/// What came of one history.
#[derive(Clone, Debug, PartialEq)]
pub struct History {
    /// Hash of everything that happened.
    pub transcript: Hash32,
    /// Hash of what an outsider saw.
    pub outline: Hash32,
    /// How long it took, in virtual milliseconds.
    pub virtual_ms: u64,
    /// Sums that were released.
    pub released: u64,
    /// Attempts that were asked for.
    pub attempts: u64,
    /// Signature checks.
    pub signatures: SignatureChecks,
    /// Frames and bytes that parties sent.
    pub traffic: Traffic,
    /// How the study ended, if it did.
    pub ending: Option<Ending>,
    /// Faults that struck.
    pub struck: Vec<FaultId>,
    /// How many chances each fault had at each party.
    pub chances: Vec<((Fault, u32), u32)>,
    /// The first broken promise.
    pub violation: Option<Violation>,
}

/// The world.
#[derive(Debug)]
struct World {
    around: Surroundings,
    nodes: Vec<Node>,
    centre: Centre,
    /// The study's cap covers no repeated attempt.
    tight: bool,
    /// By then the study must be over.
    deadline: Timestamp,
    /// When the study ended.
    ended: Option<Timestamp>,
}

/// Runs a history from beginning to end. A machine that panics breaks a promise too.
#[must_use]
pub fn run(scenario: &Scenario) -> History {
    let mut world = World::new(scenario);
    let lived = catch_unwind(AssertUnwindSafe(|| world.live()));
    if let Err(panic) = lived {
        let now = world.around.now();
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
        let what = format!("a machine panics: {}", text.unwrap_or_default());
        world.around.oracle.fail(now, Invariant::NoPanic, what);
    }
    world.finish()
}

impl World {
    fn new(scenario: &Scenario) -> Self {
        let keys = Keys::new(scenario.nodes);
        let mut faults = Faults::new(scenario.seed, scenario.chosen(), scenario.heals);
        let tight = faults.strikes(START, Fault::TightStudy, 0).is_some();
        let subject = Rc::new(Subject::new(scenario, &keys, tight));
        let node = |place: usize| {
            let tight = faults.strikes(START, Fault::TightCaps, place + 1).is_some();
            Node::new(place, tight)
        };
        let nodes = (0..scenario.nodes).map(node).collect();
        let shared = scenario.wish.trust == TrustMode::SharedNoise;
        let rogue = faults.strikes(START, Fault::Rogue, 0).is_some() && scenario.nodes <= GROUP_MAX;
        let lying = !rogue && faults.strikes(START, Fault::Liars, 0).is_some();
        let colluders = scenario.colluders();
        let centre = match rogue {
            true => Centre::Rogue(Box::new(Rogue::new(scenario.seed, colluders.clone()))),
            false => Centre::Honest(Box::new(Coordinator::new(scenario.nodes))),
        };
        let honest = vec![false; scenario.nodes];
        let oracle = Oracle::new(scenario, &subject, rogue || (lying && shared));
        let around = Surroundings {
            scenario: Rc::new(scenario.clone()),
            calm: false,
            liars: if lying { colluders } else { honest },
            left_out: Default::default(),
            judges: judges::seat(scenario.missing(), scenario.wish.remember_signatures),
            keys,
            network: Network::new(scenario.seed, scenario.nodes),
            subject,
            agenda: Agenda::new(),
            faults,
            transcript: Transcript::new(),
            oracle,
        };
        Self {
            tight,
            deadline: deadline(scenario),
            around,
            nodes,
            centre,
            ended: None,
        }
    }

    fn live(&mut self) {
        self.begin();
        while !self.is_over() {
            match self.around.agenda.pop() {
                Some(happening) => self.happens(happening),
                None => break,
            }
        }
        let now = self.around.now();
        self.around.oracle.on_close(now);
    }

    fn begin(&mut self) {
        let around = &mut self.around;
        around.agenda.at(START, Happening::CoordinatorBoots);
        for node in 0..self.nodes.len() {
            // Either the greeting is refused, or the first message of a kind that it does not know is its last.
            match around
                .strikes(Fault::OldVersion, node + 1)
                .map(|mut numbers| numbers.next_u64() % 2)
            {
                Some(0) => self.nodes[node].shut_out(around),
                Some(_) => self.nodes[node].grow_old(),
                None => {}
            }
            around
                .agenda
                .after_ms(1 + node as u64 % 50, Happening::Boots(node));
        }
        around.agenda.after_ms(WEATHER_MS, Happening::Weather);
        around
            .agenda
            .at(around.faults.until().after_ms(1), Happening::Heals);
    }

    fn happens(&mut self, happening: Happening) {
        let writes = AtCoordinator::Stores;
        if matches!(&happening, Happening::AtCoordinator { what, .. } if *what == writes) {
            self.around.calm = self.is_calm();
        }
        let around = &mut self.around;
        match happening {
            Happening::AtNode { node, life, what } => {
                if self.nodes[node].life() == life {
                    self.nodes[node].happens(around, what);
                }
            }
            Happening::AtCoordinator { life, what } => self.centre.happens(around, life, what),
            Happening::Arrives {
                node,
                way,
                session,
                frame,
            } => self.arrives(node, way, session, &frame),
            Happening::Greeted {
                node,
                life,
                session,
            } => self.greet(node, life, session),
            Happening::SessionBreaks { node, session } => {
                self.centre.lose_session(around, node, session);
                self.nodes[node].lose_session(around, session);
            }
            Happening::Boots(node) => self.nodes[node].boot(around),
            Happening::CoordinatorBoots => self.centre.boot(around),
            Happening::Weather => self.weather(),
            Happening::Heals => self.heal(),
            Happening::Decides(node) => {
                let mirror = self.centre.mirrored(node);
                self.nodes[node].decide(around, &mirror);
            }
            Happening::Renews(node) => self.nodes[node].let_in(around),
        }
    }

    /// Whether as many members of each group are well as a sum needs, and whatever struck is long over.
    fn is_calm(&self) -> bool {
        let (now, faults) = (self.around.now(), &self.around.faults);
        let quiet = faults
            .last()
            .is_none_or(|last| now > last.after_ms(QUIET_MS));
        let lying = self.around.liars.contains(&true) || !self.centre.is_well();
        // Peers refuse a member that has forgotten entries: the first attempt in which it takes part ends with that.
        let refused = self.nodes.iter().enumerate().any(|(place, node)| {
            node.has_forgotten()
                && node.session().is_some()
                && !self.around.left_out.contains(&place)
        });
        let forgot = refused || faults.has_struck(Fault::OldStore);
        let well = |place: &usize| {
            let node = &self.nodes[*place];
            let session = node.session().filter(|_| node.is_well(now));
            session.is_some() && session == self.centre.session(*place)
        };
        let terms = &self.around.subject.terms;
        let mut groups = terms.groups().into_iter();
        let enough = groups.all(|group| {
            let absent = match terms.mode {
                TrustMode::NodeNoise => group.len() - usize::from(terms.quorum),
                TrustMode::SharedNoise => usize::from(terms.d_max),
            };
            let members = group.len();
            group.filter(well).count() + absent >= members
        });
        quiet && !lying && !self.tight && !forgot && enough
    }

    /// The coordinator answers a handshake, if it is there and the node is still the one that asked.
    fn greet(&mut self, node: usize, life: u32, session: u64) {
        let around = &mut self.around;
        if self.nodes[node].life() != life || !self.nodes[node].is_up() {
            return;
        }
        let Some(held) = self.centre.greet(node, session) else {
            return self.nodes[node].redial(around);
        };
        // The welcome comes before anything that the study says.
        let arrival = around.network.welcome(around.agenda.now(), node);
        let what = AtNode::Welcomed(session, held);
        around
            .agenda
            .at(arrival, Happening::AtNode { node, life, what });
        self.centre.welcome(around, node);
    }

    fn arrives(&mut self, node: usize, way: Way, session: u64, frame: &super::network::Frame) {
        let around = &mut self.around;
        let mark = match way {
            Way::Up => super::transcript::Mark::Up,
            Way::Down => super::transcript::Mark::Down,
        };
        match way {
            Way::Down => {
                if self.nodes[node].session() == Some(session) {
                    around.note(mark, node + 1, frame);
                    self.nodes[node].hear(around, session, frame);
                }
            }
            Way::Up => {
                if self.centre.session(node) != Some(session) {
                    return;
                }
                around.note(mark, node + 1, frame);
                if !self.centre.hear(around, node, frame) {
                    let breaks = Happening::SessionBreaks { node, session };
                    around.agenda.after_ms(1, breaks);
                }
            }
        }
    }

    fn weather(&mut self) {
        let around = &mut self.around;
        if around.now() > around.faults.until() {
            return;
        }
        for node in 0..self.nodes.len() {
            let session = self.nodes[node].session();
            let now = around.now();
            let breaks = around.network.weather(now, node, &mut around.faults);
            if let (Some(at), Some(session)) = (breaks, session) {
                around
                    .agenda
                    .at(at, Happening::SessionBreaks { node, session });
            }
            let mirrored = self.centre.mirrored_entries(node);
            let Weathered {
                lost_mirror,
                revoked,
            } = self.nodes[node].weather(around, mirrored);
            if lost_mirror {
                self.centre.lose_mirror(node);
            }
            if revoked {
                self.centre.revoke(around, node);
            }
        }
        self.centre.weather(around);
        let since = around.now().since_ms(START);
        if since % BACKUP_MS < WEATHER_MS {
            self.nodes.iter_mut().for_each(Node::back_up);
        }
        around.agenda.after_ms(WEATHER_MS, Happening::Weather);
    }

    fn heal(&mut self) {
        self.around.network.heal();
        self.centre.heal();
        self.nodes.iter_mut().for_each(Node::heal);
    }

    /// Whether there is nothing more to see: a broken promise, a study that is over, or one that will never be.
    fn is_over(&mut self) -> bool {
        let now = self.around.now();
        if self.centre.finished().is_none() {
            self.ended = None;
        } else if self.ended.is_none() {
            self.ended = Some(now);
        }
        let next = self.around.agenda.next_at();
        let next_after = |moment: Timestamp| next.is_none_or(|next| next > moment);
        if let Some(ended) = self.ended {
            return next_after(ended.after_ms(AFTERMATH_MS))
                || self.around.oracle.violation().is_some();
        }
        // An attempt that began while the coordinator's clock was ahead lasts until that time has come.
        let jumps = self.around.faults.struck().iter();
        let jumps = jumps.filter(|id| id.fault == Fault::CoordinatorClock);
        let deadline = self.deadline.after_ms(CLOCK_JUMP_MS * jumps.count() as u64);
        if next_after(deadline) && matches!(self.centre, Centre::Rogue(_)) {
            return true;
        }
        if next_after(deadline) {
            let healed_ms = deadline.since_ms(self.around.faults.until());
            let what = format!("the study is not over {healed_ms} ms after the world healed");
            self.around.oracle.fail(now, Invariant::Liveness, what);
        }
        self.around.oracle.violation().is_some()
    }

    fn finish(self) -> History {
        let Surroundings {
            transcript,
            faults,
            oracle,
            agenda,
            network,
            ..
        } = self.around;
        let (transcript, outline) = transcript.finish();
        History {
            transcript,
            outline,
            virtual_ms: agenda.now().since_ms(START),
            released: oracle.released(),
            attempts: oracle.attempts(),
            signatures: judges::signature_checks(),
            traffic: network.traffic().clone(),
            ending: oracle.ending().cloned(),
            struck: faults.struck().to_vec(),
            chances: faults.chances(),
            violation: oracle.violation().cloned(),
        }
    }
}

/// Every attempt lives its whole life, and there is time for offers, restarts and repairs between.
fn deadline(scenario: &Scenario) -> Timestamp {
    let attempts = u64::from(scenario.wish.rounds) * u64::from(scenario.attempts_max);
    let attempt_ms = u64::from(scenario.attempt_ttl_ms) + 10_000;
    scenario.heals.after_ms(60_000 + attempts * attempt_ms)
}

const WEATHER_MS: u64 = 500;
const CLOCK_JUMP_MS: u64 = 3_600_000;
/// "Yesterday", in a world whose days are short.
const BACKUP_MS: u64 = 1_500;
/// So long after a fault nothing of it is on its way any more.
const QUIET_MS: u64 = 12_000;
/// How long the world goes on after the study ended.
const AFTERMATH_MS: u64 = 5_000;
