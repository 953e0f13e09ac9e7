//! Why the catalogue has no answer, as clients are told: what was found, what it can do, a SQLSTATE. The engine's own words stay here.

use aquifer_shared::base::limits::{CATALOGUE_BYTES_MAX, CATALOGUE_MS_MAX, CATALOGUE_ROWS_MAX};
use aquifer_shared::protocol::ask::Objection;
use arrow::error::ArrowError;
use datafusion::common::SchemaError;
use datafusion::error::DataFusionError;

use crate::core::catalogue::shown;
use crate::core::sql::nearest;

/// What stands against a statement that the engine does not carry out.
pub(super) fn objection(error: &DataFusionError) -> Box<Objection> {
    match error.find_root() {
        DataFusionError::SchemaError(error, _) => named(error),
        DataFusionError::Plan(text) => planned(&text.to_lowercase()),
        DataFusionError::ArrowError(error, _) => computed(error),
        DataFusionError::Execution(_) => told(
            "22000",
            "a value of the catalogue statement cannot be computed",
            TYPES,
        ),
        DataFusionError::ResourcesExhausted(_) => {
            let text = format!(
                "the catalogue statement needs more than {} MiB of memory",
                CATALOGUE_BYTES_MAX >> 20
            );
            told("53200", text, LESS)
        }
        // Functions of our own say so in words of our own.
        DataFusionError::External(own) => {
            told("54000", format!("the catalogue cannot answer: {own}"), LESS)
        }
        DataFusionError::NotImplemented(text) if text.contains("Recursive") => {
            told("0A000", "the catalogue statement is WITH RECURSIVE", FORMS)
        }
        _ => no_form(),
    }
}

/// A column that is not there, or that several tables have.
fn named(error: &SchemaError) -> Box<Objection> {
    match error {
        SchemaError::FieldNotFound {
            field,
            valid_fields,
        } => {
            let known: Vec<&str> = valid_fields.iter().map(|one| shown(&one.name)).collect();
            let name = short(&field.name);
            let hint = match known.is_empty() {
                true => format!("perhaps the text '{name}'; {COLUMNS}"),
                false => format!("perhaps {}; {COLUMNS}", nearest(&name, &known)),
            };
            let text = format!("no table of the catalogue statement has a column {name:?}");
            told("42703", text, &hint)
        }
        SchemaError::AmbiguousReference { field } => {
            let name = short(&field.name);
            let text =
                format!("more than one table of the catalogue statement has a column {name:?}");
            told(
                "42702",
                text,
                &format!("name the table before it: t.{name}"),
            )
        }
        SchemaError::DuplicateQualifiedField { name, .. }
        | SchemaError::DuplicateUnqualifiedField { name } => {
            let text = format!(
                "two columns or tables of the catalogue statement are both {:?}",
                short(name)
            );
            told("42712", text, "give one of them another name: AS other")
        }
    }
}

/// What the engine says of a statement that makes no sense to it, in lower case.
fn planned(text: &str) -> Box<Objection> {
    let says = |words: &[&str]| words.iter().any(|word| text.contains(word));
    if text.starts_with("table") && says(&["not found"]) {
        return told("42P01", "the catalogue has no such table", TABLES);
    }
    if says(&["group by", "aggregate function"]) {
        let hint = "group by every column that is not inside an aggregate; conditions on aggregates stand in HAVING";
        return told(
            "42803",
            "the catalogue statement mixes columns with aggregates of them",
            hint,
        );
    }
    if says(&["number of columns"]) {
        let text = "the parts of the catalogue statement have different numbers of columns";
        return told(
            "42601",
            text,
            "give each SELECT of a UNION, and each row of VALUES, as many",
        );
    }
    if says(&[
        "coerc",
        "no function matches",
        "does not support",
        "common type",
        "common argument type",
    ]) {
        let text = "the catalogue statement puts values of types together that do not go together";
        return told("42804", text, TYPES);
    }
    no_form()
}

/// A value that cannot be computed; the value is not repeated.
fn computed(error: &ArrowError) -> Box<Objection> {
    match error {
        ArrowError::DivideByZero => {
            let text = "the catalogue statement divides by zero";
            told("22012", text, "divide by NULLIF(divisor, 0)")
        }
        ArrowError::ArithmeticOverflow(_) => {
            let text = "a number of the catalogue statement is larger than its type holds";
            told("22003", text, "cast it: ::float8")
        }
        ArrowError::CastError(_) | ArrowError::ParseError(_) => {
            let text = "a text of the catalogue statement is not of the type that it is cast to or compared with";
            told("22P02", text, TYPES)
        }
        _ => told(
            "22000",
            "a value of the catalogue statement cannot be computed",
            TYPES,
        ),
    }
}

fn no_form() -> Box<Objection> {
    told("0A000", "the catalogue has no such form of SELECT", FORMS)
}

fn short(name: &str) -> String {
    shown(name).chars().take(80).collect()
}

pub(super) fn too_large() -> Box<Objection> {
    let text = format!(
        "the catalogue statement has more than {CATALOGUE_ROWS_MAX} rows, or too many bytes"
    );
    told("54000", text, LESS)
}

pub(super) fn too_slow() -> Box<Objection> {
    let text = format!("the catalogue statement took more than {CATALOGUE_MS_MAX} ms");
    told("57014", text, LESS)
}

pub(super) fn busy() -> Box<Objection> {
    let text = "too many catalogue statements are worked out at once";
    told("53400", text, "try again")
}

pub(super) fn internal() -> Box<Objection> {
    let text = "the catalogue failed on this statement";
    told("XX000", text, "tell the coordinator's operator")
}

fn told(state: &str, message: impl Into<String>, hint: &str) -> Box<Objection> {
    Box::new(Objection {
        sqlstate: state.to_owned(),
        message: message.into(),
        hint: hint.to_owned(),
        position: None,
        rule: Some("sql.catalogue".to_owned()),
    })
}

const LESS: &str = "ask for less at a time";
const TYPES: &str =
    "compare and compute values of one type; casts make them so: ::text, ::int8, ::float8";
const COLUMNS: &str = "information_schema.columns lists columns";
const TABLES: &str = "information_schema.tables lists tables; \\dv aquifer.* shows Aquifer's own";
const FORMS: &str = "it takes one SELECT with joins, subqueries, WITH, CASE, GROUP BY, HAVING, window functions, UNION, ORDER BY and LIMIT; no recursion";
