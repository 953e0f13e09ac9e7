//! Outputs get the names that PostgreSQL gives them, each a different one inside the engine.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use sqlparser::ast::{AccessExpr, Expr, Ident, Select, SelectItem, SetExpr, Value, VisitorMut};

use super::{parts, plain};

/// Stands between the name of an output and what makes it the only one of its name.
pub(super) const MARK: char = '\u{1}';

/// Names every output that has no name of its own.
pub(super) struct Outputs;

impl VisitorMut for Outputs {
    type Break = ();

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        let wild = |item: &SelectItem| {
            matches!(
                item,
                SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..)
            )
        };
        let any_wild = select.projection.iter().any(wild);
        let mut taken = BTreeSet::new();
        for item in &select.projection {
            if let SelectItem::ExprWithAlias { alias, .. } = item {
                taken.insert(plain(alias));
            }
        }
        for (place, item) in select.projection.iter_mut().enumerate() {
            let SelectItem::UnnamedExpr(expr) = item else {
                continue;
            };
            let name = named(expr);
            let is_column = matches!(expr, Expr::Identifier(_) | Expr::CompoundIdentifier(_));
            let free = taken.insert(name.clone()) && !any_wild;
            if is_column && free {
                continue;
            }
            let alias = if free {
                name
            } else {
                format!("{name}{MARK}{place}")
            };
            *item = SelectItem::ExprWithAlias {
                expr: expr.clone(),
                alias: Ident::with_quote('"', alias),
            };
        }
        ControlFlow::Continue(())
    }
}

/// The name that PostgreSQL gives to an output.
fn named(expr: &Expr) -> String {
    strong(expr).unwrap_or_else(|| match expr {
        Expr::Cast { data_type, .. } => {
            let written = data_type.to_string().to_lowercase();
            let last = written.rsplit('.').next().unwrap_or_default();
            last.trim_matches('"').to_owned()
        }
        Expr::Nested(inner) => named(inner),
        Expr::Case { .. } => "case".to_owned(),
        Expr::Value(value) if matches!(value.value, Value::Boolean(_)) => "bool".to_owned(),
        _ => "?column?".to_owned(),
    })
}

/// A name that comes from what is named in the expression.
fn strong(expr: &Expr) -> Option<String> {
    Some(match expr {
        Expr::Identifier(name) => plain(name),
        Expr::CompoundIdentifier(names) => plain(names.last()?),
        Expr::Function(function) => parts(&function.name).pop()?,
        Expr::Cast { expr, .. } | Expr::Nested(expr) | Expr::Collate { expr, .. } => strong(expr)?,
        Expr::Case {
            else_result: Some(other),
            ..
        } => strong(other)?,
        Expr::CompoundFieldAccess { root, access_chain } => match access_chain.last()? {
            AccessExpr::Dot(Expr::Identifier(field)) => plain(field),
            _ => strong(root)?,
        },
        Expr::Exists { .. } => "exists".to_owned(),
        Expr::Array(_) => "array".to_owned(),
        Expr::Subquery(query) => {
            let SetExpr::Select(select) = &*query.body else {
                return None;
            };
            match select.projection.first()? {
                SelectItem::UnnamedExpr(expr) => named(expr),
                SelectItem::ExprWithAlias { alias, .. } => plain(alias),
                _ => return None,
            }
        }
        Expr::Substring { .. } => "substring".to_owned(),
        Expr::Trim { .. } => "btrim".to_owned(),
        Expr::Extract { .. } => "extract".to_owned(),
        Expr::Position { .. } => "position".to_owned(),
        _ => return None,
    })
}
