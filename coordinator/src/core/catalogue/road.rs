//! Where a statement belongs: to the compiler of questions, to the catalogue, or to predictions.
//!
//! A wrong guess is harmless: the catalogue holds nothing about customers, and a question names published tables only.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use aquifer_shared::base::limits::{
    CATALOGUE_DEPTH_MAX, CATALOGUE_RELATIONS_MAX, STATEMENT_BYTES_MAX,
};
use sqlparser::ast::{ObjectName, Query, Statement, TableFactor, Visit, Visitor};
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::parser::{Parser, ParserError};

use super::grid::{is_known, known};
use super::own::OWN_TABLES;
use super::rewrite::parts;
use crate::core::sql::{Refusal, Rule, nearest};

/// Where a statement goes.
#[derive(Clone, Debug, PartialEq)]
pub enum Road {
    /// To the compiler, which also says what is wrong with it.
    Question,
    /// To the catalogue.
    Catalogue(Box<Query>),
    /// A prediction from a released model.
    Predict(Box<Query>),
}

/// Looks at what a statement reads; `is_published` says which tables may be asked about.
///
/// # Errors
///
/// It reads tables of both kinds, or it is about the catalogue and cannot be read.
pub fn road(text: &str, is_published: impl Fn(&str) -> bool) -> Result<Road, Refusal> {
    if text.len() > STATEMENT_BYTES_MAX || !begins(text) {
        return Ok(Road::Question);
    }
    let query = match parsed(text) {
        Ok(Some(query)) => query,
        Ok(None) => return Ok(Road::Question),
        Err(problem) if is_about_the_catalogue(text) => return Err(unreadable(text, &problem)),
        Err(_) => return Ok(Road::Question),
    };
    let mut read = Read::default();
    let _ = Visit::visit(&*query, &mut read);
    if read.predicts {
        return Ok(Road::Predict(query));
    }
    let others: Vec<&(Option<String>, String)> =
        read.tables.iter().filter(|table| !is_ours(table)).collect();
    if let Some(table) = others.iter().find(|table| is_like_ours(table)) {
        return Err(no_table(table));
    }
    if others.len() == read.tables.len() && !others.is_empty() {
        return Ok(Road::Question);
    }
    if let Some(table) = others.first() {
        return Err(match is_published(&table.1) {
            true => mixed(table),
            false => no_table(table),
        });
    }
    if read.relations > CATALOGUE_RELATIONS_MAX {
        let message = format!("the catalogue statement reads {} tables", read.relations);
        let hint = format!("read at most {CATALOGUE_RELATIONS_MAX}");
        return Err(refusal("54001", Rule::Limits, message, &hint));
    }
    Ok(Road::Catalogue(query))
}

/// The only statement of a text, if it reads; none for another kind.
fn parsed(text: &str) -> Result<Option<Box<Query>>, ParserError> {
    let dialect = PostgreSqlDialect {};
    let parser = Parser::new(&dialect).with_recursion_limit(CATALOGUE_DEPTH_MAX);
    let parser = parser.try_with_sql(text);
    let mut statements = parser.and_then(|mut parser| parser.parse_statements())?;
    Ok(match (statements.pop(), statements.pop()) {
        (Some(Statement::Query(query)), None) => Some(query),
        _ => None,
    })
}

/// Whether it begins as what reads.
fn begins(text: &str) -> bool {
    let mut rest = text.trim_start();
    loop {
        let after = match rest.get(..2) {
            Some("--") => rest.split_once('\n'),
            Some("/*") => rest.split_once("*/"),
            _ => break,
        };
        match after {
            Some((_, after)) => rest = after.trim_start(),
            None => return false,
        }
    }
    let word = rest.find(|c: char| !c.is_ascii_alphabetic());
    let word = rest[..word.unwrap_or(rest.len())].to_ascii_lowercase();
    ["select", "with", "values", "table"].contains(&&*word) || rest.starts_with('(')
}

fn is_about_the_catalogue(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    SCHEMAS
        .iter()
        .any(|name| text.contains(&format!("{name}.")))
}

/// A table by its schema, where one is written, and its name.
type Named = (Option<String>, String);

fn is_ours((schema, table): &Named) -> bool {
    match schema.as_deref() {
        Some("aquifer") => OWN_TABLES.iter().any(|(own, _)| own == table),
        Some(schema) => is_known(schema, table),
        None => is_known("pg_catalog", table),
    }
}

/// Whether a table would be one of the catalogue's, if there were one of this name.
fn is_like_ours((schema, table): &Named) -> bool {
    match schema.as_deref() {
        Some(schema) => SCHEMAS.contains(&schema),
        None => table.starts_with("pg_"),
    }
}

/// Tables that a statement reads.
#[derive(Default)]
struct Read {
    tables: BTreeSet<Named>,
    /// Names that the statement gives to queries of its own.
    own: BTreeSet<String>,
    relations: usize,
    predicts: bool,
}

impl Visitor for Read {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        let named = query.with.iter().flat_map(|with| &with.cte_tables);
        let named = named.map(|own| super::rewrite::plain(&own.alias.name));
        self.own.extend(named);
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
        self.relations += 1;
        if let TableFactor::Table { name, args, .. } = factor {
            self.table(name, args.is_some());
        }
        ControlFlow::Continue(())
    }
}

impl Read {
    fn table(&mut self, name: &ObjectName, called: bool) {
        let mut parts = parts(name);
        let Some(table) = parts.pop() else { return };
        let schema = parts.pop();
        let plain = schema.is_none() || schema.as_deref() == Some("public");
        if called {
            self.predicts |= plain && table == "predict";
            return;
        }
        if schema.is_none() && self.own.contains(&table) {
            return;
        }
        self.tables.insert((schema, table));
    }
}

fn written((schema, table): &Named) -> String {
    let named = |schema: &String| format!("{schema}.{table}");
    let whole = schema.as_ref().map_or_else(|| table.clone(), named);
    whole.chars().take(80).collect()
}

fn mixed(table: &Named) -> Refusal {
    let message = format!(
        "table {} is asked about in questions, the catalogue's tables are read as they are: no statement does both",
        written(table)
    );
    let hint = "ask in a statement of its own; aquifer.last_answer then has its rows, and joins with the catalogue";
    refusal("0A000", Rule::Relations, message, hint)
}

fn no_table(table: &Named) -> Refusal {
    let shown = written(table);
    let own = OWN_TABLES
        .iter()
        .map(|(table, _)| format!("aquifer.{table}"));
    let theirs = known().map(|(schema, table)| match shown.contains('.') {
        true => format!("{schema}.{table}"),
        false => table.to_owned(),
    });
    let all: Vec<String> = own.chain(theirs).collect();
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    let hint = format!(
        "perhaps {}; information_schema.tables lists what can be asked about, \\dv aquifer.* Aquifer's own tables",
        nearest(&shown, &all)
    );
    let message = format!("there is no table {shown:?} in the catalogue");
    refusal("42P01", Rule::Names, message, &hint)
}

/// A text that does not read, with the place where it stops.
fn unreadable(text: &str, problem: &ParserError) -> Refusal {
    let hint = "the catalogue takes one SELECT, as PostgreSQL writes it";
    let said = match problem {
        ParserError::RecursionLimitExceeded => {
            let message =
                format!("the catalogue statement is nested more than {CATALOGUE_DEPTH_MAX} deep");
            return refusal("42601", Rule::Grammar, message, "nest less");
        }
        ParserError::ParserError(said) | ParserError::TokenizerError(said) => said,
    };
    let (said, place) = match said.rsplit_once(" at Line: ") {
        Some((said, place)) => (said, position(text, place)),
        None => (&**said, None),
    };
    let said = said
        .strip_prefix("Expected: ")
        .and_then(|said| said.split_once(", found: "));
    let message = match said {
        Some((expected, found)) => format!(
            "the catalogue statement cannot be read: found {}, expected {}",
            short(found),
            short(expected)
        ),
        None => "the catalogue statement cannot be read".to_owned(),
    };
    Refusal {
        position: place,
        ..refusal("42601", Rule::Grammar, message, hint)
    }
}

/// Character of the text, from 1, at `LINE, Column: COLUMN`.
fn position(text: &str, place: &str) -> Option<usize> {
    let (line, column) = place.split_once(", Column: ")?;
    let (line, column): (usize, usize) = (line.parse().ok()?, column.parse().ok()?);
    let before = text.split('\n').take(line.checked_sub(1)?);
    let before: usize = before.map(|line| line.chars().count() + 1).sum();
    let found = before + column;
    (1..=text.chars().count()).contains(&found).then_some(found)
}

fn short(text: &str) -> String {
    text.chars().take(80).collect()
}

fn refusal(state: &'static str, rule: Rule, message: String, hint: &str) -> Refusal {
    Refusal {
        state,
        position: None,
        message,
        hint: hint.to_owned(),
        rule,
    }
}

/// Schemas of the catalogue.
const SCHEMAS: [&str; 3] = ["pg_catalog", "information_schema", "aquifer"];

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Result<&str, &str>) {
        let found = road(text, |table| table == "orders").map(|road| match road {
            Road::Question => "question",
            Road::Catalogue(_) => "catalogue",
            Road::Predict(_) => "predict",
        });
        assert_eq!(found.map_err(|refusal| refusal.state), expected, "{text}");
    }

    #[test]
    fn questions_go_to_the_compiler() {
        for text in [
            "SELECT COUNT(*) FROM orders",
            "SELECT * FROM (SELECT COUNT(*) FROM ORDERS) t",
            "SELECT COUNT(*) FROM sales",
            "SELECT COUNT(*) FROM public.orders",
            "SELECT WITH DIFFERENTIAL_PRIVACY OPTIONS (epsilon = 1) COUNT(*) FROM orders",
            "SELECT * FROM orders JOIN sales ON true",
            "INSERT INTO pg_class VALUES (1)",
            "SET aquifer.purpose = 'x'",
            "EXPLAIN SELECT COUNT(*) FROM orders",
            "",
            "/* SELECT 1",
        ] {
            check(text, Ok("question"));
        }
    }

    #[test]
    fn the_catalogue_has_tables_of_its_own() {
        for text in [
            "SELECT 1",
            "/* who asks */ select version()",
            "SELECT c.relname FROM pg_catalog.pg_class c, pg_namespace n",
            "select * from information_schema.columns",
            "SELECT * FROM aquifer.releases WHERE release_id = 'x'",
            "WITH a AS (SELECT oid FROM pg_type) SELECT * FROM a",
            "VALUES (1)",
        ] {
            check(text, Ok("catalogue"));
        }
    }

    #[test]
    fn no_statement_reads_both() {
        check(
            "SELECT COUNT(*) FROM pg_class JOIN orders ON true",
            Err("0A000"),
        );
        check(
            "SELECT (SELECT COUNT(*) FROM orders) FROM pg_class",
            Err("0A000"),
        );
        check(
            "WITH orders AS (SELECT 1) SELECT * FROM orders",
            Ok("catalogue"),
        );
        check("SELECT * FROM pg_class, pg_secrets", Err("42P01"));
        check("SELECT * FROM aquifer.secrets, pg_class", Err("42P01"));
        check("SELECT FROM WHERE pg_catalog.pg_class", Err("42601"));
        check("SELECT * FROM aquifer.budgets", Err("42P01"));
        check("SELECT * FROM pg_secrets", Err("42P01"));
        let many = format!("SELECT 1 FROM pg_class{}", ", pg_class".repeat(100));
        check(&many, Err("54001"));
        let deep = format!(
            "SELECT pg_catalog.version({}1{})",
            "(".repeat(500),
            ")".repeat(500)
        );
        check(&deep, Err("42601"));
    }

    #[track_caller]
    fn check_told(text: &str, position: Option<usize>, words: &[&str]) {
        let refusal = road(text, |table| table == "orders").unwrap_err();
        let told = format!("{} {}", refusal.message, refusal.hint);
        assert_eq!(refusal.position, position, "{told}");
        for word in words {
            assert!(told.contains(word), "{told}");
        }
        assert!(
            !told.contains("sql parser") && !told.contains("Line:"),
            "{told}"
        );
    }

    #[test]
    fn refusals_say_what_was_found_and_what_there_is() {
        check_told(
            "SELECT * FROM aquifer.budgets",
            None,
            &[
                "aquifer.budgets",
                "perhaps aquifer.budget;",
                "information_schema.tables",
            ],
        );
        check_told("SELECT * FROM pg_clas", None, &["perhaps pg_class;"]);
        check_told(
            "SELECT 1 FROM orders, pg_class",
            None,
            &["table orders", "aquifer.last_answer"],
        );
        check_told(
            "SELECT oid\nFROM pg_catalog.pg_class WHERE",
            None,
            &["found EOF, expected"],
        );
        check_told(
            "SELECT 'ä',\n oid FROM pg_catalog.pg_class )",
            Some(43),
            &["found ), expected"],
        );
    }

    #[test]
    fn predictions_are_called() {
        check("SELECT * FROM predict('churn', tenure => 5)", Ok("predict"));
        check("SELECT * FROM predict", Ok("question"));
    }
}
