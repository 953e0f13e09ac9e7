//! `aquifer catalogue|budget|release`: what there is to ask about, what is left, what was answered before.

use aquifer_shared::protocol::ask::{Answer, AnswerValue, Look, Request, Response};
use aquifer_shared::shell::report::{self, Outcome, Table};
use serde_json::{Map, Value};

use crate::args::{AnswerFormat, ReleaseCommand};
use crate::client::{Session, not_expected};
use crate::query::{self, text, value_json};

/// A list, and those of its columns that fit a terminal, each under its heading.
pub(crate) struct List {
    what: Look,
    shown: &'static [(&'static str, &'static str)],
    /// Places of those whose texts may be long.
    long: &'static [usize],
    /// Where it is empty.
    nothing: &'static str,
}

/// Tables and columns.
pub(crate) const COLUMNS: List = List {
    what: Look::Columns,
    shown: &[
        ("purpose", "PURPOSE"),
        ("table_name", "TABLE"),
        ("column_name", "COLUMN"),
        ("data_type", "TYPE"),
        ("low", "LOW"),
        ("high", "HIGH"),
        ("levels", "LEVELS"),
    ],
    long: &[0, 1, 2, 6],
    nothing: "no standing study is open: nothing may be asked; ask an operator",
};
/// Shares.
pub(crate) const BUDGET: List = List {
    what: Look::Budget,
    shown: &[
        ("purpose", "PURPOSE"),
        ("standing_study", "STANDING STUDY"),
        ("window", "WINDOW"),
        ("share_urho", "SHARE"),
        ("used_urho", "USED"),
        ("left_urho", "LEFT"),
        ("questions_left", "QUESTIONS LEFT"),
    ],
    long: &[0, 1],
    nothing: "no standing study is open: there is no share; ask an operator",
};
const RELEASES: List = List {
    what: Look::Releases,
    shown: &[
        ("release_id", "RELEASE"),
        ("purpose", "PURPOSE"),
        ("table_name", "TABLE"),
        ("epsilon", "EPSILON"),
        ("trust_mode", "TRUST"),
        ("units_in_sum", "UNITS"),
        ("created", "CREATED"),
    ],
    long: &[1, 2],
    nothing: "there are no past answers under standing studies that are open",
};

/// Prints a list.
///
/// # Errors
///
/// The coordinator cannot be asked.
pub(crate) async fn list(
    session: &Session,
    list: &List,
    format: AnswerFormat,
) -> anyhow::Result<Outcome> {
    let answer = match looked(session, list.what).await? {
        Ok(answer) => answer,
        Err(other) => return not_expected(other, session.json),
    };
    if session.json || format != AnswerFormat::Table {
        query::print(session, format, &answer)?;
        return Ok(Outcome::Done);
    }
    if answer.rows.is_empty() {
        report::note(list.nothing);
    }
    list.table(&answer).print()?;
    answer
        .notices
        .iter()
        .for_each(|notice| report::note(&report::printable(notice)));
    Ok(Outcome::Done)
}

/// Lists past answers, or shows one.
///
/// # Errors
///
/// The coordinator cannot be asked.
pub(crate) async fn releases(
    session: &Session,
    command: &ReleaseCommand,
) -> anyhow::Result<Outcome> {
    match command {
        ReleaseCommand::List(asked) => list(session, &RELEASES, asked.format).await,
        ReleaseCommand::Show { release } => show(session, release).await,
    }
}

async fn show(session: &Session, release: &str) -> anyhow::Result<Outcome> {
    let answer = match looked(session, Look::Releases).await? {
        Ok(answer) => answer,
        Err(other) => return not_expected(other, session.json),
    };
    let row = match chosen(&answer, release) {
        Ok(row) => row,
        Err(problem) => return report::refuse(session.json, "unknown", &problem),
    };
    let names = answer.columns.iter().map(|column| column.name.clone());
    let fields = names.zip(row);
    if session.json {
        let fields = fields.map(|(name, value)| (name, value_json(value)));
        report::print_json(&Value::Object(fields.collect::<Map<_, _>>()))?;
        return Ok(Outcome::Done);
    }
    let mut table = Table::new(&["FIELD", "VALUE"]);
    for (name, value) in fields {
        table.row([name, report::printable(&text(value))]);
    }
    table.print()?;
    Ok(Outcome::Done)
}

async fn looked(session: &Session, what: Look) -> anyhow::Result<Result<Answer, Response>> {
    Ok(match session.ask(Request::Look(what)).await? {
        Response::Answer(answer) => Ok(*answer),
        other => Err(other),
    })
}

/// The one row whose id starts so.
fn chosen<'a>(answer: &'a Answer, start: &str) -> Result<&'a Vec<AnswerValue>, String> {
    if start.len() < ID_DIGITS_MIN {
        return Err(format!(
            "{start:?} is too short, expected at least {ID_DIGITS_MIN} digits of a release id"
        ));
    }
    let fits = |row: &&Vec<AnswerValue>| {
        let id = row.first().map(text);
        id.is_some_and(|id| id.starts_with(start))
    };
    let mut found = answer.rows.iter().filter(fits);
    match (found.next(), found.next()) {
        (Some(row), None) => Ok(row),
        (Some(_), Some(_)) => Err(format!(
            "several past answers start with {start:?}; give more digits"
        )),
        (None, _) => Err(format!(
            "there is no past answer {start:?} under a standing study that is open; `aquifer release list` shows them"
        )),
    }
}

impl List {
    /// The columns that are shown, in their order; of a digest the start, of a time the minute.
    fn table(&self, answer: &Answer) -> Table {
        let place = |name: &str| answer.columns.iter().position(|own| own.name == name);
        let shown = self.shown.iter();
        let shown: Vec<(usize, &str, &str)> = shown
            .filter_map(|(name, heading)| Some((place(name)?, *name, *heading)))
            .collect();
        let headings: Vec<&str> = shown.iter().map(|(_, _, heading)| *heading).collect();
        let mut table = Table::new(&headings);
        for row in &answer.rows {
            table.row(
                shown
                    .iter()
                    .map(|(place, name, _)| cell(name, &row[*place])),
            );
        }
        table.wrap(self.long);
        table
    }
}

fn cell(column: &str, value: &AnswerValue) -> String {
    let text = report::printable(&query::shown(value));
    match column {
        "release_id" => report::short(&text),
        // A list without a space would break anywhere.
        "levels" => text.replace(',', ", "),
        "created" => text.chars().take(MINUTE_LETTERS).collect(),
        _ => text,
    }
}

/// Letters of a time up to its minute.
const MINUTE_LETTERS: usize = 16;
/// As with studies.
const ID_DIGITS_MIN: usize = 6;

#[cfg(test)]
mod tests {
    use aquifer_shared::protocol::ask::{AnswerColumn, AnswerKind};

    use super::*;

    fn answer(ids: &[&str]) -> Answer {
        let column = |name: &str| AnswerColumn {
            name: name.to_owned(),
            kind: AnswerKind::Text,
        };
        let row = |id: &&str| vec![AnswerValue::Text((*id).to_owned()), AnswerValue::Null];
        Answer {
            columns: ["release_id", "purpose"].map(column).into(),
            rows: ids.iter().map(row).collect(),
            notices: Vec::new(),
            release: None,
        }
    }

    #[track_caller]
    fn check(start: &str, expected: Result<usize, &str>) {
        let answer = answer(&["abcdef01", "abcdef02", "12345678"]);
        match (chosen(&answer, start), expected) {
            (Ok(row), Ok(place)) => assert_eq!(row, &answer.rows[place]),
            (Err(problem), Err(part)) => assert!(problem.contains(part), "{problem}"),
            (found, _) => panic!("{start}: {found:?}"),
        }
    }

    #[test]
    fn a_start_of_the_id_is_enough_where_it_is_the_only_one() {
        check("123456", Ok(2));
        check("abcdef02", Ok(1));
        check("abcdef", Err("several"));
        check("999999", Err("no past answer"));
        check("123", Err("too short"));
    }

    #[test]
    fn a_terminal_gets_the_columns_that_fit() {
        let id = "abcdef01".repeat(8);
        let mut answer = answer(&[&id]);
        let created = AnswerColumn {
            name: "created".to_owned(),
            kind: AnswerKind::Text,
        };
        answer.columns.push(created);
        answer.rows[0][1] = AnswerValue::Text("marketing-and-reporting".to_owned());
        answer.rows[0].push(AnswerValue::Text("2026-11-26T12:30:59Z".to_owned()));
        let table = RELEASES.table(&answer).to_text();
        let lines: Vec<&str> = table.lines().collect();
        assert!(lines[0].starts_with("RELEASE"), "{table}");
        let cells: Vec<&str> = lines[1].split_whitespace().collect();
        assert_eq!(
            cells,
            [
                "abcdef01abcd",
                "marketing-and-reporting",
                "2026-11-26T12:30"
            ]
        );
    }

    #[test]
    fn every_list_fits_a_hundred_columns() {
        for list in [&COLUMNS, &BUDGET, &RELEASES] {
            let column = |(name, _): &(&str, &str)| AnswerColumn {
                name: (*name).to_owned(),
                kind: AnswerKind::Text,
            };
            let value = |(name, _): &(&str, &str)| {
                let text = match *name {
                    "release_id" => "f".repeat(64),
                    "levels" => "{month,year,".repeat(20),
                    "created" => "2026-11-26T12:30:59Z".to_owned(),
                    "standing_study" => "a long name ".repeat(3),
                    _ => "marketing".to_owned(),
                };
                AnswerValue::Text(text)
            };
            let answer = Answer {
                columns: list.shown.iter().map(column).collect(),
                rows: vec![list.shown.iter().map(value).collect()],
                notices: Vec::new(),
                release: None,
            };
            for line in list.table(&answer).to_text().lines() {
                assert!(line.chars().count() <= usize::from(report::WIDTH), "{line}");
            }
        }
    }
}
