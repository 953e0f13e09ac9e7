//! How an answer is shown: columns, names, order, and conditions on released values. All of it is free post-processing.

use super::reading::Reading;
use super::syntax::Comparison;

/// What a column shows of a row.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Source {
    /// A key, by its place in the question.
    Key(usize),
    /// The value of a reading.
    Value(usize),
    /// Its lower end.
    Low(usize),
    /// Its upper end.
    High(usize),
    /// All three as JSON.
    Json(usize),
    /// Whether anything was withheld.
    Suppressed,
}

/// A column and its name.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Shown {
    /// Its name.
    pub name: String,
    /// What it shows.
    pub source: Source,
}

/// A condition on a released row.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Test {
    /// A comparison; false or true, or neither where there is no value.
    Compare(Source, Comparison, Constant),
    /// No value.
    IsNull(Source),
    /// NOT.
    Not(Box<Test>),
    /// AND.
    And(Vec<Test>),
    /// OR.
    Or(Vec<Test>),
}

/// What a released value is compared with.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Constant {
    /// A number.
    Number(f64),
    /// A level.
    Text(String),
    /// A day.
    Day(i32),
}

/// One sort criterion.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Sort {
    /// By what.
    pub source: Source,
    /// Largest first.
    pub descending: bool,
    /// Rows without a value first.
    pub nulls_first: bool,
}

/// Columns, condition, order and slice of the query or of one that is wrapped around it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Stage {
    /// Columns.
    pub columns: Vec<Shown>,
    /// Rows that stay.
    pub having: Option<Test>,
    /// Their order; without one that of the contract.
    pub order: Vec<Sort>,
    /// How many.
    pub limit: Option<u64>,
    /// After how many.
    pub offset: u64,
}

/// How an answer is shown.
#[derive(Clone, Debug, PartialEq)]
pub struct Presentation {
    /// What is read from the sums, without repeats.
    pub(super) readings: Vec<Reading>,
    /// The query, then what is around it.
    pub(super) stages: Vec<Stage>,
    /// Whether counts below zero are shown.
    pub(super) negative_counts: bool,
}

impl Presentation {
    /// Whether no row can be left.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.stages.iter().any(|stage| stage.limit == Some(0))
    }

    /// Columns of the widest stage.
    pub(super) fn width(&self) -> usize {
        let columns = self.stages.iter().map(|stage| stage.columns.len());
        columns.max().unwrap_or(0)
    }

    /// What is read from the sums, with the name of the first column that shows it.
    pub fn readings(&self) -> impl Iterator<Item = (&str, &Reading)> {
        let first = self.stages.first();
        self.readings
            .iter()
            .enumerate()
            .map(move |(index, reading)| {
                let columns = first.into_iter().flat_map(|stage| &stage.columns);
                let mut named = columns.filter(move |column| {
                matches!(column.source, Source::Value(of) | Source::Json(of) if of == index)
            });
                (
                    named.next().map_or("", |column| column.name.as_str()),
                    reading,
                )
            })
    }
}
