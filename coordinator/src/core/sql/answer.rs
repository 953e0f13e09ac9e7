//! Released cells into the rows that a statement asked for.

use std::cmp::Ordering;

use serde_json::json;

use super::compile::Query;
use super::figure::{BlockSum, Figure, Sums};
use super::output::{Constant, Sort, Source, Stage, Test};
use super::syntax::Comparison;
use aquifer_shared::domain::contract::{Published, PublishedKind};
use aquifer_shared::domain::question::{Key, Layout, Scales};

/// The noise in a released sum.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Noise {
    /// Scale of each node's discrete Gaussian.
    pub sigma_share: u64,
    /// How many nodes' noise is in the sum.
    pub nodes: u32,
}

impl Noise {
    /// Standard deviation in a cell, in integers of the sum.
    #[must_use]
    pub fn sigma(self) -> f64 {
        self.sigma_share as f64 * f64::from(self.nodes).sqrt()
    }
}

/// Rows with names and types.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// Columns.
    pub columns: Vec<AnswerColumn>,
    /// Rows, as many values as columns.
    pub rows: Vec<Vec<Value>>,
    /// Rows that were withheld in part or in whole, before `HAVING` and `LIMIT`.
    pub suppressed: usize,
}

/// A column of an answer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AnswerColumn {
    /// Its name.
    pub name: String,
    /// Its type.
    pub kind: ValueKind,
}

/// Types of values.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ValueKind {
    /// `text`
    Text,
    /// `date`
    Date,
    /// `bigint`
    Whole,
    /// `double precision`
    Real,
    /// `boolean`
    Truth,
    /// `json`
    Json,
}

/// A value of an answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// No value.
    Null,
    /// A text.
    Text(String),
    /// A day, since 1970-01-01.
    Date(i32),
    /// A whole number.
    Whole(i64),
    /// A number.
    Real(f64),
    /// Yes or no.
    Truth(bool),
    /// JSON text.
    Json(String),
}

/// Cells that do not belong to the question.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a released sum has {found} cells, expected {expected}")]
pub struct OtherCells {
    /// Found.
    pub found: usize,
    /// Cells of the question.
    pub expected: usize,
}

/// One group, released.
struct Row {
    keys: Vec<Value>,
    figures: Vec<Option<Figure>>,
    suppressed: bool,
}

/// The columns of an answer, before anything is asked.
#[must_use]
pub fn columns(query: &Query) -> Vec<AnswerColumn> {
    let last = query.presentation.stages.last();
    let shown = last.into_iter().flat_map(|stage| &stage.columns);
    shown
        .map(|column| AnswerColumn {
            name: column.name.clone(),
            kind: kind(query, column.source),
        })
        .collect()
}

/// Reads the released cells of a question: every group in the contract's order, then as the statement wants them.
///
/// A group whose noisy count is below the floor is suppressed.
///
/// # Errors
///
/// The cells are not those of this question.
pub fn present(
    query: &Query,
    table: &Published,
    cells: &[i64],
    noise: Noise,
    customers_max: u64,
    floor: u64,
) -> Result<Answer, OtherCells> {
    let layout = Layout::of(&query.question, table);
    let scales = Scales::of(&query.question, table, customers_max);
    let expected = layout.as_ref().map_or(0, Layout::cells);
    let (Some(layout), Some(scales)) = (layout, scales) else {
        let found = cells.len();
        return Err(OtherCells { found, expected });
    };
    if cells.len() != expected {
        let found = cells.len();
        return Err(OtherCells { found, expected });
    }
    let mut rows: Vec<Row> = (0..layout.groups())
        .map(|group| {
            let sums = sums(query, table, &layout, &scales, group, cells, noise);
            row(query, table, &layout.places(group), &sums, floor)
        })
        .collect();
    let suppressed = rows.iter().filter(|row| row.suppressed).count();
    for stage in &query.presentation.stages {
        arrange(stage, &mut rows);
    }
    let last = query.presentation.stages.last();
    let sources: Vec<Source> = last
        .into_iter()
        .flat_map(|stage| stage.columns.iter().map(|column| column.source))
        .collect();
    let shown = rows.iter().map(|row| {
        let values = sources.iter().map(|source| shown(query, row, *source));
        values.collect()
    });
    Ok(Answer {
        columns: columns(query),
        rows: shown.collect(),
        suppressed,
    })
}

fn sums<'a>(
    query: &Query,
    table: &'a Published,
    layout: &Layout,
    scales: &Scales,
    group: usize,
    cells: &[i64],
    noise: Noise,
) -> Sums<'a> {
    let blocks = query.question.blocks.iter().enumerate();
    let blocks = blocks.map(|(index, block)| {
        let unit = scales.unit(index);
        let cells = &cells[layout.cells_of(group, index)];
        BlockSum {
            kind: block.kind,
            sums: cells.iter().map(|cell| *cell as f64 * unit).collect(),
            sigma: noise.sigma() * unit,
        }
    });
    Sums {
        table,
        blocks: blocks.collect(),
    }
}

fn row(query: &Query, table: &Published, places: &[usize], sums: &Sums<'_>, floor: u64) -> Row {
    let keys = query.question.keys.iter().zip(places);
    let keys = keys
        .map(|(key, place)| key_value(*key, table, *place))
        .collect();
    let below = floor > 0 && sums.size().is_none_or(|size| size.round() < floor as f64);
    let negative = query.presentation.negative_counts;
    let readings = query.presentation.readings.iter();
    let figures: Vec<Option<Figure>> = readings
        .map(|reading| {
            if below {
                None
            } else {
                sums.read(reading, negative)
            }
        })
        .collect();
    Row {
        keys,
        suppressed: below || figures.iter().any(Option::is_none),
        figures,
    }
}

/// What a place of a key is called.
#[must_use]
pub fn key_value(key: Key, table: &Published, place: usize) -> Value {
    let column = table.columns.get(usize::from(key.column()));
    match (key, column.map(|column| &column.kind)) {
        (Key::Level(_), Some(PublishedKind::Key { levels, unknown })) => {
            Value::Text(levels.get(place).unwrap_or(unknown).clone())
        }
        (Key::Period(_, period), Some(kind @ PublishedKind::Date { first, .. })) => {
            let missing = key.count(kind).is_none_or(|count| place + 1 >= count);
            let index = i32::try_from(place).ok().filter(|_| !missing);
            let day = index.and_then(|index| period.first_day(period.of(*first) + index));
            day.map_or(Value::Null, Value::Date)
        }
        (Key::Bucket { count, .. }, Some(_)) if place <= usize::from(count) + 1 => {
            Value::Whole(place as i64)
        }
        _ => Value::Null,
    }
}

fn arrange(stage: &Stage, rows: &mut Vec<Row>) {
    if let Some(test) = &stage.having {
        rows.retain(|row| holds(test, row) == Some(true));
    }
    if !stage.order.is_empty() {
        rows.sort_by(|one, other| {
            let orders = stage.order.iter().map(|sort| ordering(sort, one, other));
            orders.fold(Ordering::Equal, Ordering::then)
        });
    }
    let offset = usize::try_from(stage.offset).unwrap_or(usize::MAX);
    rows.drain(..offset.min(rows.len()));
    if let Some(limit) = stage.limit {
        rows.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    }
}

fn ordering(sort: &Sort, one: &Row, other: &Row) -> Ordering {
    let (one, other) = (plain(one, sort.source), plain(other, sort.source));
    let nulls = if sort.nulls_first {
        Ordering::Less
    } else {
        Ordering::Greater
    };
    match (&one, &other) {
        (Value::Null, Value::Null) => Ordering::Equal,
        (Value::Null, _) => nulls,
        (_, Value::Null) => nulls.reverse(),
        _ => {
            let rising = compared(&one, &other);
            if sort.descending {
                rising.reverse()
            } else {
                rising
            }
        }
    }
}

fn compared(one: &Value, other: &Value) -> Ordering {
    match (one, other) {
        (Value::Text(one), Value::Text(other)) => one.cmp(other),
        (Value::Date(one), Value::Date(other)) => one.cmp(other),
        (Value::Whole(one), Value::Whole(other)) => one.cmp(other),
        (Value::Truth(one), Value::Truth(other)) => one.cmp(other),
        (Value::Real(one), Value::Real(other)) => one.total_cmp(other),
        _ => Ordering::Equal,
    }
}

/// A value for comparing: numbers as they are, whether whole or not.
fn plain(row: &Row, source: Source) -> Value {
    let figure = |of: usize| row.figures.get(of).copied().flatten();
    let real = |value: Option<f64>| value.map_or(Value::Null, Value::Real);
    match source {
        Source::Key(place) => row.keys.get(place).cloned().unwrap_or(Value::Null),
        Source::Value(of) | Source::Json(of) => real(figure(of).map(|figure| figure.value)),
        Source::Low(of) => real(figure(of).map(|figure| figure.low)),
        Source::High(of) => real(figure(of).map(|figure| figure.high)),
        Source::Suppressed => Value::Truth(row.suppressed),
    }
}

fn holds(test: &Test, row: &Row) -> Option<bool> {
    match test {
        Test::Not(inner) => holds(inner, row).map(|found| !found),
        Test::And(parts) => decided(parts, row, false),
        Test::Or(parts) => decided(parts, row, true),
        Test::IsNull(source) => Some(plain(row, *source) == Value::Null),
        Test::Compare(source, comparison, constant) => {
            let order = match (plain(row, *source), constant) {
                (Value::Real(value), Constant::Number(number)) => value.partial_cmp(number)?,
                (Value::Whole(value), Constant::Number(number)) => {
                    (value as f64).partial_cmp(number)?
                }
                (Value::Truth(value), Constant::Number(number)) => {
                    f64::from(u8::from(value)).partial_cmp(number)?
                }
                (Value::Text(value), Constant::Text(text)) => value.cmp(text),
                (Value::Date(value), Constant::Day(day)) => value.cmp(day),
                _ => return None,
            };
            Some(match comparison {
                Comparison::Equal => order.is_eq(),
                Comparison::NotEqual => order.is_ne(),
                Comparison::Less => order.is_lt(),
                Comparison::LessOrEqual => order.is_le(),
                Comparison::Greater => order.is_gt(),
                Comparison::GreaterOrEqual => order.is_ge(),
            })
        }
    }
}

/// One part of this value decides; otherwise one that is neither leaves it open.
fn decided(parts: &[Test], row: &Row, decisive: bool) -> Option<bool> {
    let found: Vec<Option<bool>> = parts.iter().map(|part| holds(part, row)).collect();
    if found.contains(&Some(decisive)) {
        return Some(decisive);
    }
    (!found.contains(&None)).then_some(!decisive)
}

fn kind(query: &Query, source: Source) -> ValueKind {
    match source {
        Source::Key(place) => match query.question.keys.get(place) {
            Some(Key::Period(..)) => ValueKind::Date,
            Some(Key::Bucket { .. }) => ValueKind::Whole,
            _ => ValueKind::Text,
        },
        Source::Value(of) | Source::Low(of) | Source::High(of) => {
            let reading = query.presentation.readings.get(of);
            match reading.is_some_and(super::reading::Reading::is_whole) {
                true => ValueKind::Whole,
                false => ValueKind::Real,
            }
        }
        Source::Json(_) => ValueKind::Json,
        Source::Suppressed => ValueKind::Truth,
    }
}

fn shown(query: &Query, row: &Row, source: Source) -> Value {
    if let Source::Json(of) = source {
        let Some(Some(figure)) = row.figures.get(of) else {
            return Value::Null;
        };
        let whole = kind(query, Source::Value(of)) == ValueKind::Whole;
        let number = |value: f64| {
            if whole {
                json!(value as i64)
            } else {
                json!(value)
            }
        };
        let (value, low, high) = (
            number(figure.value),
            number(figure.low),
            number(figure.high),
        );
        return Value::Json(json!({"value": value, "low": low, "high": high}).to_string());
    }
    match (plain(row, source), kind(query, source)) {
        (Value::Real(value), ValueKind::Whole) => Value::Whole(value as i64),
        (other, _) => other,
    }
}

#[cfg(test)]
#[path = "answer_tests.rs"]
mod tests;
