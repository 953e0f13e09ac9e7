//! Why the catalogue has no answer, as clients are told.

use aquifer_shared::base::limits::{CATALOGUE_MS_MAX, CATALOGUE_ROWS_MAX};
use aquifer_shared::protocol::ask::Objection;
use datafusion::common::SchemaError;
use datafusion::error::DataFusionError;

/// What the engine says, with a SQLSTATE.
pub(super) fn objection(error: &DataFusionError) -> Box<Objection> {
    let root = error.find_root();
    let text: String = root.strip_backtrace().chars().take(TEXT_MAX).collect();
    let (state, hint) = match root {
        DataFusionError::SchemaError(error, _) => match **error {
            SchemaError::FieldNotFound { .. } => {
                ("42703", "information_schema.columns lists columns")
            }
            _ => ("42702", "name the table before the column"),
        },
        DataFusionError::ResourcesExhausted(_) => ("53200", "ask for less at a time"),
        DataFusionError::External(_) => ("54000", "ask for less at a time"),
        DataFusionError::ArrowError(..) | DataFusionError::Execution(_) => {
            ("22000", "compare and cast values of the same type")
        }
        _ => (
            "0A000",
            "the catalogue takes what psql, DBeaver, Metabase and drivers ask it",
        ),
    };
    told(state, format!("the catalogue cannot answer: {text}"), hint)
}

pub(super) fn too_large() -> Box<Objection> {
    let text = format!(
        "the catalogue statement has more than {CATALOGUE_ROWS_MAX} rows, or too many bytes"
    );
    told("54000", text, "ask for less at a time")
}

pub(super) fn too_slow() -> Box<Objection> {
    let text = format!("the catalogue statement took more than {CATALOGUE_MS_MAX} ms");
    told("57014", text, "ask for less at a time")
}

pub(super) fn busy() -> Box<Objection> {
    let text = "too many catalogue statements are worked out at once".to_owned();
    told("53400", text, "try again")
}

pub(super) fn internal() -> Box<Objection> {
    let text = "the catalogue failed on this statement".to_owned();
    told("XX000", text, "tell the coordinator's operator")
}

fn told(state: &str, message: String, hint: &str) -> Box<Objection> {
    Box::new(Objection {
        sqlstate: state.to_owned(),
        message,
        hint: hint.to_owned(),
        position: None,
        rule: Some("sql.catalogue".to_owned()),
    })
}

/// Characters of the engine's own words.
const TEXT_MAX: usize = 300;
