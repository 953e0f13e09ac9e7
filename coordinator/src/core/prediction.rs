//! Predictions from released models, whichever door asks: which inputs may come, what their values must look like, and what comes back.
//!
//! Works on the caller's values and public files alone: no customer, no budget. Errors name places, never values.

use std::str::FromStr;

use aquifer_shared::domain::contract::text::number;
use aquifer_shared::domain::contract::{ColumnKind, Contract};
use aquifer_shared::domain::predictor::prediction::{Explanation, Prediction, Predictor, Value};
use aquifer_shared::domain::predictor::words::Meaning;

/// What inputs stand for, as their sender declares. No program can check it; doors note it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Declared {
    /// Made-up customers.
    #[default]
    Hypothetical,
    /// Typical members of groups, not single people.
    Segment,
}

/// A prediction with all that a door shows of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Predicted {
    /// The prediction.
    pub prediction: Prediction,
    /// Why.
    pub explanation: Explanation,
    /// Features whose number lies outside the contract's bounds: it counts as the bound.
    pub clipped: Vec<String>,
    /// What a person should know about how values were read.
    pub notes: Vec<String>,
}

/// What is asked of a model beside inputs.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Wanted {
    /// Probability from which the decision is yes.
    pub threshold: Option<f64>,
    /// Add the smallest change of one feature that would turn the decision.
    pub change: bool,
}

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
    /// Customers that exist.
    #[error(
        "real customers are not scored here: nobody here knows who has objected; their own unit scores them (aquifer-node score)"
    )]
    Real,
    /// No declaration that there is.
    #[error("input is declared as something unknown, expected hypothetical or segment")]
    Undeclared,
}

impl Declared {
    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Hypothetical => "hypothetical",
            Self::Segment => "segment",
        }
    }
}

impl FromStr for Declared {
    type Err = InputError;

    fn from_str(text: &str) -> Result<Self, InputError> {
        match text {
            "hypothetical" => Ok(Self::Hypothetical),
            "segment" => Ok(Self::Segment),
            "real" => Err(InputError::Real),
            _ => Err(InputError::Undeclared),
        }
    }
}

/// Predicts for one set of named values. A feature that is left out counts as missing, and a note says so.
///
/// # Errors
///
/// A name that stands for single customers, that is no feature or that is there twice; a text where a number is due.
///
/// # Privacy
///
/// Reads no customer: the model is a release, and the values are the caller's own.
pub fn predict(
    predictor: &Predictor,
    contract: Option<&Contract>,
    given: &[(String, Value<'_>)],
    wanted: Wanted,
) -> Result<Predicted, InputError> {
    let names: Vec<String> = given.iter().map(|(name, _)| name.clone()).collect();
    let places = columns(&names, predictor, contract)?;
    let features = predictor.names().iter().zip(predictor.meanings());
    for ((name, meaning), place) in features.zip(&places) {
        if let Some(place) = place {
            check(given[*place].1, meaning, name, None)?;
        }
    }
    let value = |name: &str| {
        let found = given.iter().find(|(own, _)| own == name);
        found.map_or(Value::Missing, |(_, value)| *value)
    };
    let cells = predictor.cells(value);
    let mut notes = predictor.notes(value);
    notes.extend(absent(predictor, |name| {
        names.iter().any(|known| known == name)
    }));
    let changed = wanted.threshold.filter(|_| wanted.change);
    Ok(Predicted {
        prediction: predictor.predict(&cells, wanted.threshold),
        explanation: predictor.explain(&cells, changed),
        clipped: clipped(contract, value),
        notes,
    })
}

/// A note on features that nothing is said about.
pub fn absent(predictor: &Predictor, is_there: impl Fn(&str) -> bool) -> Option<String> {
    let names = predictor.names().iter();
    let absent: Vec<&str> = names
        .map(String::as_str)
        .filter(|name| !is_there(name))
        .collect();
    (!absent.is_empty()).then(|| format!("not given, counts as missing: {}", absent.join(", ")))
}

/// Features of the contract whose number lies outside their bounds.
fn clipped<'a>(contract: Option<&Contract>, value: impl Fn(&str) -> Value<'a>) -> Vec<String> {
    let columns = contract.map_or(&[][..], |contract| &contract.columns);
    let outside = columns.iter().filter(|column| {
        let ColumnKind::Numeric { low, high, .. } = &column.kind else {
            return false;
        };
        let value = match value(&column.name) {
            Value::Number(value) => Some(value),
            Value::Text(text) => number(text),
            Value::Missing => None,
        };
        value.is_some_and(|value| value < *low || value > *high)
    });
    outside.map(|column| column.name.clone()).collect()
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::finished::finished;

    struct Ready {
        predictor: Predictor,
        contract: Option<Contract>,
    }

    fn ready() -> Ready {
        let (file, bundle) = finished();
        Ready {
            predictor: Predictor::of(&file).unwrap(),
            contract: Contract::parse(&bundle.contract).ok(),
        }
    }

    fn predicted(given: &[(&str, Value<'_>)]) -> Result<Predicted, InputError> {
        let given: Vec<_> = given
            .iter()
            .map(|(name, value)| ((*name).to_owned(), *value))
            .collect();
        let ready = ready();
        let wanted = Wanted::default();
        predict(&ready.predictor, ready.contract.as_ref(), &given, wanted)
    }

    #[test]
    fn t1_explanation_matches_score_and_what_is_left_out_is_told() {
        let found = predicted(&[("plan", Value::Text("plus"))]).unwrap();
        let parts: f64 = found
            .explanation
            .contributions
            .iter()
            .map(|own| own.log_odds)
            .sum();
        assert!((found.explanation.base + parts - found.prediction.score).abs() < 1e-12);
        assert_eq!(found.notes, ["not given, counts as missing: tenure"]);
    }

    #[test]
    fn numbers_outside_the_bounds_count_as_the_bounds_and_are_told() {
        let outside = predicted(&[("tenure", Value::Text("1e9"))]).unwrap();
        assert_eq!(outside.clipped, ["tenure"]);
        let bound = predicted(&[("tenure", Value::Number(64.0))]).unwrap();
        assert_eq!(bound.clipped, [""; 0]);
        assert_eq!(bound.prediction, outside.prediction);
        let named = predicted(&[("customer_no", Value::Missing)]);
        assert!(matches!(named, Err(InputError::Identifies { .. })));
    }

    #[test]
    fn c3_coordinator_refuses_real_customers() {
        assert_eq!("segment".parse(), Ok(Declared::Segment));
        assert_eq!("real".parse::<Declared>(), Err(InputError::Real));
        assert_eq!("made up".parse::<Declared>(), Err(InputError::Undeclared));
    }

    #[track_caller]
    fn check_columns(found: &[&str], expected: Result<Vec<Option<usize>>, &str>) {
        let ready = ready();
        let found: Vec<String> = found.iter().map(|name| (*name).to_owned()).collect();
        match (
            columns(&found, &ready.predictor, ready.contract.as_ref()),
            expected,
        ) {
            (Ok(places), Ok(expected)) => assert_eq!(places, expected),
            (Err(error), Err(expected)) => assert!(error.to_string().contains(expected), "{error}"),
            (found, expected) => panic!("{found:?}, expected {expected:?}"),
        }
    }

    #[test]
    fn features_may_come_in_any_order_or_not() {
        check_columns(&["plan", "tenure"], Ok(vec![Some(1), Some(0)]));
        check_columns(&["plan"], Ok(vec![None, Some(0)]));
        check_columns(&[], Ok(vec![None, None]));
    }

    #[test]
    fn columns_that_name_customers_are_refused() {
        for name in [
            "customer_no",
            "CustomerNo",
            "customer_id",
            "E-Mail",
            "id",
            "Name",
        ] {
            check_columns(&["tenure", name], Err("names single customers"));
        }
        check_columns(&["x", "customer_no"], Err("names single customers"));
    }

    #[test]
    fn without_the_contract_nothing_but_features_passes() {
        let ready = ready();
        let told = |name: &str| {
            let found = ["tenure".to_owned(), name.to_owned()];
            columns(&found, &ready.predictor, None).map_err(|error| error.to_string())
        };
        assert!(told("customer_no").unwrap_err().contains("is no feature"));
        assert!(
            told("email")
                .unwrap_err()
                .contains("names single customers")
        );
        assert!(told("plan").is_ok());
    }

    #[test]
    fn other_columns_are_refused() {
        check_columns(&["tenure", "left"], Err("\"left\" is no feature"));
        check_columns(&["tenure", "tenure"], Err("twice"));
    }

    #[test]
    fn a_row_in_place_of_a_heading_is_not_quoted() {
        check_columns(&["12", "plus"], Err("none of the 2 names"));
    }

    #[test]
    fn numbers_must_be_numbers_and_places_are_named() {
        let ready = ready();
        let meaning = &ready.predictor.meanings()[0];
        let checked =
            |value, row| check(value, meaning, "tenure", row).map_err(|error| error.to_string());
        for good in [
            Value::Missing,
            Value::Number(3.5),
            Value::Text(" 7 "),
            Value::Text(""),
        ] {
            assert_eq!(checked(good, None), Ok(()));
        }
        let told = checked(Value::Text("seven"), Some(12)).unwrap_err();
        assert_eq!(told, "row 12, column \"tenure\": the value is not a number");
    }

    #[test]
    fn unlisted_levels_are_told() {
        let ready = ready();
        let [tenure, plan] = ready.predictor.meanings() else {
            panic!("two features")
        };
        assert!(is_unlisted(Value::Text("gold"), plan));
        for fine in [Value::Text("plus"), Value::Text(" "), Value::Missing] {
            assert!(!is_unlisted(fine, plan));
        }
        assert!(!is_unlisted(Value::Number(7.0), tenure));
    }
}
