//! From values in contract form to codes and back to what keys and blocks need. Total: every value has a code.

use aquifer_shared::domain::contract::published::{NumberColumn, PublishedKind};

use crate::core::check::Remark;

/// The code of a number, and what is worth telling about it.
#[must_use]
pub fn number_code(column: &NumberColumn, value: Option<f64>) -> (u64, Remark) {
    let units = column.units_of(value);
    let code = match units {
        Some(units) => units.clamp(column.low, column.high).abs_diff(column.low),
        None => column.high.abs_diff(column.low) + 1,
    };
    let scaled = |value: f64| (value * 10_f64.powi(column.digits.into())).round();
    let remark = match value.filter(|value| value.is_finite()).map(scaled) {
        None => Remark::Missing,
        Some(scaled) if scaled < column.low as f64 || scaled > column.high as f64 => {
            Remark::OutOfRange
        }
        Some(_) => Remark::None,
    };
    (code, remark)
}

/// The code of a day, and what is worth telling about it.
#[must_use]
pub fn day_code((first, last): (i32, i32), day: Option<i32>) -> (u64, Remark) {
    let Some(day) = day else {
        return (u64::from(last.abs_diff(first)) + 1, Remark::Missing);
    };
    let inside = day.clamp(first, last);
    let remark = if inside == day {
        Remark::None
    } else {
        Remark::OutOfRange
    };
    (inside.abs_diff(first).into(), remark)
}

/// The code of rows without a value, where a column has one.
pub(super) fn missing_code(kind: &PublishedKind) -> Option<u64> {
    match kind {
        PublishedKind::Number(number) if number.on_null.is_none() => {
            Some(number.high.abs_diff(number.low) + 1)
        }
        PublishedKind::Date { first, last } => Some(u64::from(last.abs_diff(*first)) + 1),
        PublishedKind::Number(_) | PublishedKind::Key { .. } => None,
    }
}

/// Lower and upper bound of a number or date in contract form.
pub(super) fn bounds(kind: &PublishedKind) -> (i64, i64) {
    match kind {
        PublishedKind::Number(number) => (number.low, number.high),
        PublishedKind::Date { first, last } => ((*first).into(), (*last).into()),
        PublishedKind::Key { levels, .. } => (0, levels.len() as i64),
    }
}

/// The codes of a closed range of values, both inside the bounds.
pub(super) fn codes_between(kind: &PublishedKind, (from, to): (i64, i64)) -> (u64, u64) {
    let (low, high) = bounds(kind);
    let code = |value: i64| value.clamp(low, high).abs_diff(low);
    (code(from), code(to))
}
