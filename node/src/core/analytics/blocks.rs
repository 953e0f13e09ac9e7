//! What one row adds to each cell of its group, and how a customer's total becomes an integer of bounded size.

use aquifer_shared::domain::contract::published::{NumberColumn, PublishedKind};
use aquifer_shared::domain::question::BlockKind;

use super::coding::missing_code;
use super::cuts::Cuts;
use super::keys::{grid_cuts, run_cuts};

/// A block: what a row adds, where, and at which scale.
pub(super) struct Adder {
    what: What,
    /// First cell inside a group.
    pub(super) offset: usize,
    /// Cells.
    pub(super) width: usize,
    pub(super) scale: Scale,
}

/// What a row adds. Columns are places among those that the question reads.
enum What {
    Unit,
    Row,
    Value(Reading),
    Sum(Reading, i64),
    Centred(Reading),
    /// Twice the square where `doubled`.
    Squares(Reading, i128),
    Grid(Reading, Cuts),
}

/// The column of the block.
struct Reading {
    place: usize,
    /// Its largest code that is a value; every code above it stands for *missing*.
    span: u64,
}

/// A total of one customer in one cell, at most `of` in absolute value, becomes `total · by / of`, cut towards zero.
pub(super) struct Scale {
    by: i64,
    of: i128,
    /// Of small totals, computed before.
    small: Vec<i64>,
}

impl Adder {
    /// A block whose column stands at `place` among those that the question reads.
    pub(super) fn new(
        (kind, column): (BlockKind, Option<(&PublishedKind, usize)>),
        offset: usize,
        scale: Scale,
    ) -> Self {
        let number = column.and_then(|(kind, place)| match kind {
            PublishedKind::Number(number) => Some((number, place)),
            _ => None,
        });
        let (what, width) = match (kind, number) {
            (BlockKind::Units, _) => (What::Unit, 1),
            (BlockKind::Grid(_), Some((number, place))) => {
                let grid = What::Grid(Reading::of(number, place), grid_cuts(number));
                (grid, usize::from(number.grid))
            }
            (BlockKind::Runs(_), Some((number, place))) => {
                let runs = What::Grid(Reading::of(number, place), run_cuts(number));
                (runs, number.runs())
            }
            (BlockKind::Values(_), _) => {
                let missing = column.and_then(|(kind, _)| missing_code(kind));
                let span = missing.map_or(u64::MAX, |code| code - 1);
                let place = column.map_or(0, |(_, place)| place);
                (What::Value(Reading { place, span }), 1)
            }
            (BlockKind::Sum(_), Some((number, place))) => {
                (What::Sum(Reading::of(number, place), number.low), 1)
            }
            (BlockKind::Centred(_), Some((number, place))) => {
                (What::Centred(Reading::of(number, place)), 1)
            }
            (BlockKind::Squares(_), Some((number, place))) => {
                let reading = Reading::of(number, place);
                let doubled = 1 + i128::from(reading.span % 2);
                (What::Squares(reading, doubled), 1)
            }
            _ => (What::Row, 1),
        };
        Self {
            what,
            offset,
            width,
            scale,
        }
    }

    /// Whether only the first row of a customer in a group adds anything.
    pub(super) fn once(&self) -> bool {
        matches!(self.what, What::Unit)
    }

    /// The cell of the group, and what a row adds to it. `columns` holds codes of a block of rows.
    #[inline]
    pub(super) fn of_row(&self, columns: &[Vec<u64>], row: usize) -> (usize, i128) {
        let code = |reading: &Reading| {
            let code = columns[reading.place][row];
            (code <= reading.span).then_some(code)
        };
        let centred = |reading: &Reading| {
            // 2·x - (low + high), where x is `low + code`.
            code(reading).map_or(0, |code| 2 * code as i64 - reading.span as i64)
        };
        let value = match &self.what {
            What::Unit | What::Row => 1,
            What::Value(reading) => i128::from(code(reading).is_some()),
            What::Sum(reading, low) => code(reading).map_or(0, |code| low + code as i64).into(),
            What::Centred(reading) => centred(reading).into(),
            What::Squares(reading, doubled) => {
                let (twice, span) = (i128::from(centred(reading)), i128::from(reading.span));
                let value = doubled * twice * twice - doubled * span * span / 2;
                if code(reading).is_some() { value } else { 0 }
            }
            What::Grid(reading, cuts) => {
                let cell = code(reading).map(|code| cuts.range_of(code) as usize);
                return (self.offset + cell.unwrap_or(0), cell.is_some().into());
            }
        };
        (self.offset, value)
    }
}

impl Reading {
    fn of(number: &NumberColumn, place: usize) -> Self {
        let span = number.high.abs_diff(number.low);
        Self { place, span }
    }
}

impl Scale {
    pub(super) fn new(by: u32, of: u128) -> Self {
        let (by, of) = (by.into(), of as i128);
        let small = 0..=of.min(SMALL_MAX);
        let small = small
            .map(|total| (total * i128::from(by) / of) as i64)
            .collect();
        Self { by, of, small }
    }

    /// Largest result, which is that of `of`.
    pub(super) fn max(&self) -> i64 {
        self.by
    }

    /// A customer's total at this scale.
    #[inline]
    pub(super) fn of(&self, total: i128) -> i64 {
        if let Some(known) = usize::try_from(total)
            .ok()
            .and_then(|total| self.small.get(total))
        {
            return *known;
        }
        // Holds anyway; here because all of privacy rests on it.
        let total = total.clamp(-self.of, self.of);
        let narrow = |number: i128| i64::try_from(number).ok();
        let product = narrow(total).and_then(|total| total.checked_mul(self.by));
        if let (Some(product), Some(of)) = (product, narrow(self.of)) {
            return product / of;
        }
        (total * i128::from(self.by) / self.of) as i64
    }
}

/// Totals that are looked up: counts, mostly.
const SMALL_MAX: i128 = 256;
