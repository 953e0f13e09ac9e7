//! Expressions: functions, casts, arrays, patterns and registers.

use std::ops::ControlFlow;

use aquifer_shared::protocol::ask::AnswerValue;
use sqlparser::ast::{
    AccessExpr, Array, BinaryOperator, Expr, Function, FunctionArguments, Ident, ObjectName,
    Subscript, TableFactor, UnaryOperator, Value, VisitorMut,
};

use super::{Session, build, casts, fold, parts, plain, series};
use crate::core::catalogue::functions::{FUNCTIONS, items};
use crate::core::sql::{Refusal, Rule};

/// Rewrites expressions from the inside out.
pub(super) struct Expressions<'a> {
    session: &'a Session<'a>,
    pub(super) changes: Vec<(String, String)>,
    pub(super) passing: bool,
}

type Step = Result<Option<Expr>, Box<Refusal>>;

impl VisitorMut for Expressions<'_> {
    type Break = Box<Refusal>;

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Box<Refusal>> {
        match self.expression(expr) {
            Ok(Some(other)) => *expr = other,
            Ok(None) => {}
            Err(refusal) => return ControlFlow::Break(refusal),
        }
        ControlFlow::Continue(())
    }

    fn post_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<Box<Refusal>> {
        match series::unroll(factor, self.session) {
            Ok(()) => ControlFlow::Continue(()),
            Err(refusal) => ControlFlow::Break(refusal),
        }
    }
}

impl<'a> Expressions<'a> {
    pub(super) fn new(session: &'a Session<'a>) -> Self {
        Self {
            session,
            changes: Vec::new(),
            passing: false,
        }
    }

    fn expression(&mut self, expr: &mut Expr) -> Step {
        Ok(Some(match expr {
            Expr::Function(function) => return self.function(function),
            Expr::Identifier(name) => return Ok(self.register(name)),
            Expr::Collate { expr, .. } => (**expr).clone(),
            Expr::Cast {
                expr, data_type, ..
            } => casts::cast(expr, data_type, self.session)?,
            Expr::Array(Array { elem, .. }) => match self.written(elem) {
                Some(array) => array,
                None => return Ok(None),
            },
            Expr::AnyOp {
                left,
                compare_op,
                right,
                ..
            } => among(left, compare_op, right, false)?,
            Expr::AllOp {
                left,
                compare_op,
                right,
            } => among(left, compare_op, right, true)?,
            Expr::CompoundFieldAccess { root, access_chain } => match &access_chain[..] {
                [AccessExpr::Subscript(Subscript::Index { index })] => {
                    build::call("aq_element", vec![(**root).clone(), index.clone()])
                }
                _ => return Ok(None),
            },
            Expr::Like {
                negated,
                expr,
                pattern,
                escape_char: Some(escape),
                ..
            } => like(expr, pattern, &escape.value, false, *negated),
            Expr::ILike {
                negated,
                expr,
                pattern,
                escape_char: Some(escape),
                ..
            } => like(expr, pattern, &escape.value, true, *negated),
            Expr::BinaryOp { left, op, right } => return Ok(operator(left, op, right)),
            Expr::Value(value) => match &value.value {
                Value::EscapedStringLiteral(text) => build::text(text),
                _ => return Ok(None),
            },
            _ => return Ok(None),
        }))
    }

    /// Names that stand for a value without being called.
    fn register(&self, name: &Ident) -> Option<Expr> {
        let words = ["current_schema", "session_user", "user", "current_role"];
        let plain = plain(name);
        if name.quote_style.is_some() || !words.contains(&&*plain) {
            return None;
        }
        self.constant(&plain)
    }

    /// What does not change within a session.
    fn constant(&self, name: &str) -> Option<Expr> {
        let shelf = &self.session.book.shelf;
        Some(build::text(match name {
            "version" => &shelf.version,
            "current_database" | "current_catalog" => &shelf.database,
            "current_schema" => "public",
            "current_user" | "session_user" | "user" | "current_role" => &shelf.user,
            _ => return None,
        }))
    }

    fn function(&mut self, function: &mut Function) -> Step {
        let mut parts = parts(&function.name);
        let name = parts.pop().unwrap_or_default();
        let schema = parts.pop();
        let schemas = ["pg_catalog", "information_schema", "public"];
        if schema.is_some_and(|schema| !schemas.contains(&&*schema)) {
            return Err(Box::new(build::no_function(&name)));
        }
        let values = build::arguments(function);
        let count = values.as_ref().map_or(usize::MAX, Vec::len);
        if count == 0
            && let Some(constant) = self.constant(&name)
        {
            return Ok(Some(constant));
        }
        let fold = |at: usize| {
            let value = values.as_ref()?.get(at)?;
            fold(value, self.session.book)
        };
        match &*name {
            "current_schemas" => {
                let implicit = fold(0) == Some(AnswerValue::Truth(true));
                let schemas = if implicit {
                    "{pg_catalog,public}"
                } else {
                    "{public}"
                };
                return Ok(Some(build::text(schemas)));
            }
            "current_setting" => {
                self.passing = true;
                return self.setting(fold(0), fold(1)).map(Some);
            }
            "set_config" => {
                self.passing = true;
                let (Some(AnswerValue::Text(name)), Some(AnswerValue::Text(value))) =
                    (fold(0), fold(1))
                else {
                    let takes = "set_config('aquifer.purpose', 'reporting', false)";
                    return Err(build::other_values("set_config", takes));
                };
                self.changes.push((name, value.clone()));
                return Ok(Some(build::text(&value)));
            }
            "now" | "current_timestamp" | "current_date" => self.passing = true,
            _ => {}
        }
        let ours = FUNCTIONS.iter().any(|(own, _)| *own == name);
        if !ours && !ENGINE.contains(&&*name) {
            return Err(Box::new(build::no_function(&name)));
        }
        if ours && matches!(function.args, FunctionArguments::Subquery(_)) {
            return Err(Box::new(build::no_function(&name)));
        }
        function.name = ObjectName::from(vec![Ident::new(name)]);
        Ok(None)
    }

    fn setting(
        &self,
        name: Option<AnswerValue>,
        missing: Option<AnswerValue>,
    ) -> Result<Expr, Box<Refusal>> {
        let name = match name {
            Some(AnswerValue::Text(name)) => name,
            // A parameter that has no value yet.
            Some(AnswerValue::Null) => return Ok(build::null()),
            _ => {
                let takes = "current_setting('aquifer.purpose')";
                return Err(build::other_values("current_setting", takes));
            }
        };
        match (self.session.setting)(&name) {
            Some(value) => Ok(build::text(&value)),
            None if missing == Some(AnswerValue::Truth(true)) => Ok(build::null()),
            None => {
                let name: String = name.chars().take(80).collect();
                let message = format!("there is no setting {name:?}");
                Err(super::refusal(
                    "42704",
                    Rule::Settings,
                    message,
                    "SHOW ALL lists settings",
                ))
            }
        }
    }

    /// An array whose items are in the statement, as text.
    fn written(&self, items: &[Expr]) -> Option<Expr> {
        let items: Option<Vec<String>> = items
            .iter()
            .map(|item| {
                Some(
                    crate::core::catalogue::functions::written(&fold(item, self.session.book)?)
                        .unwrap_or_else(|| "NULL".to_owned()),
                )
            })
            .collect();
        Some(build::text(&format!("{{{}}}", items?.join(","))))
    }
}

/// `x = ANY (...)` and `x <> ALL (...)`.
fn among(left: &Expr, op: &BinaryOperator, right: &Expr, all: bool) -> Result<Expr, Box<Refusal>> {
    let negated = match (op, all) {
        (BinaryOperator::Eq, false) => false,
        (BinaryOperator::NotEq, true) => true,
        _ => {
            let message = "ANY is written with =, and ALL with <>".to_owned();
            return Err(super::refusal(
                "0A000",
                Rule::Expressions,
                message,
                "write IN or NOT IN",
            ));
        }
    };
    let right = match right {
        Expr::Nested(inner) => inner,
        other => other,
    };
    if let Expr::Subquery(subquery) = right {
        return Ok(Expr::InSubquery {
            expr: Box::new(left.clone()),
            subquery: subquery.clone(),
            negated,
        });
    }
    if let Some(text) = build::text_of(right) {
        let list: Vec<Expr> = items(text).iter().map(|item| build::text(item)).collect();
        if list.is_empty() {
            return Ok(build::truth(negated));
        }
        return Ok(Expr::InList {
            expr: Box::new(left.clone()),
            list,
            negated,
        });
    }
    Ok(not(
        build::call("aq_array_has", vec![right.clone(), left.clone()]),
        negated,
    ))
}

fn like(expr: &Expr, pattern: &Expr, escape: &Value, fold: bool, negated: bool) -> Expr {
    let mut values = vec![
        expr.clone(),
        pattern.clone(),
        Expr::Value(escape.clone().into()),
    ];
    values.extend(fold.then(|| build::text("i")));
    not(build::call("aq_like", values), negated)
}

fn not(expr: Expr, negated: bool) -> Expr {
    if !negated {
        return expr;
    }
    Expr::UnaryOp {
        op: UnaryOperator::Not,
        expr: Box::new(expr),
    }
}

fn operator(left: &Expr, op: &BinaryOperator, right: &Expr) -> Option<Expr> {
    let op = match op {
        BinaryOperator::StringConcat => {
            return Some(build::call("aq_concat", vec![left.clone(), right.clone()]));
        }
        BinaryOperator::PGCustomBinaryOperator(name) => match name.last().map(String::as_str)? {
            "~" => BinaryOperator::PGRegexMatch,
            "~*" => BinaryOperator::PGRegexIMatch,
            "!~" => BinaryOperator::PGRegexNotMatch,
            "!~*" => BinaryOperator::PGRegexNotIMatch,
            "=" => BinaryOperator::Eq,
            "<>" => BinaryOperator::NotEq,
            "||" => return Some(build::call("aq_concat", vec![left.clone(), right.clone()])),
            _ => return None,
        },
        _ => return None,
    };
    Some(Expr::BinaryOp {
        left: Box::new(left.clone()),
        op,
        right: Box::new(right.clone()),
    })
}

/// Functions of the engine that a statement may call: none that makes much of little, reads anything, or waits.
pub const ENGINE: [&str; 33] = [
    "abs",
    "array_agg",
    "avg",
    "bool_and",
    "bool_or",
    "btrim",
    "char_length",
    "character_length",
    "coalesce",
    "count",
    "current_date",
    "current_timestamp",
    "dense_rank",
    "greatest",
    "least",
    "left",
    "length",
    "lower",
    "ltrim",
    "max",
    "min",
    "now",
    "nullif",
    "rank",
    "right",
    "round",
    "row_number",
    "rtrim",
    "string_agg",
    "strpos",
    "substr",
    "sum",
    "upper",
];
