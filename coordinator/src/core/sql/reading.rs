//! What an aggregate is read from: blocks that are added up, shared between aggregates, and their weights.

use std::collections::BTreeSet;

use super::refusal::{Refusal, Rule};
use super::scope::{Scope, wrong_column};
use super::syntax::{Aggregate, Function};
use aquifer_shared::base::decimal::Decimal;
use aquifer_shared::domain::contract::{Published, PublishedKind};
use aquifer_shared::domain::question::{Block, BlockKind, RUN_CELLS, can_be_missing, number};

/// How an aggregate is read from blocks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Reading {
    /// A count, from one block.
    Count(BlockKind),
    /// The sum of a column.
    Sum(u16),
    /// The mean of a column.
    Mean(u16),
    /// The variance of a column over the population.
    Variance(u16),
    /// Its square root.
    Deviation(u16),
    /// The value below which this share of the rows lies.
    Percentile(u16, Decimal),
}

/// Thousandths of the price for a count that only serves suppression.
const COUNT_WEIGHT: u16 = 100;

impl Reading {
    /// What an aggregate of the text means, and its usual name.
    pub(super) fn of(
        aggregate: &Aggregate,
        scope: &Scope<'_>,
    ) -> Result<(Self, &'static str), Refusal> {
        let Some(column) = &aggregate.column else {
            return Ok((Self::Count(BlockKind::Rows), "count"));
        };
        if aggregate.function == Function::CountDistinct {
            if scope.is_unit(column) {
                return Ok((Self::Count(units_or_rows(scope.table)), "count"));
            }
            scope.column(column)?;
            return Err(Refusal::at(
                aggregate.position,
                "0A000",
                Rule::Grouping,
                "only customers are counted as distinct",
                format!(
                    "write COUNT(DISTINCT {}), or group by the column",
                    scope.table.privacy_unit
                ),
            ));
        }
        let (place, published) = scope.column(column)?;
        if aggregate.function == Function::Count {
            return Ok((Self::Count(count_block(scope.table, place)), "count"));
        }
        if !matches!(published.kind, PublishedKind::Number(_)) {
            return Err(wrong_column(published, "a number", column.name.position));
        }
        Ok(match aggregate.function {
            Function::Sum => (Self::Sum(place), "sum"),
            Function::Variance(name) => (Self::Variance(place), name),
            Function::Deviation(name) => (Self::Deviation(place), name),
            Function::Percentile(share, name) => (Self::Percentile(place, share), name),
            Function::Avg | Function::Count | Function::CountDistinct => (Self::Mean(place), "avg"),
        })
    }

    /// Whether its value is a whole number.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        matches!(self, Self::Count(_))
    }

    /// The column that it is about.
    #[must_use]
    pub fn column(&self) -> Option<u16> {
        match self {
            Self::Count(kind) => kind.column(),
            Self::Sum(column)
            | Self::Mean(column)
            | Self::Variance(column)
            | Self::Deviation(column)
            | Self::Percentile(column, _) => Some(*column),
        }
    }
}

/// The block that counts rows with a value of a column.
#[must_use]
pub fn count_block(table: &Published, column: u16) -> BlockKind {
    let known = table.columns.get(usize::from(column));
    match known {
        Some(known) if can_be_missing(&known.kind) => BlockKind::Values(column),
        _ => BlockKind::Rows,
    }
}

/// A block with its weight. A grid that is not coarse itself is counted by runs as well, for half of its weight: a percentile lies
/// behind many cells, and their counts together would have many noises.
fn with_runs(kind: BlockKind, weight: u16, table: &Published) -> Vec<Block> {
    let BlockKind::Grid(column) = kind else {
        return vec![Block { kind, weight }];
    };
    let known = table.columns.get(usize::from(column));
    let cells = known.and_then(|known| Some(number(&known.kind)?.grid));
    if weight < 2 || cells.is_none_or(|cells| usize::from(cells) < 2 * RUN_CELLS) {
        return vec![Block { kind, weight }];
    }
    let runs = BlockKind::Runs(column);
    vec![
        Block {
            kind,
            weight: weight - weight / 2,
        },
        Block {
            kind: runs,
            weight: weight / 2,
        },
    ]
}

fn units_or_rows(table: &Published) -> BlockKind {
    match table.rows_per_group_max {
        1 => BlockKind::Rows,
        _ => BlockKind::Units,
    }
}

/// The blocks that readings need, with their weights: equal, but for a count that was added for suppression.
///
/// A sum whose mean is asked for as well is read from the blocks of the mean: that has less noise than a block of its own, and the
/// mean times the count is the sum.
#[must_use]
pub fn blocks(readings: &[Reading], table: &Published) -> Vec<Block> {
    let mut kinds = BTreeSet::new();
    for reading in readings {
        match *reading {
            Reading::Count(kind) => {
                kinds.insert(kind);
            }
            Reading::Mean(column) => {
                kinds.extend([count_block(table, column), BlockKind::Centred(column)]);
            }
            Reading::Variance(column) | Reading::Deviation(column) => {
                let squares = BlockKind::Squares(column);
                let count = count_block(table, column);
                kinds.extend([count, BlockKind::Centred(column), squares]);
            }
            Reading::Percentile(column, _) => {
                kinds.insert(BlockKind::Grid(column));
            }
            Reading::Sum(_) => {}
        }
    }
    for reading in readings {
        if let Reading::Sum(column) = *reading
            && !kinds.contains(&BlockKind::Centred(column))
        {
            kinds.insert(BlockKind::Sum(column));
        }
    }
    let counted = kinds.iter().any(|kind| {
        matches!(
            kind,
            BlockKind::Units | BlockKind::Rows | BlockKind::Values(_)
        )
    });
    let parts = u16::try_from(kinds.len()).unwrap_or(u16::MAX);
    let equal = if counted { 1_000 } else { 1_000 - COUNT_WEIGHT } / parts.max(1);
    let mut blocks: Vec<Block> = kinds
        .into_iter()
        .flat_map(|kind| with_runs(kind, equal, table))
        .collect();
    blocks.sort_unstable_by_key(|block| block.kind);
    if !counted {
        blocks.push(Block {
            kind: units_or_rows(table),
            weight: COUNT_WEIGHT,
        });
        blocks.sort_unstable_by_key(|block| block.kind);
    }
    blocks
}
