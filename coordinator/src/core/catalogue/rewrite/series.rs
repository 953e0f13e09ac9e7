//! Functions that stand in place of a table: series and arrays whose values are in the statement.

use aquifer_shared::base::limits::CATALOGUE_SERIES_MAX;
use aquifer_shared::protocol::ask::AnswerValue;
use sqlparser::ast::{FunctionArg, FunctionArgExpr, TableAlias, TableFactor};

use super::{Session, build, fold, parts, plain};
use crate::core::catalogue::functions::items;
use crate::core::sql::{Refusal, Rule};

/// Makes rows of a call.
pub(super) fn unroll(factor: &mut TableFactor, session: &Session<'_>) -> Result<(), Box<Refusal>> {
    let (name, values, alias) = match factor {
        TableFactor::Table {
            name,
            args: Some(args),
            alias,
            ..
        } => {
            let value = |arg: &FunctionArg| match arg {
                FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => fold(expr, session.book),
                _ => None,
            };
            let values: Option<Vec<_>> = args.args.iter().map(value).collect();
            (parts(name).pop().unwrap_or_default(), values, alias.clone())
        }
        TableFactor::UNNEST {
            array_exprs, alias, ..
        } => {
            let values = array_exprs.iter().map(|expr| fold(expr, session.book));
            ("unnest".to_owned(), values.collect(), alias.clone())
        }
        _ => return Ok(()),
    };
    let rows = rows(&name, values.as_deref()).ok_or_else(|| Box::new(build::no_function(&name)))?;
    if rows.len() > CATALOGUE_SERIES_MAX {
        let message = format!("{name} has {} rows", rows.len());
        let hint = format!("ask for at most {CATALOGUE_SERIES_MAX}");
        return Err(super::refusal("54001", Rule::Limits, message, &hint));
    }
    let (table, column) = called(&name, alias.as_ref());
    let values: Vec<String> = rows
        .iter()
        .map(|row| format!("({})", build::literal(row)))
        .collect();
    let text = match values.is_empty() {
        true => format!("(SELECT CAST(NULL AS BIGINT) AS {column} WHERE false) AS {table}"),
        false => format!("(VALUES {}) AS {table} ({column})", values.join(", ")),
    };
    *factor = build::relation(&text).ok_or_else(|| Box::new(build::no_function(&name)))?;
    Ok(())
}

fn rows(name: &str, values: Option<&[AnswerValue]>) -> Option<Vec<AnswerValue>> {
    match (name, values?) {
        ("generate_series", [AnswerValue::Whole(from), AnswerValue::Whole(to)]) => {
            // One more than may be is enough to see that there are too many.
            let end = (*to).min(from.saturating_add(CATALOGUE_SERIES_MAX as i64));
            Some((*from..=end).map(AnswerValue::Whole).collect())
        }
        ("generate_series", [_, AnswerValue::Null] | [AnswerValue::Null, _]) => Some(Vec::new()),
        ("unnest", [AnswerValue::Text(text)]) => {
            Some(items(text).into_iter().map(AnswerValue::Text).collect())
        }
        ("unnest", [AnswerValue::Null]) => Some(Vec::new()),
        _ => None,
    }
}

/// What table and column are called.
fn called(name: &str, alias: Option<&TableAlias>) -> (String, String) {
    let table = alias.map_or_else(|| name.to_owned(), |alias| plain(&alias.name));
    let column = alias.and_then(|alias| alias.columns.first());
    let column = column.map_or_else(|| table.clone(), |column| plain(&column.name));
    let quoted = |name: String| format!("\"{}\"", name.replace('"', "\"\""));
    (quoted(table), quoted(column))
}
