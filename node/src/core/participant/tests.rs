//! The machine under a small world: a disk that may fail, a process that may die, a coordinator that asks again.

use aquifer_shared::base::units::MicroRho;
use aquifer_shared::domain::sum::{StudyTerms, attempt_id, task_hash};
use aquifer_shared::protocol::aggregation::Guard;
use aquifer_shared::protocol::codec::encode;
use aquifer_shared::protocol::wire::{
    HEADER_BYTES, StudyEnd, StudyOutcome, Task, TaskBody, Update, Verdict, read_body, update_digest,
};
use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};

use super::*;
use crate::core::fixtures::{
    NODE, NOW, fitting_model, offer, public, rules, sign, synthetic, terms,
};
use crate::core::ledger::{Batch, Beside, Standing};
use crate::core::policy::Rules;

/// What survives a crash.
#[derive(Clone, Default)]
struct Disk {
    entries: Vec<Vec<u8>>,
    updates: BTreeMap<(StudyHash, u32, u32), Vec<u8>>,
}

/// A node, its disk, and everything that it ever sent.
struct World {
    rules: Rules,
    disk: Disk,
    node: Participant,
    now: Timestamp,
    sent: Vec<Outgoing>,
    draws: i64,
    /// What each cell of the node's exact sums is, before noise.
    exact: i64,
    /// Sums that were asked for.
    computed: usize,
    /// Effects until the process dies; `after` says whether the last one is still carried out.
    fuse: Option<(usize, bool)>,
    /// Journal writes until the disk fails.
    writes_left: Option<usize>,
}

/// The process died.
#[derive(Debug, PartialEq)]
struct Dead;

impl World {
    fn new(rules: Rules) -> Self {
        Self {
            node: Participant::new(
                NOW,
                rules.clone(),
                Ledger::default(),
                sign(),
                Judges::STRICT,
            ),
            rules,
            disk: Disk::default(),
            now: NOW,
            sent: Vec::new(),
            draws: 0,
            exact: 5,
            computed: 0,
            fuse: None,
            writes_left: None,
        }
    }

    fn restart(&mut self) {
        let entries = self.disk.entries.iter().map(Vec::as_slice);
        let ledger = Ledger::open(entries).expect("the disk holds a sound ledger");
        self.node = Participant::new(self.now, self.rules.clone(), ledger, sign(), Judges::STRICT);
        self.fuse = None;
        self.run().expect("no fuse");
    }

    fn tell(&mut self, event: Event) -> Result<(), Dead> {
        self.node.handle(self.now, event);
        self.run()
    }

    /// Carries out effects, and lets time pass while an update waits for its slot.
    fn run(&mut self) -> Result<(), Dead> {
        loop {
            while let Some(effect) = self.node.poll_effect() {
                let fuse = self.fuse.as_mut();
                let dies = fuse.is_some_and(|(left, _)| {
                    let now = *left == 0;
                    *left = left.wrapping_sub(1);
                    now
                });
                let after = self.fuse.is_some_and(|(_, after)| after);
                if dies && !after {
                    return Err(Dead);
                }
                self.carry_out(effect);
                if dies {
                    return Err(Dead);
                }
            }
            match self.node.next_wakeup() {
                Some(at) if at <= self.now.after_ms(1_000) => {
                    self.now = self.now.max(at);
                    self.node.handle(self.now, Event::Tick);
                }
                _ => return Ok(()),
            }
        }
    }

    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Send(message) => self.sent.push(message),
            Effect::Compute(job) => {
                self.computed += 1;
                let cells = job.terms.cells_max as usize - 1;
                let sum = Ok(Secret::new(vec![self.exact; cells]));
                let (attempt, task) = (job.attempt, job.task);
                let computed = Event::Computed { attempt, task, sum };
                self.node.handle(self.now, computed);
            }
            Effect::Prepare { .. } | Effect::Late { .. } => {}
            Effect::Draw { study, kind } => {
                self.draws += 1;
                let noise = vec![1_000 * self.draws; kind.cells as usize];
                let noise = Some(Secret::new(noise));
                let drawn = Event::Drawn { study, kind, noise };
                self.node.handle(self.now, drawn);
            }
            Effect::Journal(batch) => self.write(batch),
            Effect::ReadLinks { after } => {
                let links = self.disk.entries[after as usize..].to_vec();
                self.node.handle(self.now, Event::Links { after, links });
            }
            Effect::Audit(audit) => panic!("nobody broke a rule: {audit:?}"),
            Effect::Recall {
                study,
                round,
                attempt,
            } => {
                let update = self.disk.updates.get(&(study, round, attempt)).cloned();
                let recalled = Event::Recalled {
                    study,
                    round,
                    attempt,
                    update,
                };
                self.node.handle(self.now, recalled);
            }
        }
    }

    fn write(&mut self, batch: Batch) {
        if let Some(left) = &mut self.writes_left {
            if *left == 0 {
                return self.node.handle(self.now, Event::JournalFailed);
            }
            *left -= 1;
        }
        for record in batch.records {
            self.disk.entries.push(record.bytes);
            match record.beside {
                Beside::Nothing => {}
                Beside::Store {
                    study,
                    round,
                    attempt,
                    update,
                } => drop(self.disk.updates.insert((study, round, attempt), update)),
                Beside::Drop(study) => self.disk.updates.retain(|key, _| key.0 != study),
            }
        }
        self.node.handle(self.now, Event::Journaled(batch.head));
    }

    fn updates(&self) -> Vec<Update> {
        let frames = self.sent.iter().filter_map(|message| match message {
            Outgoing::Update(released) => Some(released.frame()),
            _ => None,
        });
        frames
            .map(|frame| read_body(frame[1], &frame[HEADER_BYTES..]).unwrap())
            .collect()
    }

    fn refusals(&self) -> Vec<(RefusalCode, u64)> {
        let refusals = self.sent.iter().filter_map(|message| match message {
            Outgoing::Refusal(refused) => Some((refused.refusal.code, refused.refusal.detail)),
            _ => None,
        });
        refusals.collect()
    }

    fn verdicts(&self) -> Vec<Verdict> {
        let verdicts = self.sent.iter().filter_map(|message| match message {
            Outgoing::Decision(decision) => Some(decision.verdict.clone()),
            _ => None,
        });
        verdicts.collect()
    }

    fn spent(&self) -> MicroRho {
        let caps = self.rules.policy.caps;
        let contract = &self.rules.contract.name;
        let report = self.node.ledger().report(self.now, caps, contract);
        report.unwrap().per_contract.spent
    }
}

fn ask(task: Task) -> Event {
    Event::Task(task, Some(Secret::new([7; 32])))
}

fn task(study: StudyHash, round: u32, attempt: u32) -> Task {
    task_with(study, round, attempt, &TaskBody::Synthetic(4))
}

fn task_with(study: StudyHash, round: u32, attempt: u32, body: &TaskBody) -> Task {
    Task {
        study,
        round,
        attempt,
        body: encode(body),
    }
}

/// A world with an accepted study.
fn accepted(terms: &StudyTerms) -> (World, StudyHash) {
    let mut world = World::new(rules());
    let (study, offer) = offer(terms);
    world.tell(Event::Offer(offer)).unwrap();
    assert_eq!(world.verdicts(), [Verdict::Accepted]);
    (world, study)
}

#[test]
fn a_study_runs_from_offer_to_end() {
    let (mut world, study) = accepted(&terms());
    let bodies = [
        TaskBody::Counts,
        TaskBody::Residuals(fitting_model()),
        TaskBody::Residuals(fitting_model()),
        TaskBody::Evaluation(fitting_model()),
    ];
    for (round, body) in (0..).zip(&bodies) {
        let arrived = world.now;
        let asked = task_with(study, round, 0, body);
        world.tell(ask(asked.clone())).unwrap();
        let update = world.updates().pop().unwrap();
        assert_eq!(update.attempt, attempt_id(&study, round, 0));
        assert_eq!(update.task, task_hash(&study, round, &asked.body));
        let digest = update_digest(&update.attempt, &update.task, &update.cells);
        let key = UnparsedPublicKey::new(&ED25519, public(NODE).0);
        assert!(key.verify(&digest.0, &update.signature).is_ok());
        assert_eq!(world.now.since_ms(arrived) % 20, 0, "leaves at its slot");
        assert!(world.now > arrived);
        let (attempt, release) = (update.attempt, Hash32::default());
        let end = End {
            attempt,
            released: true,
            release,
        };
        world.tell(Event::End(end)).unwrap();
    }
    let noise: Vec<i64> = world.updates().iter().map(|u| u.cells[0] - 5).collect();
    assert_eq!(noise, [1_000, 2_000, 3_000, 4_000], "noise is used once");
    let outcome = StudyOutcome::Published;
    world
        .tell(Event::StudyEnd(StudyEnd { study, outcome }))
        .unwrap();
    assert!(world.disk.updates.is_empty());
    let standing = world.node.ledger().standing(&study);
    assert_eq!(standing, Standing::Ended(EndReason::Published));
}

#[test]
fn a_repeated_task_gets_the_same_bytes_for_free() {
    let (mut world, study) = accepted(&synthetic(3));
    world.tell(ask(task(study, 0, 0))).unwrap();
    world.tell(ask(task(study, 0, 0))).unwrap();
    world.restart();
    world.tell(ask(task(study, 0, 0))).unwrap();
    let updates = world.updates();
    assert_eq!(updates.len(), 3);
    assert!(updates.iter().all(|update| *update == updates[0]));
    assert_eq!(world.spent(), MicroRho(1_000));
}

#[test]
fn another_task_for_a_charged_attempt_is_refused() {
    let (mut world, study) = accepted(&synthetic(3));
    world.tell(ask(task(study, 0, 1))).unwrap();
    let other = task_with(study, 0, 1, &TaskBody::Synthetic(3));
    world.tell(ask(other)).unwrap();
    world.tell(ask(task(study, 0, 0))).unwrap();
    let code = (RefusalCode::AlreadyCharged, 1);
    assert_eq!(world.refusals(), [code, (RefusalCode::NotLive, 0)]);
    assert_eq!(world.spent(), MicroRho(1_000));
}

#[track_caller]
fn check_refused(asked: impl FnOnce(StudyHash) -> Task, expected: RefusalCode) {
    let (mut world, study) = accepted(&synthetic(2));
    world.tell(ask(asked(study))).unwrap();
    assert_eq!(world.refusals(), [(expected, 0)]);
    assert_eq!(world.spent(), MicroRho::ZERO);
}

#[test]
fn tasks_outside_the_terms_are_refused() {
    check_refused(|study| task(study, 2, 0), RefusalCode::TermsDiffer);
    check_refused(|study| task(study, 0, 2), RefusalCode::AttemptsUsedUp);
    check_refused(
        |study| task_with(study, 0, 0, &TaskBody::Synthetic(5)),
        RefusalCode::TermsDiffer,
    );
    check_refused(
        |study| task_with(study, 0, 0, &TaskBody::Counts),
        RefusalCode::TermsDiffer,
    );
    check_refused(
        |_| task(StudyHash([9; 32]), 0, 0),
        RefusalCode::StudyUnknown,
    );
}

#[test]
fn a_hidden_trailing_byte_is_refused() {
    check_refused(
        |study| {
            let mut asked = task(study, 0, 0);
            asked.body.push(0);
            asked
        },
        RefusalCode::TermsDiffer,
    );
}

#[test]
fn an_expired_study_answers_nothing_more() {
    let (mut world, study) = accepted(&synthetic(2));
    world.now = terms().expires.after_ms(1);
    world.tell(ask(task(study, 0, 0))).unwrap();
    let standing = world.node.ledger().standing(&study);
    assert_eq!(standing, Standing::Ended(EndReason::Expired));
    assert_eq!(world.refusals(), [(RefusalCode::Expired, 0)]);
}

#[test]
fn no_attempt_is_charged_above_the_reservation() {
    let (mut world, study) = accepted(&synthetic(2));
    for attempt in [(0, 0), (0, 1), (1, 0), (1, 1)] {
        let asked = task(study, attempt.0, attempt.1);
        world.tell(ask(asked)).unwrap();
    }
    assert_eq!(world.refusals(), [(RefusalCode::Budget, 0)]);
    assert_eq!(world.spent(), MicroRho(3_000));
    assert_eq!(world.updates().len(), 3);
}

#[test]
fn failing_noise_sends_nothing_and_costs_nothing() {
    let (mut world, study) = accepted(&terms());
    let kind = NoiseKind {
        sigma: terms().rounds[1].sigma_share,
        cells: terms().rounds[1].cells_max,
    };
    let body = TaskBody::Residuals(fitting_model());
    let asked = task_with(study, 1, 0, &body);
    world.node.handle(world.now, ask(asked));
    let noise = None;
    let failed = Event::Drawn { study, kind, noise };
    world.node.handle(world.now, failed);
    world.node.effects.retain(|e| matches!(e, Effect::Send(_)));
    world.run().unwrap();
    assert_eq!(world.refusals(), [(RefusalCode::Unfit, 0)]);
    assert_eq!(world.spent(), MicroRho::ZERO);
}

#[test]
fn a_person_decides_where_policy_says_so() {
    let mut by_person = rules();
    by_person.policy.by_person = true;
    let mut world = World::new(by_person);
    let (study, offered) = offer(&terms());
    world.tell(Event::Offer(offered.clone())).unwrap();
    world.restart();
    world.node.decide(world.now, study, true).unwrap();
    world.run().unwrap();
    world.tell(Event::Connected).unwrap();
    let verdicts = [Verdict::Held, Verdict::Accepted, Verdict::Accepted];
    assert_eq!(world.verdicts(), verdicts);
    world.node.decide(world.now, study, false).unwrap();
    world.run().unwrap();
    let withdrawn = Verdict::Refused(RefusalCode::Withdrawn, 0);
    assert_eq!(world.verdicts().pop(), Some(withdrawn));
}

#[test]
fn a_person_may_say_no() {
    let mut by_person = rules();
    by_person.policy.by_person = true;
    let mut world = World::new(by_person);
    let (study, offered) = offer(&terms());
    world.tell(Event::Offer(offered.clone())).unwrap();
    world.node.decide(world.now, study, false).unwrap();
    world.run().unwrap();
    world.tell(Event::Offer(offered)).unwrap();
    let refused = Verdict::Refused(RefusalCode::RefusedByPerson, 0);
    let verdicts = [Verdict::Held, refused.clone(), refused];
    assert_eq!(world.verdicts(), verdicts);
    let unknown = StudyHash([1; 32]);
    let decided = world.node.decide(world.now, unknown, true);
    assert_eq!(decided, Err(DecideRefusal::Unknown(unknown)));
}

/// A study that waits for a person, told to be over and offered again, time after time.
#[track_caller]
fn check_offered_again(declined: bool, entries: usize) {
    let mut by_person = rules();
    by_person.policy.by_person = true;
    let mut world = World::new(by_person);
    let (study, offered) = offer(&terms());
    world.tell(Event::Offer(offered.clone())).unwrap();
    if declined {
        world.node.decide(world.now, study, false).unwrap();
        world.run().unwrap();
    }
    for _ in 0..5 {
        let outcome = StudyOutcome::Aborted;
        world
            .tell(Event::StudyEnd(StudyEnd { study, outcome }))
            .unwrap();
        world.restart();
        world.tell(Event::Offer(offered.clone())).unwrap();
        let said = Verdict::Refused(RefusalCode::NotLive, 0);
        assert_eq!(world.verdicts().pop(), Some(said));
    }
    let over = Standing::Ended(EndReason::Aborted);
    assert_eq!(world.node.ledger().standing(&study), over);
    assert_eq!(world.disk.entries.len(), entries);
}

#[test]
fn the_end_of_a_study_does_not_make_it_unknown() {
    // What the person said is not said again, and nothing is written again.
    check_offered_again(true, 3);
    check_offered_again(false, 2);
}

/// A study that was accepted, and what its first task meets when the unit has changed its rules since.
#[track_caller]
fn check_changed(change: impl FnOnce(&mut Rules), expected: RefusalCode) {
    let (mut world, study) = accepted(&synthetic(3));
    change(&mut world.rules);
    world.restart();
    world.tell(ask(task(study, 0, 0))).unwrap();
    assert_eq!(world.refusals(), [(expected, 0)]);
    assert_eq!(world.spent(), MicroRho::ZERO);
}

#[test]
fn what_a_study_was_accepted_under_must_still_hold() {
    check_changed(
        |rules| rules.policy.approvers = vec![public(9)],
        RefusalCode::NotApproved,
    );
    check_changed(|rules| rules.split = Hash32([9; 32]), RefusalCode::HoldOut);
}

/// A study that is over waits for nobody, whatever was said about it before.
#[test]
fn a_study_that_has_ended_is_not_approved() {
    for said in [None, Some(false)] {
        let mut by_person = rules();
        by_person.policy.by_person = true;
        let mut world = World::new(by_person);
        let (study, offered) = offer(&terms());
        world.tell(Event::Offer(offered)).unwrap();
        if let Some(said) = said {
            world.node.decide(world.now, study, said).unwrap();
            world.run().unwrap();
        }
        let outcome = StudyOutcome::Aborted;
        world
            .tell(Event::StudyEnd(StudyEnd { study, outcome }))
            .unwrap();
        let verdicts = world.verdicts();
        let decided = world.node.decide(world.now, study, true);
        assert_eq!(decided, Err(DecideRefusal::Unknown(study)));
        world.restart();
        assert!(world.node.decide(world.now, study, true).is_err());
        world.run().unwrap();
        assert_eq!(world.verdicts(), verdicts, "nothing more is said");
    }
}

#[test]
fn a_forgotten_attempt_is_given_up() {
    let (mut world, study) = accepted(&synthetic(3));
    world.tell(ask(task(study, 0, 0))).unwrap();
    world.now = world.now.after_ms(120_000);
    world.tell(Event::Tick).unwrap();
    assert!(world.node.ledger().unclosed().is_empty());
    world.tell(ask(task(study, 0, 0))).unwrap();
    assert_eq!(world.updates().len(), 2, "stored bytes are still there");
}

#[test]
fn a_disk_that_fails_stops_everything_before_it_is_sent() {
    let script = |world: &mut World| {
        let (study, offered) = offer(&synthetic(3));
        world.tell(Event::Offer(offered)).unwrap();
        for round in 0..3 {
            world.tell(ask(task(study, round, 0))).unwrap();
        }
    };
    for writes in 0..4 {
        let mut world = World::new(rules());
        world.writes_left = Some(writes);
        script(&mut world);
        assert!(world.node.is_unfit());
        assert_eq!(world.updates().len(), writes.saturating_sub(1));
        assert!(world.node.poll_effect().is_none());
        assert_eq!(world.node.next_wakeup(), None);
        let (study, offered) = offer(&synthetic(2));
        world.tell(Event::Offer(offered)).unwrap();
        let unfit = Verdict::Refused(RefusalCode::Unfit, 0);
        assert_eq!(world.verdicts().pop(), Some(unfit));
        let decided = world.node.decide(world.now, study, true);
        assert_eq!(decided, Err(DecideRefusal::Unfit));
    }
}

/// Runs a whole study, killed once at one effect, asked again after the restart as a coordinator would.
fn run_with_crash(fuse: usize, after: bool) -> (World, StudyHash, bool) {
    let mut world = World::new(rules());
    let (study, offered) = offer(&synthetic(3));
    world.fuse = Some((fuse, after));
    let mut died = false;
    let mut events = vec![Event::Offer(offered.clone())];
    let asked = [(0, 0), (1, 0), (2, 0)];
    events.extend(asked.map(|(round, attempt)| ask(task(study, round, attempt))));
    for (index, event) in events.into_iter().enumerate() {
        if world.tell(event) == Err(Dead) {
            died = true;
            world.restart();
            let again = match index {
                0 => Event::Offer(offered.clone()),
                _ => ask(task(study, index as u32 - 1, 0)),
            };
            world.tell(again).unwrap();
        }
    }
    (world, study, died)
}

#[test]
fn a1_crash_forgets_no_spend() {
    for after in [false, true] {
        for fuse in 0.. {
            let (world, study, died) = run_with_crash(fuse, after);
            check_history(&world, study);
            if !died {
                assert!(fuse > 10, "the fuse covers the study");
                break;
            }
        }
    }
}

/// What must hold whenever the process died.
#[track_caller]
fn check_history(world: &World, study: StudyHash) {
    let updates = world.updates();
    for update in &updates {
        let same: Vec<_> = updates
            .iter()
            .filter(|other| other.attempt == update.attempt)
            .collect();
        assert!(same.iter().all(|other| *other == update), "byte-identical");
    }
    for round in 0..3 {
        let id = attempt_id(&study, round, 0);
        let sent = updates.iter().any(|update| update.attempt == id);
        assert!(sent, "round {round} was answered");
        let charge = world.node.ledger().charge(&study, round, 0);
        assert!(charge.is_some(), "round {round} is paid");
    }
    assert_eq!(world.spent(), MicroRho(3_000), "each round is paid once");
    let mut noise: Vec<i64> = updates.iter().map(|update| update.cells[0]).collect();
    noise.sort_unstable();
    noise.dedup();
    assert_eq!(noise.len(), 3, "no noise is used twice");
}

/// A whole study at a unit where each cell adds up to this, and its end.
fn studied(exact: i64) -> World {
    let (mut world, study) = accepted(&terms());
    world.exact = exact;
    let bodies = [
        TaskBody::Counts,
        TaskBody::Residuals(fitting_model()),
        TaskBody::Residuals(fitting_model()),
        TaskBody::Evaluation(fitting_model()),
    ];
    for (round, body) in (0..).zip(&bodies) {
        world.tell(ask(task_with(study, round, 0, body))).unwrap();
        // The coordinator asks the same again, and something else.
        world.tell(ask(task_with(study, round, 0, body))).unwrap();
        let other = TaskBody::Synthetic(3);
        world.tell(ask(task_with(study, round, 0, &other))).unwrap();
    }
    let outcome = StudyOutcome::Published;
    let end = StudyEnd { study, outcome };
    world.tell(Event::StudyEnd(end)).unwrap();
    world
}

/// All that a coordinator sees of a node but the cells of its updates, and what its ledger spends.
fn visible(world: &World) -> String {
    let sent = world.sent.iter().map(|message| match message {
        Outgoing::Update(released) => format!("{} bytes", released.frame().len()),
        // A position of the ledger hashes what was sent.
        Outgoing::Left(left) => format!("{} left", left.urho),
        Outgoing::Copy(copy) => format!("{} links", copy.links.len()),
        other => format!("{other:?}"),
    });
    let sent: Vec<String> = sent.collect();
    let updates = world.updates();
    let named: Vec<_> = updates.iter().map(|own| (own.attempt, own.task)).collect();
    let lengths: Vec<usize> = world.disk.entries.iter().map(Vec::len).collect();
    let (now, spent, draws) = (world.now, world.spent(), world.draws);
    format!("{sent:?} {named:?} {lengths:?} {now:?} {spent:?} {draws}")
}

/// Two units that differ in customers: what they say differs in sums, by exactly as much, beneath the same noise.
#[track_caller]
fn check_neighbours(one: i64, other: i64) {
    let worlds = [one, other].map(studied);
    assert_eq!(visible(&worlds[0]), visible(&worlds[1]));
    let updates = worlds.each_ref().map(World::updates);
    assert_eq!(updates[0].len(), 8, "four rounds, each asked for twice");
    for (own, others) in updates[0].iter().zip(&updates[1]) {
        let pairs = own.cells.iter().zip(&others.cells);
        let mut pairs = pairs.filter(|(own, others)| own != others).peekable();
        assert!(pairs.peek().is_some(), "sums of customers");
        assert!(pairs.all(|(own, others)| own - others == one - other));
    }
}

/// On both sides of every floor that rules name, none, and as many as are declared.
#[test]
fn a4_neighbour_queries_differ_by_noise_only() {
    check_neighbours(49, 50);
    check_neighbours(199, 200);
    check_neighbours(0, 1);
    check_neighbours(999, 1_000);
    check_neighbours(0, 1_000_000);
}

/// What a coordinator does that is refused, and its name.
type Script<'a> = (&'a str, &'a dyn Fn(&mut World));

/// Every refusal is there before a sum is asked for, and whatever the sums are.
#[test]
fn a4_refusal_ignores_data() {
    let refused = |exact: i64, (what, script): Script<'_>| {
        let mut world = World::new(rules());
        world.exact = exact;
        script(&mut world);
        let verdicts = world.verdicts();
        let mut verdicts = verdicts.iter();
        let said = !world.refusals().is_empty()
            || verdicts.any(|verdict| matches!(verdict, Verdict::Refused(..)));
        assert!(said, "{what} is refused: {:?}", world.sent);
        assert_eq!(world.computed, 0, "{what}: nobody looked at customers");
        visible(&world)
    };
    let offered = |terms: StudyTerms| {
        move |world: &mut World| {
            let (_, offer) = offer(&terms);
            world.tell(Event::Offer(offer)).unwrap();
        }
    };
    let asked = |asked: fn(StudyHash) -> Task| {
        move |world: &mut World| {
            let (study, offer) = offer(&terms());
            world.tell(Event::Offer(offer)).unwrap();
            world.tell(ask(asked(study))).unwrap();
        }
    };
    let relabelled = StudyTerms {
        purpose: "churn.query".parse().unwrap(),
        ..terms()
    };
    let many = |world: &mut World| {
        for number in 1..=40 {
            let (_, offer) = offer(&StudyTerms {
                study_id: [number; 16],
                ..terms()
            });
            world.tell(Event::Offer(offer)).unwrap();
        }
    };
    let small = StudyTerms {
        customers_max: 999,
        ..terms()
    };
    let scripts: [Script<'_>; 6] = [
        ("another purpose", &offered(relabelled)),
        ("more studies than the cap pays for", &many),
        ("too few customers", &offered(small)),
        ("a round too many", &asked(|study| task(study, 9, 0))),
        (
            "an attempt too many",
            &asked(|study| task_with(study, 0, 9, &TaskBody::Counts)),
        ),
        ("another study", &asked(|_| task(StudyHash([9; 32]), 0, 0))),
    ];
    for script in scripts {
        let told = [0, 49, 50, 1_000_000].map(|exact| refused(exact, script));
        assert!(told.iter().all(|other| *other == told[0]), "{told:?}");
    }
}

#[test]
fn two_studies_share_the_node_without_mixing() {
    let (mut world, first) = accepted(&synthetic(3));
    let other = StudyTerms {
        study_id: [2; 16],
        ..synthetic(3)
    };
    let (second, offered) = offer(&other);
    world.tell(Event::Offer(offered)).unwrap();
    world.node.handle(world.now, ask(task(first, 0, 0)));
    world.node.handle(world.now, ask(task(second, 0, 0)));
    world.run().unwrap();
    let attempts: Vec<_> = world.updates().iter().map(|u| u.attempt).collect();
    assert!(attempts.contains(&attempt_id(&first, 0, 0)));
    assert!(attempts.contains(&attempt_id(&second, 0, 0)));
    assert_eq!(world.spent(), MicroRho(2_000));
}

#[test]
fn before_its_slot_nothing_tells_that_a_sum_is_done() {
    let (mut world, study) = accepted(&terms());
    let first = task_with(study, 0, 0, &TaskBody::Counts);
    let other = task_with(study, 0, 0, &TaskBody::Residuals(fitting_model()));
    let spent = world.node.ledger().durable();
    let mut job = None;
    for event in [ask(first.clone()), ask(other.clone())] {
        world.node.handle(world.now, event);
        while let Some(effect) = world.node.poll_effect() {
            match effect {
                Effect::Compute(found) => job = Some(found),
                effect => world.carry_out(effect),
            }
        }
    }
    let job = job.unwrap();
    let sum = Ok(Secret::new(vec![5; job.terms.cells_max as usize - 1]));
    let (attempt, computed) = (job.attempt, job.task);
    let (released, release) = (false, Hash32::default());
    let end = End {
        attempt,
        released,
        release,
    };
    let next = task_with(study, 0, 1, &TaskBody::Counts);
    let task = computed;
    // Asked for something else, ended and asked again: all at the moment at which the sum is done.
    for event in [
        Event::Computed { attempt, task, sum },
        ask(other),
        Event::End(end),
        ask(first),
        ask(next),
    ] {
        world.node.handle(world.now, event);
        while let Some(effect) = world.node.poll_effect() {
            world.carry_out(effect);
        }
    }
    assert_eq!(world.refusals(), [(RefusalCode::NotLive, 0); 3]);
    assert!(world.updates().is_empty());
    assert_eq!(world.node.ledger().durable(), spent, "a hello says as much");
    let asked = world.now;
    world.run().unwrap();
    assert_eq!(world.updates().len(), 1);
    assert_eq!(world.now.since_ms(asked), 20);
}

/// What the machine wants computed; everything else is carried out.
fn jobs(world: &mut World, event: Event) -> Vec<ComputeJob> {
    let mut jobs = Vec::new();
    world.node.handle(world.now, event);
    while let Some(effect) = world.node.poll_effect() {
        match effect {
            Effect::Compute(job) => jobs.push(*job),
            effect => world.carry_out(effect),
        }
    }
    jobs
}

fn end_of(study: &StudyHash, round: u32, attempt: u32) -> Event {
    Event::End(End {
        attempt: attempt_id(study, round, attempt),
        released: false,
        release: Hash32::default(),
    })
}

/// The sum that a job asks for, or why there is none.
fn computed(job: &ComputeJob, refused: Option<RefusalCode>) -> Event {
    Event::Computed {
        attempt: job.attempt,
        task: job.task,
        sum: match refused {
            None => Ok(Secret::new(vec![5; job.terms.cells_max as usize - 1])),
            Some(code) => Err(code),
        },
    }
}

/// Asked for one thing, called off, asked for another under the same number, while the first sum is still being computed.
#[track_caller]
fn check_own_sum(judge: fn(Guard, bool) -> bool, begins: usize) {
    let (mut world, study) = accepted(&terms());
    let judges = Judges {
        checks: Checks::judged_by(judge),
        ..Judges::STRICT
    };
    let entries = world.disk.entries.clone();
    let ledger = Ledger::open(entries.iter().map(Vec::as_slice)).unwrap();
    world.node = Participant::new(world.now, world.rules.clone(), ledger, sign(), judges);
    world.run().unwrap();
    let body = TaskBody::Residuals(fitting_model());
    let mut other = fitting_model();
    other.base += 1;
    let other = TaskBody::Residuals(other);
    let first = jobs(&mut world, ask(task_with(study, 1, 0, &body)));
    let called_off = jobs(&mut world, end_of(&study, 1, 0));
    let second = jobs(&mut world, ask(task_with(study, 1, 0, &other)));
    assert_eq!((first.len(), called_off.len(), second.len()), (1, 0, 0));
    let second = jobs(&mut world, computed(&first[0], None));
    assert_eq!(second.len(), begins);
    world.run().unwrap();
    assert!(
        world.updates().is_empty(),
        "the sum of one task as another's"
    );
    assert_eq!(world.spent(), MicroRho::ZERO);
}

#[test]
fn a_sum_answers_the_task_that_it_was_computed_for() {
    check_own_sum(|_, holds| holds, 0);
    // Even if an attempt could be begun twice.
    check_own_sum(|guard, holds| holds || guard == Guard::RisingAttempt, 1);
}

#[test]
fn an_attempt_is_begun_once_and_the_next_one_goes_on() {
    let (mut world, study) = accepted(&terms());
    let counts = |attempt| ask(task_with(study, 0, attempt, &TaskBody::Counts));
    assert_eq!(jobs(&mut world, counts(0)).len(), 1);
    for _ in 0..300 {
        assert!(jobs(&mut world, end_of(&study, 0, 0)).is_empty());
        assert!(
            jobs(&mut world, counts(0)).is_empty(),
            "a free place in the queue"
        );
    }
    assert_eq!(world.refusals(), [(RefusalCode::NotLive, 0); 300]);
    world.tell(counts(1)).unwrap();
    assert!(world.updates().is_empty(), "one sum of a study at a time");
    world.restart();
    world.tell(counts(0)).unwrap();
    assert_eq!(world.updates().len(), 1, "another process owes nothing");
}

#[test]
fn tasks_that_are_called_off_make_no_queue() {
    let (mut world, study) = accepted(&terms());
    let body = TaskBody::Residuals(fitting_model());
    let first = jobs(&mut world, ask(task_with(study, 0, 0, &TaskBody::Counts)));
    for (round, attempt) in [(0, 1), (1, 0), (1, 1), (2, 0)] {
        let asked = match round {
            0 => task_with(study, 0, attempt, &TaskBody::Counts),
            _ => task_with(study, round, attempt, &body),
        };
        assert!(jobs(&mut world, ask(asked)).is_empty());
    }
    // Of all that were asked for since, the last alone is wanted.
    let next = jobs(&mut world, computed(&first[0], None));
    let attempts: Vec<_> = next.iter().map(|job| job.attempt).collect();
    assert_eq!(attempts, [attempt_id(&study, 2, 0)]);
    let none = jobs(&mut world, computed(&next[0], None));
    assert!(none.is_empty());
    world.run().unwrap();
    assert_eq!(world.updates().len(), 1);
    assert_eq!(world.spent(), terms().rounds[2].urho);
}

/// A sum or noise that there is not: nothing tells before the slot of the answer.
#[track_caller]
fn check_refused_at_slot(fails: impl FnOnce(&ComputeJob) -> Event, expected: RefusalCode) {
    let (mut world, study) = accepted(&terms());
    let asked = world.now;
    let body = TaskBody::Counts;
    let job = jobs(&mut world, ask(task_with(study, 0, 0, &body)));
    world.now = asked.after_ms(3);
    jobs(&mut world, fails(&job[0]));
    jobs(&mut world, ask(task_with(study, 0, 0, &body)));
    assert_eq!(world.refusals(), [], "not at once");
    world.run().unwrap();
    assert_eq!(world.refusals(), [(expected, 0)]);
    assert_eq!(world.now.since_ms(asked), 20);
    assert_eq!(world.spent(), MicroRho::ZERO);
}

#[test]
fn a_refusal_after_computing_waits_for_the_slot() {
    let full = |job: &ComputeJob| computed(job, Some(RefusalCode::Unfit));
    check_refused_at_slot(full, RefusalCode::Unfit);
    let holdout = |job: &ComputeJob| computed(job, Some(RefusalCode::HoldOut));
    check_refused_at_slot(holdout, RefusalCode::HoldOut);
}

#[test]
fn the_split_is_prepared_once_whatever_is_offered_again() {
    let (mut world, _) = accepted(&terms());
    let (_, offered) = offer(&terms());
    for event in [Event::Connected, Event::Offer(offered), Event::Connected] {
        world.node.handle(world.now, event);
        while let Some(effect) = world.node.poll_effect() {
            assert!(!matches!(effect, Effect::Prepare { .. }));
            world.carry_out(effect);
        }
    }
}
