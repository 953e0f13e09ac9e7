//! Shows what a contract publishes to analysts: tables with their columns, bounds and levels.

use aquifer_shared::base::{calendar, decimal};
use aquifer_shared::domain::contract::{Contract, Published, PublishedColumn, PublishedKind};
use aquifer_shared::shell::report::Table;
use serde_json::{Value, json};

/// Every published table for people; empty where there is none.
pub(crate) fn to_text(contract: &Contract) -> String {
    contract.published.iter().map(table_text).collect()
}

/// The same for programs.
pub(crate) fn to_json(contract: &Contract) -> Value {
    contract.published.iter().map(table_json).collect()
}

fn table_text(table: &Published) -> String {
    let mut columns = Table::new(&["COLUMN", "KIND", "RANGE OR LEVELS", "STEP", "MISSING"]);
    for column in &table.columns {
        let [kind, range, step, missing] = described(column);
        columns.row([&column.name, &kind, &range, &step, &missing]);
    }
    let (fewest, most) = table.size_band;
    format!(
        "\nfor analysts: table {}, at most {} rows of one {} in a group and {} groups, {} rows of one kept, {fewest} to \
         {most} customers at a unit\n\n{}",
        table.name,
        table.rows_per_group_max,
        table.privacy_unit,
        table.groups_per_unit_max,
        table.rows_per_unit_max,
        columns.to_text()
    )
}

fn described(column: &PublishedColumn) -> [String; 4] {
    let kind = |kind: &str, range: String, step: String, missing: String| {
        [kind.to_owned(), range, step, missing]
    };
    let skipped = || "no value".to_owned();
    match &column.kind {
        PublishedKind::Number(number) => {
            let written = |units| decimal::written(units, number.digits);
            let (low, high) = (written(number.low), written(number.high));
            let range = format!("{low} to {high} {}", number.unit);
            let missing = number.on_null.map_or_else(skipped, written);
            let step = written(number.step);
            kind("number", range.trim_end().to_owned(), step, missing)
        }
        PublishedKind::Key { levels, unknown } => {
            let listed = format!("{}; else {unknown}", levels.join(", "));
            kind("levels", listed, String::new(), unknown.clone())
        }
        PublishedKind::Date { first, last } => {
            let range = format!(
                "{} to {}",
                calendar::written(*first),
                calendar::written(*last)
            );
            kind("date", range, "day".to_owned(), skipped())
        }
    }
}

fn table_json(table: &Published) -> Value {
    let columns: Vec<Value> = table.columns.iter().map(column_json).collect();
    json!({
        "table": table.name,
        "description": table.description,
        "privacy_unit": table.privacy_unit,
        "rows_per_group_max": table.rows_per_group_max,
        "groups_per_unit_max": table.groups_per_unit_max,
        "rows_per_unit_max": table.rows_per_unit_max,
        "size_band": [table.size_band.0, table.size_band.1],
        "columns": columns,
    })
}

fn column_json(column: &PublishedColumn) -> Value {
    let mut value = json!({"name": column.name, "description": column.description});
    match &column.kind {
        PublishedKind::Number(number) => {
            let real = |units: i64| number.value_of(units as f64);
            value["number"] = json!({
                "low": real(number.low),
                "high": real(number.high),
                "step": real(number.step),
                "digits": number.digits,
                "grid": number.grid,
                "unit": number.unit,
                "on_null": number.on_null.map(real),
            });
        }
        PublishedKind::Key { levels, unknown } => {
            value["levels"] = json!(levels);
            value["unknown"] = json!(unknown);
        }
        PublishedKind::Date { first, last } => {
            value["first"] = json!(calendar::written(*first));
            value["last"] = json!(calendar::written(*last));
        }
    }
    value
}
