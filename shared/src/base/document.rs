//! The tables and values of a TOML document, each with its place, so that every problem is reported with line and column.
//!
//! Knows no document in particular: contracts and rule packs are read with it.

use std::fmt;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::calendar;
use super::decimal::Decimal;
use super::limits::{DOCUMENT_BYTES_MAX, NAME_BYTES_MAX};

/// A document that breaks a rule.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DocumentError {
    /// Line in the file, from 1.
    pub line: usize,
    /// Column in the line (characters), from 1.
    pub column: usize,
    /// What was found and what was expected.
    pub problem: String,
}

impl fmt::Display for DocumentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "line {}, column {}: {}",
            self.line, self.column, self.problem
        )
    }
}

impl std::error::Error for DocumentError {}

/// What was read, or the first problem.
pub(crate) type Read<T> = Result<T, DocumentError>;

/// A table of the file: its fields in file order, taken one by one.
pub(crate) struct Section<'a> {
    text: &'a str,
    what: String,
    start: usize,
    pub(crate) fields: Vec<Field<'a>>,
}

/// A key with its value (or an item of a list, under the list's key).
pub(crate) struct Field<'a> {
    text: &'a str,
    pub(crate) key: &'a str,
    key_start: usize,
    value: &'a Spanned<DeValue<'a>>,
}

impl<'a> Section<'a> {
    pub(crate) fn new(text: &'a str, what: &str, start: usize, table: &'a DeTable<'a>) -> Self {
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

    pub(crate) fn optional(&mut self, key: &str) -> Option<Field<'a>> {
        let index = self.fields.iter().position(|field| field.key == key)?;
        Some(self.fields.remove(index))
    }

    pub(crate) fn required(&mut self, key: &str) -> Read<Field<'a>> {
        let problem = format!("{} has no {key:?}", self.what);
        let missing = error_at(self.text, self.start, problem);
        self.optional(key).ok_or(missing)
    }

    pub(crate) fn refuse_weights(&self) -> Read<()> {
        let weight = |field: &&Field<'a>| ["weight", "weights"].contains(&field.key);
        self.fields.iter().find(weight).map_or(Ok(()), |field| {
            Err(field.problem(format!(
                "{:?} is refused: a weight multiplies a customer's reach",
                field.key
            )))
        })
    }

    /// Takes these away unread.
    pub(crate) fn ignore(&mut self, keys: &[&str]) {
        self.fields.retain(|field| !keys.contains(&field.key));
    }

    /// A problem of the whole table, at its start.
    pub(crate) fn problem(&self, problem: String) -> DocumentError {
        error_at(self.text, self.start, problem)
    }

    pub(crate) fn finish(self, expected: &[&str]) -> Read<()> {
        self.fields.first().map_or(Ok(()), |unknown| {
            let (key, what, expected) = (unknown.key, self.what, expected.join(", "));
            Err(unknown.problem(format!(
                "unknown key {key:?} in {what}, expected {expected}"
            )))
        })
    }
}

impl<'a> Field<'a> {
    pub(crate) fn problem(&self, problem: String) -> DocumentError {
        error_at(self.text, self.key_start, problem)
    }

    pub(crate) fn value_problem(&self, expected: &str) -> DocumentError {
        let (key, found) = (self.key, self.value.get_ref().type_str());
        let start = self.value.span().start;
        error_at(
            self.text,
            start,
            format!("{key} is a {found}, expected {expected}"),
        )
    }

    pub(crate) fn section(&self, what: &str) -> Read<Section<'a>> {
        let table = self.value.get_ref().as_table();
        let table = table.ok_or_else(|| self.value_problem("a table"))?;
        Ok(Section::new(self.text, what, self.key_start, table))
    }

    pub(crate) fn text(&self) -> Read<&'a str> {
        let text = self.value.get_ref().as_str();
        text.ok_or_else(|| self.value_problem("a text in quotes"))
    }

    /// A text that names something.
    pub(crate) fn name(&self) -> Read<String> {
        text(self.key, self.text()?).map_err(|e| self.problem(e))
    }

    /// A single value, or a list of texts, as it would be typed on a command line.
    pub(crate) fn as_text(&self) -> Read<String> {
        Ok(match self.value.get_ref() {
            DeValue::Boolean(_) => self.boolean()?.to_string(),
            DeValue::Integer(_) => self.integer(i64::MIN, i64::MAX)?.to_string(),
            DeValue::Datetime(_) => calendar::written(self.date()?),
            DeValue::Array(_) => {
                let items = self.items()?;
                let texts: Read<Vec<&str>> = items.iter().map(Field::text).collect();
                texts?.join(",")
            }
            _ => self.text()?.to_owned(),
        })
    }

    pub(crate) fn boolean(&self) -> Read<bool> {
        let found = self.value.get_ref().as_bool();
        found.ok_or_else(|| self.value_problem("true or false"))
    }

    pub(crate) fn items(&self) -> Read<Vec<Field<'a>>> {
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

    pub(crate) fn integer(&self, low: i64, high: i64) -> Read<i64> {
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

    pub(crate) fn number(&self) -> Read<f64> {
        let value = match self.value.get_ref() {
            DeValue::Float(found) => found.as_str().parse().ok(),
            DeValue::Integer(found) => i64::from_str_radix(found.as_str(), found.radix())
                .ok()
                .map(|whole| whole as f64),
            _ => None,
        };
        value.ok_or_else(|| self.value_problem("a number"))
    }

    /// A number as it is written, exactly.
    pub(crate) fn decimal(&self) -> Read<Decimal> {
        let written = match self.value.get_ref() {
            DeValue::Float(found) => Decimal::parse(found.as_str()),
            DeValue::Integer(found) => i64::from_str_radix(found.as_str(), found.radix())
                .ok()
                .map(|whole| Decimal::whole(whole.into())),
            _ => return Err(self.value_problem("a number")),
        };
        written.ok_or_else(|| self.problem_here("is no decimal number of at most 30 digits"))
    }

    /// A date without quotes, time or offset.
    pub(crate) fn date(&self) -> Read<i32> {
        let expected = "a date like 2024-01-31, without quotes";
        let DeValue::Datetime(found) = self.value.get_ref() else {
            return Err(self.value_problem(expected));
        };
        let date = found
            .date
            .filter(|_| found.time.is_none() && found.offset.is_none());
        let day = date.and_then(|date| {
            calendar::day_of(date.year.into(), date.month.into(), date.day.into())
        });
        day.ok_or_else(|| self.value_problem(expected))
    }

    /// A problem with the value, at the value.
    pub(crate) fn problem_here(&self, problem: &str) -> DocumentError {
        let start = self.value.span().start;
        error_at(self.text, start, format!("{} {problem}", self.key))
    }

    /// Whether the value is a table with this key.
    pub(crate) fn holds(&self, key: &str) -> bool {
        let table = self.value.get_ref().as_table();
        table.is_some_and(|table| table.keys().any(|known| known.get_ref() == key))
    }

    /// Whether the value is a text.
    pub(crate) fn is_text(&self) -> bool {
        self.value.get_ref().as_str().is_some()
    }
}

/// Reads the tables of a document of limited length.
pub(crate) fn tables(text: &str) -> Read<Spanned<DeTable<'_>>> {
    let length = text.len();
    if length > DOCUMENT_BYTES_MAX {
        let problem = format!("{length} bytes, expected at most {DOCUMENT_BYTES_MAX}");
        return Err(error_at(text, 0, problem));
    }
    DeTable::parse(text).map_err(|error| {
        let start = error.span().map_or(0, |span| span.start);
        error_at(text, start, error.message().to_owned())
    })
}

/// A text that people and machines can repeat: of limited length, trimmed, without control characters.
pub(crate) fn text(what: &str, found: &str) -> Result<String, String> {
    if found.is_empty() {
        return Err(format!("{what} is empty, expected a text"));
    }
    if found.trim() != found {
        return Err(format!(
            "{what} {found:?} has spaces at an end, expected it trimmed"
        ));
    }
    plain(what, found)
}

/// A text that may be empty.
pub(crate) fn plain(what: &str, found: &str) -> Result<String, String> {
    let length = found.len();
    if length > NAME_BYTES_MAX {
        return Err(format!(
            "{what} has {length} bytes, expected at most {NAME_BYTES_MAX}"
        ));
    }
    if found.chars().any(char::is_control) {
        return Err(format!(
            "{what} {found:?} holds a control character, expected plain text"
        ));
    }
    Ok(found.to_owned())
}

/// Where a column is first named as a key or a text; the start of the file if nowhere.
pub(crate) fn place_of(table: &DeTable<'_>, column: &str) -> usize {
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
pub(crate) fn error_at(text: &str, start: usize, problem: String) -> DocumentError {
    let mut start = start.min(text.len());
    while !text.is_char_boundary(start) {
        start -= 1;
    }
    let before = &text[..start];
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    DocumentError {
        line: before.matches('\n').count() + 1,
        column: before[line_start..].chars().count() + 1,
        problem,
    }
}
