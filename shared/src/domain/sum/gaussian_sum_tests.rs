//! A sum of discrete Gaussians is as private as one of the added variance: an independent derivation, beside the published
//! bound, and exact convolutions where the difference is large enough to be seen.
//!
//! Convolving N_Z(0, a²) with N_Z(0, b²) gives, by Poisson summation, N_Z(0, a² + b²) times a factor within
//! [(1 − η)/(1 + η), (1 + η)/(1 − η)], η = 2·Σ_{r ≥ 1} exp(−2π²r²·a²b²/(a² + b²)). Over h − 1 convolutions of shares of scale
//! s the logarithm of a cell's density is therefore off by at most 4.1·(h − 1)·exp(−π²s²).

use std::f64::consts::{LN_2, LN_10, PI};

use crate::base::limits::{
    ATTEMPTS_MAX, CELLS_MAX, DELTA_SQ_MAX, GROUP_MAX, MULTIPLICITY_MAX, ROUNDS_MAX, SIGMA_MAX,
    SIGMA_MIN, URHO_MAX,
};

/// log10 of the bound of the head of this file, for every cell of a sum of h shares of scale s.
fn log10_bound(scale: f64, honest: usize) -> f64 {
    (4.1 * (honest - 1) as f64).log10() - PI * PI * scale * scale / LN_10
}

/// The same bound from the series themselves, one convolution after the other.
fn exact_bound(scale: f64, honest: usize) -> f64 {
    let step = |j: usize| {
        let harmonic = scale * scale * j as f64 / (j + 1) as f64;
        let series = (1..50).map(|r| (-2.0 * PI * PI * f64::from(r * r) * harmonic).exp());
        let eta = 2.0 * series.sum::<f64>();
        ((1.0 + eta) / (1.0 - eta)).ln()
    };
    (1..honest).map(step).sum()
}

/// N_Z(0, variance) on −reach..=reach.
fn gaussian(variance: f64, reach: i32) -> Vec<f64> {
    let weight = |x: i32| (-f64::from(x).powi(2) / (2.0 * variance)).exp();
    let weights: Vec<f64> = (-reach..=reach).map(weight).collect();
    let total: f64 = weights.iter().sum();
    weights.iter().map(|weight| weight / total).collect()
}

fn convolve(left: &[f64], right: &[f64]) -> Vec<f64> {
    let mut sum = vec![0.0; left.len() + right.len() - 1];
    for (i, left) in left.iter().enumerate() {
        for (j, right) in right.iter().enumerate() {
            sum[i + j] += left * right;
        }
    }
    sum
}

/// Density of the sum of h shares of scale s, by convolution.
fn sum_of_shares(scale: f64, honest: usize) -> Vec<f64> {
    let share = gaussian(scale * scale, (12.0 * scale).ceil() as i32);
    (1..honest).fold(share.clone(), |sum, _| convolve(&sum, &share))
}

/// Largest |ln(sum/ideal)| where both densities are far above rounding.
fn largest_log_ratio(scale: f64, honest: usize) -> f64 {
    let sum = sum_of_shares(scale, honest);
    let reach = (sum.len() / 2) as i32;
    let ideal = gaussian(scale * scale * honest as f64, reach);
    let pairs = sum.iter().zip(&ideal);
    let seen = pairs.filter(|(sum, ideal)| **sum > 1e-12 && **ideal > 1e-12);
    seen.map(|(sum, ideal)| (sum / ideal).ln().abs())
        .fold(0.0, f64::max)
}

#[track_caller]
fn check_convolution(scale: f64, honest: usize) {
    let (found, bound) = (largest_log_ratio(scale, honest), exact_bound(scale, honest));
    assert!(found <= bound + 1e-9, "{scale} {honest}: {found} {bound}");
    assert!(bound <= 10_f64.powf(log10_bound(scale, honest)));
}

#[test]
fn convolutions_stay_within_the_bound() {
    for honest in [2, 3, 5, 10, 40] {
        for scale in [0.8, 1.0, 1.5, 2.0] {
            check_convolution(scale, honest);
        }
    }
}

#[test]
fn the_bound_is_not_idle() {
    // At scale 0.7 a sum of two differs visibly from the ideal: the test above would notice a wrong exponent.
    let (found, bound) = (largest_log_ratio(0.7, 2), exact_bound(0.7, 2));
    assert!(found > 0.3 * bound && found > 0.005, "{found} {bound}");
}

#[test]
fn at_four_it_is_below_any_decimal_that_is_quoted() {
    assert!(log10_bound(4.0, GROUP_MAX) < -65.0);
}

/// Renyi divergence of order alpha between a density and its shift.
fn divergence(density: &[f64], shift: usize, alpha: f64) -> f64 {
    let shifted = density.iter().zip(&density[shift..]);
    let terms = shifted.map(|(a, b)| b.powf(alpha) * a.powf(1.0 - alpha));
    terms.filter(|term| term.is_finite()).sum::<f64>().ln() / (alpha - 1.0)
}

#[test]
fn a_sum_of_shares_costs_what_the_variance_says() {
    for (scale, honest) in [(2.0, 2), (2.0, 5), (3.0, 10)] {
        let density = sum_of_shares(scale, honest);
        let variance = scale * scale * honest as f64;
        for shift in [1_usize, 2, 5] {
            let rho = (shift * shift) as f64 / (2.0 * variance);
            for alpha in [1.5, 2.0, 4.0] {
                let found = divergence(&density, shift, alpha);
                assert!(
                    found <= alpha * rho * (1.0 + 1e-9),
                    "{scale} {honest} {shift} {alpha}: {found} {rho}"
                );
                assert!(found > alpha * rho * 0.999, "{found} {rho}");
            }
        }
    }
}

#[test]
fn a_share_less_costs_more() {
    // Must be refused: the price of five honest shares where only four are there.
    let density = sum_of_shares(2.0, 4);
    let rho_of_five = 1.0 / (2.0 * 4.0 * 5.0);
    assert!(divergence(&density, 1, 2.0) > 2.0 * rho_of_five * 1.2);
}

/// Over all cells, attempts and rounds of a study the real mechanism is within e^κ of the ideal one, κ < 10^-1000: no
/// decimal of an epsilon, which is rounded up at the fourth, can see it.
#[test]
fn a_whole_study_is_off_by_less_than_any_figure_shows() {
    let releases = (CELLS_MAX * ROUNDS_MAX * usize::from(ATTEMPTS_MAX)) as f64;
    let kappa = releases.log10() + log10_bound(SIGMA_MIN as f64, GROUP_MAX);
    assert!(kappa < -1_000.0, "{kappa}");
}

/// The published bound (Kairouz, Liu, Steinke 2021, Proposition 14): ½·(Δ/(√h·s) + τ·√d)². Its correction is smaller than
/// what the strict inequality of the scale leaves in reserve, so the integer price covers it.
#[test]
fn the_published_correction_fits_the_reserve() {
    let log10_term = |j: usize| {
        let part = j as f64 / (j + 1) as f64;
        -2.0 * PI * PI * (SIGMA_MIN as f64).powi(2) * part / LN_10
    };
    // The first term of τ is the largest by far.
    let log10_tau = (10.0 * (GROUP_MAX - 1) as f64).log10() + log10_term(1);
    assert!(log10_tau < -1_093.0, "{log10_tau}");
    let largest = log10_tau
        + (CELLS_MAX as f64).sqrt().log10()
        + (GROUP_MAX as f64).sqrt().log10()
        + (SIGMA_MAX as f64).log10();
    let log10_reserve = -((2 * GROUP_MAX as u64) as f64 * URHO_MAX as f64).log10()
        - 2.0 * (SIGMA_MAX as f64).log10();
    assert!(log10_reserve > -121.0 * LN_2 / LN_10, "{log10_reserve}");
    assert!(1.0 + largest < log10_reserve);
    // And the integers of the rule never leave u128.
    let reach = f64::from(MULTIPLICITY_MAX).powi(2) * DELTA_SQ_MAX as f64 * 1e6;
    assert!(reach.log2() < 128.0);
}
