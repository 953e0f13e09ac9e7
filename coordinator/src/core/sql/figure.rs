//! Readings of released sums: a value and the interval that holds the true one in 95 of 100 answers, as far as noise goes.
//!
//! Everything here is computed from noisy sums and public numbers, so it costs nothing and reveals nothing more.

use super::reading::{Reading, count_block};
use aquifer_shared::domain::contract::{NumberColumn, Published};
use aquifer_shared::domain::question::{BlockKind, doubled, number};

/// Noisy sums of one group, in units of their blocks.
#[derive(Clone, Debug)]
pub(super) struct Sums<'a> {
    /// The table that was asked about.
    pub table: &'a Published,
    /// The blocks.
    pub blocks: Vec<BlockSum>,
}

/// Noisy sums of one block: one, or as many as a grid has cells.
#[derive(Clone, Debug)]
pub(super) struct BlockSum {
    /// Which block.
    pub kind: BlockKind,
    /// The sums.
    pub sums: Vec<f64>,
    /// Standard deviation of the noise in each.
    pub sigma: f64,
}

/// A value with its interval; counts are whole. `None` where noise leaves nothing to say.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Figure {
    /// The value.
    pub value: f64,
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// Two-sided quantiles of the normal distribution for 5 %, and for 5 % shared by two and by three.
///
/// The noise of a sum is a discrete Gaussian, or a sum of some, with a deviation of at least 16 integers (`SIGMA_MIN`): its tails are
/// those of the normal distribution far beyond these digits.
pub(super) const Z: [f64; 3] = [1.959_964, 2.241_403, 2.393_980];

impl Sums<'_> {
    pub(super) fn block(&self, kind: BlockKind) -> Option<&BlockSum> {
        self.blocks.iter().find(|block| block.kind == kind)
    }

    fn single(&self, kind: BlockKind) -> Option<(f64, f64)> {
        let block = self.block(kind)?;
        Some((*block.sums.first()?, block.sigma))
    }

    pub(super) fn column(&self, column: u16) -> Option<&NumberColumn> {
        number(&self.table.columns.get(usize::from(column))?.kind)
    }

    /// The noisy number of customers, of rows, or of rows with a value: what comes first is there.
    pub(super) fn size(&self) -> Option<f64> {
        let counts = self.blocks.iter().filter(|block| {
            matches!(
                block.kind,
                BlockKind::Units | BlockKind::Rows | BlockKind::Values(_)
            )
        });
        counts.min_by_key(|block| block.kind)?.sums.first().copied()
    }

    /// Reads an aggregate.
    pub(super) fn read(&self, reading: &Reading, negative_counts: bool) -> Option<Figure> {
        match *reading {
            Reading::Count(kind) => {
                let (sum, sigma) = self.single(kind)?;
                Some(count(sum, sigma, negative_counts))
            }
            Reading::Sum(column) => self.sum(column),
            Reading::Mean(column) => self.mean(column),
            Reading::Variance(column) => self.variance(column),
            Reading::Deviation(column) => {
                let variance = self.variance(column)?;
                Some(Figure {
                    value: variance.value.sqrt(),
                    low: variance.low.sqrt(),
                    high: variance.high.sqrt(),
                })
            }
            Reading::Percentile(column, share) => self.percentile(column, share.to_f64()),
        }
    }

    /// Half of the interval of a count or a sum, which does not depend on the group.
    pub(super) fn half_width(&self, reading: &Reading) -> Option<f64> {
        match *reading {
            Reading::Count(kind) => Some(Z[0] * self.single(kind)?.1),
            Reading::Sum(column) => {
                let figure = self.sum(column)?;
                Some((figure.high - figure.low) / 2.0)
            }
            _ => None,
        }
    }

    /// A sum that is read from the blocks of a mean is that mean times the count that is shown, where there is a mean.
    fn sum(&self, place: u16) -> Option<Figure> {
        let column = self.column(place)?;
        let read = |sum: f64, sigma: f64| {
            let half = Z[0] * sigma;
            [sum, sum - half, sum + half].map(|sum| column.value_of(sum))
        };
        if let Some((sum, sigma)) = self.single(BlockKind::Sum(place)) {
            let [value, low, high] = read(sum, sigma);
            return Some(Figure { value, low, high });
        }
        let (count, count_sigma) = self.single(count_block(self.table, place))?;
        let (centred, centred_sigma) = self.single(BlockKind::Centred(place))?;
        let middle = middle(column);
        let sigma = (middle * count_sigma).hypot(centred_sigma / 2.0);
        let [sum, low, high] = read(middle * count + centred / 2.0, sigma);
        let mean = self.mean(place);
        let value = mean.map_or(sum, |mean| mean.value * count.round());
        Some(Figure {
            value,
            low: low.min(value),
            high: high.max(value),
        })
    }

    /// The number of values as it is shown, if noise leaves it above 0, and its box.
    ///
    /// There is a whole number of them: rounding adds a twelfth to the variance of the noise at most, and figures of one row agree.
    fn boxed(&self, place: u16, parts: usize) -> Option<(f64, (f64, f64))> {
        let (sum, sigma) = self.single(count_block(self.table, place))?;
        let half = Z[parts - 1] * sigma;
        let count = sum.round();
        let ends = ((sum - half).min(count), (sum + half).max(count));
        (sum - half > 0.0 && count > 0.0).then_some((count, ends))
    }

    fn mean(&self, place: u16) -> Option<Figure> {
        let column = self.column(place)?;
        let (count, (fewest, most)) = self.boxed(place, 2)?;
        let (centred, sigma) = self.single(BlockKind::Centred(place))?;
        let (sum, half) = (centred / 2.0, Z[1] * sigma / 2.0);
        let (least, largest) = (sum - half, sum + half);
        let (middle, low, high) = (middle(column), column.low as f64, column.high as f64);
        let within = |ratio: f64| column.value_of((middle + ratio).clamp(low, high));
        Some(Figure {
            value: within(sum / count),
            low: within(least / if least < 0.0 { fewest } else { most }),
            high: within(largest / if largest < 0.0 { most } else { fewest }),
        })
    }

    fn variance(&self, place: u16) -> Option<Figure> {
        let column = self.column(place)?;
        let (count, (fewest, most)) = self.boxed(place, 3)?;
        let (centred, centred_sigma) = self.single(BlockKind::Centred(place))?;
        let (squares, squares_sigma) = self.single(BlockKind::Squares(place))?;
        let quarter = if doubled(column) { 0.125 } else { 0.25 };
        let (first, second) = (centred / 2.0, squares * quarter);
        let first_half = Z[2] * centred_sigma / 2.0;
        let second_half = Z[2] * squares_sigma * quarter;
        let half_range = (column.high - column.low) as f64 / 2.0;
        let offset = half_range * half_range / 2.0;
        // With u = 1/C: second·u + offset - first²·u², a parabola that opens downwards.
        let at = |second: f64, square: f64, u: f64| second * u + offset - square * u * u;
        let (u_low, u_high) = (1.0 / most, 1.0 / fewest);
        let far = (first.abs() + first_half).powi(2);
        let near = (first.abs() - first_half).max(0.0).powi(2);
        let low = second - second_half;
        let low = at(low, far, u_low).min(at(low, far, u_high));
        let top = second + second_half;
        let peak = if near > 0.0 {
            (top / (2.0 * near)).clamp(u_low, u_high)
        } else {
            u_high
        };
        let high = [u_low, peak, u_high].map(|u| at(top, near, u));
        let high = high.into_iter().fold(f64::NEG_INFINITY, f64::max);
        // No population inside the bounds has a larger variance than h².
        let limit = half_range * half_range;
        let scale = column.value_of(1.0).powi(2);
        let within = |variance: f64| variance.clamp(0.0, limit) * scale;
        Some(Figure {
            value: within(at(second, first * first, 1.0 / count)),
            low: within(low),
            high: within(high),
        })
    }
}

fn middle(column: &NumberColumn) -> f64 {
    (column.low as f64 + column.high as f64) / 2.0
}

fn count(sum: f64, sigma: f64, negative_counts: bool) -> Figure {
    let half = Z[0] * sigma;
    let value = sum.round();
    let (low, high) = ((sum - half).ceil(), (sum + half).floor());
    let (low, high) = if low > high {
        (value, value)
    } else {
        (low, high)
    };
    // A true count is never below zero, so cutting the interval there loses nothing.
    let least = if negative_counts {
        f64::NEG_INFINITY
    } else {
        0.0
    };
    Figure {
        value: value.max(least),
        low: low.max(least),
        high: high.max(least),
    }
}

#[cfg(test)]
#[path = "figure_tests.rs"]
mod tests;
