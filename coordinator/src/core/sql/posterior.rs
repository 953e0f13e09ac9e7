//! What noisy counts say about the true ones: counts are never negative, many are 0, and neighbours tend to be of one size.
//!
//! Computed from noisy counts and public numbers alone. Knows nothing of cells and columns, and no source of chance.

/// What is believed of a true count, or of a sum of independent ones: cumulants, which add up.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Belief {
    /// Mean.
    pub mean: f64,
    /// Variance.
    pub variance: f64,
    /// Third central moment.
    pub third: f64,
}

impl Belief {
    /// The belief of this and an independent one together.
    pub(super) fn and(self, other: Self) -> Self {
        Self {
            mean: self.mean + other.mean,
            variance: self.variance + other.variance,
            third: self.third + other.third,
        }
    }

    /// The belief of so many times it.
    pub(super) fn times(self, factor: f64) -> Self {
        Self {
            mean: self.mean * factor,
            variance: self.variance * factor.powi(2),
            third: self.third * factor.powi(3),
        }
    }

    /// The median, as far as three cumulants tell it (Cornish and Fisher 1938).
    pub(super) fn median(self) -> f64 {
        if self.variance > 0.0 {
            return self.mean - self.third / (6.0 * self.variance);
        }
        self.mean
    }
}

/// What to believe of true counts, given noisy ones in their order and the variances of their normal noise.
///
/// A true count is 0 ([`EMPTY`]), or exponential with one of the means of a ladder that spans all sizes (a spike and a slab: Mitchell
/// and Beauchamp 1988; a scale mixture for the slab). Which of them changes along the row by a hidden Markov chain: the next count has
/// the scale of the last one ([`SAME`]), or a new one. Means over all scales by the forward-backward algorithm (Rabiner 1989).
///
/// Counts without noise are believed.
pub(super) fn beliefs(noisy: &[f64], variances: &[f64]) -> Vec<Belief> {
    let least = variances.iter().copied().fold(f64::INFINITY, f64::min);
    if least <= 0.0 || !least.is_finite() {
        let exact = noisy.iter().map(|count| Belief {
            mean: *count,
            ..Belief::default()
        });
        return exact.collect();
    }
    let scales = ladder(noisy, least.sqrt());
    let seen: Vec<Vec<Seen>> = noisy
        .iter()
        .zip(variances)
        .map(|(count, variance)| of_scales(*count, *variance, &scales))
        .collect();
    let weights = weights_of_scales(&seen);
    let pairs = seen.iter().zip(&weights);
    pairs.map(|(seen, weights)| mixed(seen, weights)).collect()
}

/// Means of counts that are not 0: the noise times powers of [`STEP`], from one below it to the first that no count exceeds.
fn ladder(noisy: &[f64], sigma: f64) -> Vec<f64> {
    let top = noisy.iter().copied().fold(0.0, f64::max);
    let mut scales = vec![sigma / STEP];
    while scales.last().is_some_and(|last| *last < top) {
        scales.push(sigma * STEP.powi(scales.len() as i32 - 1));
    }
    scales
}

/// A noisy count under one scale: its likelihood, relative to the best scale, and what to believe of the true count.
struct Seen {
    likelihood: f64,
    belief: Belief,
}

/// Under each scale; a count of 0 comes first.
fn of_scales(count: f64, variance: f64, scales: &[f64]) -> Vec<Seen> {
    let sigma = variance.sqrt();
    let ratio = count / sigma;
    let empty = Seen {
        likelihood: -ratio * ratio / 2.0 - LN_ROOT_TAU - sigma.ln(),
        belief: Belief::default(),
    };
    let occupied = scales.iter().map(|scale| {
        // Normal noise times exponential prior: a normal distribution with a shifted centre, cut at 0; cumulants by hazard.
        let shift = sigma / scale;
        let place = ratio - shift;
        let (hazard, log_below) = below(place);
        let mean = place + hazard;
        let belief = Belief {
            mean,
            variance: (1.0 - hazard * mean).max(0.0),
            third: hazard * (mean * (mean + hazard) - 1.0),
        };
        Seen {
            likelihood: shift * shift / 2.0 - ratio * shift + log_below - scale.ln(),
            belief: belief.times(sigma),
        }
    });
    let mut seen: Vec<Seen> = std::iter::once(empty).chain(occupied).collect();
    let best = seen.iter().map(|seen| seen.likelihood);
    let best = best.fold(f64::NEG_INFINITY, f64::max);
    for seen in &mut seen {
        seen.likelihood = (seen.likelihood - best).exp();
    }
    seen
}

/// How likely each scale is for each count, given all counts.
fn weights_of_scales(seen: &[Vec<Seen>]) -> Vec<Vec<f64>> {
    let scales = seen.first().map_or(0, Vec::len);
    let mut prior = vec![(1.0 - EMPTY) / (scales - 1).max(1) as f64; scales];
    prior[0] = EMPTY;
    let mut weights: Vec<Vec<f64>> = Vec::with_capacity(seen.len());
    let mut before = prior.clone();
    for seen in seen {
        let given = before.iter().zip(seen).map(|(w, s)| w * s.likelihood);
        let given = to_one(given.collect());
        before = moved(&given, &prior);
        weights.push(given);
    }
    let mut after = vec![1.0; scales];
    for place in (0..seen.len()).rev() {
        let given = weights[place].iter().zip(&after).map(|(w, a)| w * a);
        weights[place] = to_one(given.collect());
        let own = seen[place].iter().zip(&after);
        let own: Vec<f64> = own.map(|(seen, after)| seen.likelihood * after).collect();
        let other: f64 = prior.iter().zip(&own).map(|(p, own)| p * own).sum();
        let next = own.iter().map(|own| SAME * own + (1.0 - SAME) * other);
        after = to_one(next.collect());
    }
    weights
}

/// One step of the chain.
fn moved(weights: &[f64], prior: &[f64]) -> Vec<f64> {
    let pairs = weights.iter().zip(prior);
    pairs.map(|(w, p)| SAME * w + (1.0 - SAME) * p).collect()
}

fn to_one(mut weights: Vec<f64>) -> Vec<f64> {
    let sum: f64 = weights.iter().sum();
    weights.iter_mut().for_each(|weight| *weight /= sum);
    weights
}

/// Over all scales.
fn mixed(seen: &[Seen], weights: &[f64]) -> Belief {
    let parts = seen.iter().map(|seen| seen.belief).zip(weights);
    let mean: f64 = parts.clone().map(|(part, weight)| weight * part.mean).sum();
    let parts = parts.map(|(part, weight)| {
        let apart = part.mean - mean;
        let third = part.third + 3.0 * part.variance * apart + apart.powi(3);
        (weight * (part.variance + apart.powi(2)), weight * third)
    });
    let (variance, third) = parts.fold((0.0, 0.0), |all, part| (all.0 + part.0, all.1 + part.1));
    Belief {
        mean,
        variance,
        third,
    }
}

/// The density of the standard normal distribution over its distribution function, and the logarithm of the latter.
///
/// Near the middle by its series (Marsaglia 2004), far below by Laplace's continued fraction of Mills' ratio.
fn below(place: f64) -> (f64, f64) {
    if place < -4.0 {
        let mut fraction = -place;
        for term in (1..=40).rev() {
            fraction = f64::from(term) / fraction - place;
        }
        return (fraction, -place * place / 2.0 - LN_ROOT_TAU - fraction.ln());
    }
    let density = (-place * place / 2.0 - LN_ROOT_TAU).exp();
    if place > 8.0 {
        return (density, 0.0);
    }
    let (mut sum, mut term, mut odd) = (place, place, 1.0);
    while term.abs() > 1e-17 {
        odd += 2.0;
        term *= place * place / odd;
        sum += term;
    }
    let below = 0.5 + density * sum;
    (density / below, below.ln())
}

/// How likely a count is 0 before anything is known of it.
const EMPTY: f64 = 0.5;
/// How likely a count has the scale of the one before for that reason alone.
const SAME: f64 = 0.5;
/// From one scale to the next.
const STEP: f64 = 4.0;
/// `ln(sqrt(2π))`
const LN_ROOT_TAU: f64 = 0.918_938_533_204_672_8;

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_near(found: f64, expected: f64, least: f64) {
        let off = (found - expected).abs();
        assert!(
            off <= least * expected.abs().max(1e-300),
            "{found} {expected}"
        );
    }

    #[test]
    fn the_normal_distribution_is_as_in_tables() {
        for (place, expected) in [
            (-10.0, 7.619_853_024_160_527e-24),
            (-4.5, 3.397_673_124_730_06e-6),
            (-4.0, 3.167_124_183_311_992e-5),
            (-1.0, 0.158_655_253_931_457_05),
            (0.0, 0.5),
            (2.0, 0.977_249_868_051_820_8),
            (9.0, 1.0),
        ] {
            let (hazard, log_below) = below(place);
            check_near(log_below.exp(), expected, 1e-9);
            let density = (-place * place / 2.0 - LN_ROOT_TAU).exp();
            check_near(hazard, density / expected, 1e-9);
        }
    }

    /// Of one count, by adding up the prior times the noise in small steps.
    fn added_up(noisy: f64, variance: f64) -> Belief {
        let scales = ladder(&[noisy], variance.sqrt());
        let noise = |count: f64| (-(noisy - count).powi(2) / (2.0 * variance)).exp();
        let mut sums = [EMPTY * noise(0.0), 0.0, 0.0, 0.0];
        let (step, each) = (0.002, (1.0 - EMPTY) / scales.len() as f64);
        for place in 0..200_000 {
            let count = (f64::from(place) + 0.5) * step;
            let prior = scales.iter().map(|scale| (-count / scale).exp() / scale);
            let weight = each * prior.sum::<f64>() * noise(count) * step;
            for (power, sum) in sums.iter_mut().enumerate() {
                *sum += weight * count.powi(power as i32);
            }
        }
        let [first, second, third] = [1, 2, 3].map(|power| sums[power] / sums[0]);
        Belief {
            mean: first,
            variance: second - first * first,
            third: third - 3.0 * first * second + 2.0 * first.powi(3),
        }
    }

    #[test]
    fn a_lone_count_is_believed_as_its_prior_and_noise_say() {
        for (noisy, variance) in [(-15.0, 40.0), (0.0, 40.0), (9.0, 40.0), (60.0, 25.0)] {
            let found = beliefs(&[noisy], &[variance])[0];
            let expected = added_up(noisy, variance);
            check_near(found.mean, expected.mean, 1e-4);
            check_near(found.variance, expected.variance, 1e-4);
            check_near(found.third, expected.third, 1e-3);
        }
    }

    /// Of three counts.
    #[test]
    fn the_chain_weighs_scales_as_all_ways_through_it_do() {
        let (noisy, variances) = ([4.0, 200.0, 7.0], [30.0, 40.0, 40.0]);
        let scales = ladder(&noisy, 30.0_f64.sqrt());
        let pairs = noisy.iter().zip(variances);
        let seen: Vec<Vec<Seen>> = pairs.map(|(n, v)| of_scales(*n, v, &scales)).collect();
        let count = scales.len() + 1;
        let prior = |scale: usize| match scale {
            0 => EMPTY,
            _ => (1.0 - EMPTY) / scales.len() as f64,
        };
        let step =
            |a: usize, b: usize| f64::from(u8::from(a == b)) * SAME + (1.0 - SAME) * prior(b);
        let mut expected = vec![vec![0.0; count]; 3];
        for way in 0..count.pow(3) {
            let way = [way % count, way / count % count, way / count.pow(2)];
            let likely: f64 = (0..3).map(|i| seen[i][way[i]].likelihood).product();
            let likely = likely * prior(way[0]) * step(way[0], way[1]) * step(way[1], way[2]);
            (0..3).for_each(|i| expected[i][way[i]] += likely);
        }
        for (found, expected) in weights_of_scales(&seen).iter().zip(expected) {
            for (found, expected) in found.iter().zip(to_one(expected)) {
                assert!((found - expected).abs() < 1e-12, "{found} {expected}");
            }
        }
    }

    #[test]
    fn noise_in_empty_places_is_believed_less_than_beside_counts() {
        let variances = [40.0; 4];
        let empty = beliefs(&[0.0, 8.0, -3.0, 2.0], &variances)[1].mean;
        let among = beliefs(&[9.0, 8.0, 12.0, 10.0], &variances)[1].mean;
        assert!(empty < 4.0 && among > empty + 1.0, "{empty} {among}");
        let large = beliefs(&[900.0, 950.0, 1_000.0], &[40.0; 3])[1].mean;
        assert!((large - 950.0).abs() < 0.1, "{large}");
    }

    #[test]
    fn extreme_counts_are_believed_something_finite() {
        let noisy = [-1e12, 1e12, 0.0, -1.0, 1e-9];
        for belief in beliefs(&noisy, &[1.0, 1.0, 1e6, 40.0, 1.0]) {
            let all = [belief.mean, belief.variance, belief.third, belief.median()];
            assert!(all.iter().all(|value| value.is_finite()), "{belief:?}");
            assert!(belief.mean >= 0.0 && belief.variance >= 0.0, "{belief:?}");
        }
    }

    #[test]
    fn counts_without_noise_are_believed() {
        let found = beliefs(&[3.0, 0.0], &[0.0, 0.0]);
        let medians: Vec<f64> = found.iter().map(|belief| belief.median()).collect();
        assert_eq!(medians, [3.0, 0.0]);
    }
}
