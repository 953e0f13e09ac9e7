//! From a mapped table to encoded rows, batch by batch; the query engine is gone afterwards.

use std::collections::HashMap;
use std::path::Path;

use aquifer_shared::domain::contract::{NumberColumn, Published, PublishedColumn, PublishedKind};
use arrow::array::{ArrayRef, RecordBatch};
use arrow::error::ArrowError;
use futures_util::StreamExt;

use super::mapping::Mapping;
use crate::core::analytics::{ChoiceKey, RowTable, TableBuilder, day_code, number_code};
use crate::core::check::{Findings, Remark};
use crate::core::intake::{Intake, Wanted};
use crate::shell::column::{days, levels, numbers, text_at, texts};
use crate::shell::mapped::{Role, on_engine, project};
use crate::shell::source::{DataConfig, Source};
use crate::shell::source_error::{SourceError, running};

/// Encoded rows, and what was noticed about them.
#[derive(Debug)]
pub struct Inspected {
    /// The rows that have a customer.
    pub table: RowTable,
    /// What was noticed.
    pub findings: Findings,
}

/// Reads a published table, with leave to. What cannot count is left out, and the log says how much: no row decides whether a node
/// serves. Blocks.
///
/// # Errors
///
/// Whatever is wrong with files or mapping, without a value of a customer.
///
/// # Privacy
///
/// Every row that the query gives counts, unless it has no customer or its customer is one too many. Nothing is kept of a value but its
/// code, and nothing of a customer but a keyed hash.
pub fn encode(
    config: &DataConfig,
    directory: &Path,
    (intake, mapping): (&Intake, Mapping<'_>),
    key: ChoiceKey,
) -> Result<RowTable, SourceError> {
    if !intake.covers(&Wanted::published(mapping.published)) {
        let table = mapping.published.name.clone();
        return Err(SourceError::NotLetIn { table });
    }
    let inspected = inspect(config, directory, mapping, key)?;
    let without = inspected.findings.without_customer.rows;
    let beyond = inspected.table.customers_left_out();
    if without > 0 || beyond > 0 {
        tracing::warn!(
            table = mapping.published.name,
            "rows without a customer, or customers beyond size_band, do not count: `aquifer-node check` says how many"
        );
    }
    Ok(inspected.table)
}

/// Like [`encode`], with what was noticed, for the unit's own people: needs no leave.
///
/// # Errors
///
/// Whatever is wrong with files or mapping.
pub fn inspect(
    config: &DataConfig,
    directory: &Path,
    mapping: Mapping<'_>,
    key: ChoiceKey,
) -> Result<Inspected, SourceError> {
    let read = on_engine(|| read_rows(config, directory, mapping, key));
    read.map_err(|problem| problem.about(&mapping.published.name))
}

async fn read_rows(
    config: &DataConfig,
    directory: &Path,
    mapping: Mapping<'_>,
    key: ChoiceKey,
) -> Result<Inspected, SourceError> {
    let published = mapping.published;
    let keys = published.columns.iter();
    let keys = keys.filter(|column| matches!(column.kind, PublishedKind::Key { .. }));
    let text_columns = keys
        .map(|column| &column.name)
        .chain([&published.privacy_unit]);
    let source = Source::open(config, directory, text_columns.cloned().collect()).await?;
    let mapped = source.query(mapping.query).await?;
    let mapped = project(mapped, needed(published))?;
    let mut batches = mapped
        .execute_stream()
        .await
        .map_err(|error| running(&error))?;
    let mut encoder = Encoder::new(published, key);
    while let Some(batch) = batches.next().await {
        encoder.batch(&batch.map_err(|error| running(&error))?)?;
    }
    Ok(encoder.finish())
}

/// Customer, then the columns in order.
fn needed(published: &Published) -> impl Iterator<Item = (&str, Role)> {
    let columns = published.columns.iter().map(|column| {
        let role = match column.kind {
            PublishedKind::Number(_) => Role::Numbers,
            PublishedKind::Key { .. } => Role::Levels,
            PublishedKind::Date { .. } => Role::Days,
        };
        (column.name.as_str(), role)
    });
    [(published.privacy_unit.as_str(), Role::Id)]
        .into_iter()
        .chain(columns)
}

struct Encoder<'a> {
    columns: Vec<Coding<'a>>,
    builder: TableBuilder,
    findings: Findings,
}

/// How the values of a column become codes.
enum Coding<'a> {
    Number(&'a NumberColumn),
    Key(HashMap<&'a str, u16>),
    Date(i32, i32),
}

impl<'a> Encoder<'a> {
    fn new(published: &'a Published, key: ChoiceKey) -> Self {
        let names = published.columns.iter().map(|column| column.name.as_str());
        Self {
            columns: published.columns.iter().map(Coding::of).collect(),
            builder: TableBuilder::new(published, key),
            findings: Findings::for_columns(names),
        }
    }

    fn batch(&mut self, batch: &RecordBatch) -> Result<(), SourceError> {
        let unreadable = |error| running(&datafusion::error::DataFusionError::from(error));
        let ids = texts(batch.column(0)).map_err(unreadable)?;
        let mut codes = Vec::with_capacity(self.columns.len());
        for (index, column) in batch.columns()[1..].iter().enumerate() {
            let coded = self.columns[index].codes(column).map_err(unreadable)?;
            let findings = &mut self.findings.columns[index];
            for (row, (_, remark)) in (self.findings.rows + 1..).zip(&coded) {
                findings.note(*remark, row);
            }
            codes.push(coded);
        }
        for row in 0..batch.num_rows() {
            self.findings.rows += 1;
            let Some(customer) = text_at(&ids, row) else {
                self.findings.without_customer.add(self.findings.rows);
                continue;
            };
            let pushed = self
                .builder
                .push(customer, codes.iter().map(|column| column[row].0));
            pushed.map_err(|_| SourceError::Failed {
                problem: "it has too many rows for one table",
            })?;
        }
        Ok(())
    }

    fn finish(mut self) -> Inspected {
        let table = self.builder.finish();
        self.findings.customers = table.customers() as u64 + table.customers_left_out();
        Inspected {
            table,
            findings: self.findings,
        }
    }
}

impl<'a> Coding<'a> {
    fn of(column: &'a PublishedColumn) -> Self {
        match &column.kind {
            PublishedKind::Number(number) => Self::Number(number),
            PublishedKind::Key { levels, .. } => {
                Self::Key(levels.iter().map(String::as_str).zip(0..).collect())
            }
            PublishedKind::Date { first, last } => Self::Date(*first, *last),
        }
    }

    fn codes(&self, column: &ArrayRef) -> Result<Vec<(u64, Remark)>, ArrowError> {
        Ok(match self {
            Self::Number(number) => {
                let values = numbers(column)?.into_iter();
                values.map(|value| number_code(number, value)).collect()
            }
            Self::Key(known) => {
                let coded = levels(column, known)?.into_iter();
                coded
                    .map(|(level, remark)| (level.into(), remark))
                    .collect()
            }
            Self::Date(first, last) => {
                let values = days(column)?.into_iter();
                values.map(|day| day_code((*first, *last), day)).collect()
            }
        })
    }
}
