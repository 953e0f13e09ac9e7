//! Tables of the catalogue: names, columns, rows. Every column that PostgreSQL 15 has is there; what nothing is known of is empty.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use aquifer_shared::protocol::ask::{AnswerColumn, AnswerKind, AnswerValue};

/// A table with its rows.
#[derive(Clone, Debug, PartialEq)]
pub struct Grid {
    /// Its schema.
    pub schema: &'static str,
    /// Its name.
    pub name: &'static str,
    /// Its columns.
    pub columns: Vec<AnswerColumn>,
    /// One value for each column.
    pub rows: Vec<Vec<AnswerValue>>,
}

/// Some values of a row, by the names of their columns.
pub(super) type Some<'a> = Vec<(&'a str, AnswerValue)>;

/// Columns by schema and table.
pub(super) type Tables = BTreeMap<(&'static str, &'static str), Vec<(&'static str, AnswerKind)>>;

/// Columns of every table of PostgreSQL's own schemas that is known here.
static KNOWN: LazyLock<Tables> = LazyLock::new(|| read(include_str!("columns.txt")));

/// Reads lines of the form `schema.table column:kind column:kind ...`.
pub(super) fn read(text: &'static str) -> Tables {
    let line = |line: &'static str| {
        let mut words = line.split(' ');
        let (schema, table) = words.next()?.split_once('.')?;
        let column = |word: &'static str| {
            let (name, kind) = word.split_once(':')?;
            let kind = match kind {
                "i" => AnswerKind::Whole,
                "f" => AnswerKind::Number,
                "b" => AnswerKind::Truth,
                _ => AnswerKind::Text,
            };
            Some((name, kind))
        };
        Some(((schema, table), words.filter_map(column).collect()))
    };
    text.lines().filter_map(line).collect()
}

/// Schema and name of every table of PostgreSQL's own schemas that is known here.
pub fn known() -> impl Iterator<Item = (&'static str, &'static str)> {
    KNOWN.keys().copied()
}

/// Whether such a table is known.
#[must_use]
pub fn is_known(schema: &str, table: &str) -> bool {
    KNOWN
        .keys()
        .any(|(own, name)| *own == schema && *name == table)
}

/// Columns of such a table; none for one that is not known.
#[must_use]
pub fn columns_of(schema: &str, table: &str) -> Vec<AnswerColumn> {
    let found = KNOWN.iter().find(|(own, _)| **own == (schema, table));
    let column = |(name, kind): &(&str, AnswerKind)| column(name, *kind);
    found.map_or_else(Vec::new, |(_, columns)| {
        columns.iter().map(column).collect()
    })
}

/// What a column of this name holds, whichever table it is of.
pub(super) fn kind_of(column: &str) -> Option<AnswerKind> {
    let mut all = KNOWN.values().flatten();
    all.find(|(name, _)| *name == column).map(|(_, kind)| *kind)
}

impl Grid {
    /// A table of PostgreSQL's own; columns that a row says nothing about are zero, false or without a value.
    pub(super) fn of(schema: &'static str, name: &'static str, rows: Vec<Some<'_>>) -> Self {
        let columns = columns_of(schema, name);
        let filled = |row: Some<'_>| {
            let value = |column: &AnswerColumn| {
                let named = row.iter().find(|(name, _)| *name == column.name);
                named.map_or_else(|| nothing(column.kind), |(_, value)| value.clone())
            };
            columns.iter().map(value).collect()
        };
        Self {
            schema,
            name,
            rows: rows.into_iter().map(filled).collect(),
            columns,
        }
    }
}

fn nothing(kind: AnswerKind) -> AnswerValue {
    match kind {
        AnswerKind::Whole => AnswerValue::Whole(0),
        AnswerKind::Number => AnswerValue::Number(0.0),
        AnswerKind::Truth => AnswerValue::Truth(false),
        AnswerKind::Text | AnswerKind::Day | AnswerKind::Json => AnswerValue::Null,
    }
}

pub(super) fn column(name: &str, kind: AnswerKind) -> AnswerColumn {
    AnswerColumn {
        name: name.to_owned(),
        kind,
    }
}

pub(super) fn text(value: impl Into<String>) -> AnswerValue {
    AnswerValue::Text(value.into())
}

pub(super) fn whole(value: impl TryInto<i64>) -> AnswerValue {
    AnswerValue::Whole(value.try_into().unwrap_or(i64::MAX))
}

pub(super) fn truth(value: bool) -> AnswerValue {
    AnswerValue::Truth(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_have_the_columns_of_postgresql() {
        assert!(is_known("pg_catalog", "pg_class") && is_known("information_schema", "columns"));
        assert!(!is_known("public", "pg_class"));
        assert_eq!(columns_of("pg_catalog", "pg_class").len(), 33);
        assert_eq!(kind_of("inhrelid"), Some(AnswerKind::Whole));
    }

    #[test]
    fn what_is_not_said_is_nothing() {
        let grid = Grid::of("pg_catalog", "pg_am", vec![vec![("amname", text("heap"))]]);
        assert_eq!(grid.rows[0][..2], [AnswerValue::Whole(0), text("heap")]);
    }
}
