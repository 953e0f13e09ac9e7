//! Folding loses nothing that counts: totals are those of every entry, live and after a start, and what is kept stays small.

use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::time::Instant;

use aquifer_shared::base::ids::Hash32;
use aquifer_shared::domain::sum::{StudyTerms, study_hash};
use aquifer_shared::protocol::codec::encode;
use proptest::prelude::*;

use super::*;
use crate::core::fixtures::{NOW, SPLIT, name, shared_synthetic, synthetic};
use crate::core::ledger::budget::YEAR_MS;
use crate::core::ledger::{AttemptOutcome, Caps, Payment, Standing};
use crate::core::question_fixtures::{approvals, asked, question};

const TASK: Hash32 = Hash32([9; 32]);
const WIDE: Caps = Caps {
    per_contract: MicroRho(u64::MAX),
    per_year: MicroRho(u64::MAX),
};
const MINUTE_MS: u64 = 60_000;

/// A question under one of two standing studies; it lives ten minutes.
fn terms(number: u32, standing: u8, now: Timestamp) -> StudyTerms {
    static PRICED: LazyLock<[StudyTerms; 7]> = LazyLock::new(|| {
        [10, 11, 12, 13, 14, 15, 16].map(|urho| asked(&question(), MicroRho(urho)))
    });
    let mut terms = PRICED[number as usize % 7].clone();
    terms.study_id[..4].copy_from_slice(&number.to_le_bytes());
    terms.expires = now.after_ms(10 * MINUTE_MS);
    if let Plan::Question {
        standing: signed, ..
    } = &mut terms.plan
    {
        signed.id = [standing; 16];
        signed.expires = NOW.after_ms(100 * YEAR_MS);
    }
    if standing == 2 {
        terms.contract_name = name("other");
    }
    terms
}

fn reserve(ledger: &mut Ledger, now: Timestamp, terms: &StudyTerms) -> StudyHash {
    let (bytes, signed) = (encode(terms), approvals(terms));
    let offer = (&bytes[..], terms, &signed[..]);
    ledger.reserve(now, WIDE, SPLIT, offer, false).unwrap();
    study_hash(&bytes)
}

fn pay(ledger: &mut Ledger, now: Timestamp, study: StudyHash, attempt: u32) {
    let payment = Payment::Update(vec![attempt as u8]);
    ledger
        .spend(now, (study, 0, attempt), TASK, payment)
        .unwrap();
}

/// One thing that happens to the question of a number, so long after the last.
#[derive(Clone, Copy, Debug)]
struct Step {
    number: u32,
    what: u8,
    after_ms: u64,
}

fn any_step() -> impl Strategy<Value = Step> {
    let after = prop_oneof![Just(0), 0..20 * MINUTE_MS, Just(YEAR_MS / 3)];
    (0..12_u32, 0..4_u8, after).prop_map(|(number, what, after_ms)| Step {
        number,
        what,
        after_ms,
    })
}

/// What is known of every question, entry by entry, without any folding.
#[derive(Clone, Debug)]
struct Known {
    study: StudyHash,
    terms: StudyTerms,
    paid: Vec<(Timestamp, MicroRho)>,
    closed: u32,
    open: bool,
}

impl Known {
    fn spent(&self, since: Timestamp) -> u64 {
        let paid = self.paid.iter().filter(|(at, _)| *at >= since);
        paid.map(|(_, urho)| urho.0).sum()
    }

    fn reserved(&self) -> u64 {
        let all = 2 * self.terms.urho.0 - self.spent(Timestamp(0));
        if self.open { all } else { 0 }
    }
}

fn walk(steps: &[Step]) -> (Ledger, Vec<Known>, Timestamp) {
    let (mut ledger, mut known, mut now) = (Ledger::default(), BTreeMap::new(), NOW);
    for step in steps {
        now = now.after_ms(step.after_ms);
        let known = known.entry(step.number).or_insert_with(|| {
            let terms = terms(step.number, 1 + (step.number % 2) as u8, now);
            let study = reserve(&mut ledger, now, &terms);
            let (paid, closed, open) = (Vec::new(), 0, true);
            Known {
                study,
                terms,
                paid,
                closed,
                open,
            }
        });
        let attempt = known.paid.len() as u32;
        match step.what {
            0 if known.open && attempt < 2 => {
                pay(&mut ledger, now, known.study, attempt);
                known.paid.push((now, known.terms.urho));
            }
            1 if known.closed < attempt => {
                ledger.close(
                    now,
                    (known.study, 0, known.closed),
                    AttemptOutcome::Released,
                );
                known.closed += 1;
            }
            2 if known.open => {
                ledger.give_back(now, known.study, EndReason::Published);
                known.open = false;
            }
            _ => {}
        }
    }
    (ledger, known.into_values().collect(), now)
}

/// Totals of a ledger against those of everything that was ever written.
fn check(ledger: &Ledger, known: &[Known], now: Timestamp) {
    for contract in ["churn", "other"] {
        let report = ledger.report(now, WIDE, &name(contract)).unwrap();
        let on_it = known
            .iter()
            .filter(|one| one.terms.contract_name == name(contract));
        let spent: u64 = on_it.clone().map(|one| one.spent(Timestamp(0))).sum();
        let reserved: u64 = on_it.map(Known::reserved).sum();
        let found = report.per_contract;
        assert_eq!((found.spent.0, found.reserved.0), (spent, reserved));
        let floor = ledger.floor_committed(&name(contract)).unwrap();
        assert_eq!(floor.0, spent + reserved, "in node-noise it is the charge");
        for back_ms in [0, YEAR_MS / 4, YEAR_MS, 3 * YEAR_MS] {
            let now = Timestamp(now.0 - back_ms);
            let since = Timestamp(now.0 - YEAR_MS);
            let year = ledger.report(now, WIDE, &name(contract)).unwrap().per_year;
            let spent: u64 = known.iter().map(|one| one.spent(since)).sum();
            assert_eq!(year.spent.0, spent, "{back_ms}");
        }
        let lines = report.studies.iter();
        let lines: u64 = lines
            .map(|line| line.spent.everyone.0 + line.reserved.everyone.0)
            .sum();
        let all: u64 = known
            .iter()
            .map(|one| one.spent(Timestamp(0)) + one.reserved())
            .sum();
        assert_eq!(lines, all);
    }
    for standing in [1, 2] {
        let signed = study_hash(&encode(&terms(0, standing, NOW).template()));
        let under = known
            .iter()
            .filter(|one| one.terms.template().study_id == [standing; 16]);
        let asked: u64 = under
            .map(|one| one.spent(Timestamp(0)) + one.reserved())
            .sum();
        assert_eq!(ledger.asked(&signed), Some(MicroRho(asked)));
    }
}

fn again(ledger: &mut Ledger) -> Ledger {
    let batch = ledger.next_batch();
    let records = batch.into_iter().flat_map(|batch| {
        ledger.confirm(batch.head);
        batch.records
    });
    let entries: Vec<Vec<u8>> = records.map(|record| record.bytes).collect();
    Ledger::open(entries.iter().map(Vec::as_slice)).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn totals_are_those_of_every_entry(steps in proptest::collection::vec(any_step(), 1..60)) {
        let (mut ledger, known, now) = walk(&steps);
        check(&ledger, &known, now);
        let again = again(&mut ledger);
        check(&again, &known, now);
        prop_assert_eq!(again.accounts.len(), ledger.accounts.len());
        let unsettled = |one: &&Known| one.open || (one.closed as usize) < one.paid.len();
        prop_assert_eq!(ledger.accounts.len(), known.iter().filter(unsettled).count());
    }
}

/// What is over says so until it would be refused for its age; and it is never accepted twice.
#[test]
fn a_question_that_is_over_is_remembered_until_it_expires() {
    let mut ledger = Ledger::default();
    let first = terms(1, 1, NOW);
    let study = reserve(&mut ledger, NOW, &first);
    pay(&mut ledger, NOW, study, 0);
    ledger.close(NOW, (study, 0, 0), AttemptOutcome::Released);
    ledger.give_back(NOW, study, EndReason::Published);
    assert!(ledger.accounts.is_empty() && ledger.terms(&study).is_none());
    let over = Standing::Ended(EndReason::Published);
    assert_eq!(ledger.standing(&study), over);
    assert!(!ledger.is_durable(&study));
    let batch = ledger.next_batch().unwrap();
    ledger.confirm(batch.head);
    assert!(ledger.is_durable(&study));
    // Its last moment, and the one after.
    for (after, standing) in [
        (10 * MINUTE_MS, over),
        (10 * MINUTE_MS + 1, Standing::Unknown),
    ] {
        let now = NOW.after_ms(after);
        reserve(&mut ledger, now, &terms(after as u32, 1, now));
        assert_eq!(ledger.standing(&study), standing);
    }
    assert_eq!(ledger.folded.remembered(), 0);
}

#[test]
fn a_study_that_is_no_question_keeps_its_line() {
    let mut ledger = Ledger::default();
    for study in [synthetic(2), shared_synthetic(8, 2)] {
        let study = reserve(&mut ledger, NOW, &study);
        ledger.give_back(NOW, study, EndReason::Aborted);
    }
    assert_eq!(ledger.accounts.len(), 2);
}

/// The ledger of a unit that has answered 20,000 questions, 40 at a time, one a second. Prints what an event takes and what is held.
#[test]
fn memory_and_time_follow_what_is_open() {
    let mut ledger = Ledger::default();
    let mut open = std::collections::VecDeque::new();
    let standing = terms(0, 1, NOW);
    let (signed, approvals) = (
        study_hash(&encode(&standing.template())),
        approvals(&standing),
    );
    let (mut largest, mut since) = ((0, 0), Instant::now());
    for number in 1..=20_000_u32 {
        let now = NOW.after_ms(u64::from(number) * 1_000);
        assert!(ledger.asked(&signed).is_some() && ledger.expired(now).is_empty());
        assert!(ledger.floor_committed(&name("churn")).is_some());
        let terms = terms(number, 1, now);
        let bytes = encode(&terms);
        let offer = (&bytes[..], &terms, &approvals[..]);
        ledger.reserve(now, WIDE, SPLIT, offer, false).unwrap();
        let study = study_hash(&bytes);
        pay(&mut ledger, now, study, 0);
        open.push_back(study);
        if open.len() == 40
            && let Some(study) = open.pop_front()
        {
            ledger.close(now, (study, 0, 0), AttemptOutcome::Released);
            ledger.give_back(now, study, EndReason::Published);
        }
        let batch = ledger.next_batch().unwrap();
        ledger.confirm(batch.head);
        let held = (ledger.accounts.len(), ledger.folded.remembered());
        largest = (largest.0.max(held.0), largest.1.max(held.1));
        if number % 4_000 == 0 {
            let each_us = since.elapsed().as_micros() / 4_000;
            let charges = ledger.folded.charges.as_ref().unwrap().len() * 16;
            println!(
                "{number} questions: {each_us} us each; {held:?} accounts and hashes, {charges} bytes of charges"
            );
            since = Instant::now();
        }
    }
    // Ten minutes of one question a second.
    assert!(largest.0 <= 40 && largest.1 <= 602, "{largest:?}");
    let expected: u64 = (1..=20_000_u64).map(|number| 10 + number % 7).sum();
    let report = ledger.report(NOW, WIDE, &name("churn")).unwrap();
    assert_eq!(report.per_contract.spent, MicroRho(expected));
    assert_eq!(report.studies.len(), 39 + 1);
}
