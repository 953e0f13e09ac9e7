//! Percentiles from noisy counts of grid cells and of runs of cells, and the interval that holds the true one.
//!
//! Computed from noisy sums and public numbers, so it costs nothing and reveals nothing more.

use super::figure::{BlockSum, Figure, Sums, Z};
use aquifer_shared::domain::contract::NumberColumn;
use aquifer_shared::domain::question::{BlockKind, RUN_CELLS};

/// Contributions are rounded towards zero: sums of rows may be short by this much.
const ROUNDING: f64 = 0.01;

impl Sums<'_> {
    /// The first crossing of the distribution of the nearest counts that are not negative, linear inside a cell.
    ///
    /// The interval inverts a test of each cell: the true percentile lies above a cell's upper edge only if fewer than its share of
    /// the rows lie below, which noise hides in 1.25 of 100 answers; likewise for the other end. At least half of all answers have a
    /// total above 0, so among those that show a value at most 5 of 100 miss.
    pub(super) fn percentile(&self, place: u16, share: f64) -> Option<Figure> {
        let column = self.column(place)?;
        let grid = self.block(BlockKind::Grid(place))?;
        let counts = Counts::of(grid, self.block(BlockKind::Runs(place)));
        let cells = counts.cells.len();
        let mut below = Vec::with_capacity(cells);
        let mut total = 0.0;
        for count in &counts.cells {
            total += count;
            below.push(total);
        }
        if total <= 0.0 {
            return None;
        }
        let value = grid_position(column, crossing(&counts.rising(total), share * total));
        let sigma = |cell: usize| Z[1] * counts.sigma_below(cell + 1, share);
        let gap = |cell: usize| below[cell] - share * total;
        // Ranks between which SQL interpolates differ from share·rows by less than one row.
        let low = (0..cells).find(|cell| gap(*cell) + sigma(*cell) > -1.0 - ROUNDING);
        let high = (1..cells)
            .rev()
            .find(|cell| gap(cell - 1) - sigma(cell - 1) <= 1.0 + ROUNDING);
        let low = grid_position(column, low.unwrap_or(cells - 1) as f64).min(value);
        let high = grid_position(column, high.unwrap_or(0) as f64 + 1.0).max(value);
        Some(Figure {
            value: column.value_of(value),
            low: column.value_of(low),
            high: column.value_of(high),
        })
    }
}

/// The counts of cells that fit those of cells and of runs best (least squares), and how noisy they are.
struct Counts {
    cells: Vec<f64>,
    /// Variance of a cell within its run.
    within: f64,
    /// Variance of the count of each run.
    runs: Vec<f64>,
}

impl Counts {
    fn of(grid: &BlockSum, coarse: Option<&BlockSum>) -> Self {
        let within = grid.sigma * grid.sigma;
        let mut cells = grid.sums.clone();
        let mut runs = Vec::with_capacity(cells.len().div_ceil(RUN_CELLS));
        for (run, own) in cells.chunks_mut(RUN_CELLS).enumerate() {
            let added = within * own.len() as f64;
            let coarse = coarse.and_then(|coarse| Some((*coarse.sums.get(run)?, coarse.sigma)));
            let Some((counted, sigma)) = coarse.filter(|_| added > 0.0) else {
                runs.push(added);
                continue;
            };
            let apart = counted - own.iter().sum::<f64>();
            // By how much of that the sum of the cells moves towards the count of the run.
            let trust = added / (added + sigma * sigma);
            let part = trust * apart / own.len() as f64;
            own.iter_mut().for_each(|cell| *cell += part);
            runs.push(trust * sigma * sigma);
        }
        Self {
            cells,
            within,
            runs,
        }
    }

    /// The distribution, which never falls: the nearest counts with this total that are not negative, run by run, then cell by cell.
    fn rising(&self, total: f64) -> Vec<f64> {
        let mut runs: Vec<f64> = self
            .cells
            .chunks(RUN_CELLS)
            .map(|own| own.iter().sum())
            .collect();
        not_negative(&mut runs, total);
        let mut cells = self.cells.clone();
        for (own, counted) in cells.chunks_mut(RUN_CELLS).zip(runs) {
            not_negative(own, counted);
        }
        let mut below = 0.0;
        for cell in &mut cells {
            below += *cell;
            *cell = below;
        }
        cells
    }

    /// Deviation of the noise in the sum of the first cells, less a share of all.
    fn sigma_below(&self, first: usize, share: f64) -> f64 {
        let variance = self.runs.iter().enumerate().map(|(run, variance)| {
            let start = run * RUN_CELLS;
            let length = (self.cells.len() - start).min(RUN_CELLS);
            let inside = first.saturating_sub(start).min(length);
            // The mean weight of the cells of a run is that of its count; by what they differ, they have noise of their own.
            let part = inside as f64 / length as f64;
            (part - share).powi(2) * variance + part * (1.0 - part) * length as f64 * self.within
        });
        variance.sum::<f64>().sqrt()
    }
}

/// The value so many cells (a fraction too) above the lower bound, in units.
fn grid_position(column: &NumberColumn, cells: f64) -> f64 {
    let width = (column.high - column.low) as f64 / f64::from(column.grid);
    column.low as f64 + width * cells
}

/// The nearest counts (least squares) that are not negative and have this total: noise in empty cells goes, what is counted stays.
fn not_negative(counts: &mut [f64], total: f64) {
    let mut falling = counts.to_vec();
    falling.sort_unstable_by(|a, b| b.total_cmp(a));
    let (mut sum, mut less) = (0.0, f64::INFINITY);
    for (place, count) in falling.iter().enumerate() {
        sum += count;
        let each = (sum - total) / (place + 1) as f64;
        if *count <= each {
            break;
        }
        less = each;
    }
    counts
        .iter_mut()
        .for_each(|count| *count = (*count - less).max(0.0));
}

/// How many cells (a fraction of one too) lie below the first place where a rising curve reaches a height.
fn crossing(curve: &[f64], height: f64) -> f64 {
    let cell = curve.iter().position(|value| *value >= height);
    let cell = cell.unwrap_or(curve.len() - 1);
    let before = if cell == 0 { 0.0 } else { curve[cell - 1] };
    let rise = curve[cell] - before;
    let part = if rise > 0.0 {
        (height - before) / rise
    } else {
        0.0
    };
    cell as f64 + part.clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_counts(counts: &[f64], total: f64, expected: &[f64]) {
        let mut found = counts.to_vec();
        not_negative(&mut found, total);
        assert_eq!(found, expected, "{counts:?} of {total}");
    }

    #[test]
    fn counts_that_are_not_negative_keep_their_total() {
        check_counts(&[3.0, 1.0], 4.0, &[3.0, 1.0]);
        check_counts(&[3.0, -1.0], 2.0, &[2.0, 0.0]);
        check_counts(&[5.0, 3.0, -2.0], 6.0, &[4.0, 2.0, 0.0]);
        check_counts(&[-1.0, -3.0], 2.0, &[2.0, 0.0]);
        check_counts(&[2.0, -2.0], 0.0, &[0.0, 0.0]);
        check_counts(&[1.0, 2.0], -3.0, &[0.0, 0.0]);
    }
}
