//! Checks of a run as a whole: transfers, cohort, cost. Declared and public figures only, never an exact count of people.

use super::case::Case;
use super::cause::Cause;
use super::decision::Obligation;
use super::facts::{Run, Spend, Transfer};
use super::key::{CONTRACT_TERMS, Key, TOOL};
use super::vocabulary::Gate;

pub(super) fn check(case: &mut Case<'_>, run: &Run<'_>) {
    of_transfer(case, run.transfer);
    match case.request.gate {
        Gate::Train | Gate::Release => of_figures(case, run, Key::CohortMinTrain),
        Gate::Query => of_figures(case, run, Key::CohortMinQuery),
        Gate::Ingest | Gate::Score => {}
    }
}

fn of_transfer(case: &mut Case<'_>, transfer: Transfer) {
    let Some(rule) = case.value(Key::Transfer) else {
        return;
    };
    let enough = match transfer {
        Transfer::Unknown => return case.deny(Cause::TransferUnknown),
        Transfer::Within | Transfer::Tool => true,
        Transfer::ContractTerms => rule < TOOL,
        Transfer::Bare => rule < CONTRACT_TERMS,
    };
    case.unless(enough, Cause::TransferWithoutTool);
}

fn of_figures(case: &mut Case<'_>, run: &Run<'_>, cohort: Key) {
    let smallest = case.value(cohort);
    match (run.population, smallest) {
        (None, _) => case.deny(Cause::CohortUnknown),
        (Some(declared), Some(smallest)) => {
            case.unless(declared >= smallest, Cause::CohortTooSmall)
        }
        (Some(_), None) => {}
    }
    match run.spend {
        None => case.deny(Cause::SpendUnknown),
        Some(spend) => of_spend(case, spend, run.population),
    }
}

fn of_spend(case: &mut Case<'_>, spend: Spend, population: Option<u64>) {
    let cap = case.value(Key::EpsilonYearMaxMicro).unwrap_or(0);
    case.unless(spend.epsilon_micro <= cap, Cause::EpsilonAboveCap);
    let warning = case.value_if_set(Key::EpsilonYearWarnMicro);
    if warning.is_some_and(|warning| spend.epsilon_micro >= warning) {
        case.obligations.insert(Obligation::WarnEpsilon);
    }
    let (Some(factor), Some(population)) = (case.value(Key::DeltaPopulationFactor), population)
    else {
        return;
    };
    let product = u128::from(spend.delta_pico) * u128::from(factor);
    let product = product.checked_mul(u128::from(population));
    case.unless(
        product.is_some_and(|product| product <= ONE_PICO),
        Cause::DeltaTooLarge,
    );
}

/// A delta of 1, in units of 10^-12.
const ONE_PICO: u128 = 1_000_000_000_000;
