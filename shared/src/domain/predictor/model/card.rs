//! The card of a model: where it comes from, how good it is as far as a private figure can tell, and what to know about it.
//!
//! Real numbers are kept to six decimals, so that reading and writing a card never changes it.

use serde::{Deserialize, Serialize};

use super::error::{ModelError, check};
use super::hex;
use super::part::Model;
use crate::base::ids::{Hash32, Name};
use crate::base::time::Timestamp;
use crate::domain::predictor::evaluation::{Group, Quality};

/// What people should know. Fields in the order of their keys.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Card {
    /// Noisy number of customers in every bin, per feature.
    pub bin_counts: Vec<Vec<f64>>,
    /// `NAME@VERSION` of the data contract.
    pub contract: String,
    /// Length of each round's step, in log-odds: falls as the model settles.
    pub convergence: Vec<f64>,
    /// When it was made.
    pub created: Timestamp,
    /// Noisy number of customers that it learnt from.
    pub customers_estimate: f64,
    /// Standard deviation of every curve entry, in log-odds: noise and sampling, approximate.
    pub deviations: Vec<Vec<f64>>,
    /// Its name.
    pub name: Name,
    /// Purpose of the study.
    pub purpose: Name,
    /// Private figures; null where there is too little data to tell.
    pub quality: Option<QualityCard>,
    /// Why there are no figures, or why a person had to decide; null if neither.
    pub quality_reason: Option<String>,
    /// The last moment at which predictions are made with it; none on cards from before dates were kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retire_by: Option<Timestamp>,
    /// `8 of 8`.
    pub rounds: String,
    /// Hash of the study.
    #[serde(with = "hex::hash")]
    pub study: Hash32,
    /// Its version, from 1.
    pub version: u32,
    /// Codes: `rate_at_bound`, `inconsistent_round_N`, `not_evaluated`.
    pub warnings: Vec<String>,
}

/// Figures of the private evaluation, each with the standard deviation that noise gives it.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct QualityCard {
    /// Area under the ROC curve.
    pub auc: f64,
    /// Its deviation.
    pub auc_sd: f64,
    /// Mean predicted minus observed rate.
    pub calibration: f64,
    /// Its deviation.
    pub calibration_sd: f64,
    /// Noisy number of hold-out customers.
    pub customers: f64,
    /// Log-loss gained over the base rate.
    pub gain: f64,
    /// Its deviation.
    pub gain_sd: f64,
    /// Mean negative log-likelihood.
    pub log_loss: f64,
    /// Its deviation.
    pub log_loss_sd: f64,
    /// Predicted against observed rate, from low to high scores.
    pub reliability: Vec<ReliabilityCard>,
}

/// A line of the reliability table.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ReliabilityCard {
    /// Noisy number of customers.
    pub customers: f64,
    /// Observed rate; null where noise drowns it.
    pub observed: Option<f64>,
    /// Predicted rate; null without customers.
    pub predicted: Option<f64>,
}

/// The nearest number of at most six decimals.
#[must_use]
pub fn six_decimals(value: f64) -> f64 {
    (value * 1e6).round() / 1e6
}

impl From<&Quality> for QualityCard {
    fn from(quality: &Quality) -> Self {
        let (figures, sd) = (&quality.figures, &quality.deviations);
        Self {
            auc: six_decimals(figures.auc),
            auc_sd: six_decimals(sd.auc),
            calibration: six_decimals(figures.calibration),
            calibration_sd: six_decimals(sd.calibration),
            customers: six_decimals(quality.customers),
            gain: six_decimals(figures.gain),
            gain_sd: six_decimals(sd.gain),
            log_loss: six_decimals(figures.log_loss),
            log_loss_sd: six_decimals(sd.log_loss),
            reliability: quality
                .reliability
                .iter()
                .map(ReliabilityCard::from)
                .collect(),
        }
    }
}

impl From<&Group> for ReliabilityCard {
    fn from(group: &Group) -> Self {
        Self {
            customers: six_decimals(group.customers),
            observed: group.observed.map(six_decimals),
            predicted: group.predicted.map(six_decimals),
        }
    }
}

impl Card {
    /// Checks the card against the model that it belongs to.
    pub(super) fn check(&self, model: &Model) -> Result<(), ModelError> {
        let sizes = model.sizes();
        for (what, table) in [
            ("bin_counts", &self.bin_counts),
            ("deviations", &self.deviations),
        ] {
            let found: Vec<usize> = table.iter().map(Vec::len).collect();
            check(
                found == sizes,
                format!("shape of {what}"),
                "another",
                "that of the curves",
            )?;
            let outside = table
                .iter()
                .flatten()
                .find(|entry| !(0.0..=REAL_MAX).contains(*entry));
            let what = format!("an entry of {what}");
            check(
                outside.is_none(),
                what,
                outside.unwrap_or(&0.0),
                "0 to 9·10⁹",
            )?;
        }
        let empty = self
            .bin_counts
            .iter()
            .find(|counts| counts.iter().sum::<f64>() <= 0.0);
        check(
            empty.is_none(),
            "sum of bin_counts of a feature",
            0,
            "above 0",
        )?;
        self.check_rounds()?;
        self.check_version()?;
        check(
            self.warnings.len() <= TEXTS_MAX,
            "number of warnings",
            self.warnings.len(),
            "at most 1100",
        )?;
        let texts = self
            .warnings
            .iter()
            .chain(&self.quality_reason)
            .chain([&self.contract]);
        let long = texts
            .map(String::len)
            .find(|length| *length > TEXT_BYTES_MAX);
        check(
            long.is_none(),
            "length of a text of the card",
            long.unwrap_or(0),
            "at most 1024",
        )?;
        let reals = [self.customers_estimate];
        let reals = reals.into_iter().chain(self.convergence.iter().copied());
        let reals = reals.chain(self.quality.iter().flat_map(QualityCard::reals));
        let outside = reals
            .into_iter()
            .find(|real| !(-REAL_MAX..=REAL_MAX).contains(real));
        check(
            outside.is_none(),
            "a figure of the card",
            outside.unwrap_or(0.0),
            "within 9·10⁹",
        )
    }

    fn check_version(&self) -> Result<(), ModelError> {
        check(self.version > 0, "version", self.version, "from 1")?;
        let by = self.retire_by.unwrap_or(self.created);
        check(by >= self.created, "retire_by", by.0, "not before created")
    }

    fn check_rounds(&self) -> Result<(), ModelError> {
        let parts = self.rounds.split_once(" of ");
        let read = parts
            .and_then(|(done, all)| Some((done.parse::<u16>().ok()?, all.parse::<u16>().ok()?)));
        let fits = read.is_some_and(|(done, all)| {
            (1..=all).contains(&done) && usize::from(done) == self.convergence.len()
        });
        check(
            fits,
            "rounds",
            &self.rounds,
            "\"8 of 8\", one step of convergence each",
        )
    }
}

impl QualityCard {
    fn reals(&self) -> Vec<f64> {
        let figures = [
            self.auc,
            self.auc_sd,
            self.calibration,
            self.calibration_sd,
            self.customers,
            self.gain,
            self.gain_sd,
            self.log_loss,
            self.log_loss_sd,
        ];
        let groups = self.reliability.iter().flat_map(|group| {
            let rates = [group.observed, group.predicted];
            rates.into_iter().flatten().chain([group.customers])
        });
        figures.into_iter().chain(groups).collect()
    }
}

/// Below this, six decimals survive reading and writing.
const REAL_MAX: f64 = 9e9;
const TEXTS_MAX: usize = 1_100;
const TEXT_BYTES_MAX: usize = 1_024;
