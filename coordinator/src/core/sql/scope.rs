//! What the names of a statement mean: its table, its columns, its group keys and its condition.

use super::literal::Parameters;
use super::names::{find, nearest};
use super::refusal::{Refusal, Rule};
use super::syntax::{BucketTerm, Column, Comparison, Condition, Literal, Name, Term};
use aquifer_shared::base::limits::{FILTER_VALUES_MAX, QUESTION_CELLS_MAX};
use aquifer_shared::domain::contract::{Contract, Published, PublishedColumn, PublishedKind};
use aquifer_shared::domain::question::{Filter, Key, Period, bounds, can_be_missing};

/// The table of a statement, and what the statement calls it.
pub(super) struct Scope<'a> {
    /// The table.
    pub table: &'a Published,
    alias: Option<&'a Name>,
}

impl<'a> Scope<'a> {
    pub(super) fn new(
        contract: &'a Contract,
        names: &[Name],
        alias: Option<&'a Name>,
    ) -> Result<Self, Refusal> {
        let known: Vec<&str> = contract.published.iter().map(|t| t.name.as_str()).collect();
        let missing = |name: &Name| {
            let shown: String = name.text.chars().take(80).collect();
            let hint = match known.is_empty() {
                true => "the contract publishes no tables; ask its owner".to_owned(),
                false => format!("perhaps {:?}", nearest(&name.text, &known)),
            };
            Refusal::at(
                name.position,
                "42P01",
                Rule::Names,
                format!("there is no table {shown:?}"),
                hint,
            )
        };
        let (name, schema) = match names {
            [name] => (name, None),
            [schema, name] => (name, Some(schema)),
            [first, ..] => return Err(missing(first)),
            [] => unreachable!("a table has a name"),
        };
        if let Some(schema) = schema.filter(|schema| !schema.text.eq_ignore_ascii_case("public")) {
            return Err(missing(schema));
        }
        let place = find(name, known.iter().copied()).ok_or_else(|| missing(name))?;
        Ok(Self {
            table: &contract.published[place],
            alias,
        })
    }

    /// A published column.
    pub(super) fn column(&self, column: &Column) -> Result<(u16, &'a PublishedColumn), Refusal> {
        if let Some(table) = column.table.last() {
            let known = [self
                .alias
                .map_or(self.table.name.as_str(), |a| a.text.as_str())];
            if find(table, known.into_iter()).is_none() {
                let shown: String = table.text.chars().take(80).collect();
                return Err(Refusal::at(
                    table.position,
                    "42P01",
                    Rule::Names,
                    format!("there is no table {shown:?} in this statement"),
                    format!("write {:?}", known[0]),
                ));
            }
        }
        if self.is_unit(column) {
            return Err(Refusal::at(
                column.name.position,
                "42501",
                Rule::Names,
                format!(
                    "column {:?} names customers and cannot be read",
                    self.table.privacy_unit
                ),
                format!("write COUNT(DISTINCT {})", self.table.privacy_unit),
            ));
        }
        self.known(&column.name)
            .ok_or_else(|| self.unknown(&column.name))
    }

    /// A published column by its bare name.
    pub(super) fn known(&self, name: &Name) -> Option<(u16, &'a PublishedColumn)> {
        let names = self.table.columns.iter().map(|column| column.name.as_str());
        let place = find(name, names)?;
        Some((u16::try_from(place).ok()?, &self.table.columns[place]))
    }

    /// Whether it is the column that names customers.
    pub(super) fn is_unit(&self, column: &Column) -> bool {
        let unit = [self.table.privacy_unit.as_str()];
        find(&column.name, unit.into_iter()).is_some() && self.known(&column.name).is_none()
    }

    /// The refusal of a column that is not published.
    pub(super) fn unknown(&self, name: &Name) -> Refusal {
        let columns = self.table.columns.iter();
        let known: Vec<&str> = columns.map(|column| column.name.as_str()).collect();
        let shown: String = name.text.chars().take(80).collect();
        Refusal::at(
            name.position,
            "42703",
            Rule::Names,
            format!("table {:?} publishes no column {shown:?}", self.table.name),
            format!("perhaps {:?}", nearest(&name.text, &known)),
        )
    }

    /// The group key that a term of `GROUP BY` or of the select list stands for.
    pub(super) fn key(
        &self,
        term: &Term,
        parameters: &mut Parameters<'_>,
    ) -> Result<Option<Key>, Refusal> {
        match term {
            Term::Column(column) => {
                let (place, published) = self.column(column)?;
                Ok(match published.kind {
                    PublishedKind::Key { .. } => Some(Key::Level(place)),
                    PublishedKind::Date { .. } => Some(Key::Period(place, Period::Day)),
                    PublishedKind::Number(_) => None,
                })
            }
            Term::Trunc(period, column, position) => {
                let (place, published) = self.column(column)?;
                if !matches!(published.kind, PublishedKind::Date { .. }) {
                    return Err(wrong_column(published, "a date", *position));
                }
                Ok(Some(Key::Period(place, *period)))
            }
            Term::Bucket(bucket) => self.bucket(bucket, parameters).map(Some),
            Term::Place(..) | Term::Aggregate(_) => Ok(None),
        }
    }

    fn bucket(&self, bucket: &BucketTerm, parameters: &mut Parameters<'_>) -> Result<Key, Refusal> {
        let (column, published) = self.column(&bucket.column)?;
        let PublishedKind::Number(number) = &published.kind else {
            return Err(wrong_column(published, "a number", bucket.position));
        };
        let low = parameters.units(&bucket.low, &published.name, number)?;
        let high = parameters.units(&bucket.high, &published.name, number)?;
        let most = QUESTION_CELLS_MAX as u64;
        let count = parameters.whole(&bucket.count, "the number of buckets", 1, most)?;
        // Parameters that are not bound yet are all the same.
        let high = if high == low && parameters.is_unbound(&bucket.high) {
            low + number.step
        } else {
            high
        };
        if low >= high {
            return Err(Refusal::at(
                bucket.low.position,
                "22023",
                Rule::Literals,
                "the buckets do not rise",
                "write the lower bound first",
            ));
        }
        let count = u16::try_from(count).unwrap_or(u16::MAX);
        Ok(Key::Bucket {
            column,
            low,
            high,
            count,
        })
    }

    /// The canonical condition of `WHERE`, or of its negation.
    pub(super) fn filter(
        &self,
        condition: &Condition,
        negated: bool,
        parameters: &mut Parameters<'_>,
    ) -> Result<Filter, Refusal> {
        let table = self.table;
        let mut all = |parts: &[Condition]| -> Result<Vec<Filter>, Refusal> {
            let parts = parts.iter();
            parts
                .map(|part| self.filter(part, negated, parameters))
                .collect()
        };
        match condition {
            Condition::Not(inner) => self.filter(inner, !negated, parameters),
            Condition::And(parts) if negated => Ok(Filter::either(table, all(parts)?)),
            Condition::Or(parts) if negated => Ok(Filter::every(table, all(parts)?)),
            Condition::And(parts) => Ok(Filter::every(table, all(parts)?)),
            Condition::Or(parts) => Ok(Filter::either(table, all(parts)?)),
            Condition::IsNull(term) => self.missing(term, negated),
            Condition::Compare(term, comparison, value) => {
                let comparison = if negated {
                    opposite(*comparison)
                } else {
                    *comparison
                };
                self.compare(term, comparison, value, parameters)
            }
            Condition::Between(term, low, high) => {
                let (place, published) = self.filtered(term)?;
                let from = self.ordered(published, low, parameters)?;
                let to = self.ordered(published, high, parameters)?;
                let range = vec![(from, to)];
                Ok(match negated {
                    true => Filter::outside(table, place, range),
                    false => Filter::ranges(table, place, range),
                })
            }
            Condition::In(term, values) => self.listed(term, values, negated, parameters),
        }
    }

    fn filtered(&self, term: &Term) -> Result<(u16, &'a PublishedColumn), Refusal> {
        match term {
            Term::Column(column) => self.column(column),
            Term::Aggregate(aggregate) => Err(Refusal::at(
                aggregate.position,
                "42803",
                Rule::Grouping,
                "aggregates do not exist before rows are grouped",
                "write the condition after HAVING",
            )),
            Term::Place(_, position) | Term::Trunc(_, _, position) => Err(computed(*position)),
            Term::Bucket(bucket) => Err(computed(bucket.position)),
        }
    }

    fn missing(&self, term: &Term, negated: bool) -> Result<Filter, Refusal> {
        let (place, published) = self.filtered(term)?;
        if negated {
            return Ok(Filter::present(self.table, place));
        }
        if can_be_missing(&published.kind) {
            return Ok(Filter::missing(self.table, place));
        }
        let position = match term {
            Term::Column(column) => column.name.position,
            _ => 1,
        };
        let instead = match &published.kind {
            PublishedKind::Key { unknown, .. } => {
                format!("missing values have the level '{unknown}'")
            }
            _ => "missing values count as the default of the contract".to_owned(),
        };
        Err(Refusal::at(
            position,
            "22023",
            Rule::Literals,
            format!("column {:?} always has a value", published.name),
            instead,
        ))
    }

    fn compare(
        &self,
        term: &Term,
        comparison: Comparison,
        value: &Literal,
        parameters: &mut Parameters<'_>,
    ) -> Result<Filter, Refusal> {
        let (place, published) = self.filtered(term)?;
        let table = self.table;
        if let PublishedKind::Key { levels, unknown } = &published.kind {
            let level = parameters.level(value, &published.name, levels, unknown)?;
            return match comparison {
                Comparison::Equal => Ok(Filter::levels(table, place, vec![level])),
                Comparison::NotEqual => Ok(Filter::other_levels(table, place, &[level])),
                _ => Err(no_order(published, value.position)),
            };
        }
        let value = self.ordered(published, value, parameters)?;
        let (low, high) = bounds(table, place).unwrap_or((value, value));
        let range = match comparison {
            Comparison::Equal => (value, value),
            Comparison::NotEqual => return Ok(Filter::outside(table, place, vec![(value, value)])),
            Comparison::Less => (low, value - 1),
            Comparison::LessOrEqual => (low, value),
            Comparison::Greater => (value + 1, high),
            Comparison::GreaterOrEqual => (value, high),
        };
        Ok(Filter::ranges(table, place, vec![range]))
    }

    fn listed(
        &self,
        term: &Term,
        values: &[Literal],
        negated: bool,
        parameters: &mut Parameters<'_>,
    ) -> Result<Filter, Refusal> {
        let (place, published) = self.filtered(term)?;
        let table = self.table;
        if values.len() > FILTER_VALUES_MAX {
            return Err(Refusal::at(
                values[0].position,
                "54001",
                Rule::Limits,
                format!("{} values in a list", values.len()),
                format!("write at most {FILTER_VALUES_MAX}"),
            ));
        }
        if let PublishedKind::Key { levels, unknown } = &published.kind {
            let places = values.iter();
            let places: Result<Vec<u16>, Refusal> = places
                .map(|value| parameters.level(value, &published.name, levels, unknown))
                .collect();
            return Ok(match negated {
                true => Filter::other_levels(table, place, &places?),
                false => Filter::levels(table, place, places?),
            });
        }
        let points: Result<Vec<(i64, i64)>, Refusal> = values
            .iter()
            .map(|value| self.ordered(published, value, parameters).map(|v| (v, v)))
            .collect();
        Ok(match negated {
            true => Filter::outside(table, place, points?),
            false => Filter::ranges(table, place, points?),
        })
    }

    /// A value of a number or date column.
    fn ordered(
        &self,
        published: &PublishedColumn,
        value: &Literal,
        parameters: &mut Parameters<'_>,
    ) -> Result<i64, Refusal> {
        match &published.kind {
            PublishedKind::Number(number) => parameters.units(value, &published.name, number),
            PublishedKind::Date { first, last } => {
                parameters.day(value, &published.name, *first, *last)
            }
            PublishedKind::Key { .. } => Err(no_order(published, value.position)),
        }
    }
}

/// The comparison that is true where this one is false, on values that exist.
fn opposite(comparison: Comparison) -> Comparison {
    match comparison {
        Comparison::Equal => Comparison::NotEqual,
        Comparison::NotEqual => Comparison::Equal,
        Comparison::Less => Comparison::GreaterOrEqual,
        Comparison::LessOrEqual => Comparison::Greater,
        Comparison::Greater => Comparison::LessOrEqual,
        Comparison::GreaterOrEqual => Comparison::Less,
    }
}

/// What the contract says a column is.
pub(super) fn type_name(kind: &PublishedKind) -> &'static str {
    match kind {
        PublishedKind::Number(_) => "a number",
        PublishedKind::Key { .. } => "a key with levels",
        PublishedKind::Date { .. } => "a date",
    }
}

/// A column of another type than a function takes.
pub(super) fn wrong_column(column: &PublishedColumn, expected: &str, position: usize) -> Refusal {
    let (name, found) = (&column.name, type_name(&column.kind));
    Refusal::at(
        position,
        "42804",
        Rule::Types,
        format!("column {name:?} is {found}, expected {expected}"),
        format!("name a column that is {expected}"),
    )
}

fn no_order(column: &PublishedColumn, position: usize) -> Refusal {
    Refusal::at(
        position,
        "42804",
        Rule::Types,
        format!("the levels of column {:?} have no order", column.name),
        "write =, <> or IN",
    )
}

fn computed(position: usize) -> Refusal {
    Refusal::at(
        position,
        "0A000",
        Rule::Expressions,
        "conditions on computed values are not part of the grammar",
        "compare a column with a value",
    )
}
