//! Small numbers in columns: what a value of a published column becomes, in the narrowest of four widths.

use aquifer_shared::domain::contract::published::PublishedKind;

/// Bytes that a code of a column needs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Width {
    One,
    Two,
    Four,
    Eight,
}

/// Codes of one column, row by row.
#[derive(Clone, PartialEq)]
pub(super) enum Codes {
    One(Vec<u8>),
    Two(Vec<u16>),
    Four(Vec<u32>),
    Eight(Vec<u64>),
}

/// How many different codes a column has.
///
/// Numbers: distance from `low` in units, then one for *missing* where the column has no default. Keys: the place of the level,
/// then one for everything else. Dates: days from the first, then one for *missing*.
pub(super) fn count_of(kind: &PublishedKind) -> u64 {
    match kind {
        PublishedKind::Number(number) => {
            number.high.abs_diff(number.low) + 1 + u64::from(number.on_null.is_none())
        }
        PublishedKind::Key { levels, .. } => levels.len() as u64 + 1,
        PublishedKind::Date { first, last } => u64::from(last.abs_diff(*first)) + 2,
    }
}

impl Width {
    /// The narrowest that holds the codes below `count`.
    pub(super) fn of(count: u64) -> Self {
        match count.saturating_sub(1) {
            0..=0xff => Self::One,
            0x100..=0xffff => Self::Two,
            0x1_0000..=0xffff_ffff => Self::Four,
            _ => Self::Eight,
        }
    }

    pub(super) fn bytes(self) -> usize {
        match self {
            Self::One => 1,
            Self::Two => 2,
            Self::Four => 4,
            Self::Eight => 8,
        }
    }
}

impl Codes {
    pub(super) fn with_capacity(width: Width, rows: usize) -> Self {
        match width {
            Width::One => Self::One(Vec::with_capacity(rows)),
            Width::Two => Self::Two(Vec::with_capacity(rows)),
            Width::Four => Self::Four(Vec::with_capacity(rows)),
            Width::Eight => Self::Eight(Vec::with_capacity(rows)),
        }
    }

    /// Appends codes that stand in packed rows: row `order[i]`'s code starts at `order[i] * stride + offset`.
    pub(super) fn gather(&mut self, rows: &[u8], stride: usize, offset: usize, order: &[u32]) {
        let at = |row: &u32| *row as usize * stride + offset;
        fn read<const N: usize>(rows: &[u8], at: usize) -> [u8; N] {
            let mut bytes = [0; N];
            bytes.copy_from_slice(&rows[at..at + N]);
            bytes
        }
        match self {
            Self::One(codes) => codes.extend(order.iter().map(|row| rows[at(row)])),
            Self::Two(codes) => {
                codes.extend(
                    order
                        .iter()
                        .map(|row| u16::from_le_bytes(read(rows, at(row)))),
                );
            }
            Self::Four(codes) => {
                codes.extend(
                    order
                        .iter()
                        .map(|row| u32::from_le_bytes(read(rows, at(row)))),
                );
            }
            Self::Eight(codes) => {
                codes.extend(
                    order
                        .iter()
                        .map(|row| u64::from_le_bytes(read(rows, at(row)))),
                );
            }
        }
    }

    /// Calls with all codes as bytes, little end first, piece by piece; a first piece tells width and number.
    pub(super) fn bytes(&self, mut work: impl FnMut(&[u8])) {
        let (width, rows) = match self {
            Self::One(codes) => (Width::One, codes.len()),
            Self::Two(codes) => (Width::Two, codes.len()),
            Self::Four(codes) => (Width::Four, codes.len()),
            Self::Eight(codes) => (Width::Eight, codes.len()),
        };
        work(
            &[width.bytes() as u64, rows as u64]
                .map(u64::to_le_bytes)
                .concat(),
        );
        let mut piece = Vec::with_capacity(PIECE_ROWS * width.bytes());
        for start in (0..rows).step_by(PIECE_ROWS) {
            piece.clear();
            self.each(start..rows.min(start + PIECE_ROWS), |_, code| {
                piece.extend_from_slice(&code.to_le_bytes()[..width.bytes()]);
            });
            work(&piece);
        }
    }

    /// Calls with each code of some rows and its place among them.
    #[inline]
    pub(super) fn each(&self, rows: std::ops::Range<usize>, mut work: impl FnMut(usize, u64)) {
        match self {
            Self::One(codes) => {
                (codes[rows].iter().enumerate()).for_each(|(i, c)| work(i, u64::from(*c)))
            }
            Self::Two(codes) => {
                (codes[rows].iter().enumerate()).for_each(|(i, c)| work(i, u64::from(*c)))
            }
            Self::Four(codes) => {
                (codes[rows].iter().enumerate()).for_each(|(i, c)| work(i, u64::from(*c)))
            }
            Self::Eight(codes) => (codes[rows].iter().enumerate()).for_each(|(i, c)| work(i, *c)),
        }
    }
}

/// Rows of one piece of bytes.
const PIECE_ROWS: usize = 1 << 13;

#[cfg(test)]
mod tests {
    use aquifer_shared::domain::contract::published::NumberColumn;

    use super::*;

    fn number(low: i64, high: i64, on_null: Option<i64>) -> PublishedKind {
        PublishedKind::Number(NumberColumn {
            digits: 0,
            low,
            high,
            step: 1,
            grid: 2,
            unit: String::new(),
            on_null,
        })
    }

    #[track_caller]
    fn check_width(kind: &PublishedKind, count: u64, width: Width) {
        assert_eq!((count_of(kind), Width::of(count_of(kind))), (count, width));
    }

    #[test]
    fn columns_are_as_narrow_as_their_codes() {
        check_width(&number(-5, 249, None), 256, Width::One);
        check_width(&number(-5, 250, None), 257, Width::Two);
        check_width(&number(-5, 250, Some(0)), 256, Width::One);
        check_width(&number(0, 0xffff, Some(0)), 0x1_0000, Width::Two);
        check_width(&number(0, 0xffff, None), 0x1_0001, Width::Four);
        check_width(
            &number(i64::MIN, i64::MIN + (1 << 40), None),
            (1 << 40) + 2,
            Width::Eight,
        );
        let levels = vec![String::new(); 256];
        let unknown = String::new();
        check_width(&PublishedKind::Key { levels, unknown }, 257, Width::Two);
        let days = PublishedKind::Date {
            first: -10,
            last: 10,
        };
        check_width(&days, 22, Width::One);
        let days = PublishedKind::Date {
            first: i32::MIN,
            last: i32::MAX,
        };
        check_width(&days, (1 << 32) + 1, Width::Eight);
    }
}
