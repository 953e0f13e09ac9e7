//! Inputs of predictions: which columns may come, and what a value must look like. Errors name places, never values.

use aquifer_shared::domain::contract::Contract;
use aquifer_shared::domain::contract::text::number;
use aquifer_shared::domain::predictor::prediction::{Predictor, Value};
use aquifer_shared::domain::predictor::words::Meaning;

/// An input that is refused.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum InputError {
    /// Real customers do not belong here.
    #[error(
        "column {column:?} names single customers: predict takes made-up customers and segments only; leave the column out, \
         and ask the customer's own unit to score real customers (aquifer-node score)"
    )]
    Identifies {
        /// The column.
        column: String,
    },
    /// Not in the contract.
    #[error("column {column:?} is no feature of the model, expected {known}")]
    Unknown {
        /// The column.
        column: String,
        /// Those that are.
        known: String,
    },
    /// Most likely a file without heading: its first row holds values, which must not be quoted.
    #[error("none of the {count} names is a feature of the model, expected some of {known}")]
    NoFeature {
        /// Names there were.
        count: usize,
        /// Those that are features.
        known: String,
    },
    /// Two columns of one name.
    #[error("column {column:?} is there twice")]
    Twice {
        /// The column.
        column: String,
    },
    /// A number was due.
    #[error("{}column {column:?}: the value is not a number", row_text(*.row))]
    NotANumber {
        /// Row of a file, from 1 after the heading.
        row: Option<u64>,
        /// The column.
        column: String,
    },
    /// Neither number nor text.
    #[error("column {column:?} holds {found}, expected numbers or texts")]
    Kind {
        /// The column.
        column: String,
        /// What it holds.
        found: String,
    },
    /// Not a JSON object.
    #[error(
        "the input is not one JSON object of feature names and values (line {line}, column {column})"
    )]
    NotAnObject {
        /// Where reading ended.
        line: usize,
        /// Where in the line.
        column: usize,
    },
    /// A file without heading.
    #[error("the file is empty, expected a heading and rows")]
    Empty,
}

/// Checks the columns of an input; for each feature of the model the position of its column, if it has one.
///
/// # Errors
///
/// A column that names single customers, that is no feature, or that is there twice.
pub fn columns(
    found: &[String],
    predictor: &Predictor,
    contract: Option<&Contract>,
) -> Result<Vec<Option<usize>>, InputError> {
    let features = predictor.names();
    let known = || features.join(", ");
    let others = || found.iter().filter(|column| !features.contains(column));
    if let Some(column) = others().find(|column| names_customers(column, contract)) {
        let column = column.clone();
        return Err(InputError::Identifies { column });
    }
    if !found.is_empty() && others().count() == found.len() {
        let (count, known) = (found.len(), known());
        return Err(InputError::NoFeature { count, known });
    }
    if let Some(column) = others().next() {
        let (column, known) = (column.clone(), known());
        return Err(InputError::Unknown { column, known });
    }
    for (index, column) in found.iter().enumerate() {
        if found[..index].contains(column) {
            let column = column.clone();
            return Err(InputError::Twice { column });
        }
    }
    let place = |feature: &String| found.iter().position(|column| column == feature);
    Ok(features.iter().map(place).collect())
}

/// Checks a value for a feature; whether a level is none of the feature's own is told by [`is_unlisted`].
///
/// # Errors
///
/// A text where a number is due.
pub fn check(
    value: Value<'_>,
    meaning: &Meaning,
    column: &str,
    row: Option<u64>,
) -> Result<(), InputError> {
    match (meaning, value) {
        (Meaning::Ordered { .. }, Value::Text(text))
            if !text.trim().is_empty() && number(text).is_none() =>
        {
            Err(InputError::NotANumber {
                row,
                column: column.to_owned(),
            })
        }
        _ => Ok(()),
    }
}

/// Whether a value is given and yet falls into the cell for *missing or not in the list*.
pub fn is_unlisted(value: Value<'_>, meaning: &Meaning) -> bool {
    let given = match value {
        Value::Missing => false,
        Value::Text(text) => !text.trim().is_empty(),
        Value::Number(_) => true,
    };
    given && matches!(meaning, Meaning::Levels(_)) && meaning.cell(value) + 1 == meaning.count()
}

/// Columns that name single customers: the contract's privacy unit, and what usually does.
///
/// Without the contract its own name for them is not known; it is no feature, so it is refused as unknown.
fn names_customers(column: &str, contract: Option<&Contract>) -> bool {
    let plain = |text: &str| -> String {
        let kept = text.chars().filter(|c| c.is_alphanumeric());
        kept.flat_map(char::to_lowercase).collect()
    };
    let column = plain(column);
    contract.is_some_and(|contract| column == plain(&contract.privacy_unit))
        || IDENTIFIERS.contains(&column.as_str())
}

fn row_text(row: Option<u64>) -> String {
    row.map(|row| format!("row {row}, ")).unwrap_or_default()
}

const IDENTIFIERS: [&str; 30] = [
    "account",
    "accountid",
    "accountnumber",
    "address",
    "birthdate",
    "client",
    "clientid",
    "customer",
    "customerid",
    "customernumber",
    "dateofbirth",
    "dob",
    "email",
    "emailaddress",
    "firstname",
    "fullname",
    "iban",
    "id",
    "lastname",
    "mobile",
    "name",
    "passport",
    "personid",
    "phone",
    "phonenumber",
    "rowid",
    "ssn",
    "surname",
    "userid",
    "username",
];
