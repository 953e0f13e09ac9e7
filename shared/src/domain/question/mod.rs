//! Questions of analysts: one private vector sum, whose cells are groups times blocks.
//!
//! A [`Question`] is canonical: two texts that mean the same give the same question, and its hash is the plan's identity. Everything
//! here is public: bounds, scales and prices follow from question and contract, never from data. A value of a row is a level's
//! place, the units of a number (clamped, its default put in), or a day (clamped); `None` is missing, which no level ever is.

mod check;
mod filter;
#[cfg(test)]
mod fixtures;
mod layout;
mod period;
mod scale;
mod steps;
mod terms;

use serde::{Deserialize, Serialize};

use crate::base::hash::labelled;
use crate::base::ids::Hash32;

pub use check::{BadQuestion, groups_max};
pub use filter::bounds;
pub use layout::{Layout, bucket, number};
pub use scale::{Scales, can_be_missing, doubled, reach};

/// What is asked, as coordinator and nodes see, hash and check it. Columns are places in the published table.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Question {
    /// Name of the published table.
    pub table: String,
    /// Group keys, strictly rising; none gives one group.
    pub keys: Vec<Key>,
    /// Which rows count.
    pub filter: Filter,
    /// G of this question: at most the table's; 1 without keys.
    pub groups_max: u32,
    /// What is added up, strictly rising by kind. Where R is 1, [`BlockKind::Rows`] stands for both rows and customers; where no
    /// row can be without a value, for [`BlockKind::Values`] too.
    pub blocks: Vec<Block>,
}

impl Question {
    /// Columns that it looks at, in whatever part of it: rising, each once.
    #[must_use]
    pub fn columns(&self) -> Vec<u16> {
        let mut columns: Vec<u16> = self.keys.iter().map(|key| key.column()).collect();
        self.filter.columns(&mut columns);
        columns.extend(self.blocks.iter().filter_map(|block| block.kind.column()));
        columns.sort_unstable();
        columns.dedup();
        columns
    }
}

/// A group key.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub enum Key {
    /// The levels of a key column, the one for everything else last.
    Level(u16),
    /// Calendar periods of a date column, from the one of its first day to the one of its last, then one for missing.
    Period(u16, Period),
    /// `width_bucket` of a number column between two bounds in its units: `count + 2` values, then one for missing where the
    /// column has no default.
    Bucket {
        /// The column.
        column: u16,
        /// Lower bound.
        low: i64,
        /// Upper bound.
        high: i64,
        /// Buckets between them.
        count: u16,
    },
}

/// A calendar period, as `date_trunc` has them; weeks start on Monday.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub enum Period {
    /// A year.
    Year,
    /// A quarter.
    Quarter,
    /// A month.
    Month,
    /// A week.
    Week,
    /// A day.
    Day,
}

/// A condition on rows in canonical form: no negation, sorted without repeats, values in contract form.
#[derive(Clone, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(try_from = "Vec<steps::Step>", into = "Vec<steps::Step>")]
pub enum Filter {
    /// Every row.
    All,
    /// No row.
    Nothing,
    /// The column's level is one of these (the place after the last level is everything else), strictly rising.
    Levels(u16, Vec<u16>),
    /// The number (in its units) or day is in one of these closed ranges: rising, not touching, inside the bounds.
    Ranges(u16, Vec<(i64, i64)>),
    /// A number or date has no value.
    Missing(u16),
    /// All of them: two or more, strictly rising, none of them an `Every`.
    Every(Vec<Filter>),
    /// One of them: two or more, strictly rising, none of them an `Either`.
    Either(Vec<Filter>),
}

/// One kind of figure per group, and its share of the price.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Block {
    /// What a customer adds.
    pub kind: BlockKind,
    /// Thousandths of the price; all blocks together are at most 1,000.
    pub weight: u16,
}

/// What one customer adds to one group; R, h and mid as in the contract, in units of the column.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub enum BlockKind {
    /// 1 if any row of the customer counts. Reach 1.
    Units,
    /// Rows. Reach R.
    Rows,
    /// Rows whose column has a value. Reach R.
    Values(u16),
    /// Sum of the column. Reach R·max(|low|, |high|).
    Sum(u16),
    /// Sum of twice the distance to the middle, `2·x - (low + high)`. Reach R·(high - low).
    Centred(u16),
    /// Sum of `(2·x - (low + high))² - (high - low)²/2`, doubled where that is not whole. Reach follows.
    Squares(u16),
    /// Rows per grid cell of the column. Reach R, over all cells together.
    Grid(u16),
    /// Rows per run of [`RUN_CELLS`] grid cells. Reach R, over all runs together.
    Runs(u16),
}

/// Grid cells that are counted together as well: sums over many cells then hold the noise of few counts.
pub const RUN_CELLS: usize = 8;

/// The identity of a plan: contract and encoded question. Price, names and order of columns are no part of it.
#[must_use]
pub fn plan_id(contract: &Hash32, question: &[u8]) -> Hash32 {
    labelled("aquifer/question/1/plan", &[&contract.0, question])
}
