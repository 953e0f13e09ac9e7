//! What one customer may add: bounds, integer scales, reach; and the exact integers that a node adds up.

use super::layout::number;
use super::{BlockKind, Question};
use crate::base::limits::{DELTA_SQ_MAX, SUM_ABS_MAX};
use crate::domain::contract::{NumberColumn, Published, PublishedKind};

/// Bounds and integer scales of a checked question.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Scales {
    /// D of each block: the largest absolute figure of one customer in one group, in units of the block.
    pub reaches: Vec<u128>,
    /// A of each block: what a figure of D becomes.
    pub amplitudes: Vec<u32>,
    /// Largest squared norm of one customer's vector.
    pub delta_sq: u64,
    /// Largest absolute value of one customer in one cell.
    pub cell_abs_max: u32,
}

/// Largest scale of all blocks together.
const Q_MAX: u64 = 1 << 22;

impl Scales {
    /// Scales for so many customers at a node; `None` for a question that [`Question::check`] refuses or too many customers.
    ///
    /// # Privacy
    ///
    /// One customer adds at most A to a block in each of at most G groups, so `delta_sq` is `G·ΣA²`; grid cells of a block share
    /// its rows, and so its A. Follows from public numbers alone.
    #[must_use]
    pub fn of(question: &Question, table: &Published, customers_max: u64) -> Option<Self> {
        let groups = u64::from(question.groups_max);
        let fits = |q: u64| {
            let sums = customers_max
                .checked_mul(q)
                .is_some_and(|sum| sum <= SUM_ABS_MAX);
            let norm = groups
                .checked_mul(q * q)
                .is_some_and(|norm| norm <= DELTA_SQ_MAX);
            sums && norm
        };
        let q = (0..=Q_MAX.ilog2())
            .rev()
            .map(|power| 1 << power)
            .find(|q| fits(*q))?;
        let amplitudes: Option<Vec<u32>> = question
            .blocks
            .iter()
            .map(|block| amplitude(q, block.weight))
            .collect();
        let amplitudes = amplitudes?;
        let squares = amplitudes.iter().map(|a| u64::from(*a).pow(2));
        let reaches = question.blocks.iter();
        let reaches: Option<Vec<u128>> = reaches.map(|block| reach(block.kind, table)).collect();
        Some(Self {
            delta_sq: groups.checked_mul(squares.sum())?,
            cell_abs_max: *amplitudes.iter().max()?,
            amplitudes,
            reaches: reaches?,
        })
    }

    /// What a figure of one customer in one cell of a block becomes: rounded towards zero, so that bounds hold exactly.
    ///
    /// # Privacy
    ///
    /// A figure beyond the block's reach is clamped to it, whatever came before.
    #[must_use]
    pub fn scaled(&self, block: usize, figure: i128) -> i64 {
        let (a, d) = (self.amplitudes[block], self.reaches[block]);
        let limit = i128::try_from(d).unwrap_or(i128::MAX);
        let within = figure.clamp(-limit, limit);
        // At most A in absolute value.
        (within * i128::from(a) / limit) as i64
    }

    /// Units of the block that one integer of the sum stands for.
    #[must_use]
    pub fn unit(&self, block: usize) -> f64 {
        self.reaches[block] as f64 / f64::from(self.amplitudes[block])
    }
}

/// `floor(q·sqrt(weight/1000))`; `None` where that is 0.
fn amplitude(q: u64, weight: u16) -> Option<u32> {
    let root = (q * q * u64::from(weight) / 1_000).isqrt();
    u32::try_from(root).ok().filter(|root| *root > 0)
}

/// D of a block; `None` for a column that is missing or of another type.
#[must_use]
pub fn reach(kind: BlockKind, table: &Published) -> Option<u128> {
    let rows = u128::from(table.rows_per_group_max);
    let number = |column: u16| number(&table.columns.get(usize::from(column))?.kind);
    Some(match kind {
        BlockKind::Units => 1,
        BlockKind::Rows => rows,
        BlockKind::Values(column) => {
            let kind = &table.columns.get(usize::from(column))?.kind;
            rows * u128::from(can_be_missing(kind).then_some(1_u8)?)
        }
        BlockKind::Grid(column) | BlockKind::Runs(column) => {
            number(column)?;
            rows
        }
        BlockKind::Sum(column) => {
            let column = number(column)?;
            rows * u128::from(column.low.unsigned_abs().max(column.high.unsigned_abs()))
        }
        BlockKind::Centred(column) => rows * span(number(column)?),
        BlockKind::Squares(column) => {
            let column = number(column)?;
            let square = span(column).pow(2);
            rows * if doubled(column) { square } else { square / 2 }
        }
    })
}

/// Whether a row may have no value in such a column.
#[must_use]
pub fn can_be_missing(kind: &PublishedKind) -> bool {
    match kind {
        PublishedKind::Number(number) => number.on_null.is_none(),
        PublishedKind::Key { .. } => false,
        PublishedKind::Date { .. } => true,
    }
}

/// Whether the half of the squared range is not whole, so that [`BlockKind::Squares`] counts twice of everything.
#[must_use]
pub fn doubled(column: &NumberColumn) -> bool {
    span(column) % 2 == 1
}

fn span(column: &NumberColumn) -> u128 {
    u128::from(column.high.abs_diff(column.low))
}

impl BlockKind {
    /// The column that it reads.
    #[must_use]
    pub fn column(self) -> Option<u16> {
        match self {
            Self::Units | Self::Rows => None,
            Self::Values(column)
            | Self::Sum(column)
            | Self::Centred(column)
            | Self::Squares(column)
            | Self::Grid(column)
            | Self::Runs(column) => Some(column),
        }
    }

    /// What one row adds to a customer's figure: its value is already clamped, `None` is missing. For [`BlockKind::Grid`] this
    /// goes to the cell of [`NumberColumn::grid_cell`], for [`BlockKind::Runs`] to the run of that cell; [`BlockKind::Units`] counts once, however many rows there are.
    #[must_use]
    pub fn of_row(self, table: &Published, value: Option<i64>) -> i128 {
        let column = self.column().map(usize::from);
        let number = column.and_then(|column| number(&table.columns.get(column)?.kind));
        match (self, value, number) {
            (Self::Units | Self::Rows, ..) => 1,
            (Self::Values(_), Some(_), _) => 1,
            (Self::Grid(_) | Self::Runs(_), Some(_), Some(_)) => 1,
            (Self::Sum(_), Some(units), Some(_)) => units.into(),
            (Self::Centred(_), Some(units), Some(column)) => centred(column, units),
            (Self::Squares(_), Some(units), Some(column)) => {
                let (square, range) = (centred(column, units).pow(2), span(column) as i128);
                if doubled(column) {
                    return 2 * square - range * range;
                }
                square - range * range / 2
            }
            _ => 0,
        }
    }
}

fn centred(column: &NumberColumn, units: i64) -> i128 {
    2 * i128::from(units) - i128::from(column.low) - i128::from(column.high)
}

#[cfg(test)]
#[path = "scale_tests.rs"]
mod tests;
