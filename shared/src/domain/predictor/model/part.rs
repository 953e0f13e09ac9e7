//! The hashed part of a model file: all that a prediction needs, without a single floating-point number in its text.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::error::{ModelError, check};
use super::hex;
use crate::base::cells::{LevelCells, NumericCells};
use crate::base::ids::Hash32;
use crate::base::limits::{FEATURES_MAX, LEVELS_MAX, NAME_BYTES_MAX};
use crate::domain::predictor::arithmetic::{CURVE_MAX, F, Q, SCORE_MAX};
use crate::domain::predictor::words::Meaning;

/// What the model computes. Fields in the order of their keys: the text is canonical.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// Base score.
    pub base: i32,
    /// Residual bound, which the probability undoes.
    pub clip: u32,
    /// Hash of the data contract.
    #[serde(with = "hex::hash")]
    pub contract_hash: Hash32,
    /// What a threshold is compared with: always [`DECISION`].
    pub decision: String,
    /// Features in contract order.
    pub features: Vec<Feature>,
    /// `column=positive level`.
    pub label: String,
    /// Always `logit`.
    pub link: String,
    /// No pairs of features in this version.
    pub pairs: Vec<Nothing>,
    /// Integers per unit.
    pub quantum: Quantum,
    /// No recalibration in this version.
    pub recalibration: Option<Nothing>,
}

/// Integers per unit of log-odds and of residual.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Quantum {
    /// 4 096.
    pub residual: i64,
    /// 65 536.
    pub score: i64,
}

/// A value that cannot be: what later versions may put here is refused by this one.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Nothing {}

/// One feature: how a value becomes a bin, and what the bin adds to the score.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Feature {
    /// Whether counterfactuals may change it.
    pub actionable: bool,
    /// Bin of every cell, the last one for *missing*.
    pub bin_of_cell: Vec<u16>,
    /// Score of every bin.
    pub curve: Vec<i32>,
    /// Ordered only: the 63 edges, as hexadecimal bits of f64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub edges: Option<Vec<String>>,
    /// Which of the two it is.
    pub kind: Kind,
    /// Levels only: their names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub levels: Option<Vec<String>>,
    /// The column.
    pub name: String,
    /// Ordered only: text for people, may be empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
}

/// Kind of a feature.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A list of levels.
    Levels,
    /// A number.
    Ordered,
}

/// Meaning of a threshold.
pub const DECISION: &str = "probability of the label >= threshold";
/// The only link.
pub const LINK: &str = "logit";

impl Model {
    /// Number of bins of each feature.
    #[must_use]
    pub fn sizes(&self) -> Vec<usize> {
        self.features
            .iter()
            .map(|feature| feature.curve.len())
            .collect()
    }

    /// What the cells of each feature mean.
    ///
    /// # Errors
    ///
    /// A feature whose edges or levels break a rule.
    pub fn meanings(&self) -> Result<Vec<Meaning>, ModelError> {
        self.features.iter().map(Feature::meaning).collect()
    }

    pub(super) fn check(&self) -> Result<(), ModelError> {
        check(self.link == LINK, "link", &self.link, LINK)?;
        check(
            self.decision == DECISION,
            "decision",
            &self.decision,
            DECISION,
        )?;
        let (residual, score) = (self.quantum.residual, self.quantum.score);
        check(residual == Q, "quantum.residual", residual, "4096")?;
        check(score == F, "quantum.score", score, "65536")?;
        check(
            (1..=Q as u32).contains(&self.clip),
            "clip",
            self.clip,
            "1 to 4096",
        )?;
        let base_fits = i64::from(self.base).abs() <= SCORE_MAX;
        check(base_fits, "base", self.base, "at most 16 log-odds")?;
        let label = self
            .label
            .split_once('=')
            .is_some_and(|(column, _)| !column.is_empty());
        let length = self.label.len() <= 2 * NAME_BYTES_MAX + 1;
        check(label && length, "label", &self.label, "column=level")?;
        let count = self.features.len();
        check(
            (1..=FEATURES_MAX).contains(&count),
            "number of features",
            count,
            "1 to 512",
        )?;
        let names: BTreeSet<&str> = self.features.iter().map(|own| own.name.as_str()).collect();
        check(
            names.len() == count,
            "number of distinct names",
            names.len(),
            "one per feature",
        )?;
        self.features.iter().try_for_each(Feature::check)
    }
}

impl Feature {
    fn place(&self, what: &str) -> String {
        let name: String = self.name.chars().take(40).collect();
        format!("{what} of feature {name:?}")
    }

    fn check(&self) -> Result<(), ModelError> {
        check_text("name of a feature", &self.name)?;
        let meaning = self.meaning()?;
        let (cells, bins) = (self.bin_of_cell.len(), self.curve.len());
        let what = self.place("number of cells");
        check(
            cells == meaning.count(),
            what,
            cells,
            "one per value cell and one for missing",
        )?;
        let used: BTreeSet<usize> = self
            .bin_of_cell
            .iter()
            .map(|bin| usize::from(*bin))
            .collect();
        let all = used.len() == bins && used.last().is_none_or(|last| *last < bins);
        let what = self.place("number of curve entries");
        check(all, what, bins, "one per bin of bin_of_cell")?;
        if self.kind == Kind::Ordered {
            let (missing, values) = self
                .bin_of_cell
                .split_last()
                .expect("65 cells: checked above");
            let rising = values.windows(2).all(|pair| pair[0] <= pair[1]);
            let own = usize::from(*missing) + 1 == bins && !values.contains(missing);
            let what = self.place("order of the bins");
            check(
                rising && own,
                what,
                "broken",
                "rising, then one bin for missing",
            )?;
        }
        let bounded = self
            .curve
            .iter()
            .find(|entry| i64::from(**entry).abs() > CURVE_MAX);
        let what = self.place("a curve entry");
        check(
            bounded.is_none(),
            what,
            bounded.unwrap_or(&0),
            "at most 8 log-odds",
        )
    }

    /// What its cells mean.
    fn meaning(&self) -> Result<Meaning, ModelError> {
        let (ordered, what) = (self.kind == Kind::Ordered, self.place("set of keys"));
        let keys = [
            self.edges.is_some(),
            self.unit.is_some(),
            self.levels.is_none(),
        ];
        let expected = "edges and unit for ordered, levels for levels";
        check(keys == [ordered; 3], what, "another", expected)?;
        if let Some(levels) = &self.levels {
            let distinct: BTreeSet<&String> = levels.iter().collect();
            let count = (1..=LEVELS_MAX).contains(&levels.len()) && distinct.len() == levels.len();
            let what = self.place("number of levels");
            check(count, what, levels.len(), "1 to 1024, all distinct")?;
            levels
                .iter()
                .try_for_each(|level| check_text("a level", level))?;
            return Ok(Meaning::Levels(LevelCells::new(levels.clone())));
        }
        let unit = self.unit.clone().unwrap_or_default();
        let length = unit.len();
        check(
            length <= NAME_BYTES_MAX,
            self.place("length of the unit"),
            length,
            "at most 128",
        )?;
        let edges = self.edges.iter().flatten().map(|edge| hex::real(edge));
        let edges = edges
            .collect::<Option<Vec<f64>>>()
            .and_then(NumericCells::from_edges);
        let what = self.place("list of edges");
        check(
            edges.is_some(),
            what,
            "broken",
            "63 rising finite numbers, 16 digits each",
        )?;
        let cells = edges.expect("checked in the line above");
        Ok(Meaning::Ordered { cells, unit })
    }
}

fn check_text(what: &str, text: &str) -> Result<(), ModelError> {
    let fits = (1..=NAME_BYTES_MAX).contains(&text.len()) && !text.chars().any(char::is_control);
    check(
        fits,
        what,
        format!("{text:?}"),
        "1 to 128 bytes of plain text",
    )
}
