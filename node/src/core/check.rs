//! Findings about the unit's rows (counts and example row numbers, never a value), and what a study would send.

use aquifer_shared::base::ids::{AttemptId, Hash32};
use aquifer_shared::domain::predictor::arithmetic::{COUNT, EVALUATION_BINS, Q};
use aquifer_shared::domain::predictor::plan::{CLIP_TIGHT, CLIP_WIDE, RESIDUAL_ROUNDS};
use aquifer_shared::protocol::wire::{Update, frame};
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

/// What is worth telling about a value.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Remark {
    /// Nothing.
    None,
    /// It is missing, or not what the column holds.
    Missing,
    /// It is outside the bounds.
    OutOfRange,
    /// It is not in the list.
    UnknownLevel,
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

/// One kind of private sum of an additive study, as it would leave the node.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Outgoing {
    /// Which sum.
    pub sum: &'static str,
    /// How many of them.
    pub times: u16,
    /// Who is in it.
    pub customers: &'static str,
    /// What one customer adds before noise.
    pub one_customer: String,
    /// Largest number of integers, each with noise.
    pub cells_max: usize,
    /// Largest message with all its headers.
    pub bytes_max: usize,
}

/// Everything about customers that an additive study would send, for features with these numbers of cells.
#[must_use]
pub fn outgoing(cells: &[usize]) -> Vec<Outgoing> {
    let (features, total) = (cells.len(), cells.iter().sum());
    let residual =
        |bound: String| format!("at most {bound} in one bin of each of {features} features");
    let sum = |sum, times, customers, one_customer, cells_max| Outgoing {
        sum,
        times,
        customers,
        one_customer,
        cells_max,
        bytes_max: update_bytes(cells_max),
    };
    let training = "not held out";
    vec![
        sum(
            "counts",
            1,
            training,
            format!("{COUNT} in one cell of each of {features} features"),
            total,
        ),
        sum(
            "residuals, first",
            1,
            training,
            residual((Q / 2).to_string()),
            total,
        ),
        sum(
            "residuals, later",
            RESIDUAL_ROUNDS - 1,
            training,
            residual(format!("{CLIP_TIGHT} ({CLIP_WIDE} above epsilon 1)")),
            total,
        ),
        sum(
            "evaluation",
            1,
            "held out",
            format!("{COUNT} in one of {} cells", 2 * EVALUATION_BINS),
            2 * EVALUATION_BINS,
        ),
    ]
}

/// Bytes of the message that carries a sum of so many cells.
#[must_use]
pub fn update_bytes(cells: usize) -> usize {
    let update = Update {
        attempt: AttemptId::default(),
        task: Hash32::default(),
        cells: vec![0; cells],
        signature: vec![0; 64],
    };
    frame(&update).len()
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

impl ColumnFindings {
    /// Notes what there is to tell about a row (numbers are from 1).
    pub fn note(&mut self, remark: Remark, row: u64) {
        match remark {
            Remark::None => {}
            Remark::Missing => self.missing.add(row),
            Remark::OutOfRange => self.out_of_range.add(row),
            Remark::UnknownLevel => self.unknown_level.add(row),
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

impl Findings {
    /// What a node would refuse to start with, in words without a value.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let (missing, repeated) = (&self.without_customer, &self.repeated_customer);
        if missing.rows > 0 {
            problems.push(format!("{} rows have no customer", missing.rows));
        }
        if repeated.rows > 0 {
            let rows = repeated.rows;
            problems.push(format!(
                "{rows} rows repeat a customer, expected one row per customer"
            ));
        }
        if self.customers == 0 {
            problems.push("no row has a customer and a label".to_owned());
        }
        problems
    }
}

/// Example row numbers per finding.
const EXAMPLES_MAX: usize = 5;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn examples_are_few() {
        let mut finding = Finding::default();
        (1..=9).for_each(|row| finding.add(row));
        assert_eq!((finding.rows, finding.examples), (9, vec![1, 2, 3, 4, 5]));
    }

    #[test]
    fn only_what_stops_a_node_is_a_problem() {
        let mut findings = Findings::for_columns(["tenure"]);
        assert_eq!(findings.problems(), ["no row has a customer and a label"]);
        findings.customers = 1;
        findings.columns[0].missing.add(1);
        findings.without_label.add(2);
        assert!(findings.problems().is_empty());
        findings.without_customer.add(3);
        findings.repeated_customer.add(4);
        assert_eq!(findings.problems().len(), 2);
    }

    #[test]
    fn a_study_sends_ten_sums_of_known_size() {
        let sums = outgoing(&[65, 3]);
        assert_eq!(sums.iter().map(|sum| sum.times).sum::<u16>(), 10);
        assert_eq!(sums[0].cells_max, 68);
        assert_eq!(sums[0].bytes_max - sums[3].bytes_max, (68 - 64) * 8);
        assert!(sums[0].bytes_max < 68 * 8 + 200);
    }
}
