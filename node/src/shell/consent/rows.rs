//! Rows of an export, whatever it is written in: values by column or dotted path, within limits.

use std::cell::Cell;
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read};
use std::path::Path;
use std::rc::Rc;

use anyhow::{Context as _, bail, ensure};
use aquifer_shared::base::limits::{
    CONSENT_FILE_BYTES_MAX, CONSENT_JSON_BYTES_MAX, CONSENT_ROW_BYTES_MAX,
};
use serde_json::Value;

use super::mapping::Format;

/// One row, and where it stands.
pub(super) struct Row<'a> {
    /// Line or number of the object, from 1.
    pub(super) number: u64,
    fields: Fields<'a>,
}

enum Fields<'a> {
    /// Places of columns, and the values.
    Csv(&'a HashMap<String, usize>, &'a csv::StringRecord),
    Json(&'a Value),
    /// A line that is none.
    Broken,
}

impl Row<'_> {
    /// A value as text, without white space around it; none where it is missing or empty.
    pub(super) fn get(&self, column: &str) -> Option<String> {
        let text =
            match self.fields {
                Fields::Csv(places, record) => record.get(*places.get(column)?)?.to_owned(),
                Fields::Json(value) => text_of(column.split('.').try_fold(
                    value,
                    |value, key| match value {
                        Value::Array(items) => items.get(key.parse::<usize>().ok()?),
                        value => value.get(key),
                    },
                )?)?,
                Fields::Broken => return None,
            };
        let text = text.trim();
        (!text.is_empty()).then(|| text.to_owned())
    }

    /// Whether it is no row at all.
    pub(super) fn is_broken(&self) -> bool {
        matches!(self.fields, Fields::Broken)
    }
}

fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Calls with every row of a file; `needed` are the columns that a CSV file must have.
///
/// # Errors
///
/// The file cannot be read, is larger than allowed, is not what it should be, or `take` says so. No value is named.
pub(super) fn each(
    path: &Path,
    format: Format,
    needed: &[&str],
    mut take: impl FnMut(Row<'_>) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let shown = path.display();
    let file = File::open(path).with_context(|| format!("could not open {shown}"))?;
    let bytes = file
        .metadata()
        .with_context(|| format!("could not look at {shown}"))?
        .len();
    ensure!(
        bytes <= CONSENT_FILE_BYTES_MAX,
        "{shown} has {bytes} bytes, at most {CONSENT_FILE_BYTES_MAX} are allowed: split it"
    );
    match format {
        Format::CsvWide | Format::CsvLong => each_csv(path, file, needed, take),
        Format::Ndjson => each_line(path, file, take),
        Format::Json => {
            ensure!(
                bytes <= CONSENT_JSON_BYTES_MAX,
                "{shown} has {bytes} bytes, at most {CONSENT_JSON_BYTES_MAX} are allowed for one JSON document: use NDJSON"
            );
            let mut text = String::new();
            let read = BufReader::new(file).read_to_string(&mut text);
            read.with_context(|| format!("{shown} is not text in UTF-8"))?;
            // What a parser quotes may be a value.
            let value = match serde_json::from_str::<Value>(&text) {
                Ok(value) => value,
                Err(error) => bail!("{shown} is not JSON: {}", stops(&error)),
            };
            let objects = match &value {
                Value::Array(objects) => &objects[..],
                object => std::slice::from_ref(object),
            };
            for (number, object) in (1..).zip(objects) {
                let fields = match object {
                    Value::Object(_) => Fields::Json(object),
                    _ => Fields::Broken,
                };
                take(Row { number, fields })?;
            }
            Ok(())
        }
    }
}

/// Where a text stops being JSON, without a word of it.
fn stops(error: &serde_json::Error) -> String {
    let found = match error.is_eof() {
        true => "the file ends",
        false => "something else was found",
    };
    let (line, column) = (error.line(), error.column());
    format!(
        "{found} at line {line}, column {column}, expected one object, or an array of them, and nothing behind"
    )
}

fn each_csv(
    path: &Path,
    file: File,
    needed: &[&str],
    mut take: impl FnMut(Row<'_>) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let read = Rc::new(Cell::new(0));
    let bounded = Bounded {
        file,
        read: read.clone(),
    };
    let mut reader = csv::ReaderBuilder::new()
        .flexible(true)
        .from_reader(bounded);
    let headers = reader.headers();
    let Ok(headers) = headers else {
        bail!(
            "{} has no readable first line: it is not text in UTF-8, expected the names of its columns, with commas between",
            path.display()
        );
    };
    let mut places = HashMap::new();
    for (place, name) in headers.iter().enumerate() {
        let name = name.trim().trim_start_matches('\u{feff}').to_owned();
        ensure!(
            places.insert(name, place).is_none(),
            "{}: column {} has the name of one before it, expected each once",
            path.display(),
            place + 1
        );
    }
    for column in needed {
        ensure!(
            places.contains_key(*column),
            "{} has no column {column:?} among its {}, expected every column that the mapping names",
            path.display(),
            places.len()
        );
    }
    let width = places.len();
    let mut record = csv::StringRecord::new();
    loop {
        read.set(0);
        let number = reader.position().line();
        let fields = match reader.read_record(&mut record) {
            Ok(false) => return Ok(()),
            Ok(true) if record.len() == width => Fields::Csv(&places, &record),
            Ok(true) => Fields::Broken,
            Err(_) if read.get() > CONSENT_ROW_BYTES_MAX => bail!(
                "{}: the row of line {number} is longer than {CONSENT_ROW_BYTES_MAX} bytes (a quote that is not closed?)",
                path.display()
            ),
            Err(error) if error.is_io_error() => {
                return Err(error).with_context(|| format!("could not read {}", path.display()));
            }
            Err(_) => Fields::Broken,
        };
        take(Row { number, fields })?;
    }
}

/// A file that ends with an error where one row takes too much of it. The reader has a buffer of its own.
struct Bounded {
    file: File,
    /// Bytes since the last row.
    read: Rc<Cell<u64>>,
}

impl Read for Bounded {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.read.get() > CONSENT_ROW_BYTES_MAX {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let bytes = self.file.read(buffer)?;
        self.read.set(self.read.get() + bytes as u64);
        Ok(bytes)
    }
}

fn each_line(
    path: &Path,
    file: File,
    mut take: impl FnMut(Row<'_>) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut reader = BufReader::new(file);
    let mut line = Vec::new();
    let mut number = 0;
    loop {
        number += 1;
        line.clear();
        let mut limited = (&mut reader).take(CONSENT_ROW_BYTES_MAX + 1);
        let read = limited.read_until(b'\n', &mut line);
        if read.with_context(|| format!("could not read {}", path.display()))? == 0 {
            return Ok(());
        }
        ensure!(
            line.len() as u64 <= CONSENT_ROW_BYTES_MAX,
            "{}: line {number} is longer than {CONSENT_ROW_BYTES_MAX} bytes",
            path.display()
        );
        if line.trim_ascii().is_empty() {
            continue;
        }
        let value = serde_json::from_slice::<Value>(&line).ok();
        let value = value.filter(Value::is_object);
        let fields = value.as_ref().map_or(Fields::Broken, Fields::Json);
        take(Row { number, fields })?;
    }
}
