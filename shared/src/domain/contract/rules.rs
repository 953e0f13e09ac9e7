//! What a contract may say, one rule per function; the readers add the place.

use crate::base::cells::{LevelCells, NumericCells, Transform};
use crate::base::decimal::Decimal;
pub(super) use crate::base::document::{plain, text};
use crate::base::limits::{DESCRIPTION_BYTES_MAX, FEATURES_MAX, GRID_CELLS_MAX, LEVELS_MAX};

use super::published::{NumberColumn, SPAN_MAX};
use super::{ColumnKind, Contract};

/// A text for people about a table or a column; may be empty.
pub(super) fn description(found: &str) -> Result<String, String> {
    let length = found.len();
    if length > DESCRIPTION_BYTES_MAX {
        return Err(format!(
            "description has {length} bytes, expected at most {DESCRIPTION_BYTES_MAX}"
        ));
    }
    if found.chars().any(char::is_control) {
        return Err(
            "description holds a control character, expected one line of plain text".to_owned(),
        );
    }
    Ok(found.to_owned())
}

/// The largest power of ten that is at most a thousandth of the range, and no finer than `10^-9`.
pub(super) fn usual_step(low: Decimal, high: Decimal) -> Result<Decimal, String> {
    let too_wide = || "the range is too wide for a step, expected one within 2^40 steps".to_owned();
    let digits = low.digits().max(high.digits());
    let units = |bound: Decimal| bound.units_at(digits).ok_or_else(too_wide);
    let span = units(high)?.checked_sub(units(low)?).ok_or_else(too_wide)?;
    let power = i64::from(span.max(1).ilog10()) - i64::from(digits) - 3;
    Decimal::parse(&format!("1e{}", power.max(-9))).ok_or_else(too_wide)
}

/// A number that analysts may ask about.
pub(super) fn number_column(number: &NumberColumn) -> Result<(), String> {
    let bounds = number.low..=number.high;
    if number.low >= number.high {
        return Err("the range is empty, expected low below high".to_owned());
    }
    let span = number.high.checked_sub(number.low);
    let largest = number.low.unsigned_abs().max(number.high.unsigned_abs());
    if span.is_none_or(|span| span > SPAN_MAX) || largest > ABS_MAX {
        return Err(format!(
            "the range has more than 2^40 steps of 10^-{} or lies beyond 2^50 of them, expected a narrower one",
            number.digits
        ));
    }
    if number.step < 1 || span.is_none_or(|span| number.step > span) {
        return Err("step is not above 0 and at most high - low".to_owned());
    }
    if number.on_null.is_some_and(|value| !bounds.contains(&value)) {
        return Err("on_null is outside low and high".to_owned());
    }
    if !(2..=GRID_CELLS_MAX).contains(&number.grid) {
        return Err(format!(
            "grid is {}, expected 2 to {GRID_CELLS_MAX}",
            number.grid
        ));
    }
    Ok(())
}

/// Largest absolute value of a bound, in units of the column.
const ABS_MAX: u64 = 1 << 50;

/// A numeric column.
pub(super) fn numeric(
    low: f64,
    high: f64,
    transform: Transform,
    unit: &str,
) -> Result<ColumnKind, String> {
    if !low.is_finite() || !high.is_finite() {
        return Err(format!(
            "the range is {low} to {high}, expected finite numbers"
        ));
    }
    if low >= high {
        return Err(format!(
            "the range is {low} to {high}, expected low below high"
        ));
    }
    if transform == Transform::Log1p && low < 0.0 {
        return Err(format!(
            "low is {low} with transform \"log1p\", expected 0 or more (or \"signed_log1p\")"
        ));
    }
    let cells = NumericCells::between(low, high, transform).ok_or_else(|| {
        format!("the range {low} to {high} is too narrow or too wide for 64 distinct cells")
    })?;
    let unit = plain("unit", unit)?;
    Ok(ColumnKind::Numeric {
        low,
        high,
        transform,
        unit,
        cells,
    })
}

/// The name of a transform.
pub(super) fn transform(name: &str) -> Result<Transform, String> {
    let known = [Transform::Linear, Transform::Log1p, Transform::SignedLog1p];
    let found = known
        .into_iter()
        .find(|known| transform_name(*known) == name);
    found.ok_or_else(|| {
        format!("transform is {name:?}, expected \"linear\", \"log1p\" or \"signed_log1p\"")
    })
}

/// How a transform is written.
pub(super) fn transform_name(transform: Transform) -> &'static str {
    match transform {
        Transform::Linear => "linear",
        Transform::Log1p => "log1p",
        Transform::SignedLog1p => "signed_log1p",
    }
}

/// One more level after those already read.
pub(super) fn level(before: &[String], found: &str) -> Result<String, String> {
    let level = text("level", found)?;
    if before.contains(&level) {
        return Err(format!("level {level:?} is listed twice"));
    }
    if before.len() >= LEVELS_MAX {
        return Err(format!("more than {LEVELS_MAX} levels"));
    }
    Ok(level)
}

/// A categorical column; its levels have passed [`level`].
pub(super) fn levels(levels: Vec<String>) -> Result<ColumnKind, String> {
    if levels.is_empty() {
        return Err("levels is empty, expected at least one level".to_owned());
    }
    Ok(ColumnKind::Levels(LevelCells::new(levels)))
}

/// What only the whole contract can break: the column it is about, and the problem.
pub(super) fn whole(contract: &Contract) -> Result<(), (String, String)> {
    let count = contract.columns.len();
    let about = |column: &str, problem: String| Err((column.to_owned(), problem));
    if !(1..=FEATURES_MAX).contains(&count) {
        let problem = format!("{count} feature columns, expected 1 to {FEATURES_MAX}");
        return about(&contract.table, problem);
    }
    let (unit, label) = (&contract.privacy_unit, &contract.label.column);
    if unit == label {
        return about(
            label,
            format!("column {label:?} is both label and privacy unit"),
        );
    }
    for (column, role) in [(unit, "the privacy unit"), (label, "the label")] {
        if contract.position(column).is_some() {
            return about(
                column,
                format!("column {column:?} is {role}, expected it not to be a feature"),
            );
        }
    }
    for excluded in &contract.excluded {
        let column = &excluded.column;
        if column == label || contract.position(column).is_some() {
            return about(column, format!("column {column:?} is excluded and used"));
        }
    }
    Ok(())
}
