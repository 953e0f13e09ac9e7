//! Whether noise is shared: noise of nodes, sums and cells on zero input, held against each other.
//!
//! Canaries cannot see a stream that two nodes share, as equal noise adds up to more noise. For independent draws the sum of
//! products of two lists, over the scale and the length of the second, is sub-Gaussian with variance proxy 1 given the second
//! (Canonne, Kamath and Steinke 2020): it passes t with probability at most 2·exp(−t²/2), for each pair.

use anyhow::Result;
use aquifer_shared::domain::sum::{Part, RoundTerms};
use aquifer_shared::protocol::wire::TaskBody;

use super::design::Study;
use super::fault::Source;
use super::path::Seen;
use super::planted::Planted;

/// What has the same noise.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Between {
    /// Two nodes in one sum.
    Nodes,
    /// Two sums.
    Sums,
    /// Two cells.
    Cells,
}

/// The strongest correlation of all pairs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Correlation {
    /// Between what it is.
    pub between: Between,
    /// Standard deviations that it is away from none.
    pub deviations: f64,
    /// Pairs that were compared.
    pub pairs: usize,
}

impl Correlation {
    /// Whether noise is shared. False alarms: [`Correlation::false_alarm`].
    #[must_use]
    pub fn is_shared(&self) -> bool {
        self.deviations > DEVIATIONS_MAX
    }

    /// The largest chance that independent noise is taken for shared.
    #[must_use]
    pub fn false_alarm(&self) -> f64 {
        self.pairs as f64 * 2.0 * (-DEVIATIONS_MAX * DEVIATIONS_MAX / 2.0).exp()
    }
}

/// Nodes add up nothing, add their noise, and all pairs of vectors and of cells are compared.
///
/// # Errors
///
/// Noise that cannot be drawn.
pub fn probe(study: &Study, planted: &Planted, source: &mut Source) -> Result<Correlation> {
    let nodes = planted.units().len().min(NODES_MAX);
    let scale = study.rounds[0].sigma_share;
    let mut vectors: Vec<Vec<f64>> = Vec::new();
    for _ in 0..VECTORS.div_ceil(nodes) {
        for (node, unit) in planted.units().iter().take(nodes).enumerate() {
            let empty = nothing(study).exact(unit, &unit.ordinary)?;
            let noise = source.draw(node, scale, empty.len())?;
            let sums = empty
                .iter()
                .zip(noise)
                .map(|(exact, noise)| (exact + noise) as f64);
            vectors.push(sums.collect());
        }
    }
    let cells: Vec<Vec<f64>> = (0..CELLS)
        .map(|cell| vectors.iter().map(|vector| vector[cell]).collect())
        .collect();
    let between = |first: usize, second: usize| match first / nodes == second / nodes {
        true => Between::Nodes,
        false => Between::Sums,
    };
    let mut all = pairs(&vectors, scale, between);
    all.extend(pairs(&cells, scale, |_, _| Between::Cells));
    let pairs = all.len();
    let strongest = all.into_iter().max_by(|a, b| a.1.total_cmp(&b.1));
    let (between, deviations) = strongest.unwrap_or((Between::Cells, 0.0));
    Ok(Correlation {
        between,
        deviations,
        pairs,
    })
}

fn pairs(
    lists: &[Vec<f64>],
    scale: u64,
    between: impl Fn(usize, usize) -> Between,
) -> Vec<(Between, f64)> {
    let mut found = Vec::new();
    for (second, of) in lists.iter().enumerate() {
        let length = of.iter().map(|draw| draw * draw).sum::<f64>().sqrt();
        for (first, with) in lists[..second].iter().enumerate() {
            let product: f64 = with.iter().zip(of).map(|(a, b)| a * b).sum();
            let deviations = product.abs() / (scale as f64 * length.max(1.0));
            found.push((between(first, second), deviations));
        }
    }
    found
}

/// A task that reads no customer.
fn nothing(study: &Study) -> Seen {
    let terms = RoundTerms {
        part: Part::Training,
        cells_max: CELLS as u32,
        ..study.rounds[0]
    };
    Seen {
        body: TaskBody::Synthetic(CELLS as u32),
        terms,
        clip: study.clip,
        views: Vec::new(),
        sigma: 0.0,
    }
}

/// Further nodes cost draws and show nothing that two do not, unless only they share.
const NODES_MAX: usize = 8;
/// Cells and vectors: a shared pair is about 8 standard deviations away from none.
const CELLS: usize = 64;
const VECTORS: usize = 64;
/// With all pairs, independent noise passes this with probability below 10⁻⁶.
const DEVIATIONS_MAX: f64 = 6.8;
