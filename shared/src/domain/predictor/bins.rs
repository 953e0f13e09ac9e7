//! From noisy fine counts to bins: post-processing of the counting round.

use super::arithmetic::COUNT;
use super::plan::Shape;

/// A bin aims at this share of the customers: n / 32.
const BINS_MAX: f64 = 32.0;
/// A level below this share of the customers joins "other".
const RARE_SHARE: f64 = 0.002;
/// Smallest estimate of the number of customers.
const CUSTOMERS_MIN: f64 = 10.0;
/// Totals of features that differ this improbably are not noise.
const INCONSISTENT_BELOW: f64 = 1e-6;

/// Bins of all features, and the noisy number of customers in each.
#[derive(Clone, Debug, PartialEq)]
pub struct Bins {
    /// Merged bin of every fine cell, per feature.
    pub bin_of_cell: Vec<Vec<u16>>,
    /// Noisy count of every merged bin, per feature; at least the noise's standard deviation, and 1.
    pub counts: Vec<Vec<f64>>,
    /// Noisy number of customers.
    pub customers: f64,
}

/// Totals of features put on the common total that least squares gives.
#[derive(Clone, Debug, PartialEq)]
pub struct Levelled {
    /// The common total.
    pub total: f64,
    /// The corrected sums.
    pub sums: Vec<f64>,
    /// Whether the totals differ by no more than noise explains (always true without noise).
    pub consistent: bool,
}

/// Every customer is in exactly one cell of every feature: makes the totals agree (predictor, 5.2).
///
/// `sizes` are the cells of each feature, `sigma` the standard deviation of the noise in one cell.
#[must_use]
pub fn level_totals(sums: &[f64], sizes: &[usize], sigma: f64) -> Levelled {
    let totals: Vec<f64> = per_feature(sums, sizes)
        .map(|cells| cells.iter().sum())
        .collect();
    let weights: Vec<f64> = sizes.iter().map(|size| 1.0 / *size as f64).collect();
    let weighted: f64 = totals
        .iter()
        .zip(&weights)
        .map(|(total, weight)| total * weight)
        .sum();
    let total = weighted / weights.iter().sum::<f64>();
    let gaps: Vec<f64> = totals
        .iter()
        .zip(&weights)
        .map(|(own, weight)| (total - own) * weight)
        .collect();
    let corrections = sizes
        .iter()
        .zip(&gaps)
        .flat_map(|(size, gap)| std::iter::repeat_n(*gap, *size));
    let corrected = sums
        .iter()
        .zip(corrections)
        .map(|(sum, gap)| sum + gap)
        .collect();
    let distance: f64 = totals
        .iter()
        .zip(&weights)
        .map(|(own, weight)| (own - total).powi(2) * weight)
        .sum();
    let consistent = sigma <= 0.0
        || sizes.len() < 2
        || chi_square_tail(distance / (sigma * sigma), sizes.len() - 1) >= INCONSISTENT_BELOW;
    Levelled {
        total,
        sums: corrected,
        consistent,
    }
}

/// Chooses bins from the released counting sum (predictor, 5.1).
///
/// `sums` are integers as released, `sigma` the standard deviation of the noise in customers.
#[must_use]
pub fn choose_bins(shapes: &[Shape], sums: &[i64], sigma: f64) -> (Bins, bool) {
    let sizes: Vec<usize> = shapes.iter().map(|shape| shape.cells).collect();
    let counts: Vec<f64> = sums.iter().map(|sum| *sum as f64 / COUNT as f64).collect();
    let levelled = level_totals(&counts, &sizes, sigma);
    let customers = levelled.total.max(CUSTOMERS_MIN);
    let mut bins = Bins {
        bin_of_cell: Vec::new(),
        counts: Vec::new(),
        customers,
    };
    for (shape, cells) in shapes.iter().zip(per_feature(&counts, &sizes)) {
        let (bin_of_cell, held) = match shape.ordered {
            true => merge_ordered_and_missing(cells, (customers / BINS_MAX).max(4.0 * sigma)),
            false => merge_levels(cells, (4.0 * sigma).max(RARE_SHARE * customers)),
        };
        bins.bin_of_cell.push(bin_of_cell);
        bins.counts.push(
            held.into_iter()
                .map(|count| count.max(sigma.max(1.0)))
                .collect(),
        );
    }
    (bins, levelled.consistent)
}

/// Slices a concatenated vector into features.
pub(crate) fn per_feature<'a, T>(
    all: &'a [T],
    sizes: &'a [usize],
) -> impl Iterator<Item = &'a [T]> {
    sizes.iter().scan(0, move |start, size| {
        let cells = &all[*start..*start + size];
        *start += size;
        Some(cells)
    })
}

fn merge_ordered_and_missing(cells: &[f64], target: f64) -> (Vec<u16>, Vec<f64>) {
    let (missing, ordered) = cells.split_last().expect("a numeric feature has 65 cells");
    let (mut bin_of_cell, mut held) = merge_ordered(ordered, target);
    bin_of_cell.push(held.len() as u16);
    held.push(*missing);
    (bin_of_cell, held)
}

/// Left to right: closes a bin once it holds `target` and half as much is left for the next.
fn merge_ordered(cells: &[f64], target: f64) -> (Vec<u16>, Vec<f64>) {
    let counts: Vec<f64> = cells.iter().map(|count| count.max(0.0)).collect();
    let mut rest: Vec<f64> = vec![0.0; counts.len()];
    for cell in (1..counts.len()).rev() {
        rest[cell - 1] = rest[cell] + counts[cell];
    }
    let (mut bin_of_cell, mut closed, mut held) = (Vec::new(), Vec::new(), 0.0);
    for (cell, count) in counts.iter().enumerate() {
        bin_of_cell.push(closed.len() as u16);
        held += count;
        if held >= target && rest[cell] >= target / 2.0 && cell + 1 < counts.len() {
            closed.push(held);
            held = 0.0;
        }
    }
    closed.push(held);
    (bin_of_cell, closed)
}

/// Keeps frequent levels in their order; the rest (and unseen ones) share one last bin, "other".
fn merge_levels(cells: &[f64], floor: f64) -> (Vec<u16>, Vec<f64>) {
    let frequent = |count: &&f64| **count >= floor;
    let other = cells.iter().filter(frequent).count() as u16;
    let (mut bin_of_cell, mut held, mut rare) = (Vec::new(), Vec::new(), 0.0);
    for count in cells {
        if *count >= floor {
            bin_of_cell.push(held.len() as u16);
            held.push(*count);
        } else {
            bin_of_cell.push(other);
            rare += count;
        }
    }
    if held.len() < cells.len() {
        held.push(rare);
    }
    (bin_of_cell, held)
}

/// P(X² > `value`) for the chi-square distribution: the regularized upper incomplete gamma function, by its series below
/// the mean and Lentz' continued fraction above (Abramowitz and Stegun 1964, 6.5.29 and 6.5.31).
fn chi_square_tail(value: f64, degrees: usize) -> f64 {
    let (shape, x) = (degrees as f64 / 2.0, value / 2.0);
    if x <= 0.0 {
        return 1.0;
    }
    let scale = (shape * x.ln() - x - ln_gamma_of_half(degrees)).exp();
    if x < shape + 1.0 {
        let (mut term, mut sum) = (1.0 / shape, 1.0 / shape);
        for step in 1..10_000 {
            term *= x / (shape + f64::from(step));
            sum += term;
            if term < sum * 1e-16 {
                break;
            }
        }
        return 1.0 - sum * scale;
    }
    let mut b = x + 1.0 - shape;
    let (mut c, mut d) = (f64::MAX, 1.0 / b);
    let mut fraction = d;
    for step in 1..10_000 {
        let i = f64::from(step);
        let a = -i * (i - shape);
        b += 2.0;
        d = 1.0 / (a * d + b);
        c = b + a / c;
        fraction *= c * d;
        if (c * d - 1.0).abs() < 1e-15 {
            break;
        }
    }
    scale * fraction
}

/// ln Γ(degrees / 2), by recurrence from Γ(1) = 1 and Γ(1/2) = √π.
fn ln_gamma_of_half(degrees: usize) -> f64 {
    let start = if degrees.is_multiple_of(2) {
        0.0
    } else {
        std::f64::consts::PI.sqrt().ln()
    };
    let first = if degrees.is_multiple_of(2) { 2 } else { 1 };
    start
        + (first..degrees)
            .step_by(2)
            .map(|step| (step as f64 / 2.0).ln())
            .sum::<f64>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_tail(value: f64, degrees: usize, expected: f64) {
        let got = chi_square_tail(value, degrees);
        assert!(
            (got / expected - 1.0).abs() < 1e-4,
            "{got} instead of {expected}"
        );
    }

    #[test]
    fn published_chi_square_tails() {
        check_tail(3.841_459, 1, 0.05);
        check_tail(18.307_038, 10, 0.05);
        check_tail(5.991_465, 2, 0.05);
        check_tail(2.705_543, 1, 0.10);
        check_tail(40.0, 2, (-20.0_f64).exp());
    }

    #[test]
    fn totals_agree_after_levelling() {
        let levelled = level_totals(&[1.0, 2.0, 3.0, 5.0], &[2, 2], 1.0);
        assert!((levelled.sums[0] + levelled.sums[1] - levelled.total).abs() < 1e-12);
        assert!((levelled.sums[2] + levelled.sums[3] - levelled.total).abs() < 1e-12);
        assert!(levelled.consistent);
    }

    #[test]
    fn a_feature_that_lost_cells_is_noticed() {
        assert!(!level_totals(&[100.0, 200.0, 0.0, 5.0], &[2, 2], 1.0).consistent);
    }

    #[test]
    fn a_bin_closes_when_enough_is_left() {
        assert_eq!(
            merge_ordered(&[5.0, 5.0, 1.0, 1.0], 5.0),
            (vec![0, 1, 1, 1], vec![5.0, 7.0])
        );
        assert_eq!(merge_ordered(&[-3.0, 2.0], 5.0), (vec![0, 0], vec![2.0]));
    }

    #[test]
    fn rare_levels_share_the_last_bin() {
        assert_eq!(
            merge_levels(&[9.0, 1.0, 8.0, 0.0], 4.0),
            (vec![0, 2, 1, 2], vec![9.0, 8.0, 1.0])
        );
        assert_eq!(merge_levels(&[9.0, 8.0], 4.0), (vec![0, 1], vec![9.0, 8.0]));
    }
}
