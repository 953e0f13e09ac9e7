//! `aquifer query` and `aquifer explain`: statements in SQL, answers as a table, CSV or JSON.

use std::io::Read as _;
use std::sync::Arc;

use anyhow::Context as _;
use aquifer_shared::base::limits::STATEMENT_BYTES_MAX;
use aquifer_shared::protocol::ask::{
    Answer, AnswerColumn, AnswerKind, AnswerValue, Ask, Objection, Request, Response,
};
use aquifer_shared::shell::report::{self, Outcome, Table};
use arrow::array::{ArrayRef, RecordBatch, StringArray};
use arrow::csv::Writer;
use arrow::datatypes::{DataType, Field, Schema};
use serde_json::{Map, Value, json};

use crate::args::{AnswerFormat, QueryArguments};
use crate::client::{Session, not_expected};

/// Asks; prints the answer on standard output and what it cost on standard error.
///
/// # Errors
///
/// The coordinator cannot be asked, or the statement cannot be read.
pub(crate) async fn run(
    session: &Session,
    asked: &QueryArguments,
    price_only: bool,
) -> anyhow::Result<Outcome> {
    let before = if price_only { EXPLAIN } else { "" };
    let ask = Ask {
        sql: format!("{before}{}", statement(&asked.sql)?),
        purpose: asked.purpose.clone(),
        standing: asked.standing.clone(),
        urho: asked.rho_micro,
        request_id: asked.request_id.clone(),
        only_stored: asked.stored_only,
    };
    match session.ask(Request::Ask(Box::new(ask))).await? {
        Response::Answer(answer) => {
            print(session, asked.format, &answer)?;
            Ok(Outcome::Done)
        }
        Response::Objection(mut objection) => {
            objection.position = place_behind(before, objection.position);
            object(session.json, &objection)
        }
        other => not_expected(other, session.json),
    }
}

/// What makes a price tag of a question.
const EXPLAIN: &str = "EXPLAIN ";

/// A place in what the asker wrote, where something was put in front of it; none where the place lies there.
fn place_behind(before: &str, position: Option<u32>) -> Option<u32> {
    let before = u32::try_from(before.len()).ok()?;
    position?.checked_sub(before).filter(|place| *place > 0)
}

/// The statement, or standard input where it is `-`.
fn statement(sql: &str) -> anyhow::Result<String> {
    if sql != "-" {
        return Ok(sql.to_owned());
    }
    let mut text = String::new();
    let limit = STATEMENT_BYTES_MAX as u64 + 1;
    let mut input = std::io::stdin().lock().take(limit);
    input
        .read_to_string(&mut text)
        .context("the statement on standard input is not readable text")?;
    Ok(text)
}

/// Prints an answer: rows on standard output, what the asker should know on standard error.
pub(crate) fn print(
    session: &Session,
    format: AnswerFormat,
    answer: &Answer,
) -> anyhow::Result<()> {
    let format = match (session.json, format) {
        (true, _) => AnswerFormat::Json,
        (false, format) => format,
    };
    match format {
        AnswerFormat::Json => return report::print_json(&answer_json(answer)),
        AnswerFormat::Csv => report::print(&csv_text(answer)?)?,
        AnswerFormat::Table => table(answer).print()?,
    }
    answer
        .notices
        .iter()
        .for_each(|notice| report::note(&report::printable(notice)));
    Ok(())
}

fn table(answer: &Answer) -> Table {
    let names: Vec<&str> = answer.columns.iter().map(|column| &*column.name).collect();
    let mut table = Table::of_names(&names);
    for row in &answer.rows {
        table.row(row.iter().map(|value| report::printable(&shown(value))));
    }
    table
}

/// A value in a table for people: six figures of a number, which is more than noise leaves; `csv` and `json` have all of them.
pub(crate) fn shown(value: &AnswerValue) -> String {
    let AnswerValue::Number(number) = value else {
        return text(value);
    };
    if *number == 0.0 || !(1e-4..1e15).contains(&number.abs()) {
        return text(value);
    }
    let behind = (5 - number.abs().log10().floor() as i32).clamp(0, 9);
    let rounded = format!("{number:.*}", usize::try_from(behind).unwrap_or(0));
    match rounded.contains('.') {
        true => rounded
            .trim_end_matches('0')
            .trim_end_matches('.')
            .to_owned(),
        false => rounded,
    }
}

fn csv_text(answer: &Answer) -> anyhow::Result<String> {
    let field = |column: &AnswerColumn| Field::new(&column.name, DataType::Utf8, true);
    let schema = Schema::new(answer.columns.iter().map(field).collect::<Vec<_>>());
    let values = |column: usize| -> ArrayRef {
        let cells = answer.rows.iter().map(|row| match &row[column] {
            AnswerValue::Null => None,
            value => Some(text(value)),
        });
        Arc::new(cells.collect::<StringArray>())
    };
    let columns = (0..answer.columns.len()).map(values).collect();
    let batch = RecordBatch::try_new(Arc::new(schema), columns).context("an answer with gaps")?;
    let mut bytes = Vec::new();
    Writer::new(&mut bytes).write(&batch)?;
    Ok(String::from_utf8(bytes)?)
}

/// A value as text; nothing for none.
pub(crate) fn text(value: &AnswerValue) -> String {
    match value {
        AnswerValue::Null => String::new(),
        AnswerValue::Whole(number) => number.to_string(),
        AnswerValue::Number(number) => number.to_string(),
        AnswerValue::Text(text) => text.clone(),
        AnswerValue::Truth(truth) => truth.to_string(),
    }
}

fn answer_json(answer: &Answer) -> Value {
    let kind = |kind| match kind {
        AnswerKind::Whole => "whole",
        AnswerKind::Number => "number",
        AnswerKind::Text => "text",
        AnswerKind::Truth => "truth",
        AnswerKind::Day => "day",
        AnswerKind::Json => "json",
    };
    let columns = answer.columns.iter();
    let columns: Vec<Value> = columns
        .map(|column| json!({"name": column.name, "type": kind(column.kind)}))
        .collect();
    let rows = answer.rows.iter().map(|row| {
        let fields = answer.columns.iter().zip(row);
        let fields = fields.map(|(column, value)| (column.name.clone(), value_json(value)));
        Value::Object(fields.collect::<Map<_, _>>())
    });
    json!({
        "columns": columns,
        "rows": rows.collect::<Vec<_>>(),
        "notices": answer.notices,
        "release": answer.release.as_ref().map(|release| json!({
            "release_id": release.study.to_string(),
            "standing": release.standing.to_string(),
            "rho_micro": release.urho,
            "epsilon": release.epsilon,
            "delta": release.delta,
            "cached": release.stored,
            "trust": release.mode,
            "units": release.members,
            "updates": release.updates,
            "data_versions": release.data_versions,
            "created": release.created,
        })),
    })
}

/// A value for programs.
pub(crate) fn value_json(value: &AnswerValue) -> Value {
    match value {
        AnswerValue::Null => Value::Null,
        AnswerValue::Whole(number) => json!(number),
        AnswerValue::Number(number) => json!(number),
        AnswerValue::Text(text) => json!(text),
        AnswerValue::Truth(truth) => json!(truth),
    }
}

/// A refused statement: code, what was found, where, and what to write instead.
fn object(json: bool, objection: &Objection) -> anyhow::Result<Outcome> {
    if json {
        report::print_json(&json!({
            "refused": objection.sqlstate,
            "message": objection.message,
            "hint": objection.hint,
            "position": objection.position,
            "rule": objection.rule,
        }))?;
        return Ok(Outcome::Refused);
    }
    let place = objection
        .position
        .map_or(String::new(), |at| format!(" (at character {at})"));
    let rule = objection.rule.iter();
    let rule: String = rule.map(|rule| format!("\nrule: {rule}")).collect();
    Ok(report::refused(&report::printable(&format!(
        "{}: {}{place}\nhint: {}{rule}",
        objection.sqlstate, objection.message, objection.hint
    ))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_shown(number: f64, expected: &str) {
        assert_eq!(shown(&AnswerValue::Number(number)), expected);
    }

    #[test]
    fn places_are_those_of_what_was_written() {
        assert_eq!(place_behind("", Some(15)), Some(15));
        assert_eq!(place_behind(EXPLAIN, Some(15)), Some(7));
        assert_eq!(place_behind(EXPLAIN, Some(8)), None);
        assert_eq!(place_behind(EXPLAIN, None), None);
    }

    #[test]
    fn tables_show_six_figures() {
        check_shown(39.13734669534028, "39.1373");
        check_shown(0.05, "0.05");
        check_shown(-0.000_123_456_789, "-0.000123457");
        check_shown(123_456_789.125, "123456789");
        check_shown(30.0, "30");
        check_shown(100.0, "100");
        check_shown(0.0, "0");
        check_shown(1e-7, "0.0000001");
    }
}
