//! The select list and what is around it, into columns of an answer, their order and conditions on them.

use super::compile::no_place;
use super::literal::{ParameterKind, Parameters, is_parameter, wrong_type};
use super::names::find;
use super::output::{Constant, Presentation, Shown, Sort, Source, Stage, Test};
use super::reading::Reading;
use super::refusal::{Refusal, Rule};
use super::scope::Scope;
use super::settings::{Intervals, Settings};
use super::syntax::{
    Column, Comparison, Condition, Item, Literal, LiteralValue, Name, Order, Outer, Slice, Term,
    Wrapped,
};
use aquifer_shared::base::calendar;
use aquifer_shared::base::decimal::Decimal;
use aquifer_shared::base::limits::HAVING_VALUES_MAX;
use aquifer_shared::domain::question::Key;

/// An item of the select list with its meaning.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Output {
    /// A key.
    Key {
        /// Which one.
        key: Key,
        /// Its name.
        name: String,
    },
    /// An aggregate.
    Value {
        /// By its place among the readings.
        reading: usize,
        /// Its name.
        name: String,
    },
}

/// The select list as it is read.
pub(super) struct Outputs<'s, 'a> {
    scope: &'s Scope<'a>,
    /// In the order of `GROUP BY`.
    keys: Vec<Key>,
    /// In the order of the question.
    sorted: Vec<Key>,
    readings: Vec<Reading>,
    items: Vec<Output>,
}

impl<'s, 'a> Outputs<'s, 'a> {
    pub(super) fn new(scope: &'s Scope<'a>, keys: Vec<Key>) -> Self {
        let mut sorted = keys.clone();
        sorted.sort_unstable();
        Self {
            scope,
            keys,
            sorted,
            readings: Vec::new(),
            items: Vec::new(),
        }
    }

    pub(super) fn has_aggregate(&self) -> bool {
        !self.readings.is_empty()
    }

    /// Takes an item of the select list.
    pub(super) fn item(
        &mut self,
        item: &Item,
        parameters: &mut Parameters<'_>,
    ) -> Result<(), Refusal> {
        let given = item.alias.as_ref().map(folded);
        if let Term::Aggregate(aggregate) = &item.term {
            let (reading, usual) = Reading::of(aggregate, self.scope)?;
            let name = given.unwrap_or_else(|| usual.to_owned());
            let reading = self.reading(reading);
            self.items.push(Output::Value { reading, name });
            return Ok(());
        }
        let key = self.scope.key(&item.term, parameters)?;
        let key = key.filter(|key| self.keys.contains(key));
        let key = key.ok_or_else(|| not_grouped(item.position))?;
        let name = given.unwrap_or_else(|| match &item.term {
            Term::Trunc(..) => "date_trunc".to_owned(),
            Term::Bucket(_) => "width_bucket".to_owned(),
            _ => {
                let column = self.scope.table.columns.get(usize::from(key.column()));
                column.map(|column| column.name.clone()).unwrap_or_default()
            }
        });
        self.items.push(Output::Key { key, name });
        Ok(())
    }

    fn reading(&mut self, reading: Reading) -> usize {
        let known = self.readings.iter().position(|known| *known == reading);
        known.unwrap_or_else(|| {
            self.readings.push(reading);
            self.readings.len() - 1
        })
    }

    /// Takes everything around the select list.
    pub(super) fn presentation(
        mut self,
        wrapped: &Wrapped,
        settings: &Settings,
        parameters: &mut Parameters<'_>,
    ) -> Result<Presentation, Refusal> {
        let select = &wrapped.select;
        let columns = self.columns(settings.intervals);
        let having = match &select.having {
            Some(condition) => Some(self.test(condition, parameters)?),
            None => None,
        };
        let mut order = Vec::new();
        for sort in &select.order {
            let source = match &sort.term {
                Term::Place(place, position) => {
                    let item = place.checked_sub(1).and_then(|place| self.items.get(place));
                    let item = item.ok_or_else(|| no_place(*position, self.items.len()))?;
                    self.source(item)
                }
                term => self.named(term, sort.position, parameters)?,
            };
            order.push(sorted(sort, source));
        }
        let (limit, offset) = sliced(&select.slice, parameters)?;
        let mut stages = vec![Stage {
            columns,
            having,
            order,
            limit,
            offset,
        }];
        for outer in &wrapped.outer {
            let inner = stages
                .last()
                .map(|stage| &stage.columns[..])
                .unwrap_or_default();
            stages.push(around(outer, inner, parameters)?);
        }
        Ok(Presentation {
            readings: self.readings,
            stages,
            negative_counts: settings.negative_counts,
        })
    }

    fn source(&self, item: &Output) -> Source {
        match item {
            Output::Key { key, .. } => {
                let place = self.sorted.iter().position(|known| known == key);
                Source::Key(place.unwrap_or_default())
            }
            Output::Value { reading, .. } => Source::Value(*reading),
        }
    }

    fn columns(&self, intervals: Intervals) -> Vec<Shown> {
        let mut columns = Vec::new();
        for item in &self.items {
            let (Output::Key { name, .. } | Output::Value { name, .. }) = item;
            let mut show = |suffix: &str, source| {
                let name = format!("{name}{suffix}");
                columns.push(Shown { name, source });
            };
            match (item, intervals) {
                (Output::Value { reading, .. }, Intervals::Columns) => {
                    show("", Source::Value(*reading));
                    show("_low", Source::Low(*reading));
                    show("_high", Source::High(*reading));
                }
                (Output::Value { reading, .. }, Intervals::Json) => {
                    show("", Source::Json(*reading));
                }
                _ => show("", self.source(item)),
            }
        }
        columns.push(Shown {
            name: "suppressed".to_owned(),
            source: Source::Suppressed,
        });
        columns
    }

    /// What a term of `HAVING` or `ORDER BY` stands for: an output by its name, a key, or an aggregate of its own.
    fn named(
        &mut self,
        term: &Term,
        position: usize,
        parameters: &mut Parameters<'_>,
    ) -> Result<Source, Refusal> {
        match term {
            Term::Aggregate(aggregate) => {
                let (reading, _) = Reading::of(aggregate, self.scope)?;
                return Ok(Source::Value(self.reading(reading)));
            }
            Term::Column(column) if column.table.is_empty() => {
                let columns = self.columns(Intervals::Columns);
                if let Some(source) = output_named(&column.name, &columns)? {
                    return Ok(source);
                }
            }
            Term::Place(_, position) => return Err(no_place(*position, self.items.len())),
            _ => {}
        }
        let key = self.scope.key(term, parameters)?;
        let place = key.and_then(|key| self.sorted.iter().position(|known| *known == key));
        place.map(Source::Key).ok_or_else(|| not_grouped(position))
    }

    fn test(
        &mut self,
        condition: &Condition,
        parameters: &mut Parameters<'_>,
    ) -> Result<Test, Refusal> {
        match condition {
            Condition::Not(inner) => Ok(Test::Not(Box::new(self.test(inner, parameters)?))),
            Condition::And(parts) => Ok(Test::And(self.tests(parts, parameters)?)),
            Condition::Or(parts) => Ok(Test::Or(self.tests(parts, parameters)?)),
            Condition::IsNull(term) => Ok(Test::IsNull(self.tested(term, parameters)?)),
            Condition::Compare(term, comparison, value) => {
                let source = self.tested(term, parameters)?;
                let constant = self.constant(source, value, parameters)?;
                Ok(Test::Compare(source, *comparison, constant))
            }
            Condition::Between(term, low, high) => {
                let source = self.tested(term, parameters)?;
                let low = self.constant(source, low, parameters)?;
                let high = self.constant(source, high, parameters)?;
                Ok(Test::And(vec![
                    Test::Compare(source, Comparison::GreaterOrEqual, low),
                    Test::Compare(source, Comparison::LessOrEqual, high),
                ]))
            }
            Condition::In(term, values) => {
                let source = self.tested(term, parameters)?;
                if values.len() > HAVING_VALUES_MAX {
                    return Err(Refusal::at(
                        values[0].position,
                        "54001",
                        Rule::Limits,
                        format!("{} values in a list", values.len()),
                        format!("write at most {HAVING_VALUES_MAX}"),
                    ));
                }
                let mut tests = Vec::new();
                for value in values {
                    let constant = self.constant(source, value, parameters)?;
                    tests.push(Test::Compare(source, Comparison::Equal, constant));
                }
                Ok(Test::Or(tests))
            }
        }
    }

    fn tests(
        &mut self,
        parts: &[Condition],
        parameters: &mut Parameters<'_>,
    ) -> Result<Vec<Test>, Refusal> {
        parts
            .iter()
            .map(|part| self.test(part, parameters))
            .collect()
    }

    fn tested(&mut self, term: &Term, parameters: &mut Parameters<'_>) -> Result<Source, Refusal> {
        let position = match term {
            Term::Column(column) => column.name.position,
            Term::Place(_, position) | Term::Trunc(_, _, position) => *position,
            Term::Bucket(bucket) => bucket.position,
            Term::Aggregate(aggregate) => aggregate.position,
        };
        if matches!(term, Term::Place(..)) {
            return Err(no_place(position, self.items.len()));
        }
        self.named(term, position, parameters)
    }

    /// A value of the type of an output.
    fn constant(
        &self,
        source: Source,
        literal: &Literal,
        parameters: &mut Parameters<'_>,
    ) -> Result<Constant, Refusal> {
        let key = match source {
            Source::Key(place) => self.sorted.get(place).copied(),
            _ => None,
        };
        let (kind, expected) = match key {
            Some(Key::Level(_)) => (ParameterKind::Text, "a text in single quotes"),
            Some(Key::Period(..)) => (ParameterKind::Date, "a date"),
            _ => (ParameterKind::Number, "a number"),
        };
        let wrong = || wrong_type(literal, "of the answer", expected);
        match (kind, parameters.value(literal, kind)?) {
            (ParameterKind::Text, Some(LiteralValue::Text(text))) => Ok(Constant::Text(text)),
            (ParameterKind::Date, Some(LiteralValue::Text(text) | LiteralValue::Date(text))) => {
                let day = calendar::parse(text.trim()).ok_or_else(wrong)?;
                Ok(Constant::Day(day))
            }
            (ParameterKind::Number, Some(LiteralValue::Number(number))) => {
                Ok(Constant::Number(number.to_f64()))
            }
            (ParameterKind::Number, Some(LiteralValue::Text(text))) if is_parameter(literal) => {
                let number = Decimal::parse(text.trim()).ok_or_else(wrong)?;
                Ok(Constant::Number(number.to_f64()))
            }
            (ParameterKind::Number, Some(LiteralValue::Truth(truth)))
                if source == Source::Suppressed =>
            {
                Ok(Constant::Number(f64::from(u8::from(truth))))
            }
            (_, None) => Ok(Constant::Number(0.0)),
            _ => Err(wrong()),
        }
    }
}

fn around(
    outer: &Outer,
    inner: &[Shown],
    parameters: &mut Parameters<'_>,
) -> Result<Stage, Refusal> {
    let pick = |column: &Column| {
        if let Some(table) = column.table.last() {
            let known = outer.alias.as_ref().map(|alias| alias.text.as_str());
            if find(table, known.into_iter()).is_none() {
                return Err(no_output(table));
            }
        }
        output_named(&column.name, inner)?.ok_or_else(|| no_output(&column.name))
    };
    let columns = match &outer.items {
        None => inner.to_vec(),
        Some(items) => {
            let shown = items.iter().map(|(column, alias)| {
                let source = pick(column)?;
                let name = folded(alias.as_ref().unwrap_or(&column.name));
                Ok(Shown { name, source })
            });
            shown.collect::<Result<_, Refusal>>()?
        }
    };
    let mut order = Vec::new();
    for sort in &outer.order {
        let source = match &sort.term {
            Term::Place(place, position) => {
                let column = place.checked_sub(1).and_then(|place| columns.get(place));
                column
                    .ok_or_else(|| no_place(*position, columns.len()))?
                    .source
            }
            Term::Column(column) => match output_named(&column.name, &columns)? {
                Some(source) if column.table.is_empty() => source,
                _ => pick(column)?,
            },
            _ => return Err(not_grouped(sort.position)),
        };
        order.push(sorted(sort, source));
    }
    let (limit, offset) = sliced(&outer.slice, parameters)?;
    Ok(Stage {
        columns,
        having: None,
        order,
        limit,
        offset,
    })
}

/// The one output of a name; `None` for none.
fn output_named(name: &Name, columns: &[Shown]) -> Result<Option<Source>, Refusal> {
    let named = columns
        .iter()
        .filter(|column| find(name, std::iter::once(column.name.as_str())).is_some());
    let mut sources: Vec<Source> = named.map(|column| column.source).collect();
    sources.dedup();
    if sources.len() > 1 {
        let shown: String = name.text.chars().take(80).collect();
        return Err(Refusal::at(
            name.position,
            "42702",
            Rule::Names,
            format!("several outputs are called {shown:?}"),
            "give outputs names of their own with AS",
        ));
    }
    Ok(sources.first().copied())
}

fn sorted(sort: &Order, source: Source) -> Sort {
    Sort {
        source,
        descending: sort.descending,
        nulls_first: sort.nulls_first,
    }
}

fn sliced(slice: &Slice, parameters: &mut Parameters<'_>) -> Result<(Option<u64>, u64), Refusal> {
    let most = i64::MAX as u64;
    let limit = slice.limit.as_ref();
    let limit = limit
        .map(|limit| parameters.whole(limit, "LIMIT", 0, most))
        .transpose()?;
    let offset = slice.offset.as_ref();
    let offset = offset
        .map(|offset| parameters.whole(offset, "OFFSET", 0, most))
        .transpose()?;
    Ok((limit, offset.unwrap_or_default()))
}

/// A name as PostgreSQL keeps it.
fn folded(name: &Name) -> String {
    if name.quoted {
        return name.text.clone();
    }
    name.text.to_ascii_lowercase()
}

fn not_grouped(position: usize) -> Refusal {
    Refusal::at(
        position,
        "42803",
        Rule::Grouping,
        "this is neither aggregated nor grouped by",
        "aggregate it, or name it in GROUP BY",
    )
}

fn no_output(name: &Name) -> Refusal {
    let shown: String = name.text.chars().take(80).collect();
    Refusal::at(
        name.position,
        "42703",
        Rule::Names,
        format!("the inner query has no output {shown:?}"),
        "name one of its outputs",
    )
}
