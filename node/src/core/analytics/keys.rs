//! Group keys over codes: which value of a key a row has.

use aquifer_shared::domain::contract::published::{NumberColumn, PublishedKind};
use aquifer_shared::domain::question::{Key, Period, RUN_CELLS};

use super::codes::count_of;
use super::coding::missing_code;
use super::cuts::Cuts;

/// A group key, ready to be looked up.
pub(super) struct GroupKey {
    pub(super) column: usize,
    pub(super) cuts: Cuts,
    /// Values that it has.
    pub(super) values: u32,
}

impl GroupKey {
    /// The key over the codes of its column; the caller has checked it against the table.
    pub(super) fn of(key: &Key, kinds: &[&PublishedKind]) -> Self {
        let (column, cuts, values) = match *key {
            Key::Level(column) => {
                let levels = count_of(kinds[usize::from(column)]);
                (column, Cuts::Each, levels as u32)
            }
            Key::Period(column, period) => {
                let kind = kinds[usize::from(column)];
                let mut starts = match kind {
                    PublishedKind::Date { first, last } => period_starts(period, *first, *last),
                    _ => Vec::new(),
                };
                starts.extend(missing_code(kind));
                let values = starts.len() as u32 + 1;
                (column, Cuts::at(starts, count_of(kind)), values)
            }
            Key::Bucket {
                column,
                low,
                high,
                count,
            } => {
                let kind = kinds[usize::from(column)];
                let starts = bucket_starts(kind, (low, high), count);
                let values = starts.len() as u32 + 1;
                (column, Cuts::at(starts, count_of(kind)), values)
            }
        };
        Self {
            column: column.into(),
            cuts,
            values,
        }
    }
}

/// The cells of a grid: cell `j` of `n` from `low + span·j/n` on, the last with its upper end.
pub(super) fn grid_cuts(number: &NumberColumn) -> Cuts {
    let (span, cells) = (number.high.abs_diff(number.low), u64::from(number.grid));
    let starts =
        (1..cells).map(|cell| (u128::from(span) * u128::from(cell)).div_ceil(cells.into()) as u64);
    Cuts::at(starts.collect(), span + 1)
}

/// Runs of those cells.
pub(super) fn run_cuts(number: &NumberColumn) -> Cuts {
    let (span, cells) = (number.high.abs_diff(number.low), u64::from(number.grid));
    let starts = (RUN_CELLS as u64..cells).step_by(RUN_CELLS);
    let starts = starts
        .map(|cell| (u128::from(span) * u128::from(cell)).div_ceil(cells.into()) as u64)
        .collect();
    Cuts::at(starts, span + 1)
}

/// Days from the first at which each further period starts.
fn period_starts(period: Period, first: i32, last: i32) -> Vec<u64> {
    let later = period.of(first) + 1..=period.of(last);
    let starts = later.filter_map(|later| period.first_day(later));
    starts.map(|day| day.abs_diff(first).into()).collect()
}

/// First codes of the buckets 1 to `count + 1`, as `width_bucket` has them, then of missing values, if there are any.
fn bucket_starts(kind: &PublishedKind, (low, high): (i64, i64), count: u16) -> Vec<u64> {
    let PublishedKind::Number(number) = kind else {
        return Vec::new();
    };
    let (parts, span) = (i128::from(count), i128::from(high) - i128::from(low));
    let end = i128::from(number.high.abs_diff(number.low)) + 1;
    let starts = (0..=parts).map(|part| {
        // Rounded up: the first whole unit in the bucket.
        let start =
            (span * part + parts - 1).div_euclid(parts) + i128::from(low) - i128::from(number.low);
        start.clamp(0, end) as u64
    });
    starts.chain(missing_code(kind)).collect()
}
