//! What a node says to questions: within their standing study, about its own tables, for what was signed.

use aquifer_shared::base::limits::STUDY_LIFE_MS_MAX;
use aquifer_shared::base::units::MicroRho;
use aquifer_shared::domain::question::{Key, Question};
use aquifer_shared::domain::sum::{Plan, Standing, StudyTerms, study_hash};
use aquifer_shared::protocol::codec::encode;
use aquifer_shared::protocol::wire::{Approval, RefusalCode};

use crate::core::fixtures::{NOW, SPLIT, name};
use crate::core::ledger::{Caps, Ledger, Payment};
use crate::core::policy::{Review, Rules};
use crate::core::question_fixtures::{URHO, approvals, asked, own_rules, question};

fn said(
    rules: &Rules,
    ledger: &Ledger,
    terms: &StudyTerms,
    approvals: &[Approval],
) -> Result<(), RefusalCode> {
    match rules.review(NOW, ledger, &encode(terms), approvals) {
        Review::Accept(..) => Ok(()),
        Review::Refuse(code, _) => Err(code),
        Review::Hold(..) => panic!("a person decides on standing studies, not on questions"),
    }
}

/// What a node says to the sample question with one thing changed, signed as the sample.
#[track_caller]
fn check_changed(change: impl FnOnce(&mut StudyTerms), expected: RefusalCode) {
    let sound = asked(&question(), URHO);
    let mut changed = sound.clone();
    change(&mut changed);
    let found = said(
        &own_rules(),
        &Ledger::default(),
        &changed,
        &approvals(&sound),
    );
    assert_eq!(found, Err(expected));
}

fn standing(terms: &mut StudyTerms) -> &mut Standing {
    match &mut terms.plan {
        Plan::Question { standing, .. } => standing,
        _ => panic!("a question"),
    }
}

#[test]
fn a_question_within_its_standing_study_is_accepted() {
    let sound = asked(&question(), URHO);
    let found = said(&own_rules(), &Ledger::default(), &sound, &approvals(&sound));
    assert_eq!(found, Ok(()));
}

#[test]
fn nothing_that_was_signed_can_be_changed() {
    check_changed(
        |terms| standing(terms).urho_max = MicroRho(1 << 30),
        RefusalCode::NotApproved,
    );
    check_changed(
        |terms| standing(terms).cohort_floor = 0,
        RefusalCode::NotApproved,
    );
    check_changed(
        |terms| standing(terms).tables.push("people".to_owned()),
        RefusalCode::NotApproved,
    );
    check_changed(|terms| terms.quorum = 1, RefusalCode::NotApproved);
    check_changed(
        |terms| terms.family = name("other"),
        RefusalCode::NotApproved,
    );
    check_changed(
        |terms| terms.expires = NOW.after_ms(7_200_001),
        RefusalCode::Standing,
    );
    check_changed(|terms| terms.name = name("other"), RefusalCode::Standing);
}

#[test]
fn a_question_that_is_not_what_its_round_says_is_refused() {
    check_changed(
        |terms| terms.rounds[0].delta_sq -= 1,
        RefusalCode::TermsDiffer,
    );
    check_changed(
        |terms| terms.rounds[0].cells_max = 4,
        RefusalCode::TermsDiffer,
    );
    check_changed(
        |terms| terms.rounds[0].sigma_share -= 1,
        RefusalCode::TermsDiffer,
    );
    check_changed(
        |terms| terms.rounds.push(terms.rounds[0]),
        RefusalCode::TermsDiffer,
    );
    let other = |change: fn(&mut Question)| {
        let mut question = question();
        change(&mut question);
        move |terms: &mut StudyTerms| {
            if let Plan::Question {
                question: bytes, ..
            } = &mut terms.plan
            {
                *bytes = encode(&question);
            }
        }
    };
    check_changed(
        other(|question| question.groups_max = 3),
        RefusalCode::TermsDiffer,
    );
    check_changed(
        other(|question| question.blocks[0].weight = 500),
        RefusalCode::TermsDiffer,
    );
    check_changed(
        other(|question| question.keys = vec![Key::Level(1)]),
        RefusalCode::TermsDiffer,
    );
    check_changed(
        other(|question| question.table = "people".to_owned()),
        RefusalCode::Standing,
    );
    let garbage = |terms: &mut StudyTerms| {
        if let Plan::Question { question, .. } = &mut terms.plan {
            question.push(0);
        }
    };
    check_changed(garbage, RefusalCode::TermsDiffer);
}

#[test]
fn a_question_about_another_state_of_the_tables_is_refused() {
    let other = |terms: &mut StudyTerms| {
        if let Plan::Question { data, .. } = &mut terms.plan {
            data.fill(name("2026-12"));
        }
    };
    check_changed(other, RefusalCode::DataVersion);
    let fewer = |terms: &mut StudyTerms| {
        if let Plan::Question { data, .. } = &mut terms.plan {
            data.truncate(1);
        }
    };
    check_changed(fewer, RefusalCode::DataVersion);
}

#[test]
fn one_question_and_all_together_have_a_price_that_was_signed() {
    let dear = asked(&question(), MicroRho(URHO.0 + 1));
    let found = said(&own_rules(), &Ledger::default(), &dear, &approvals(&dear));
    assert_eq!(found, Err(RefusalCode::Standing));
    let mut ledger = Ledger::default();
    let caps = Caps {
        per_contract: MicroRho(u64::MAX),
        per_year: MicroRho(u64::MAX),
    };
    for number in 0..3 {
        let mut terms = asked(&question(), URHO);
        terms.study_id = [number; 16];
        let (bytes, signed) = (encode(&terms), approvals(&terms));
        assert_eq!(
            said(&own_rules(), &ledger, &terms, &signed),
            Ok(()),
            "question {number}"
        );
        ledger
            .reserve(NOW, caps, SPLIT, (&bytes, &terms, &signed), false)
            .unwrap();
        let study = study_hash(&bytes);
        let payment = Payment::Update(vec![number]);
        ledger
            .spend(NOW, (study, 0, 0), Default::default(), payment)
            .unwrap();
    }
    let mut fourth = asked(&question(), URHO);
    fourth.study_id = [4; 16];
    let found = said(&own_rules(), &ledger, &fourth, &approvals(&fourth));
    assert_eq!(found, Err(RefusalCode::StandingBudget));
}

#[test]
fn where_a_person_decides_a_standing_study_must_be_listed() {
    let sound = asked(&question(), URHO);
    let mut rules = own_rules();
    rules.policy.by_person = true;
    let found = said(&rules, &Ledger::default(), &sound, &approvals(&sound));
    assert_eq!(found, Err(RefusalCode::RefusedByPerson));
    rules.standing = vec![study_hash(&encode(&sound.template()))];
    assert_eq!(
        said(&rules, &Ledger::default(), &sound, &approvals(&sound)),
        Ok(())
    );
}

#[test]
fn a_standing_study_lives_no_longer_than_any_study() {
    let found = |life_ms: u64| {
        let mut lasting = asked(&question(), URHO);
        standing(&mut lasting).expires = NOW.after_ms(life_ms);
        let signed = approvals(&lasting);
        said(&own_rules(), &Ledger::default(), &lasting, &signed)
    };
    assert_eq!(found(STUDY_LIFE_MS_MAX), Ok(()));
    assert_eq!(found(STUDY_LIFE_MS_MAX + 1), Err(RefusalCode::TermsDiffer));
}

#[test]
fn a_standing_study_is_no_question() {
    let standing = asked(&question(), URHO).template();
    assert_eq!(standing.check(), Ok(()));
    let found = said(
        &own_rules(),
        &Ledger::default(),
        &standing,
        &approvals(&standing),
    );
    assert!(found.is_err(), "{found:?}");
}
