//! Reads the short form of the public data sets, `NAME.schema.json`.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::{Column, Contract, ContractError, Excluded, Label, rules};
use crate::base::document::error_at;
use crate::base::ids::Name;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Schema {
    dataset: String,
    label: String,
    positive: String,
    categorical: Ordered<Vec<String>>,
    numeric: Ordered<(f64, f64, String)>,
    #[serde(default)]
    not_features: Vec<String>,
    #[serde(default, rename = "note")]
    _note: Option<String>,
}

/// The entries of an object in file order.
struct Ordered<T>(Vec<(String, T)>);

pub(super) fn contract(
    json: &str,
    name: Option<&str>,
    privacy_unit: Option<&str>,
) -> Result<Contract, ContractError> {
    let schema: Schema = serde_json::from_str(json).map_err(|error| ContractError {
        line: error.line().max(1),
        column: error.column().max(1),
        problem: error.to_string(),
    })?;
    let about = |named: &str, problem: String| {
        let start = json.find(&format!("{named:?}")).unwrap_or(0);
        error_at(json, start, problem)
    };
    let name = name.unwrap_or(&schema.dataset);
    let parsed = name.parse::<Name>();
    let name = parsed.map_err(|error| about(name, error.to_string()))?;
    let columns = columns(&schema).map_err(|(column, problem)| about(&column, problem))?;
    let privacy_unit = privacy_unit.unwrap_or_else(|| customer_column(&schema));
    let excluded = schema.not_features.iter();
    let excluded = excluded.filter(|column| *column != privacy_unit && **column != schema.label);
    let contract = Contract {
        table: name.to_string(),
        name,
        version: 1,
        multiplicity: 1,
        privacy_unit: privacy_unit.to_owned(),
        columns,
        label: Label {
            column: schema.label.clone(),
            positive: schema.positive.clone(),
        },
        excluded: excluded
            .map(|column| Excluded {
                column: column.clone(),
                reason: "not a feature of the data set".to_owned(),
            })
            .collect(),
        published: Vec::new(),
    };
    for named in [
        &contract.privacy_unit,
        &contract.label.column,
        &contract.label.positive,
    ] {
        rules::text("name", named).map_err(|problem| about(named, problem))?;
    }
    for excluded in &contract.excluded {
        let column = &excluded.column;
        rules::text("column name", column).map_err(|problem| about(column, problem))?;
    }
    rules::whole(&contract).map_err(|(column, problem)| about(&column, problem))?;
    Ok(contract)
}

fn customer_column(schema: &Schema) -> &str {
    let customer = schema
        .not_features
        .iter()
        .find(|column| *column == "customerID");
    customer.map_or("row_id", |column| column)
}

fn columns(schema: &Schema) -> Result<Vec<Column>, (String, String)> {
    let mut columns: Vec<Column> = Vec::new();
    for (name, (low, high, transform)) in &schema.numeric.0 {
        let kind = rules::transform(transform)
            .and_then(|transform| rules::numeric(*low, *high, transform, ""));
        push(&mut columns, name, kind)?;
    }
    for (name, found) in &schema.categorical.0 {
        let mut levels = Vec::new();
        for level in found {
            let level = rules::level(&levels, level);
            levels.push(level.map_err(|problem| (name.clone(), problem))?);
        }
        push(&mut columns, name, rules::levels(levels))?;
    }
    Ok(columns)
}

fn push(
    columns: &mut Vec<Column>,
    name: &str,
    kind: Result<super::ColumnKind, String>,
) -> Result<(), (String, String)> {
    let about = |problem: String| (name.to_owned(), format!("column {name:?}: {problem}"));
    let kind = kind.map_err(about)?;
    let name = rules::text("column name", name).map_err(about)?;
    if columns.iter().any(|column| column.name == name) {
        return Err(about("it is listed twice".to_owned()));
    }
    columns.push(Column {
        name,
        kind,
        actionable: true,
    });
    Ok(())
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Ordered<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Entries(PhantomData))
    }
}

struct Entries<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for Entries<T> {
    type Value = Ordered<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with one entry per column")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Ordered<T>, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Ordered(entries))
    }
}
