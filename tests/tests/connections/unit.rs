//! A node of a study over a real session: its own machine, a disk in memory, the same for every cell.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aquifer_node::core::ledger::{Batch, Beside, Caps, Ledger};
use aquifer_node::core::participant::{
    Effect as Step, Event as Heard, Fresh, Judges, Outgoing, Participant, Sign,
};
use aquifer_node::core::policy::{ContractFacts, NodePolicy, Rules};
use aquifer_node::core::trust::{Pin, TrustPolicy};
use aquifer_node::shell::link::{LinkEvent, bytes_of};
use aquifer_shared::base::hash::sha256;
use aquifer_shared::base::ids::{Hash32, IdentityKey, StudyHash};
use aquifer_shared::base::secret::Secret;
use aquifer_shared::base::time::Timestamp;
use aquifer_shared::base::units::MicroRho;
use aquifer_shared::domain::sum::StudyTerms;
use aquifer_shared::protocol::wire::{
    Delivery, End, LedgerHeld, Message, Offer, Proof, Roster, StudyEnd, Task, read_body,
};
use aquifer_shared::shell::platform::Platform;
use aquifer_tests::law;
use aquifer_tests::random::Seeded;

use super::network::{Host, Network};
use super::study::{APPROVER, PRICE, ROUNDS, key, lock, public};
use super::world::{Line, Log, Member, Running, Way, World, start};

/// What survives a crash of a node.
#[derive(Clone, Default)]
pub struct Disk(Arc<Mutex<Stored>>);

#[derive(Default)]
struct Stored {
    entries: Vec<Vec<u8>>,
    updates: BTreeMap<(StudyHash, u32, u32), Vec<u8>>,
}

/// Starts a node of a study on its disk.
pub fn join(world: &World, terms: &StudyTerms, member: &Member, disk: &Disk) -> Running {
    let (running, line) = world.start(member);
    let pair = key(member.number());
    let sign: Sign = Box::new(move |digest: &Hash32| pair.sign(&digest.0).as_ref().to_vec());
    let now = running.host.now();
    let rules = rules(member, terms);
    let node = Participant::new(now, rules, disk.ledger(), sign, Judges::STRICT);
    let name = member.name.as_str();
    world.log.add(&world.network, name, "started");
    let life = world.log.count(name, "started") as u64;
    let unit = Unit {
        node,
        name: name.to_owned(),
        log: world.log.clone(),
        network: world.network.clone(),
        random: Seeded::new(life, u64::from(member.number())),
        disk: disk.clone(),
        host: running.host.clone(),
        outgoing: line.outgoing.clone(),
        adds: 1 << member.number(),
    };
    tokio::spawn(unit.run(line));
    running
}

fn rules(member: &Member, terms: &StudyTerms) -> Rules {
    let pin = |(index, key): (usize, &IdentityKey)| {
        let name = format!("unit-{index}").parse().unwrap();
        let operator = format!("team-{index}").parse().unwrap();
        (*key, Pin { name, operator })
    };
    let trust = TrustPolicy {
        coordinator_operator: Some("head-office".parse().unwrap()),
        pins: terms.roster.iter().enumerate().map(pin).collect(),
        ..TrustPolicy::default()
    };
    let caps = MicroRho(2 * PRICE.0 * u64::from(ROUNDS));
    Rules {
        policy: NodePolicy {
            caps: Caps {
                per_contract: caps,
                per_year: caps,
            },
            purposes: vec!["churn.train".parse().unwrap()],
            approvers: vec![public(APPROVER)],
            by_person: false,
            members_min: 1,
            trust,
            floor_per_contract: None,
            allow_synthetic: true,
            customers_max: 1_000,
        },
        contract: ContractFacts {
            name: "churn".parse().unwrap(),
            version: 1,
            hash: sha256(b"churn"),
            multiplicity: 1,
            shapes: Vec::new(),
            published: Vec::new(),
            holdout_column: None,
            features: Vec::new(),
            label: law::LABEL.to_owned(),
        },
        identity: member.identity,
        split: Hash32([6; 32]),
        data_version: None,
        standing: Vec::new(),
        confirms: |_| true,
        gatekeeper: Some(law::gatekeeper()),
        epsilon: |_, _| 1.0,
        approved: aquifer_node::core::approved::Approved::default(),
    }
}

impl Disk {
    fn ledger(&self) -> Ledger {
        let stored = lock(&self.0);
        Ledger::open(stored.entries.iter().map(Vec::as_slice)).unwrap()
    }

    /// What the node has paid.
    pub fn spent(&self, member: &Member, terms: &StudyTerms) -> MicroRho {
        let rules = rules(member, terms);
        let (caps, contract) = (rules.policy.caps, &rules.contract.name);
        let report = self.ledger().report(start(), caps, contract).unwrap();
        report.per_contract.spent
    }
}

struct Unit {
    node: Participant,
    name: String,
    log: Log,
    network: Network,
    random: Seeded,
    disk: Disk,
    host: Host,
    outgoing: Way,
    /// What this node adds to every cell.
    adds: i64,
}

impl Unit {
    async fn run(mut self, mut line: Line) {
        loop {
            self.act();
            let due = self.node.next_wakeup().unwrap_or(Timestamp(u64::MAX));
            let wait = Duration::from_millis(due.since_ms(self.host.now()).min(3_600_000));
            let timer = self.host.sleep(wait);
            let event = tokio::select! {
                biased;
                event = line.events.recv() => match event {
                    Some(LinkEvent::Up) => Heard::Connected,
                    Some(LinkEvent::Frame(kind, body)) => self.read(kind, &body),
                    Some(LinkEvent::Over(_)) | None => return,
                },
                () = timer => Heard::Tick,
            };
            self.node.handle(self.host.now(), event);
        }
    }

    fn act(&mut self) {
        while let Some(step) = self.node.poll_effect() {
            let event = match step {
                Step::Send(message) => {
                    self.send(message);
                    continue;
                }
                Step::Audit(audit) => {
                    self.log.broken(&self.network, format!("{audit:?}"));
                    continue;
                }
                Step::Prepare { .. } | Step::Late { .. } => continue,
                Step::Compute(job) => Heard::Computed {
                    attempt: job.attempt,
                    task: job.task,
                    sum: Ok(Secret::new(vec![0; job.terms.cells_max as usize])),
                },
                Step::Draw { study, kind } => Heard::Drawn {
                    study,
                    kind,
                    noise: Some(Secret::new(vec![self.adds; kind.cells as usize])),
                },
                Step::Journal(batch) => self.disk.write(batch),
                Step::Recall {
                    study,
                    round,
                    attempt,
                } => Heard::Recalled {
                    study,
                    round,
                    attempt,
                    update: self.disk.update((study, round, attempt)),
                },
                Step::ReadLinks { after } => Heard::Links {
                    after,
                    links: self.disk.links(after),
                },
            };
            self.node.handle(self.host.now(), event);
        }
    }

    fn send(&self, message: Outgoing) {
        let (what, bytes) = match message {
            Outgoing::Decision(decision) => ("decision", bytes_of(&decision)),
            Outgoing::Refusal(refused) => ("refusal", bytes_of(&refused.refusal)),
            Outgoing::Update(released) => ("update", released.into_frame()),
            Outgoing::Advert(advert) => ("advert", bytes_of(&advert)),
            Outgoing::Shares(released) => ("shares", released.into_frame()),
            Outgoing::Cannot(cannot) => ("cannot", bytes_of(&cannot)),
            Outgoing::Confirm(confirm) => ("confirm", bytes_of(&confirm)),
            Outgoing::Opening(released) => ("opening", released.into_frame()),
            Outgoing::Left(left) => ("left", bytes_of(&left)),
            Outgoing::Copy(copy) => ("copy", bytes_of(&copy)),
        };
        self.log
            .add(&self.network, &self.name, format!("says {what}"));
        // Without a session it is lost, and asked for again.
        let _ = self.outgoing.try_send(bytes);
    }

    fn read(&mut self, kind: u8, body: &[u8]) -> Heard {
        match kind {
            Offer::KIND => Heard::Offer(read_body(kind, body).unwrap()),
            Task::KIND => Heard::Task(read_body(kind, body).unwrap(), self.fresh()),
            Roster::KIND => Heard::Roster(read_body(kind, body).unwrap(), self.fresh()),
            Delivery::KIND => Heard::Delivery(read_body(kind, body).unwrap()),
            Proof::KIND => Heard::Proof(read_body(kind, body).unwrap()),
            LedgerHeld::KIND => Heard::LedgerHeld(read_body(kind, body).unwrap()),
            End::KIND => Heard::End(read_body(kind, body).unwrap()),
            StudyEnd::KIND => Heard::StudyEnd(read_body(kind, body).unwrap()),
            got => panic!("a coordinator does not send kind {got}"),
        }
    }

    fn fresh(&mut self) -> Fresh {
        let mut bytes = [0; 32];
        for word in bytes.chunks_mut(8) {
            word.copy_from_slice(&self.random.next_u64().to_le_bytes());
        }
        Some(Secret::new(bytes))
    }
}

impl Disk {
    fn write(&self, batch: Batch) -> Heard {
        let mut stored = lock(&self.0);
        for record in batch.records {
            stored.entries.push(record.bytes);
            match record.beside {
                Beside::Nothing => {}
                Beside::Store {
                    study,
                    round,
                    attempt,
                    update,
                } => {
                    stored.updates.insert((study, round, attempt), update);
                }
                Beside::Drop(study) => stored.updates.retain(|key, _| key.0 != study),
            }
        }
        Heard::Journaled(batch.head)
    }

    fn update(&self, key: (StudyHash, u32, u32)) -> Option<Vec<u8>> {
        lock(&self.0).updates.get(&key).cloned()
    }

    fn links(&self, after: u64) -> Vec<Vec<u8>> {
        let entries = &lock(&self.0).entries;
        let first = usize::try_from(after).unwrap();
        entries.iter().skip(first).take(64).cloned().collect()
    }
}
