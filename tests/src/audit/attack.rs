//! Guesses about coins from all that was released: for each canary, how well its own vector fits what noise leaves unexplained.
//!
//! The attacker knows all ordinary customers, all canaries, the models and the claimed scales. With Gaussian noise the inner
//! product of a canary's vectors with the rest, each sum weighted by its noise, is then the best statistic if the other coins are
//! known; they are not, so they are taken as half of a customer at first and by their own scores later. The final model is a
//! function of the released sums and adds nothing.

use anyhow::Result;
use aquifer_node::core::model::scores as model_scores;
use aquifer_shared::domain::predictor::ModelState;
use aquifer_shared::domain::predictor::arithmetic::{COUNT, residual};

use super::design::Study;
use super::path::Seen;
use super::planted::Planted;

/// For each canary, a number that is the larger the more the released vectors look as if it were in.
///
/// # Errors
///
/// Models that do not fit the tables.
pub fn scores(study: &Study, planted: &Planted, seen: &[Seen]) -> Result<Vec<f64>> {
    let sums = seen.iter().map(|seen| Evidence::of(study, planted, seen));
    let sums = sums.collect::<Result<Vec<Evidence>>>()?;
    let canaries = planted.canaries();
    let mut beliefs = vec![0.5; canaries.len()];
    let mut scores = vec![0.0; canaries.len()];
    for _ in 0..PASSES {
        scores.fill(0.0);
        sums.iter()
            .for_each(|sum| sum.add_to(&mut scores, canaries, &beliefs));
        for (belief, score) in beliefs.iter_mut().zip(&scores) {
            *belief = f64::midpoint(*belief, 1.0 / (1.0 + (-score).exp()));
        }
    }
    Ok(scores)
}

/// Right guesses about `guesses` coins: that half with the highest scores is in, that with the lowest is out.
#[must_use]
pub fn correct(scores: &[f64], coins: &[bool], guesses: usize) -> usize {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|a, b| scores[*a].total_cmp(&scores[*b]));
    let (out, included) = (guesses / 2, guesses - guesses / 2);
    let right_out = order[..out]
        .iter()
        .filter(|canary| !coins[**canary])
        .count();
    let last = &order[order.len() - included..];
    right_out + last.iter().filter(|canary| coins[**canary]).count()
}

/// One sum as the attacker reads it.
#[derive(Debug)]
pub(super) struct Evidence {
    /// Of each vector, what ordinary customers do not explain.
    pub(super) rest: Vec<Vec<f64>>,
    /// Position of every cell of every column.
    pub(super) positions: Vec<Vec<usize>>,
    /// What each canary adds to each of its cells.
    pub(super) amounts: Vec<f64>,
    /// The vector that each canary is in.
    view_of: Vec<usize>,
    variance: f64,
}

impl Evidence {
    pub(super) fn of(study: &Study, planted: &Planted, seen: &Seen) -> Result<Self> {
        let mut rest: Vec<Vec<f64>> = seen.views.iter().map(|view| reals(view)).collect();
        for (node, unit) in planted.units().iter().enumerate() {
            let known = seen.exact(unit, &unit.ordinary)?;
            let rest = rest[study.view_of(node)].iter_mut();
            rest.zip(known)
                .for_each(|(rest, known)| *rest -= known as f64);
        }
        let canaries = 0..planted.canaries().len();
        Ok(Self {
            rest,
            positions: positions(study, seen.model()),
            amounts: amounts(planted, seen)?,
            view_of: canaries
                .map(|canary| study.view_of(study.node_of(canary)))
                .collect(),
            variance: seen.sigma * seen.sigma,
        })
    }

    /// Adds the logarithm of the likelihood ratio of in and out, as if the other canaries were as believed.
    fn add_to(&self, scores: &mut [f64], canaries: &[Vec<usize>], beliefs: &[f64]) {
        let mut rest = self.rest.clone();
        for (canary, cells) in canaries.iter().enumerate() {
            let (own, view) = (self.amounts[canary] * beliefs[canary], self.view_of[canary]);
            self.at(cells)
                .for_each(|position| rest[view][position] -= own);
        }
        for (canary, cells) in canaries.iter().enumerate() {
            let (amount, view) = (self.amounts[canary], self.view_of[canary]);
            let found: f64 = self.at(cells).map(|position| rest[view][position]).sum();
            let size = cells.len() as f64;
            let own = size * amount * (beliefs[canary] - 0.5);
            scores[canary] += amount * (found + own) / self.variance;
        }
    }

    pub(super) fn at<'a>(&'a self, cells: &'a [usize]) -> impl Iterator<Item = usize> + 'a {
        self.positions
            .iter()
            .zip(cells)
            .map(|(feature, cell)| feature[*cell])
    }
}

/// What each canary adds to each of its cells: the node's own arithmetic.
fn amounts(planted: &Planted, seen: &Seen) -> Result<Vec<f64>> {
    let rows = planted.copies() as f64;
    let Some(model) = seen.model() else {
        return Ok(vec![rows * COUNT as f64; planted.canaries().len()]);
    };
    let bound = i64::from(seen.clip.min(seen.terms.cell_abs_max));
    let scores = model_scores(planted.alone(), model)?.into_iter();
    let amounts = scores.map(|score| rows * residual(true, score.into(), bound) as f64);
    Ok(amounts.collect())
}

/// Positions in a sum: of fine cells in the counting sum, of merged bins later.
fn positions(study: &Study, model: Option<&ModelState>) -> Vec<Vec<usize>> {
    let (mut start, mut fine) = (0, 0);
    let feature = |cells: usize| {
        let bins = (0..cells).map(|cell| match model {
            None => cell,
            Some(model) => model.bin_of_cell[fine + cell].into(),
        });
        let bins: Vec<usize> = bins.map(|bin| start + bin).collect();
        start = bins.iter().max().map_or(start, |last| last + 1);
        fine += cells;
        bins
    };
    study
        .shapes
        .iter()
        .map(|shape| shape.cells)
        .map(feature)
        .collect()
}

fn reals(sums: &[i64]) -> Vec<f64> {
    sums.iter().map(|sum| *sum as f64).collect()
}

/// Times that scores are computed; the first is linear in what was released.
const PASSES: usize = 6;
