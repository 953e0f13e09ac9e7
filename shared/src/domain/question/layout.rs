//! Where a figure of a group stands in the vector: groups in the contract's order, last key fastest, blocks side by side.

use std::ops::Range;

use super::{BlockKind, Key, Question, RUN_CELLS};
use crate::domain::contract::{NumberColumn, Published, PublishedKind};

/// The cells of a checked question.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Layout {
    /// Values of each key.
    radices: Vec<usize>,
    /// Groups.
    groups: usize,
    /// Where each block starts within a group; the last entry is the width.
    offsets: Vec<usize>,
}

impl Layout {
    /// `None` where a column is missing or of another type, or where numbers do not fit ([`Question::check`] says which).
    #[must_use]
    pub fn of(question: &Question, table: &Published) -> Option<Self> {
        let kind = |column: u16| Some(&table.columns.get(usize::from(column))?.kind);
        let radices: Option<Vec<usize>> = question
            .keys
            .iter()
            .map(|key| key.count(kind(key.column())?))
            .collect();
        let radices = radices?;
        let groups = radices
            .iter()
            .try_fold(1_usize, |groups, count| groups.checked_mul(*count))?;
        let mut offsets = vec![0];
        let mut width = 0_usize;
        for block in &question.blocks {
            width = width.checked_add(match block.kind {
                BlockKind::Grid(column) => number(kind(column)?)?.grid.into(),
                BlockKind::Runs(column) => number(kind(column)?)?.runs(),
                _ => 1,
            })?;
            offsets.push(width);
        }
        groups.checked_mul(width)?;
        Some(Self {
            radices,
            groups,
            offsets,
        })
    }

    /// Groups: every combination of the keys' values.
    #[must_use]
    pub fn groups(&self) -> usize {
        self.groups
    }

    /// Cells of one group.
    #[must_use]
    pub fn width(&self) -> usize {
        self.offsets.last().copied().unwrap_or_default()
    }

    /// Cells in all.
    #[must_use]
    pub fn cells(&self) -> usize {
        self.groups * self.width()
    }

    /// The group of these values' places, one for each key; `None` for other than those.
    #[must_use]
    pub fn group(&self, places: &[usize]) -> Option<usize> {
        if places.len() != self.radices.len() {
            return None;
        }
        let mut digits = places.iter().zip(&self.radices);
        digits.try_fold(0, |group, (place, count)| {
            (place < count).then_some(group * count + place)
        })
    }

    /// The places of a group's values, one for each key.
    #[must_use]
    pub fn places(&self, group: usize) -> Vec<usize> {
        let mut rest = group;
        let mut places: Vec<usize> = self
            .radices
            .iter()
            .rev()
            .map(|count| {
                let place = rest % count;
                rest /= count;
                place
            })
            .collect();
        places.reverse();
        places
    }

    /// Cells of one block within a group.
    #[must_use]
    pub fn block(&self, block: usize) -> Range<usize> {
        self.offsets[block]..self.offsets[block + 1]
    }

    /// Cells of a block of a group in the whole vector.
    #[must_use]
    pub fn cells_of(&self, group: usize, block: usize) -> Range<usize> {
        let start = group * self.width();
        let within = self.block(block);
        start + within.start..start + within.end
    }
}

impl Key {
    /// The column that it groups by.
    #[must_use]
    pub fn column(self) -> u16 {
        match self {
            Self::Level(column) | Self::Period(column, _) | Self::Bucket { column, .. } => column,
        }
    }

    /// How many values it has; `None` for a column of another type.
    #[must_use]
    pub fn count(self, kind: &PublishedKind) -> Option<usize> {
        match (self, kind) {
            (Self::Level(_), PublishedKind::Key { levels, .. }) => Some(levels.len() + 1),
            (Self::Period(_, period), PublishedKind::Date { first, last }) => {
                let periods = period.of(*last).checked_sub(period.of(*first))?;
                Some(usize::try_from(periods).ok()? + 2)
            }
            (Self::Bucket { count, .. }, PublishedKind::Number(number)) => {
                let missing = usize::from(number.on_null.is_none());
                Some(usize::from(count) + 2 + missing)
            }
            _ => None,
        }
    }

    /// The place of a value of a row (a level's place, units or a day; `None` is missing); `None` for a column of another
    /// type.
    #[must_use]
    pub fn place(self, kind: &PublishedKind, value: Option<i64>) -> Option<usize> {
        match (self, kind) {
            (Self::Level(_), PublishedKind::Key { levels, .. }) => {
                let level = value.and_then(|level| usize::try_from(level).ok());
                Some(level.map_or(levels.len(), |level| level.min(levels.len())))
            }
            (Self::Period(_, period), PublishedKind::Date { first, last }) => {
                let Some(day) = value else {
                    return self.count(kind).map(|count| count - 1);
                };
                let day = day.clamp((*first).into(), (*last).into()) as i32;
                usize::try_from(period.of(day) - period.of(*first)).ok()
            }
            (
                Self::Bucket {
                    low, high, count, ..
                },
                PublishedKind::Number(_),
            ) => match value {
                Some(units) => Some(bucket(units, low, high, count)),
                None => self.count(kind).map(|values| values - 1),
            },
            _ => None,
        }
    }
}

/// PostgreSQL's `width_bucket`, exactly: 0 below `low`, `count + 1` from `high` on. `low` is below `high`, `count` above 0.
#[must_use]
pub fn bucket(units: i64, low: i64, high: i64, count: u16) -> usize {
    if units < low {
        return 0;
    }
    if units >= high {
        return usize::from(count) + 1;
    }
    let (above, span) = (
        i128::from(units) - i128::from(low),
        i128::from(high) - i128::from(low),
    );
    // Below `count`, as units are below `high`.
    (above * i128::from(count) / span) as usize + 1
}

impl NumberColumn {
    /// The grid cell of a value inside the bounds; the upper bound belongs to the last one.
    #[must_use]
    pub fn grid_cell(&self, units: i64) -> usize {
        let within = units.clamp(self.low, self.high);
        let cell = bucket(within, self.low, self.high, self.grid.into());
        cell.min(self.grid.into()).saturating_sub(1)
    }

    /// Runs of grid cells; the last may be shorter than the others.
    #[must_use]
    pub fn runs(&self) -> usize {
        usize::from(self.grid).div_ceil(RUN_CELLS)
    }

    /// Lower edge of a grid cell (the one after the last is the upper bound), in units.
    #[must_use]
    pub fn grid_edge(&self, cell: usize) -> f64 {
        let span = (self.high - self.low) as f64;
        self.low as f64 + span * cell as f64 / f64::from(self.grid)
    }
}

/// The number column behind a kind.
#[must_use]
pub fn number(kind: &PublishedKind) -> Option<&NumberColumn> {
    match kind {
        PublishedKind::Number(number) => Some(number),
        PublishedKind::Key { .. } | PublishedKind::Date { .. } => None,
    }
}

#[cfg(test)]
#[path = "layout_tests.rs"]
mod tests;
