//! Tables that analysts may ask about: public bounds, levels and units, and how much of one customer counts.
//!
//! Numbers are whole multiples of a decimal quantum (`10^-digits`), so that every party computes on the same integers.

use crate::base::limits::{ROWS_PER_UNIT_MAX, ROWS_PER_UNIT_USUAL};

/// A table as analysts see it. Every unit maps its own data to it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Published {
    /// Its name.
    pub name: String,
    /// For people; may be empty.
    pub description: String,
    /// The column that names a customer; it can never be read.
    pub privacy_unit: String,
    /// R: rows of one customer in one group that count; more are left out by a rule that does not look at values.
    pub rows_per_group_max: u32,
    /// G: groups of one answer to which one customer counts at most.
    pub groups_per_unit_max: u32,
    /// Rows of one customer that a unit keeps at all, by the same rule: what an answer takes to add up follows from it.
    pub rows_per_unit_max: u32,
    /// Customers that a unit has, declared and public: fewest and most.
    pub size_band: (u64, u64),
    /// What can be asked about, in file order.
    pub columns: Vec<PublishedColumn>,
}

/// A column of a published table.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PublishedColumn {
    /// Its name.
    pub name: String,
    /// For people; may be empty.
    pub description: String,
    /// Its type with its public bounds.
    pub kind: PublishedKind,
}

/// Type and public bounds of a column.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum PublishedKind {
    /// A number; values outside are clamped.
    Number(NumberColumn),
    /// One of a public list of texts.
    Key {
        /// The levels, in file order.
        levels: Vec<String>,
        /// Name of the level for everything else, missing values too. Always a key of its own, after the levels.
        unknown: String,
    },
    /// A calendar day; values outside are clamped, and what is no day is missing. Days since 1970-01-01.
    Date {
        /// First day.
        first: i32,
        /// Last day.
        last: i32,
    },
}

/// A number in public bounds, in units of `10^-digits`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NumberColumn {
    /// Decimal digits behind the point, 0 to 9.
    pub digits: u8,
    /// Lower bound.
    pub low: i64,
    /// Upper bound, above `low`; `high - low` is at most [`SPAN_MAX`].
    pub high: i64,
    /// Literals in a condition are multiples of this (from 0); at least 1.
    pub step: i64,
    /// Cells for percentiles, 2 to 64.
    pub grid: u8,
    /// What people call the unit of measure; may be empty.
    pub unit: String,
    /// What a missing value (or one that is no number) counts as; `None`: its row has no value.
    pub on_null: Option<i64>,
}

/// Rows of a customer that are kept where the contract does not say: all that can count in one answer, and some to choose from,
/// within what a unit keeps at most.
#[must_use]
pub fn rows_per_unit_usual(rows_per_group_max: u32, groups_per_unit_max: u32) -> u32 {
    let counted = rows_per_group_max.saturating_mul(groups_per_unit_max);
    counted.clamp(ROWS_PER_UNIT_USUAL, ROWS_PER_UNIT_MAX)
}

/// Largest `high - low` of a number, in its own units.
pub const SPAN_MAX: i64 = 1 << 40;

impl NumberColumn {
    /// A value in units, clamped and rounded to the nearest (ties away from zero); what is not finite is missing.
    #[must_use]
    pub fn units_of(&self, value: Option<f64>) -> Option<i64> {
        let value = value.filter(|value| value.is_finite());
        let Some(value) = value else {
            return self.on_null;
        };
        let scaled = value * 10_f64.powi(i32::from(self.digits));
        // The cast saturates; bounds are far inside.
        Some((scaled.round() as i64).clamp(self.low, self.high))
    }

    /// The number that units stand for.
    #[must_use]
    pub fn value_of(&self, units: f64) -> f64 {
        units / 10_f64.powi(i32::from(self.digits))
    }
}

impl PublishedKind {
    /// Values that `GROUP BY` on the plain column gives: one per level and one for everything else; `None` where it has too many.
    #[must_use]
    pub fn levels(&self) -> Option<usize> {
        match self {
            Self::Key { levels, .. } => Some(levels.len() + 1),
            Self::Number(_) | Self::Date { .. } => None,
        }
    }
}

impl Published {
    /// Position of a column by name.
    #[must_use]
    pub fn position(&self, column: &str) -> Option<usize> {
        self.columns.iter().position(|known| known.name == column)
    }
}
