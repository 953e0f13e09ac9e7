//! A whole study over real sessions: the coordinator's and the nodes' own machines at both ends, disks in memory.
//!
//! Customers and noise are made up: every node adds the same to every cell, so that a sum tells who is in it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aquifer_coordinator::core::event::{Effect, Ending, Event, Record};
use aquifer_coordinator::core::study::Study;
use aquifer_coordinator::core::update::verify;
use aquifer_coordinator::shell::front::{Command, Line as Outbox, Said, SharedFrame};
use aquifer_node::core::ledger::{Beside, Caps, Ledger};
use aquifer_node::core::participant::{
    Effect as Step, Event as Heard, Outgoing, Participant, Sign,
};
use aquifer_node::core::policy::{ContractFacts, NodePolicy, Rules};
use aquifer_node::shell::link::{LinkEvent, bytes_of};
use aquifer_shared::base::hash::sha256;
use aquifer_shared::base::ids::{Hash32, IdentityKey, StudyHash};
use aquifer_shared::base::secret::Secret;
use aquifer_shared::base::time::Timestamp;
use aquifer_shared::base::units::MicroRho;
use aquifer_shared::domain::sum::{
    Gate, HoldOut, Part, Plan, RoundTerms, SUM_VERSION, StudyTerms, TrustMode, sigma_share,
    study_hash,
};
use aquifer_shared::protocol::codec::encode;
use aquifer_shared::protocol::wire::{
    Approval, CloseReason, End, Message, Offer, StudyEnd, Task, approve_digest, frame, read_body,
};
use aquifer_shared::shell::platform::Platform;
use aquifer_shared::shell::quic::close;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use tokio::sync::mpsc;

use super::network::{CENTRE, Host, Network};
use super::world::{Centre, Line, Log, Member, Running, World, start};

const APPROVER: u8 = 200;
const CELLS: u32 = 2_000;
pub const ROUNDS: u16 = 12;
pub const PRICE: MicroRho = MicroRho(1_000);
const OFFER_MS: u64 = 30_000;

/// What survives a crash of the coordinator.
#[derive(Clone, Default)]
pub struct Journal(Arc<Mutex<Vec<Record>>>);

/// What survives a crash of a node.
#[derive(Clone, Default)]
pub struct Disk(Arc<Mutex<Stored>>);

#[derive(Default)]
struct Stored {
    entries: Vec<Vec<u8>>,
    updates: BTreeMap<(StudyHash, u32, u32), Vec<u8>>,
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

fn key(number: u8) -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[number; 32]).unwrap()
}

fn public(number: u8) -> IdentityKey {
    IdentityKey(key(number).public_key().as_ref().try_into().unwrap())
}

/// A study of these members: counting sums that read no customer, one spare attempt for each round.
pub fn terms(members: &[Member], quorum: u16) -> StudyTerms {
    let mut roster: Vec<IdentityKey> = members.iter().map(|member| member.identity).collect();
    roster.sort();
    let delta_sq = 65_536;
    let round = RoundTerms {
        part: Part::Training,
        cells_max: CELLS,
        cell_abs_max: 256,
        delta_sq,
        urho: PRICE,
        sigma_share: sigma_share(delta_sq, 1, 1, PRICE).unwrap(),
    };
    let all = MicroRho(PRICE.0 * u64::from(ROUNDS));
    StudyTerms {
        version: SUM_VERSION,
        study_id: [7; 16],
        name: "churn-1".parse().unwrap(),
        family: "churn".parse().unwrap(),
        purpose: "churn.train".parse().unwrap(),
        contract_name: "churn".parse().unwrap(),
        contract_version: 1,
        contract_hash: sha256(b"churn"),
        plan: Plan::Synthetic {
            cells: CELLS,
            rounds: ROUNDS,
        },
        mode: TrustMode::NodeNoise,
        roster,
        d_max: 0,
        c_max: 0,
        multiplicity: 1,
        rounds: vec![round; ROUNDS.into()],
        attempts_max: 2,
        urho_cap: MicroRho(2 * all.0),
        urho: all,
        delta: 1e-6.try_into().unwrap(),
        population: 40_000,
        customers_max: 10_000,
        holdout: HoldOut::Fraction(150_000),
        slot_ms: 500,
        phase_ms: 4_000,
        attempt_ttl_ms: 120_000,
        expires: start().after_ms(86_400_000),
        quorum,
        gate: Gate::Open,
        expected_gain_ppm: 0,
        synthetic: true,
    }
}

/// Starts the coordinator with a study that is approved, or goes on with it.
pub fn open(world: &World, terms: &StudyTerms, journal: &Journal) -> Centre {
    let (mut centre, commands) = world.centre();
    let host = world.network.at(CENTRE);
    let bytes = encode(terms);
    let hash = study_hash(&bytes);
    let records = lock(&journal.0).clone();
    let fresh = records.is_empty();
    let study = Study::resume(host.now(), bytes, &[], OFFER_MS, records).unwrap();
    let mut hub = Hub {
        study,
        terms: terms.clone(),
        journal: journal.clone(),
        host,
        log: world.log.clone(),
        network: world.network.clone(),
        sessions: BTreeMap::new(),
    };
    let approval = Approval {
        key: public(APPROVER),
        signature: key(APPROVER)
            .sign(&approve_digest(&hash).0)
            .as_ref()
            .to_vec(),
    };
    hub.handle(if fresh {
        Event::Approved(approval)
    } else {
        Event::Tick
    });
    centre.spawn(hub.run(commands));
    centre
}

struct Hub {
    study: Study,
    terms: StudyTerms,
    journal: Journal,
    host: Host,
    log: Log,
    network: Network,
    sessions: BTreeMap<usize, (u64, Outbox)>,
}

impl Hub {
    async fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        loop {
            let due = self.study.next_wakeup().unwrap_or(self.terms.expires);
            let wait = Duration::from_millis(due.since_ms(self.host.now()));
            let timer = self.host.sleep(wait);
            tokio::select! {
                biased;
                command = commands.recv() => match command {
                    Some(command) => self.take(command),
                    None => return,
                },
                () = timer => self.handle(Event::Tick),
            }
        }
    }

    fn take(&mut self, command: Command) {
        match command {
            Command::Opened {
                party,
                session,
                line,
                ..
            } => {
                let member = self.terms.member(&party.identity).unwrap();
                self.log
                    .add(&self.network, "hub", format!("opened {}", party.name));
                if let Some((_, before)) = self.sessions.insert(member, (session, line)) {
                    close(&before.connection, CloseReason::Replaced);
                }
                self.handle(Event::Connected(member));
            }
            Command::Closed { party, session } => {
                let member = self.terms.member(&party.identity).unwrap();
                if self
                    .sessions
                    .get(&member)
                    .is_some_and(|(number, _)| *number == session)
                {
                    self.sessions.remove(&member);
                    self.handle(Event::Disconnected(member));
                }
            }
            Command::Said { party, message } => {
                let member = self.terms.member(&party.identity).unwrap();
                self.log
                    .add(&self.network, "hub", format!("heard {}", party.name));
                self.handle(match message {
                    Said::Decision(decision) => Event::Decided(member, decision.verdict),
                    Said::Refusal(refusal) => Event::Refused(member, refusal),
                    Said::Update(update) => match verify(&party.identity, update) {
                        Ok(update) => Event::Update(member, update),
                        Err(malformed) => Event::Malformed(member, malformed),
                    },
                });
            }
            other => self
                .log
                .broken(&self.network, format!("nobody says {other:?}")),
        }
    }

    fn handle(&mut self, event: Event) {
        self.study.handle(self.host.now(), event);
        while let Some(effect) = self.study.poll_effect() {
            match effect {
                Effect::Persist { token, records } => {
                    lock(&self.journal.0).extend(records);
                    self.study.handle(self.host.now(), Event::Persisted(token));
                }
                Effect::Offer(member) => self.send(member, frame(&self.study.offer()).into()),
                Effect::Task(member, task) => {
                    let what = format!("asked {member} {}/{}", task.round, task.attempt);
                    self.log.add(&self.network, "hub", what);
                    self.send(member, frame(&task).into());
                }
                Effect::End(member, end) => self.send(member, frame(&end).into()),
                Effect::StudyEnd(member, end) => self.send(member, frame(&end).into()),
                Effect::Conclude => {
                    let ending = Ending::Published;
                    self.study.handle(self.host.now(), Event::Concluded(ending));
                }
                Effect::Finished(ending) => {
                    self.log
                        .add(&self.network, "hub", format!("ended {ending}"));
                }
            }
        }
    }

    fn send(&self, member: usize, frame: SharedFrame) {
        if let Some((_, line)) = self.sessions.get(&member)
            && line.outbox.try_send(frame).is_err()
        {
            close(&line.connection, CloseReason::Busy);
        }
    }
}

impl Journal {
    /// Sums that were released: how many updates are in each, and its first cell.
    pub fn sums(&self) -> Vec<(usize, i64)> {
        let records = lock(&self.0);
        let sums = records.iter().filter_map(|record| match record {
            Record::Result { members, cells, .. } => Some((members.len(), cells[0])),
            _ => None,
        });
        sums.collect()
    }
}

/// Starts a node on its disk.
pub fn join(world: &World, member: &Member, disk: &Disk) -> Running {
    let (running, line) = world.start(member);
    let pair = key(member.number());
    let sign: Sign = Box::new(move |digest: &Hash32| pair.sign(&digest.0).as_ref().to_vec());
    let now = running.host.now();
    let node = Participant::new(now, rules(member), disk.ledger(), sign);
    let unit = Unit {
        node,
        disk: disk.clone(),
        host: running.host.clone(),
        outgoing: line.outgoing.clone(),
        adds: 1 << member.number(),
    };
    tokio::spawn(unit.run(line));
    running
}

fn rules(member: &Member) -> Rules {
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
            allow_synthetic: true,
            customers_max: 1_000,
        },
        contract: ContractFacts {
            name: "churn".parse().unwrap(),
            version: 1,
            hash: sha256(b"churn"),
            multiplicity: 1,
            shapes: Vec::new(),
            holdout_column: None,
        },
        identity: member.identity,
        confirms: |_| true,
    }
}

impl Disk {
    fn ledger(&self) -> Ledger {
        let stored = lock(&self.0);
        Ledger::open(stored.entries.iter().map(Vec::as_slice)).unwrap()
    }

    /// What the node has paid.
    pub fn spent(&self, member: &Member) -> MicroRho {
        let rules = rules(member);
        let (caps, contract) = (rules.policy.caps, &rules.contract.name);
        let report = self.ledger().report(start(), caps, contract).unwrap();
        report.per_contract.spent
    }
}

struct Unit {
    node: Participant,
    disk: Disk,
    host: Host,
    outgoing: mpsc::Sender<Vec<u8>>,
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
                    Some(LinkEvent::Frame(kind, body)) => read(kind, &body),
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
                    let bytes = match message {
                        Outgoing::Decision(decision) => bytes_of(&decision),
                        Outgoing::Refusal(refusal) => bytes_of(&refusal),
                        Outgoing::Update(released) => released.into_frame(),
                    };
                    // Without a session it is lost, and asked for again.
                    let _ = self.outgoing.try_send(bytes);
                    continue;
                }
                Step::Prepare { .. } => continue,
                Step::Compute(job) => Heard::Computed {
                    attempt: job.attempt,
                    sum: Ok(Secret::new(vec![0; job.terms.cells_max as usize])),
                },
                Step::Draw { study, kind } => Heard::Drawn {
                    study,
                    kind,
                    noise: Some(Secret::new(vec![self.adds; kind.cells as usize])),
                },
                Step::Journal(batch) => {
                    let mut stored = lock(&self.disk.0);
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
                Step::Recall {
                    study,
                    round,
                    attempt,
                } => Heard::Recalled {
                    study,
                    round,
                    attempt,
                    update: lock(&self.disk.0)
                        .updates
                        .get(&(study, round, attempt))
                        .cloned(),
                },
            };
            self.node.handle(self.host.now(), event);
        }
    }
}

fn read(kind: u8, body: &[u8]) -> Heard {
    match kind {
        Offer::KIND => Heard::Offer(read_body(kind, body).unwrap()),
        Task::KIND => Heard::Task(read_body(kind, body).unwrap()),
        End::KIND => Heard::End(read_body(kind, body).unwrap()),
        StudyEnd::KIND => Heard::StudyEnd(read_body(kind, body).unwrap()),
        got => panic!("a coordinator does not send kind {got}"),
    }
}
