//! The node's process as one of four members: the others live in the test, and so does the coordinator's real machine.

use std::collections::BTreeMap;

use aquifer_shared::base::ids::{Hash32, IdentityKey, StudyHash};
use aquifer_shared::base::secret::Secret;
use aquifer_shared::base::time::Timestamp;
use aquifer_shared::domain::sum::{StudyTerms, attempt_id, task_hash};
use aquifer_shared::protocol::aggregation::{
    Assembly, AssemblyEffect, AssemblyEvent, Checks, Contribution, DealingTable, Member, MemberSet,
    OnDelivery, OnRoster, Seat, SecureSum, Setting, Timing, is_signed,
};
use aquifer_shared::protocol::chain::Head;
use aquifer_shared::protocol::codec::encode;
use aquifer_shared::protocol::wire::{
    Advert, Confirm, HEADER_BYTES, LedgerCopy, Message, Opening, Refusal, RefusalCode, Roster,
    Shares, Task, TaskBody, read_body,
};
use aquifer_shared::shell::keys::Identity;

use super::world::Session;

/// One attempt. Virtual time: a step that waits for nobody passes at once.
pub struct Group<'a> {
    /// Index of the process.
    pub own: u16,
    signers: BTreeMap<u16, &'a Identity>,
    peers: BTreeMap<u16, Member>,
    assembly: Assembly,
    now: Timestamp,
    task: Task,
    /// What the others bring.
    pub brought: i64,
    /// Copies for the mirror that came in between.
    pub copies: Vec<LedgerCopy>,
    pub refused: Vec<(RefusalCode, u64)>,
    pub released: Option<SecureSum>,
    pub confirmed: Option<Confirm>,
    begun: bool,
    failed: bool,
}

impl<'a> Group<'a> {
    /// An attempt at a round of a study of synthetic sums, all members asked, the process connected.
    pub fn new(
        terms: &StudyTerms,
        study: StudyHash,
        (round, attempt): (u32, u32),
        peers: &'a [Identity],
    ) -> Self {
        let seq = 10 + 10 * u64::from(2 * round + attempt);
        Self::with_ledgers(terms, study, (round, attempt), peers, seq)
    }

    /// The same, with the others' ledgers at this position.
    pub fn with_ledgers(
        terms: &StudyTerms,
        study: StudyHash,
        (round, attempt): (u32, u32),
        peers: &'a [Identity],
        seq: u64,
    ) -> Self {
        let thresholds = terms.thresholds(terms.roster.len()).unwrap();
        let body = encode(&TaskBody::Synthetic(100));
        let setting = Setting {
            attempt: attempt_id(&study, round, attempt),
            task: task_hash(&study, round, &body),
            members: terms.roster.clone().into(),
            thresholds,
            cells: 100,
            checks: Checks::STRICT,
            verify: is_signed,
        };
        let table = DealingTable::new(thresholds);
        let signers: BTreeMap<u16, &Identity> = peers
            .iter()
            .map(|peer| (setting.index_of(&peer.public()).unwrap(), peer))
            .collect();
        let member = |(index, signer): (&u16, &&Identity)| {
            let contribution = Contribution {
                noisy: Secret::new(vec![i64::from(*index) * 1_000_000_000; 100]),
                ledger: Head {
                    seq,
                    hash: Hash32([seq as u8; 32]),
                },
                fresh: Secret::new([*index as u8 + 16 * (2 * round + attempt + 1) as u8; 32]),
            };
            let (own, table) = (*index, table.clone());
            let seat = Seat { own, table };
            let sign = |digest: &Hash32| signer.sign(digest);
            let (member, _) = Member::advertise(setting.clone(), seat, contribution, &sign);
            (*index, member)
        };
        let members: BTreeMap<u16, Member> = signers.iter().map(member).collect();
        let all = MemberSet::of(1..=4);
        let timing = Timing {
            opened: Timestamp(1_000),
            phase_ms: 2_000,
            attempt_ttl_ms: 120_000,
        };
        Self {
            own: all
                .iter()
                .find(|index| !signers.contains_key(index))
                .unwrap(),
            brought: signers
                .keys()
                .map(|index| i64::from(*index) * 1_000_000_000)
                .sum(),
            assembly: Assembly::start(setting.clone(), timing, all, all),
            peers: members,
            signers,
            now: timing.opened,
            task: Task {
                study,
                round,
                attempt,
                body,
            },
            copies: Vec::new(),
            refused: Vec::new(),
            released: None,
            confirmed: None,
            begun: false,
            failed: false,
        }
    }

    pub fn is_over(&self) -> bool {
        self.released.is_some() || self.failed
    }

    /// Runs until the attempt is over, or the process has sent a message of this kind (which the coordinator gets too).
    pub async fn run(&mut self, session: &mut Session, until: Option<u8>) {
        if !std::mem::replace(&mut self.begun, true) {
            session.say_frame(&frame(&self.task)).await;
            for (index, peer) in &self.peers {
                let advert = AssemblyEvent::Advert(*index, peer.advert().clone());
                self.assembly.handle(self.now, advert);
            }
        }
        loop {
            self.effects(session).await;
            if self.is_over() {
                return;
            }
            let (kind, body) = session.frame().await;
            self.hear(kind, &body);
            if Some(kind) == until {
                return;
            }
        }
    }

    /// Goes on without the process.
    pub fn go_on_alone(&mut self) {
        // What was on its way to the process is lost.
        self.poll();
        self.event(AssemblyEvent::Disconnected(self.own));
        while !self.is_over() {
            let sent = self.poll();
            assert!(sent.is_empty(), "the process is away");
            if let (false, Some(wakeup)) = (self.is_over(), self.assembly.next_wakeup()) {
                self.now = self.now.max(wakeup);
                self.event(AssemblyEvent::Tick);
            }
        }
    }

    /// The process has another session; what was on its way in the old one is lost.
    pub async fn reconnect(&mut self, session: &mut Session) {
        self.poll();
        self.event(AssemblyEvent::Connected(self.own));
        self.effects(session).await;
    }

    fn hear(&mut self, kind: u8, body: &[u8]) {
        let own = self.own;
        let event = match kind {
            Advert::KIND => AssemblyEvent::Advert(own, read(kind, body)),
            Shares::KIND => AssemblyEvent::Shares(own, read(kind, body)),
            Confirm::KIND => {
                let confirm: Confirm = read(kind, body);
                self.confirmed = Some(confirm.clone());
                AssemblyEvent::Confirm(own, confirm)
            }
            Opening::KIND => AssemblyEvent::Opening(own, read(kind, body)),
            Refusal::KIND => {
                let refusal: Refusal = read(kind, body);
                self.refused.push((refusal.code, refusal.detail));
                AssemblyEvent::Refused(own, refusal)
            }
            LedgerCopy::KIND => return self.copies.push(read(kind, body)),
            other => panic!("kind {other}"),
        };
        self.event(event);
    }

    async fn effects(&mut self, session: &mut Session) {
        for frame in self.poll() {
            session.say_frame(&frame).await;
        }
    }

    fn event(&mut self, event: AssemblyEvent) {
        self.assembly.handle(self.now, event);
    }

    /// Carries out effects; frames for the process are given back, in order.
    fn poll(&mut self) -> Vec<Vec<u8>> {
        let mut frames = Vec::new();
        while let Some(effect) = self.assembly.poll_effect() {
            match effect {
                AssemblyEffect::Persist(_) => self.event(AssemblyEvent::Persisted),
                AssemblyEffect::Audit(audit) => panic!("nobody broke a rule: {audit:?}"),
                AssemblyEffect::Released(sum) => self.released = Some(*sum),
                AssemblyEffect::Failed(_) => self.failed = true,
                AssemblyEffect::Task(to) if to == self.own => frames.push(frame(&self.task)),
                AssemblyEffect::Task(to) => {
                    let advert = self.peers[&to].advert().clone();
                    self.event(AssemblyEvent::Advert(to, advert));
                }
                AssemblyEffect::Roster(to, roster) if to == self.own => {
                    frames.push(frame(&*roster));
                }
                AssemblyEffect::Roster(to, roster) => self.deal(to, &roster),
                AssemblyEffect::Deliver(to) => {
                    let Some(delivery) = self.assembly.delivery(to) else {
                        continue;
                    };
                    if to == self.own {
                        frames.push(frame(&delivery));
                        continue;
                    }
                    let (peer, signer) = self.peer(to);
                    let taken = peer.on_delivery(delivery).unwrap();
                    let confirm = match taken {
                        OnDelivery::Resend(confirm) => confirm,
                        _ => peer.confirm(&|digest| signer.sign(digest)).unwrap(),
                    };
                    self.event(AssemblyEvent::Confirm(to, confirm));
                }
                AssemblyEffect::Proof(to, proof) if to == self.own => frames.push(frame(&*proof)),
                AssemblyEffect::Proof(to, proof) => {
                    let (peer, signer) = self.peer(to);
                    let opening = peer.on_proof(&proof, &|digest| signer.sign(digest));
                    self.event(AssemblyEvent::Opening(to, opening.unwrap()));
                }
            }
        }
        frames
    }

    fn deal(&mut self, to: u16, roster: &Roster) {
        let (peer, _) = self.peer(to);
        let fresh = Secret::new([to as u8; 32]);
        let behind = |_: &IdentityKey, _: &Head| false;
        let frame = match peer.on_roster(roster.clone(), fresh, &behind).unwrap() {
            OnRoster::Resend(frame) => frame,
            _ => peer.deal().unwrap(),
        };
        let shares = read(frame[1], &frame[HEADER_BYTES..]);
        self.event(AssemblyEvent::Shares(to, shares));
    }

    fn peer(&mut self, index: u16) -> (&mut Member, &'a Identity) {
        (self.peers.get_mut(&index).unwrap(), self.signers[&index])
    }
}

fn frame<M: Message>(message: &M) -> Vec<u8> {
    aquifer_shared::protocol::wire::frame(message)
}

fn read<M: Message>(kind: u8, body: &[u8]) -> M {
    read_body(kind, body).unwrap()
}
