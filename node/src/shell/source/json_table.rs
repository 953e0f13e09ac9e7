//! A table over NDJSON files as the query engine reads it: a stream of batches, file after file.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use datafusion::catalog::streaming::StreamingTable;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::PartitionStream;
use futures_util::stream;

use super::batch::{Cell, Misfit, Rows};
use super::csv_value::Content;
use super::files::{TableFile, column_type};
use super::json_file::{Columns, Fields, JsonProblem, Lines, Seen, Wanted, cell};
use super::place::Place;
use crate::shell::source_error::{SourceError, TableProblem};

/// The files of a table and the type of each column.
#[derive(Debug)]
struct JsonTable {
    schema: SchemaRef,
    /// Columns of the files; those of the folders follow.
    own: Arc<HashMap<String, usize>>,
    files: Arc<Vec<TableFile>>,
}

/// Looks through all files.
///
/// # Errors
///
/// A file that cannot be read, or a line that is no JSON object.
pub(super) async fn table(
    files: Vec<TableFile>,
    partitions: Vec<FieldRef>,
    text_columns: &[String],
) -> Result<StreamingTable, SourceError> {
    let mut columns = Columns::default();
    for file in &files {
        let added = columns.add(&file.place).await;
        added.map_err(|problem| told(&file.place, problem))?;
    }
    let own = columns.seen.iter().map(|(name, seen)| {
        let kind = kind_of(name, *seen, text_columns);
        Arc::new(Field::new(name, kind, true))
    });
    let fields: Vec<FieldRef> = own.chain(partitions).collect();
    let names = columns.seen.into_iter().enumerate();
    let table = JsonTable {
        schema: Arc::new(Schema::new(fields)),
        own: Arc::new(names.map(|(at, (name, _))| (name, at)).collect()),
        files: Arc::new(files),
    };
    let table = StreamingTable::try_new(table.schema.clone(), vec![Arc::new(table)]);
    table.map_err(|_| SourceError::Failed {
        problem: "the JSON table does not fit its own columns",
    })
}

fn kind_of(name: &str, seen: Seen, text_columns: &[String]) -> DataType {
    let text = text_columns.iter().any(|column| column == name);
    match (seen.flags, seen.content) {
        (true, Content::Empty) if !text => DataType::Boolean,
        (true, _) => DataType::Utf8,
        (false, content) => column_type(name, content, text_columns),
    }
}

pub(super) fn told(place: &Place, problem: JsonProblem) -> SourceError {
    match problem {
        JsonProblem::World(fault) => place.unreadable("JSON file", fault),
        JsonProblem::Line(line, problem) => SourceError::Line {
            path: place.name.clone(),
            line,
            problem,
        },
    }
}

impl PartitionStream for JsonTable {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let reading = Reading {
            rows: Rows::new(self.schema.clone()),
            kinds: self
                .schema
                .fields()
                .iter()
                .map(|field| wanted(field.data_type()))
                .collect(),
            own: self.own.clone(),
            files: self.files.clone(),
            at: 0,
            lines: None,
        };
        let batches = stream::try_unfold(reading, async |mut reading| {
            let batch = reading.next().await?;
            Ok(batch.map(|batch| (batch, reading)))
        });
        Box::pin(RecordBatchStreamAdapter::new(self.schema.clone(), batches))
    }
}

fn wanted(kind: &DataType) -> Wanted {
    match kind {
        DataType::Int64 => Wanted::Whole,
        DataType::Float64 => Wanted::Real,
        DataType::Boolean => Wanted::Flag,
        _ => Wanted::Text,
    }
}

/// How far the files have been read.
struct Reading {
    rows: Rows,
    kinds: Vec<Wanted>,
    own: Arc<HashMap<String, usize>>,
    files: Arc<Vec<TableFile>>,
    at: usize,
    lines: Option<Lines>,
}

impl Reading {
    async fn next(&mut self) -> Result<Option<RecordBatch>> {
        while let Some(file) = self.files.clone().get(self.at) {
            let external = |problem| external(&file.place, problem);
            let lines = match &mut self.lines {
                Some(lines) => lines,
                None => self
                    .lines
                    .insert(Lines::open(&file.place).await.map_err(external)?),
            };
            let Some((line, Fields(fields))) = lines.next().await.map_err(external)? else {
                self.lines = None;
                self.at += 1;
                continue;
            };
            let mut values = vec![None; self.own.len()];
            for (name, value) in fields {
                let at = self.own.get(name.as_ref());
                let at =
                    *at.ok_or_else(|| external(JsonProblem::Line(line, CHANGED.to_owned())))?;
                values[at] = Some(value);
            }
            let mut text = String::new();
            for (at, value) in values.into_iter().enumerate() {
                let cell = value.map_or(Cell::Null, |raw| cell(raw, self.kinds[at], &mut text));
                let added = self.rows.add(at, &cell);
                added.map_err(|Misfit| external(JsonProblem::Line(line, CHANGED.to_owned())))?;
            }
            for (index, value) in file.values.iter().enumerate() {
                let at = self.own.len() + index;
                let added = self
                    .rows
                    .add(at, &folder_cell(value.as_deref(), self.kinds[at]));
                added.map_err(|Misfit| external(JsonProblem::Line(line, CHANGED.to_owned())))?;
            }
            if self.rows.end_row() {
                break;
            }
        }
        Ok(self.rows.take()?)
    }
}

fn folder_cell(value: Option<&str>, kind: Wanted) -> Cell<'_> {
    let Some(value) = value else {
        return Cell::Null;
    };
    match kind {
        Wanted::Whole => value.parse().map_or(Cell::Null, Cell::Whole),
        Wanted::Real => value.parse().map_or(Cell::Null, Cell::Real),
        Wanted::Flag | Wanted::Text => Cell::Text(value),
    }
}

fn external(place: &Place, problem: JsonProblem) -> DataFusionError {
    let problem = TableProblem::new(told(place, problem).to_string());
    DataFusionError::External(Box::new(problem))
}

const CHANGED: &str = "not as it was a moment ago: the file changed while it was read";
