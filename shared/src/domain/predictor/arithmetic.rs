//! Integer arithmetic that every node and every reader of a model must do alike.
//!
//! No floating point touches a customer's contribution: scores, probabilities and residuals are integers.

use std::sync::LazyLock;

/// Integers per customer in counting sums.
pub const COUNT: i64 = 256;
/// Integers per unit of residual.
pub const Q: i64 = 4_096;
/// Integers per unit of log-odds.
pub const F: i64 = 65_536;
/// Largest absolute value of a curve entry.
pub const CURVE_MAX: i64 = 8 * F;
/// Largest absolute score.
pub const SCORE_MAX: i64 = 16 * F;
/// Score bins of the evaluation.
pub const EVALUATION_BINS: usize = 32;
/// Width of a score bin (0.3 log-odds).
pub const EVALUATION_WIDTH: i64 = 19_661;

static THRESHOLDS: LazyLock<Vec<i32>> = LazyLock::new(|| (1..=Q).map(threshold).collect());

/// Rounds to the nearest integer, halves upwards: the only rounding of the method.
#[must_use]
pub fn half_up(value: f64) -> i64 {
    (value + 0.5).floor() as i64
}

/// Scores at which the probability index rises: entry `j − 1` is `half_up(F·ln((j − ½)/(Q − j + ½)))`, j = 1..Q.
#[must_use]
pub fn thresholds() -> &'static [i32] {
    &THRESHOLDS
}

/// Score of a customer, bounded.
#[must_use]
pub fn clamp_score(score: i64) -> i64 {
    score.clamp(-SCORE_MAX, SCORE_MAX)
}

/// Probability in Q-ths that a bounded score stands for: the number of thresholds at or below it.
#[must_use]
pub fn probability_index(score: i64) -> i64 {
    THRESHOLDS.partition_point(|threshold| i64::from(*threshold) <= score) as i64
}

/// `Q·label − probability`, held within ±`bound` whatever the score says.
///
/// # Privacy
///
/// The bound is the reach of one customer in one cell of a residual sum.
#[must_use]
pub fn residual(label: bool, score: i64, bound: i64) -> i64 {
    (Q * i64::from(label) - probability_index(score)).clamp(-bound, bound)
}

/// Probability shown to people; undoes the bias of clipped residuals exactly (monotone in the score).
#[must_use]
pub fn probability(score: i64, clip: u32) -> f64 {
    probability_at(score as f64, clip)
}

/// [`probability`] of a score between two integers.
#[must_use]
pub fn probability_at(score: f64, clip: u32) -> f64 {
    let plain = 1.0 / (1.0 + (-score / F as f64).exp());
    let bound = f64::from(clip) / Q as f64;
    plain.min(bound) / (plain.min(bound) + (1.0 - plain).min(bound))
}

/// Score bin of the evaluation, relative to the base score.
#[must_use]
pub fn evaluation_bin(score: i64, base: i64) -> usize {
    let bin = (score - base).div_euclid(EVALUATION_WIDTH) + EVALUATION_BINS as i64 / 2;
    bin.clamp(0, EVALUATION_BINS as i64 - 1) as usize
}

fn threshold(j: i64) -> i32 {
    let (below, above) = (j as f64 - 0.5, (Q - j) as f64 + 0.5);
    half_up(F as f64 * (below / above).ln()) as i32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::hash::sha256;

    #[test]
    fn the_published_thresholds() {
        let bytes: Vec<u8> = thresholds()
            .iter()
            .flat_map(|value| i64::from(*value).to_le_bytes())
            .collect();
        let published = "73d9ccf6600c3e39b0b2c80701ea97e3514a0f287fdecc1ee67c2e0f5fc2d497";
        assert_eq!(sha256(&bytes).to_string(), published);
    }

    #[test]
    fn halves_go_up() {
        assert_eq!([0.5, -0.5, 1.49, -1.5].map(half_up), [1, 0, 1, -1]);
    }

    #[test]
    fn a_residual_stays_within_its_bound() {
        assert_eq!(residual(true, -SCORE_MAX, 3_072), 3_072);
        assert_eq!(residual(false, SCORE_MAX, 2_048), -2_048);
        assert_eq!(residual(true, 0, 4_096), 2_048);
    }

    #[test]
    fn probabilities_keep_the_order_of_scores() {
        let scores: Vec<i64> = (-16..=16).map(|log_odds| log_odds * F).collect();
        let shown: Vec<f64> = scores
            .iter()
            .map(|score| probability(*score, 3_072))
            .collect();
        assert!(shown.windows(2).all(|pair| pair[0] < pair[1]));
        assert!((probability(0, 3_072) - 0.5).abs() < 1e-12);
    }
}
