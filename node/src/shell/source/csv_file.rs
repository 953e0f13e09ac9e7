//! A look through a whole CSV file before the query engine sees it: its header, which columns hold only numbers, and the
//! first line that is not CSV.
//!
//! The engine's own errors quote what they could not read; these name a line and what was expected, never a value.

use super::csv_value::{Content, Value};
use super::place::{Fault, Place};

/// The columns of a file in order, each with what its values are, or the file's first problem.
pub(super) async fn columns(place: &Place) -> Result<Vec<(String, Content)>, CsvProblem> {
    let mut scan = Scan::default();
    let mut chunks = place.open().await?;
    let mut bytes = Vec::new();
    loop {
        let end = !chunks.read(&mut bytes).await?;
        let text = whole_text(&bytes, end).ok_or(CsvProblem::Line {
            line: scan.line + newlines_before_bad_text(&bytes),
            problem: "the text is not UTF-8",
        })?;
        let start = if scan.started {
            0
        } else {
            text.len() - text.trim_start_matches(MARK).len()
        };
        scan.started |= !text.is_empty();
        text[start..].bytes().try_for_each(|byte| scan.byte(byte))?;
        let used = text.len();
        bytes.drain(..used);
        if end {
            return scan.finish();
        }
    }
}

/// What is wrong with a file.
#[derive(Debug)]
pub(super) enum CsvProblem {
    /// The world failed.
    World(Fault),
    /// A line is not CSV.
    Line {
        /// From 1.
        line: u64,
        /// A fixed text.
        problem: &'static str,
    },
    /// A row has another number of fields than the header.
    Fields {
        /// From 1.
        line: u64,
        /// Found.
        found: usize,
        /// In the header.
        expected: usize,
    },
}

impl From<Fault> for CsvProblem {
    fn from(fault: Fault) -> Self {
        Self::World(fault)
    }
}

/// Where the scan is inside a record.
#[derive(Clone, Copy, Default, PartialEq)]
enum State {
    /// Before the first byte of a record.
    #[default]
    RecordStart,
    /// Before the first byte of a later field.
    FieldStart,
    /// Inside a field without quotes, or after a closing quote.
    Plain,
    /// Inside quotes.
    Quoted,
    /// After a quote inside quotes: an escape or the end.
    QuoteInQuoted,
}

#[derive(Default)]
struct Scan {
    state: State,
    /// Line of the current byte, from 0.
    line: u64,
    /// Line on which the record or the open quote began, from 0.
    began: u64,
    started: bool,
    after_return: bool,
    fields: usize,
    names: Vec<Vec<u8>>,
    header_done: bool,
    value: Value,
    contents: Vec<Content>,
}

impl Scan {
    fn byte(&mut self, byte: u8) -> Result<(), CsvProblem> {
        if byte == 0 {
            return Err(CsvProblem::Line {
                line: self.line + 1,
                problem: "a zero byte, expected text (a binary file?)",
            });
        }
        let paired = self.after_return && byte == b'\n';
        self.after_return = byte == b'\r';
        let line_end = byte == b'\r' || (byte == b'\n' && !paired);
        let before = self.line;
        self.line += u64::from(line_end);
        if self.state == State::Quoted {
            self.quoted(byte);
            return Ok(());
        }
        if paired && self.state == State::RecordStart {
            return Ok(());
        }
        match (self.state, byte) {
            (State::RecordStart, b'\r' | b'\n') => {}
            (_, b'\r' | b'\n') => self.end_record()?,
            (State::QuoteInQuoted, b'"') => self.keep(byte, State::Quoted),
            (state, _) => {
                if state == State::RecordStart {
                    self.began = before;
                    self.fields = 1;
                    self.begin_name();
                }
                self.unquoted(state, byte);
            }
        }
        Ok(())
    }

    fn quoted(&mut self, byte: u8) {
        if byte == b'"' {
            self.state = State::QuoteInQuoted;
            return;
        }
        self.keep(byte, State::Quoted);
    }

    fn unquoted(&mut self, state: State, byte: u8) {
        match (state, byte) {
            (_, b',') => {
                self.end_field();
                self.fields += 1;
                self.state = State::FieldStart;
                self.begin_name();
            }
            (State::RecordStart | State::FieldStart, b'"') => self.state = State::Quoted,
            _ => self.keep(byte, State::Plain),
        }
    }

    fn begin_name(&mut self) {
        if !self.header_done {
            self.names.push(Vec::new());
        }
    }

    fn keep(&mut self, byte: u8, state: State) {
        self.state = state;
        if self.header_done {
            self.value = self.value.after(byte);
            return;
        }
        if let Some(name) = self.names.last_mut() {
            name.push(byte);
        }
    }

    fn end_field(&mut self) {
        let content = std::mem::take(&mut self.value).content();
        if let Some(column) = self.contents.get_mut(self.fields - 1) {
            *column = column.and(content);
        }
    }

    fn end_record(&mut self) -> Result<(), CsvProblem> {
        self.state = State::RecordStart;
        self.end_field();
        if !self.header_done {
            self.contents = vec![Content::default(); self.names.len()];
        }
        self.header_done = true;
        if self.fields == self.names.len() {
            return Ok(());
        }
        Err(CsvProblem::Fields {
            line: self.began + 1,
            found: self.fields,
            expected: self.names.len(),
        })
    }

    fn finish(mut self) -> Result<Vec<(String, Content)>, CsvProblem> {
        let problem = |line: u64, problem| CsvProblem::Line {
            line: line + 1,
            problem,
        };
        if self.state == State::Quoted {
            return Err(problem(
                self.began,
                "a quote that opens in this row is never closed (the file may be cut off)",
            ));
        }
        if self.state != State::RecordStart {
            self.end_record()?;
        }
        if self.names.is_empty() {
            return Err(problem(0, "the file is empty, expected a header"));
        }
        let names = self.names.into_iter().map(String::from_utf8);
        let names: Result<Vec<String>, _> = names.collect();
        let names = names.map_err(|_| problem(0, "the text is not UTF-8"))?;
        let names: Vec<String> = names.iter().map(|name| name.trim().to_owned()).collect();
        let mut sorted: Vec<&String> = names.iter().collect();
        sorted.sort_unstable();
        if sorted.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(problem(0, "two columns of the header have the same name"));
        }
        Ok(names.into_iter().zip(self.contents).collect())
    }
}

/// The longest start of the bytes that is text; `None` if more than a character cut off at the end is wrong.
fn whole_text(bytes: &[u8], end: bool) -> Option<&str> {
    match str::from_utf8(bytes) {
        Ok(text) => Some(text),
        Err(error) if error.error_len().is_none() && !end => {
            str::from_utf8(&bytes[..error.valid_up_to()]).ok()
        }
        Err(_) => None,
    }
}

fn newlines_before_bad_text(bytes: &[u8]) -> u64 {
    let good = str::from_utf8(bytes).map_or_else(|error| error.valid_up_to(), str::len);
    let newlines = bytes[..good].iter().filter(|byte| **byte == b'\n');
    newlines.count() as u64 + 1
}

/// Some programs begin a file with a byte order mark.
const MARK: char = '\u{feff}';

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::super::place::{Bytes, CHUNK_BYTES};
    use super::*;

    fn columns_of(content: &[u8]) -> Result<Vec<(String, Content)>, CsvProblem> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.csv");
        std::fs::write(&path, content).unwrap();
        let (name, bytes) = (path, Bytes::Local);
        let found = columns(&Place { name, bytes }).now_or_never();
        found.expect("a local file is there at once")
    }

    #[track_caller]
    fn check_header(content: &str, expected: &[&str]) {
        let columns = columns_of(content.as_bytes()).unwrap();
        let names: Vec<&str> = columns.iter().map(|column| column.0.as_str()).collect();
        assert_eq!(names, expected);
    }

    #[track_caller]
    fn check_line(content: &[u8], expected: u64) {
        match columns_of(content).unwrap_err() {
            CsvProblem::Line { line, .. } | CsvProblem::Fields { line, .. } => {
                assert_eq!(line, expected);
            }
            CsvProblem::World(fault) => panic!("{fault:?}"),
        }
    }

    #[test]
    fn plain_files_have_a_header() {
        check_header("a,b\n1,2\n", &["a", "b"]);
        check_header("a,b\r\n1,2\r\n\r\n3,4", &["a", "b"]);
        check_header(
            "\u{feff}\"a\", \"b\"\"\"\n\"1,\n\",\"2\"\"\"\n",
            &["a", "\"b\"\"\""],
        );
        check_header("a,\"b,c\"\n,\n", &["a", "b,c"]);
        check_header("é\n1\n", &["é"]);
    }

    #[test]
    fn rows_of_another_width_are_found() {
        check_line(b"a,b\n1,2\n3\n", 3);
        check_line(b"a,b\r\n\r\n1,2\r\n3,4,5\r\n", 4);
        check_line(b"a,b\n\"1\n\n\",2\n3,4\n5", 6);
    }

    #[test]
    fn what_is_no_text_is_found() {
        check_line(b"", 1);
        check_line(b"\n\n", 1);
        check_line(b"a,b\n1,\0\n", 2);
        check_line(b"a,b\n1,2\n\xff,2\n", 3);
        check_line(b"a,b\n1,2\n1,\xc3", 3);
        check_line(b"PK\x03\x04\0\0", 1);
    }

    #[test]
    fn an_open_quote_is_found_where_it_began() {
        check_line(b"a,b\n1,2\n3,\"4\n5,6\n", 3);
    }

    #[test]
    fn columns_of_numbers_are_told_from_text() {
        let content = "a,b,c,d,e\n1,1,x,,01\n-2,\"2.5\",3,,2\n,3,4,,3";
        let found: Vec<Content> = columns_of(content.as_bytes())
            .unwrap()
            .into_iter()
            .map(|c| c.1)
            .collect();
        let expected = [
            Content::Whole,
            Content::Real,
            Content::Text,
            Content::Empty,
            Content::Text,
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn repeated_names_are_refused() {
        check_line(b"a,b,a\n1,2,3\n", 1);
    }

    #[test]
    fn characters_across_chunks_are_whole() {
        let mut content = "a\n".to_owned();
        content.push_str(&"é".repeat(CHUNK_BYTES));
        check_header(&content, &["a"]);
    }
}
