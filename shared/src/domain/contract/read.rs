//! Reads a contract file. Every problem is reported with its line and column.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{Column, ColumnKind, Contract, ContractError, Excluded, Label, rules};
use crate::base::cells::Transform;
use crate::base::ids::Name;
use crate::base::limits::{DOCUMENT_BYTES_MAX, MULTIPLICITY_MAX};

type Read<T> = Result<T, ContractError>;

pub(super) fn contract(text: &str) -> Read<Contract> {
    let length = text.len();
    if length > DOCUMENT_BYTES_MAX {
        let problem = format!("{length} bytes, expected at most {DOCUMENT_BYTES_MAX}");
        return Err(error_at(text, 0, problem));
    }
    let document = DeTable::parse(text).map_err(|error| {
        let start = error.span().map_or(0, |span| span.start);
        error_at(text, start, error.message().to_owned())
    })?;
    let mut root = Section::new(text, "the file", 0, document.get_ref());
    let mut head = root.required("contract")?.section("[contract]")?;
    let tables = root.required("table")?.section("[table]")?;
    root.finish(&["contract", "table"])?;

    let name = head.required("name")?;
    let parsed = name.text()?.parse::<Name>();
    let name = parsed.map_err(|error| name.problem(error.to_string()))?;
    let version = head.required("version")?.integer(1, u32::MAX.into())? as u32;
    let multiplicity = head.optional("multiplicity");
    let multiplicity =
        multiplicity.map_or(Ok(1), |m| m.integer(1, MULTIPLICITY_MAX.into()))? as u16;
    head.finish(&["name", "version", "multiplicity"])?;

    let table = tables.only_table()?;
    let contract = read_table(name, version, multiplicity, table)?;
    rules::whole(&contract).map_err(|(column, problem)| {
        error_at(text, place_of(document.get_ref(), &column), problem)
    })?;
    Ok(contract)
}

fn read_table(name: Name, version: u32, multiplicity: u16, table: Field<'_>) -> Read<Contract> {
    let table_name = rules::text("table name", table.key).map_err(|e| table.problem(e))?;
    let mut section = table.section(&format!("[table.{table_name}]"))?;
    section.refuse_weights()?;
    let privacy_unit = section.required("privacy_unit")?.name()?;
    let mut label = section.required("label")?.section("label")?;
    let label_column = label.required("column")?.name()?;
    let positive = label.required("positive")?.name()?;
    label.finish(&["column", "positive"])?;
    let columns = section.optional("column").map(read_columns).transpose()?;
    let mut columns = columns.unwrap_or_default();
    if let Some(actionable) = section.optional("actionable") {
        mark_actionable(&mut columns, &actionable)?;
    }
    let excluded = section
        .optional("excluded")
        .map(read_excluded)
        .transpose()?;
    section.finish(&["privacy_unit", "label", "column", "actionable", "excluded"])?;
    Ok(Contract {
        name,
        version,
        multiplicity,
        table: table_name,
        privacy_unit,
        columns,
        label: Label {
            column: label_column,
            positive,
        },
        excluded: excluded.unwrap_or_default(),
    })
}

/// Numeric columns first, then categorical, each in file order.
fn read_columns(columns: Field<'_>) -> Read<Vec<Column>> {
    let fields = columns.section("column")?.fields;
    let read: Read<Vec<Column>> = fields.into_iter().map(read_column).collect();
    let (numeric, levels): (Vec<_>, Vec<_>) = read?
        .into_iter()
        .partition(|column| matches!(column.kind, ColumnKind::Numeric { .. }));
    Ok(numeric.into_iter().chain(levels).collect())
}

fn read_column(field: Field<'_>) -> Read<Column> {
    let name = rules::text("column name", field.key).map_err(|e| field.problem(e))?;
    let problem = |problem: String| field.problem(format!("column {name:?}: {problem}"));
    let mut section = field.section(&format!("column {name:?}"))?;
    section.refuse_weights()?;
    let kind = match section.optional("levels") {
        Some(levels) => rules::levels(read_levels(&levels)?).map_err(|e| levels.problem(e))?,
        None => {
            if section.fields.is_empty() {
                return Err(problem("expected low and high, or levels".to_owned()));
            }
            let low = section.required("low")?.number()?;
            let high = section.required("high")?.number()?;
            let transform = section.optional("transform");
            let transform = transform.map_or(Ok(Transform::default()), |field| {
                rules::transform(field.text()?).map_err(|e| field.problem(e))
            })?;
            let unit = section.optional("unit");
            let unit = unit.as_ref().map_or(Ok(""), Field::text)?;
            rules::numeric(low, high, transform, unit).map_err(problem)?
        }
    };
    let expected: &[&str] = match kind {
        ColumnKind::Numeric { .. } => &["low", "high", "transform", "unit"],
        ColumnKind::Levels(_) => &["levels"],
    };
    section.finish(expected)?;
    Ok(Column {
        name,
        kind,
        actionable: true,
    })
}

fn read_levels(field: &Field<'_>) -> Read<Vec<String>> {
    let mut levels = Vec::new();
    for item in field.items()? {
        let level = rules::level(&levels, item.text()?).map_err(|e| item.problem(e))?;
        levels.push(level);
    }
    Ok(levels)
}

fn mark_actionable(columns: &mut [Column], field: &Field<'_>) -> Read<()> {
    columns
        .iter_mut()
        .for_each(|column| column.actionable = false);
    for item in field.items()? {
        let name = item.text()?;
        let known = columns.iter_mut().find(|column| column.name == name);
        let problem = || format!("actionable names {name:?}, expected a feature column");
        let column = known.ok_or_else(|| item.problem(problem()))?;
        if column.actionable {
            return Err(item.problem(format!("actionable names {name:?} twice")));
        }
        column.actionable = true;
    }
    Ok(())
}

fn read_excluded(field: Field<'_>) -> Read<Vec<Excluded>> {
    let fields = field.section("excluded")?.fields;
    let read = fields.into_iter().map(|field| {
        let column = rules::text("column name", field.key).map_err(|e| field.problem(e))?;
        let reason = field.name()?;
        Ok(Excluded { column, reason })
    });
    read.collect()
}

/// A table of the file: its fields in file order, taken one by one.
struct Section<'a> {
    text: &'a str,
    what: String,
    start: usize,
    fields: Vec<Field<'a>>,
}

/// A key with its value (or an item of a list, under the list's key).
struct Field<'a> {
    text: &'a str,
    key: &'a str,
    key_start: usize,
    value: &'a Spanned<DeValue<'a>>,
}

impl<'a> Section<'a> {
    fn new(text: &'a str, what: &str, start: usize, table: &'a DeTable<'a>) -> Self {
        let mut fields: Vec<Field<'a>> = table
            .iter()
            .map(|(key, value)| Field {
                text,
                key: key.get_ref(),
                key_start: key.span().start,
                value,
            })
            .collect();
        fields.sort_by_key(|field| field.key_start);
        Self {
            text,
            what: what.to_owned(),
            start,
            fields,
        }
    }

    fn optional(&mut self, key: &str) -> Option<Field<'a>> {
        let index = self.fields.iter().position(|field| field.key == key)?;
        Some(self.fields.remove(index))
    }

    fn required(&mut self, key: &str) -> Read<Field<'a>> {
        let problem = format!("{} has no {key:?}", self.what);
        let missing = error_at(self.text, self.start, problem);
        self.optional(key).ok_or(missing)
    }

    fn refuse_weights(&self) -> Read<()> {
        let weight = |field: &&Field<'a>| ["weight", "weights"].contains(&field.key);
        self.fields.iter().find(weight).map_or(Ok(()), |field| {
            Err(field.problem(format!(
                "{:?} is refused: a weight multiplies a customer's reach",
                field.key
            )))
        })
    }

    fn only_table(mut self) -> Read<Field<'a>> {
        if self.fields.len() > 1 {
            let second = &self.fields[1];
            let problem = format!("a second table {:?}, expected one", second.key);
            return Err(second.problem(problem));
        }
        let none = error_at(self.text, self.start, "no table, expected one".to_owned());
        self.fields.pop().ok_or(none)
    }

    fn finish(self, expected: &[&str]) -> Read<()> {
        self.fields.first().map_or(Ok(()), |unknown| {
            let (key, what, expected) = (unknown.key, self.what, expected.join(", "));
            Err(unknown.problem(format!(
                "unknown key {key:?} in {what}, expected {expected}"
            )))
        })
    }
}

impl<'a> Field<'a> {
    fn problem(&self, problem: String) -> ContractError {
        error_at(self.text, self.key_start, problem)
    }

    fn value_problem(&self, expected: &str) -> ContractError {
        let (key, found) = (self.key, self.value.get_ref().type_str());
        let start = self.value.span().start;
        error_at(
            self.text,
            start,
            format!("{key} is a {found}, expected {expected}"),
        )
    }

    fn section(&self, what: &str) -> Read<Section<'a>> {
        let table = self.value.get_ref().as_table();
        let table = table.ok_or_else(|| self.value_problem("a table"))?;
        Ok(Section::new(self.text, what, self.key_start, table))
    }

    fn text(&self) -> Read<&'a str> {
        let text = self.value.get_ref().as_str();
        text.ok_or_else(|| self.value_problem("a text in quotes"))
    }

    /// A text that names something.
    fn name(&self) -> Read<String> {
        rules::text(self.key, self.text()?).map_err(|e| self.problem(e))
    }

    fn items(&self) -> Read<Vec<Field<'a>>> {
        let list = self.value.get_ref().as_array();
        let list = list.ok_or_else(|| self.value_problem("a list"))?;
        let item = |value: &'a Spanned<DeValue<'a>>| Field {
            text: self.text,
            key: self.key,
            key_start: value.span().start,
            value,
        };
        Ok(list.iter().map(item).collect())
    }

    fn integer(&self, low: i64, high: i64) -> Read<i64> {
        let expected = format!("a whole number from {low} to {high}");
        let found = self.value.get_ref().as_integer();
        let found = found.ok_or_else(|| self.value_problem(&expected))?;
        let value = i64::from_str_radix(found.as_str(), found.radix()).ok();
        value
            .filter(|value| (low..=high).contains(value))
            .ok_or_else(|| {
                let (key, found) = (self.key, found.as_str());
                error_at(
                    self.text,
                    self.value.span().start,
                    format!("{key} is {found}, expected {expected}"),
                )
            })
    }

    fn number(&self) -> Read<f64> {
        let value = match self.value.get_ref() {
            DeValue::Float(found) => found.as_str().parse().ok(),
            DeValue::Integer(found) => i64::from_str_radix(found.as_str(), found.radix())
                .ok()
                .map(|whole| whole as f64),
            _ => None,
        };
        value.ok_or_else(|| self.value_problem("a number"))
    }
}

/// Where a column is first named as a key or a text; the start of the file if nowhere.
fn place_of(table: &DeTable<'_>, column: &str) -> usize {
    let mut spans = Vec::new();
    collect_spans(table, column, &mut spans);
    spans.iter().map(|span| span.start).min().unwrap_or(0)
}

fn collect_spans(table: &DeTable<'_>, column: &str, spans: &mut Vec<Range<usize>>) {
    for (key, value) in table {
        if key.get_ref() == column {
            spans.push(key.span());
        }
        if value.get_ref().as_str() == Some(column) {
            spans.push(value.span());
        }
        if let Some(inner) = value.get_ref().as_table() {
            collect_spans(inner, column, spans);
        }
    }
}

/// An error at a byte of the file.
pub(super) fn error_at(text: &str, start: usize, problem: String) -> ContractError {
    let mut start = start.min(text.len());
    while !text.is_char_boundary(start) {
        start -= 1;
    }
    let before = &text[..start];
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    ContractError {
        line: before.matches('\n').count() + 1,
        column: before[line_start..].chars().count() + 1,
        problem,
    }
}
