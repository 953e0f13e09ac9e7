//! A canonical question as a statement again: what gives a past answer back, free, in the words of today.

use aquifer_shared::base::calendar;
use aquifer_shared::base::decimal::written;
use aquifer_shared::domain::contract::{Published, PublishedKind};
use aquifer_shared::domain::question::{BlockKind, Filter, Key, Period, Question};

/// The statement; none where the question's columns are not those of the table.
#[must_use]
pub fn statement_of(question: &Question, table: &Published) -> Option<String> {
    let keys: Option<Vec<String>> = question
        .keys
        .iter()
        .map(|key| key_of(*key, table))
        .collect();
    let keys = keys?;
    let figures = figures_of(question, table)?;
    let items: Vec<String> = keys.iter().cloned().chain(figures).collect();
    let mut text = format!("SELECT {} FROM {}", items.join(", "), quoted(&table.name));
    match &question.filter {
        Filter::All => {}
        filter => text += &format!(" WHERE {}", condition(filter, table)?),
    }
    if !keys.is_empty() {
        let places: Vec<String> = (1..=keys.len()).map(|place| place.to_string()).collect();
        text += &format!(" GROUP BY {}", places.join(", "));
    }
    Some(text)
}

fn key_of(key: Key, table: &Published) -> Option<String> {
    Some(match key {
        Key::Level(column) => name(column, table)?,
        Key::Period(column, Period::Day) => name(column, table)?,
        Key::Period(column, period) => {
            let period = match period {
                Period::Year => "year",
                Period::Quarter => "quarter",
                Period::Month => "month",
                Period::Week => "week",
                Period::Day => "day",
            };
            format!("date_trunc('{period}', {})", name(column, table)?)
        }
        Key::Bucket {
            column,
            low,
            high,
            count,
        } => {
            let number = |units| value(units, column, table);
            let (low, high) = (number(low)?, number(high)?);
            format!(
                "width_bucket({}, {low}, {high}, {count})",
                name(column, table)?
            )
        }
    })
}

/// One aggregate for each figure that the blocks are read as; means and variances bring their blocks along.
fn figures_of(question: &Question, table: &Published) -> Option<Vec<String>> {
    let has = |kind| question.blocks.iter().any(|block| block.kind == kind);
    let weights = question.blocks.iter().map(|block| block.weight);
    let heaviest = weights.max().unwrap_or_default();
    let mut figures = Vec::new();
    for block in &question.blocks {
        let figure = match block.kind {
            // Nobody asked for it: it is there to hide small groups.
            BlockKind::Units if block.weight < heaviest => continue,
            BlockKind::Units => format!("COUNT(DISTINCT {})", quoted(&table.privacy_unit)),
            BlockKind::Rows => "COUNT(*)".to_owned(),
            BlockKind::Values(column) if has(BlockKind::Centred(column)) => continue,
            BlockKind::Values(column) => format!("COUNT({})", name(column, table)?),
            BlockKind::Sum(column) => format!("SUM({})", name(column, table)?),
            BlockKind::Centred(column) if has(BlockKind::Squares(column)) => continue,
            BlockKind::Centred(column) => format!("AVG({})", name(column, table)?),
            BlockKind::Squares(column) => format!("VARIANCE({})", name(column, table)?),
            BlockKind::Grid(column) => format!("MEDIAN({})", name(column, table)?),
            // They come with the grid.
            BlockKind::Runs(_) => continue,
        };
        figures.push(figure);
    }
    Some(figures)
}

fn condition(filter: &Filter, table: &Published) -> Option<String> {
    let all = |filters: &[Filter], between: &str| {
        let parts: Option<Vec<String>> = filters
            .iter()
            .map(|filter| condition(filter, table))
            .collect();
        Some(format!("({})", parts?.join(between)))
    };
    Some(match filter {
        Filter::All | Filter::Nothing => return None,
        Filter::Missing(column) => format!("{} IS NULL", name(*column, table)?),
        Filter::Every(filters) => all(filters, " AND ")?,
        Filter::Either(filters) => all(filters, " OR ")?,
        Filter::Levels(column, places) => {
            let own = table.columns.get(usize::from(*column))?;
            let PublishedKind::Key { levels, unknown } = &own.kind else {
                return None;
            };
            let level = |place: &u16| levels.get(usize::from(*place)).unwrap_or(unknown);
            let levels = places.iter().map(|place| text(level(place)));
            let levels: Vec<String> = levels.collect();
            format!("{} IN ({})", quoted(&own.name), levels.join(", "))
        }
        Filter::Ranges(column, ranges) => {
            let own = name(*column, table)?;
            let range = |(low, high): &(i64, i64)| {
                let step = step(*column, table);
                // Bounds between two steps come from what is strictly above or below a step.
                let from = match low % step {
                    0 => format!(">= {}", value(*low, *column, table)?),
                    _ => format!("> {}", value(low - 1, *column, table)?),
                };
                let to = match high % step {
                    0 => format!("<= {}", value(*high, *column, table)?),
                    _ => format!("< {}", value(high + 1, *column, table)?),
                };
                Some(format!("{own} {from} AND {own} {to}"))
            };
            let ranges: Option<Vec<String>> = ranges.iter().map(range).collect();
            format!("({})", ranges?.join(" OR "))
        }
    })
}

fn step(column: u16, table: &Published) -> i64 {
    match table.columns.get(usize::from(column)).map(|own| &own.kind) {
        Some(PublishedKind::Number(number)) => number.step.max(1),
        _ => 1,
    }
}

fn value(units: i64, column: u16, table: &Published) -> Option<String> {
    match &table.columns.get(usize::from(column))?.kind {
        PublishedKind::Number(number) => Some(written(units, number.digits)),
        PublishedKind::Date { .. } => {
            let day = calendar::written(i32::try_from(units).ok()?);
            Some(format!("DATE '{day}'"))
        }
        PublishedKind::Key { .. } => None,
    }
}

fn name(column: u16, table: &Published) -> Option<String> {
    let own = table.columns.get(usize::from(column))?;
    Some(quoted(&own.name))
}

/// A name in quotes where it would be another without.
fn quoted(name: &str) -> String {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if name.chars().all(plain) && name.starts_with(|c: char| c.is_ascii_lowercase()) {
        return name.to_owned();
    }
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn text(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::sql::{Settings, Statement, compile};
    use aquifer_shared::domain::contract::Contract;

    /// The statement asks the same question, and writing it again gives the same statement.
    #[track_caller]
    fn check(sql: &str) {
        let contract = Contract::parse(include_str!("../../../golden/contract.toml")).unwrap();
        let settings = Settings {
            purpose: Some("reporting".into()),
            ..Settings::default()
        };
        let question = |sql: &str| match compile(sql, &settings, &contract, None).unwrap() {
            Statement::Query(query) => query.question,
            other => panic!("{other:?}"),
        };
        let asked = question(sql);
        let table = contract.published(&asked.table).unwrap();
        let again = statement_of(&asked, table).unwrap();
        assert_eq!(question(&again), asked, "{again}");
    }

    #[test]
    fn questions_are_written_as_statements() {
        check("SELECT contract, COUNT(*) FROM customers GROUP BY 1");
        check("SELECT contract, AVG(monthly_charges), COUNT(*) FROM customers GROUP BY 1");
        check("SELECT STDDEV(amount), SUM(amount) FROM orders WHERE shop IN ('west''s', 'other')");
        check(
            "SELECT date_trunc('month', day), COUNT(DISTINCT customer_id) FROM orders GROUP BY 1",
        );
        check("SELECT day, COUNT(amount) FROM orders WHERE day >= DATE '2024-06-01' GROUP BY day");
        check("SELECT width_bucket(age, 20, 80, 6), MEDIAN(amount) FROM orders GROUP BY 1");
        check(
            "SELECT COUNT(*) FROM orders WHERE amount <= 10 OR amount IS NULL AND shop = 'north'",
        );
        check("SELECT COUNT(*) FROM customers WHERE \"TotalCharges\" NOT BETWEEN 100 AND 200");
    }
}
