//! NDJSON: one object a line, whatever its values are. Reads a file twice: once for its columns, once for its rows.
//!
//! Values are taken as they are written, so none can make a file unreadable: a line that is too long or no UTF-8 is a row without any
//! value. Errors name a line and a place in it, never a value.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

use aquifer_shared::base::limits::{JSON_COLUMNS_MAX, JSON_LINE_BYTES_MAX};
use serde::de::{Deserializer, Error, MapAccess, Visitor};
use serde::{Deserialize, de};
use serde_json::value::RawValue;

use super::batch::Cell;
use super::csv_value::{Content, Value};
use super::place::{Chunks, Fault, Place};

/// What is wrong with a file.
#[derive(Debug)]
pub(super) enum JsonProblem {
    /// The world failed.
    World(Fault),
    /// A line, from 1, is no object.
    Line(u64, String),
}

impl From<Fault> for JsonProblem {
    fn from(fault: Fault) -> Self {
        Self::World(fault)
    }
}

/// Lines of a file that are not blank.
pub(super) struct Lines {
    chunks: Chunks,
    bytes: Vec<u8>,
    /// Where the next line begins, and up to where there is no newline.
    start: usize,
    looked: usize,
    line: u64,
    /// The line that begins at `start` is too long: what comes up to its end is not kept.
    too_long: bool,
    ended: bool,
}

impl Lines {
    /// Before the first line.
    pub(super) async fn open(place: &Place) -> Result<Self, JsonProblem> {
        Ok(Self {
            chunks: place.open().await?,
            bytes: Vec::new(),
            start: 0,
            looked: 0,
            line: 0,
            too_long: false,
            ended: false,
        })
    }

    /// Number and fields of the next object; none of a line that cannot be read as one.
    pub(super) async fn next(&mut self) -> Result<Option<(u64, Fields<'_>)>, JsonProblem> {
        let Some((from, to)) = self.next_line().await? else {
            return Ok(None);
        };
        Ok(Some((self.line, fields(&self.bytes[from..to], self.line)?)))
    }

    async fn next_line(&mut self) -> Result<Option<(usize, usize)>, JsonProblem> {
        loop {
            let newline = self.bytes[self.looked..]
                .iter()
                .position(|byte| *byte == b'\n');
            let end = match newline {
                Some(at) => self.looked + at,
                None if self.ended && !self.too_long && self.start == self.bytes.len() => {
                    return Ok(None);
                }
                None if self.ended => self.bytes.len(),
                None => {
                    self.more().await?;
                    continue;
                }
            };
            let from = self.start;
            self.line += 1;
            self.start = (end + 1).min(self.bytes.len());
            self.looked = self.start;
            if std::mem::take(&mut self.too_long) {
                return Ok(Some((end, end)));
            }
            let skip = if self.line == 1 && self.bytes.starts_with(MARK) {
                MARK.len()
            } else {
                0
            };
            let line = &self.bytes[from + skip..end];
            if !line.trim_ascii().is_empty() {
                return Ok(Some((from + skip, end)));
            }
        }
    }

    async fn more(&mut self) -> Result<(), JsonProblem> {
        self.bytes.drain(..self.start);
        self.start = 0;
        self.looked = self.bytes.len();
        if self.bytes.len() > JSON_LINE_BYTES_MAX {
            self.too_long = true;
            self.bytes.clear();
            self.looked = 0;
        }
        self.ended = !self.chunks.read(&mut self.bytes).await?;
        Ok(())
    }
}

fn fields(line: &[u8], number: u64) -> Result<Fields<'_>, JsonProblem> {
    let wrong = |problem| JsonProblem::Line(number, problem);
    let Ok(text) = str::from_utf8(line) else {
        return Ok(Fields(Vec::new()));
    };
    if text.is_empty() {
        return Ok(Fields(Vec::new()));
    }
    if text.trim_start().starts_with('[') {
        return Err(wrong(
            "a JSON array, expected one JSON object on each line".to_owned(),
        ));
    }
    serde_json::from_str(text).map_err(|error| {
        // Of the parser's own words only the kind and the place are passed on.
        let at = error.column();
        wrong(match error.classify() {
            serde_json::error::Category::Eof => {
                "the JSON object does not end on this line (the file may be cut off)".to_owned()
            }
            serde_json::error::Category::Syntax => format!("no JSON at byte {at} of the line"),
            _ => "expected a JSON object".to_owned(),
        })
    })
}

/// Names and values of an object, in order.
pub(super) struct Fields<'a>(pub(super) Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(FieldsVisitor)
    }
}

struct FieldsVisitor;

impl<'de> Visitor<'de> for FieldsVisitor {
    type Value = Fields<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields<'de>, A::Error> {
        let mut fields = Vec::new();
        while let Some((Name(name), value)) = map.next_entry()? {
            fields.push((name, value));
        }
        Ok(Fields(fields))
    }
}

/// A name, borrowed where it is written without escapes.
struct Name<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Name<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(NameVisitor)
    }
}

struct NameVisitor;

impl<'de> Visitor<'de> for NameVisitor {
    type Value = Name<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_borrowed_str<E: de::Error>(self, name: &'de str) -> Result<Name<'de>, E> {
        Ok(Name(Cow::Borrowed(name)))
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Name<'de>, E> {
        Ok(Name(Cow::Owned(name.to_owned())))
    }
}

/// The columns of files: names in the order of their first appearance, with what their values are.
#[derive(Default)]
pub(super) struct Columns {
    places: HashMap<String, usize>,
    pub(super) seen: Vec<(String, Seen)>,
}

/// What the values of a column are.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Seen {
    pub(super) content: Content,
    pub(super) flags: bool,
}

impl Columns {
    /// Looks through a file.
    pub(super) async fn add(&mut self, place: &Place) -> Result<(), JsonProblem> {
        let mut lines = Lines::open(place).await?;
        while let Some((line, Fields(fields))) = lines.next().await? {
            for (name, value) in fields {
                let at = match self.places.get(name.as_ref()) {
                    Some(at) => *at,
                    None => self.appear(name.into_owned(), line)?,
                };
                let seen = &mut self.seen[at].1;
                match value.get().as_bytes().first() {
                    Some(b'n') => {}
                    Some(b't' | b'f') => seen.flags = true,
                    _ => seen.content = seen.content.and(content(value.get())),
                }
            }
        }
        Ok(())
    }

    fn appear(&mut self, name: String, line: u64) -> Result<usize, JsonProblem> {
        if self.seen.len() >= JSON_COLUMNS_MAX {
            let problem = format!("more than {JSON_COLUMNS_MAX} different names in the objects");
            return Err(JsonProblem::Line(line, problem));
        }
        self.places.insert(name.clone(), self.seen.len());
        self.seen.push((name, Seen::default()));
        Ok(self.seen.len() - 1)
    }
}

/// A number as in a CSV file; strings, lists and objects are text.
fn content(raw: &str) -> Content {
    match raw.as_bytes().first() {
        Some(b'"' | b'[' | b'{') => Content::Text,
        _ => raw.bytes().fold(Value::default(), Value::after).content(),
    }
}

/// The value as a column of numbers, of flags or of text holds it; anything can be text.
pub(super) fn cell<'a>(raw: &'a RawValue, kind: Wanted, text: &'a mut String) -> Cell<'a> {
    let raw = raw.get();
    if raw == "null" {
        return Cell::Null;
    }
    match kind {
        Wanted::Whole => raw.parse().map_or(Cell::Text(raw), Cell::Whole),
        Wanted::Real if content(raw) != Content::Text => {
            raw.parse().map_or(Cell::Text(raw), Cell::Real)
        }
        Wanted::Flag if raw == "true" || raw == "false" => Cell::Flag(raw == "true"),
        Wanted::Text if raw.starts_with('"') => match serde_json::from_str::<String>(raw) {
            Ok(inner) => {
                *text = inner;
                Cell::Text(text)
            }
            // Half of a surrogate pair: no text, so it stays as it is written.
            Err(_) => Cell::Text(raw),
        },
        _ => Cell::Text(raw),
    }
}

/// What a column holds.
#[derive(Clone, Copy)]
pub(super) enum Wanted {
    Whole,
    Real,
    Flag,
    Text,
}

/// Some programs begin a file with a byte order mark.
const MARK: &[u8] = "\u{feff}".as_bytes();

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::super::place::Bytes;
    use super::*;

    fn seen_in(content: &[u8]) -> Result<Vec<(String, Seen)>, String> {
        let directory = tempfile::tempdir().unwrap();
        let name = directory.path().join("x.json");
        std::fs::write(&name, content).unwrap();
        let bytes = Bytes::Local;
        let mut columns = Columns::default();
        let added = columns.add(&Place { name, bytes }).now_or_never();
        match added.expect("a local file is there at once") {
            Ok(()) => Ok(columns.seen),
            Err(JsonProblem::Line(line, problem)) => Err(format!("{line}: {problem}")),
            Err(JsonProblem::World(fault)) => panic!("{fault:?}"),
        }
    }

    #[track_caller]
    fn check_column(values: &[&str], content: Content, flags: bool) {
        let lines: Vec<String> = values
            .iter()
            .map(|value| format!("{{\"x\": {value}}}"))
            .collect();
        let seen = seen_in(lines.join("\n").as_bytes()).unwrap();
        assert_eq!(seen, [("x".to_owned(), Seen { content, flags })]);
    }

    #[test]
    fn a_column_is_what_all_its_values_are() {
        check_column(&["1", "null", "-20"], Content::Whole, false);
        check_column(&["1", "2.5e3"], Content::Real, false);
        check_column(&["1", "\"2\""], Content::Text, false);
        check_column(&["1", "[2]"], Content::Text, false);
        check_column(&["{\"y\": 1}"], Content::Text, false);
        check_column(&["1234567890123456789"], Content::Text, false);
        let deep = format!("{}{}", "[".repeat(200_000), "]".repeat(200_000));
        check_column(&["1", &deep], Content::Text, false);
        check_column(&["true", "null"], Content::Empty, true);
        check_column(&["true", "1"], Content::Whole, true);
        check_column(&["null"], Content::Empty, false);
    }

    #[test]
    fn names_appear_in_order_whatever_the_lines() {
        let text = "\u{feff}{\"b\":1,\"a\":2}\r\n\n  \n{\"\\u0063\":3,\"a\":4,\"a\":5}";
        let seen = seen_in(text.as_bytes()).unwrap();
        let names: Vec<&str> = seen.iter().map(|column| column.0.as_str()).collect();
        assert_eq!(names, ["b", "a", "c"]);
        assert_eq!(seen_in(b""), Ok(vec![]));
        let long = format!("{{\"a\":\"{}\"}}\n{{\"b\":1}}", "é".repeat(200_000));
        assert_eq!(seen_in(long.as_bytes()).unwrap().len(), 2);
    }

    #[track_caller]
    fn check_line(content: &[u8], expected: &str) {
        let found = seen_in(content).unwrap_err();
        assert!(
            found.contains(expected) && !found.contains("CANARY"),
            "{found}"
        );
    }

    #[test]
    fn what_is_no_object_is_found_by_its_line() {
        check_line(b"{\"a\":1}\n{\"a\":CANARY}\n", "2: no JSON at byte 6");
        check_line(
            b"{\"a\":1}\n\n{\"a\":\"CANARY",
            "3: the JSON object does not end",
        );
        check_line(b"{\"a\":1} CANARY", "1: no JSON at byte");
        check_line(b"[{\"a\":\"CANARY\"}]", "1: a JSON array");
        check_line(b"\"CANARY\"", "1: expected a JSON object");
        check_line(b"PK\x03\x04\0\0", "1: no JSON at byte");
    }

    /// Number of each line that is read, and how many fields it has.
    fn lines_in(content: &[u8]) -> Vec<(u64, usize)> {
        let directory = tempfile::tempdir().unwrap();
        let name = directory.path().join("x.json");
        std::fs::write(&name, content).unwrap();
        let place = Place {
            name,
            bytes: Bytes::Local,
        };
        let read = async {
            let (mut lines, mut found) = (Lines::open(&place).await.unwrap(), Vec::new());
            while let Some((line, fields)) = lines.next().await.unwrap() {
                found.push((line, fields.0.len()));
            }
            found
        };
        read.now_or_never().expect("a local file is there at once")
    }

    #[test]
    fn a_line_that_cannot_be_read_is_a_row_without_values() {
        let strange = b"{\"a\":1}\n{\"a\":\"\xff\"}\n\n{\"b\":2}";
        assert_eq!(lines_in(strange), [(1, 1), (2, 0), (4, 1)]);
        for over in [1, 128 << 10, 3 * JSON_LINE_BYTES_MAX] {
            let long = "x".repeat(JSON_LINE_BYTES_MAX + over);
            let text = format!("{{\"a\":\"{long}\"}}\n{{\"a\":1,\"b\":1}}\n{{\"a\":\"{long}\"}}");
            let found = lines_in(text.as_bytes());
            assert!(found[1] == (2, 2) && found.len() == 3, "{found:?}");
            assert!(
                over == 1 || (found[0], found[2]) == ((1, 0), (3, 0)),
                "{found:?}"
            );
        }
    }

    #[test]
    fn names_are_bounded() {
        let names = (0..=JSON_COLUMNS_MAX).map(|n| format!("{{\"CANARY{n}\":1}}\n"));
        check_line(
            names.collect::<String>().as_bytes(),
            "4097: more than 4096 different names",
        );
    }

    #[track_caller]
    fn check_text(raw: &str, expected: &str) {
        let raw: Box<RawValue> = RawValue::from_string(raw.to_owned()).unwrap();
        let mut text = String::new();
        let found = cell(&raw, Wanted::Text, &mut text);
        assert!(matches!(found, Cell::Text(text) if text == expected));
    }

    #[test]
    fn anything_can_be_text() {
        check_text("\"a\\n\\u00e9\"", "a\né");
        check_text("1.50", "1.50");
        check_text("true", "true");
        check_text("[1, {}]", "[1, {}]");
        check_text("\"\\ud800\"", "\"\\ud800\"");
    }
}
