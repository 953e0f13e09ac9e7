//! A study with its journal, its spool and real members, in simulated time.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::sync::Arc;

use aquifer_shared::base::hash::sha256;
use aquifer_shared::base::ids::IdentityKey;
use aquifer_shared::base::time::Timestamp;
use aquifer_shared::base::units::MicroRho;
use aquifer_shared::domain::sum::{StudyTerms, Thresholds, TrustMode, attempt_id};
use aquifer_shared::protocol::aggregation::{Checks, DealingTable};
use aquifer_shared::protocol::codec::{decode, encode};
use aquifer_shared::protocol::wire::{
    Approval, Delivery, End, Message, Proof, Roster, Shares, Task, Verdict,
};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};

use super::node::{Node, Up};
use crate::core::event::{Effect, Ending, Event, Member, Note, Record, Spool};
use crate::core::fixtures::{CELLS, OFFER_MS, ROUNDS, terms};
use crate::core::resume::Durables;
use crate::core::study::{Conditions, Study};

/// A message to a member.
#[derive(Clone, Debug)]
pub(super) enum Down {
    Task(Arc<Task>),
    Roster(Arc<Roster>),
    Delivery(Delivery),
    Proof(Arc<Proof>),
    End(End),
}

/// What becomes of a message to a member: whether it arrives. The world may be changed on the way.
pub(super) type Route = Box<dyn FnMut(&mut World, Member, &Down) -> bool>;
/// What becomes of a message from a member.
pub(super) type Answers = Box<dyn FnMut(Member, Up) -> Option<Up>>;

pub(super) struct World {
    pub(super) study: Study,
    pub(super) now: Timestamp,
    pub(super) nodes: Vec<Node>,
    pub(super) connected: Vec<bool>,
    pub(super) journal: Vec<Record>,
    pub(super) spool: BTreeMap<(u16, u16), Vec<u8>>,
    /// Records of each write.
    pub(super) writes: Vec<usize>,
    /// Writes that succeed before the process dies.
    pub(super) writes_left: usize,
    pub(super) notes: Vec<Note>,
    pub(super) finished: Vec<Ending>,
    pub(super) sent: Vec<(Member, Down)>,
    pub(super) route: Option<Route>,
    pub(super) answers: Answers,
    groups: Vec<Range<Member>>,
    bytes: Vec<u8>,
    conditions: Conditions,
    queue: VecDeque<(Member, Down)>,
    delivering: bool,
    dead: bool,
}

pub(super) const ALL: fn(&mut World, Member, &Down) -> bool = |_, _, _| true;

impl World {
    /// A study of one group that nobody has approved; all members are connected.
    pub(super) fn new(members: usize) -> Self {
        Self::with(members, Checks::STRICT, |_| {})
    }

    pub(super) fn with(
        members: usize,
        checks: Checks,
        change: impl FnOnce(&mut StudyTerms),
    ) -> Self {
        let whole = std::iter::once(0..members);
        Self::grouped(members, whole.collect(), checks, change)
    }

    /// A study whose roster is grouped like this.
    pub(super) fn grouped(
        members: usize,
        groups: Vec<Range<Member>>,
        checks: Checks,
        change: impl FnOnce(&mut StudyTerms),
    ) -> Self {
        let pairs = pairs(members);
        let mut terms = shared_terms(&pairs, groups[0].len());
        change(&mut terms);
        let bytes = encode(&terms);
        let conditions = Conditions {
            checks,
            ..Conditions::strict(OFFER_MS)
        };
        let study = Study::new(bytes.clone(), &[], conditions).unwrap();
        let mut world = Self {
            study: study.with_groups(groups.clone()),
            now: Timestamp(1_000),
            nodes: nodes(&pairs, &terms, &groups),
            connected: vec![false; members],
            journal: Vec::new(),
            spool: BTreeMap::new(),
            writes: Vec::new(),
            writes_left: usize::MAX,
            notes: Vec::new(),
            finished: Vec::new(),
            sent: Vec::new(),
            route: None,
            answers: Box::new(|_, up| Some(up)),
            groups,
            bytes,
            conditions,
            queue: VecDeque::new(),
            delivering: false,
            dead: false,
        };
        (0..members).for_each(|member| world.connect(member));
        world
    }

    /// A study whose rounds run, as far as its members let them.
    pub(super) fn run(self) -> Self {
        self.approved().accepted()
    }

    pub(super) fn routed(
        mut self,
        route: impl FnMut(&mut World, Member, &Down) -> bool + 'static,
    ) -> Self {
        self.route = Some(Box::new(route));
        self
    }

    pub(super) fn answering(
        mut self,
        answers: impl FnMut(Member, Up) -> Option<Up> + 'static,
    ) -> Self {
        self.answers = Box::new(answers);
        self
    }

    pub(super) fn approved(mut self) -> Self {
        self.say(Event::Approved(Approval {
            key: IdentityKey([9; 32]),
            signature: vec![0; 64],
        }));
        self
    }

    pub(super) fn accepted(mut self) -> Self {
        for member in 0..self.nodes.len() {
            if self.connected[member] {
                self.say(Event::Decided(member, Verdict::Accepted));
            }
        }
        self
    }

    pub(super) fn connect(&mut self, member: Member) {
        self.connected[member] = true;
        self.say(Event::Connected(member));
    }

    pub(super) fn disconnect(&mut self, member: Member) {
        self.connected[member] = false;
        self.say(Event::Disconnected(member));
    }

    /// A member's process stops: it has no session and has forgotten its attempt.
    pub(super) fn kill(&mut self, member: Member) {
        self.nodes[member].die();
        self.disconnect(member);
    }

    /// Says it, then does everything that follows at this moment; on the way of a message, that comes after it.
    pub(super) fn say(&mut self, event: Event) {
        self.study.handle(self.now, event);
        if !self.delivering {
            self.settle();
        }
    }

    /// Lets time pass up to the next wakeup, which must be ahead.
    pub(super) fn sleep(&mut self) {
        let wakeup = self.study.next_wakeup().expect("the study waits");
        assert!(wakeup > self.now, "woken at {wakeup:?}, is {:?}", self.now);
        self.now = wakeup;
        self.say(Event::Tick);
    }

    /// Lets time pass until the study has ended.
    pub(super) fn finish(mut self) -> Self {
        let mut sleeps = 0;
        while self.finished.is_empty() && !self.dead {
            self.sleep();
            sleeps += 1;
            assert!(sleeps < 200, "the study does not end");
        }
        self
    }

    /// The process dies and starts again from what is durable; members stay as they are and reconnect.
    pub(super) fn restart(&mut self) {
        self.dead = false;
        self.queue.clear();
        let spooled = self.spool.iter();
        let read = |(place, bytes): (&(u16, u16), &Vec<u8>)| {
            let shares = decode("shares", bytes, Shares::BYTES_MAX).unwrap();
            (place.0, place.1, shares)
        };
        let durable = Durables {
            records: self.journal.clone(),
            spool: spooled.map(read).collect(),
        };
        let study = Study::new(self.bytes.clone(), &[], self.conditions).unwrap();
        let study = study.with_groups(self.groups.clone());
        self.study = study.resumed(self.now, durable).unwrap();
        self.say(Event::Tick);
        for member in 0..self.nodes.len() {
            if self.connected[member] && !self.dead {
                self.say(Event::Connected(member));
            }
        }
    }

    pub(super) fn is_dead(&self) -> bool {
        self.dead
    }

    fn settle(&mut self) {
        loop {
            while !self.dead
                && let Some(effect) = self.study.poll_effect()
            {
                self.perform(effect);
            }
            let Some((member, down)) = self.queue.pop_front().filter(|_| !self.dead) else {
                return;
            };
            self.deliver(member, down);
        }
    }

    fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::Persist {
                token,
                records,
                spool,
            } => {
                if self.writes_left == 0 {
                    self.dead = true;
                    return;
                }
                self.writes_left -= 1;
                self.writes.push(records.len());
                self.journal.extend(records);
                spool.into_iter().for_each(|change| self.change(change));
                self.study.handle(self.now, Event::Persisted(token));
            }
            Effect::Task(member, task) => self.send(member, Down::Task(task)),
            Effect::Roster(member, roster) => self.send(member, Down::Roster(roster)),
            Effect::Proof(member, proof) => self.send(member, Down::Proof(proof)),
            Effect::Deliver(member) => {
                if let Some(delivery) = self.study.delivery(member) {
                    self.send(member, Down::Delivery(delivery));
                }
            }
            Effect::End(member, end) => self.send(member, Down::End(end)),
            Effect::Offer(_) | Effect::StudyEnd(..) => {}
            Effect::Note(note) => self.notes.push(note),
            Effect::Conclude => {
                let concluded = Event::Concluded(Ending::Published);
                self.study.handle(self.now, concluded);
            }
            Effect::Finished(ending) => self.finished.push(ending),
        }
    }

    fn change(&mut self, change: Spool) {
        match change {
            Spool::Keep { group, dealt } => {
                for (dealer, shares) in dealt {
                    let before = self.spool.insert((group, dealer), encode(&*shares));
                    assert_eq!(before, None, "dealer {dealer} of group {group} is spooled");
                }
            }
            Spool::Drop { group } => self.spool.retain(|place, _| place.0 != group),
            Spool::Clear => self.spool.clear(),
        }
    }

    fn send(&mut self, member: Member, down: Down) {
        assert!(self.connected[member], "member {member} has no session");
        self.check_durable(member, &down);
        self.sent.push((member, down.clone()));
        self.queue.push_back((member, down));
    }

    /// Nothing is sent before what it depends on is durable.
    fn check_durable(&self, member: Member, down: &Down) {
        let study = self.study.hash();
        let is = |round: u32, attempt: u32, id| attempt_id(&study, round, attempt) == id;
        let holds = |record: &Record| match (down, record) {
            (Down::Task(task), Record::GroupOpened { round, attempt, .. }) => {
                (task.round, task.attempt) == (*round, *attempt)
            }
            (Down::Roster(sent), Record::Roster { roster, .. }) => **sent == *roster,
            (
                Down::Delivery(sent),
                Record::Set {
                    round,
                    attempt,
                    dealers,
                    ..
                },
            ) => is(*round, *attempt, sent.attempt) && sent.dealers == *dealers,
            (Down::Proof(_), _) => true,
            (
                Down::End(end),
                Record::Result { round, attempt, .. } | Record::GroupSum { round, attempt, .. },
            ) => is(*round, *attempt, end.attempt),
            (Down::End(end), _) => !end.released,
            _ => false,
        };
        assert!(
            self.journal.iter().any(holds),
            "{member}: {down:?} is not durable"
        );
    }

    fn deliver(&mut self, member: Member, down: Down) {
        if let Some(mut route) = self.route.take() {
            self.delivering = true;
            let arrives = route(self, member, &down);
            self.delivering = false;
            self.route.get_or_insert(route);
            if !arrives {
                return;
            }
        }
        if !self.connected[member] {
            return;
        }
        let node = &mut self.nodes[member];
        let up = match down {
            Down::Task(task) => node.on_task(&task),
            Down::Roster(roster) => node.on_roster((*roster).clone()),
            Down::Delivery(delivery) => node.on_delivery(delivery),
            Down::Proof(proof) => node.on_proof(&proof),
            Down::End(end) => {
                node.on_end(end);
                None
            }
        };
        let up = up.and_then(|up| (self.answers)(member, up));
        let event = match up {
            Some(Up::Secure(message)) => Event::Secure(member, message),
            Some(Up::Refused(refusal)) => Event::Refused(member, refusal),
            None => return,
        };
        self.study.handle(self.now, event);
    }

    /// Attempts opened, in order: round, group, attempt.
    pub(super) fn opened(&self) -> Vec<(u32, u16, u32)> {
        let opened = self.journal.iter().filter_map(|record| match record {
            Record::GroupOpened {
                round,
                group,
                attempt,
                ..
            } => Some((*round, *group, *attempt)),
            _ => None,
        });
        opened.collect()
    }

    /// Attempts opened by the only group: round and attempt.
    pub(super) fn attempts(&self) -> Vec<(u32, u32)> {
        let opened = self.opened().into_iter();
        opened.map(|(round, _, attempt)| (round, attempt)).collect()
    }

    /// What the released sums say, round by round: the first cell.
    pub(super) fn sums(&self) -> Vec<i64> {
        let released = self.study.released().iter();
        released
            .map(|sum| {
                assert!(sum.cells.iter().all(|cell| *cell == sum.cells[0]));
                assert_eq!(sum.cells.len(), CELLS as usize);
                sum.cells[0]
            })
            .collect()
    }

    /// The sum of these members' parts.
    pub(super) fn sum_of(&self, members: impl IntoIterator<Item = Member>) -> i64 {
        members
            .into_iter()
            .map(|member| self.nodes[member].part)
            .sum()
    }

    /// The sum of everybody's parts.
    pub(super) fn whole(&self) -> i64 {
        self.sum_of(0..self.nodes.len())
    }

    #[track_caller]
    pub(super) fn check_published(&self) {
        assert_eq!(self.finished, [Ending::Published]);
        assert_eq!(self.study.released().len(), usize::from(ROUNDS));
        assert!(self.spool.is_empty(), "something of single nodes is left");
    }

    #[track_caller]
    pub(super) fn check_aborted(&self, code: &str, text: &str) {
        let [Ending::Aborted(abort)] = &self.finished[..] else {
            panic!("{:?}", self.finished);
        };
        assert_eq!(abort.code(), code);
        assert!(abort.to_string().contains(text), "{abort}");
        assert!(self.spool.is_empty(), "something of single nodes is left");
    }

    /// Every END of a release names the hash of a sum that this study released to that member's group.
    #[track_caller]
    pub(super) fn check_ends(&self) {
        let hashes: Vec<_> = self
            .study
            .released()
            .iter()
            .map(|sum| sha256(&encode(sum)))
            .collect();
        for node in &self.nodes {
            let released = node.ends.iter().filter(|end| end.released);
            assert!(released.clone().count() >= 1);
            assert!(
                released
                    .map(|end| end.release)
                    .all(|hash| hashes.contains(&hash))
            );
        }
    }
}

/// Key pairs of as many members, by rising key.
fn pairs(members: usize) -> Vec<Arc<Ed25519KeyPair>> {
    let pair = |seed| Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap();
    let mut pairs: Vec<_> = (1..=members as u8).map(pair).map(Arc::new).collect();
    pairs.sort_by_key(|pair| key_of(pair));
    pairs
}

pub(super) fn key_of(pair: &Ed25519KeyPair) -> IdentityKey {
    IdentityKey(pair.public_key().as_ref().try_into().unwrap())
}

fn shared_terms(pairs: &[Arc<Ed25519KeyPair>], group: usize) -> StudyTerms {
    let mut terms = terms();
    terms.mode = TrustMode::SharedNoise;
    terms.roster = pairs.iter().map(|pair| key_of(pair)).collect();
    terms.d_max = Thresholds::usual_absent(group);
    terms.c_max = Thresholds::usual_colluders(group);
    terms.quorum = pairs.len() as u16 - terms.d_max;
    terms.attempts_max = 4;
    let share = terms.noise_share().unwrap();
    for round in &mut terms.rounds {
        round.urho = MicroRho(1_000);
        round.sigma_share = share.scale(round.delta_sq, round.urho).unwrap();
    }
    terms
}

fn nodes(pairs: &[Arc<Ed25519KeyPair>], terms: &StudyTerms, groups: &[Range<Member>]) -> Vec<Node> {
    let mut nodes = Vec::new();
    for group in groups {
        let thresholds = terms.thresholds(group.len()).unwrap();
        let table = DealingTable::new(thresholds);
        let keys: Arc<[IdentityKey]> = terms.roster[group.clone()].into();
        for member in group.clone() {
            let own = (member - group.start + 1) as u16;
            let part = 10_i64.pow(member as u32);
            nodes.push(Node::new(
                pairs[member].clone(),
                (own, keys.clone()),
                (thresholds, table.clone()),
                (CELLS as usize, part),
            ));
        }
    }
    nodes
}
