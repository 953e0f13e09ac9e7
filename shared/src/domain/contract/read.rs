//! Reads a contract file. Every problem is reported with its line and column.

use super::published::{Published, PublishedColumn};
use super::read_published::{self, read_levels};
use super::{Column, ColumnKind, Contract, Excluded, Label, rules};
use crate::base::cells::Transform;
use crate::base::document::{Field, Read, Section, error_at, place_of, tables};
use crate::base::ids::Name;
use crate::base::limits::{MULTIPLICITY_MAX, PUBLISHED_TABLES_MAX};

pub(super) fn contract(text: &str) -> Read<Contract> {
    let document = tables(text)?;
    let mut root = Section::new(text, "the file", 0, document.get_ref());
    let mut head = root.required("contract")?.section("[contract]")?;
    let tables = root.required("table")?.section("[table]")?;
    root.finish(&["contract", "table"])?;

    let name = head.required("name")?;
    let parsed = name.text()?.parse::<Name>();
    let name = parsed.map_err(|error| name.problem(error.to_string()))?;
    let version = head.required("version")?.integer(1, u32::MAX.into())? as u32;
    let multiplicity = head.optional("multiplicity");
    let multiplicity =
        multiplicity.map_or(Ok(1), |m| m.integer(1, MULTIPLICITY_MAX.into()))? as u16;
    head.finish(&["name", "version", "multiplicity"])?;

    let head = Head {
        name,
        version,
        multiplicity,
    };
    let contract = read_tables(head, &tables)?;
    rules::whole(&contract).map_err(|(column, problem)| {
        error_at(text, place_of(document.get_ref(), &column), problem)
    })?;
    Ok(contract)
}

/// `[contract]`.
struct Head {
    name: Name,
    version: u32,
    multiplicity: u16,
}

/// The training table has a label. What analysts may ask about it comes first, then their other tables in file order.
fn read_tables(head: Head, tables: &Section<'_>) -> Read<Contract> {
    let count = tables.fields.len();
    if count > PUBLISHED_TABLES_MAX {
        let problem = format!("{count} tables, expected at most {PUBLISHED_TABLES_MAX}");
        return Err(tables.problem(problem));
    }
    let labelled = |field: &&Field<'_>| count == 1 || field.holds("label");
    let mut training = tables.fields.iter().filter(labelled);
    let none = || tables.problem("no table with a label, expected one".to_owned());
    let first = training.next().ok_or_else(none)?;
    if let Some(second) = training.next() {
        let problem = format!(
            "a second table with a label, {:?}, expected one",
            second.key
        );
        return Err(second.problem(problem));
    }
    let mut contract = read_training(head, first)?;
    for field in tables.fields.iter().filter(|field| !labelled(field)) {
        contract.published.push(read_published::table(field)?);
    }
    Ok(contract)
}

fn read_training(head: Head, table: &Field<'_>) -> Read<Contract> {
    let table_name = rules::text("table name", table.key).map_err(|e| table.problem(e))?;
    let mut section = table.section(&format!("[table.{table_name}]"))?;
    section.refuse_weights()?;
    let privacy_unit = section.required("privacy_unit")?.name()?;
    let mut label = section.required("label")?.section("label")?;
    let label_column = label.required("column")?.name()?;
    let positive = label.required("positive")?.name()?;
    label.finish(&["column", "positive"])?;
    let size_band = section.optional("size_band");
    let size_band = size_band
        .map(|field| read_published::size_band(&field))
        .transpose()?;
    let description = match size_band {
        Some(_) => read_published::description(&mut section)?,
        None => String::new(),
    };
    let (mut columns, mut asked) = (Vec::new(), Vec::new());
    if let Some(field) = section.optional("column") {
        (columns, asked) = read_columns(&field, size_band.is_some())?;
    }
    if let Some(actionable) = section.optional("actionable") {
        mark_actionable(&mut columns, &actionable)?;
    }
    let excluded = section
        .optional("excluded")
        .map(read_excluded)
        .transpose()?;
    let keys = [
        "privacy_unit",
        "label",
        "column",
        "actionable",
        "excluded",
        "size_band",
        "description",
    ];
    section.finish(&keys)?;
    let published = size_band.map(|size_band| Published {
        name: table_name.clone(),
        description,
        privacy_unit: privacy_unit.clone(),
        rows_per_group_max: 1,
        groups_per_unit_max: 1,
        // A second row of a customer is refused where the table is read for training.
        rows_per_unit_max: 1,
        size_band,
        columns: asked,
    });
    Ok(Contract {
        name: head.name,
        version: head.version,
        multiplicity: head.multiplicity,
        table: table_name,
        privacy_unit,
        columns,
        label: Label {
            column: label_column,
            positive,
        },
        excluded: excluded.unwrap_or_default(),
        published: published.into_iter().collect(),
    })
}

/// Numeric columns first, then categorical, each in file order; and, where the table is published, the same for analysts.
fn read_columns(columns: &Field<'_>, published: bool) -> Read<(Vec<Column>, Vec<PublishedColumn>)> {
    let fields = columns.section("column")?.fields;
    let mut both = Vec::new();
    for field in &fields {
        let column = read_column(field, published)?;
        let asked = published
            .then(|| read_published::column(field))
            .transpose()?;
        both.push((column, asked));
    }
    both.sort_by_key(|(column, _)| !matches!(column.kind, ColumnKind::Numeric { .. }));
    let (columns, asked): (Vec<_>, Vec<_>) = both.into_iter().unzip();
    Ok((columns, asked.into_iter().flatten().collect()))
}

fn read_column(field: &Field<'_>, published: bool) -> Read<Column> {
    let name = rules::text("column name", field.key).map_err(|e| field.problem(e))?;
    let problem = |problem: String| field.problem(format!("column {name:?}: {problem}"));
    let mut section = field.section(&format!("column {name:?}"))?;
    section.refuse_weights()?;
    if published {
        section.ignore(&read_published::COLUMN_KEYS);
    }
    let kind = match section.optional("levels") {
        Some(levels) => rules::levels(read_levels(&levels)?).map_err(|e| levels.problem(e))?,
        None => {
            if section.fields.is_empty() {
                return Err(problem("expected low and high, or levels".to_owned()));
            }
            let low = section.required("low")?.number()?;
            let high = section.required("high")?.number()?;
            let transform = section.optional("transform");
            let transform = transform.map_or(Ok(Transform::default()), |field| {
                rules::transform(field.text()?).map_err(|e| field.problem(e))
            })?;
            let unit = section.optional("unit");
            let unit = unit.as_ref().map_or(Ok(""), Field::text)?;
            rules::numeric(low, high, transform, unit).map_err(problem)?
        }
    };
    let expected: &[&str] = match kind {
        ColumnKind::Numeric { .. } => &["low", "high", "transform", "unit"],
        ColumnKind::Levels(_) => &["levels"],
    };
    section.finish(expected)?;
    Ok(Column {
        name,
        kind,
        actionable: true,
    })
}

fn mark_actionable(columns: &mut [Column], field: &Field<'_>) -> Read<()> {
    columns
        .iter_mut()
        .for_each(|column| column.actionable = false);
    for item in field.items()? {
        let name = item.text()?;
        let known = columns.iter_mut().find(|column| column.name == name);
        let problem = || format!("actionable names {name:?}, expected a feature column");
        let column = known.ok_or_else(|| item.problem(problem()))?;
        if column.actionable {
            return Err(item.problem(format!("actionable names {name:?} twice")));
        }
        column.actionable = true;
    }
    Ok(())
}

fn read_excluded(field: Field<'_>) -> Read<Vec<Excluded>> {
    let fields = field.section("excluded")?.fields;
    let read = fields.into_iter().map(|field| {
        let column = rules::text("column name", field.key).map_err(|e| field.problem(e))?;
        let reason = field.name()?;
        Ok(Excluded { column, reason })
    });
    read.collect()
}
