//! Tables of schema `aquifer`: bounds, purposes, models, budgets and past answers.

use std::sync::LazyLock;

use aquifer_shared::base::calendar;
use aquifer_shared::base::decimal::written;
use aquifer_shared::base::ids::Name;
use aquifer_shared::base::time::Timestamp;
use aquifer_shared::domain::contract::{PublishedColumn, PublishedKind};
use aquifer_shared::domain::predictor::prediction::{CurveLine, Predictor};
use aquifer_shared::domain::sum::{Plan, TrustMode};
use aquifer_shared::protocol::ask::{AnswerColumn, AnswerKind, AnswerValue, Look};

use super::book::{Book, Offered};
use super::grid::{Grid, Tables, column, read, text, truth, whole};
use super::records::{AnswerRecord, ModelRecord, NodeRecord, PurposeRecord, Records};
use super::types;

/// Every table, and what is said of it.
pub const OWN_TABLES: [(&str, &str); 10] = [
    (
        "contract_columns",
        "columns that may be asked about, with their bounds and levels",
    ),
    (
        "purposes",
        "standing studies that are open: why questions may be asked, and what one may cost",
    ),
    ("models", "released models, with what they cost in privacy"),
    (
        "model_importances",
        "how much each feature moves a model's predictions: mean of the absolute log-odds",
    ),
    ("model_shapes", "a model's curves, bin by bin, in log-odds"),
    (
        "budget",
        "what is left of your share for each purpose, in micro-rho",
    ),
    (
        "releases",
        "past answers: price, privacy, units and data versions",
    ),
    (
        "stored_answers",
        "past answers: a statement that gives each again, free, and what it promises",
    ),
    ("last_answer", "the rows of the last answer of this session"),
    ("nodes", "units, and whether they are connected"),
];

static COLUMNS: LazyLock<Tables> = LazyLock::new(|| read(include_str!("own.txt")));

/// Columns of a table, in order.
pub(super) fn columns(table: &str) -> &'static [(&'static str, AnswerKind)] {
    let mut tables = COLUMNS.iter();
    let found = tables.find(|((_, own), _)| *own == table);
    found.map_or(&[], |(_, columns)| columns.as_slice())
}

/// All of them but the last answer.
#[must_use]
pub fn own_grids(book: &Book, records: &Records) -> Vec<Grid> {
    let models = || records.models.iter();
    let answers = || records.answers.iter();
    vec![
        grid("contract_columns", contract_columns(book)),
        grid("purposes", records.purposes.iter().map(purpose).collect()),
        grid("models", models().map(model).collect()),
        grid(
            "model_importances",
            models().flat_map(importances).collect(),
        ),
        grid("model_shapes", models().flat_map(shapes).collect()),
        grid("budget", records.purposes.iter().map(budget).collect()),
        grid("releases", answers().map(release).collect()),
        grid(
            "stored_answers",
            answers().map(|answer| stored(answer).to_vec()).collect(),
        ),
        grid("nodes", records.nodes.iter().map(node).collect()),
    ]
}

/// What commands list: one table each; past answers with the statement that gives each again.
#[must_use]
pub fn looked_at(what: Look, book: &Book, records: &Records) -> Grid {
    match what {
        Look::Columns => grid("contract_columns", contract_columns(book)),
        Look::Budget => grid("budget", records.purposes.iter().map(budget).collect()),
        Look::Releases => releases(records),
    }
}

fn releases(records: &Records) -> Grid {
    let row = |answer: &AnswerRecord| {
        let [.., sql, _, statement] = stored(answer);
        [release(answer), vec![sql, statement]].concat()
    };
    let mut grid = grid("releases", records.answers.iter().map(row).collect());
    let more = columns("stored_answers").iter();
    let more = more.filter(|(name, _)| ["sql", "statement"].contains(name));
    grid.columns
        .extend(more.map(|(name, kind)| column(name, *kind)));
    grid
}

fn contract_columns(book: &Book) -> Vec<Row> {
    let columns = book.shelf.tables.iter().flat_map(|offered| {
        let columns = offered.table.columns.iter();
        columns.map(move |column| contract_column(offered, column))
    });
    columns.collect()
}

/// The rows of the last answer; none has no columns.
#[must_use]
pub fn last_answer(columns: Vec<AnswerColumn>, rows: Vec<Vec<AnswerValue>>) -> Grid {
    Grid {
        schema: "aquifer",
        name: "last_answer",
        columns,
        rows,
    }
}

fn grid(name: &'static str, rows: Vec<Vec<AnswerValue>>) -> Grid {
    let columns = columns(name).iter();
    Grid {
        schema: "aquifer",
        name,
        columns: columns.map(|(name, kind)| column(name, *kind)).collect(),
        rows,
    }
}

type Row = Vec<AnswerValue>;

fn contract_column(offered: &Offered, column: &PublishedColumn) -> Row {
    let none = || AnswerValue::Null;
    let mut bounds = vec![none(); 6];
    let mut levels = vec![none(); 2];
    let mut days = vec![none(); 2];
    match &column.kind {
        PublishedKind::Number(number) => {
            let value = |units: i64| AnswerValue::Number(number.value_of(units as f64));
            let on_null = number.on_null.map_or(AnswerValue::Null, value);
            let (low, high) = (value(number.low), value(number.high));
            let (grid, unit) = (whole(number.grid), text(&*number.unit));
            bounds = vec![low, high, value(number.step), grid, unit, on_null];
        }
        PublishedKind::Key {
            levels: all,
            unknown,
        } => {
            levels = vec![text(listed(all)), text(&**unknown)];
        }
        PublishedKind::Date { first, last } => {
            days = [first, last]
                .map(|day| text(calendar::written(*day)))
                .to_vec();
        }
    }
    let named = vec![
        text(offered.purpose.as_str()),
        text(offered.contract.as_str()),
        whole(offered.version),
        text(&*offered.table.name),
        text(&*column.name),
        text(types::of_published(&column.kind).written),
    ];
    let said = vec![text(&*column.description)];
    [named, bounds, levels, days, said].concat()
}

/// As PostgreSQL writes an array.
fn listed(items: &[String]) -> String {
    let quoted = |item: &String| {
        let plain = !item.is_empty() && item.chars().all(|c| c.is_alphanumeric() || c == '_');
        if plain {
            return item.clone();
        }
        format!("\"{}\"", item.replace('\\', "\\\\").replace('"', "\\\""))
    };
    let items: Vec<String> = items.iter().map(quoted).collect();
    format!("{{{}}}", items.join(","))
}

fn purpose(record: &PurposeRecord) -> Row {
    let (terms, contract) = (&record.terms, &record.contract);
    let Plan::Question { standing, .. } = &terms.plan else {
        return vec![AnswerValue::Null; columns("purposes").len()];
    };
    vec![
        text(terms.purpose.as_str()),
        text(standing.name.as_str()),
        text(contract.name.as_str()),
        whole(contract.version),
        text(listed(&standing.tables)),
        whole(standing.urho_question_default.0),
        whole(standing.urho_question_max.0),
        whole(standing.urho_max.0),
        AnswerValue::Number(terms.delta.get()),
        whole(standing.cohort_floor),
        text(mode(terms.mode)),
        whole(terms.roster.len()),
        time(standing.expires),
    ]
}

fn budget(record: &PurposeRecord) -> Row {
    let Plan::Question { standing, .. } = &record.terms.plan else {
        return vec![AnswerValue::Null; columns("budget").len()];
    };
    let left = standing.urho_share.left_after(record.used);
    let attempts = u64::from(record.terms.attempts_max.max(1));
    let usual = standing.urho_question_default.0.saturating_mul(attempts);
    vec![
        text(record.terms.purpose.as_str()),
        text(standing.name.as_str()),
        text(standing.window.to_string()),
        whole(standing.urho_share.0),
        whole(record.used.0),
        whole(left.0),
        whole(standing.urho_question_default.0),
        whole(left.0 / usual.max(1)),
    ]
}

fn model(record: &ModelRecord) -> Row {
    let (model, card, privacy) = (
        record.file.model(),
        record.file.card(),
        record.file.privacy(),
    );
    let figure = |figure: Option<f64>| figure.map_or(AnswerValue::Null, AnswerValue::Number);
    let quality = card.quality.as_ref();
    vec![
        text(card.name.as_str()),
        whole(card.version),
        text(card.purpose.as_str()),
        text(&*model.label),
        text(&*card.contract),
        AnswerValue::Number(card.customers_estimate),
        figure(quality.map(|quality| quality.auc)),
        figure(quality.map(|quality| quality.log_loss)),
        AnswerValue::Number(privacy.epsilon()),
        AnswerValue::Number(privacy.delta()),
        text(mode(privacy.mode)),
        whole(privacy.nodes),
        text(record.file.model_hash().to_string()),
        text(card.study.to_string()),
        time(record.created),
        text(card.warnings.join("; ")),
        text(privacy.sentence()),
        time(record.retire_by),
        text(record.state),
    ]
}

/// Name and version of a model, and the curve of each feature.
fn curves(record: &ModelRecord) -> Vec<(Name, u32, String, Vec<CurveLine>)> {
    let card = record.file.card();
    let Ok(predictor) = Predictor::of(&record.file) else {
        return Vec::new();
    };
    let names = predictor.names().iter().enumerate();
    let of = |(feature, name): (usize, &String)| {
        let lines = predictor.curve(feature);
        (card.name.clone(), card.version, name.clone(), lines)
    };
    names.map(of).collect()
}

fn importances(record: &ModelRecord) -> Vec<Row> {
    let row = |(model, version, feature, lines): (Name, u32, String, Vec<CurveLine>)| {
        // Noisy counts may be below zero.
        let weight = |line: &CurveLine| line.customers.max(0.0);
        let all: f64 = lines.iter().map(weight).sum();
        let moved = lines.iter().map(|line| weight(line) * line.log_odds.abs());
        let importance = moved.sum::<f64>() / all.max(1.0);
        let named = vec![text(model.as_str()), whole(version), text(feature)];
        [named, vec![AnswerValue::Number(importance)]].concat()
    };
    curves(record).into_iter().map(row).collect()
}

fn shapes(record: &ModelRecord) -> Vec<Row> {
    let of = |(model, version, feature, lines): (Name, u32, String, Vec<CurveLine>)| {
        let lines = lines.into_iter().enumerate();
        let row = move |(bin, line): (usize, CurveLine)| {
            vec![
                text(model.as_str()),
                whole(version),
                text(&*feature),
                whole(bin),
                text(line.value),
                AnswerValue::Number(line.log_odds),
                AnswerValue::Number(line.deviation),
                AnswerValue::Number(line.customers),
            ]
        };
        lines.map(row).collect::<Vec<_>>()
    };
    curves(record).into_iter().flat_map(of).collect()
}

fn release(record: &AnswerRecord) -> Row {
    let line = &record.line;
    let versions: Vec<&str> = line.data_versions.iter().map(Name::as_str).collect();
    vec![
        text(line.study.to_string()),
        text(record.purpose.as_str()),
        text(record.standing.as_str()),
        text(&*record.table.name),
        whole(line.urho),
        text_number(line.urho),
        AnswerValue::Number(line.epsilon),
        AnswerValue::Number(line.delta),
        text(mode(line.mode)),
        whole(line.members),
        whole(line.updates),
        text(versions.join(", ")),
        time(line.created),
    ]
}

fn text_number(urho: u64) -> AnswerValue {
    let digits = written(i64::try_from(urho).unwrap_or(i64::MAX), 6);
    AnswerValue::Number(digits.parse().unwrap_or(f64::INFINITY))
}

fn stored(record: &AnswerRecord) -> [AnswerValue; 6] {
    let line = &record.line;
    let sql = record
        .sql
        .clone()
        .map_or(AnswerValue::Null, AnswerValue::Text);
    [
        text(line.study.to_string()),
        text(record.purpose.as_str()),
        text(&*record.table.name),
        sql,
        time(line.created),
        text(&*record.promise),
    ]
}

fn node(record: &NodeRecord) -> Row {
    let seen = match record.last_seen.0 {
        0 => AnswerValue::Null,
        _ => time(record.last_seen),
    };
    vec![
        text(record.name.as_str()),
        truth(record.connected),
        truth(record.revoked),
        seen,
        time(record.certificate_until),
        text(&*record.software),
    ]
}

fn mode(mode: TrustMode) -> &'static str {
    match mode {
        TrustMode::NodeNoise => "node-noise",
        TrustMode::SharedNoise => "shared-noise",
    }
}

/// `2026-01-31T12:00:00Z`.
fn time(at: Timestamp) -> AnswerValue {
    let seconds = at.0 / 1_000;
    let day = i32::try_from(seconds / 86_400).unwrap_or(i32::MAX);
    let rest = seconds % 86_400;
    let (hour, minute, second) = (rest / 3_600, rest / 60 % 60, rest % 60);
    text(format!(
        "{}T{hour:02}:{minute:02}:{second:02}Z",
        calendar::written(day)
    ))
}

#[cfg(test)]
mod tests {
    use super::super::book::Shelf;
    use super::*;
    use crate::core::finished::finished;

    #[test]
    fn models_are_tables() {
        let (file, _) = finished();
        let book = Book::new(Shelf {
            user: "ada".into(),
            database: "aquifer".into(),
            version: String::new(),
            tables: Vec::new(),
        });
        let records = Records {
            models: vec![ModelRecord {
                file,
                created: Timestamp(1_000),
                retire_by: Timestamp(2_000),
                state: "in-use",
            }],
            ..Records::default()
        };
        let grids = own_grids(&book, &records);
        let rows = |name| {
            let found = grids.iter().find(|grid| grid.name == name).unwrap();
            found
                .rows
                .iter()
                .for_each(|row| assert_eq!(row.len(), found.columns.len(), "{name}"));
            &found.rows
        };
        assert_eq!(rows("models")[0][0], text("churn"));
        assert_eq!(rows("model_importances").len(), 2);
        assert!(rows("model_shapes").len() > 4);
        assert_eq!(rows("models")[0][14], text("1970-01-01T00:00:01Z"));
        assert_eq!(rows("models")[0][17], text("1970-01-01T00:00:02Z"));
        assert_eq!(rows("models")[0][18], text("in-use"));
    }

    #[test]
    fn every_table_has_columns() {
        for (name, _) in OWN_TABLES {
            assert_eq!(columns(name).is_empty(), name == "last_answer", "{name}");
        }
        assert_eq!(listed(&["a".into(), "b c".into()]), "{a,\"b c\"}");
    }
}
