//! Casts: PostgreSQL's types become those of the engine, and names of things their numbers or the other way round.

use sqlparser::ast::{DataType, ExactNumberInfo, Expr};

use super::{Session, build};
use crate::core::catalogue::book::Book;
use crate::core::catalogue::types;
use crate::core::sql::{Refusal, Rule};

/// What a cast becomes; its inside is rewritten already.
pub(super) fn cast(
    expr: &Expr,
    kind: &DataType,
    session: &Session<'_>,
) -> Result<Expr, Box<Refusal>> {
    let name = plain(kind);
    if name.ends_with("[]") || name.starts_with('_') {
        return Ok(expr.clone());
    }
    Ok(match &*name {
        "regclass" | "regtype" | "regnamespace" | "regrole" | "regproc" | "regprocedure" => {
            thing(expr, &name, session.book)
        }
        "oid" => number_of_thing(expr)
            .unwrap_or_else(|| build::cast(expr.clone(), DataType::BigInt(None))),
        _ => build::cast(expr.clone(), known(&name).ok_or_else(|| unknown(&name))?),
    })
}

/// The type of a parameter that is cast to this; none where text will do.
pub(super) fn parameter_type(kind: &DataType) -> Option<u32> {
    Some(match &*plain(kind) {
        "smallint" | "int2" => 21,
        "integer" | "int" | "int4" => 23,
        "bigint" | "int8" => 20,
        "oid" => 26,
        "boolean" | "bool" => 16,
        "double precision" | "float8" => 701,
        "date" => 1082,
        _ => return None,
    })
}

/// A type's name in small letters, without schema, quotes and length.
fn plain(kind: &DataType) -> String {
    let written = kind.to_string().to_lowercase().replace('"', "");
    let written = written.strip_prefix("pg_catalog.").unwrap_or(&written);
    match written.split_once('(') {
        Some((name, rest)) => {
            let after = rest.split_once(')').map_or("", |(_, after)| after);
            format!("{}{after}", name.trim())
        }
        None => written.to_owned(),
    }
}

fn known(name: &str) -> Option<DataType> {
    Some(match name {
        "text" | "varchar" | "character varying" | "name" | "char" | "character" | "bpchar"
        | "json" | "jsonb" | "uuid" | "unknown" | "cstring" | "pg_node_tree" | "xml" | "inet" => {
            DataType::Varchar(None)
        }
        "smallint" | "int2" | "integer" | "int" | "int4" | "bigint" | "int8" | "xid" | "cid" => {
            DataType::BigInt(None)
        }
        "real" | "float4" | "float8" | "float" | "double precision" | "numeric" | "decimal" => {
            DataType::Double(ExactNumberInfo::None)
        }
        "boolean" | "bool" => DataType::Boolean,
        "date" => DataType::Date,
        _ => return None,
    })
}

fn unknown(name: &str) -> Box<Refusal> {
    let name: String = name.chars().take(80).collect();
    let message = format!("there is no type {name:?} in the catalogue");
    super::refusal(
        "42704",
        Rule::Names,
        message,
        "cast to text, bigint, double precision, boolean or date",
    )
}

/// A thing that is named in the statement is its number; a number that comes from a row is shown as a name.
fn thing(expr: &Expr, kind: &str, book: &Book) -> Expr {
    let Some(name) = build::text_of(expr) else {
        let kind = kind.strip_suffix("edure").unwrap_or(kind);
        return build::call(&format!("aq_{kind}"), vec![expr.clone()]);
    };
    if let Ok(number) = name.parse() {
        return build::number(number);
    }
    match kind {
        "regclass" => build::number(book.relation_oid(name)),
        "regtype" => build::number(types::named(name).map_or(0, |own| own.oid)),
        "regnamespace" => build::number(Book::schema_oid(name)),
        "regrole" => {
            let roles = book.roles();
            let found = roles.iter().find(|(_, role)| role == name);
            build::number(found.map_or(0, |(oid, _)| *oid))
        }
        _ => build::text(name.trim_start_matches("pg_catalog.")),
    }
}

/// The number of what has just become a name.
fn number_of_thing(expr: &Expr) -> Option<Expr> {
    let inner = match expr {
        Expr::Nested(inner) => inner,
        other => other,
    };
    let Expr::Function(function) = inner else {
        return None;
    };
    let name = super::parts(&function.name).pop()?;
    (name == "aq_regclass")
        .then(|| build::arguments(function))?
        .map(|values| build::call("aq_regclass_oid", values))
}
