//! The rules of a question. Every node checks all of them itself before it adds up anything.

use super::layout::{Layout, number};
use super::scale::{can_be_missing, reach};
use super::{Block, BlockKind, Filter, Key, Question};
use crate::base::limits::{
    FILTER_DEPTH_MAX, FILTER_VALUES_MAX, QUESTION_BLOCKS_MAX, QUESTION_CELLS_MAX,
    QUESTION_KEYS_MAX, TERMS_MAX,
};
use crate::domain::contract::{Contract, Published, PublishedKind};

/// A rule that a question breaks.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum BadQuestion {
    /// The contract publishes no such table.
    #[error("the contract publishes no table {0:?}")]
    Table(String),
    /// A number is outside its range.
    #[error("{what} is {got}, expected {low} to {high}")]
    Range {
        /// Which number.
        what: &'static str,
        /// Found.
        got: u64,
        /// Least.
        low: u64,
        /// Most.
        high: u64,
    },
    /// A column does not exist or has another type.
    #[error("column {column} of table {table:?} is no {expected}")]
    Column {
        /// The table.
        table: String,
        /// The column's place.
        column: u16,
        /// What the question takes it for.
        expected: &'static str,
    },
    /// Bounds of a bucket or of a condition that the contract does not allow.
    #[error("column {column} of table {table:?}: {problem}")]
    Bounds {
        /// The table.
        table: String,
        /// The column's place.
        column: u16,
        /// Which rule.
        problem: &'static str,
    },
    /// Not in the one form that means this.
    #[error("{what} is not in canonical form: {expected}")]
    Form {
        /// Which part.
        what: &'static str,
        /// The form.
        expected: &'static str,
    },
}

type Checked = Result<(), BadQuestion>;

impl Question {
    /// Checks form, bounds and limits against the contract; the table that is asked about.
    ///
    /// # Errors
    ///
    /// The first broken rule.
    pub fn check<'a>(&self, contract: &'a Contract) -> Result<&'a Published, BadQuestion> {
        let table = contract.published(&self.table);
        let table = table.ok_or_else(|| BadQuestion::Table(self.table.clone()))?;
        self.check_on(table)?;
        Ok(table)
    }

    /// Checks form, bounds and limits against the table that is asked about.
    ///
    /// # Errors
    ///
    /// The first broken rule.
    pub fn check_on(&self, table: &Published) -> Result<(), BadQuestion> {
        let keys = self.keys.len() as u64;
        in_range("number of group keys", keys, 0, QUESTION_KEYS_MAX as u64)?;
        rising("the list of group keys", &self.keys)?;
        for key in &self.keys {
            check_key(*key, table)?;
        }
        self.check_blocks(table)?;
        check_filter(&self.filter, table)?;
        let layout = Layout::of(self, table).ok_or(BadQuestion::Form {
            what: "the question",
            expected: "cells that can be counted",
        })?;
        let cells = layout.cells() as u64;
        in_range("number of cells", cells, 1, QUESTION_CELLS_MAX as u64)?;
        let most = groups_max(table, layout.groups());
        in_range("groups_max", self.groups_max.into(), 1, most.into())
    }

    fn check_blocks(&self, table: &Published) -> Checked {
        let count = self.blocks.len() as u64;
        in_range("number of blocks", count, 1, QUESTION_BLOCKS_MAX as u64)?;
        let kinds: Vec<BlockKind> = self.blocks.iter().map(|block| block.kind).collect();
        rising("the list of blocks", &kinds)?;
        let weights: u64 = self
            .blocks
            .iter()
            .map(|block| u64::from(block.weight))
            .sum();
        in_range("sum of weights", weights, 1, 1_000)?;
        self.blocks
            .iter()
            .try_for_each(|block| check_block(*block, table))
    }
}

/// The largest G of a question with so many groups.
#[must_use]
pub fn groups_max(table: &Published, groups: usize) -> u32 {
    let groups = u32::try_from(groups).unwrap_or(u32::MAX);
    table.groups_per_unit_max.min(groups)
}

fn check_block(block: Block, table: &Published) -> Checked {
    in_range("weight of a block", block.weight.into(), 1, 1_000)?;
    if block.kind == BlockKind::Units && table.rows_per_group_max == 1 {
        return Err(BadQuestion::Form {
            what: "the list of blocks",
            expected: "rows where a customer has at most one",
        });
    }
    if let BlockKind::Values(column) = block.kind {
        let known = table.columns.get(usize::from(column));
        if known.is_some_and(|known| !can_be_missing(&known.kind)) {
            return Err(BadQuestion::Form {
                what: "the list of blocks",
                expected: "rows where every row has a value",
            });
        }
        return known
            .map(|_| ())
            .ok_or_else(|| no_column(table, column, "column"));
    }
    match (block.kind.column(), reach(block.kind, table)) {
        (Some(column), None) => Err(no_column(table, column, "number")),
        _ => Ok(()),
    }
}

fn check_key(key: Key, table: &Published) -> Checked {
    let column = key.column();
    let kind = table
        .columns
        .get(usize::from(column))
        .map(|known| &known.kind);
    let expected = match key {
        Key::Level(_) => "key",
        Key::Period(..) => "date",
        Key::Bucket { .. } => "number",
    };
    let fits = kind.and_then(|kind| key.count(kind));
    fits.ok_or_else(|| no_column(table, column, expected))?;
    let (
        Key::Bucket {
            low, high, count, ..
        },
        Some(number),
    ) = (key, kind.and_then(number))
    else {
        return Ok(());
    };
    let problem = |problem| Err(bad_bounds(table, column, problem));
    in_range(
        "number of buckets",
        count.into(),
        1,
        QUESTION_CELLS_MAX as u64,
    )?;
    if low >= high || low < number.low || high > number.high {
        return problem("buckets do not rise inside the bounds");
    }
    if low % number.step != 0 || high % number.step != 0 {
        return problem("bounds of buckets are no multiples of the step");
    }
    Ok(())
}

fn check_filter(filter: &Filter, table: &Published) -> Checked {
    let (mut terms, mut values) = (0, 0);
    check_part(filter, table, 0, &mut terms, &mut values)?;
    in_range("number of conditions", terms, 0, TERMS_MAX as u64)?;
    in_range(
        "number of values in conditions",
        values,
        0,
        FILTER_VALUES_MAX as u64,
    )?;
    if filter.rebuilt(table) != *filter {
        return Err(BadQuestion::Form {
            what: "the condition",
            expected: "sorted, merged and simplified",
        });
    }
    Ok(())
}

fn check_part(
    filter: &Filter,
    table: &Published,
    depth: u64,
    terms: &mut u64,
    values: &mut u64,
) -> Checked {
    in_range("nesting of conditions", depth, 0, FILTER_DEPTH_MAX as u64)?;
    match filter {
        Filter::Every(parts) | Filter::Either(parts) => {
            in_range(
                "parts of a condition",
                parts.len() as u64,
                2,
                TERMS_MAX as u64,
            )?;
            return parts
                .iter()
                .try_for_each(|part| check_part(part, table, depth + 1, terms, values));
        }
        Filter::All | Filter::Nothing => return Ok(()),
        _ => *terms += 1,
    }
    let kind = |column: &u16| {
        table
            .columns
            .get(usize::from(*column))
            .map(|known| &known.kind)
    };
    match filter {
        Filter::Levels(column, places) => {
            *values += places.len() as u64;
            let levels = kind(column).and_then(PublishedKind::levels);
            let levels = levels.ok_or_else(|| no_column(table, *column, "key"))?;
            if places.iter().any(|place| usize::from(*place) >= levels) {
                return Err(bad_bounds(table, *column, "a level does not exist"));
            }
        }
        Filter::Ranges(column, ranges) => {
            *values += ranges.len() as u64;
            check_ranges(kind(column), table, *column, ranges)?;
        }
        Filter::Missing(column) if !kind(column).is_some_and(can_be_missing) => {
            return Err(no_column(table, *column, "column with missing values"));
        }
        _ => {}
    }
    Ok(())
}

/// Ranges start at or just after a multiple of the step, and end at or just before one, unless they end at a bound.
fn check_ranges(
    kind: Option<&PublishedKind>,
    table: &Published,
    column: u16,
    ranges: &[(i64, i64)],
) -> Checked {
    let (low, high, step) = match kind {
        Some(PublishedKind::Number(number)) => (number.low, number.high, number.step),
        Some(PublishedKind::Date { first, last }) => ((*first).into(), (*last).into(), 1),
        _ => return Err(no_column(table, column, "number or date")),
    };
    for (from, to) in ranges {
        if from > to || *from < low || *to > high {
            return Err(bad_bounds(
                table,
                column,
                "a range does not rise inside the bounds",
            ));
        }
        let starts = *from == low || [0, 1].contains(&from.rem_euclid(step));
        let ends = *to == high || [0, step - 1].contains(&to.rem_euclid(step));
        if !starts || !ends {
            return Err(bad_bounds(table, column, "a range is finer than the step"));
        }
    }
    Ok(())
}

fn in_range(what: &'static str, got: u64, low: u64, high: u64) -> Checked {
    if (low..=high).contains(&got) {
        return Ok(());
    }
    Err(BadQuestion::Range {
        what,
        got,
        low,
        high,
    })
}

fn rising<T: Ord>(what: &'static str, items: &[T]) -> Checked {
    if items.windows(2).all(|pair| pair[0] < pair[1]) {
        return Ok(());
    }
    let expected = "strictly rising";
    Err(BadQuestion::Form { what, expected })
}

fn no_column(table: &Published, column: u16, expected: &'static str) -> BadQuestion {
    let table = table.name.clone();
    BadQuestion::Column {
        table,
        column,
        expected,
    }
}

fn bad_bounds(table: &Published, column: u16, problem: &'static str) -> BadQuestion {
    let table = table.name.clone();
    BadQuestion::Bounds {
        table,
        column,
        problem,
    }
}

#[cfg(test)]
#[path = "check_tests.rs"]
mod tests;
