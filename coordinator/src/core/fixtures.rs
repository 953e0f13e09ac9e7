//! A study with its journal and members, in simulated time: what every test of the machine starts from.
//!
//! Members keep the promises of real nodes: a charged task is answered again with the same bytes, another body never.

use std::collections::BTreeMap;

use aquifer_shared::base::ids::{AttemptId, Hash32, IdentityKey};
use aquifer_shared::base::time::Timestamp;
use aquifer_shared::base::units::MicroRho;
use aquifer_shared::domain::sum::{
    HoldOut, Part, Plan, RoundTerms, Standing, StudyTerms, TrustMode, Window, attempt_id,
    sigma_share, task_hash,
};
use aquifer_shared::protocol::codec::encode;
use aquifer_shared::protocol::wire::{
    Approval, End, Refusal, RefusalCode, StudyEnd, Task, Update, Verdict, update_digest,
};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};

use super::event::{Effect, Ending, Event, Member, Record};
use super::resume::Durables;
use super::study::{Conditions, Study};
use super::update::verify;

pub(super) const MEMBERS: usize = 4;
pub(super) const CELLS: u32 = 3;
pub(super) const ROUNDS: u16 = 3;
pub(super) const OFFER_MS: u64 = 60_000;
pub(super) const PHASE_MS: u64 = 2_000;
pub(super) const TTL_MS: u64 = 120_000;
pub(super) const EXPIRES: Timestamp = Timestamp(10_000_000);

/// What a member does with a task.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Habit {
    /// Answers at once.
    Prompt,
    /// Hears it and says nothing.
    Silent,
    /// Refuses it.
    Refuses(RefusalCode),
    /// Sends one cell too few.
    Short,
    /// Signs with another key.
    Forged,
}

pub(super) struct World {
    pub(super) study: Study,
    pub(super) bytes: Vec<u8>,
    pub(super) now: Timestamp,
    pub(super) journal: Vec<Record>,
    /// Lengths of the journal after each append.
    pub(super) appends: Vec<usize>,
    pub(super) habits: [Habit; MEMBERS],
    pub(super) connected: [bool; MEMBERS],
    /// Charged tasks of each member and the bytes that answer them.
    pub(super) charged: [BTreeMap<(u32, u32), (Task, Update)>; MEMBERS],
    pub(super) tasks: Vec<(Member, Task)>,
    pub(super) ends: Vec<(Member, End)>,
    pub(super) study_ends: Vec<(Member, StudyEnd)>,
    pub(super) finished: Vec<Ending>,
    pub(super) concluded: usize,
    /// Appends that succeed before the process dies.
    pub(super) appends_left: usize,
}

impl World {
    /// A study that nobody has approved; all members are connected.
    pub(super) fn new() -> Self {
        Self::with(|_| {})
    }

    pub(super) fn with(change: impl FnOnce(&mut StudyTerms)) -> Self {
        let mut terms = terms();
        change(&mut terms);
        let bytes = encode(&terms);
        let mut world = Self {
            study: Study::new(bytes.clone(), &[], Conditions::strict(OFFER_MS)).unwrap(),
            bytes,
            now: Timestamp(1_000),
            journal: Vec::new(),
            appends: vec![0],
            habits: [Habit::Prompt; MEMBERS],
            connected: [false; MEMBERS],
            charged: Default::default(),
            tasks: Vec::new(),
            ends: Vec::new(),
            study_ends: Vec::new(),
            finished: Vec::new(),
            concluded: 0,
            appends_left: usize::MAX,
        };
        (0..MEMBERS).for_each(|member| world.connect(member));
        world
    }

    /// A study whose rounds run, as far as habits let them.
    pub(super) fn running(habits: [Habit; MEMBERS]) -> Self {
        Self::new().habits(habits).approved().accepted()
    }

    pub(super) fn habits(mut self, habits: [Habit; MEMBERS]) -> Self {
        self.habits = habits;
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
        for member in 0..MEMBERS {
            self.say(Event::Decided(member, Verdict::Accepted));
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

    /// Says it, then does everything that follows at this moment.
    pub(super) fn say(&mut self, event: Event) {
        self.study.handle(self.now, event);
        while let Some(effect) = self.study.poll_effect() {
            if self.appends_left == 0 {
                return;
            }
            self.perform(effect);
        }
    }

    /// Lets time pass up to the next wakeup, which must be ahead.
    pub(super) fn sleep(&mut self) {
        let wakeup = self
            .study
            .next_wakeup()
            .expect("the study waits for something");
        assert!(
            wakeup > self.now,
            "woken at {wakeup:?}, it is {:?}",
            self.now
        );
        self.now = wakeup;
        self.say(Event::Tick);
    }

    /// The process dies and starts again with the first `records` of the journal; members reconnect.
    pub(super) fn restart(&mut self, records: usize) {
        self.journal.truncate(records);
        let durable = Durables {
            records: self.journal.clone(),
            spool: Vec::new(),
        };
        let conditions = Conditions::strict(OFFER_MS);
        let resumed = Study::resume(self.now, self.bytes.clone(), &[], conditions, durable);
        self.study = resumed.unwrap();
        self.appends_left = usize::MAX;
        self.say(Event::Tick);
        for member in (0..MEMBERS)
            .filter(|member| self.connected[*member])
            .collect::<Vec<_>>()
        {
            self.say(Event::Connected(member));
        }
    }

    fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::Persist { token, records, .. } => {
                self.journal.extend(records);
                self.appends.push(self.journal.len());
                self.appends_left -= 1;
                if self.appends_left > 0 {
                    self.study.handle(self.now, Event::Persisted(token));
                }
            }
            Effect::Offer(member) => self.check_connected(member),
            Effect::Task(member, task) => self.answer(member, (*task).clone()),
            Effect::End(member, end) => self.ends.push((member, end)),
            Effect::StudyEnd(member, end) => self.study_ends.push((member, end)),
            Effect::Conclude => {
                self.concluded += 1;
                self.study
                    .handle(self.now, Event::Concluded(Ending::Published));
            }
            Effect::Finished(ending) => self.finished.push(ending),
            other => panic!("not in this trust mode: {other:?}"),
        }
    }

    fn check_connected(&self, member: Member) {
        assert!(self.connected[member], "member {member} has no session");
    }

    fn answer(&mut self, member: Member, task: Task) {
        self.check_connected(member);
        let place = (task.round, task.attempt);
        let open = |record: &Record| matches!(record, Record::Open { round, attempt, .. } if (*round, *attempt) == place);
        assert!(self.journal.iter().any(open), "{place:?} is not durable");
        self.tasks.push((member, task.clone()));
        let event = match self.habits[member] {
            Habit::Silent => return,
            Habit::Refuses(code) => Event::Refused(member, self.refusal(&task, code, 0)),
            Habit::Short => self.sent(member, &update(member, &task, CELLS - 1)),
            Habit::Forged => {
                let forged = Update {
                    signature: vec![1; 64],
                    ..update(member, &task, CELLS)
                };
                self.sent(member, &forged)
            }
            Habit::Prompt => {
                let last = self.charged[member].keys().next_back();
                assert!(
                    last.is_none_or(|last| *last <= place),
                    "{place:?} after {last:?}"
                );
                let fresh = update(member, &task, CELLS);
                let entry = self.charged[member].entry(place);
                let (known, stored) = entry.or_insert_with(|| (task.clone(), fresh)).clone();
                assert_eq!(known, task, "another body for a charged attempt");
                self.sent(member, &stored)
            }
        };
        self.study.handle(self.now, event);
    }

    pub(super) fn refusal(&self, task: &Task, code: RefusalCode, detail: u64) -> Refusal {
        Refusal {
            attempt: attempt_id(&task.study, task.round, task.attempt),
            study: self.study.hash(),
            code,
            detail,
        }
    }

    /// What the shell makes of an update's bytes.
    pub(super) fn sent(&self, member: Member, update: &Update) -> Event {
        let key = self.study.terms().roster[member];
        match verify(&key, update.clone()) {
            Ok(update) => Event::Update(member, update),
            Err(malformed) => Event::Malformed(member, malformed),
        }
    }

    /// Attempts opened, in order.
    pub(super) fn opened(&self) -> Vec<(u32, u32)> {
        let opened = self.journal.iter().filter_map(|record| match record {
            Record::Open { round, attempt, .. } => Some((*round, *attempt)),
            _ => None,
        });
        opened.collect()
    }

    /// Who is in the released sums.
    pub(super) fn updates(&self) -> Vec<u32> {
        let released = self.study.released().iter();
        released.map(|sum| sum.updates).collect()
    }
}

/// A member's answer; member i has 10^i in every cell, so that a sum names its members.
pub(super) fn update(member: Member, task: &Task, cells: u32) -> Update {
    update_of(
        member,
        task,
        vec![10_i64.pow(member as u32); cells as usize],
    )
}

pub(super) fn update_of(member: Member, task: &Task, cells: Vec<i64>) -> Update {
    let attempt: AttemptId = attempt_id(&task.study, task.round, task.attempt);
    let hash: Hash32 = task_hash(&task.study, task.round, &task.body);
    let digest = update_digest(&attempt, &hash, &cells);
    let signature = pair_of(member).sign(&digest.0).as_ref().to_vec();
    Update {
        attempt,
        task: hash,
        cells,
        signature,
    }
}

pub(crate) fn terms() -> StudyTerms {
    let (delta_sq, urho) = (65_536, MicroRho(1_000));
    let round = RoundTerms {
        part: Part::Training,
        cells_max: CELLS,
        cell_abs_max: 256,
        delta_sq,
        urho,
        sigma_share: sigma_share(delta_sq, 1, 1, urho).unwrap(),
    };
    let total = MicroRho(urho.0 * u64::from(ROUNDS));
    StudyTerms {
        version: 1,
        study_id: [7; 16],
        name: "load".parse().unwrap(),
        family: "load".parse().unwrap(),
        purpose: "measure".parse().unwrap(),
        contract_name: "customers".parse().unwrap(),
        contract_version: 1,
        contract_hash: Hash32([3; 32]),
        plan: Plan::Synthetic {
            cells: CELLS,
            rounds: ROUNDS,
        },
        mode: TrustMode::NodeNoise,
        roster: roster(),
        d_max: 0,
        c_max: 0,
        multiplicity: 1,
        rounds: vec![round; usize::from(ROUNDS)],
        attempts_max: 2,
        urho_cap: total,
        urho: total,
        delta: 1e-6.try_into().unwrap(),
        population: 1_000,
        customers_max: 1_000,
        holdout: HoldOut::Fraction(150_000),
        slot_ms: 0,
        phase_ms: PHASE_MS as u32,
        attempt_ttl_ms: TTL_MS as u32,
        expires: EXPIRES,
        quorum: 3,
        gate: Default::default(),
        expected_gain_ppm: 0,
        synthetic: true,
    }
}

/// A question of rho 0.02 under a standing study of rho 1; the standing study itself asks nothing.
pub(crate) fn asking(question: Vec<u8>) -> StudyTerms {
    let base = terms();
    let standing = Standing {
        id: [5; 16],
        name: "reports".parse().unwrap(),
        tables: vec!["customers".to_owned(), "orders".to_owned()],
        urho_question_max: MicroRho(80_000),
        urho_question_default: MicroRho(20_000),
        urho_max: MicroRho(1_000_000),
        urho_share: MicroRho(500_000),
        window: Window::Month,
        cohort_floor: 50,
        expires: EXPIRES,
    };
    let data = match question[..] {
        [] => Vec::new(),
        _ => vec!["2026-11".parse().unwrap(); MEMBERS],
    };
    StudyTerms {
        rounds: vec![RoundTerms {
            sigma_share: 1_234,
            ..base.rounds[0]
        }],
        plan: Plan::Question {
            question,
            data,
            standing,
        },
        urho: MicroRho(20_000),
        ..base
    }
}

fn roster() -> Vec<IdentityKey> {
    (0..MEMBERS)
        .map(|member| key_of(&pair_of(member)))
        .collect()
}

/// The member's key pair; members stand by rising key.
fn pair_of(member: Member) -> Ed25519KeyPair {
    let mut seeds: Vec<u8> = (1..=MEMBERS as u8).collect();
    let pair = |seed: &u8| Ed25519KeyPair::from_seed_unchecked(&[*seed; 32]).unwrap();
    seeds.sort_by_key(|seed| key_of(&pair(seed)));
    pair(&seeds[member])
}

fn key_of(pair: &Ed25519KeyPair) -> IdentityKey {
    IdentityKey(pair.public_key().as_ref().try_into().unwrap())
}
