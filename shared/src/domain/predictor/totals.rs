//! Level totals: every feature counts the same customers, so all features must add up to the same total.
//!
//! Corrects sums so that they do, and tells when they differ by more than noise explains.

/// A sum after its features were brought to one total.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Level {
    /// The common total, by least squares.
    pub total: f64,
    /// The sum, each feature of which adds up to `total`.
    pub corrected: Vec<f64>,
    /// Whether the totals agreed as well as noise of the stated size allows.
    pub consistent: bool,
}

/// Least-squares projection onto equal totals, and the chi-square test of the differences before it.
///
/// `sizes` are the cells of each feature (none is 0), in order; `sigma` is the noise's standard deviation per cell.
pub(super) fn level(sums: &[f64], sizes: &[usize], sigma: f64) -> Level {
    let mut rest = sums;
    let mut totals = Vec::with_capacity(sizes.len());
    for size in sizes {
        let (own, others) = rest.split_at(*size);
        totals.push(lanes(own));
        rest = others;
    }
    let weights: Vec<f64> = sizes.iter().map(|size| 1.0 / *size as f64).collect();
    let weighted: Vec<f64> = totals.iter().zip(&weights).map(|(t, w)| t * w).collect();
    let total = lanes(&weighted) / lanes(&weights);
    let shifts = totals
        .iter()
        .zip(&weights)
        .map(|(own, w)| (total - own) * w);
    let repeated = shifts
        .zip(sizes)
        .flat_map(|(shift, size)| std::iter::repeat_n(shift, *size));
    let corrected = sums.iter().zip(repeated).map(|(sum, shift)| sum + shift);
    Level {
        total,
        corrected: corrected.collect(),
        consistent: consistent(&totals, &weights, total, sigma),
    }
}

/// Adds up in eight lanes: the order of the reference, on which counts at the very edge of a bin depend.
pub(super) fn lanes(values: &[f64]) -> f64 {
    let blocks = values.chunks_exact(8);
    let rest = blocks.remainder();
    let mut sum = 0.0;
    if values.len() >= 8 {
        let mut lane = [0.0; 8];
        for block in blocks {
            lane.iter_mut()
                .zip(block)
                .for_each(|(sum, value)| *sum += value);
        }
        sum = ((lane[0] + lane[1]) + (lane[2] + lane[3]))
            + ((lane[4] + lane[5]) + (lane[6] + lane[7]));
    }
    rest.iter().fold(sum, |sum, value| sum + value)
}

/// Whether `Σ (t_k − t)²/(m_k·σ²)` is below the `1 − 10⁻⁶` quantile of chi-square with K − 1 degrees of freedom.
fn consistent(totals: &[f64], weights: &[f64], total: f64, sigma: f64) -> bool {
    let squares = totals
        .iter()
        .zip(weights)
        .map(|(own, w)| (own - total).powi(2) * w);
    let distance: f64 = squares.sum();
    if sigma == 0.0 {
        return distance.sqrt() <= 1e-9 * (1.0 + total.abs());
    }
    tail(distance / (sigma * sigma), totals.len().saturating_sub(1)) >= FALSE_ALARM
}

/// Probability that chi-square with `freedom` degrees exceeds `value`; 1 where `value` is no more than 2 above `freedom`.
///
/// Continued fraction of the upper incomplete gamma function (Abramowitz and Stegun 6.5.31, by the modified Lentz method).
fn tail(value: f64, freedom: usize) -> f64 {
    let (a, z) = (freedom as f64 / 2.0, value / 2.0);
    if freedom == 0 || z <= a + 1.0 {
        return 1.0;
    }
    let mut b = z + 1.0 - a;
    let (mut c, mut d) = (1e300, 1.0 / b);
    let mut fraction = d;
    for i in 1..=10_000 {
        let factor = -f64::from(i) * (f64::from(i) - a);
        b += 2.0;
        d = 1.0 / (factor * d + b);
        c = b + factor / c;
        fraction *= c * d;
        if (c * d - 1.0).abs() < 1e-12 {
            break;
        }
    }
    (a * z.ln() - z - ln_gamma_of_half(freedom)).exp() * fraction
}

/// `ln Γ(freedom/2)`, by the recurrence from Γ(½) = √π or Γ(1) = 1.
fn ln_gamma_of_half(freedom: usize) -> f64 {
    let (first, start) = if freedom.is_multiple_of(2) {
        (2, 0.0)
    } else {
        (1, std::f64::consts::PI.sqrt().ln())
    };
    (first..freedom)
        .step_by(2)
        .fold(start, |sum, i| sum + (i as f64 / 2.0).ln())
}

/// How often a round of honest nodes is called inconsistent.
const FALSE_ALARM: f64 = 1e-6;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_features_get_the_same_total() {
        let level = level(&[1.0, 2.0, 10.0, 0.0, 0.0, 2.0], &[2, 4], 3.0);
        assert!((level.total - (3.0 / 2.0 + 12.0 / 4.0) / 0.75).abs() < 1e-12);
        assert!((level.corrected[..2].iter().sum::<f64>() - level.total).abs() < 1e-12);
        assert!((level.corrected[2..].iter().sum::<f64>() - level.total).abs() < 1e-12);
        assert!(level.consistent);
    }

    /// Even degrees have a closed form: `e^−z · Σ zⁱ/i!`; one degree is a squared normal (quantile 4.891638 at 10⁻⁶).
    #[test]
    fn the_tail_is_chi_square() {
        for (value, freedom) in [(10.0, 2), (62.0, 18), (300.0, 100_usize)] {
            let (mut term, mut sum) = (1.0, 1.0);
            for i in 1..freedom / 2 {
                term *= value / 2.0 / i as f64;
                sum += term;
            }
            let expected = (-value / 2.0_f64).exp() * sum;
            assert!((tail(value, freedom) / expected - 1.0).abs() < 1e-9);
        }
        assert!((tail(4.891_638_f64.powi(2), 1) / 1e-6 - 1.0).abs() < 1e-4);
    }

    #[test]
    fn a_lost_cell_is_noticed() {
        let honest = [100.0, 200.0, 150.0, 150.0];
        assert!(level(&honest, &[2, 2], 5.0).consistent);
        assert!(level(&honest, &[2, 2], 0.0).consistent);
        assert!(!level(&[100.0, 0.0, 150.0, 150.0], &[2, 2], 5.0).consistent);
        assert!(!level(&[100.0, 199.0, 150.0, 150.0], &[2, 2], 0.0).consistent);
    }

    #[test]
    fn one_feature_is_always_consistent() {
        assert!(level(&[5.0, 6.0], &[2], 1.0).consistent);
    }
}
