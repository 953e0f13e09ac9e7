//! Conditions in canonical form: built up from parts that are merged, sorted and simplified as they are joined.

use super::Filter;
use super::scale::can_be_missing;
use crate::domain::contract::{Published, PublishedKind};

impl Filter {
    /// Adds the columns that it looks at.
    pub(super) fn columns(&self, columns: &mut Vec<u16>) {
        match self {
            Self::All | Self::Nothing => {}
            Self::Levels(column, _) | Self::Ranges(column, _) | Self::Missing(column) => {
                columns.push(*column);
            }
            Self::Every(parts) | Self::Either(parts) => {
                parts.iter().for_each(|part| part.columns(columns));
            }
        }
    }

    /// The column's level is one of these places, in any order.
    #[must_use]
    pub fn levels(table: &Published, column: u16, mut places: Vec<u16>) -> Self {
        places.sort_unstable();
        places.dedup();
        let all = table.columns.get(usize::from(column));
        let all = all.and_then(|column| column.kind.levels());
        match places.len() {
            0 => Self::Nothing,
            count if Some(count) == all => Self::All,
            _ => Self::Levels(column, places),
        }
    }

    /// The column has a value in one of these closed ranges, in any order; what lies outside the bounds is cut off.
    #[must_use]
    pub fn ranges(table: &Published, column: u16, ranges: Vec<(i64, i64)>) -> Self {
        let Some((low, high)) = bounds(table, column) else {
            return Self::Nothing;
        };
        let mut inside: Vec<(i64, i64)> = ranges
            .into_iter()
            .map(|(from, to)| (from.max(low), to.min(high)))
            .filter(|(from, to)| from <= to)
            .collect();
        inside.sort_unstable();
        let mut merged: Vec<(i64, i64)> = Vec::new();
        for (from, to) in inside {
            match merged.last_mut() {
                Some(last) if from <= last.1.saturating_add(1) => last.1 = last.1.max(to),
                _ => merged.push((from, to)),
            }
        }
        if merged.is_empty() {
            return Self::Nothing;
        }
        if merged == [(low, high)] && !may_miss(table, column) {
            return Self::All;
        }
        Self::Ranges(column, merged)
    }

    /// The column has no value.
    #[must_use]
    pub fn missing(table: &Published, column: u16) -> Self {
        if may_miss(table, column) {
            return Self::Missing(column);
        }
        Self::Nothing
    }

    /// The column's level is none of these places.
    #[must_use]
    pub fn other_levels(table: &Published, column: u16, places: &[u16]) -> Self {
        let count = table.columns.get(usize::from(column));
        let count = count.and_then(|column| column.kind.levels()).unwrap_or(0);
        let others = (0..count).filter_map(|place| u16::try_from(place).ok());
        let others = others.filter(|place| !places.contains(place));
        Self::levels(table, column, others.collect())
    }

    /// The column has a value in none of these closed ranges: as in SQL, a missing value is neither inside nor outside.
    #[must_use]
    pub fn outside(table: &Published, column: u16, mut ranges: Vec<(i64, i64)>) -> Self {
        let Some((mut from, high)) = bounds(table, column) else {
            return Self::Nothing;
        };
        ranges.retain(|(start, end)| start <= end);
        ranges.sort_unstable();
        let mut gaps = Vec::new();
        for (start, end) in ranges {
            gaps.push((from, start.saturating_sub(1)));
            from = from.max(end.saturating_add(1));
        }
        gaps.push((from, high));
        Self::ranges(table, column, gaps)
    }

    /// The column has a value.
    #[must_use]
    pub fn present(table: &Published, column: u16) -> Self {
        if !may_miss(table, column) {
            return Self::All;
        }
        Self::ranges(table, column, bounds(table, column).into_iter().collect())
    }

    /// All of them.
    #[must_use]
    pub fn every(table: &Published, parts: Vec<Self>) -> Self {
        let mut flat: Vec<Self> = Vec::new();
        for part in parts {
            match part {
                Self::All => {}
                Self::Nothing => return Self::Nothing,
                Self::Every(inner) => flat.extend(inner),
                other => flat.push(other),
            }
        }
        flat.sort_unstable();
        let mut kept: Vec<Self> = Vec::new();
        for part in flat {
            let joined = match (kept.last(), &part) {
                (Some(last), part) if last == part => continue,
                (Some(Self::Levels(a, one)), Self::Levels(b, other)) if a == b => {
                    let both = one.iter().filter(|place| other.contains(place));
                    Self::levels(table, *a, both.copied().collect())
                }
                (Some(Self::Ranges(a, one)), Self::Ranges(b, other)) if a == b => {
                    Self::ranges(table, *a, common(one, other))
                }
                _ => {
                    kept.push(part);
                    continue;
                }
            };
            if joined == Self::Nothing {
                return Self::Nothing;
            }
            kept.pop();
            kept.push(joined);
        }
        let contradicts = |part: &Self| match part {
            Self::Missing(column) => kept.iter().any(|other| has_value(other, *column)),
            _ => false,
        };
        if kept.iter().any(contradicts) {
            return Self::Nothing;
        }
        let kept = absorbed(kept);
        single(kept, Self::All, Self::Every)
    }

    /// One of them.
    #[must_use]
    pub fn either(table: &Published, parts: Vec<Self>) -> Self {
        let mut flat: Vec<Self> = Vec::new();
        for part in parts {
            match part {
                Self::All => return Self::All,
                Self::Nothing => {}
                Self::Either(inner) => flat.extend(inner),
                other => flat.push(other),
            }
        }
        flat.sort_unstable();
        let mut kept: Vec<Self> = Vec::new();
        for part in flat {
            let joined = match (kept.last(), &part) {
                (Some(last), part) if last == part => continue,
                (Some(Self::Levels(a, one)), Self::Levels(b, other)) if a == b => {
                    Self::levels(table, *a, [&one[..], other].concat())
                }
                (Some(Self::Ranges(a, one)), Self::Ranges(b, other)) if a == b => {
                    Self::ranges(table, *a, [&one[..], other].concat())
                }
                _ => {
                    kept.push(part);
                    continue;
                }
            };
            if joined == Self::All {
                return Self::All;
            }
            kept.pop();
            kept.push(joined);
        }
        let whole = |part: &Self| match part {
            Self::Missing(column) => {
                let all = bounds(table, *column).into_iter().collect();
                kept.contains(&Self::Ranges(*column, all))
            }
            _ => false,
        };
        if kept.iter().any(whole) {
            return Self::All;
        }
        let kept = absorbed(kept);
        single(kept, Self::Nothing, Self::Either)
    }

    /// Whether a row counts; `value` gives a level's place, units or a day of a column, `None` where it is missing.
    pub fn holds(&self, value: &impl Fn(u16) -> Option<i64>) -> bool {
        match self {
            Self::All => true,
            Self::Nothing => false,
            Self::Levels(column, places) => {
                let place = value(*column).and_then(|place| u16::try_from(place).ok());
                place.is_some_and(|place| places.binary_search(&place).is_ok())
            }
            Self::Ranges(column, ranges) => value(*column).is_some_and(|value| {
                let after = ranges.partition_point(|(from, _)| *from <= value);
                after > 0 && value <= ranges[after - 1].1
            }),
            Self::Missing(column) => value(*column).is_none(),
            Self::Every(parts) => parts.iter().all(|part| part.holds(value)),
            Self::Either(parts) => parts.iter().any(|part| part.holds(value)),
        }
    }

    /// The same condition, built anew; equal to itself exactly where it is canonical.
    pub(super) fn rebuilt(&self, table: &Published) -> Self {
        let inner = |parts: &[Self]| parts.iter().map(|part| part.rebuilt(table)).collect();
        match self {
            Self::All | Self::Nothing => self.clone(),
            Self::Levels(column, places) => Self::levels(table, *column, places.clone()),
            Self::Ranges(column, ranges) => Self::ranges(table, *column, ranges.clone()),
            Self::Missing(column) => Self::missing(table, *column),
            Self::Every(parts) => Self::every(table, inner(parts)),
            Self::Either(parts) => Self::either(table, inner(parts)),
        }
    }
}

/// The first and the last value of a column that has an order.
#[must_use]
pub fn bounds(table: &Published, column: u16) -> Option<(i64, i64)> {
    match &table.columns.get(usize::from(column))?.kind {
        PublishedKind::Number(number) => Some((number.low, number.high)),
        PublishedKind::Date { first, last } => Some(((*first).into(), (*last).into())),
        PublishedKind::Key { .. } => None,
    }
}

fn may_miss(table: &Published, column: u16) -> bool {
    let column = table.columns.get(usize::from(column));
    column.is_some_and(|column| can_be_missing(&column.kind))
}

fn has_value(part: &Filter, column: u16) -> bool {
    matches!(part, Filter::Ranges(of, _) if *of == column)
}

/// What lies in both of two sorted lists.
fn common(one: &[(i64, i64)], other: &[(i64, i64)]) -> Vec<(i64, i64)> {
    let (mut a, mut b) = (one.iter().peekable(), other.iter().peekable());
    let mut found = Vec::new();
    while let (Some(first), Some(second)) = (a.peek(), b.peek()) {
        found.push((first.0.max(second.0), first.1.min(second.1)));
        if first.1 < second.1 {
            a.next();
        } else {
            b.next();
        }
    }
    found
}

/// Leaves out what a neighbour makes superfluous: `a AND (a OR b)` is `a`, and so is `a OR (a AND b)`.
fn absorbed(parts: Vec<Filter>) -> Vec<Filter> {
    let superfluous = |part: &Filter| match part {
        Filter::Every(inner) | Filter::Either(inner) => parts
            .iter()
            .any(|other| other != part && inner.contains(other)),
        _ => false,
    };
    let kept = parts.iter().filter(|part| !superfluous(part));
    kept.cloned().collect()
}

fn single(mut parts: Vec<Filter>, empty: Filter, joined: fn(Vec<Filter>) -> Filter) -> Filter {
    match parts.len() {
        0 => empty,
        1 => parts.remove(0),
        _ => joined(parts),
    }
}

#[cfg(test)]
#[path = "filter_tests.rs"]
mod tests;
