//! Predictions from a model file: raw values in; probability, decision and explanation out.
//!
//! Works on hypothetical people and on a unit's own customers alike; sends nothing anywhere.

use serde::Serialize;

use super::additive::Additive;
use super::arithmetic::F;
use super::model::{ModelError, ModelFile};
use super::words::Meaning;
use crate::domain::contract::text::number;

/// A model file, ready to predict.
#[derive(Clone, Debug)]
pub struct Predictor {
    additive: Additive,
    names: Vec<String>,
    meanings: Vec<Meaning>,
    deviations: Vec<Vec<f64>>,
    label: String,
}

/// A raw value of one feature.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// Not there.
    Missing,
    /// A number; a level where the feature has levels.
    Number(f64),
    /// A text; a number where the feature is one.
    Text(&'a str),
}

/// What a model says about one set of values.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Prediction {
    /// Score in log-odds, bounded.
    pub score: f64,
    /// Probability of the label.
    pub probability: f64,
    /// Probability ≥ threshold, where one was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decision: Option<bool>,
}

/// Why a model says it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Explanation {
    /// The average customer's log-odds; with all contributions it adds up to the score before its bound.
    pub base: f64,
    /// One per feature, in contract order.
    pub contributions: Vec<Contribution>,
    /// The smallest change of one feature that crosses the threshold; none where no single change does, or without one.
    pub counterfactual: Option<Change>,
}

/// What one feature adds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Contribution {
    /// The feature.
    pub feature: String,
    /// The values of its bin, in words.
    pub value: String,
    /// Added log-odds, relative to the average customer.
    pub log_odds: f64,
    /// Standard deviation of that, approximate: noise and sampling.
    pub deviation: f64,
}

/// A bin of a feature's curve.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CurveLine {
    /// The values of the bin, in words.
    pub value: String,
    /// Added log-odds, relative to the average customer.
    pub log_odds: f64,
    /// Standard deviation of that, approximate: noise and sampling.
    pub deviation: f64,
    /// Noisy number of customers in the bin.
    pub customers: f64,
}

/// A change of one feature.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Change {
    /// The feature.
    pub feature: String,
    /// The values it has, in words.
    pub from: String,
    /// The values it would need, in words.
    pub to: String,
    /// Share of the customers between the two, or 1 for levels.
    pub distance: f64,
    /// Probability after the change.
    pub probability: f64,
}

impl Predictor {
    /// Makes a file ready.
    ///
    /// # Errors
    ///
    /// A file whose edges or levels break a rule; one that was parsed has none.
    pub fn of(file: &ModelFile) -> Result<Self, ModelError> {
        let model = file.model();
        Ok(Self {
            additive: file.additive(),
            names: model
                .features
                .iter()
                .map(|feature| feature.name.clone())
                .collect(),
            meanings: model.meanings()?,
            deviations: file.card().deviations.clone(),
            label: model.label.clone(),
        })
    }

    /// The features' names, in contract order.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// What is predicted: `column=positive level`.
    #[must_use]
    pub fn label(&self) -> &str {
        &self.label
    }

    /// The model as a function of cells.
    #[must_use]
    pub fn additive(&self) -> &Additive {
        &self.additive
    }

    /// What the cells of a feature mean.
    #[must_use]
    pub fn meanings(&self) -> &[Meaning] {
        &self.meanings
    }

    /// The cells of raw values; `value` is asked once per feature, by name. What does not fit is *missing*.
    pub fn cells<'a>(&self, mut value: impl FnMut(&str) -> Value<'a>) -> Vec<usize> {
        let features = self.names.iter().zip(&self.meanings);
        features
            .map(|(name, meaning)| meaning.cell(value(name)))
            .collect()
    }

    /// What a person should know about how values were read: texts that are no number, values that are no known level.
    pub fn notes<'a>(&self, mut value: impl FnMut(&str) -> Value<'a>) -> Vec<String> {
        let features = self.names.iter().zip(&self.meanings);
        let note = |(name, meaning): (&String, &Meaning)| {
            let value = value(name);
            let missing = meaning.cell(value) + 1 == meaning.count();
            let blank = matches!(value, Value::Missing)
                || matches!(value, Value::Text(text) if text.trim().is_empty());
            let expected = match meaning {
                Meaning::Ordered { .. } => "is not a number",
                Meaning::Levels(_) => "is not one of its levels",
            };
            (missing && !blank)
                .then(|| format!("{name}: the value {expected} and counts as missing"))
        };
        features.filter_map(note).collect()
    }

    /// The prediction for a customer's cells.
    ///
    /// # Panics
    ///
    /// If there is not one cell per feature, each within its feature.
    #[must_use]
    pub fn predict(&self, cells: &[usize], threshold: Option<f64>) -> Prediction {
        let score = self.additive.score(cells);
        let probability = self.additive.probability(score);
        Prediction {
            score: score as f64 / F as f64,
            probability,
            decision: threshold.map(|threshold| probability >= threshold),
        }
    }

    /// Why: contributions that add up exactly, and the smallest change that crosses a threshold (a probability).
    ///
    /// # Panics
    ///
    /// If there is not one cell per feature, each within its feature.
    #[must_use]
    pub fn explain(&self, cells: &[usize], threshold: Option<f64>) -> Explanation {
        let log_odds = self.additive.contributions(cells).into_iter();
        let contribution = |(feature, entry): (usize, i32)| {
            let bin = self.bin(feature, cells[feature]);
            Contribution {
                feature: self.names[feature].clone(),
                value: self.words(feature, bin),
                log_odds: f64::from(entry) / F as f64,
                deviation: self.deviations[feature][bin],
            }
        };
        Explanation {
            base: f64::from(self.additive.base()) / F as f64,
            contributions: log_odds.enumerate().map(contribution).collect(),
            counterfactual: threshold.and_then(|threshold| self.change(cells, threshold)),
        }
    }

    /// The curve of a feature by its position, bin by bin, for reading.
    ///
    /// # Panics
    ///
    /// If there is no such feature.
    #[must_use]
    pub fn curve(&self, feature: usize) -> Vec<CurveLine> {
        let curve = &self.additive.curves()[feature];
        let lines = curve.entries.iter().zip(&curve.bins.counts).enumerate();
        let line = |(bin, (entry, customers)): (usize, (&i32, &f64))| CurveLine {
            value: self.words(feature, bin),
            log_odds: f64::from(*entry) / F as f64,
            deviation: self.deviations[feature][bin],
            customers: *customers,
        };
        lines.map(line).collect()
    }

    fn change(&self, cells: &[usize], threshold: f64) -> Option<Change> {
        let threshold = self.additive.score_at(threshold);
        let found = self.additive.counterfactual(cells, threshold)?;
        let here = self.bin(found.feature, cells[found.feature]);
        Some(Change {
            feature: self.names[found.feature].clone(),
            from: self.words(found.feature, here),
            to: self.words(found.feature, found.bin),
            distance: found.distance,
            probability: self.additive.probability(found.score),
        })
    }

    fn bin(&self, feature: usize, cell: usize) -> usize {
        self.additive.curves()[feature].bins.bin_of_cell[cell].into()
    }

    fn words(&self, feature: usize, bin: usize) -> String {
        let bins = &self.additive.curves()[feature].bins;
        self.meanings[feature].bin(&bins.bin_of_cell, bin)
    }
}

impl Contribution {
    /// `tenure of 4.5 to 6.75 months: +0.31`.
    #[must_use]
    pub fn sentence(&self) -> String {
        format!("{} of {}: {:+.2}", self.feature, self.value, self.log_odds)
    }
}

impl Change {
    /// `with Contract of Two year instead of Month-to-month the probability is 0.12`.
    #[must_use]
    pub fn sentence(&self) -> String {
        let (feature, from, to) = (&self.feature, &self.from, &self.to);
        let probability = self.probability;
        format!("with {feature} of {to} instead of {from} the probability is {probability:.2}")
    }
}

impl Meaning {
    /// The cell of a raw value: a text may stand for a number, and a number for a level.
    #[must_use]
    pub fn cell(&self, value: Value<'_>) -> usize {
        match (self, value) {
            (Self::Ordered { cells, .. }, Value::Number(value)) => cells.cell_of(Some(value)),
            (Self::Ordered { cells, .. }, Value::Text(text)) => cells.cell_of(number(text)),
            (Self::Ordered { cells, .. }, Value::Missing) => cells.cell_of(None),
            (Self::Levels(cells), Value::Text(text)) => cells.cell_of(Some(text)),
            (Self::Levels(cells), Value::Number(value)) => cells.cell_of(Some(&value.to_string())),
            (Self::Levels(cells), Value::Missing) => cells.cell_of(None),
        }
    }
}
