//! Checks of one person: basis, consent, notice, objection, age.

use super::case::Case;
use super::cause::Cause;
use super::facts::{Age, Block, Consent, Person};
use super::key::{Key, OPT_IN};
use super::vocabulary::{Basis, Effect, Gate};
use super::words::Set;

pub(super) fn check(case: &mut Case<'_>, person: &Person) {
    case.unless(case.request.gate != Gate::Release, Cause::PersonAtRelease);
    of_basis(case, person);
    of_block(case, person);
    of_age(case, person);
    if case.needs_explicit {
        let explicit = person.basis == Some(Basis::Consent) && person.consent == Consent::Explicit;
        case.unless(explicit, Cause::SensitiveConsent);
    }
}

fn of_basis(case: &mut Case<'_>, person: &Person) {
    let accepted = Set::<Basis>::from_bits(case.value(Key::Bases).unwrap_or(0));
    let Some(basis) = person.basis else {
        case.deny(Cause::BasisUnknown);
        return;
    };
    case.unless(accepted.contains(basis), Cause::BasisNotAllowed);
    let significant =
        |purpose: &super::Purpose| purpose.decision_effect == Effect::SimilarlySignificant;
    if case.purpose.is_some_and(significant) {
        let barred = case.value_if_set(Key::BasesNotAutomated).unwrap_or(0);
        let barred = Set::<Basis>::from_bits(barred);
        case.unless(!barred.contains(basis), Cause::BasisNotAutomated);
    }
    match basis {
        Basis::Consent => {
            of_consent(case, person);
            of_notice(case, person);
        }
        Basis::Notice => {
            let model = case.value(Key::ConsentModel).unwrap_or(OPT_IN);
            case.unless(model < OPT_IN, Cause::OptInNeeded);
            of_notice(case, person);
        }
        Basis::LegitimateInterests => {
            let assessed = case
                .purpose
                .is_none_or(|purpose| purpose.li_assessment_id.is_some());
            case.unless(assessed, Cause::LiAssessmentMissing);
        }
        _ => {}
    }
}

fn of_consent(case: &mut Case<'_>, person: &Person) {
    case.value(Key::ConsentModel);
    match person.consent {
        Consent::Unknown => case.deny(Cause::ConsentUnknown),
        Consent::Active | Consent::Explicit => {
            let longest = case.value(Key::ConsentMaxAgeDays).unwrap_or(0);
            // A consent of tomorrow has no age: it is as good as undated.
            let age = person
                .consented_on
                .map(|day| i64::from(case.day) - i64::from(day));
            let fresh = age
                .and_then(|age| u64::try_from(age).ok())
                .is_some_and(|age| age <= longest);
            case.unless(fresh, Cause::ConsentTooOld);
        }
        Consent::None | Consent::Refused | Consent::Withdrawn | Consent::Expired => {
            case.deny(Cause::ConsentMissing);
        }
    }
}

fn of_notice(case: &mut Case<'_>, person: &Person) {
    let Some(purpose) = case.purpose else { return };
    let needed = purpose.min_notice_version;
    case.unless(
        person.notice.is_some_and(|shown| shown >= needed),
        Cause::NoticeTooOld,
    );
}

/// Whatever a law lets an objection be about, here it blocks the purpose; no weighing of grounds lifts it.
fn of_block(case: &mut Case<'_>, person: &Person) {
    case.value(Key::Objection);
    match person.block {
        Block::None => {}
        Block::Unknown => case.deny(Cause::BlockUnknown),
        Block::Objected | Block::OptedOut => case.deny(Cause::Objected),
    }
}

/// The age rule holds for every basis, and not for consent alone.
fn of_age(case: &mut Case<'_>, person: &Person) {
    let Some(lowest) = case.value(Key::MinAge) else {
        return;
    };
    match person.age {
        Age::Unknown => case.deny(Cause::AgeUnknown),
        Age::Years(years) => case.unless(u64::from(years) >= lowest, Cause::AgeBelow),
        Age::Adult | Age::MinorWithGuardian => {}
        Age::Minor => case.deny(Cause::AgeBelow),
    }
    if !case.purpose.is_some_and(|purpose| purpose.sale_or_share) {
        return;
    }
    let Some(lowest) = case.value_if_set(Key::SaleOptInAge) else {
        return;
    };
    let of_age = match person.age {
        Age::Years(years) => u64::from(years) >= lowest,
        Age::Adult => true,
        Age::MinorWithGuardian | Age::Minor | Age::Unknown => false,
    };
    let opted_in = matches!(person.consent, Consent::Active | Consent::Explicit);
    case.unless(of_age || opted_in, Cause::SaleBelowAge);
}
