//! Percentiles from noisy counts of grid cells and of runs of cells, and the interval that holds the true one.
//!
//! Computed from noisy sums and public numbers, so it costs nothing and reveals nothing more.

use super::figure::{BlockSum, Figure, Sums, Z};
use super::posterior::{Belief, beliefs};
use aquifer_shared::domain::contract::NumberColumn;
use aquifer_shared::domain::question::{BlockKind, RUN_CELLS};

/// Contributions are rounded towards zero: sums of rows may be short by this much.
const ROUNDING: f64 = 0.01;

impl Sums<'_> {
    /// Where the rows below are as likely more than their share as less, linear inside a cell.
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
        let value = grid_position(column, counts.crossing(share));
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

    /// How many cells (a fraction of one too) lie below the first place where the rows below are believed to reach their share.
    ///
    /// In long tails nearly all counts are 0. Counts that are only kept from being negative keep half of the noise there, and so move
    /// percentiles outwards; what is believed of each run under a prior that knows of empty ones ([`beliefs`]) does not. The place is
    /// the median of the belief, which has the least absolute error. Inside its run rows lie as in the nearest counts that are not
    /// negative.
    fn crossing(&self, share: f64) -> f64 {
        let noisy = self.cells.chunks(RUN_CELLS).map(|own| own.iter().sum());
        let runs = beliefs(&noisy.collect::<Vec<f64>>(), &self.runs);
        let gaps: Vec<f64> = (0..=runs.len()).map(|end| gap(&runs, end, share)).collect();
        let run = (0..runs.len()).find(|run| gaps[run + 1] >= 0.0);
        let run = run.unwrap_or(runs.len() - 1);
        let start = run * RUN_CELLS;
        let own = self.cells[start..].iter().take(RUN_CELLS);
        let mut own: Vec<f64> = own.copied().collect();
        not_negative(&mut own, runs[run].mean);
        let own = rising(&own);
        let height = own[own.len() - 1] * part(gaps[run], 0.0, gaps[run + 1]);
        start as f64 + crossing(&own, height)
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

/// By how many rows those of the first runs are believed to be more than a share of all.
fn gap(runs: &[Belief], end: usize, share: f64) -> f64 {
    let sum = |runs: &[Belief]| {
        let sum = runs.iter().copied().reduce(Belief::and);
        sum.unwrap_or_default()
    };
    let (below, above) = (sum(&runs[..end]), sum(&runs[end..]));
    below.times(1.0 - share).and(above.times(-share)).median()
}

/// Sums of the first counts.
fn rising(counts: &[f64]) -> Vec<f64> {
    let sums = counts.iter().scan(0.0, |below, count| {
        *below += count;
        Some(*below)
    });
    sums.collect()
}

/// How many cells (a fraction of one too) lie below the first place where a rising curve reaches a height.
fn crossing(curve: &[f64], height: f64) -> f64 {
    let cell = curve.iter().position(|value| *value >= height);
    let cell = cell.unwrap_or(curve.len() - 1);
    let before = if cell == 0 { 0.0 } else { curve[cell - 1] };
    cell as f64 + part(before, height, curve[cell])
}

/// How far a height lies on the way from one to another, 0 to 1.
fn part(from: f64, height: f64, to: f64) -> f64 {
    if to > from {
        return ((height - from) / (to - from)).clamp(0.0, 1.0);
    }
    0.0
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::Chance;
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

    fn noisy(kind: BlockKind, exact: &[f64], chance: &mut Chance) -> BlockSum {
        let sigma = 6.0;
        let sums = exact.iter().map(|count| count + sigma * chance.normal());
        BlockSum {
            kind,
            sums: sums.collect(),
            sigma,
        }
    }

    /// The place where the nearest counts that are not negative (run by run, then cell by cell) reach the share.
    fn nearest(counts: &Counts, share: f64) -> f64 {
        let mut runs: Vec<f64> = counts
            .cells
            .chunks(RUN_CELLS)
            .map(|own| own.iter().sum())
            .collect();
        let total = runs.iter().sum();
        not_negative(&mut runs, total);
        let mut cells = counts.cells.clone();
        for (own, counted) in cells.chunks_mut(RUN_CELLS).zip(runs) {
            not_negative(own, counted);
        }
        crossing(&rising(&cells), share * total)
    }

    /// Mean absolute errors in cells over 1,000 answers, of the estimate and of the nearest counts. The seed is fixed.
    fn errors(exact: &[f64], share: f64) -> (f64, f64) {
        let runs: Vec<f64> = exact
            .chunks(RUN_CELLS)
            .map(|own| own.iter().sum())
            .collect();
        let truth = crossing(&rising(exact), share * exact.iter().sum::<f64>());
        let mut chance = Chance(11);
        let (mut ours, mut others) = (0.0, 0.0);
        for _ in 0..1_000 {
            let grid = noisy(BlockKind::Grid(0), exact, &mut chance);
            let coarse = noisy(BlockKind::Runs(0), &runs, &mut chance);
            let counts = Counts::of(&grid, Some(&coarse));
            ours += (counts.crossing(share) - truth).abs() / 1e3;
            others += (nearest(&counts, share) - truth).abs() / 1e3;
        }
        (ours, others)
    }

    /// Counts of 64 cells, each so many times the one before.
    fn falling(first: f64, ratio: f64) -> Vec<f64> {
        (0..64).map(|cell| first * ratio.powi(cell)).collect()
    }

    #[track_caller]
    fn check_closer(exact: &[f64], share: f64, most: f64) {
        let (ours, others) = errors(exact, share);
        assert!(ours <= most * others, "{ours} {others}");
    }

    #[test]
    fn thin_tails_do_not_draw_percentiles_outwards() {
        check_closer(&falling(15.0, 0.85), 0.9, 0.6);
        check_closer(&falling(40.0, 0.9), 0.9, 0.9);
    }

    #[test]
    fn other_shapes_are_read_about_as_closely_as_by_the_nearest_counts() {
        check_closer(&falling(2_000.0, 0.9), 0.9, 1.05);
        check_closer(&[8.0; 64], 0.5, 1.1);
        check_closer(&[8.0; 64], 0.9, 1.1);
        check_closer(&[100.0; 64], 0.25, 1.02);
    }

    #[test]
    fn without_noise_the_share_is_met_exactly() {
        let exact = falling(1_000.0, 0.9);
        for share in [0.0, 0.1, 0.5, 0.9, 1.0] {
            let cells = exact.clone();
            let counts = Counts {
                within: 0.0,
                runs: vec![0.0; 8],
                cells,
            };
            let expected = crossing(&rising(&exact), share * exact.iter().sum::<f64>());
            let found = counts.crossing(share);
            assert!((found - expected).abs() < 1e-9, "{found} {expected}");
        }
    }
}
