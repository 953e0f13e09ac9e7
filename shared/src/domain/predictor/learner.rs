//! The coordinator's side of learning: from released sums to bins, base and curves.
//!
//! Pure post-processing of public numbers: it sees no customer, spends nothing, and anybody who has the released sums can
//! repeat it to the bit.

use super::ModelState;
use super::additive::{Additive, Curve};
use super::arithmetic::{COUNT, CURVE_MAX, Q};
use super::bins::{FeatureBins, choose};
use super::plan::Shape;
pub use super::step::StepReport;
use super::step::{Fit, Frame, part};
use super::stop::Stop;
use super::totals::level;

/// A study in progress: everything that its released sums say so far.
#[derive(Clone, Debug, PartialEq)]
pub struct Learner {
    frame: Frame,
    fit: Fit,
}

/// Something that a model's reader should know.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Warning {
    /// The base rate is at 0.001 or 0.999.
    RateAtBound,
    /// The totals of this round (0 is the counting round) disagree by more than noise.
    Inconsistent {
        /// Which round.
        round: usize,
    },
}

/// A finished (or stopped) study's result: what the model file and its card say.
#[derive(Clone, Debug, PartialEq)]
pub struct Fitted {
    /// Residual bound of the study.
    pub clip: u32,
    /// Base score.
    pub base: i32,
    /// Bins of every feature.
    pub bins: Vec<FeatureBins>,
    /// Curve of every feature.
    pub curves: Vec<Vec<i32>>,
    /// Standard deviation of every curve entry in log-odds: noise and sampling, approximate.
    pub deviations: Vec<Vec<f64>>,
    /// Noisy number of customers.
    pub customers: f64,
    /// One report per residual round.
    pub rounds: Vec<StepReport>,
    /// What a reader should know.
    pub warnings: Vec<Warning>,
}

impl Learner {
    /// Chooses bins from the released counts.
    ///
    /// `sums` holds one integer per fine cell, features in order; `sigma` is the standard deviation of the whole noise in a
    /// cell, in the sum's integers ([`super::plan::total_sigma`]).
    ///
    /// # Errors
    ///
    /// A sum of another shape, or too few customers for the noise.
    pub fn after_counts(
        shapes: &[Shape],
        sums: &[i64],
        sigma: f64,
        clip: u32,
    ) -> Result<Self, Stop> {
        let cells: Vec<usize> = shapes.iter().map(|shape| shape.cells).collect();
        check_length("number of counts", sums.len(), cells.iter().sum())?;
        if cells.contains(&0) || cells.is_empty() {
            let (what, got, expected) = ("smallest number of cells of a feature", 0, 1);
            return Err(Stop::Shape {
                what,
                got,
                expected,
            });
        }
        let sigma = sigma / COUNT as f64;
        let counts: Vec<f64> = sums.iter().map(|sum| *sum as f64 / COUNT as f64).collect();
        let level = level(&counts, &cells, sigma);
        let needed = (10.0 * sigma).max(CUSTOMERS_MIN);
        let customers = level.total;
        if !(customers.is_finite() && customers >= needed - 1e-6) {
            return Err(Stop::TooLittleData { customers, needed });
        }
        let mut rest = counts.as_slice();
        let mut bins = Vec::with_capacity(shapes.len());
        for shape in shapes {
            let (own, others) = rest.split_at(shape.cells);
            bins.push(choose(*shape, own, customers, sigma));
            rest = others;
        }
        let frame = Frame::new(bins, customers, sigma, clip, level.consistent);
        let fit = Fit::start(frame.counts.len());
        Ok(Self { frame, fit })
    }

    /// Takes the next residual round's released sum: one integer per merged bin, features in order.
    ///
    /// # Errors
    ///
    /// A sum of another shape, or numbers that give no finite step; the learner is then as it was before.
    pub fn step(&mut self, sums: &[i64], sigma: f64) -> Result<StepReport, Stop> {
        check_length("number of residuals", sums.len(), self.frame.counts.len())?;
        let mut next = self.fit.clone();
        let report = next.step(&self.frame, sums, sigma / Q as f64)?;
        self.fit = next;
        Ok(report)
    }

    /// The model as the next task carries it.
    #[must_use]
    pub fn state(&self) -> ModelState {
        let bins = self.frame.bins.iter();
        ModelState {
            base: self.fit.base as i32,
            bin_of_cell: bins.flat_map(|bins| bins.bin_of_cell.clone()).collect(),
            curves: self.fit.curves.iter().map(|entry| *entry as i32).collect(),
        }
    }

    /// Number of merged bins of all features: the length of a residual sum.
    #[must_use]
    pub fn cells(&self) -> usize {
        self.frame.counts.len()
    }

    /// Residual rounds so far.
    #[must_use]
    pub fn rounds(&self) -> usize {
        self.fit.reports.len()
    }

    /// Whether the totals of every round so far agreed as well as noise allows.
    #[must_use]
    pub fn consistent(&self) -> bool {
        self.frame.consistent && self.fit.reports.iter().all(|report| report.consistent)
    }

    /// Noisy number of customers.
    #[must_use]
    pub fn customers(&self) -> f64 {
        self.frame.customers
    }

    /// The model as it stands, for publication.
    ///
    /// # Errors
    ///
    /// No residual round yet, curves at their bounds, or numbers that give no finite band.
    pub fn finish(&self) -> Result<Fitted, Stop> {
        let (frame, fit) = (&self.frame, &self.fit);
        if fit.reports.is_empty() {
            let (what, got, expected) = ("number of residual rounds", 0, 1);
            return Err(Stop::Shape {
                what,
                got,
                expected,
            });
        }
        let at_bound = fit.curves.iter().filter(|entry| entry.abs() >= CURVE_MAX);
        let (at_bound, entries) = (at_bound.count(), fit.curves.len());
        if at_bound * 100 > entries {
            return Err(Stop::Saturated { at_bound, entries });
        }
        let h = fit.weight * &frame.counts;
        let deviations = frame.each(|feature, range| {
            let found = frame.priors[feature].deviations(part(&h, range), part(&fit.noise, range));
            found.map(|found| found.to_vec())
        });
        let curves = frame.each(|_, range| {
            let own = part(&fit.curves, range);
            Some(own.iter().map(|entry| *entry as i32).collect::<Vec<i32>>())
        });
        let round = fit.reports.len();
        Ok(Fitted {
            clip: frame.clip,
            base: fit.base as i32,
            bins: frame.bins.clone(),
            curves: curves.ok_or(Stop::NotFinite { round })?,
            deviations: deviations.ok_or(Stop::NotFinite { round })?,
            customers: frame.customers,
            rounds: fit.reports.clone(),
            warnings: self.warnings(),
        })
    }

    fn warnings(&self) -> Vec<Warning> {
        let counting = (0, self.frame.consistent);
        let reports = self.fit.reports.iter();
        let rounds = reports.map(|report| (report.round, report.consistent));
        let inconsistent = std::iter::once(counting)
            .chain(rounds)
            .filter(|(_, consistent)| !consistent)
            .map(|(round, _)| Warning::Inconsistent { round });
        let rate = self.fit.rate_at_bound.then_some(Warning::RateAtBound);
        rate.into_iter().chain(inconsistent).collect()
    }
}

/// The learner after these released sums: counts first, then residual rounds, each with the deviation of its noise.
///
/// What an auditor runs: the same sums give the same model, bit by bit.
///
/// # Errors
///
/// As in a live study; also where there is no sum at all.
pub fn replay(shapes: &[Shape], clip: u32, sums: &[(Vec<i64>, f64)]) -> Result<Learner, Stop> {
    let Some(((counts, sigma), rounds)) = sums.split_first() else {
        let (what, got, expected) = ("number of sums", 0, 1);
        return Err(Stop::Shape {
            what,
            got,
            expected,
        });
    };
    let mut learner = Learner::after_counts(shapes, counts, *sigma, clip)?;
    for (sums, sigma) in rounds {
        learner.step(sums, *sigma)?;
    }
    Ok(learner)
}

impl Fitted {
    /// The model as a function; `actionable` says of each feature whether counterfactuals may change it.
    #[must_use]
    pub fn additive(&self, actionable: &[bool]) -> Additive {
        let parts = self.bins.iter().zip(&self.curves).zip(actionable);
        let curves = parts.map(|((bins, entries), actionable)| Curve {
            bins: bins.clone(),
            entries: entries.clone(),
            actionable: *actionable,
        });
        Additive::new(self.base, self.clip, curves.collect())
    }
}

impl Warning {
    /// Fixed code, as cards show it.
    #[must_use]
    pub fn code(&self) -> String {
        match self {
            Self::RateAtBound => "rate_at_bound".to_owned(),
            Self::Inconsistent { round } => format!("inconsistent_round_{round}"),
        }
    }
}

fn check_length(what: &'static str, got: usize, expected: usize) -> Result<(), Stop> {
    if got == expected {
        return Ok(());
    }
    Err(Stop::Shape {
        what,
        got,
        expected,
    })
}

/// Fewer customers than this are no base for a model.
const CUSTOMERS_MIN: f64 = 200.0;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::predictor::arithmetic::{
        SCORE_MAX, half_up, probability, probability_index,
    };

    /// One yes/no feature and one number, `n` customers, all of them alike but for the level.
    const SHAPES: [Shape; 2] = [
        Shape {
            ordered: false,
            cells: 3,
        },
        Shape {
            ordered: true,
            cells: 5,
        },
    ];

    fn counts(customers: i64) -> Vec<i64> {
        let half = customers / 2;
        [half, customers - half, 0, half, 0, customers - half, 0, 0]
            .map(|count| count * COUNT)
            .to_vec()
    }

    /// Residual sums of `customers`, of whom the share `rates[b]` of half `b` is positive, against the learner's model.
    fn residuals(learner: &Learner, customers: i64, rates: [f64; 2]) -> Vec<i64> {
        let state = learner.state();
        let bins = &learner.frame.bins;
        let mut sums = vec![0; learner.cells()];
        for (half, rate) in rates.into_iter().enumerate() {
            let level = usize::from(bins[0].bin_of_cell[half]);
            let value = bins[0].counts.len() + usize::from(bins[1].bin_of_cell[2 * half]);
            let score = i64::from(state.base + state.curves[level] + state.curves[value]);
            let size = customers / 2;
            let positive = half_up(size as f64 * rate);
            let p = probability_index(score);
            let sum = positive * (Q - p) - (size - positive) * p;
            sums[level] += sum;
            sums[value] += sum;
        }
        sums
    }

    fn learnt(customers: i64, rates: [f64; 2]) -> Learner {
        let mut learner = Learner::after_counts(&SHAPES, &counts(customers), 0.0, 4_096).unwrap();
        for _ in 0..8 {
            let sums = residuals(&learner, customers, rates);
            learner.step(&sums, 0.0).unwrap();
        }
        learner
    }

    #[test]
    fn rates_are_learnt() {
        let fitted = learnt(10_000, [0.1, 0.4]).finish().unwrap();
        let score = |half: usize| {
            let sum = fitted.base + fitted.curves[0][half] + fitted.curves[1][half];
            probability(sum.into(), 4_096)
        };
        assert!((score(0) - 0.1).abs() < 0.01, "{}", score(0));
        assert!((score(1) - 0.4).abs() < 0.01, "{}", score(1));
        assert!(fitted.warnings.is_empty() && fitted.rounds.len() == 8);
        assert!(fitted.rounds[7].step < fitted.rounds[0].step / 3.0);
        assert!(fitted.deviations[0][2] > fitted.deviations[0][0]);
    }

    #[test]
    fn the_same_sums_give_the_same_bits() {
        let (mut first, mut sums) = (learnt(1_000, [0.2, 0.3]), vec![(counts(1_000), 0.0)]);
        let mut again = replay(&SHAPES, 4_096, &sums).unwrap();
        for _ in 0..8 {
            sums.push((residuals(&again, 1_000, [0.2, 0.3]), 0.0));
            again = replay(&SHAPES, 4_096, &sums).unwrap();
        }
        assert_eq!(again, first);
        first
            .step(&residuals(&again, 1_000, [0.9, 0.3]), 100.0)
            .unwrap();
        assert_ne!(again, first);
    }

    #[test]
    fn one_class_only_is_published_with_a_warning() {
        for (rate, base_sign) in [(0.0, -1), (1.0, 1)] {
            let fitted = learnt(10_000, [rate, rate]).finish().unwrap();
            assert_eq!(fitted.warnings, [Warning::RateAtBound]);
            assert_eq!(fitted.base.signum(), base_sign);
        }
    }

    #[test]
    fn too_few_customers_stop_the_study() {
        let few = Learner::after_counts(&SHAPES, &counts(198), 0.0, 4_096).unwrap_err();
        assert_eq!(few.code(), "too_little_data");
        let sigma = 101.0 * COUNT as f64;
        assert!(Learner::after_counts(&SHAPES, &counts(1_000), sigma, 4_096).is_err());
        assert!(Learner::after_counts(&SHAPES, &counts(200), 0.0, 4_096).is_ok());
    }

    #[test]
    fn sums_of_another_shape_are_refused() {
        let counts = counts(1_000);
        assert!(Learner::after_counts(&SHAPES, &counts[1..], 0.0, 4_096).is_err());
        assert!(Learner::after_counts(&[], &[], 0.0, 4_096).is_err());
        let mut learner = Learner::after_counts(&SHAPES, &counts, 0.0, 4_096).unwrap();
        assert!(learner.finish().is_err());
        assert!(learner.step(&[0], 0.0).is_err());
        let before = learner.clone();
        let step = learner.step(&vec![0; learner.cells()], f64::NAN);
        assert_eq!(step.unwrap_err().code(), "too_little_data");
        assert_eq!(learner, before);
        assert_eq!(
            replay(&SHAPES, 4_096, &[]).unwrap_err().code(),
            "wrong_shape"
        );
    }

    #[test]
    fn extreme_sums_stay_within_bounds() {
        let mut learner = Learner::after_counts(&SHAPES, &counts(1_000), 0.0, 4_096).unwrap();
        let sums: Vec<i64> = (0..learner.cells() as i64)
            .map(|cell| (1 - 2 * (cell % 2)) << 58)
            .collect();
        for _ in 0..8 {
            if learner.step(&sums, 0.0).is_err() {
                break;
            }
        }
        let state = learner.state();
        assert!(i64::from(state.base).abs() <= SCORE_MAX);
        assert!(
            state
                .curves
                .iter()
                .all(|entry| i64::from(*entry).abs() <= CURVE_MAX)
        );
        assert!(!learner.consistent() || learner.finish().is_err());
    }

    #[test]
    fn totals_that_disagree_are_marked() {
        let mut lost = counts(1_000);
        lost[0] -= 100 * COUNT;
        let learner = Learner::after_counts(&SHAPES, &lost, COUNT as f64, 4_096).unwrap();
        assert!(!learner.consistent());
        assert_eq!(learner.warnings(), [Warning::Inconsistent { round: 0 }]);
    }

    #[test]
    fn a_constant_feature_and_one_of_a_single_level_add_nothing() {
        let shapes = [
            SHAPES[0],
            SHAPES[1],
            Shape {
                ordered: false,
                cells: 2,
            },
        ];
        let constant = [0, 0, 1_000, 0, 0, 1_000, 0];
        let split = [500, 500, 0];
        let counts: Vec<i64> = split
            .iter()
            .chain(&constant)
            .map(|count| count * COUNT)
            .collect();
        let mut learner = Learner::after_counts(&shapes, &counts, 0.0, 4_096).unwrap();
        assert_eq!(learner.state().curves.len(), 3 + 2 + 2);
        for _ in 0..8 {
            let sums = [-100, 50, 0, -50, 0, -50, 0].map(|sum| sum * Q);
            learner.step(&sums, 0.0).unwrap();
        }
        let fitted = learner.finish().unwrap();
        assert!(fitted.curves[0][0] < fitted.curves[0][1]);
        let tiny = |curve: &[i32]| curve[0].abs() < 200;
        assert!(
            tiny(&fitted.curves[1]) && tiny(&fitted.curves[2]),
            "{:?}",
            fitted.curves
        );
    }
}
