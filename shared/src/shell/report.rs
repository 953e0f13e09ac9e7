//! What commands print and how they end: tables and JSON on standard output, all else on standard error, three exit codes.
//!
//! Colours only where a person looks. A reader that stops reading (`| head`) is not a failure.

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use anyhow::Context;
use comfy_table::{Attribute, Cell, Color, ColumnConstraint, ContentArrangement, presets};
use serde::Serialize;

/// How a command ended, if nothing failed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[must_use = "the exit code depends on it"]
pub enum Outcome {
    /// It did what was asked.
    Done,
    /// The rules said no.
    Refused,
    /// A check failed that has an exit code of its own.
    Failed(u8),
}

/// Turns a command's end into its exit code (0 done, 1 refused, 2 failed); prints a failure with everything behind it.
#[must_use]
pub fn finish(ended: anyhow::Result<Outcome>) -> ExitCode {
    match ended {
        Ok(Outcome::Done) => ExitCode::SUCCESS,
        Ok(Outcome::Refused) => ExitCode::from(1),
        Ok(Outcome::Failed(number)) => ExitCode::from(number),
        Err(error) => {
            note(&format!("{} {}", paint_error("error:"), chain(&error)));
            ExitCode::from(2)
        }
    }
}

/// Says why the rules say no, and ends the command with that.
pub fn refused(why: &str) -> Outcome {
    note(&format!("{} {why}", paint_error("refused:")));
    Outcome::Refused
}

/// Says why the rules say no: to people on standard error, to programs also as JSON on standard output.
///
/// # Errors
///
/// If standard output cannot be written.
pub fn refuse(json: bool, code: &str, why: &str) -> anyhow::Result<Outcome> {
    if json {
        let refused = serde_json::json!({"refused": {"code": code, "message": why}});
        print_json(&refused)?;
    }
    Ok(refused(why))
}

/// A line on standard error, for people: what standard output must not carry.
pub fn note(line: &str) {
    // Nobody is left to be told where standard error is closed.
    let _ = writeln!(io::stderr(), "{line}");
}

/// Text on standard output, as it is.
///
/// # Errors
///
/// If it cannot be written; not if the reader has gone.
pub fn print(text: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.context("could not write to standard output"),
    }
}

/// A value on standard output as one line of JSON.
///
/// # Errors
///
/// If it cannot be encoded or written.
pub fn print_json<T: Serialize>(value: &T) -> anyhow::Result<()> {
    let text = serde_json::to_string(value).context("could not encode the answer as JSON")?;
    print(&format!("{text}\n"))
}

/// Whether colours belong on standard output: a terminal, and no wish against them (`NO_COLOR`).
#[must_use]
pub fn colours() -> bool {
    wanted(io::stdout().is_terminal())
}

/// The same for standard error.
#[must_use]
pub fn colours_on_stderr() -> bool {
    wanted(io::stderr().is_terminal())
}

/// What a cell of a table says to the eye.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Tone {
    /// As any other.
    Plain,
    /// All is well.
    Good,
    /// Somebody should look.
    Warning,
    /// Wrong.
    Bad,
}

/// A table that fits the terminal.
#[derive(Debug)]
pub struct Table {
    table: comfy_table::Table,
    coloured: bool,
}

impl Table {
    /// An empty table with these headings, in capitals as everywhere.
    #[must_use]
    pub fn new(headings: &[&str]) -> Self {
        Self::with_colours(headings, colours())
    }

    /// An empty table whose headings are names that somebody chose: they stay as they are.
    #[must_use]
    pub fn of_names(names: &[&str]) -> Self {
        Self::headed(names.iter().map(|name| (*name).to_owned()), colours())
    }

    /// Lets the texts of these columns wrap between words, and the others never: the table is as wide as the terminal at most, and
    /// [`WIDTH`] where there is none.
    pub fn wrap(&mut self, columns: &[usize]) {
        if self.table.width().is_none() {
            self.table.set_width(WIDTH);
        }
        for (place, column) in self.table.column_iter_mut().enumerate() {
            if !columns.contains(&place) {
                column.set_constraint(ColumnConstraint::ContentWidth);
            }
        }
    }

    /// Adds a row of plain cells.
    pub fn row<T: Into<String>>(&mut self, cells: impl IntoIterator<Item = T>) {
        self.toned_row(cells.into_iter().map(|cell| (cell.into(), Tone::Plain)));
    }

    /// Adds a row whose cells have a tone.
    pub fn toned_row(&mut self, cells: impl IntoIterator<Item = (String, Tone)>) {
        let coloured = self.coloured;
        let cells = cells.into_iter().map(|(text, tone)| {
            let cell = Cell::new(printable(&text));
            match tone {
                _ if !coloured => cell,
                Tone::Plain => cell,
                Tone::Good => cell.fg(Color::Green),
                Tone::Warning => cell.fg(Color::Yellow),
                Tone::Bad => cell.fg(Color::Red),
            }
        });
        self.table.add_row(cells);
    }

    /// The table as text, with a line end.
    #[must_use]
    pub fn to_text(&self) -> String {
        let lines = self.table.lines().map(|line| line.trim_end().to_owned());
        lines.map(|line| line + "\n").collect()
    }

    /// Prints the table.
    ///
    /// # Errors
    ///
    /// If standard output cannot be written.
    pub fn print(&self) -> anyhow::Result<()> {
        print(&self.to_text())
    }

    fn with_colours(headings: &[&str], coloured: bool) -> Self {
        Self::headed(headings.iter().map(|text| text.to_uppercase()), coloured)
    }

    fn headed(headings: impl Iterator<Item = String>, coloured: bool) -> Self {
        let mut table = comfy_table::Table::new();
        table
            .load_preset(presets::NOTHING)
            .set_content_arrangement(ContentArrangement::Dynamic);
        if coloured {
            table.enforce_styling();
        }
        table.set_header(headings.map(|text| {
            let cell = Cell::new(text);
            if coloured {
                cell.add_attribute(Attribute::Bold)
            } else {
                cell
            }
        }));
        for column in table.column_iter_mut() {
            column.set_padding((0, 2));
        }
        Self { table, coloured }
    }
}

/// The first digits of a digest or a key, for a table: enough for people and for commands that take the start of one; `--json` has all.
#[must_use]
pub fn short(digest: &str) -> String {
    digest.chars().take(DIGEST_DIGITS).collect()
}

/// Columns of a printed table that does not go to a terminal.
pub const WIDTH: u16 = 100;
const DIGEST_DIGITS: usize = 12;

/// An error with its causes on one line, outermost first.
#[must_use]
pub fn chain(error: &anyhow::Error) -> String {
    let causes: Vec<String> = error.chain().map(ToString::to_string).collect();
    causes.join(": ")
}

/// Text from elsewhere without control characters: what a peer sends must not drive the terminal.
#[must_use]
pub fn printable(text: &str) -> String {
    text.replace(|c: char| c.is_control() && c != '\n', "\u{fffd}")
}

fn paint_error(text: &str) -> String {
    if colours_on_stderr() {
        return format!("\u{1b}[1;31m{text}\u{1b}[0m");
    }
    text.to_owned()
}

fn wanted(terminal: bool) -> bool {
    let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    terminal && !refused
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_names_every_cause_once() {
        let error = anyhow::anyhow!("disk full").context("could not write a.key");
        assert_eq!(chain(&error), "could not write a.key: disk full");
    }

    #[test]
    fn a_table_has_headings_and_rows() {
        let mut table = Table::with_colours(&["NAME", "ROLE"], false);
        table.row(["north", "node"]);
        table.toned_row([
            ("south-east".to_owned(), Tone::Bad),
            ("node".to_owned(), Tone::Plain),
        ]);
        let text = table.to_text();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines,
            ["NAME        ROLE", "north       node", "south-east  node"]
        );
    }

    #[test]
    fn headings_are_in_capitals_unless_somebody_chose_them() {
        let first = |table: Table| table.to_text().lines().next().unwrap().to_owned();
        assert_eq!(first(Table::new(&["left", "micro-rho"])), "LEFT  MICRO-RHO");
        assert_eq!(first(Table::of_names(&["Shop", "n_low"])), "Shop  n_low");
    }

    #[test]
    fn long_texts_wrap_between_words_and_names_stay_whole() {
        let mut table = Table::with_colours(&["NAME", "TEXT"], false);
        let name = "a-name-of-thirty-letters-and-x";
        table.row([name.to_owned(), "some words ".repeat(30)]);
        assert!(
            table
                .to_text()
                .lines()
                .any(|line| line.chars().count() > 100)
        );
        table.wrap(&[1]);
        let text = table.to_text();
        assert!(
            text.lines()
                .all(|line| line.chars().count() <= usize::from(WIDTH)),
            "{text}"
        );
        assert!(text.contains(name), "{text}");
        assert_eq!(
            text.split_whitespace()
                .filter(|word| *word == "words")
                .count(),
            30
        );
        assert_eq!(short(&"ab".repeat(32)), "abababababab");
    }

    #[test]
    fn colours_only_where_they_are_wanted() {
        let row = [("south".to_owned(), Tone::Bad)];
        let mut plain = Table::with_colours(&["NAME"], false);
        plain.toned_row(row.clone());
        assert!(!plain.to_text().contains('\u{1b}'));
        let mut coloured = Table::with_colours(&["NAME"], true);
        coloured.toned_row(row);
        assert!(coloured.to_text().contains('\u{1b}'));
    }

    #[test]
    fn a_peer_cannot_drive_the_terminal() {
        let mut table = Table::with_colours(&["SOFTWARE"], false);
        table.row(["\u{1b}[2J0.1.0"]);
        assert!(!table.to_text().contains('\u{1b}'));
    }
}
