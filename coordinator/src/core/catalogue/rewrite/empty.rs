//! What reads a table that is always empty has no rows, whatever else it says: the engine need not understand the rest.

use std::ops::ControlFlow;

use sqlparser::ast::{
    DataType, Expr, FunctionArguments, GroupByExpr, Ident, JoinOperator, Query, Select, SelectItem,
    SetExpr, TableFactor, TableWithJoins, Value, Visit, VisitMut, Visitor, VisitorMut,
};

use super::{build, parts, plain};
use crate::core::catalogue::grid::{is_known, kind_of};
use aquifer_shared::protocol::ask::AnswerKind;

/// Tables that may hold something; all others of PostgreSQL's own are empty.
const FILLED: [&str; 23] = [
    "columns",
    "enabled_roles",
    "pg_am",
    "pg_attribute",
    "pg_class",
    "pg_database",
    "pg_description",
    "pg_get_keywords",
    "pg_language",
    "pg_namespace",
    "pg_proc",
    "pg_roles",
    "pg_settings",
    "pg_tables",
    "pg_tablespace",
    "pg_type",
    "pg_user",
    "pg_views",
    "role_table_grants",
    "schemata",
    "table_privileges",
    "tables",
    "views",
];

/// Takes out what is empty, from the inside out.
pub(super) fn prune(query: &mut Query) {
    let _ = query.visit(&mut Pruned);
}

struct Pruned;

impl VisitorMut for Pruned {
    type Break = ();

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        match expr {
            Expr::Subquery(query) if is_empty(query) => *expr = build::null(),
            Expr::Subquery(query) => only_one(query),
            Expr::Exists { subquery, negated } if is_empty(subquery) => {
                *expr = build::truth(*negated);
            }
            Expr::Function(function) if parts(&function.name) == ["array"] => {
                if let FunctionArguments::Subquery(query) = &function.args {
                    *expr = array_of(query);
                }
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        if prune_body(&mut query.body) {
            query.order_by = None;
            query.with = None;
        }
        ControlFlow::Continue(())
    }
}

/// Whether all of it is pruned now.
fn prune_body(body: &mut SetExpr) -> bool {
    match body {
        SetExpr::Select(select) => {
            let wild = select.projection.iter().any(is_wild);
            let empty = is_empty_select(select) && !wild;
            if empty {
                hollow(select);
            }
            empty
        }
        SetExpr::SetOperation { left, right, .. } => {
            let (left, right) = (prune_body(left), prune_body(right));
            left && right
        }
        _ => false,
    }
}

fn is_wild(item: &SelectItem) -> bool {
    matches!(
        item,
        SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..)
    )
}

/// The same outputs, and no row.
fn hollow(select: &mut Select) {
    for item in &mut select.projection {
        let (name, own) = match &*item {
            SelectItem::UnnamedExpr(Expr::CompoundIdentifier(names)) => {
                let last = names.last().cloned();
                (last.clone(), last)
            }
            SelectItem::UnnamedExpr(Expr::Identifier(name)) => {
                (Some(name.clone()), Some(name.clone()))
            }
            SelectItem::ExprWithAlias { alias, expr } => (Some(alias.clone()), column(expr)),
            _ => (None, None),
        };
        let kind = own.and_then(|own| kind_of(&plain(&own)));
        let data_type = match kind {
            Some(AnswerKind::Whole) => DataType::BigInt(None),
            Some(AnswerKind::Truth) => DataType::Boolean,
            Some(AnswerKind::Number) => DataType::Double(sqlparser::ast::ExactNumberInfo::None),
            _ => DataType::Varchar(None),
        };
        *item = SelectItem::ExprWithAlias {
            expr: build::nothing(data_type),
            alias: name.unwrap_or_else(|| Ident::new("nothing")),
        };
    }
    select.from.clear();
    select.selection = Some(build::truth(false));
    select.group_by = GroupByExpr::Expressions(Vec::new(), Vec::new());
    select.having = None;
    select.distinct = None;
}

fn column(expr: &Expr) -> Option<Ident> {
    match expr {
        Expr::Identifier(name) => Some(name.clone()),
        Expr::CompoundIdentifier(names) => names.last().cloned(),
        _ => None,
    }
}

/// Whether a query never has a row.
fn is_empty(query: &Query) -> bool {
    is_empty_body(&query.body)
}

fn is_empty_body(body: &SetExpr) -> bool {
    match body {
        SetExpr::Select(select) => is_empty_select(select),
        SetExpr::Query(query) => is_empty(query),
        SetExpr::SetOperation { left, right, .. } => is_empty_body(left) && is_empty_body(right),
        _ => false,
    }
}

fn is_empty_select(select: &Select) -> bool {
    let grouped = match &select.group_by {
        GroupByExpr::Expressions(keys, _) => !keys.is_empty(),
        GroupByExpr::All(_) => true,
    };
    // Without groups an aggregate of no rows is a row.
    if !grouped && (select.having.is_some() || select.projection.iter().any(aggregates)) {
        return false;
    }
    is_false(select.selection.as_ref()) || select.from.iter().any(is_empty_from)
}

fn is_false(selection: Option<&Expr>) -> bool {
    matches!(selection, Some(Expr::Value(value)) if value.value == Value::Boolean(false))
}

fn is_empty_from(from: &TableWithJoins) -> bool {
    let mut empty = is_empty_factor(&from.relation);
    for join in &from.joins {
        let right = is_empty_factor(&join.relation);
        empty = match join.join_operator {
            JoinOperator::Left(_) | JoinOperator::LeftOuter(_) => empty,
            JoinOperator::Right(_) | JoinOperator::RightOuter(_) => right,
            JoinOperator::FullOuter(_) => empty && right,
            JoinOperator::Join(_) | JoinOperator::Inner(_) | JoinOperator::CrossJoin(_) => {
                empty || right
            }
            _ => false,
        };
    }
    empty
}

fn is_empty_factor(factor: &TableFactor) -> bool {
    match factor {
        TableFactor::Table {
            name, args: None, ..
        } => {
            let parts = parts(name);
            let [schema, table] = &parts[..] else {
                return false;
            };
            is_known(schema, table) && !FILLED.contains(&&**table)
        }
        TableFactor::Table {
            name,
            args: Some(args),
            ..
        } => {
            let name = parts(name).pop().unwrap_or_default();
            let of_column = args
                .args
                .first()
                .is_some_and(|arg| is_column(&arg.to_string()));
            UNROLLED.contains(&&*name) && of_column
        }
        TableFactor::UNNEST { array_exprs, .. } => {
            let column = |expr: &Expr| is_column(&expr.to_string());
            array_exprs.first().is_some_and(column)
        }
        TableFactor::Derived { subquery, .. } => is_empty(subquery),
        TableFactor::NestedJoin {
            table_with_joins, ..
        } => is_empty_from(table_with_joins),
        _ => false,
    }
}

/// Whether it is a column of PostgreSQL's own tables: none of those holds an array here.
fn is_column(text: &str) -> bool {
    let last = text.rsplit('.').next().unwrap_or_default();
    kind_of(last).is_some()
}

const UNROLLED: [&str; 4] = [
    "unnest",
    "generate_subscripts",
    "aclexplode",
    "_pg_expandarray",
];

fn aggregates(item: &SelectItem) -> bool {
    let mut found = Aggregates::default();
    let _ = item.visit(&mut found);
    found.any
}

/// Aggregates of a query itself, not those of queries inside it.
#[derive(Default)]
struct Aggregates {
    any: bool,
    depth: usize,
}

impl Visitor for Aggregates {
    type Break = ();

    fn pre_visit_query(&mut self, _: &Query) -> ControlFlow<()> {
        self.depth += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &Query) -> ControlFlow<()> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        if let Expr::Function(function) = expr {
            let name = parts(&function.name).pop().unwrap_or_default();
            let own = self.depth == 0 && function.over.is_none();
            self.any |= own && AGGREGATES.contains(&&*name);
        }
        ControlFlow::Continue(())
    }
}

const AGGREGATES: [&str; 10] = [
    "array_agg",
    "avg",
    "bool_and",
    "bool_or",
    "count",
    "json_agg",
    "max",
    "min",
    "string_agg",
    "sum",
];

/// A query that stands for one value gives one: the engine wants to see that it does.
fn only_one(query: &mut Query) {
    let ordered = query.order_by.is_some() && query.limit_clause.is_some();
    let SetExpr::Select(select) = &mut *query.body else {
        return;
    };
    if ordered || select.from.is_empty() || select.projection.len() != 1 {
        return;
    }
    let grouped = matches!(&select.group_by, GroupByExpr::Expressions(keys, _) if !keys.is_empty());
    if grouped || aggregates(&select.projection[0]) {
        return;
    }
    let (expr, alias) = match &select.projection[0] {
        SelectItem::UnnamedExpr(expr) => (expr.clone(), Ident::with_quote('"', "only")),
        SelectItem::ExprWithAlias { expr, alias } => (expr.clone(), alias.clone()),
        _ => return,
    };
    let expr = build::call("max", vec![expr]);
    select.projection[0] = SelectItem::ExprWithAlias { expr, alias };
    select.distinct = None;
    query.order_by = None;
    query.limit_clause = None;
}

/// The rows of a query as an array, written as text.
fn array_of(query: &Query) -> Expr {
    if is_empty(query) {
        return build::text("{}");
    }
    let mut query = query.clone();
    query.order_by = None;
    let SetExpr::Select(select) = &mut *query.body else {
        return build::null();
    };
    let expr = match select.projection.first() {
        Some(SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. }) => {
            expr.clone()
        }
        _ => return build::null(),
    };
    let items = build::call(
        "string_agg",
        vec![build::cast(expr, DataType::Varchar(None)), build::text(",")],
    );
    select.projection = vec![SelectItem::ExprWithAlias {
        expr: items,
        alias: Ident::with_quote('"', "array"),
    }];
    let items = Expr::Subquery(Box::new(query));
    build::call("concat", vec![build::text("{"), items, build::text("}")])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::catalogue::{Book, Shelf, standard_grids, system_grids};

    #[test]
    fn the_list_of_tables_that_hold_something_is_whole() {
        let book = Book::new(Shelf {
            user: "ada".into(),
            database: "aquifer".into(),
            version: String::new(),
            tables: Vec::new(),
        });
        let grids = [system_grids(&book), standard_grids(&book)].concat();
        let mut names: Vec<&str> = grids.iter().map(|grid| grid.name).collect();
        names.sort_unstable();
        assert_eq!(names, FILLED);
    }
}
