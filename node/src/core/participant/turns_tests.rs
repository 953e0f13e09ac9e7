//! What an analyst, or a coordinator, sees of how long adding up takes: nothing, however many questions are asked at once.

use std::collections::VecDeque;

use aquifer_shared::base::units::MicroRho;
use aquifer_shared::domain::sum::{StudyTerms, study_hash};
use aquifer_shared::protocol::codec::encode;
use aquifer_shared::protocol::wire::{Offer, Task, TaskBody};

use super::*;
use crate::core::fixtures::{NOW, sign};
use crate::core::question_fixtures::{approvals, asked, own_rules, question};

const URHO: MicroRho = MicroRho(20);
const SLOT_MS: u64 = 50;

/// A question like no other, in slots of 50 ms.
fn terms(number: u8) -> StudyTerms {
    let mut terms = asked(&question(), URHO);
    terms.study_id = [number; 16];
    terms.slot_ms = SLOT_MS as u32;
    terms
}

/// A node with one computing thread that takes `work_us` for each sum, and when its answers leave, in milliseconds from the start.
struct Clockwork {
    node: Participant,
    work_us: u64,
    now_us: u64,
    jobs: VecDeque<Box<ComputeJob>>,
    /// When the thread is done with the first of them.
    done_us: Option<u64>,
    left_ms: Vec<u64>,
    late: usize,
}

impl Clockwork {
    fn new(work_us: u64) -> Self {
        let mut rules = own_rules();
        rules.policy.customers_max = 1_000;
        Self {
            node: Participant::new(NOW, rules, Ledger::default(), sign(), Judges::STRICT),
            work_us,
            now_us: 0,
            jobs: VecDeque::new(),
            done_us: None,
            left_ms: Vec::new(),
            late: 0,
        }
    }

    fn tell(&mut self, event: Event) {
        self.node.handle(NOW.after_ms(self.now_us / 1_000), event);
        while let Some(effect) = self.node.poll_effect() {
            let event = match effect {
                Effect::Send(Outgoing::Update(_)) => {
                    self.left_ms.push(self.now_us / 1_000);
                    continue;
                }
                Effect::Send(Outgoing::Refusal(refused)) => panic!("{refused:?}"),
                Effect::Compute(job) => {
                    self.jobs.push_back(job);
                    continue;
                }
                Effect::Late { .. } => {
                    self.late += 1;
                    continue;
                }
                Effect::Draw { study, kind } => {
                    let noise = Some(Secret::new(vec![0; kind.cells as usize]));
                    Event::Drawn { study, kind, noise }
                }
                Effect::Journal(batch) => Event::Journaled(batch.head),
                _ => continue,
            };
            self.node.handle(NOW.after_ms(self.now_us / 1_000), event);
        }
        if self.done_us.is_none() && !self.jobs.is_empty() {
            self.done_us = Some(self.now_us + self.work_us);
        }
    }

    /// Until nothing is under way.
    fn run(&mut self, answers: usize) {
        while self.left_ms.len() < answers {
            let wakes = self.node.next_wakeup().unwrap().since_ms(NOW) * 1_000;
            match self.done_us.filter(|done| *done <= wakes) {
                Some(done) => {
                    (self.now_us, self.done_us) = (done, None);
                    let job = self.jobs.pop_front().unwrap();
                    let (attempt, task) = (job.attempt, job.task);
                    let sum = Ok(Secret::new(vec![1; job.terms.cells_max as usize]));
                    self.tell(Event::Computed { attempt, task, sum });
                }
                None => {
                    self.now_us = self.now_us.max(wakes);
                    self.tell(Event::Tick);
                }
            }
        }
    }

    fn offer(&mut self, terms: &StudyTerms) -> StudyHash {
        let (bytes, approvals) = (encode(terms), approvals(terms));
        let study = study_hash(&bytes);
        let terms = bytes;
        self.tell(Event::Offer(Offer { terms, approvals }));
        study
    }

    fn ask(&mut self, study: StudyHash) {
        let body = encode(&TaskBody::Question);
        let (round, attempt) = (0, 0);
        let task = Task {
            study,
            round,
            attempt,
            body,
        };
        self.tell(Event::Task(task, None));
    }
}

/// When the answers to so many questions leave that arrive together, where one sum takes this long.
fn leaves(questions: u8, work_us: u64) -> (Vec<u64>, usize) {
    let mut clockwork = Clockwork::new(work_us);
    let studies: Vec<StudyHash> = (0..questions)
        .map(|number| clockwork.offer(&terms(number)))
        .collect();
    studies.into_iter().for_each(|study| clockwork.ask(study));
    clockwork.run(questions.into());
    (clockwork.left_ms, clockwork.late)
}

#[test]
fn sixty_four_questions_leave_when_their_slots_say() {
    let expected: Vec<u64> = (1..=64).map(|turn| turn * SLOT_MS).collect();
    for work_us in [10, 900, 1_100, 24_900, 25_000] {
        assert_eq!(leaves(64, work_us), (expected.clone(), 0), "{work_us}");
    }
}

#[test]
fn work_that_is_late_takes_the_next_slot_and_is_told() {
    assert_eq!(leaves(1, 51_000), (vec![100], 1));
    // The second one's slots begin where the first one's was to end.
    assert_eq!(leaves(2, 51_000).0, [100, 150]);
}

#[test]
fn a_question_that_would_leave_after_its_life_is_refused_at_once() {
    let mut clockwork = Clockwork::new(10);
    let mut short = terms(0);
    short.attempt_ttl_ms = 120;
    short.phase_ms = 120;
    let studies = [0, 1, 2].map(|number| {
        short.study_id = [number; 16];
        clockwork.offer(&short)
    });
    clockwork.ask(studies[0]);
    clockwork.ask(studies[1]);
    let study = studies[2];
    let body = encode(&TaskBody::Question);
    let task = Task {
        study,
        round: 0,
        attempt: 0,
        body,
    };
    clockwork.node.handle(NOW, Event::Task(task, None));
    let Some(Effect::Send(Outgoing::Refusal(refused))) = clockwork.node.poll_effect() else {
        panic!("a refusal");
    };
    assert_eq!(refused.refusal.code, RefusalCode::NotLive);
    clockwork.run(2);
    assert_eq!(clockwork.left_ms, [50, 100]);
}
