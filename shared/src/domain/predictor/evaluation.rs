//! Reading the evaluation: AUC, log-loss and calibration from one released histogram of score bin by label.
//!
//! Everything here, the repeated noise included, is computed from a public release: post-processing, free of charge.

use super::arithmetic::{COUNT, EVALUATION_BINS, EVALUATION_WIDTH, probability_at};
use super::renoise::Normals;
use super::stop::Stop;

/// What the released histogram says about a model.
#[derive(Clone, Debug, PartialEq)]
pub enum Reading {
    /// Figures with the standard deviation that noise alone gives them.
    Shown(Box<Quality>),
    /// Too little data to tell.
    TooLittle(TooLittle),
}

/// Why no figure is shown.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum TooLittle {
    /// A class is drowned in noise.
    #[error(
        "too little data to tell: about {customers:.0} hold-out customers of one class, expected at least {needed:.0}"
    )]
    Class {
        /// Noisy size of the smaller class.
        customers: f64,
        /// Eight standard deviations of its noise, at least 1.
        needed: f64,
    },
    /// Noise moves the AUC too far.
    #[error(
        "too little data to tell: noise alone moves the AUC by {deviation:.3}, expected at most 0.02"
    )]
    Deviation {
        /// Standard deviation of the AUC.
        deviation: f64,
    },
    /// Noise made the histogram impossible.
    #[error("too little data to tell: the noisy histogram has an AUC outside 0 to 1")]
    Impossible,
}

/// Three figures of a histogram, in natural units.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Figures {
    /// Area under the ROC curve; ties count half.
    pub auc: f64,
    /// Mean negative log-likelihood.
    pub log_loss: f64,
    /// Mean predicted minus observed rate.
    pub calibration: f64,
    /// Log-loss of a model that gives everybody the observed rate, minus `log_loss`.
    pub gain: f64,
}

/// Figures good enough to show.
#[derive(Clone, Debug, PartialEq)]
pub struct Quality {
    /// The figures.
    pub figures: Figures,
    /// Standard deviation that noise gives each of them.
    pub deviations: Figures,
    /// Noisy number of hold-out customers.
    pub customers: f64,
    /// Noisy number of positive ones.
    pub positives: f64,
    /// Predicted against observed rate, from low to high scores.
    pub reliability: Vec<Group>,
}

/// A line of the reliability table: four neighbouring score bins.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Group {
    /// Noisy number of customers.
    pub customers: f64,
    /// Mean predicted rate; none without customers.
    pub predicted: Option<f64>,
    /// Observed rate; none where noise drowns it.
    pub observed: Option<f64>,
}

/// Reads the released evaluation sum: cell `2·bin + label`, integers as released.
///
/// `sigma` is the standard deviation of the whole noise in a cell, in the sum's integers. The deviations come from adding
/// noise of that size to the release 100 times, from a generator with a fixed seed: the same release reads alike everywhere.
///
/// # Errors
///
/// A sum of another length.
pub fn read(sums: &[i64], sigma: f64, base: i32, clip: u32) -> Result<Reading, Stop> {
    let (counts, sigma) = (customers(sums)?, sigma / COUNT as f64);
    let rates = rates(base, clip);
    let (negatives, positives) = classes(&counts);
    let needed = (8.0 * sigma * (EVALUATION_BINS as f64).sqrt()).max(1.0);
    let smaller = negatives.min(positives);
    if smaller.is_nan() || smaller < needed {
        let customers = smaller;
        return Ok(Reading::TooLittle(TooLittle::Class { customers, needed }));
    }
    let figures = of_counts(&counts, &rates);
    if !(0.0..=1.0).contains(&figures.auc) {
        return Ok(Reading::TooLittle(TooLittle::Impossible));
    }
    let deviations = deviations(&counts, &rates, sigma);
    if deviations.auc.is_nan() || deviations.auc > AUC_DEVIATION_MAX {
        let deviation = deviations.auc;
        return Ok(Reading::TooLittle(TooLittle::Deviation { deviation }));
    }
    Ok(Reading::Shown(Box::new(Quality {
        figures,
        deviations,
        customers: negatives + positives,
        positives,
        reliability: reliability(&counts, &rates, sigma),
    })))
}

/// The figures of a released evaluation sum whatever its noise: for tests against exact values; people see [`read`].
///
/// # Errors
///
/// A sum of another length.
pub fn figures(sums: &[i64], base: i32, clip: u32) -> Result<Figures, Stop> {
    Ok(of_counts(&customers(sums)?, &rates(base, clip)))
}

/// Integers to customers; negative values are kept: clipping them would bias every figure.
fn customers(sums: &[i64]) -> Result<Vec<f64>, Stop> {
    let (what, got, expected) = (
        "number of evaluation cells",
        sums.len(),
        2 * EVALUATION_BINS,
    );
    if got != expected {
        return Err(Stop::Shape {
            what,
            got,
            expected,
        });
    }
    Ok(sums.iter().map(|sum| *sum as f64 / COUNT as f64).collect())
}

/// Probability at the middle of each score bin.
fn rates(base: i32, clip: u32) -> Vec<f64> {
    let middle = |bin: usize| {
        let twice = 2 * bin as i64 + 1 - EVALUATION_BINS as i64;
        f64::from(base) + twice as f64 / 2.0 * EVALUATION_WIDTH as f64
    };
    (0..EVALUATION_BINS)
        .map(|bin| probability_at(middle(bin), clip))
        .collect()
}

/// Negatives and positives in all.
fn classes(counts: &[f64]) -> (f64, f64) {
    counts
        .chunks_exact(2)
        .fold((0.0, 0.0), |(negatives, positives), pair| {
            (negatives + pair[0], positives + pair[1])
        })
}

fn of_counts(counts: &[f64], rates: &[f64]) -> Figures {
    let (negatives, positives) = classes(counts);
    let all = (negatives + positives).max(1.0);
    let (mut below, mut wins, mut loss, mut predicted) = (0.0, 0.0, 0.0, 0.0);
    for (pair, rate) in counts.chunks_exact(2).zip(rates) {
        let (zeros, ones) = (pair[0], pair[1]);
        wins += ones * (below + zeros / 2.0);
        below += zeros;
        loss -= ones * rate.ln() + zeros * (1.0 - rate).ln();
        predicted += (zeros + ones) * rate;
    }
    let share = (positives / all).clamp(1e-9, 1.0 - 1e-9);
    let blind = -(positives * share.ln() + negatives * (1.0 - share).ln()) / all;
    Figures {
        auc: wins / (negatives * positives).max(1.0),
        log_loss: loss / all,
        calibration: (predicted - positives) / all,
        gain: blind - loss / all,
    }
}

/// Standard deviation of each figure when noise of the release's size is added to the release again.
fn deviations(counts: &[f64], rates: &[f64], sigma: f64) -> Figures {
    let mut normals = Normals::new();
    let again = || {
        let noisy: Vec<f64> = counts
            .iter()
            .map(|count| count + sigma * normals.draw())
            .collect();
        of_counts(&noisy, rates)
    };
    let figures: Vec<Figures> = std::iter::repeat_with(again).take(REPETITIONS).collect();
    let deviation = |figure: fn(&Figures) -> f64| {
        let mean = figures.iter().map(figure).sum::<f64>() / REPETITIONS as f64;
        let squares = figures.iter().map(|again| (figure(again) - mean).powi(2));
        (squares.sum::<f64>() / REPETITIONS as f64).sqrt()
    };
    Figures {
        auc: deviation(|figures| figures.auc),
        log_loss: deviation(|figures| figures.log_loss),
        calibration: deviation(|figures| figures.calibration),
        gain: deviation(|figures| figures.gain),
    }
}

fn reliability(counts: &[f64], rates: &[f64], sigma: f64) -> Vec<Group> {
    let groups = counts.chunks(2 * GROUP_BINS).zip(rates.chunks(GROUP_BINS));
    let group = |(counts, rates): (&[f64], &[f64])| {
        let (negatives, positives) = classes(counts);
        let all = negatives + positives;
        let visible = all >= (4.0 * sigma * (2.0 * GROUP_BINS as f64).sqrt()).max(1.0);
        let held = counts
            .chunks_exact(2)
            .map(|pair| (pair[0] + pair[1]).max(0.0));
        let (weight, sum) = held
            .zip(rates)
            .fold((0.0, 0.0), |(weight, sum), (held, rate)| {
                (weight + held, sum + held * rate)
            });
        Group {
            customers: all,
            predicted: (weight > 0.0).then_some(sum / weight),
            observed: visible.then_some((positives / all).clamp(0.0, 1.0)),
        }
    };
    groups.map(group).collect()
}

/// Above this, noise alone moves the AUC too far for a figure.
const AUC_DEVIATION_MAX: f64 = 0.02;
/// How often noise is added again.
const REPETITIONS: usize = 100;
/// Score bins of a line of the reliability table.
const GROUP_BINS: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    /// A histogram of `size` customers per class in which positives score higher by 6 bins.
    fn histogram(size: i64) -> Vec<i64> {
        let mut sums = vec![0; 2 * EVALUATION_BINS];
        for step in 0..8 {
            sums[2 * (10 + step)] = size / 8 * COUNT;
            sums[2 * (16 + step) + 1] = size / 8 * COUNT;
        }
        sums
    }

    fn quality(size: i64, sigma: f64) -> Quality {
        match read(&histogram(size), sigma * COUNT as f64, 0, 4_096).unwrap() {
            Reading::Shown(quality) => *quality,
            Reading::TooLittle(why) => panic!("{why}"),
        }
    }

    #[track_caller]
    fn check_withheld(sums: &[i64], sigma: f64, expected: &str) {
        match read(sums, sigma * COUNT as f64, 0, 4_096).unwrap() {
            Reading::TooLittle(why) => assert!(why.to_string().contains(expected), "{why}"),
            Reading::Shown(quality) => panic!("{quality:?}"),
        }
    }

    #[test]
    fn the_auc_counts_ties_half() {
        let expected = 1.0 - (2.0 * 0.5 + 1.0) / 64.0;
        assert!((quality(8_000, 0.0).figures.auc - expected).abs() < 1e-12);
        assert_eq!(quality(8_000, 0.0).deviations.auc, 0.0);
    }

    #[test]
    fn calibration_and_gain() {
        let found = quality(8_000, 0.0);
        let mean =
            |bins: std::ops::Range<usize>| bins.map(|bin| rates(0, 4_096)[bin]).sum::<f64>() / 8.0;
        let expected = (mean(10..18) + mean(16..24)) / 2.0 - 0.5;
        assert!((found.figures.calibration - expected).abs() < 1e-12);
        let blind = std::f64::consts::LN_2;
        assert!((found.figures.gain + found.figures.log_loss - blind).abs() < 1e-12);
        assert_eq!(found.reliability.len(), 8);
        assert_eq!(found.reliability[0].observed, None);
        assert_eq!(found.reliability[5].observed, Some(1.0));
    }

    #[test]
    fn the_same_release_reads_alike() {
        let (first, again) = (quality(8_000, 5.0), quality(8_000, 5.0));
        assert_eq!(first, again);
        assert!(first.deviations.auc > 1e-4 && first.deviations.auc < 0.02);
        let louder = quality(8_000, 10.0);
        assert!(louder.deviations.log_loss > 1.5 * first.deviations.log_loss);
    }

    #[test]
    fn little_data_shows_nothing() {
        check_withheld(&histogram(800), 20.0, "hold-out customers of one class");
        check_withheld(&histogram(4_000), 75.0, "moves the AUC");
        check_withheld(&[0; 64], 0.0, "one class");
        let mut impossible = vec![0; 64];
        impossible[0] = 1_500 * COUNT;
        impossible[62] = -500 * COUNT;
        impossible[63] = 1_000 * COUNT;
        check_withheld(&impossible, 0.1, "outside 0 to 1");
        assert!(read(&[0; 63], 0.0, 0, 4_096).is_err());
    }
}
