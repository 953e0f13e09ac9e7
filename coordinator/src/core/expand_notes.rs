//! What the submitter of a study should know before anybody signs it.
//!
//! Public figures of the terms only; refuses nothing.

use aquifer_shared::base::limits::GROUP_MIN;
use aquifer_shared::base::units::MicroRho;
use aquifer_shared::domain::predictor::arithmetic::{COUNT, EVALUATION_BINS};
use aquifer_shared::domain::sum::{HoldOut, Part, Plan, RoundTerms, StudyTerms, TrustMode};

use super::expand::{Accountant, quoted_urho};

/// Notes on terms; `trust_stated` says whether the file named the trust mode.
pub(super) fn notes(terms: &StudyTerms, trust_stated: bool, accountant: Accountant) -> Vec<String> {
    let mut notes = vec![price(terms, accountant)];
    if !trust_stated {
        notes.push(reason(terms));
    }
    if terms.mode == TrustMode::SharedNoise {
        notes.extend(tolerances(terms));
        notes.extend(floor(terms, accountant));
    }
    if matches!(terms.plan, Plan::Additive { .. }) {
        notes.extend(too_few_to_learn(terms));
        notes.extend(too_few_to_tell(terms));
    }
    if !terms.is_standing() {
        notes.extend(waiting(terms));
        notes.extend(price_of_repeating(terms, accountant));
    }
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
    let what = match terms.is_standing() {
        true => "all questions together cost at most",
        false => "the study costs",
    };
    let price = format!("{what} {quoted}: epsilon {epsilon} at delta {delta:e}");
    let copies = terms.multiplicity;
    match (copies, terms.mode) {
        (1, _) => price,
        (_, TrustMode::NodeNoise) => {
            format!(
                "{price}, for a customer at {copies} nodes; {} at each",
                terms.urho
            )
        }
        (_, TrustMode::SharedNoise) => format!(
            "{price}, for a customer at {copies} nodes: one noise covers all copies, {copies} times as strong as one copy \
             needs"
        ),
    }
}

/// Why the study runs in its mode although nobody asked for it.
fn reason(terms: &StudyTerms) -> String {
    let members = terms.roster.len();
    match terms.mode {
        TrustMode::NodeNoise => {
            format!(
                "trust is node-noise: shared-noise needs {GROUP_MIN} nodes, {members} take part"
            )
        }
        TrustMode::SharedNoise => format!(
            "trust is shared-noise because {members} nodes take part, {GROUP_MIN} or more: noise once in total instead of \
             once per node (trust = \"node-noise\" asks for the latter)"
        ),
    }
}

/// What a group tolerates, and what follows.
fn tolerances(terms: &StudyTerms) -> Vec<String> {
    let groups = terms.groups();
    let sizes: Vec<usize> = groups.into_iter().map(|group| group.len()).collect();
    let smallest = sizes.iter().copied().min().unwrap_or(0);
    let Ok(group) = terms.thresholds(smallest) else {
        return Vec::new();
    };
    let mut notes = Vec::new();
    if sizes.len() > 1 {
        let largest = sizes.iter().copied().max().unwrap_or(smallest);
        let of = match largest == smallest {
            true => smallest.to_string(),
            false => format!("{smallest} or {largest}"),
        };
        notes.push(format!(
            "{} nodes make {} groups of {of}: each adds up on its own with its whole noise, and what follows holds for the \
             smallest",
            terms.roster.len(),
            sizes.len(),
        ));
    }
    notes.push(format!(
        "of {smallest} nodes {} may be absent and {} may collude, with the coordinator or without it: {} honest noise \
         shares are certain (h = {}, k = {} cells to a share, Q = {} confirmations)",
        group.absent_max(),
        group.colluders_max(),
        group.honest(),
        group.honest(),
        group.packed(),
        group.confirmations(),
    ));
    notes
}

fn floor(terms: &StudyTerms, accountant: Accountant) -> Option<String> {
    let floor = terms.floor(terms.urho)?;
    let epsilon = (accountant.epsilon)(floor, terms.delta);
    Some(format!(
        "if more collude or the encryption between nodes breaks, each node's own noise is left: {floor}, epsilon \
         {epsilon} at delta {:e}",
        terms.delta.get()
    ))
}

/// How many must answer, and how long they are waited for.
fn waiting(terms: &StudyTerms) -> Option<String> {
    let (quorum, members, phase) = (terms.quorum, terms.roster.len(), terms.phase_ms);
    match terms.mode {
        TrustMode::SharedNoise => Some(format!(
            "a sum needs {quorum} of {members} nodes; in each of its four steps the others are waited for up to {phase} ms"
        )),
        TrustMode::NodeNoise if usize::from(quorum) < members => Some(format!(
            "a sum is released once {quorum} of {members} nodes have answered and {phase} ms have passed"
        )),
        TrustMode::NodeNoise => None,
    }
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
