//! The model as a function: score, probability, contributions, and the smallest change that would cross a threshold.
//!
//! Integers up to the probability; everything explained here adds up exactly.

use super::ModelState;
use super::arithmetic::{SCORE_MAX, clamp_score, probability};
use super::bins::{FeatureBins, quantiles};

/// A fitted additive model, ready to score.
#[derive(Clone, Debug, PartialEq)]
pub struct Additive {
    base: i32,
    clip: u32,
    curves: Vec<Curve>,
}

/// The curve of one feature.
#[derive(Clone, Debug, PartialEq)]
pub struct Curve {
    /// Cells, bins and noisy counts.
    pub bins: FeatureBins,
    /// Score of each bin, F per log-odds, relative to the average customer.
    pub entries: Vec<i32>,
    /// Whether counterfactuals may change this feature.
    pub actionable: bool,
}

/// The smallest change of one feature that crosses a threshold.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Counterfactual {
    /// Position of the feature.
    pub feature: usize,
    /// The bin to which it would have to change.
    pub bin: usize,
    /// Share of the customers between the two bins (ordered), or 1 (levels).
    pub distance: f64,
    /// The score after the change, not bounded.
    pub score: i64,
}

impl Additive {
    /// A model from its parts; the caller has checked that curves and bins fit.
    #[must_use]
    pub fn new(base: i32, clip: u32, curves: Vec<Curve>) -> Self {
        Self { base, clip, curves }
    }

    /// The curves, in contract order.
    #[must_use]
    pub fn curves(&self) -> &[Curve] {
        &self.curves
    }

    /// The base score.
    #[must_use]
    pub fn base(&self) -> i32 {
        self.base
    }

    /// The model as nodes use it.
    #[must_use]
    pub fn state(&self) -> ModelState {
        let cells = self
            .curves
            .iter()
            .map(|curve| curve.bins.bin_of_cell.clone());
        ModelState {
            base: self.base,
            bin_of_cell: cells.flatten().collect(),
            curves: self
                .curves
                .iter()
                .flat_map(|curve| curve.entries.clone())
                .collect(),
        }
    }

    /// Contribution of each feature to the score, F per log-odds, for a customer's cells.
    ///
    /// # Panics
    ///
    /// If there is not one cell per feature, each within its feature.
    #[must_use]
    pub fn contributions(&self, cells: &[usize]) -> Vec<i32> {
        assert_eq!(cells.len(), self.curves.len(), "one cell per feature");
        let pairs = self.curves.iter().zip(cells);
        pairs
            .map(|(curve, cell)| curve.entries[curve.bin(*cell)])
            .collect()
    }

    /// Score of a customer's cells, bounded.
    #[must_use]
    pub fn score(&self, cells: &[usize]) -> i64 {
        clamp_score(self.unbounded(cells))
    }

    /// Probability that a score stands for.
    #[must_use]
    pub fn probability(&self, score: i64) -> f64 {
        probability(clamp_score(score), self.clip)
    }

    /// The smallest score whose probability is at least `share`; just above every score where none is.
    #[must_use]
    pub fn score_at(&self, share: f64) -> i64 {
        let (mut below, mut above) = (-SCORE_MAX - 1, SCORE_MAX + 1);
        while above - below > 1 {
            let middle = below + (above - below) / 2;
            if probability(middle, self.clip) >= share {
                above = middle;
            } else {
                below = middle;
            }
        }
        above
    }

    /// The smallest change of one feature that flips `score ≥ threshold`, if a single change does.
    ///
    /// Candidates are all other bins of features that may change, never to or from *missing*. Ties go to the lower feature,
    /// then to the lower bin.
    #[must_use]
    pub fn counterfactual(&self, cells: &[usize], threshold: i64) -> Option<Counterfactual> {
        let score = self.unbounded(cells);
        let mut best: Option<Counterfactual> = None;
        for (feature, (curve, cell)) in self.curves.iter().zip(cells).enumerate() {
            if !curve.actionable || *cell + 1 == curve.bins.bin_of_cell.len() {
                continue;
            }
            let here = curve.bin(*cell);
            let quantiles = quantiles(&curve.bins.counts);
            for bin in (0..curve.entries.len()).filter(|bin| curve.can_become(*bin)) {
                let changed =
                    score + i64::from(curve.entries[bin]) - i64::from(curve.entries[here]);
                if bin == here || (changed >= threshold) == (score >= threshold) {
                    continue;
                }
                let distance = if curve.bins.ordered {
                    (quantiles[bin] - quantiles[here]).abs()
                } else {
                    1.0
                };
                if best.is_none_or(|best| distance < best.distance) {
                    best = Some(Counterfactual {
                        feature,
                        bin,
                        distance,
                        score: changed,
                    });
                }
            }
        }
        best
    }

    fn unbounded(&self, cells: &[usize]) -> i64 {
        let sum: i64 = self.contributions(cells).into_iter().map(i64::from).sum();
        i64::from(self.base) + sum
    }
}

impl Curve {
    /// Bin of a fine cell.
    fn bin(&self, cell: usize) -> usize {
        usize::from(self.bins.bin_of_cell[cell])
    }

    /// Whether a bin holds anything but *missing* (or *not in the list*).
    fn can_become(&self, bin: usize) -> bool {
        let (_, values) = self
            .bins
            .bin_of_cell
            .split_last()
            .expect("a feature has cells");
        values.iter().any(|own| usize::from(*own) == bin)
    }
}

#[cfg(test)]
mod tests {
    use super::super::arithmetic::F;
    use super::*;

    /// An ordered feature of 3 cells + missing, and levels a, b + missing.
    fn model() -> Additive {
        let curve = |ordered, bin_of_cell: &[u16], counts: &[f64], entries: &[i32]| Curve {
            bins: FeatureBins {
                ordered,
                bin_of_cell: bin_of_cell.to_vec(),
                counts: counts.to_vec(),
            },
            entries: entries.to_vec(),
            actionable: true,
        };
        let f = F as i32;
        let ordered = curve(
            true,
            &[0, 1, 2, 3],
            &[50.0, 30.0, 20.0, 1.0],
            &[-f, f / 2, f, 3 * f],
        );
        let levels = curve(false, &[0, 1, 2], &[60.0, 40.0, 1.0], &[0, f, 2 * f]);
        Additive::new(-f, 4_096, vec![ordered, levels])
    }

    #[track_caller]
    fn check_change(cells: [usize; 2], threshold: i64, expected: Option<(usize, usize)>) {
        let found = model().counterfactual(&cells, threshold);
        assert_eq!(found.map(|found| (found.feature, found.bin)), expected);
    }

    #[test]
    fn contributions_add_up_to_the_score() {
        let (model, f) = (model(), F as i32);
        assert_eq!(model.contributions(&[1, 1]), [f / 2, f]);
        assert_eq!(model.score(&[1, 1]), F / 2);
        assert_eq!(model.probability(F / 2), 1.0 / (1.0 + (-0.5_f64).exp()));
    }

    #[test]
    fn the_nearest_change_wins() {
        check_change([0, 0], F, None);
        check_change([0, 0], 0, Some((0, 2)));
        check_change([0, 0], -F, Some((0, 1)));
        check_change([1, 1], F, Some((0, 2)));
        check_change([2, 1], F, Some((0, 1)));
    }

    #[test]
    fn missing_is_no_remedy() {
        check_change([3, 0], 5 * F, None);
        check_change([3, 0], 5 * F / 2, Some((1, 1)));
        check_change([2, 0], 2 * F, None);
        check_change([1, 2], 3 * F, None);
    }

    #[test]
    fn what_may_not_change_does_not() {
        let mut model = model();
        model.curves[0].actionable = false;
        assert_eq!(
            model.counterfactual(&[0, 0], -F).map(|found| found.feature),
            Some(1)
        );
    }

    #[test]
    fn a_threshold_is_a_probability() {
        let model = model();
        assert_eq!(model.score_at(0.5), 0);
        for share in [0.001, 0.2, 0.37, 0.999] {
            let score = model.score_at(share);
            assert!(model.probability(score) >= share && model.probability(score - 1) < share);
        }
        assert_eq!(
            (model.score_at(0.0), model.score_at(1.1)),
            (-SCORE_MAX, SCORE_MAX + 1)
        );
    }
}
