//! Budgets add up, never wrap, never come back.

use aquifer_shared::domain::sum::{HoldOut, Part, StudyTerms, TrustMode};

use super::*;
use crate::core::fixtures::{
    NOW, PEER, SPLIT, URHO, name, offer, public, shared_synthetic, synthetic, terms,
};

const TASK: Hash32 = Hash32([9; 32]);
const DAY_MS: u64 = 24 * 3_600 * 1_000;

fn caps(contract: u64, year: u64) -> Caps {
    Caps {
        per_contract: MicroRho(contract),
        per_year: MicroRho(year),
    }
}

fn update(bytes: &[u8]) -> Payment {
    Payment::Update(bytes.to_vec())
}

fn reserve(
    ledger: &mut Ledger,
    now: Timestamp,
    caps: Caps,
    terms: &StudyTerms,
) -> Result<StudyHash, Shortfall> {
    let (study, offer) = offer(terms);
    let offer = (&offer.terms[..], terms, &offer.approvals[..]);
    ledger.reserve(now, caps, SPLIT, offer, false)?;
    Ok(study)
}

fn variant(number: u8, family: &str) -> StudyTerms {
    StudyTerms {
        study_id: [number; 16],
        family: name(family),
        ..terms()
    }
}

/// Reserves studies of these families one after the other; tells which were affordable.
#[track_caller]
fn check_reserves(cap: u64, studies: &[StudyTerms], expected: &[bool]) {
    let mut ledger = Ledger::default();
    let found: Vec<bool> = studies
        .iter()
        .map(|terms| reserve(&mut ledger, NOW, caps(cap, u64::MAX), terms).is_ok())
        .collect();
    assert_eq!(found, expected);
}

#[test]
fn reservations_add_up_to_the_cap_and_not_beyond() {
    let studies = [1, 2, 3].map(|number| variant(number, "churn"));
    check_reserves(2 * URHO.0, &studies, &[true, true, false]);
}

#[test]
fn training_and_holdout_of_one_split_do_not_add() {
    check_reserves(URHO.0, &[terms()], &[true]);
    check_reserves(URHO.0 - 1, &[terms()], &[false]);
}

#[test]
fn the_parts_add_where_a_customer_may_be_at_several_nodes() {
    let twice = StudyTerms {
        multiplicity: 2,
        ..terms()
    };
    check_reserves(2 * URHO.0 - 1, std::slice::from_ref(&twice), &[false]);
    check_reserves(2 * URHO.0, &[twice], &[true]);
}

#[test]
fn other_families_split_otherwise_so_their_larger_parts_add() {
    let column = StudyTerms {
        study_id: [3; 16],
        holdout: HoldOut::Column("split".into()),
        ..terms()
    };
    let studies = [variant(1, "churn"), variant(2, "value"), column];
    check_reserves(3 * URHO.0 - 1, &studies, &[true, true, false]);
    check_reserves(3 * URHO.0, &studies, &[true, true, true]);
}

/// Sets 3,000 aside for training customers, then 3,000 for held-out ones under this key; says whether the cap covers both.
fn both_parts(cap: u64, holdout: &HoldOut, split: Hash32) -> bool {
    let mut ledger = Ledger::default();
    let (cap, holdout) = (caps(cap, u64::MAX), holdout.clone());
    let training = StudyTerms {
        holdout,
        ..synthetic(2)
    };
    reserve(&mut ledger, NOW, cap, &training).unwrap();
    let mut evaluation = training.clone();
    evaluation.study_id = [2; 16];
    let rounds = evaluation.rounds.iter_mut();
    rounds.for_each(|round| round.part = Part::HoldOut);
    let (_, offer) = offer(&evaluation);
    let offer = (&offer.terms[..], &evaluation, &offer.approvals[..]);
    ledger.reserve(NOW, cap, split, offer, false).is_ok()
}

#[test]
fn a_key_that_changed_splits_otherwise() {
    let (rule, other) = (HoldOut::Fraction(150_000), Hash32([9; 32]));
    assert!(both_parts(3_000, &rule, SPLIT));
    assert!(!both_parts(5_999, &rule, other));
    assert!(both_parts(6_000, &rule, other));
}

#[test]
fn a_column_may_say_something_else_to_each_study() {
    let rule = HoldOut::Column("split".into());
    assert!(!both_parts(5_999, &rule, SPLIT));
    assert!(both_parts(6_000, &rule, SPLIT));
}

#[test]
fn a_sum_that_does_not_fit_is_a_refusal() {
    let mut ledger = Ledger::default();
    reserve(&mut ledger, NOW, caps(u64::MAX, u64::MAX), &terms()).unwrap();
    let all = Lost::at_worst(MicroRho(u64::MAX));
    ledger.write_off(NOW, all, Vec::new(), 0);
    let next = variant(2, "value");
    assert!(reserve(&mut ledger, NOW, caps(u64::MAX, u64::MAX), &next).is_err());
}

#[test]
fn the_end_of_a_study_frees_what_it_did_not_spend() {
    let mut ledger = Ledger::default();
    let cap = caps(4_000, u64::MAX);
    let study = reserve(&mut ledger, NOW, cap, &synthetic(3)).unwrap();
    ledger
        .spend(NOW, (study, 0, 0), TASK, update(&[1]))
        .unwrap();
    let next = StudyTerms {
        study_id: [2; 16],
        ..synthetic(2)
    };
    let refused = reserve(&mut ledger, NOW, cap, &next);
    let left = MicroRho(0);
    assert_eq!(refused, Err(Shortfall { left }));
    ledger.give_back(NOW, study, EndReason::Aborted);
    assert!(reserve(&mut ledger, NOW, cap, &next).is_ok());
    let report = ledger.report(NOW, cap, &name("churn")).unwrap();
    let contract = report.per_contract;
    let found = (contract.spent.0, contract.reserved.0, contract.left.0);
    assert_eq!(found, (1_000, 3_000, 0));
}

#[test]
fn a1_exhausted_denies_every_further_attempt() {
    let mut ledger = Ledger::default();
    let wide = caps(u64::MAX, u64::MAX);
    let study = reserve(&mut ledger, NOW, wide, &synthetic(2)).unwrap();
    for attempt in [(0, 0), (0, 1), (1, 0)] {
        let attempt = (study, attempt.0, attempt.1);
        ledger.spend(NOW, attempt, TASK, update(&[1])).unwrap();
    }
    let left = MicroRho(0);
    let refused = ledger.spend(NOW, (study, 1, 1), TASK, update(&[1]));
    assert_eq!(refused, Err(Shortfall { left }));
    assert_eq!(ledger.covers(&study, 1), Err(Shortfall { left }));
}

#[test]
fn the_yearly_cap_looks_back_365_days() {
    let mut ledger = Ledger::default();
    let cap = caps(u64::MAX, 3_000);
    let expires = NOW.after_ms(800 * DAY_MS);
    let year = |number| StudyTerms {
        study_id: [number; 16],
        expires,
        urho_cap: MicroRho(2_000),
        urho: MicroRho(2_000),
        ..synthetic(2)
    };
    let study = reserve(&mut ledger, NOW, cap, &year(1)).unwrap();
    ledger
        .spend(NOW, (study, 0, 0), TASK, update(&[1]))
        .unwrap();
    ledger
        .spend(NOW, (study, 1, 0), TASK, update(&[1]))
        .unwrap();
    ledger.give_back(NOW, study, EndReason::Published);
    let before = NOW.after_ms(364 * DAY_MS);
    assert!(reserve(&mut ledger, before, cap, &year(2)).is_err());
    let after = NOW.after_ms(366 * DAY_MS);
    assert!(reserve(&mut ledger, after, cap, &year(3)).is_ok());
}

#[test]
fn a_clock_set_back_frees_nothing() {
    let mut ledger = Ledger::default();
    let cap = caps(u64::MAX, 3_000);
    let study = reserve(&mut ledger, NOW, cap, &synthetic(2)).unwrap();
    let long_ago = Timestamp(1_000);
    ledger
        .spend(long_ago, (study, 0, 0), TASK, update(&[1]))
        .unwrap();
    ledger.give_back(long_ago, study, EndReason::Published);
    assert_eq!(ledger.present(long_ago), NOW);
    let report = ledger.report(long_ago, cap, &name("churn")).unwrap();
    assert_eq!(report.per_year.spent, MicroRho(1_000));
}

/// The clock was years ahead while an entry was written, and is right again.
#[test]
fn a_clock_that_was_ahead_for_a_while_frees_nothing_for_good() {
    let mut ledger = Ledger::default();
    let cap = caps(u64::MAX, 3_000);
    let study = reserve(&mut ledger, NOW, cap, &synthetic(2)).unwrap();
    ledger
        .spend(NOW, (study, 0, 0), TASK, update(&[1]))
        .unwrap();
    let ahead = NOW.after_ms(3 * YEAR_MS);
    ledger.give_back(ahead, study, EndReason::Published);
    let spent = |ledger: &Ledger, now| {
        let report = ledger.report(now, cap, &name("churn")).unwrap();
        report.per_year.spent
    };
    let later = NOW.after_ms(1);
    assert_eq!(ledger.present(later), ahead);
    assert_eq!(spent(&ledger, later), MicroRho(1_000));
    let again = StudyTerms {
        study_id: [2; 16],
        ..synthetic(2)
    };
    assert!(reserve(&mut ledger, later, cap, &again).is_err());
    assert_eq!(spent(&ledger, NOW.after_ms(YEAR_MS + 1)), MicroRho::ZERO);
}

#[test]
fn a_clock_that_starts_at_zero_forgets_nothing() {
    let mut ledger = Ledger::default();
    let (start, cap) = (Timestamp(0), caps(4_000, 4_000));
    let study = reserve(&mut ledger, start, cap, &synthetic(2)).unwrap();
    ledger
        .spend(start, (study, 0, 0), TASK, update(&[1]))
        .unwrap();
    let lost = Lost::at_worst(MicroRho(500));
    ledger.write_off(start, lost, Vec::new(), 0);
    ledger.give_back(start, study, EndReason::Aborted);
    let report = ledger.report(start, cap, &name("churn")).unwrap();
    assert_eq!(report.per_contract.spent, MicroRho(1_500));
    assert_eq!(report.per_year.spent, MicroRho(1_500));
}

#[test]
fn a_charge_is_proof_only_once_it_is_durable() {
    let mut ledger = Ledger::default();
    let wide = caps(u64::MAX, u64::MAX);
    let study = reserve(&mut ledger, NOW, wide, &synthetic(2)).unwrap();
    ledger
        .spend(NOW, (study, 0, 0), TASK, update(&[1, 2]))
        .unwrap();
    assert!(ledger.charge(&study, 0, 0).is_none());
    let batch = ledger.next_batch().unwrap();
    assert!(ledger.charge(&study, 0, 0).is_none());
    ledger.confirm(batch.head);
    let charge = ledger.charge(&study, 0, 0).unwrap();
    assert!(charge.covers(&[1, 2]) && !charge.covers(&[1, 3]));
}

/// Pays for shares in a study of 8 members, h = 5.
fn pay_shares(ledger: &mut Ledger, study: StudyHash, round: u32, attempt: u32) -> bool {
    let payment = Payment::Shares {
        roster: Hash32([round as u8; 32]),
        marks: vec![(public(PEER), Head::default())],
    };
    let paid = ledger.spend(NOW, (study, round, attempt), TASK, payment);
    paid.is_ok()
}

#[test]
fn shares_cost_what_updates_cost_and_never_come_back() {
    let mut ledger = Ledger::default();
    let cap = caps(3_000, 3_000);
    let study = reserve(&mut ledger, NOW, cap, &shared_synthetic(8, 2)).unwrap();
    for attempt in [(0, 0), (0, 1), (1, 0)] {
        assert!(pay_shares(&mut ledger, study, attempt.0, attempt.1));
        ledger.close(NOW, (study, attempt.0, attempt.1), AttemptOutcome::Failed);
    }
    assert!(
        !pay_shares(&mut ledger, study, 1, 1),
        "the reservation is the limit"
    );
    ledger.give_back(NOW, study, EndReason::Aborted);
    let report = ledger.report(NOW, cap, &name("churn")).unwrap();
    assert_eq!(report.per_contract.spent, MicroRho(3_000));
    assert_eq!(report.per_contract.left, MicroRho::ZERO);
    let line = &report.studies[0];
    assert_eq!((line.honest, line.floor), (5, Some(MicroRho(15_000))));
    assert_eq!(line.mode, TrustMode::SharedNoise);
    assert!(reserve(&mut ledger, NOW, cap, &synthetic(2)).is_err());
}

#[test]
fn a_charge_for_shares_pays_for_one_roster_and_no_update() {
    let mut ledger = Ledger::default();
    let wide = caps(u64::MAX, u64::MAX);
    let study = reserve(&mut ledger, NOW, wide, &shared_synthetic(8, 2)).unwrap();
    assert!(pay_shares(&mut ledger, study, 1, 0));
    assert!(ledger.charge(&study, 1, 0).is_none(), "not yet on disk");
    let batch = ledger.next_batch().unwrap();
    assert_eq!(
        batch.records.len(),
        3,
        "charge and marks are in one transaction"
    );
    assert!(
        batch
            .records
            .iter()
            .all(|record| record.beside == Beside::Nothing)
    );
    ledger.confirm(batch.head);
    let charge = ledger.charge(&study, 1, 0).unwrap();
    assert!(charge.covers_shares(&Hash32([1; 32])) && charge.pays_shares());
    assert!(!charge.covers_shares(&Hash32([2; 32])) && !charge.covers(&[1; 32]));
}

#[test]
fn a_position_is_held_against_the_whole_past() {
    let mut ledger = Ledger::default();
    let wide = caps(u64::MAX, u64::MAX);
    reserve(&mut ledger, NOW, wide, &synthetic(2)).unwrap();
    let lost = Lost::at_worst(MicroRho(1));
    ledger.write_off(NOW, lost, vec![Head { seq: 9, hash: TASK }], 1);
    let batch = ledger.next_batch().unwrap();
    let by = SeenBy::Mirror;
    let ahead = LockReason::Behind {
        ledger: 0,
        seen: 2,
        by,
    };
    assert_eq!(
        ledger.held_against(batch.head, by),
        Err(ahead),
        "not yet on disk"
    );
    ledger.confirm(batch.head);
    for seen in (0..=2).map(|seq| ledger.head_at(seq).unwrap()) {
        assert_eq!(ledger.held_against(seen, by), Ok(()));
    }
    let held = |seq, hash| ledger.held_against(Head { seq, hash }, by);
    assert_eq!(held(9, TASK), Ok(()), "given up");
    assert!(matches!(
        held(9, Hash32([1; 32])),
        Err(LockReason::Behind { .. })
    ));
    assert!(matches!(
        held(1, TASK),
        Err(LockReason::Forked { seq: 1, .. })
    ));
    assert!(matches!(
        held(0, TASK),
        Err(LockReason::Forked { seq: 0, .. })
    ));
}

#[test]
fn the_fold_of_what_was_written_is_the_same_ledger() {
    let mut ledger = Ledger::default();
    let wide = caps(u64::MAX, u64::MAX);
    let study = reserve(&mut ledger, NOW, wide, &synthetic(2)).unwrap();
    ledger
        .spend(NOW, (study, 0, 0), TASK, update(&[1]))
        .unwrap();
    ledger.close(NOW, (study, 0, 0), AttemptOutcome::Released);
    ledger.close(NOW, (study, 0, 0), AttemptOutcome::Lost);
    let batch = ledger.next_batch().unwrap();
    assert_eq!(batch.records.len(), 3, "an attempt is closed once");
    ledger.confirm(batch.head);
    let entries = batch.records.iter().map(|record| record.bytes.as_slice());
    let again = Ledger::open(entries).unwrap();
    assert_eq!(again.durable(), batch.head);
    let contract = name("churn");
    assert_eq!(
        again.report(NOW, wide, &contract),
        ledger.report(NOW, wide, &contract)
    );
}

#[test]
fn a_forged_ledger_that_overspends_is_refused() {
    let mut ledger = Ledger::default();
    let wide = caps(u64::MAX, u64::MAX);
    let study = reserve(&mut ledger, NOW, wide, &synthetic(2)).unwrap();
    let reserved = ledger.next_batch().unwrap().records.remove(0);
    let spend = Entry::Spend(Spend {
        at: NOW,
        study,
        round: 0,
        attempt: 0,
        part: Part::Training,
        urho: MicroRho(1 << 30),
        honest: 1,
        sigma_share: 1_000,
        delta_sq: 1,
        multiplicity: 1,
        task: TASK,
        pays: Paid::Update(TASK),
    });
    let (kind, body) = spend.to_link();
    let (_, head) = Head::default()
        .follow(&reserved.bytes, ENTRY_BYTES_MAX)
        .unwrap();
    let (forged, _) = head.append(kind, body);
    let opened = Ledger::open([reserved.bytes.as_slice(), forged.as_slice()]);
    assert!(matches!(
        opened,
        Err(LedgerFault::Contradiction { seq: 2, .. })
    ));
}
