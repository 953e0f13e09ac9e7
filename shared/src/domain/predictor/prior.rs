//! The prior of a curve's step, and what it makes of noisy sums: a Gaussian-process step.

use ndarray::{Array1, Array2, ArrayView1, Axis};

use super::bins::{FeatureBins, quantiles};
use super::linalg::Cholesky;

/// Covariance of a step over the bins of one feature.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Prior {
    /// Bins have nothing to do with each other.
    Independent,
    /// Near bins move together.
    Near(Array2<f64>),
}

impl Prior {
    /// Levels are independent; ordered bins are near by the share of customers between them; *missing* is independent.
    pub fn of(bins: &FeatureBins) -> Self {
        let values = bins.counts.len().saturating_sub(1);
        if !bins.ordered || values < 2 {
            return Self::Independent;
        }
        let x = quantiles(&bins.counts[..values]);
        let near = |a: usize, b: usize| KERNEL * (-(x[a] - x[b]).abs() / (2.0 * LENGTH)).exp();
        Self::Near(Array2::from_shape_fn(
            (values + 1, values + 1),
            |(a, b)| match (a == b, a < values && b < values) {
                (true, true) => VARIANCE * (near(a, b) + NUGGET),
                (true, false) => VARIANCE,
                (false, true) => VARIANCE * near(a, b),
                (false, false) => 0.0,
            },
        ))
    }

    /// Posterior mean of the step, given `sums = h·step + noise + sampling noise of variance h`.
    ///
    /// `None` where the matrix cannot be factored.
    pub fn step(
        &self,
        h: ArrayView1<f64>,
        noise: ArrayView1<f64>,
        sums: ArrayView1<f64>,
    ) -> Option<Array1<f64>> {
        let spread = &noise + &h;
        match self {
            Self::Independent => Some(VARIANCE * &h * sums / (VARIANCE * &h * h + spread)),
            Self::Near(covariance) => {
                let solved = observed(covariance, h, spread)?.solve(sums);
                Some(covariance.dot(&(&h * &solved)))
            }
        }
    }

    /// Posterior standard deviation of each bin's step: noise and sampling, approximate.
    ///
    /// `None` where the matrix cannot be factored.
    pub fn deviations(&self, h: ArrayView1<f64>, noise: ArrayView1<f64>) -> Option<Array1<f64>> {
        let spread = &noise + &h;
        let variances = match self {
            Self::Independent => {
                VARIANCE - VARIANCE * VARIANCE * &h * h / (VARIANCE * &h * h + spread)
            }
            Self::Near(covariance) => {
                let factor = observed(covariance, h, spread)?;
                let explained = covariance.axis_iter(Axis(1)).map(|column| {
                    let root = factor.forward((&h * &column).view());
                    root.dot(&root)
                });
                &covariance.diag() - &explained.collect::<Array1<f64>>()
            }
        };
        Some(variances.mapv(|variance| variance.max(0.0).sqrt()))
    }
}

/// Factor of the covariance of the sums, `diag(h)·P·diag(h) + diag(spread)`.
fn observed(covariance: &Array2<f64>, h: ArrayView1<f64>, spread: Array1<f64>) -> Option<Cholesky> {
    let mut matrix = covariance * &h * h.insert_axis(Axis(1));
    let mut diagonal = matrix.diag_mut();
    diagonal += &spread;
    Cholesky::of(&matrix)
}

/// Variance of a bin's step before anything is known, in squared log-odds.
const VARIANCE: f64 = 0.25;
/// Part of an ordered bin's variance that it shares with near bins.
const KERNEL: f64 = 0.9;
/// Part that is its own.
const NUGGET: f64 = 0.1;
/// Share of the customers over which the shared part fades.
const LENGTH: f64 = 0.2;

#[cfg(test)]
mod tests {
    use ndarray::aview1;

    use super::*;

    fn ordered(counts: &[f64]) -> Prior {
        Prior::of(&FeatureBins {
            ordered: true,
            bin_of_cell: Vec::new(),
            counts: counts.to_vec(),
        })
    }

    #[test]
    fn independent_bins_are_a_diagonal_matrix() {
        let diagonal = Prior::Near(Array2::from_diag_elem(3, VARIANCE));
        let (h, noise) = (aview1(&[3.0, 40.0, 1.0]), aview1(&[2.0, 2.0, 90.0]));
        let sums = aview1(&[1.0, -7.0, 0.5]);
        let same = |a: Array1<f64>, b: Array1<f64>| (a - b).iter().all(|rest| rest.abs() < 1e-12);
        let steps = [&Prior::Independent, &diagonal].map(|p| p.step(h, noise, sums).unwrap());
        let [first, second] = steps;
        assert!(same(first, second));
        let widths = [&Prior::Independent, &diagonal].map(|p| p.deviations(h, noise).unwrap());
        let [first, second] = widths;
        assert!(same(first, second));
    }

    #[test]
    fn near_bins_share_strength_and_missing_does_not() {
        let prior = ordered(&[50.0, 50.0, 50.0, 5.0]);
        let (h, noise) = (aview1(&[10.0; 4]), aview1(&[4.0; 4]));
        let step = prior.step(h, noise, aview1(&[9.0, 0.0, 0.0, 0.0])).unwrap();
        assert!(step[0] > step[1] && step[1] > step[2] && step[2] > 0.0);
        assert_eq!(step[3], 0.0);
        let known = prior.deviations(h, noise).unwrap();
        let unknown = prior.deviations(h, aview1(&[4e9; 4])).unwrap();
        assert!(
            known
                .iter()
                .zip(&unknown)
                .all(|(a, b)| a < b && *b <= 0.5 + 1e-12)
        );
    }

    #[test]
    fn a_single_bin_has_no_neighbour() {
        assert_eq!(ordered(&[50.0, 5.0]), Prior::Independent);
    }
}
