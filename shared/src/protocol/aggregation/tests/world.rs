//! One group in one process: a member for each place, one assembly, a queue between them. No clock: idle time passes at once.

use std::cell::Cell;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};

use crate::base::hash::labelled;
use crate::base::ids::{AttemptId, Hash32, IdentityKey, StudyHash};
use crate::base::secret::Secret;
use crate::base::time::Timestamp;
use crate::domain::sum::{Thresholds, attempt_id};
use crate::protocol::aggregation::*;
use crate::protocol::chain::Head;
use crate::protocol::codec::encode;
use crate::protocol::wire::{HEADER_BYTES, Message, Refusal, frame, read_body};

thread_local! {
    static BLIND: Cell<Option<Guard>> = const { Cell::new(None) };
}

/// Does something while one rule is overlooked.
pub fn blind<T>(guard: Guard, act: impl FnOnce() -> T) -> T {
    BLIND.set(Some(guard));
    let done = act();
    BLIND.set(None);
    done
}

fn judge(guard: Guard, condition: bool) -> bool {
    condition || BLIND.get() == Some(guard)
}

/// A group and what all of it knows.
pub struct Group {
    pub setting: Setting,
    pub table: DealingTable,
    pairs: Vec<Arc<Ed25519KeyPair>>,
}

/// From the coordinator to a member.
#[derive(Clone, Debug, PartialEq)]
pub enum Down {
    Task,
    Roster(Roster),
    Delivery(Delivery),
    Proof(Proof),
}

/// From a member to the coordinator.
#[derive(Clone, Debug, PartialEq)]
pub enum Up {
    Advert(Advert),
    Shares(Shares),
    Confirm(Confirm),
    Cannot(Cannot),
    Opening(Opening),
    Refused(Refusal),
}

/// What becomes of a message on its way; the second is the member at its other end.
pub type Route<M> = Box<dyn FnMut(u16, M) -> Vec<M>>;

pub struct World {
    pub group: Group,
    pub members: BTreeMap<u16, Member>,
    pub assembly: Assembly,
    pub now: Timestamp,
    /// What each member brings; zero noise.
    pub inputs: BTreeMap<u16, Vec<i64>>,
    pub up: Route<Up>,
    pub down: Route<Down>,
    pub kept: Vec<Durable>,
    pub audits: Vec<Audit>,
    pub refusals: Vec<(u16, MemberRefusal)>,
    pub released: Option<SecureSum>,
    pub failed: Option<FailedSum>,
    pub charged: MemberSet,
    pub sent: Vec<(u16, Up)>,
    /// Every message in order, hashed.
    pub transcript: Hash32,
    queue: VecDeque<(u16, Result<Down, Up>)>,
}

pub fn usual(members: usize) -> Thresholds {
    let absent = Thresholds::usual_absent(members);
    Thresholds::new(members, absent, Thresholds::usual_colluders(members)).unwrap()
}

impl Group {
    pub fn new(thresholds: Thresholds, cells: usize) -> Self {
        let seeds = (1..=thresholds.members()).map(|seed| [seed as u8; 32]);
        let pairs = seeds.map(|seed| Ed25519KeyPair::from_seed_unchecked(&seed).unwrap());
        let mut pairs: Vec<_> = pairs.map(Arc::new).collect();
        pairs.sort_by_key(|pair| public(pair));
        let setting = Setting {
            attempt: attempt_id(&StudyHash([0x11; 32]), 3, 0),
            task: Hash32([0x22; 32]),
            members: pairs.iter().map(|pair| public(pair)).collect(),
            thresholds,
            cells,
            checks: Checks::judged_by(judge),
            verify: is_signed,
        };
        Self {
            setting,
            table: DealingTable::new(thresholds),
            pairs,
        }
    }

    pub fn sign(&self, member: u16) -> impl Fn(&Hash32) -> Vec<u8> + use<> {
        let pair = self.pairs[usize::from(member) - 1].clone();
        move |digest| pair.sign(&digest.0).as_ref().to_vec()
    }

    pub fn signature(&self, member: u16, digest: &Hash32) -> Signature64 {
        Signature64(self.sign(member)(digest).try_into().unwrap())
    }

    /// A member that is ready.
    pub fn member(&self, own: u16, noisy: Vec<i64>) -> Member {
        self.member_with(&self.setting, own, noisy, [own as u8; 32])
    }

    pub fn member_with(
        &self,
        setting: &Setting,
        own: u16,
        noisy: Vec<i64>,
        fresh: [u8; 32],
    ) -> Member {
        let contribution = Contribution {
            noisy: Secret::new(noisy),
            ledger: ledger_of(own),
            fresh: Secret::new(fresh),
        };
        let seat = Seat {
            own,
            table: self.table.clone(),
        };
        Member::advertise(setting.clone(), seat, contribution, &self.sign(own)).0
    }

    /// An input that tells its member and its cells apart.
    pub fn input(&self, member: u16) -> Vec<i64> {
        let cell = |cell| (1_i64 << member.min(40)) * 1_000 - cell * 7;
        (0..self.setting.cells as i64).map(cell).collect()
    }
}

pub fn ledger_of(member: u16) -> Head {
    Head {
        seq: 10 + u64::from(member),
        hash: Hash32([member as u8; 32]),
    }
}

pub fn timing() -> Timing {
    Timing {
        opened: Timestamp(1_000),
        phase_ms: 2_000,
        attempt_ttl_ms: 60_000,
    }
}

impl World {
    pub fn new(members: usize, cells: usize) -> Self {
        Self::of(Group::new(usual(members), cells))
    }

    pub fn of(group: Group) -> Self {
        let all = MemberSet::of(1..=group.setting.thresholds.members() as u16);
        let inputs = all.iter().map(|member| (member, group.input(member)));
        Self {
            inputs: inputs.collect(),
            members: BTreeMap::new(),
            assembly: Assembly::start(group.setting.clone(), timing(), all, all),
            group,
            now: timing().opened,
            up: Box::new(|_, message| vec![message]),
            down: Box::new(|_, message| vec![message]),
            kept: Vec::new(),
            audits: Vec::new(),
            refusals: Vec::new(),
            released: None,
            failed: None,
            charged: MemberSet::default(),
            sent: Vec::new(),
            transcript: Hash32::default(),
            queue: all.iter().map(|member| (member, Ok(Down::Task))).collect(),
        }
    }

    pub fn with_up(mut self, route: impl FnMut(u16, Up) -> Vec<Up> + 'static) -> Self {
        self.up = Box::new(route);
        self
    }

    pub fn with_input(mut self, member: u16, input: Vec<i64>) -> Self {
        self.inputs.insert(member, input);
        self
    }

    /// Sum of the inputs of some members.
    pub fn sum_of(&self, members: impl IntoIterator<Item = u16>) -> Vec<i64> {
        let mut sum = vec![0; self.group.setting.cells];
        for member in members {
            let cells = sum.iter_mut().zip(&self.inputs[&member]);
            cells.for_each(|(sum, cell)| *sum += cell);
        }
        sum
    }

    /// Runs until the attempt is over.
    pub fn run(mut self) -> Self {
        let mut turns = 0;
        while self.released.is_none() && self.failed.is_none() {
            self.settle();
            let over = self.released.is_some() || self.failed.is_some();
            if let (false, Some(wakeup)) = (over, self.assembly.next_wakeup()) {
                assert!(wakeup >= self.now || turns < 1_000, "time stands still");
                self.now = self.now.max(wakeup);
                self.event(AssemblyEvent::Tick);
            }
            turns += 1;
            assert!(turns < 1_000, "the attempt does not end");
        }
        self.effects();
        self
    }

    /// Delivers all messages that are on their way.
    pub fn settle(&mut self) {
        self.effects();
        while let Some((member, message)) = self.queue.pop_front() {
            match message {
                Ok(down) => self.on_down(member, down),
                Err(up) => self.on_up(member, up),
            }
            self.effects();
        }
    }

    pub fn event(&mut self, event: AssemblyEvent) {
        self.assembly.handle(self.now, event);
        self.effects();
    }

    pub fn send_up(&mut self, member: u16, up: Up) {
        for up in (self.up)(member, up) {
            self.queue.push_back((member, Err(up)));
        }
    }

    fn effects(&mut self) {
        while let Some(effect) = self.assembly.poll_effect() {
            let (member, down) = match effect {
                AssemblyEffect::Persist(durable) => {
                    self.kept.push(durable);
                    self.assembly.handle(self.now, AssemblyEvent::Persisted);
                    continue;
                }
                AssemblyEffect::Audit(audit) => {
                    self.audits.push(audit);
                    continue;
                }
                AssemblyEffect::Released(sum) => {
                    assert!(self.released.is_none() && self.failed.is_none());
                    self.released = Some(*sum);
                    continue;
                }
                AssemblyEffect::Failed(failed) => {
                    assert!(self.released.is_none() && self.failed.is_none());
                    self.failed = Some(failed);
                    continue;
                }
                AssemblyEffect::Task(member) => (member, Down::Task),
                AssemblyEffect::Roster(member, roster) => (member, Down::Roster((*roster).clone())),
                AssemblyEffect::Proof(member, proof) => (member, Down::Proof((*proof).clone())),
                AssemblyEffect::Deliver(member) => match self.assembly.delivery(member) {
                    Some(delivery) => (member, Down::Delivery(delivery)),
                    None => continue,
                },
            };
            for down in (self.down)(member, down) {
                self.queue.push_back((member, Ok(down)));
            }
        }
    }

    fn on_up(&mut self, member: u16, up: Up) {
        let bytes = match &up {
            Up::Advert(message) => travel(message),
            Up::Shares(message) => travel(message),
            Up::Confirm(message) => travel(message),
            Up::Cannot(message) => travel(message),
            Up::Opening(message) => travel(message),
            Up::Refused(message) => travel(message),
        };
        self.note(b"up", member, &bytes);
        self.sent.push((member, up.clone()));
        let event = match up {
            Up::Advert(advert) => AssemblyEvent::Advert(member, advert),
            Up::Shares(shares) => AssemblyEvent::Shares(member, shares),
            Up::Confirm(confirm) => AssemblyEvent::Confirm(member, confirm),
            Up::Cannot(cannot) => AssemblyEvent::Cannot(member, cannot),
            Up::Opening(opening) => AssemblyEvent::Opening(member, opening),
            Up::Refused(refusal) => AssemblyEvent::Refused(member, refusal),
        };
        self.assembly.handle(self.now, event);
    }

    /// What a node does with a message, where its journal answers at once.
    pub fn on_down(&mut self, member: u16, down: Down) {
        let bytes = match &down {
            Down::Task => Vec::new(),
            Down::Roster(message) => travel(message),
            Down::Delivery(message) => travel(message),
            Down::Proof(message) => travel(message),
        };
        self.note(b"down", member, &bytes);
        match self.answer(member, down) {
            Ok(Some(up)) => self.send_up(member, up),
            Ok(None) => {}
            Err(refusal) => {
                let message = Refusal {
                    attempt: self.group.setting.attempt,
                    study: StudyHash([0x11; 32]),
                    code: refusal.code,
                    detail: refusal.detail,
                };
                if refusal.ends {
                    self.members.remove(&member);
                }
                self.refusals.push((member, refusal));
                self.send_up(member, Up::Refused(message));
            }
        }
    }

    fn answer(&mut self, member: u16, down: Down) -> Result<Option<Up>, MemberRefusal> {
        let sign = self.group.sign(member);
        if down == Down::Task {
            let (group, input) = (&self.group, &self.inputs[&member]);
            let ready = || group.member(member, input.clone());
            let machine = self.members.entry(member).or_insert_with(ready);
            return Ok(Some(Up::Advert(machine.advert().clone())));
        }
        let gone = || MemberRefusal {
            code: crate::protocol::wire::RefusalCode::NotLive,
            detail: 0,
            broken: Broken::Live,
            peer: None,
            ends: false,
            evidence: None,
        };
        let machine = self.members.get_mut(&member).ok_or_else(gone)?;
        Ok(match down {
            Down::Task => None,
            Down::Roster(roster) => {
                let fresh = Secret::new([0x40 + member as u8; 32]);
                let frame = match machine.on_roster(roster, fresh, &|_, _| false)? {
                    OnRoster::Charge { .. } => {
                        self.charged.insert(member);
                        machine.deal()
                    }
                    OnRoster::Resend(frame) => Some(frame),
                    OnRoster::Wait => None,
                };
                frame.map(|frame| Up::Shares(shares_of(&frame)))
            }
            Down::Delivery(delivery) => match machine.on_delivery(delivery)? {
                OnDelivery::Mark { .. } => machine.confirm(&sign).map(Up::Confirm),
                OnDelivery::Resend(confirm) => Some(Up::Confirm(confirm)),
                OnDelivery::Wait => None,
                OnDelivery::Cannot(cannot) => Some(Up::Cannot(cannot)),
            },
            Down::Proof(proof) => Some(Up::Opening(machine.on_proof(&proof, &sign)?)),
        })
    }

    fn note(&mut self, way: &[u8], member: u16, bytes: &[u8]) {
        let member = member.to_le_bytes();
        let parts = [&self.transcript.0[..], way, &member, bytes];
        self.transcript = labelled("transcript", &parts);
    }
}

pub fn shares_of(frame: &[u8]) -> Shares {
    read_body(frame[1], &frame[HEADER_BYTES..]).unwrap()
}

/// The frame of a message, which reads back.
fn travel<M: Message + PartialEq + std::fmt::Debug>(message: &M) -> Vec<u8> {
    let bytes = frame(message);
    let back: M = read_body(bytes[1], &bytes[HEADER_BYTES..]).unwrap();
    assert_eq!(&back, message);
    assert_eq!(encode(message), &bytes[HEADER_BYTES..]);
    bytes
}

fn public(pair: &Ed25519KeyPair) -> IdentityKey {
    IdentityKey(pair.public_key().as_ref().try_into().unwrap())
}

/// Another attempt than the group's.
pub fn other_attempt() -> AttemptId {
    attempt_id(&StudyHash([0x11; 32]), 3, 1)
}
