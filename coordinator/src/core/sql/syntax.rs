//! What a statement says, before names mean anything. Every part knows its place in the text.

use aquifer_shared::base::decimal::Decimal;
use aquifer_shared::domain::question::Period;

/// A name as written.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Name {
    /// Without quotes.
    pub text: String,
    /// In double quotes, so that upper and lower case count.
    pub quoted: bool,
    /// Where it starts.
    pub position: usize,
}

/// A column with the table that was named before it, if any.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Column {
    /// Schema and table.
    pub table: Vec<Name>,
    /// The column.
    pub name: Name,
}

/// Something that a group has one of.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Term {
    /// A column, or in `GROUP BY`, `HAVING` and `ORDER BY` the name of an output.
    Column(Column),
    /// The place of an output, from 1.
    Place(usize, usize),
    /// `date_trunc(period, column)`.
    Trunc(Period, Column, usize),
    /// `width_bucket(column, low, high, count)`.
    Bucket(Box<BucketTerm>),
    /// An aggregate.
    Aggregate(Aggregate),
}

/// `width_bucket`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct BucketTerm {
    /// The column.
    pub column: Column,
    /// Lower bound.
    pub low: Literal,
    /// Upper bound.
    pub high: Literal,
    /// How many.
    pub count: Literal,
    /// Where it starts.
    pub position: usize,
}

/// An aggregate.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Aggregate {
    /// Which one.
    pub function: Function,
    /// Its column; none for `COUNT(*)`.
    pub column: Option<Column>,
    /// Where it starts.
    pub position: usize,
}

/// Which aggregate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Function {
    /// `COUNT(*)` or `COUNT(column)`.
    Count,
    /// `COUNT(DISTINCT column)`.
    CountDistinct,
    /// `SUM`.
    Sum,
    /// `AVG`.
    Avg,
    /// `VARIANCE`, of the population, under the name that was written.
    Variance(&'static str),
    /// `STDDEV`, of the population, under the name that was written.
    Deviation(&'static str),
    /// `PERCENTILE_CONT`, or `MEDIAN` where that was written.
    Percentile(Decimal, &'static str),
}

impl Eq for Function {}

/// A value in the text.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Literal {
    /// The value.
    pub value: LiteralValue,
    /// Where it starts.
    pub position: usize,
}

/// Values in the text.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum LiteralValue {
    /// A number.
    Number(Decimal),
    /// A text.
    Text(String),
    /// `DATE '...'`.
    Date(String),
    /// A bound parameter.
    Parameter(usize),
    /// `NULL`.
    Null,
    /// `TRUE` or `FALSE`.
    Truth(bool),
}

/// A comparison.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Comparison {
    /// `=`
    Equal,
    /// `<>`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
}

/// A condition.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Condition {
    /// `term op literal`.
    Compare(Term, Comparison, Literal),
    /// `term BETWEEN literal AND literal`.
    Between(Term, Literal, Literal),
    /// `term IN (literal, ...)`.
    In(Term, Vec<Literal>),
    /// `term IS NULL`.
    IsNull(Term),
    /// `NOT`.
    Not(Box<Condition>),
    /// `AND`.
    And(Vec<Condition>),
    /// `OR`.
    Or(Vec<Condition>),
}

/// An item of the select list.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Item {
    /// What.
    pub term: Term,
    /// Its name, if one is given.
    pub alias: Option<Name>,
    /// Where it starts.
    pub position: usize,
}

/// An item of `ORDER BY`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Order {
    /// By what.
    pub term: Term,
    /// Largest first.
    pub descending: bool,
    /// Rows without a value first; usual: last, or first where the largest is.
    pub nulls_first: bool,
    /// Where it starts.
    pub position: usize,
}

/// An entry of `OPTIONS`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Wish {
    /// Its name.
    pub name: Name,
    /// A number, or the name of a column.
    pub value: WishValue,
}

/// What an option is set to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum WishValue {
    /// A number.
    Number(Decimal, usize),
    /// A column.
    Name(Name),
}

/// Rows that are shown.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Slice {
    /// `LIMIT`.
    pub limit: Option<Literal>,
    /// `OFFSET`.
    pub offset: Option<Literal>,
}

/// `SELECT ... FROM table ...`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Select {
    /// Options.
    pub options: Vec<Wish>,
    /// Select list.
    pub items: Vec<Item>,
    /// Schema and table.
    pub table: Vec<Name>,
    /// What the statement calls the table.
    pub alias: Option<Name>,
    /// `WHERE`.
    pub filter: Option<Condition>,
    /// `GROUP BY`.
    pub keys: Vec<(Term, usize)>,
    /// `HAVING`.
    pub having: Option<Condition>,
    /// `ORDER BY`.
    pub order: Vec<Order>,
    /// `LIMIT`, `OFFSET`.
    pub slice: Slice,
    /// Where it starts.
    pub position: usize,
}

/// `SELECT ... FROM (query) AS name`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Outer {
    /// Outputs with their new names; none for `*`.
    pub items: Option<Vec<(Column, Option<Name>)>>,
    /// What the inner query is called.
    pub alias: Option<Name>,
    /// `ORDER BY`.
    pub order: Vec<Order>,
    /// `LIMIT`, `OFFSET`.
    pub slice: Slice,
}

/// A query with what is wrapped around it, the innermost first.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Wrapped {
    /// The query.
    pub select: Select,
    /// What is around it.
    pub outer: Vec<Outer>,
}
