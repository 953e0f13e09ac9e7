//! The step of a residual round: base and curves move to where the released sums point, no further than noise allows.

use ndarray::{Array1, ArrayView1, Axis, Slice};

use super::arithmetic::{CURVE_MAX, F, Q, SCORE_MAX, half_up};
use super::bins::FeatureBins;
use super::prior::Prior;
use super::stop::Stop;
use super::totals::level;

/// What one residual round did.
#[derive(Clone, Debug, PartialEq)]
pub struct StepReport {
    /// Residual round, from 1.
    pub round: usize,
    /// Whether the features' totals agreed; otherwise a person should look before the study goes on.
    pub consistent: bool,
    /// Length of the step, weighted by customers, in log-odds; falls as the model settles.
    pub step: f64,
    /// Factor on this and later steps; below 1 once a move went too far.
    pub scale: f64,
}

/// What the counting round fixed.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Frame {
    pub bins: Vec<FeatureBins>,
    pub sizes: Vec<usize>,
    pub priors: Vec<Prior>,
    pub counts: Array1<f64>,
    pub customers: f64,
    pub sigma_counts: f64,
    pub clip: u32,
    pub consistent: bool,
}

/// What residual rounds change.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Fit {
    pub base: i64,
    pub curves: Array1<i64>,
    pub velocity: Array1<f64>,
    pub base_velocity: f64,
    pub scale: f64,
    /// Last change of the curves, in log-odds.
    pub last: Array1<f64>,
    /// The sums that the last change was computed from.
    pub slope: Array1<f64>,
    /// Curvature at the base rate: rate·(1 − rate).
    pub weight: f64,
    pub rate_at_bound: bool,
    pub noise: Array1<f64>,
    pub reports: Vec<StepReport>,
}

impl Frame {
    pub fn new(
        bins: Vec<FeatureBins>,
        customers: f64,
        sigma_counts: f64,
        clip: u32,
        consistent: bool,
    ) -> Self {
        Self {
            sizes: bins.iter().map(|bins| bins.counts.len()).collect(),
            priors: bins.iter().map(Prior::of).collect(),
            counts: bins.iter().flat_map(|bins| bins.counts.clone()).collect(),
            bins,
            customers,
            sigma_counts,
            clip,
            consistent,
        }
    }

    /// Calls `own` for every feature with the range of its bins; `None` as soon as it says so.
    pub fn each<T>(
        &self,
        mut own: impl FnMut(usize, (usize, usize)) -> Option<T>,
    ) -> Option<Vec<T>> {
        let mut start = 0;
        let range = |(feature, size): (usize, &usize)| {
            let range = (start, start + size);
            start = range.1;
            own(feature, range)
        };
        self.sizes.iter().enumerate().map(range).collect()
    }
}

impl Fit {
    pub fn start(size: usize) -> Self {
        Self {
            base: 0,
            curves: Array1::zeros(size),
            velocity: Array1::zeros(size),
            base_velocity: 0.0,
            scale: 1.0,
            last: Array1::zeros(size),
            slope: Array1::zeros(size),
            weight: 0.25,
            rate_at_bound: false,
            noise: Array1::zeros(size),
            reports: Vec::new(),
        }
    }

    pub fn step(&mut self, frame: &Frame, sums: &[i64], sigma: f64) -> Result<StepReport, Stop> {
        let done = self.reports.len();
        let not_finite = Stop::NotFinite { round: done + 1 };
        let residuals: Vec<f64> = sums.iter().map(|sum| *sum as f64 / Q as f64).collect();
        let level = level(&residuals, &frame.sizes, sigma);
        let (mut g, mut total) = (Array1::from_vec(level.corrected), level.total);
        self.noise = Array1::from_elem(g.len(), sigma * sigma * (1 + done) as f64);
        if done == 0 {
            self.take_rate(frame, &mut g, total);
            total = 0.0;
        }
        let g = self.shorten(g, sigma);
        let step = self.direction(frame, &g).ok_or(not_finite.clone())?;
        self.velocity = MOMENTUM * &self.velocity + STEP * self.scale * &step;
        let base_step = BASE_STEP * total / (self.weight * frame.customers);
        self.base_velocity = MOMENTUM * self.base_velocity + base_step;
        let finite = |values: &Array1<f64>| values.iter().all(|value| value.is_finite());
        if !(finite(&self.velocity) && self.base_velocity.is_finite()) {
            return Err(not_finite);
        }
        let before = std::mem::take(&mut self.curves);
        self.curves = changed(&before, &self.velocity, 1);
        self.last = (&self.curves - &before).mapv(|change| change as f64 / F as f64);
        self.slope = g;
        self.base = (self
            .base
            .saturating_add(half_up(F as f64 * self.base_velocity)))
        .clamp(-SCORE_MAX, SCORE_MAX);
        let squares = (&step * &step * &frame.counts).sum() / frame.counts.sum();
        let report = StepReport {
            round: done + 1,
            consistent: level.consistent,
            step: squares.sqrt(),
            scale: self.scale,
        };
        self.reports.push(report.clone());
        Ok(report)
    }

    /// First round only: residuals were taken at probability one half, so they are moved to the base rate, which sets the
    /// base score; the noise of the counts comes along.
    fn take_rate(&mut self, frame: &Frame, g: &mut Array1<f64>, total: f64) {
        let found = total / frame.customers + 0.5;
        let rate = found.clamp(RATE_MIN, 1.0 - RATE_MIN);
        self.rate_at_bound = !(RATE_MIN < found && found < 1.0 - RATE_MIN);
        self.weight = rate * (1.0 - rate);
        self.base = half_up(F as f64 * (rate / (1.0 - rate)).ln());
        self.noise += ((rate - 0.5) * frame.sigma_counts).powi(2);
        g.scaled_add(-(rate - 0.5), &frame.counts);
    }

    /// All features step at once, so strongly correlated ones overshoot together. If the new sums say that the last move
    /// went too far, by more than noise explains, it is ended where the slope along it was zero (secant), momentum is
    /// dropped and later steps stay smaller. Returns the sums as they would be there (linear in between).
    fn shorten(&mut self, g: Array1<f64>, sigma: f64) -> Array1<f64> {
        let (uphill, now) = (self.slope.dot(&self.last), g.dot(&self.last));
        let length = self.last.dot(&self.last).sqrt();
        if !(uphill > 0.0 && now < -OVERSHOOT_DEVIATIONS * sigma * length) {
            return g;
        }
        let share = uphill / (uphill - now);
        let back = (1.0 - share) * &self.last;
        self.curves = changed(&self.curves, &back, -1);
        self.scale = (self.scale * share).max(SCALE_MIN);
        self.velocity.fill(0.0);
        (1.0 - share) * &self.slope + share * &g
    }

    /// The step of all features, each centred by customers: the base owns the level.
    fn direction(&self, frame: &Frame, g: &Array1<f64>) -> Option<Array1<f64>> {
        let h = self.weight * &frame.counts;
        let steps = frame.each(|feature, range| {
            let (h, noise) = (part(&h, range), part(&self.noise, range));
            let mut step = frame.priors[feature].step(h, noise, part(g, range))?;
            let counts = part(&frame.counts, range);
            step -= step.dot(&counts) / counts.sum();
            Some(step.to_vec())
        })?;
        Some(Array1::from_vec(steps.concat()))
    }
}

/// The bins of one feature in a list over all.
pub(super) fn part<T>(values: &Array1<T>, (start, end): (usize, usize)) -> ArrayView1<'_, T> {
    values.slice_axis(Axis(0), Slice::from(start..end))
}

/// Curves after adding (`sign` 1) or taking back (−1) a change in log-odds, rounded and held within bounds.
fn changed(curves: &Array1<i64>, change: &Array1<f64>, sign: i64) -> Array1<i64> {
    let pairs = curves.iter().zip(change);
    pairs
        .map(|(entry, change)| entry.saturating_add(sign * half_up(F as f64 * change)))
        .map(|entry| entry.clamp(-CURVE_MAX, CURVE_MAX))
        .collect()
}

/// The base rate is kept this far from 0 and 1.
const RATE_MIN: f64 = 0.001;
/// What a curve keeps of its last change.
const MOMENTUM: f64 = 0.4;
/// Part of a step that is taken.
const STEP: f64 = 0.45;
/// The same for the base.
const BASE_STEP: f64 = 0.6;
/// A move is cut short if it overshot by this many standard deviations of the noise.
const OVERSHOOT_DEVIATIONS: f64 = 2.0;
/// Smallest factor on steps.
const SCALE_MIN: f64 = 0.1;
