//! Writes the tables for analysts into a contract file, so that they read back the same.

use std::fmt::{Result, Write};

use super::published::{
    NumberColumn, Published, PublishedColumn, PublishedKind, rows_per_unit_usual,
};
use super::write::{key, list, text};
use crate::base::calendar;
use crate::base::decimal::written;

/// A table without a label.
pub(super) fn table(table: &Published, out: &mut String) -> Result {
    let name = key(&table.name);
    writeln!(out, "\n[table.{name}]")?;
    writeln!(out, "privacy_unit = {}", text(&table.privacy_unit))?;
    writeln!(out, "rows_per_group_max = {}", table.rows_per_group_max)?;
    writeln!(out, "groups_per_unit_max = {}", table.groups_per_unit_max)?;
    let usual = rows_per_unit_usual(table.rows_per_group_max, table.groups_per_unit_max);
    if table.rows_per_unit_max != usual {
        writeln!(out, "rows_per_unit_max = {}", table.rows_per_unit_max)?;
    }
    head(table, out)?;
    for column in &table.columns {
        writeln!(out, "\n[table.{name}.column.{}]", key(&column.name))?;
        if let PublishedKind::Number(number) = &column.kind {
            writeln!(out, "low = {}", written(number.low, number.digits))?;
            writeln!(out, "high = {}", written(number.high, number.digits))?;
            if !number.unit.is_empty() {
                writeln!(out, "unit = {}", text(&number.unit))?;
            }
        }
        if let PublishedKind::Key { levels, .. } = &column.kind {
            writeln!(out, "levels = {}", list(levels))?;
        }
        asked(column, out)?;
    }
    Ok(())
}

/// What makes a table one for analysts.
pub(super) fn head(table: &Published, out: &mut String) -> Result {
    let (fewest, most) = table.size_band;
    writeln!(out, "size_band = [{fewest}, {most}]")?;
    description(&table.description, out)
}

/// What only analysts' columns have.
pub(super) fn asked(column: &PublishedColumn, out: &mut String) -> Result {
    match &column.kind {
        PublishedKind::Number(number) => number_keys(number, out)?,
        PublishedKind::Key { unknown, .. } => writeln!(out, "unknown = {}", text(unknown))?,
        PublishedKind::Date { first, last } => {
            writeln!(out, "first = {}", calendar::written(*first))?;
            writeln!(out, "last = {}", calendar::written(*last))?;
        }
    }
    description(&column.description, out)
}

fn number_keys(number: &NumberColumn, out: &mut String) -> Result {
    let digits = number.digits;
    writeln!(out, "step = {}", written(number.step, digits))?;
    writeln!(out, "digits = {digits}")?;
    writeln!(out, "grid = {}", number.grid)?;
    match number.on_null {
        Some(value) => writeln!(out, "on_null = {}", written(value, digits)),
        None => writeln!(out, "on_null = \"skip\""),
    }
}

fn description(found: &str, out: &mut String) -> Result {
    if found.is_empty() {
        return Ok(());
    }
    writeln!(out, "description = {}", text(found))
}
