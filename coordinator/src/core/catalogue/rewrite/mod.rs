//! From a catalogue statement as a client of PostgreSQL writes it to one that the engine understands, with the same answer.
//!
//! Names get their schemas, outputs the names that PostgreSQL would give them; what reads a table that is always empty is empty;
//! functions, casts and arrays become functions of ours.

mod build;
mod casts;
mod empty;
mod expressions;
mod names;
mod patterns;
mod series;

use std::ops::ControlFlow;

use aquifer_shared::protocol::ask::AnswerValue;
use sqlparser::ast::{
    Expr, Ident, ObjectName, ObjectNamePart, Query, TableFactor, Value, VisitMut, VisitorMut,
};

pub use build::no_function;
pub use expressions::ENGINE;
pub(super) use patterns::is_like;

use super::book::Book;
use super::grid::is_known;
use crate::core::sql::{Parameter, Refusal, Rule};

/// What a statement may depend on beside the catalogue.
pub struct Session<'a> {
    /// Numbers and names.
    pub book: &'a Book,
    /// Values of bound parameters; where there are none yet, they count as NULL.
    pub values: &'a [Parameter],
    /// Value of a setting by its name.
    pub setting: &'a dyn Fn(&str) -> Option<String>,
}

/// A statement for the engine.
#[derive(Clone, Debug, PartialEq)]
pub struct Rewritten {
    /// The statement.
    pub query: Query,
    /// Settings that it makes when it is carried out.
    pub changes: Vec<(String, String)>,
    /// Whether it depends on the session or the time, so that its answer must not be kept.
    pub passing: bool,
    /// Whether it reads tables of schema `aquifer`.
    pub reads_own: bool,
}

/// Rewrites a statement.
///
/// # Errors
///
/// A function or type that is not known here.
pub fn rewrite(mut query: Query, session: &Session<'_>) -> Result<Rewritten, Refusal> {
    let mut relations = Relations::default();
    let _ = query.visit(&mut Bound(session.values));
    let _ = query.visit(&mut relations);
    let _ = query.visit(&mut names::Outputs);
    empty::prune(&mut query);
    let mut expressions = expressions::Expressions::new(session);
    if let ControlFlow::Break(refusal) = query.visit(&mut expressions) {
        return Err(*refusal);
    }
    Ok(Rewritten {
        query,
        changes: expressions.changes,
        passing: expressions.passing,
        reads_own: relations.reads_own,
    })
}

/// Types of the parameters of a statement, as `pg_type` numbers them: what it casts them to, or text.
#[must_use]
pub fn placeholders(query: &Query) -> Vec<u32> {
    let mut found = Found(Vec::new());
    let _ = query.clone().visit(&mut found);
    found.0
}

/// The name of an output, without what makes it the only one of its name.
#[must_use]
pub fn shown(name: &str) -> &str {
    name.split(names::MARK).next().unwrap_or(name)
}

/// A name as it is looked up.
pub(super) fn plain(name: &Ident) -> String {
    match name.quote_style {
        Some(_) => name.value.clone(),
        None => name.value.to_lowercase(),
    }
}

/// The parts of a name as they are looked up.
pub(super) fn parts(name: &ObjectName) -> Vec<String> {
    let idents = name.0.iter().filter_map(ObjectNamePart::as_ident);
    idents.map(plain).collect()
}

/// Puts values in the place of parameters.
struct Bound<'a>(&'a [Parameter]);

impl VisitorMut for Bound<'_> {
    type Break = ();

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Some(number) = placeholder(expr) {
            *expr = match self.0.get(number - 1) {
                Some(Parameter::Text(text)) => build::text(text),
                Some(Parameter::Null) | None => build::null(),
            };
        }
        ControlFlow::Continue(())
    }
}

/// Number of a parameter, from 1.
fn placeholder(expr: &Expr) -> Option<usize> {
    let Expr::Value(value) = expr else {
        return None;
    };
    let Value::Placeholder(name) = &value.value else {
        return None;
    };
    let number = name.strip_prefix('$')?.parse().ok()?;
    (1..=PARAMETERS_MAX).contains(&number).then_some(number)
}

struct Found(Vec<u32>);

impl Found {
    fn note(&mut self, number: usize, kind: u32) {
        if self.0.len() < number {
            self.0.resize(number, TEXT);
        }
        if kind != TEXT {
            self.0[number - 1] = kind;
        }
    }
}

impl VisitorMut for Found {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        match expr {
            Expr::Cast {
                expr, data_type, ..
            } => {
                if let Some(number) = placeholder(expr) {
                    self.note(number, casts::parameter_type(data_type).unwrap_or(TEXT));
                }
            }
            other => {
                if let Some(number) = placeholder(other) {
                    self.note(number, TEXT);
                }
            }
        }
        ControlFlow::Continue(())
    }
}

/// Gives tables their schema.
#[derive(Default)]
struct Relations {
    reads_own: bool,
}

impl VisitorMut for Relations {
    type Break = ();

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
        let TableFactor::Table { name, args, .. } = factor else {
            return ControlFlow::Continue(());
        };
        let mut parts = parts(name);
        // The database is the only one.
        while parts.len() > 2 {
            parts.remove(0);
        }
        if let [table] = &parts[..]
            && is_known("pg_catalog", table)
        {
            parts.insert(0, "pg_catalog".to_owned());
        }
        self.reads_own |= parts.first().is_some_and(|schema| schema == "aquifer");
        if args.is_some() && is_table_like(&parts) {
            *args = None;
        }
        if args.is_none() && parts.len() == 2 {
            let quoted = parts.iter().map(|part| Ident::with_quote('"', part));
            *name = ObjectName::from(quoted.collect::<Vec<_>>());
        }
        ControlFlow::Continue(())
    }
}

/// Functions whose rows are a table here.
fn is_table_like(parts: &[String]) -> bool {
    parts.last().is_some_and(|name| name == "pg_get_keywords")
}

/// A refusal of a catalogue statement.
fn refusal(state: &'static str, rule: Rule, message: String, hint: &str) -> Box<Refusal> {
    Box::new(Refusal {
        state,
        position: None,
        message,
        hint: hint.to_owned(),
        rule,
    })
}

/// A value that does not depend on any row.
fn fold(expr: &Expr, book: &Book) -> Option<AnswerValue> {
    match expr {
        Expr::Nested(inner) => fold(inner, book),
        Expr::Cast { expr, .. } => fold(expr, book),
        Expr::Value(value) => build::value_of(&value.value),
        Expr::Function(function) => {
            let name = parts(&function.name).pop()?;
            let values = build::arguments(function)?;
            let values: Option<Vec<AnswerValue>> =
                values.iter().map(|value| fold(value, book)).collect();
            super::functions::call(&name, &values?, book).ok()
        }
        _ => None,
    }
}

/// Parameters of a statement.
const PARAMETERS_MAX: usize = 256;
/// `text`, as `pg_type` numbers it.
const TEXT: u32 = 25;
