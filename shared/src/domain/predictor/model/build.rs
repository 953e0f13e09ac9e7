//! From a finished study to a model file.

use super::card::{Card, QualityCard, six_decimals};
use super::part::{DECISION, Feature, Kind, LINK, Model, Quantum};
use super::privacy::{Privacy, SumRecord};
use super::{ModelError, ModelFile, hex};
use crate::base::ids::{Hash32, StudyHash};
use crate::base::time::Timestamp;
use crate::base::units::{Delta, MicroRho};
use crate::domain::contract::{Column, ColumnKind, Contract};
use crate::domain::predictor::arithmetic::{F, Q};
use crate::domain::predictor::evaluation::Reading;
use crate::domain::predictor::gate::Verdict;
use crate::domain::predictor::learner::{Fitted, Warning};
use crate::domain::sum::{Plan, StudyTerms};

/// A model was published although no figure could be shown.
pub const NOT_EVALUATED: &str = "not_evaluated";

/// Everything public about a finished study.
#[derive(Clone, Copy, Debug)]
pub struct Finished<'a> {
    /// Its hash.
    pub study: StudyHash,
    /// Its terms.
    pub terms: &'a StudyTerms,
    /// Its contract.
    pub contract: &'a Contract,
    /// What was learnt.
    pub fitted: &'a Fitted,
    /// The private evaluation.
    pub reading: &'a Reading,
    /// What the gate says about it.
    pub verdict: &'a Verdict,
    /// All released sums in order.
    pub sums: &'a [SumRecord<'a>],
    /// Epsilon of a price at a delta, rounded up.
    pub epsilon: fn(MicroRho, Delta) -> f64,
    /// Version of the model, from 1.
    pub version: u32,
    /// Now.
    pub created: Timestamp,
    /// The last moment of the model's use.
    pub retire_by: Option<Timestamp>,
}

impl ModelFile {
    /// The model file of a finished study, not yet signed.
    ///
    /// # Errors
    ///
    /// Parts that do not belong together.
    pub fn of(finished: &Finished<'_>) -> Result<Self, ModelError> {
        let privacy = Privacy::of(finished.terms, finished.sums, finished.epsilon);
        let missing = || ModelError::Value {
            what: "price of the study".to_owned(),
            got: "beyond limits".to_owned(),
            expected: "a price that fits",
        };
        Self::new(
            model(finished.contract, finished.fitted),
            card(finished),
            privacy.ok_or_else(missing)?,
        )
    }
}

/// The hashed part of a model: what `model replay` compares.
#[must_use]
pub fn model(contract: &Contract, fitted: &Fitted) -> Model {
    let columns = contract
        .columns
        .iter()
        .zip(&fitted.bins)
        .zip(&fitted.curves);
    let features = columns.map(|((column, bins), curve)| feature(column, &bins.bin_of_cell, curve));
    let label = &contract.label;
    Model {
        base: fitted.base,
        clip: fitted.clip,
        contract_hash: contract.hash(),
        decision: DECISION.to_owned(),
        features: features.collect(),
        label: format!("{}={}", label.column, label.positive),
        link: LINK.to_owned(),
        pairs: Vec::new(),
        quantum: Quantum {
            residual: Q,
            score: F,
        },
        recalibration: None,
    }
}

fn feature(column: &Column, bin_of_cell: &[u16], curve: &[i32]) -> Feature {
    let (kind, edges, unit, levels) = match &column.kind {
        ColumnKind::Numeric { unit, cells, .. } => {
            let edges = cells.edges().iter().map(|edge| hex::of_real(*edge));
            (
                Kind::Ordered,
                Some(edges.collect()),
                Some(unit.clone()),
                None,
            )
        }
        ColumnKind::Levels(cells) => (Kind::Levels, None, None, Some(cells.levels().to_vec())),
    };
    Feature {
        actionable: column.actionable,
        bin_of_cell: bin_of_cell.to_vec(),
        curve: curve.to_vec(),
        edges,
        kind,
        levels,
        name: column.name.clone(),
        unit,
    }
}

fn card(finished: &Finished<'_>) -> Card {
    let (terms, fitted) = (finished.terms, finished.fitted);
    let rounded = |table: &[f64]| table.iter().copied().map(six_decimals).collect();
    let planned = match terms.plan {
        Plan::Additive { rounds, .. } => usize::from(rounds),
        Plan::Synthetic { .. } | Plan::Question { .. } => fitted.rounds.len(),
    };
    let quality = match finished.reading {
        Reading::Shown(quality) if finished.verdict.show => Some(QualityCard::from(&**quality)),
        _ => None,
    };
    let mut warnings: Vec<String> = fitted.warnings.iter().map(Warning::code).collect();
    if quality.is_none() {
        warnings.push(NOT_EVALUATED.to_owned());
    }
    Card {
        bin_counts: fitted
            .bins
            .iter()
            .map(|bins| rounded(&bins.counts))
            .collect(),
        contract: format!("{}@{}", terms.contract_name, terms.contract_version),
        convergence: fitted
            .rounds
            .iter()
            .map(|round| six_decimals(round.step))
            .collect(),
        created: finished.created,
        customers_estimate: six_decimals(fitted.customers),
        deviations: fitted.deviations.iter().map(|own| rounded(own)).collect(),
        name: terms.name.clone(),
        purpose: terms.purpose.clone(),
        quality,
        quality_reason: finished.verdict.reason.clone(),
        retire_by: finished.retire_by,
        rounds: format!("{} of {planned}", fitted.rounds.len()),
        study: Hash32(finished.study.0),
        version: finished.version,
        warnings,
    }
}
