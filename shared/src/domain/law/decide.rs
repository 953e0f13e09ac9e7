//! The one function that decides, at five gates: pure, total, and no unless every check says yes.

use super::book::Rulebook;
use super::case::Case;
use super::cause::Cause;
use super::decision::{Decision, Obligation, Subject};
use super::facts::{About, Dpia, Facts, Request};
use super::inputs;
use super::key::{EXPLICIT_CONSENT, Key, PROHIBITED, REQUIRED, REVIEWER};
use super::limits::Limits;
use super::place::Place;
use super::vocabulary::{Category, Effect, Gate, ScreenedUse, Signal};
use super::words::Set;
use super::{person, run};
use crate::base::limits::LAW_PLACES_MAX;
use crate::base::time::Timestamp;

/// Decides whether something may be done: by the strictest of all packs that apply where the unit and the people are, on the day
/// of `now`.
///
/// Denies by default: what is unknown, undeclared, expired or contradictory is a cause to deny, and all causes are told, not only
/// the first. Rules of people (consent, age, objection) are looked at for a person; those of a run (cohort, cost, transfer) for a
/// run; those of the purpose for both.
///
/// # Privacy
///
/// About a person, the decision is a customer's fact: see [`Decision`].
pub fn decide(
    request: &Request<'_>,
    facts: &Facts<'_>,
    book: &Rulebook,
    now: Timestamp,
) -> Decision {
    let day = day_of(now);
    let (places, all_known) = places(request, facts);
    let (applicable, covered) = book.applicable(&places);
    let limits = Limits::of(book, &applicable, day);
    let purpose = book.purpose_number(request.purpose);
    let declared = purpose.and_then(|number| book.purposes().get(number));
    let mut case = Case::new(request, facts, declared, limits, day);
    case.unless(all_known, Cause::PlaceUnknown);
    case.unless(covered || !all_known, Cause::PlaceUncovered);
    case.unless(limits.stale().is_empty(), Cause::RuleStale);
    case.unless(!limits.conflict(), Cause::LimitsConflict);
    of_purpose(&mut case);
    of_data(&mut case);
    of_effect(&mut case);
    let subject = match facts.about {
        About::Person(ref about) => {
            person::check(&mut case, about);
            Subject::Person
        }
        About::Run(ref about) => {
            run::check(&mut case, about);
            Subject::Run
        }
    };
    oblige(&mut case, subject);
    Decision {
        book: book.clone(),
        gate: request.gate,
        subject,
        purpose,
        day,
        applicable,
        used: case.used,
        causes: case.causes,
        obligations: case.obligations,
        inputs: inputs::digest(request, facts, now),
    }
}

/// Days since 1970; a clock beyond all calendars is the last day, on which nothing open-ended has been reviewed.
pub(super) fn day_of(now: Timestamp) -> i32 {
    i32::try_from(now.0 / (24 * 3_600 * 1_000)).unwrap_or(i32::MAX)
}

/// Where the unit and the people are, and whether all of that is known.
fn places(request: &Request<'_>, facts: &Facts<'_>) -> (Vec<Place>, bool) {
    let (people, known) = match &facts.about {
        About::Person(person) => (person.place.as_slice(), person.place.is_some()),
        About::Run(run) => {
            let fits = (1..=LAW_PLACES_MAX).contains(&run.places.len());
            (if fits { run.places } else { &[] }, fits)
        }
    };
    let mut places = people.to_vec();
    let unit = request.controller.filter(|unit| !places.contains(unit));
    places.extend(unit);
    (places, known && request.controller.is_some())
}

/// The purpose is declared, fresh, for this gate, and covers the columns.
fn of_purpose(case: &mut Case<'_>) {
    let Some(purpose) = case.purpose else {
        case.deny(Cause::PurposeUnknown);
        return;
    };
    let request = case.request;
    let action = request.gate.action();
    case.unless(
        action.is_none_or(|action| action == purpose.action),
        Cause::WrongAction,
    );
    case.unless(case.day <= purpose.review_by, Cause::ReviewOverdue);
    case.unless(purpose.export || !request.export, Cause::ExportNotDeclared);
    let allowed = request.columns.iter().all(|column| purpose.allows(column));
    case.unless(allowed, Cause::ColumnNotAllowed);
    if purpose.sale_or_share {
        let demanded = Set::<Signal>::from_bits(case.value(Key::Signals).unwrap_or(u64::MAX));
        case.unless(demanded.is_empty(), Cause::SignalsUnread);
    }
}

/// All data is mapped; sensitive data meets its rule.
fn of_data(case: &mut Case<'_>) {
    let categories = case.request.categories;
    let mapped = !categories.is_empty() && !categories.contains(Category::Unknown);
    case.unless(mapped, Cause::CategoryUnknown);
    let sensitive = case.value(Key::SensitiveCategories).unwrap_or(u64::MAX);
    if !categories.meets(Set::from_bits(sensitive)) {
        return;
    }
    case.sensitive = true;
    match case.value(Key::Sensitive) {
        Some(PROHIBITED) | None => case.deny(Cause::SensitiveProhibited),
        Some(rule) => case.needs_explicit = rule >= EXPLICIT_CONSENT,
    }
}

/// Screened uses take two signers, significant effects a reviewer, and both an assessment of impact.
fn of_effect(case: &mut Case<'_>) {
    let Some(purpose) = case.purpose else { return };
    let facts = case.facts;
    if let Some(used) = purpose.annex_iii {
        let screened = case.value(Key::ScreenedUses).unwrap_or(u64::MAX);
        let screened = Set::<ScreenedUse>::from_bits(screened).contains(used);
        case.unless(!screened || facts.signers.is_some(), Cause::UseScreened);
    }
    let significant = purpose.decision_effect == Effect::SimilarlySignificant;
    let decides = matches!(case.request.gate, Gate::Score | Gate::Release);
    if significant && decides {
        let rule = case.value(Key::Automated).unwrap_or(REVIEWER);
        case.unless(
            rule < REVIEWER || facts.reviewer.is_some(),
            Cause::ReviewerMissing,
        );
    }
    let risky = significant || case.sensitive || purpose.sale_or_share;
    let owed = risky && case.value(Key::RiskAssessment).unwrap_or(REQUIRED) == REQUIRED;
    let signed = purpose.dpia_ref.is_some() && facts.dpia != Dpia::Absent;
    case.unless(signed || !owed, Cause::DpiaMissing);
    let current = match facts.dpia {
        Dpia::Current => true,
        Dpia::Absent => !owed,
        Dpia::Unknown => !owed && purpose.dpia_ref.is_none(),
        Dpia::Stale => false,
    };
    case.unless(current || !signed && owed, Cause::DpiaStale);
}

/// What comes with a yes, and what is left of it in a no.
fn oblige(case: &mut Case<'_>, subject: Subject) {
    let gate = case.request.gate;
    if !case.causes.is_empty() {
        case.obligations = match (gate, subject) {
            (Gate::Score, Subject::Person) => Set::of(&[Obligation::Suppress]),
            _ => Set::EMPTY,
        };
        return;
    }
    let usual: &[Obligation] = match gate {
        Gate::Ingest => &[],
        Gate::Train | Gate::Release => &[Obligation::Noise, Obligation::MinCohort],
        Gate::Query => &[
            Obligation::Noise,
            Obligation::MinCohort,
            Obligation::Suppress,
        ],
        Gate::Score => &[Obligation::LogExplanation],
    };
    usual.iter().for_each(|owed| case.obligations.insert(*owed));
    let effect = case.purpose.map(|purpose| purpose.decision_effect);
    let decides = matches!(gate, Gate::Score | Gate::Release);
    if decides && effect == Some(Effect::SimilarlySignificant) {
        case.obligations.insert(Obligation::HumanReview);
    }
}
