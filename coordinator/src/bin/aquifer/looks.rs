//! `aquifer catalogue|budget|release`: what there is to ask about, what is left, what was answered before.

use aquifer_shared::protocol::ask::{Answer, AnswerValue, Look, Request, Response};
use aquifer_shared::shell::report::{self, Outcome, Table};
use serde_json::{Map, Value};

use crate::args::{AnswerFormat, ReleaseCommand};
use crate::client::{Session, not_expected};
use crate::query::{self, text, value_json};

/// A list, and those of its columns that fit a terminal.
pub(crate) struct List {
    what: Look,
    shown: &'static [&'static str],
    /// Where it is empty.
    nothing: &'static str,
}

/// Tables and columns.
pub(crate) const COLUMNS: List = List {
    what: Look::Columns,
    shown: &[
        "purpose",
        "table_name",
        "column_name",
        "data_type",
        "low",
        "high",
        "levels",
    ],
    nothing: "no standing study is open: nothing may be asked; ask an operator",
};
/// Shares.
pub(crate) const BUDGET: List = List {
    what: Look::Budget,
    shown: &[
        "purpose",
        "standing_study",
        "window",
        "share_urho",
        "used_urho",
        "left_urho",
        "questions_left",
    ],
    nothing: "no standing study is open: there is no share; ask an operator",
};
const RELEASES: List = List {
    what: Look::Releases,
    shown: &[
        "release_id",
        "purpose",
        "table_name",
        "epsilon",
        "trust_mode",
        "units_in_sum",
        "created",
    ],
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
    let mut answer = match looked(session, list.what).await? {
        Ok(answer) => answer,
        Err(other) => return not_expected(other, session.json),
    };
    if !session.json && format == AnswerFormat::Table {
        if answer.rows.is_empty() {
            report::note(list.nothing);
        }
        narrow(&mut answer, list.shown);
    }
    query::print(session, format, &answer)?;
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

/// Only these columns, in this order.
fn narrow(answer: &mut Answer, shown: &[&str]) {
    let place = |name: &&str| answer.columns.iter().position(|own| own.name == **name);
    let places: Vec<usize> = shown.iter().filter_map(place).collect();
    let columns = places.iter().map(|place| answer.columns[*place].clone());
    let columns = columns.collect();
    let row = |row: &Vec<AnswerValue>| places.iter().map(|place| row[*place].clone()).collect();
    answer.rows = answer.rows.iter().map(row).collect();
    answer.columns = columns;
}

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
        let mut narrowed = answer(&["abcdef01"]);
        narrow(&mut narrowed, &["purpose", "elsewhere"]);
        assert_eq!(narrowed.columns.len(), 1);
        assert_eq!(narrowed.rows, [[AnswerValue::Null]]);
    }
}
