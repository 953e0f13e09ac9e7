//! Writes a contract file that reads back to the same contract.

use std::fmt::Write;

use super::published::PublishedColumn;
use super::{Column, ColumnKind, Contract, rules, write_published};

pub(super) fn contract(contract: &Contract) -> String {
    let mut out = String::new();
    sections(contract, &mut out).expect("writing to a string cannot fail");
    out
}

fn sections(contract: &Contract, out: &mut String) -> std::fmt::Result {
    writeln!(out, "[contract]")?;
    writeln!(out, "name = {}", text(contract.name.as_str()))?;
    writeln!(out, "version = {}", contract.version)?;
    writeln!(out, "multiplicity = {}", contract.multiplicity)?;
    let table = key(&contract.table);
    writeln!(out, "\n[table.{table}]")?;
    writeln!(out, "privacy_unit = {}", text(&contract.privacy_unit))?;
    let (column, positive) = (&contract.label.column, &contract.label.positive);
    writeln!(
        out,
        "label = {{ column = {}, positive = {} }}",
        text(column),
        text(positive)
    )?;
    if contract.columns.iter().any(|column| !column.actionable) {
        let actionable = contract.columns.iter().filter(|column| column.actionable);
        let names: Vec<&str> = actionable.map(|column| column.name.as_str()).collect();
        writeln!(out, "actionable = {}", list(&names))?;
    }
    let published = contract.published(&contract.table);
    if let Some(published) = published {
        write_published::head(published, out)?;
    }
    if !contract.excluded.is_empty() {
        writeln!(out, "\n[table.{table}.excluded]")?;
    }
    for excluded in &contract.excluded {
        writeln!(
            out,
            "{} = {}",
            key(&excluded.column),
            text(&excluded.reason)
        )?;
    }
    for column in &contract.columns {
        let asked = published.and_then(|published| {
            let place = published.position(&column.name)?;
            published.columns.get(place)
        });
        section(&table, column, asked, out)?;
    }
    let others = contract.published.iter();
    others
        .filter(|other| other.name != contract.table)
        .try_for_each(|other| write_published::table(other, out))
}

fn section(
    table: &str,
    column: &Column,
    asked: Option<&PublishedColumn>,
    out: &mut String,
) -> std::fmt::Result {
    writeln!(out, "\n[table.{table}.column.{}]", key(&column.name))?;
    match &column.kind {
        ColumnKind::Numeric {
            low,
            high,
            transform,
            unit,
            ..
        } => {
            writeln!(out, "low = {low:?}")?;
            writeln!(out, "high = {high:?}")?;
            writeln!(out, "transform = {:?}", rules::transform_name(*transform))?;
            if !unit.is_empty() {
                writeln!(out, "unit = {}", text(unit))?;
            }
        }
        ColumnKind::Levels(cells) => writeln!(out, "levels = {}", list(cells.levels()))?,
    }
    asked.map_or(Ok(()), |asked| write_published::asked(asked, out))
}

pub(super) fn list(items: &[impl AsRef<str>]) -> String {
    let quoted: Vec<String> = items.iter().map(|item| text(item.as_ref())).collect();
    format!("[{}]", quoted.join(", "))
}

pub(super) fn text(text: &str) -> String {
    let escaped = text.replace('\\', "\\\\").replace('"', "\\\"");
    format!("\"{escaped}\"")
}

pub(super) fn key(name: &str) -> String {
    let bare = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
    if !name.is_empty() && name.bytes().all(bare) {
        return name.to_owned();
    }
    text(name)
}
