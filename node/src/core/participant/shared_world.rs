//! A group of participants with their disks, and a coordinator that does what a test wants, message by message.

use aquifer_shared::base::ids::{IdentityKey, StudyHash};
use aquifer_shared::base::secret::Secret;
use aquifer_shared::base::time::Timestamp;
use aquifer_shared::base::units::MicroRho;
use aquifer_shared::domain::sum::StudyTerms;
use aquifer_shared::protocol::aggregation::{
    Advert, Cannot, Confirm, Delivery, MemberSet, Opening, Proof, Roster, Sealed, Shares,
    roster_hash,
};
use aquifer_shared::protocol::codec::encode;
use aquifer_shared::protocol::wire::{
    BudgetLeft, HEADER_BYTES, LedgerCopy, Message, RefusalCode, Task, TaskBody, read_body,
};

use super::{Audit, Effect, Event, Fresh, Judges, Outgoing, Participant, Peer, Sign};
use crate::core::fixtures::{
    NODE, NOW, PEER, SPLIT, key, offer, pinned, public, rules, shared_synthetic,
};
use crate::core::ledger::{Batch, Beside, Ledger};
use crate::core::policy::Rules;

/// One node: its machine, its disk, everything that it ever said.
pub(super) struct Node {
    pub key: IdentityKey,
    pub rules: Rules,
    pub node: Participant,
    pub disk: Vec<Vec<u8>>,
    pub sent: Vec<Outgoing>,
    pub audits: Vec<Audit>,
    /// Batches that the disk holds back while it is slow.
    pub held: Option<Vec<Batch>>,
    /// Effects until the process dies; `after` says whether the last one is still carried out.
    pub fuse: Option<(usize, bool)>,
    pub fails: bool,
    seed: u8,
    draws: u8,
}

/// The process died.
#[derive(Debug, PartialEq)]
pub(super) struct Dead;

/// All nodes of a study, by rising index from 0; the node under test is [`Company::own`].
pub(super) struct Company {
    pub terms: StudyTerms,
    pub study: StudyHash,
    pub nodes: Vec<Node>,
    pub own: usize,
    pub now: Timestamp,
}

impl Node {
    fn new(seed: u8, terms: &StudyTerms, accepted: &[Vec<u8>], judges: Judges) -> Self {
        let identity = public(seed);
        let mut rules = Rules {
            identity,
            ..rules()
        };
        rules.policy.trust = pinned(terms);
        let mut node = Self {
            key: identity,
            node: machine(seed, NOW, &rules, accepted, judges),
            rules,
            disk: accepted.to_vec(),
            sent: Vec::new(),
            audits: Vec::new(),
            held: None,
            fuse: None,
            fails: false,
            seed,
            draws: 0,
        };
        node.run(NOW).unwrap();
        node
    }

    /// Another process on what the disk holds.
    pub fn restart(&mut self, now: Timestamp) {
        self.node = machine(self.seed, now, &self.rules, &self.disk, Judges::STRICT);
        (self.fuse, self.held) = (None, None);
        self.run(now).unwrap();
    }

    pub fn tell(&mut self, now: Timestamp, event: Event) -> Result<(), Dead> {
        self.node.handle(now, event);
        self.run(now)
    }

    fn run(&mut self, now: Timestamp) -> Result<(), Dead> {
        while let Some(effect) = self.node.poll_effect() {
            let dies = self.fuse.as_mut().is_some_and(|(left, _)| {
                let now = *left == 0;
                *left = left.wrapping_sub(1);
                now
            });
            if !dies || self.fuse.is_some_and(|(_, after)| after) {
                self.carry_out(now, effect);
            }
            if dies {
                return Err(Dead);
            }
        }
        Ok(())
    }

    fn carry_out(&mut self, now: Timestamp, effect: Effect) {
        match effect {
            Effect::Send(message) => self.sent.push(message),
            Effect::Compute(_) | Effect::Prepare { .. } => panic!("a synthetic study"),
            Effect::Draw { study, kind } => {
                self.draws += 1;
                let cell = i64::from(self.seed) * 1_000 + i64::from(self.draws);
                let noise = Some(Secret::new(vec![cell; kind.cells as usize]));
                self.node.handle(now, Event::Drawn { study, kind, noise });
            }
            Effect::Journal(batch) => match &mut self.held {
                Some(held) => held.push(batch),
                None => self.write(now, batch),
            },
            Effect::ReadLinks { after } => {
                let links = self.disk[after as usize..]
                    .iter()
                    .take(2)
                    .cloned()
                    .collect();
                self.node.handle(now, Event::Links { after, links });
            }
            Effect::Recall { .. } => panic!("nothing of a shared sum is stored"),
            Effect::Late { .. } => {}
            Effect::Audit(audit) => self.audits.push(audit),
        }
    }

    fn write(&mut self, now: Timestamp, batch: Batch) {
        if self.fails {
            return self.node.handle(now, Event::JournalFailed);
        }
        for record in batch.records {
            assert!(
                !matches!(record.beside, Beside::Store { .. }),
                "nothing of a shared sum is stored"
            );
            self.disk.push(record.bytes);
        }
        self.node.handle(now, Event::Journaled(batch.head));
    }

    /// The disk is fast again.
    pub fn release(&mut self, now: Timestamp) {
        for batch in self.held.take().into_iter().flatten() {
            self.write(now, batch);
        }
        self.run(now).unwrap();
    }

    fn all<T>(&self, wanted: impl Fn(&Outgoing) -> Option<T>) -> Vec<T> {
        self.sent.iter().filter_map(wanted).collect()
    }

    pub fn adverts(&self) -> Vec<Advert> {
        self.all(|message| match message {
            Outgoing::Advert(advert) => Some(advert.clone()),
            _ => None,
        })
    }

    pub fn shares(&self) -> Vec<Shares> {
        self.all(|message| match message {
            Outgoing::Shares(released) => Some(parse(released.frame())),
            _ => None,
        })
    }

    pub fn confirms(&self) -> Vec<Confirm> {
        self.all(|message| match message {
            Outgoing::Confirm(confirm) => Some(confirm.clone()),
            _ => None,
        })
    }

    pub fn cannots(&self) -> Vec<Cannot> {
        self.all(|message| match message {
            Outgoing::Cannot(cannot) => Some(cannot.clone()),
            _ => None,
        })
    }

    pub fn openings(&self) -> Vec<Opening> {
        self.all(|message| match message {
            Outgoing::Opening(released) => Some(parse(released.frame())),
            _ => None,
        })
    }

    pub fn left(&self) -> Vec<BudgetLeft> {
        self.all(|message| match message {
            Outgoing::Left(left) => Some(*left),
            _ => None,
        })
    }

    pub fn copies(&self) -> Vec<LedgerCopy> {
        self.all(|message| match message {
            Outgoing::Copy(copy) => Some(copy.clone()),
            _ => None,
        })
    }

    /// Code, detail, rule and member of every refusal.
    pub fn refusals(&self) -> Vec<(RefusalCode, u64, String, Option<Peer>)> {
        self.all(|message| match message {
            Outgoing::Refusal(refused) => {
                let rule = refused
                    .broken
                    .map_or(String::new(), |broken| broken.to_string());
                let refusal = &refused.refusal;
                Some((refusal.code, refusal.detail, rule, refused.peer))
            }
            _ => None,
        })
    }

    pub fn spent(&self, now: Timestamp) -> MicroRho {
        let (caps, contract) = (self.rules.policy.caps, &self.rules.contract.name);
        let report = self.node.ledger().report(now, caps, contract);
        report.unwrap().per_contract.spent
    }
}

fn machine(
    seed: u8,
    now: Timestamp,
    rules: &Rules,
    disk: &[Vec<u8>],
    judges: Judges,
) -> Participant {
    let ledger = Ledger::default().judged_by(judges.checks);
    let ledger = disk.iter().fold(ledger, |mut ledger, link| {
        ledger.follow(link).expect("the disk holds a sound ledger");
        ledger
    });
    let pair = key(seed);
    let sign: Sign = Box::new(move |digest| pair.sign(&digest.0).as_ref().to_vec());
    Participant::new(now, rules.clone(), ledger, sign, judges)
}

fn parse<M: Message>(frame: &[u8]) -> M {
    read_body(frame[1], &frame[HEADER_BYTES..]).unwrap()
}

pub(super) fn fresh(byte: u8) -> Fresh {
    Some(Secret::new([byte; 32]))
}

impl Company {
    /// Nodes that accepted a study of two synthetic sums.
    pub fn new(members: u8) -> Self {
        Self::of(shared_synthetic(members, 2), Judges::STRICT)
    }

    /// The same, where the node under test judges otherwise.
    pub fn of(terms: StudyTerms, judges: Judges) -> Self {
        let (study, offer) = offer(&terms);
        let mut ledger = Ledger::default();
        let accepted = (offer.terms.as_slice(), &terms, offer.approvals.as_slice());
        let caps = rules().policy.caps;
        ledger.reserve(NOW, caps, SPLIT, accepted, false).unwrap();
        let records = ledger.next_batch().unwrap().records;
        let disk: Vec<_> = records.into_iter().map(|record| record.bytes).collect();
        let peers = (PEER..).take(terms.roster.len() - 1);
        let mut seeds: Vec<u8> = peers.chain([NODE]).collect();
        seeds.sort_by_key(|seed| public(*seed));
        let nodes = seeds.iter().map(|seed| {
            let judges = if *seed == NODE {
                judges
            } else {
                Judges::STRICT
            };
            Node::new(*seed, &terms, &disk, judges)
        });
        Self {
            nodes: nodes.collect(),
            own: seeds.iter().position(|seed| *seed == NODE).unwrap(),
            terms,
            study,
            now: NOW,
        }
    }

    pub fn own(&mut self) -> &mut Node {
        &mut self.nodes[self.own]
    }

    /// The index of the node under test in the group.
    pub fn index(&self) -> u16 {
        self.own as u16 + 1
    }

    /// Another member than the node under test, by its place among those.
    pub fn peer(&self, place: usize) -> usize {
        (0..self.nodes.len())
            .filter(|node| *node != self.own)
            .nth(place)
            .unwrap()
    }

    /// What happens at the node under test.
    pub fn tell(&mut self, event: Event) -> Result<(), Dead> {
        let (own, now) = (self.own, self.now);
        self.nodes[own].tell(now, event)
    }

    pub fn task(&self, round: u32, attempt: u32) -> Task {
        Task {
            study: self.study,
            round,
            attempt,
            body: encode(&TaskBody::Synthetic(3)),
        }
    }

    /// Asks every node; adverts leave at the end of the slot.
    pub fn ask_all(&mut self, round: u32, attempt: u32) {
        for node in 0..self.nodes.len() {
            // Every key is another.
            let bytes = fresh(node as u8 + 16 * (2 * round + attempt + 1) as u8);
            let event = Event::Task(self.task(round, attempt), bytes);
            let _ = self.nodes[node].tell(self.now, event);
        }
        self.pass(u64::from(self.terms.slot_ms));
    }

    /// Time passes.
    pub fn pass(&mut self, ms: u64) {
        self.now = self.now.after_ms(ms);
        let now = self.now;
        for node in &mut self.nodes {
            let _ = node.tell(now, Event::Tick);
        }
    }

    /// The roster of these nodes' last adverts.
    pub fn roster_of(&self, nodes: &[usize]) -> Roster {
        let last = |node: &usize| self.nodes[*node].adverts().pop().unwrap();
        Roster {
            adverts: nodes.iter().map(last).collect(),
        }
    }

    pub fn everybody(&self) -> Vec<usize> {
        (0..self.nodes.len()).collect()
    }

    /// Shows a roster to its members.
    pub fn show(&mut self, roster: &Roster) {
        let now = self.now;
        for advert in &roster.adverts {
            let node = usize::from(advert.index) - 1;
            let event = Event::Roster(roster.clone(), fresh(200 + node as u8));
            let _ = self.nodes[node].tell(now, event);
        }
    }

    /// What these dealers dealt to a node.
    pub fn delivery(&self, roster: &Roster, dealers: &[usize], to: usize) -> Delivery {
        let to = to as u16 + 1;
        let others = dealers.iter().filter(|dealer| **dealer as u16 + 1 != to);
        let records = others.map(|dealer| {
            let shares = self.nodes[*dealer].shares().pop().unwrap();
            let sealed = shares.records.iter().find(|sealed| sealed.index == to);
            Sealed {
                index: *dealer as u16 + 1,
                record: sealed.unwrap().record.clone(),
            }
        });
        Delivery {
            attempt: roster.attempt().unwrap(),
            roster: roster_hash(roster),
            dealers: MemberSet::of(dealers.iter().map(|dealer| *dealer as u16 + 1)),
            records: records.collect(),
        }
    }

    /// Delivers this set to every member of the roster.
    pub fn deliver(&mut self, roster: &Roster, dealers: &[usize]) {
        let now = self.now;
        for advert in &roster.adverts {
            let to = usize::from(advert.index) - 1;
            let event = Event::Delivery(self.delivery(roster, dealers, to));
            let _ = self.nodes[to].tell(now, event);
        }
    }

    /// The proof of these nodes' last confirmations.
    pub fn proof(&self, roster: &Roster, nodes: &[usize]) -> Proof {
        let confirmed = nodes.iter().filter_map(|node| {
            let confirm = self.nodes[*node].confirms().pop()?;
            Some((*node as u16 + 1, confirm.signature))
        });
        Proof {
            attempt: roster.attempt().unwrap(),
            confirmations: confirmed.collect(),
        }
    }

    /// All steps up to the openings, with everybody.
    pub fn aggregate(&mut self, round: u32, attempt: u32) -> Roster {
        self.ask_all(round, attempt);
        let everybody = self.everybody();
        let roster = self.roster_of(&everybody);
        self.show(&roster);
        self.deliver(&roster, &everybody);
        let proof = self.proof(&roster, &everybody);
        let now = self.now;
        for node in &mut self.nodes {
            let _ = node.tell(now, Event::Proof(proof.clone()));
        }
        roster
    }

    /// What the noise of these nodes adds up to, in their draw of this number.
    pub fn noise(&self, nodes: &[usize], draw: u8) -> i64 {
        let noise = nodes
            .iter()
            .map(|node| i64::from(self.nodes[*node].seed) * 1_000 + i64::from(draw));
        noise.sum()
    }
}
