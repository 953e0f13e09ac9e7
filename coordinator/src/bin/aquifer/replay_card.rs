//! What a model's card must say: recomputed from the study's terms and its released sums alone.
//!
//! Version, moment and date are the card's own word; the gate's reason too, where it compared with an earlier version.

use aquifer_coordinator::core::learning::evaluated;
use aquifer_shared::domain::contract::Contract;
use aquifer_shared::domain::predictor::evaluation::Reading;
use aquifer_shared::domain::predictor::gate::{Rival, Verdict, decide};
use aquifer_shared::domain::predictor::learner::Learner;
use aquifer_shared::domain::predictor::model::{Card, Finished, ModelFile, SumRecord};
use aquifer_shared::domain::sum::{StudyTerms, study_hash};
use aquifer_shared::protocol::ask::{ReleasedSum, SumsBundle};
use aquifer_shared::shell::noise::epsilon;
use serde_json::{Value as Json, json};

/// Which parts of a card are what the released sums give.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct CardCheck {
    /// The private evaluation: AUC, log-loss, calibration, reliability, their deviations, and why there are none.
    pub(crate) evaluation: bool,
    /// Everything else: counts, deviations, convergence, warnings, origin.
    pub(crate) rest: bool,
}

/// Compares a card with what terms, contract and sums give; nothing holds where they give no card.
pub(crate) fn check(
    file: &ModelFile,
    terms: &StudyTerms,
    contract: &Contract,
    learner: &Learner,
    bundle: &SumsBundle,
) -> CardCheck {
    let expected = expected(file, terms, contract, learner, bundle);
    let parts = |card: &Card| parts(card).ok();
    let (Some(found), Some(expected)) = (parts(file.card()), expected.as_ref().and_then(parts))
    else {
        return CardCheck::default();
    };
    CardCheck {
        evaluation: alike(&found.0, &expected.0),
        rest: alike(&found.1, &expected.1),
    }
}

fn expected(
    file: &ModelFile,
    terms: &StudyTerms,
    contract: &Contract,
    learner: &Learner,
    bundle: &SumsBundle,
) -> Option<Card> {
    let fitted = learner.finish().ok()?;
    let reading = evaluated(terms, &bundle.sums, &fitted).ok()??;
    let mut verdict = verdict(file.card(), terms, &reading);
    if !learner.consistent() {
        verdict = verdict.inconsistent();
    }
    let sums: Vec<SumRecord<'_>> = bundle.sums.iter().map(once).collect();
    let made = ModelFile::of(&Finished {
        study: study_hash(&bundle.terms),
        terms,
        contract,
        fitted: &fitted,
        reading: &reading,
        verdict: &verdict,
        sums: &sums,
        epsilon,
        version: file.card().version,
        created: file.card().created,
        retire_by: file.card().retire_by,
    });
    made.ok().map(|made| made.card().clone())
}

/// Attempts are the statement's business: the card does not depend on them.
fn once(sum: &ReleasedSum) -> SumRecord<'_> {
    SumRecord {
        attempts: 1,
        updates: sum.updates,
        cells: &sum.cells,
    }
}

/// The gate's verdict as far as the sums of one study tell it.
fn verdict(card: &Card, terms: &StudyTerms, reading: &Reading) -> Verdict {
    let alone = decide(
        terms.gate,
        reading,
        Rival::BaseRate,
        terms.expected_gain_ppm,
    );
    // A first version has no rival but the base rate, and without figures there is nothing to compare.
    if card.version == 1 || matches!(reading, Reading::TooLittle(_)) {
        return alone;
    }
    // How noisy the earlier version's figures were is not known here: figures may be withheld for that, never for anything else.
    let too_noisy = |reason: &String| reason.starts_with("too little data to tell: noise moves");
    let withheld = card.quality.is_none()
        && terms.expected_gain_ppm > 0
        && card.quality_reason.as_ref().is_some_and(too_noisy);
    Verdict {
        show: !withheld,
        reason: card.quality_reason.clone(),
        ..alone
    }
}

/// The evaluation, and everything else.
fn parts(card: &Card) -> Result<(Json, Json), serde_json::Error> {
    let mut rest = serde_json::to_value(card)?;
    let evaluation = json!([rest["quality"].take(), rest["quality_reason"].take()]);
    Ok((evaluation, rest))
}

/// Equal, but for the last decimal of numbers: other machines may round logarithms otherwise.
fn alike(found: &Json, expected: &Json) -> bool {
    match (found, expected) {
        (Json::Number(found), Json::Number(expected)) => {
            let both = found.as_f64().zip(expected.as_f64());
            both.is_some_and(|(found, expected)| (found - expected).abs() <= LAST_DECIMAL)
        }
        (Json::Array(found), Json::Array(expected)) => {
            let mut pairs = found.iter().zip(expected);
            found.len() == expected.len() && pairs.all(|(found, expected)| alike(found, expected))
        }
        (Json::Object(found), Json::Object(expected)) => {
            let same = |(key, found)| expected.get(key).is_some_and(|own| alike(found, own));
            found.len() == expected.len() && found.iter().all(same)
        }
        (found, expected) => found == expected,
    }
}

/// A card keeps six decimals; one and a half of the last, so that sums of rounding stay below.
const LAST_DECIMAL: f64 = 1.5e-6;
