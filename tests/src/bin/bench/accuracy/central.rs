//! A careful central implementation to compare with: all customers in one place, the same price, bounds and grid, noise and trees of
//! the same library.
//!
//! Means: half of the price for a count, half for a sum around the middle of the range. Percentiles: the better of a noisy histogram
//! and of a noisy tree over the same cells, made consistent by the library.

use anyhow::{Context, Result};
use aquifer_shared::domain::contract::NumberColumn;
use opendp::domains::{AtomDomain, VectorDomain};
use opendp::error::Error;
use opendp::measurements::make_gaussian;
use opendp::measures::ZeroConcentratedDivergence;
use opendp::metrics::L2Distance;
use opendp::transformations::{make_b_ary_tree, make_consistent_b_ary_tree};

/// Values of one group, in units, clamped.
pub struct Central<'a> {
    pub column: &'a NumberColumn,
    pub values: &'a [i64],
    pub rho: f64,
}

/// How the cells of a grid are released.
#[derive(Clone, Copy, Debug)]
pub enum Release {
    Histogram,
    /// With so many branches.
    Tree(u32),
}

impl Central<'_> {
    /// The noisy mean; none where the count comes out below 1.
    pub fn mean(&self) -> Result<Option<f64>> {
        let NumberColumn { low, high, .. } = *self.column;
        // Twice the distance from the middle, so that it is whole.
        let around = |value: &i64| 2 * value - low - high;
        let sum: i64 = self.values.iter().map(around).sum();
        let scale = (1.0 / self.rho).sqrt();
        let count = gaussian(&[self.values.len() as i64], scale)?[0];
        let sum = gaussian(&[sum], scale * (high - low) as f64)?[0];
        let middle = (low + high) as f64 / 2.0;
        let mean = middle + sum as f64 / 2.0 / count as f64;
        let mean = mean.clamp(low as f64, high as f64);
        Ok((count >= 1).then(|| self.column.value_of(mean)))
    }

    /// The noisy percentile; none where the total comes out below 1.
    pub fn percentile(&self, share: f64, release: Release) -> Result<Option<f64>> {
        let mut cells = vec![0_i64; usize::from(self.column.grid)];
        for value in self.values {
            cells[self.column.grid_cell(*value)] += 1;
        }
        let scale = (1.0 / (2.0 * self.rho)).sqrt();
        let counts: Vec<f64> = match release {
            Release::Histogram => {
                let noisy = gaussian(&cells, scale)?;
                noisy.into_iter().map(|count| count as f64).collect()
            }
            Release::Tree(branches) => tree(&cells, branches, scale)?,
        };
        Ok(crossing(&counts, share).map(|position| {
            let width = (self.column.high - self.column.low) as f64 / counts.len() as f64;
            self.column
                .value_of(self.column.low as f64 + width * position)
        }))
    }
}

/// The library's noise.
fn gaussian(exact: &[i64], scale: f64) -> Result<Vec<i64>> {
    let domain = VectorDomain::new(AtomDomain::<i64>::default());
    let measurement = make_gaussian::<_, _, ZeroConcentratedDivergence>(
        domain,
        L2Distance::<f64>::default(),
        scale,
        None,
    );
    let measurement = measurement.map_err(library)?;
    measurement.invoke(&exact.to_vec()).map_err(library)
}

/// Every layer of the tree changes by one where one customer comes or goes: the norm is the root of their number.
fn tree(cells: &[i64], branches: u32, scale: f64) -> Result<Vec<f64>> {
    let domain = VectorDomain::new(AtomDomain::<i64>::default());
    let metric = L2Distance::<f64>::default();
    let leaves = u32::try_from(cells.len())?;
    let tree = make_b_ary_tree(domain, metric, leaves, branches).map_err(library)?;
    let nodes = tree.invoke(&cells.to_vec()).map_err(library)?;
    let layers = (leaves as f64).log(branches.into()).ceil() + 1.0;
    let noisy = gaussian(&nodes, scale * layers.sqrt())?;
    let consistent = make_consistent_b_ary_tree::<i64, f64>(branches).map_err(library)?;
    consistent.eval(&noisy).map_err(library)
}

/// Where the cumulative counts, never falling, first reach the share, linear inside a cell.
fn crossing(counts: &[f64], share: f64) -> Option<f64> {
    let total: f64 = counts.iter().sum();
    if total < 1.0 {
        return None;
    }
    let (mut below, mut highest) = (0.0_f64, 0.0_f64);
    for (cell, count) in counts.iter().enumerate() {
        below += count;
        if below >= share * total {
            let rise = below - highest;
            let part = (share * total - highest) / rise;
            return Some(cell as f64 + part.clamp(0.0, 1.0));
        }
        highest = highest.max(below);
    }
    Some(counts.len() as f64)
}

fn library(error: Error) -> anyhow::Error {
    anyhow::anyhow!("the noise library failed: {:?}", error.variant)
}

/// The exact percentile as SQL has it.
pub fn percentile_cont(sorted: &[i64], share: f64) -> Result<f64> {
    let last = sorted.len().checked_sub(1).context("a value is there")?;
    let rank = share * last as f64;
    let (below, above) = (sorted[rank.floor() as usize], sorted[rank.ceil() as usize]);
    Ok(below as f64 + (above - below) as f64 * rank.fract())
}
