//! Merged bins: chosen once, from the noisy counts of the fine cells, so that each holds enough customers.

use super::plan::Shape;
use super::totals::lanes;

/// How a feature's fine cells were merged.
#[derive(Clone, Debug, PartialEq)]
pub struct FeatureBins {
    /// Numeric: bins are neighbours, the last one is *missing*. Otherwise levels, the last may be *other*.
    pub ordered: bool,
    /// Bin of every fine cell, the one for *missing* included.
    pub bin_of_cell: Vec<u16>,
    /// Noisy number of customers per bin, at least 1.
    pub counts: Vec<f64>,
}

impl FeatureBins {
    /// The share of customers below the middle of each bin.
    #[must_use]
    pub fn quantiles(&self) -> Vec<f64> {
        quantiles(&self.counts)
    }
}

/// The share of customers below the middle of each bin, from the bins' counts in order.
#[must_use]
pub fn quantiles(counts: &[f64]) -> Vec<f64> {
    let total = lanes(counts);
    let mut below = 0.0;
    let middle = |count: &f64| {
        below += count;
        (below - count / 2.0) / total
    };
    counts.iter().map(middle).collect()
}

/// Bins of one feature from noisy counts (in customers) with noise of standard deviation `sigma`.
pub(super) fn choose(shape: Shape, counts: &[f64], customers: f64, sigma: f64) -> FeatureBins {
    let (bin_of_cell, held) = if shape.ordered {
        let target = (customers / BINS_MAX).max(4.0 * sigma);
        let (missing, values) = counts
            .split_last()
            .expect("a feature has cells: checked before");
        let (mut bins, mut held) = merge_ordered(values, target);
        bins.push(held.len() as u16);
        held.push(*missing);
        (bins, held)
    } else {
        merge_levels(counts, (4.0 * sigma).max(RARE_SHARE * customers))
    };
    let floor = sigma.max(1.0);
    FeatureBins {
        ordered: shape.ordered,
        bin_of_cell,
        counts: held.into_iter().map(|count| count.max(floor)).collect(),
    }
}

/// Left to right: a bin is closed once it holds `target` customers and half as many are left for the next.
fn merge_ordered(counts: &[f64], target: f64) -> (Vec<u16>, Vec<f64>) {
    let positive: Vec<f64> = counts.iter().map(|count| count.max(0.0)).collect();
    let mut right: Vec<f64> = vec![0.0; positive.len()];
    for cell in (1..positive.len()).rev() {
        right[cell - 1] = right[cell] + positive[cell];
    }
    let (mut bins, mut closed, mut held) = (Vec::new(), Vec::new(), 0.0);
    for (cell, count) in positive.iter().enumerate() {
        bins.push(closed.len() as u16);
        held += count;
        if held >= target && right[cell] >= target / 2.0 && cell + 1 < positive.len() {
            closed.push(held);
            held = 0.0;
        }
    }
    closed.push(held);
    (bins, closed)
}

/// Keeps frequent levels in their order and puts all others into one last bin, *other*, if there are any.
fn merge_levels(counts: &[f64], floor: f64) -> (Vec<u16>, Vec<f64>) {
    let mut kept: Vec<f64> = counts
        .iter()
        .copied()
        .filter(|count| *count >= floor)
        .collect();
    let other = kept.len() as u16;
    let rare: Vec<f64> = counts
        .iter()
        .copied()
        .filter(|count| *count < floor)
        .collect();
    let mut next = 0;
    let bins = counts.iter().map(|count| {
        if *count < floor {
            return other;
        }
        next += 1;
        next - 1
    });
    let bins = bins.collect();
    if !rare.is_empty() {
        kept.push(lanes(&rare));
    }
    (bins, kept)
}

/// An ordered bin aims at this part of the customers.
const BINS_MAX: f64 = 32.0;
/// A level below this share of the customers goes to *other*.
const RARE_SHARE: f64 = 0.002;

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_bins(ordered: bool, counts: &[f64], sigma: f64, bins: &[u16], held: &[f64]) {
        let shape = Shape {
            ordered,
            cells: counts.len(),
        };
        let found = choose(shape, counts, 3_200.0, sigma);
        assert_eq!(found.bin_of_cell, bins);
        assert_eq!(found.counts, held);
    }

    #[test]
    fn ordered_bins_hold_a_32nd() {
        check_bins(
            true,
            &[60.0, 40.0, 120.0, 30.0, 19.0, 7.0],
            0.0,
            &[0, 0, 1, 1, 1, 2],
            &[100.0, 169.0, 7.0],
        );
    }

    #[test]
    fn a_negative_count_holds_nothing_and_missing_keeps_its_bin() {
        check_bins(
            true,
            &[-50.0, 100.0, 100.0, -9.0],
            0.0,
            &[0, 0, 1, 2],
            &[100.0, 100.0, 1.0],
        );
    }

    #[test]
    fn noise_makes_bins_wider() {
        check_bins(
            true,
            &[150.0, 150.0, 150.0, 0.0],
            50.0,
            &[0, 0, 1, 2],
            &[300.0, 150.0, 50.0],
        );
    }

    #[test]
    fn rare_levels_share_the_last_bin() {
        check_bins(
            false,
            &[3.0, 1_000.0, 2.0, 50.0, 0.0],
            0.0,
            &[2, 0, 2, 1, 2],
            &[1_000.0, 50.0, 5.0],
        );
    }

    #[test]
    fn without_rare_levels_there_is_no_other() {
        check_bins(false, &[70.0, 80.0], 0.0, &[0, 1], &[70.0, 80.0]);
    }

    #[test]
    fn one_level_that_nobody_has() {
        check_bins(false, &[0.0, 0.0], 0.0, &[0, 0], &[1.0]);
    }

    #[test]
    fn a_constant_feature_has_one_bin_and_missing() {
        let mut counts = vec![0.0; 65];
        counts[20] = 3_200.0;
        let found = choose(
            Shape {
                ordered: true,
                cells: 65,
            },
            &counts,
            3_200.0,
            0.0,
        );
        assert_eq!(found.counts, [3_200.0, 1.0]);
    }

    #[test]
    fn quantiles_are_of_the_middles() {
        assert_eq!(quantiles(&[10.0, 20.0, 10.0]), [0.125, 0.5, 0.875]);
    }
}
