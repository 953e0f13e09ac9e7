//! The coordinator's side of the additive predictor: turns released sums into curves.
//!
//! Post-processing only: it may be repeated by anybody who has the released sums, and gives the same model.

use ndarray::{Array1, Array2, ArrayView1, Axis, Slice};

use super::ModelState;
use super::arithmetic::{COUNT, CURVE_MAX, F, Q, half_up};
use super::bins::{Bins, choose_bins, level_totals, per_feature};
use super::linalg::{cholesky, solve};
use super::plan::Shape;

/// Variance of the prior of a step, and its split between neighbours and each bin alone.
const PRIOR_VARIANCE: f64 = 0.25;
const KERNEL: f64 = 0.9;
const NUGGET: f64 = 0.1;
/// Twice the length of the kernel, in quantiles.
const KERNEL_WIDTH: f64 = 0.4;
const STEP: f64 = 0.45;
const MOMENTUM: f64 = 0.4;
const BASE_STEP: f64 = 0.6;
/// A move is cut short if it overshot by this many standard deviations of the noise.
const OVERSHOOT_SDS: f64 = 2.0;
const SCALE_MIN: f64 = 0.1;
const RATE_MIN: f64 = 0.001;
/// Below this many customers nothing is learnt.
const CUSTOMERS_MIN: f64 = 200.0;
/// Customers per standard deviation of the counting noise, at least.
const CUSTOMERS_PER_SIGMA: f64 = 10.0;
/// Share of curve entries at their bound that a model may have.
const SATURATED_SHARE: f64 = 0.01;

/// Why learning stops without a model; what was spent stays spent.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Stop {
    /// The noisy number of customers is below 200, or below ten standard deviations of the noise.
    #[error("too_little_data: the noisy number of customers is too small for the noise")]
    TooLittleData,
    /// A figure is not finite, or a system could not be solved.
    #[error("not_finite: a step could not be computed")]
    NotFinite,
    /// More than 1 % of the curve entries are at their bound.
    #[error("saturated: more than 1 % of the curve entries are at their bound")]
    Saturated,
    /// A vector has another length than the plan says.
    #[error("wrong_length: a released sum does not have the plan's length")]
    WrongLength,
}

/// What one residual round did.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepReport {
    /// Size of the step, weighted by noisy counts, in log-odds.
    pub step_norm: f64,
    /// Totals of the features differ by no more than noise explains.
    pub consistent: bool,
    /// The last move was cut short.
    pub shortened: bool,
}

/// Bins, curves and base during a study.
#[derive(Clone, Debug)]
pub struct Learner {
    shapes: Vec<Shape>,
    bins: Bins,
    sizes: Vec<usize>,
    held: Array1<f64>,
    priors: Vec<Array2<f64>>,
    sigma_counts: f64,
    consistent: bool,
    base: i64,
    curves: Vec<i64>,
    velocity: Array1<f64>,
    base_velocity: f64,
    round: u32,
    weight: f64,
    rate_at_bound: bool,
    scale: f64,
    moved: Array1<f64>,
    slope: Array1<f64>,
    noise: Array1<f64>,
}

impl Learner {
    /// Chooses bins from the released counting sum.
    ///
    /// `sigma` is the standard deviation of its total noise, in the sum's own integers.
    ///
    /// # Errors
    ///
    /// [`Stop::TooLittleData`], or [`Stop::WrongLength`].
    pub fn after_counts(shapes: &[Shape], sums: &[i64], sigma: f64) -> Result<Self, Stop> {
        if sums.len() != shapes.iter().map(|shape| shape.cells).sum::<usize>() || shapes.is_empty()
        {
            return Err(Stop::WrongLength);
        }
        let sigma_counts = sigma / COUNT as f64;
        let (bins, consistent) = choose_bins(shapes, sums, sigma_counts);
        let needed = CUSTOMERS_MIN.max(CUSTOMERS_PER_SIGMA * sigma_counts);
        if bins.customers.is_nan() || bins.customers < needed {
            return Err(Stop::TooLittleData);
        }
        let sizes: Vec<usize> = bins.counts.iter().map(Vec::len).collect();
        let size = sizes.iter().sum();
        let priors = shapes
            .iter()
            .zip(&bins.counts)
            .map(|(shape, held)| prior(*shape, held))
            .collect();
        Ok(Self {
            shapes: shapes.to_vec(),
            held: bins.counts.iter().flatten().copied().collect(),
            bins,
            sizes,
            priors,
            sigma_counts,
            consistent,
            base: 0,
            curves: vec![0; size],
            velocity: Array1::zeros(size),
            base_velocity: 0.0,
            round: 0,
            weight: 0.25,
            rate_at_bound: false,
            scale: 1.0,
            moved: Array1::zeros(size),
            slope: Array1::zeros(size),
            noise: Array1::zeros(size),
        })
    }

    /// Takes in the released residual sum of the next round.
    ///
    /// `sigma` is the standard deviation of its total noise, in the sum's own integers.
    ///
    /// # Errors
    ///
    /// [`Stop::WrongLength`] or [`Stop::NotFinite`].
    pub fn step(&mut self, sums: &[i64], sigma: f64) -> Result<StepReport, Stop> {
        if sums.len() != self.held.len() {
            return Err(Stop::WrongLength);
        }
        let sigma = sigma / Q as f64;
        let residuals: Vec<f64> = sums.iter().map(|sum| *sum as f64 / Q as f64).collect();
        let levelled = level_totals(&residuals, &self.sizes, sigma);
        let (mut total, mut sums) = (levelled.total, Array1::from(levelled.sums));
        self.noise.fill(sigma * sigma * f64::from(1 + self.round));
        if self.round == 0 {
            self.start_at_base_rate(total, &mut sums);
            total = 0.0;
        }
        let shortened = self.shorten(&mut sums, sigma);
        let step = self.posterior_step(&sums)?;
        let step_norm = (step.mapv(|entry| entry * entry) * &self.held).sum() / self.held.sum();
        self.advance(&step, sums, total)?;
        self.consistent &= levelled.consistent;
        Ok(StepReport {
            step_norm: step_norm.sqrt(),
            consistent: levelled.consistent,
            shortened,
        })
    }

    /// The model as nodes need it for the next round.
    #[must_use]
    pub fn state(&self) -> ModelState {
        ModelState {
            base: self.base as i32,
            bin_of_cell: self.bins.bin_of_cell.iter().flatten().copied().collect(),
            curves: self.curves.iter().map(|entry| *entry as i32).collect(),
        }
    }

    /// Whether the model may be published as far as its curves tell.
    ///
    /// # Errors
    ///
    /// [`Stop::Saturated`].
    pub fn check_saturation(&self) -> Result<(), Stop> {
        let at_bound = self
            .curves
            .iter()
            .filter(|entry| entry.abs() >= CURVE_MAX)
            .count();
        if at_bound as f64 > SATURATED_SHARE * self.curves.len() as f64 {
            return Err(Stop::Saturated);
        }
        Ok(())
    }

    /// Bins and noisy counts.
    #[must_use]
    pub fn bins(&self) -> &Bins {
        &self.bins
    }

    /// The features, in contract order.
    #[must_use]
    pub fn shapes(&self) -> &[Shape] {
        &self.shapes
    }

    /// Merged bins of each feature.
    #[must_use]
    pub fn sizes(&self) -> &[usize] {
        &self.sizes
    }

    /// Totals of the features have agreed in every round so far, up to noise.
    #[must_use]
    pub fn consistent(&self) -> bool {
        self.consistent
    }

    /// The base rate was outside what the method can tell (warning `rate_at_bound`).
    #[must_use]
    pub fn rate_at_bound(&self) -> bool {
        self.rate_at_bound
    }

    /// Residual rounds taken in.
    #[must_use]
    pub fn rounds(&self) -> u32 {
        self.round
    }

    /// Current factor of the steps (1 unless moves were cut short).
    #[must_use]
    pub fn step_scale(&self) -> f64 {
        self.scale
    }

    /// Approximate standard deviation of every curve entry after the last round (noise and sampling), in log-odds.
    ///
    /// # Errors
    ///
    /// [`Stop::NotFinite`].
    pub fn bands(&self) -> Result<Vec<Vec<f64>>, Stop> {
        let (mut bands, mut start) = (Vec::with_capacity(self.sizes.len()), 0);
        for (prior, size) in self.priors.iter().zip(&self.sizes) {
            let lower = cholesky(&self.gram(prior, start)).ok_or(Stop::NotFinite)?;
            let reach = prior * &self.gains(start, *size);
            let variance = |bin: usize| {
                let row = reach.row(bin).to_owned();
                (prior[[bin, bin]] - row.dot(&solve(&lower, &row))).max(0.0)
            };
            bands.push((0..*size).map(|bin| variance(bin).sqrt()).collect());
            start += size;
        }
        Ok(bands)
    }

    /// Residuals of round 1 were taken at probability ½: moves them to the base rate.
    fn start_at_base_rate(&mut self, total: f64, sums: &mut Array1<f64>) {
        let raw = total / self.bins.customers + 0.5;
        let rate = raw.clamp(RATE_MIN, 1.0 - RATE_MIN);
        self.rate_at_bound = rate != raw;
        self.weight = rate * (1.0 - rate);
        self.base = half_up(F as f64 * (rate / (1.0 - rate)).ln());
        self.noise += ((rate - 0.5) * self.sigma_counts).powi(2);
        *sums -= &(&self.held * (rate - 0.5));
    }

    /// Ends the last move where the slope along it was zero, if the new sums say that it went too far by more than noise
    /// explains (predictor, 5.3). All features step at once, so correlated ones overshoot together.
    fn shorten(&mut self, sums: &mut Array1<f64>, sigma: f64) -> bool {
        let (uphill, now) = (self.slope.dot(&self.moved), sums.dot(&self.moved));
        let length = self.moved.dot(&self.moved).sqrt();
        if !(uphill > 0.0 && now < -OVERSHOOT_SDS * sigma * length) {
            return false;
        }
        let part = uphill / (uphill - now);
        for (entry, moved) in self.curves.iter_mut().zip(&self.moved) {
            let back = half_up(F as f64 * (1.0 - part) * moved);
            *entry = (*entry - back).clamp(-CURVE_MAX, CURVE_MAX);
        }
        *sums = &self.slope * (1.0 - part) + &*sums * part;
        self.scale = (self.scale * part).max(SCALE_MIN);
        self.velocity.fill(0.0);
        true
    }

    /// Posterior mean of the step of every feature, given sums = h · step + noise + sampling noise of variance h.
    fn posterior_step(&self, sums: &Array1<f64>) -> Result<Array1<f64>, Stop> {
        let mut all = Vec::with_capacity(sums.len());
        for (feature, prior) in self.priors.iter().enumerate() {
            let (start, size) = (all.len(), self.sizes[feature]);
            let lower = cholesky(&self.gram(prior, start)).ok_or(Stop::NotFinite)?;
            let own = part(sums, start, size).to_owned();
            let step = prior.dot(&(self.gains(start, size) * solve(&lower, &own)));
            let held = part(&self.held, start, size);
            let level = (&step * &held).sum() / held.sum();
            all.extend(step.iter().map(|entry| entry - level));
        }
        Ok(Array1::from(all))
    }

    /// `diag(h)·P·diag(h) + diag(noise + h)` for the feature whose bins begin at `start`.
    fn gram(&self, prior: &Array2<f64>, start: usize) -> Array2<f64> {
        let size = prior.nrows();
        let gains = self.gains(start, size);
        let mut gram =
            Array2::from_shape_fn((size, size), |(a, b)| gains[a] * prior[[a, b]] * gains[b]);
        for bin in 0..size {
            gram[[bin, bin]] += self.noise[start + bin] + gains[bin];
        }
        gram
    }

    /// Curvature of the loss in every bin: h = w · noisy count.
    fn gains(&self, start: usize, size: usize) -> Array1<f64> {
        &part(&self.held, start, size) * self.weight
    }

    fn advance(&mut self, step: &Array1<f64>, slope: Array1<f64>, total: f64) -> Result<(), Stop> {
        self.velocity = &self.velocity * MOMENTUM + &(step * (STEP * self.scale));
        let pull = total / (self.weight * self.bins.customers);
        self.base_velocity = MOMENTUM * self.base_velocity + BASE_STEP * pull;
        let finite =
            self.velocity.iter().all(|entry| entry.is_finite()) && self.base_velocity.is_finite();
        if !finite {
            return Err(Stop::NotFinite);
        }
        for ((entry, velocity), moved) in self
            .curves
            .iter_mut()
            .zip(&self.velocity)
            .zip(&mut self.moved)
        {
            let next = (*entry + half_up(F as f64 * velocity)).clamp(-CURVE_MAX, CURVE_MAX);
            *moved = (next - *entry) as f64 / F as f64;
            *entry = next;
        }
        self.slope = slope;
        let base_max = i64::from(i32::MAX / 2);
        self.base = (self.base + half_up(F as f64 * self.base_velocity)).clamp(-base_max, base_max);
        self.round += 1;
        Ok(())
    }
}

/// Learns again from released sums alone: counting sum first, then residual sums, each with the standard deviation of its
/// total noise in its own integers.
///
/// # Errors
///
/// As the learner's own steps.
pub fn replay(shapes: &[Shape], sums: &[(&[i64], f64)]) -> Result<Learner, Stop> {
    let ((counts, sigma), residuals) = sums.split_first().ok_or(Stop::WrongLength)?;
    let mut learner = Learner::after_counts(shapes, counts, *sigma)?;
    residuals
        .iter()
        .try_for_each(|(sums, sigma)| learner.step(sums, *sigma).map(drop))?;
    Ok(learner)
}

/// Middles of bins as shares of the customers before them.
#[must_use]
pub fn quantiles(held: &[f64]) -> Vec<f64> {
    let total: f64 = held.iter().sum();
    let before = held.iter().scan(0.0, |sum, count| {
        *sum += count;
        Some(*sum - count / 2.0)
    });
    before.map(|middle| middle / total).collect()
}

/// The entries of one feature.
fn part(all: &Array1<f64>, start: usize, size: usize) -> ArrayView1<'_, f64> {
    all.slice_axis(Axis(0), Slice::from(start..start + size))
}

/// Covariance of a step: near bins of an ordered feature move together, levels and *missing* alone.
fn prior(shape: Shape, held: &[f64]) -> Array2<f64> {
    let mut prior = Array2::eye(held.len()) * PRIOR_VARIANCE;
    let ordered = held.len() - 1;
    if !shape.ordered || ordered < 2 {
        return prior;
    }
    let middle = quantiles(&held[..ordered]);
    for a in 0..ordered {
        for b in 0..ordered {
            let near = (-(middle[a] - middle[b]).abs() / KERNEL_WIDTH).exp();
            let own = if a == b { NUGGET } else { 0.0 };
            prior[[a, b]] = PRIOR_VARIANCE * (KERNEL * near + own);
        }
    }
    prior
}

/// Slices the curves of a state into features.
#[must_use]
pub fn curves_by_feature(state: &ModelState, sizes: &[usize]) -> Vec<Vec<i32>> {
    per_feature(&state.curves, sizes)
        .map(<[i32]>::to_vec)
        .collect()
}
