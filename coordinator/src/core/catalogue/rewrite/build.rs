//! Pieces of statements: values, calls, and what a call is made of.

use aquifer_shared::protocol::ask::AnswerValue;
use sqlparser::ast::{
    CastKind, DataType, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentList,
    FunctionArguments, Ident, ObjectName, Query, SetExpr, Statement, TableFactor, Value,
};
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::parser::Parser;

use super::expressions::ENGINE;
use crate::core::catalogue::functions::FUNCTIONS;
use crate::core::sql::{Refusal, Rule, nearest};

pub(super) fn text(text: &str) -> Expr {
    Expr::Value(Value::SingleQuotedString(text.to_owned()).into())
}

pub(super) fn number(number: i64) -> Expr {
    Expr::Value(Value::Number(number.to_string(), false).into())
}

pub(super) fn truth(truth: bool) -> Expr {
    Expr::Value(Value::Boolean(truth).into())
}

pub(super) fn null() -> Expr {
    Expr::Value(Value::Null.into())
}

/// A value without rows, of a type.
pub(super) fn nothing(data_type: DataType) -> Expr {
    cast(null(), data_type)
}

pub(super) fn cast(expr: Expr, data_type: DataType) -> Expr {
    Expr::Cast {
        kind: CastKind::Cast,
        expr: Box::new(expr),
        data_type,
        array: false,
        format: None,
    }
}

/// A value as it is written in a statement.
pub(super) fn literal(value: &AnswerValue) -> Expr {
    match value {
        AnswerValue::Null => null(),
        AnswerValue::Whole(whole) => number(*whole),
        AnswerValue::Number(number) => Expr::Value(Value::Number(number.to_string(), false).into()),
        AnswerValue::Text(value) => text(value),
        AnswerValue::Truth(value) => truth(*value),
    }
}

pub(super) fn value_of(value: &Value) -> Option<AnswerValue> {
    Some(match value {
        Value::Null => AnswerValue::Null,
        Value::Boolean(truth) => AnswerValue::Truth(*truth),
        Value::Number(digits, _) => AnswerValue::Whole(digits.parse().ok()?),
        Value::SingleQuotedString(text) | Value::EscapedStringLiteral(text) => {
            AnswerValue::Text(text.clone())
        }
        _ => return None,
    })
}

/// The text of a value that is written as one.
pub(super) fn text_of(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Nested(inner) => text_of(inner),
        Expr::Value(value) => match &value.value {
            Value::SingleQuotedString(text) | Value::EscapedStringLiteral(text) => Some(text),
            _ => None,
        },
        _ => None,
    }
}

/// A call of a function by its bare name.
pub(super) fn call(name: &str, values: Vec<Expr>) -> Expr {
    let values = values.into_iter().map(FunctionArgExpr::Expr);
    Expr::Function(Function {
        name: ObjectName::from(vec![Ident::new(name)]),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(FunctionArgumentList {
            duplicate_treatment: None,
            args: values.map(FunctionArg::Unnamed).collect(),
            clauses: Vec::new(),
        }),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: Vec::new(),
    })
}

/// What a function is called with; none where that is no plain list of values.
pub(super) fn arguments(function: &Function) -> Option<Vec<Expr>> {
    let list = match &function.args {
        FunctionArguments::None => return Some(Vec::new()),
        FunctionArguments::List(list) => list,
        FunctionArguments::Subquery(_) => return None,
    };
    let plain = |arg: &FunctionArg| match arg {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr.clone()),
        _ => None,
    };
    list.args.iter().map(plain).collect()
}

/// What stands behind FROM, by its text.
pub(super) fn relation(text: &str) -> Option<TableFactor> {
    let dialect = PostgreSqlDialect {};
    let text = format!("SELECT * FROM {text}");
    let mut statements = Parser::parse_sql(&dialect, &text).ok()?;
    let Some(Statement::Query(query)) = statements.pop() else {
        return None;
    };
    let Query { body, .. } = *query;
    let SetExpr::Select(select) = *body else {
        return None;
    };
    select.from.into_iter().next().map(|from| from.relation)
}

/// The refusal of a function that is not known here.
#[must_use]
pub fn no_function(name: &str) -> Refusal {
    let name: String = name.chars().take(80).collect();
    let message = format!("there is no function {name:?} in the catalogue");
    let own = FUNCTIONS.iter().map(|(own, _)| *own);
    let known: Vec<&str> = own.chain(ENGINE).collect();
    let hint = format!(
        "perhaps {}; the catalogue has the functions that psql, DBeaver, Metabase and drivers ask it for",
        nearest(&name, &known)
    );
    *super::refusal("42883", Rule::Names, message, &hint)
}

/// The refusal of a function that is called with other values than it takes.
pub(super) fn other_values(name: &str, takes: &str) -> Box<Refusal> {
    let message =
        format!("function {name} of the catalogue is called with other values than it takes");
    super::refusal("42883", Rule::Names, message, &format!("write {takes}"))
}
