//! What can be wrong with a unit's data, in fixed texts.
//!
//! The engine's own texts quote values; only those about the query itself are passed on.

use std::error::Error;
use std::io;
use std::path::PathBuf;

use aquifer_shared::domain::contract::ContractError;
use arrow::error::ArrowError;
use datafusion::common::SchemaError;
use datafusion::error::DataFusionError;

use super::source::{store_fault, store_problem};
use crate::core::intake::Shut;

/// A source that cannot be read or does not fit the contract.
///
/// # Privacy
///
/// Names files, columns, line and row numbers, types and counts: for the unit's own people. Never a value.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// A file of the configuration cannot be read.
    #[error("{what}: {path:?} cannot be read")]
    Unreadable {
        /// What it is.
        what: String,
        /// Where it should be.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The contract file breaks a rule.
    #[error("contract {path:?} is not valid")]
    Contract {
        /// The file.
        path: PathBuf,
        /// Which rule, and where.
        source: ContractError,
    },
    /// A file or folder is not what its name says.
    #[error("{path:?}: {problem}")]
    Format {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong.
        problem: &'static str,
    },
    /// A table of a server or a store cannot be read.
    #[error("table {table:?}: {problem}")]
    Table {
        /// Its name in the query.
        table: String,
        /// What is wrong.
        problem: String,
    },
    /// A line of a file is not what the file's name says.
    #[error("{path:?}, line {line}: {problem}")]
    Line {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: u64,
        /// What is wrong.
        problem: String,
    },
    /// The mapping query is wrong.
    #[error("the query of node.toml: {problem}")]
    Query {
        /// What is wrong.
        problem: String,
    },
    /// The mapped table does not fit the contract.
    #[error("column {column:?} of the mapped table {problem}")]
    Column {
        /// The column.
        column: String,
        /// What is wrong and what is expected.
        problem: String,
    },
    /// Reading failed on the way.
    #[error("reading the mapped table failed: {problem}")]
    Failed {
        /// What is wrong.
        problem: &'static str,
    },
    /// Reading a table failed on the way, at a place that is known.
    #[error("reading the mapped table failed: {problem}")]
    Stopped {
        /// Which table or file, and what is wrong.
        problem: String,
    },
    /// More customers than declared.
    #[error("the mapped table has more customers than customers_max = {customers_max}")]
    TooManyCustomers {
        /// Declared.
        customers_max: u64,
    },
    /// Rows without a customer id.
    #[error("{rows} rows have no customer in column {column:?} (for example rows {examples:?})")]
    WithoutCustomer {
        /// The privacy unit.
        column: String,
        /// How many.
        rows: u64,
        /// Row numbers of the mapped table, from 1.
        examples: Vec<u64>,
    },
    /// What is published, and as what, does not fit together.
    #[error("{problem}")]
    Publishing {
        /// What is wrong and what is expected.
        problem: String,
    },
    /// There is leave to read another table, or other columns.
    #[error(
        "table {table:?} is not what the rules of law let in: the contract was changed meanwhile"
    )]
    NotLetIn {
        /// Which.
        table: String,
    },
    /// The rules of law let no table in.
    #[error(transparent)]
    Shut(#[from] Shut),
    /// A table for analysts.
    #[error("published table {table:?}")]
    Published {
        /// Which.
        table: String,
        /// What is wrong.
        source: Box<SourceError>,
    },
    /// Several rows of one customer.
    #[error(
        "{rows} rows repeat a customer of column {column:?} (for example rows {examples:?}), expected one row per customer"
    )]
    RepeatedCustomer {
        /// The privacy unit.
        column: String,
        /// How many.
        rows: u64,
        /// Row numbers of the mapped table, from 1.
        examples: Vec<u64>,
    },
}

impl SourceError {
    pub(super) fn of_table(table: &str, problem: TableProblem) -> Self {
        Self::Table {
            table: table.to_owned(),
            problem: problem.0,
        }
    }

    /// The same about one published table.
    pub(super) fn about(self, table: &str) -> Self {
        Self::Published {
            table: table.to_owned(),
            source: Box::new(self),
        }
    }
}

/// What is wrong with a table, in words that hold no value and no secret. It passes through the query engine as it is.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct TableProblem(String);

impl TableProblem {
    pub(super) fn new(problem: String) -> Self {
        Self(problem)
    }

    /// An error with its causes: of our own, whose texts are safe.
    pub(super) fn of(error: &dyn Error) -> Self {
        let causes = std::iter::successors(Some(error), |&error| error.source());
        let texts: Vec<String> = causes.map(ToString::to_string).collect();
        Self(texts.join(": "))
    }

    /// The problem with the name of its table.
    pub(super) fn of_table(self, table: &str) -> Self {
        Self(format!("table {table:?}: {}", self.0))
    }
}

/// An error before any row was read: its text is about the query and may be shown, unless it quotes names that only the
/// files hold (a file without a header has customers in their place).
pub(super) fn planning(error: &DataFusionError, query: &str, names: &[String]) -> SourceError {
    let shown = match root(error) {
        DataFusionError::SQL(error, _) => error.to_string(),
        DataFusionError::Plan(text) | DataFusionError::NotImplemented(text) => text.clone(),
        DataFusionError::SchemaError(error, _) => schema_problem(error),
        _ => UNPLANNED.to_owned(),
    };
    let private = |name: &&String| names_it(&shown, name) && !names_it(query, name);
    let problem = (!names.iter().any(|name| private(&name))).then_some(shown.as_str());
    SourceError::Query {
        problem: problem.unwrap_or(UNPLANNED).to_owned(),
    }
}

/// Whether a text holds a name as a whole word.
fn names_it(text: &str, name: &str) -> bool {
    let inside = |letter: char| letter.is_alphanumeric() || letter == '_';
    text.match_indices(name).any(|(start, _)| {
        let before = text[..start].chars().next_back();
        let after = text[start + name.len()..].chars().next();
        !before.is_some_and(inside) && !after.is_some_and(inside)
    })
}

const UNPLANNED: &str = "it cannot be planned for these tables";

fn schema_problem(error: &SchemaError) -> String {
    match error {
        SchemaError::FieldNotFound { field, .. } => {
            format!("there is no column {:?} in its tables", field.name)
        }
        SchemaError::AmbiguousReference { field } => {
            format!("column {:?} is in several tables", field.name)
        }
        SchemaError::DuplicateQualifiedField { name, .. }
        | SchemaError::DuplicateUnqualifiedField { name } => {
            format!("column {name:?} appears twice")
        }
    }
}

/// An error while rows were read: a fixed text.
pub(super) fn running(error: &DataFusionError) -> SourceError {
    let mut causes = std::iter::successors(Some(error as &dyn Error), |&error| error.source());
    if let Some(told) = causes.find_map(|cause| cause.downcast_ref::<TableProblem>()) {
        return SourceError::Stopped {
            problem: told.0.clone(),
        };
    }
    let problem = match root(error) {
        DataFusionError::ArrowError(error, _) => arrow_problem(error),
        _ if store_fault(error).is_some() => store_fault(error).unwrap_or_default(),
        DataFusionError::ParquetError(_) => "a Parquet file is damaged",
        DataFusionError::ObjectStore(error) => store_problem(error),
        DataFusionError::IoError(_) => "a file cannot be read",
        DataFusionError::ResourcesExhausted(_) => "the query needs too much memory",
        _ => "the query fails on a row",
    };
    SourceError::Failed { problem }
}

fn arrow_problem(error: &ArrowError) -> &'static str {
    match error {
        ArrowError::CastError(_) | ArrowError::ParseError(_) => {
            "a value cannot be converted as the query asks (TRY_CAST gives NULL instead)"
        }
        ArrowError::DivideByZero => "the query divides by zero",
        ArrowError::ArithmeticOverflow(_) => "the query's arithmetic overflows",
        ArrowError::CsvError(_) => "a CSV file is damaged",
        ArrowError::ParquetError(_) => "a Parquet file is damaged",
        ArrowError::IoError(..) => "a file cannot be read",
        ArrowError::MemoryError(_) => "the query needs too much memory",
        _ => "the query fails on a row",
    }
}

fn root(error: &DataFusionError) -> &DataFusionError {
    match error {
        DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) => root(inner),
        DataFusionError::Shared(inner) => root(inner),
        DataFusionError::Collection(all) => all.first().map_or(error, root),
        DataFusionError::External(inner) => inner.downcast_ref().map_or(error, root),
        DataFusionError::ArrowError(inner, _) => match inner.as_ref() {
            ArrowError::ExternalError(inner) => inner.downcast_ref().map_or(error, root),
            _ => error,
        },
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_planning(text: &str, query: &str, expected: &str) {
        let names = ["y", "7590-VHVEG", "tenure"].map(str::to_owned);
        let error = planning(&DataFusionError::Plan(text.to_owned()), query, &names);
        assert_eq!(
            error.to_string(),
            format!("the query of node.toml: {expected}")
        );
    }

    #[test]
    fn names_from_files_are_shown_only_where_the_query_has_them() {
        check_planning("any table is missing", "SELECT x", "any table is missing");
        check_planning(
            "cannot add \"tenure\"",
            "SELECT tenure + 'a'",
            "cannot add \"tenure\"",
        );
        check_planning("cannot add t.tenure", "SELECT tenure2", UNPLANNED);
        check_planning("fields are: 7590-VHVEG", "SELECT x", UNPLANNED);
    }

    #[test]
    fn values_in_the_engines_texts_are_dropped() {
        let inner = ArrowError::CastError("cannot cast CANARY".to_owned());
        let error = DataFusionError::ArrowError(Box::new(inner), None);
        let error = DataFusionError::Context("CANARY".to_owned(), Box::new(error));
        let shown = format!("{:?}", running(&error));
        assert!(
            !shown.contains("CANARY") && shown.contains("TRY_CAST"),
            "{shown}"
        );
    }
}
