//! A whole study over real sessions, the coordinator's side: its own machine, a journal in memory.
//!
//! Customers and noise are made up: every node adds the same to every cell, so that a sum tells who is in it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aquifer_coordinator::core::event::{Effect, Ending, Event, Record, Secure, Spool};
use aquifer_coordinator::core::resume::Durables;
use aquifer_coordinator::core::study::{Conditions, Study};
use aquifer_coordinator::core::update::verify;
use aquifer_coordinator::shell::front::{Command, Line as Outbox, Said, SharedFrame};
use aquifer_shared::base::hash::sha256;
use aquifer_shared::base::ids::IdentityKey;
use aquifer_shared::base::units::MicroRho;
use aquifer_shared::domain::sum::{
    Gate, HoldOut, Part, Plan, RoundTerms, SUM_VERSION, StudyTerms, Thresholds, TrustMode,
    study_hash,
};
use aquifer_shared::protocol::aggregation::{Checks, is_signed};
use aquifer_shared::protocol::chain::Head;
use aquifer_shared::protocol::codec::encode;
use aquifer_shared::protocol::wire::{
    Approval, CloseReason, LedgerHeld, Shares, approve_digest, frame,
};
use aquifer_shared::shell::platform::Platform;
use aquifer_shared::shell::quic::close;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use tokio::sync::mpsc;

use super::network::{CENTRE, Host, Network};
use super::world::{Centre, Log, Member, World, start};

pub const APPROVER: u8 = 200;
const CELLS: u32 = 2_000;
pub const ROUNDS: u16 = 12;
pub const PRICE: MicroRho = MicroRho(1_000);
const OFFER_MS: u64 = 30_000;

/// What survives a crash of the coordinator.
#[derive(Clone, Default)]
pub struct Journal(Arc<Mutex<Kept>>);

#[derive(Default)]
struct Kept {
    records: Vec<Record>,
    spool: BTreeMap<(u16, u16), Shares>,
}

pub fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

pub fn key(number: u8) -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[number; 32]).unwrap()
}

pub fn public(number: u8) -> IdentityKey {
    IdentityKey(key(number).public_key().as_ref().try_into().unwrap())
}

/// A study of these members: counting sums that read no customer, one spare attempt for each round.
pub fn terms(members: &[Member], mode: TrustMode) -> StudyTerms {
    let mut roster: Vec<IdentityKey> = members.iter().map(|member| member.identity).collect();
    roster.sort();
    let count = roster.len();
    let absent = Thresholds::usual_absent(count);
    let (d_max, c_max) = match mode {
        TrustMode::NodeNoise => (0, 0),
        TrustMode::SharedNoise => (absent, Thresholds::usual_colluders(count)),
    };
    let delta_sq = 65_536;
    let round = RoundTerms {
        part: Part::Training,
        cells_max: CELLS,
        cell_abs_max: 256,
        delta_sq,
        urho: PRICE,
        sigma_share: 0,
    };
    let all = MicroRho(PRICE.0 * u64::from(ROUNDS));
    let mut terms = StudyTerms {
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
        mode,
        roster,
        d_max,
        c_max,
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
        quorum: count as u16 - absent,
        gate: Gate::Open,
        expected_gain_ppm: 0,
        synthetic: true,
    };
    let share = terms.noise_share().unwrap();
    for round in &mut terms.rounds {
        round.sigma_share = share.scale(round.delta_sq, round.urho).unwrap();
    }
    assert_eq!(terms.check(), Ok(()));
    terms
}

/// Starts the coordinator with a study that is approved, or goes on with it.
pub fn open(world: &World, terms: &StudyTerms, journal: &Journal) -> Centre {
    let (mut centre, commands) = world.centre();
    let host = world.network.at(CENTRE);
    let bytes = encode(terms);
    let hash = study_hash(&bytes);
    let durable = journal.durables();
    let fresh = durable.records.is_empty();
    let conditions = Conditions {
        offer_ms: OFFER_MS,
        checks: Checks::STRICT,
        verify: is_signed,
    };
    let study = Study::resume(host.now(), bytes, &[], conditions, durable).unwrap();
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
                let held = LedgerHeld {
                    head: Head::default(),
                    signature: Vec::new(),
                };
                assert!(line.outbox.put(frame(&held).into()));
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
            Command::Said {
                party,
                message,
                room: _,
            } => {
                let member = self.terms.member(&party.identity).unwrap();
                let what = match &message {
                    Said::Secure(Secure::Shares(_)) => "shares",
                    _ => "heard",
                };
                let what = format!("{what} {}", party.name);
                self.log.add(&self.network, "hub", what);
                self.handle(match message {
                    Said::Decision(decision) => Event::Decided(member, decision.verdict),
                    Said::Refusal(refusal) => Event::Refused(member, refusal),
                    Said::Secure(secure) => Event::Secure(member, secure),
                    Said::Left(_) => return,
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
            self.perform(effect);
        }
    }

    fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::Persist {
                token,
                records,
                spool,
            } => {
                self.journal.append(records, spool);
                self.study.handle(self.host.now(), Event::Persisted(token));
            }
            Effect::Offer(member) => self.send(member, frame(&self.study.offer()).into()),
            Effect::Task(member, task) => {
                let what = format!("asked {member} {}/{}", task.round, task.attempt);
                self.log.add(&self.network, "hub", what);
                self.send(member, frame(&*task).into());
            }
            Effect::Roster(member, roster) => self.send(member, frame(&*roster).into()),
            Effect::Deliver(member) => {
                if let Some(delivery) = self.study.delivery(member) {
                    self.send(member, frame(&delivery).into());
                }
            }
            Effect::Proof(member, proof) => self.send(member, frame(&*proof).into()),
            Effect::Note(note) => self
                .log
                .add(&self.network, "hub", format!("notes {note:?}")),
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

    fn send(&self, member: usize, frame: SharedFrame) {
        if let Some((_, line)) = self.sessions.get(&member)
            && !line.outbox.put(frame)
        {
            close(&line.connection, CloseReason::Busy);
        }
    }
}

impl Journal {
    fn durables(&self) -> Durables {
        let kept = lock(&self.0);
        let spooled = kept.spool.iter();
        Durables {
            records: kept.records.clone(),
            spool: spooled
                .map(|(&(group, dealer), shares)| (group, dealer, shares.clone()))
                .collect(),
        }
    }

    fn append(&self, records: Vec<Record>, spool: Vec<Spool>) {
        let mut kept = lock(&self.0);
        kept.records.extend(records);
        for change in spool {
            match change {
                Spool::Keep { group, dealt } => {
                    for (dealer, shares) in dealt {
                        kept.spool.insert((group, dealer), (*shares).clone());
                    }
                }
                Spool::Drop { group } => kept.spool.retain(|key, _| key.0 != group),
                Spool::Clear => kept.spool.clear(),
            }
        }
    }

    /// Sums that were released: how many updates are in each, and its first cell.
    pub fn sums(&self) -> Vec<(usize, i64)> {
        let kept = lock(&self.0);
        let sums = kept.records.iter().filter_map(|record| match record {
            Record::Result { members, cells, .. } => Some((members.len(), cells[0])),
            _ => None,
        });
        sums.collect()
    }
}
