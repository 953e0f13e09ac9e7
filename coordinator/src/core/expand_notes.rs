//! What the submitter of a study should know before anybody signs it.
//!
//! Public figures of the terms only; refuses nothing.

use aquifer_shared::base::units::MicroRho;
use aquifer_shared::domain::predictor::arithmetic::{COUNT, EVALUATION_BINS};
use aquifer_shared::domain::sum::{HoldOut, Part, Plan, RoundTerms, StudyTerms};

use super::expand::{Accountant, quoted_urho};

pub(super) fn notes(terms: &StudyTerms, accountant: Accountant) -> Vec<String> {
    let mut notes = vec![price(terms, accountant)];
    if matches!(terms.plan, Plan::Additive { .. }) {
        notes.extend(too_few_to_learn(terms));
        notes.extend(too_few_to_tell(terms));
    }
    if terms.quorum < terms.roster.len() as u16 {
        notes.push(format!(
            "a sum is released once {} of {} nodes have answered and {} ms have passed",
            terms.quorum,
            terms.roster.len(),
            terms.phase_ms
        ));
    }
    notes.extend(price_of_repeating(terms, accountant));
    if once_only(terms) {
        notes.push(
            "spare_attempts is 0: nodes that were charged for a round will refuse to repeat it"
                .to_owned(),
        );
    }
    notes
}

fn price(terms: &StudyTerms, accountant: Accountant) -> String {
    let quoted = quoted_urho(terms).unwrap_or(MicroRho(u64::MAX));
    let epsilon = (accountant.epsilon)(quoted, terms.delta);
    let delta = terms.delta.get();
    let price = format!("the study costs {quoted}: epsilon {epsilon} at delta {delta:e}");
    if terms.multiplicity == 1 {
        return price;
    }
    format!(
        "{price}, for a customer at {} nodes; {} at each",
        terms.multiplicity, terms.urho
    )
}

/// A repeated round is charged again: what the statement may then say.
fn price_of_repeating(terms: &StudyTerms, accountant: Accountant) -> Option<String> {
    let cap = terms.urho_cap;
    // A customer of one node is in one part, of several perhaps in both, and at each node.
    let parts = if terms.multiplicity == 1 { 1 } else { 2 };
    let quoted = cap.checked_mul(parts * u64::from(terms.multiplicity))?;
    let repeats = terms.attempts_max > 1 && !once_only(terms);
    repeats.then(|| {
        let epsilon = (accountant.epsilon)(quoted, terms.delta);
        format!(
            "every node sets {cap} aside: a round that has to be repeated is charged again, up to epsilon {epsilon} in all"
        )
    })
}

/// The learner stops below ten standard deviations of the counting noise.
fn too_few_to_learn(terms: &StudyTerms) -> Option<String> {
    let counting = terms.rounds.first()?;
    let needed = (10.0 * noise_of(counting, terms)).max(200.0);
    let learning = terms.population as f64 * (1.0 - held_out(terms));
    (learning < needed).then(|| {
        format!(
            "about {learning:.0} customers to learn from, the counting noise asks for {needed:.0}: the study will \
             stop with too_little_data"
        )
    })
}

/// Quality figures are shown only if each outcome has `8σ√32` customers in the hold-out.
fn too_few_to_tell(terms: &StudyTerms) -> Option<String> {
    let evaluation = terms
        .rounds
        .iter()
        .rfind(|round| round.part == Part::HoldOut)?;
    let needed = 8.0 * noise_of(evaluation, terms) * (EVALUATION_BINS as f64).sqrt();
    let held_out = terms.population as f64 * held_out(terms);
    (held_out < 2.0 * needed).then(|| {
        format!(
            "about {held_out:.0} customers are held out, private quality figures need {needed:.0} of each outcome: \
             expect \"too little data to tell\""
        )
    })
}

/// Standard deviation of a released cell, in customers.
fn noise_of(round: &RoundTerms, terms: &StudyTerms) -> f64 {
    round.sigma_share as f64 * (terms.roster.len() as f64).sqrt() / COUNT as f64
}

fn held_out(terms: &StudyTerms) -> f64 {
    match terms.holdout {
        HoldOut::Fraction(ppm) => f64::from(ppm) / 1e6,
        // Not known here; the usual share.
        HoldOut::Column(_) => 0.15,
    }
}

fn once_only(terms: &StudyTerms) -> bool {
    let spent = [Part::Training, Part::HoldOut].map(|part| terms.part_price(part));
    let cheapest = terms.rounds.iter().map(|round| round.urho).min();
    let room = spent.map(|spent| terms.urho_cap.left_after(spent.unwrap_or(terms.urho_cap)));
    terms.attempts_max > 1
        && cheapest.is_some_and(|cheapest| room.iter().all(|left| *left < cheapest))
}
