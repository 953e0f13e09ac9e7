//! Comments on tables and columns: their bounds, as the contract publishes them.

use aquifer_shared::base::calendar;
use aquifer_shared::base::decimal::written;
use aquifer_shared::domain::contract::{Published, PublishedColumn, PublishedKind};

/// What `\dt+` says of a table.
pub(super) fn of_table(table: &Published) -> String {
    let bounds = format!(
        "privacy unit {}, {} rows in a group and {} groups count for one",
        table.privacy_unit, table.rows_per_group_max, table.groups_per_unit_max
    );
    joined(&table.description, bounds)
}

/// What `\d+` says of a column.
pub(super) fn of_column(column: &PublishedColumn) -> String {
    let bounds = match &column.kind {
        PublishedKind::Number(number) => {
            let shown = |units| written(units, number.digits);
            let (low, high) = (shown(number.low), shown(number.high));
            format!(
                "{low} to {high} in steps of {} {}",
                shown(number.step),
                number.unit
            )
        }
        PublishedKind::Key { levels, unknown } => {
            let shown: Vec<&str> = levels
                .iter()
                .take(LEVELS_SHOWN)
                .map(String::as_str)
                .collect();
            let more = levels.len().saturating_sub(LEVELS_SHOWN);
            let more = if more > 0 {
                format!(" and {more} more")
            } else {
                String::new()
            };
            format!(
                "levels {}{more}; anything else is {unknown}",
                shown.join(", ")
            )
        }
        PublishedKind::Date { first, last } => {
            format!(
                "{} to {}",
                calendar::written(*first),
                calendar::written(*last)
            )
        }
    };
    joined(&column.description, bounds.trim_end().to_owned())
}

fn joined(description: &str, bounds: String) -> String {
    match description {
        "" => bounds,
        description => format!("{description} ({bounds})"),
    }
}

/// Levels that a comment lists.
const LEVELS_SHOWN: usize = 20;
