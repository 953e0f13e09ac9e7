//! Reads the tables that analysts may ask about: those without a label, and the training table where it is published.

use super::published::{
    NumberColumn, Published, PublishedColumn, PublishedKind, rows_per_unit_usual,
};
use super::rules;
use crate::base::decimal::Decimal;
use crate::base::document::{Field, Read, Section};
use crate::base::limits::{
    COLUMNS_MAX, CUSTOMERS_MAX, GRID_CELLS_MAX, GROUPS_PER_UNIT_MAX, ROWS_PER_GROUP_MAX,
    ROWS_PER_UNIT_MAX,
};

/// Keys of a column that only analysts' tables have.
pub(super) const COLUMN_KEYS: [&str; 6] = [
    "description",
    "step",
    "digits",
    "grid",
    "on_null",
    "unknown",
];

/// A table without a label.
pub(super) fn table(field: &Field<'_>) -> Read<Published> {
    let name = rules::text("table name", field.key).map_err(|e| field.problem(e))?;
    let mut section = field.section(&format!("[table.{name}]"))?;
    section.refuse_weights()?;
    let unit_field = section.required("privacy_unit")?;
    let privacy_unit = unit_field.name()?;
    let rows = section.required("rows_per_group_max")?;
    let rows_per_group_max = rows.integer(1, ROWS_PER_GROUP_MAX.into())? as u32;
    let groups = section.required("groups_per_unit_max")?;
    let groups_per_unit_max = groups.integer(1, GROUPS_PER_UNIT_MAX.into())? as u32;
    let kept = section.optional("rows_per_unit_max");
    let kept = kept.map(|kept| kept.integer(1, ROWS_PER_UNIT_MAX.into()));
    let usual = rows_per_unit_usual(rows_per_group_max, groups_per_unit_max);
    let rows_per_unit_max = kept.transpose()?.map_or(usual, |kept| kept as u32);
    let size_band = size_band(&section.required("size_band")?)?;
    let description = description(&mut section)?;
    let columns = section.required("column")?;
    section.finish(&[
        "privacy_unit",
        "rows_per_group_max",
        "groups_per_unit_max",
        "rows_per_unit_max",
        "size_band",
        "description",
        "column",
    ])?;
    let columns = read_columns(&columns)?;
    if columns.iter().any(|column| column.name == privacy_unit) {
        return Err(unit_field.problem(format!(
            "column {privacy_unit:?} is the privacy unit, expected it not to be published"
        )));
    }
    Ok(Published {
        name,
        description,
        privacy_unit,
        rows_per_group_max,
        groups_per_unit_max,
        rows_per_unit_max,
        size_band,
        columns,
    })
}

/// What people read about a table or a column.
pub(super) fn description(section: &mut Section<'_>) -> Read<String> {
    let field = section.optional("description");
    field.map_or(Ok(String::new()), |field| {
        rules::description(field.text()?).map_err(|e| field.problem(e))
    })
}

/// Fewest and most customers of a unit.
pub(super) fn size_band(field: &Field<'_>) -> Read<(u64, u64)> {
    let items = field.items()?;
    let [fewest, most] = &items[..] else {
        return Err(field.problem_here("has another length, expected [fewest, most] customers"));
    };
    let bound = |item: &Field<'_>| item.integer(1, CUSTOMERS_MAX as i64);
    let (fewest, most) = (bound(fewest)? as u64, bound(most)? as u64);
    if fewest > most {
        return Err(field.problem_here("falls, expected [fewest, most] customers"));
    }
    Ok((fewest, most))
}

fn read_columns(field: &Field<'_>) -> Read<Vec<PublishedColumn>> {
    let fields = field.section("column")?.fields;
    if !(1..=COLUMNS_MAX).contains(&fields.len()) {
        let problem = format!("{} columns, expected 1 to {COLUMNS_MAX}", fields.len());
        return Err(field.problem(problem));
    }
    fields.iter().map(column).collect()
}

/// A column of an analysts' table.
pub(super) fn column(field: &Field<'_>) -> Read<PublishedColumn> {
    let name = rules::text("column name", field.key).map_err(|e| field.problem(e))?;
    let mut section = field.section(&format!("column {name:?}"))?;
    section.refuse_weights()?;
    let description = description(&mut section)?;
    let keys = |key: &str| section.fields.iter().any(|field| field.key == key);
    let (kind, expected): (_, &[&str]) = if keys("levels") {
        (
            read_key(&mut section)?,
            &["levels", "unknown", "description"],
        )
    } else if keys("first") || keys("last") {
        (
            read_date(field, &mut section)?,
            &["first", "last", "description"],
        )
    } else if section.fields.is_empty() {
        let problem = format!("column {name:?}: expected low and high, levels, or first and last");
        return Err(field.problem(problem));
    } else {
        let number = read_number(field, &mut section)?;
        let expected = &[
            "low",
            "high",
            "step",
            "digits",
            "grid",
            "on_null",
            "unit",
            "description",
        ];
        (PublishedKind::Number(number), expected)
    };
    section.finish(expected)?;
    Ok(PublishedColumn {
        name,
        description,
        kind,
    })
}

fn read_key(section: &mut Section<'_>) -> Read<PublishedKind> {
    let field = section.required("levels")?;
    let levels = read_levels(&field)?;
    if levels.is_empty() {
        return Err(field.problem("levels is empty, expected at least one level".to_owned()));
    }
    let unknown = section.optional("unknown");
    let named = unknown
        .as_ref()
        .map_or(Ok(UNKNOWN.to_owned()), Field::name)?;
    if levels.contains(&named) {
        let problem =
            format!("unknown is {named:?}, expected a text that is not one of the levels");
        return Err(unknown.unwrap_or(field).problem(problem));
    }
    Ok(PublishedKind::Key {
        levels,
        unknown: named,
    })
}

/// What everything else is called unless the contract says otherwise.
const UNKNOWN: &str = "other";

/// Distinct levels in file order.
pub(super) fn read_levels(field: &Field<'_>) -> Read<Vec<String>> {
    let mut levels = Vec::new();
    for item in field.items()? {
        let level = rules::level(&levels, item.text()?).map_err(|e| item.problem(e))?;
        levels.push(level);
    }
    Ok(levels)
}

fn read_date(field: &Field<'_>, section: &mut Section<'_>) -> Read<PublishedKind> {
    let first = section.required("first")?.date()?;
    let last = section.required("last")?.date()?;
    if first > last {
        let problem = format!("column {:?}: first is after last", field.key);
        return Err(field.problem(problem));
    }
    Ok(PublishedKind::Date { first, last })
}

fn read_number(field: &Field<'_>, section: &mut Section<'_>) -> Read<NumberColumn> {
    let low = section.required("low")?.decimal()?;
    let high = section.required("high")?.decimal()?;
    // A training table's own business.
    section.ignore(&["transform"]);
    let problem = |e: String| field.problem(format!("column {:?}: {e}", field.key));
    let step = section.optional("step");
    let step = step.map_or_else(
        || rules::usual_step(low, high).map_err(problem),
        |step| step.decimal(),
    )?;
    let on_null = section.optional("on_null");
    let on_null = on_null.map_or(Ok(None), |field| read_on_null(&field))?;
    let finest = [Some(low), Some(high), Some(step), on_null];
    let finest = finest.into_iter().flatten().map(Decimal::digits).max();
    let finest = finest.unwrap_or_default();
    let digits = section.optional("digits");
    let digits = digits.map_or(Ok(finest.into()), |field| field.integer(0, 9))? as u8;
    let units = |what: &str, value: Decimal| {
        value.units_at(digits).ok_or_else(|| {
            problem(format!(
                "{what} is finer than 10^-{digits} or too large, expected a multiple of it below 2^63"
            ))
        })
    };
    let (low, high) = (units("low", low)?, units("high", high)?);
    let grid = section.optional("grid");
    let usual = high.saturating_sub(low).clamp(2, GRID_CELLS_MAX.into());
    let grid = grid.map_or(Ok(usual), |field| field.integer(2, GRID_CELLS_MAX.into()))?;
    let unit = section.optional("unit");
    let unit = unit.as_ref().map_or(Ok(""), Field::text)?;
    let number = NumberColumn {
        digits,
        low,
        high,
        step: units("step", step)?,
        grid: grid as u8,
        unit: rules::plain("unit", unit).map_err(problem)?,
        on_null: on_null.map(|value| units("on_null", value)).transpose()?,
    };
    rules::number_column(&number).map_err(problem)?;
    Ok(number)
}

fn read_on_null(field: &Field<'_>) -> Read<Option<Decimal>> {
    if !field.is_text() {
        return field.decimal().map(Some);
    }
    if field.text()? == "skip" {
        return Ok(None);
    }
    Err(field.problem_here("is another text, expected \"skip\" or a number"))
}
