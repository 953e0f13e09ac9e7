//! What a release promises, in a few sentences: the same through every door.
//!
//! After NIST SP 800-226: claim, what of a customer counts, noise, trust, data and totals. Says nothing that terms, contract and sum
//! do not say.

use std::collections::BTreeSet;

use aquifer_shared::base::ids::Name;
use aquifer_shared::base::units::MicroRho;
use aquifer_shared::domain::contract::Published;
use aquifer_shared::domain::predictor::model::mechanism;
use aquifer_shared::domain::question::{BlockKind, Question, number};
use aquifer_shared::domain::sum::{Standing, StudyTerms, TrustMode};
use aquifer_shared::protocol::ask::ReleaseLine;

use super::asking::{question_of, standing_of};
use super::expand::Accountant;

/// The sentences; none where terms and release are not those of a question.
///
/// `spent` is what all questions under the standing study have cost at a unit so far, with what is set aside for those under way.
#[must_use]
pub fn promise(
    terms: &StudyTerms,
    line: &ReleaseLine,
    table: &Published,
    spent: MicroRho,
    accountant: Accountant,
) -> Option<String> {
    let (standing, question) = (standing_of(terms)?, question_of(terms)?);
    let sentences = [
        claim(terms, line),
        counted(&question, table),
        noise(terms, line)?,
        trust(terms, line, accountant),
        versions(line),
        total(terms, standing, spent, accountant)?,
    ];
    Some(sentences.join(" "))
}

fn claim(terms: &StudyTerms, line: &ReleaseLine) -> String {
    let units = match terms.multiplicity {
        1 => "one unit".to_owned(),
        more => format!("up to {more} units"),
    };
    format!(
        "Adding or removing one customer of {units}, with all rows, changes the chance of any outcome of this release by at most a \
         factor e^{}, but for a probability {:e} (rho {}; nobody is left out by sampling).",
        line.epsilon,
        line.delta,
        MicroRho(line.urho).as_rho()
    )
}

/// What of one customer is in the sum at most.
fn counted(question: &Question, table: &Published) -> String {
    let blocks = question.blocks.iter();
    let measured = blocks.filter(|block| !matches!(block.kind, BlockKind::Values(_)));
    let columns: BTreeSet<u16> = measured.filter_map(|block| block.kind.column()).collect();
    let clamped = columns.into_iter().filter_map(|place| {
        let column = table.columns.get(usize::from(place))?;
        let bounds = number(&column.kind)?;
        let end = |units: i64| bounds.value_of(units as f64);
        let (low, high) = (end(bounds.low), end(bounds.high));
        Some(format!(", {} from {low} to {high}", column.name))
    });
    format!(
        "A customer is one {}, of whom R = {} rows in each of G = {} groups of the contract count at most{}; what is outside is \
         clamped, which no interval covers.",
        table.privacy_unit,
        table.rows_per_group_max,
        question.groups_max,
        clamped.collect::<String>()
    )
}

fn noise(terms: &StudyTerms, line: &ReleaseLine) -> Option<String> {
    let scale = terms.rounds.first()?.sigma_share;
    Some(format!(
        "Each unit in the sum adds a {} of scale {scale} in the integers of the sum; {} of {} units are in it.",
        mechanism(TrustMode::NodeNoise),
        line.updates,
        line.members
    ))
}

fn trust(terms: &StudyTerms, line: &ReleaseLine, accountant: Accountant) -> String {
    let floor = terms.floor(MicroRho(line.urho));
    let Some(floor) = floor.filter(|_| terms.mode == TrustMode::SharedNoise) else {
        return "In node-noise each unit adds the whole noise: nobody else need be honest."
            .to_owned();
    };
    format!(
        "In shared-noise each unit adds a share of the noise and only the sum is opened: at most {} of a group of units collude, with \
         the coordinator or without it; if more do, or the encryption between units breaks, epsilon is {}.",
        terms.c_max,
        (accountant.epsilon)(floor, terms.delta)
    )
}

fn versions(line: &ReleaseLine) -> String {
    let versions: Vec<&str> = line.data_versions.iter().map(Name::as_str).collect();
    format!("The data are of version {}.", versions.join(", "))
}

/// What it adds up to; none where a price does not fit.
fn total(
    terms: &StudyTerms,
    standing: &Standing,
    spent: MicroRho,
    accountant: Accountant,
) -> Option<String> {
    let cost = |urho: MicroRho| {
        let quoted = terms.quoted(urho)?;
        let epsilon = (accountant.epsilon)(quoted, terms.delta);
        Some(format!("rho {} (epsilon {epsilon})", quoted.as_rho()))
    };
    Some(format!(
        "All questions of everybody under standing study {}, this one among them, have cost a customer {} so far, and may cost {}; \
         other studies add up in each unit's ledger.",
        standing.name,
        cost(spent)?,
        cost(standing.urho_max)?
    ))
}

#[cfg(test)]
#[path = "promise_tests.rs"]
mod tests;
