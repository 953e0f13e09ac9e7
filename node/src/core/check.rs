//! Findings about the unit's rows: counts and example row numbers, never a value.

use serde::Serialize;

/// How often something was found, and where first.
///
/// # Privacy
///
/// Row numbers and counts for the unit's own people; never a value, and never sent.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
pub struct Finding {
    /// How many rows.
    pub rows: u64,
    /// Up to five row numbers of the mapped table, from 1.
    pub examples: Vec<u64>,
}

/// Findings in one column.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
pub struct ColumnFindings {
    /// Its name.
    pub column: String,
    /// Empty, NaN or not a number.
    pub missing: Finding,
    /// Numeric columns: beyond the contract's range.
    pub out_of_range: Finding,
    /// Categorical columns: not in the contract's list.
    pub unknown_level: Finding,
}

/// All findings.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
pub struct Findings {
    /// Rows of the mapped table.
    pub rows: u64,
    /// Rows that a study would use.
    pub customers: u64,
    /// Rows without a label (left out).
    pub without_label: Finding,
    /// Rows without a customer id (an error).
    pub without_customer: Finding,
    /// Rows whose customer was seen before (an error).
    pub repeated_customer: Finding,
    /// By column.
    pub columns: Vec<ColumnFindings>,
}

impl Finding {
    /// Notes a row (numbers are from 1).
    pub fn add(&mut self, row: u64) {
        self.rows += 1;
        if self.examples.len() < EXAMPLES_MAX {
            self.examples.push(row);
        }
    }
}

impl Findings {
    /// Nothing found yet.
    #[must_use]
    pub fn for_columns<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        let columns = names.into_iter().map(|name| ColumnFindings {
            column: name.to_owned(),
            ..ColumnFindings::default()
        });
        Self {
            columns: columns.collect(),
            ..Self::default()
        }
    }
}

/// Example row numbers per finding.
const EXAMPLES_MAX: usize = 5;
