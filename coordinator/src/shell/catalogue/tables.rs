//! Tables into the engine, and what it makes of them out of it.

use std::sync::Arc;

use aquifer_shared::base::limits::{CATALOGUE_BYTES_MAX, CATALOGUE_ROWS_MAX};
use aquifer_shared::protocol::ask::{Answer, AnswerColumn, AnswerKind, AnswerValue, Objection};
use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Date32Array, Float64Array, Int64Array, RecordBatch,
    RecordBatchOptions, StringArray,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Date32Type, Field, Float64Type, Int64Type, Schema, SchemaRef};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::catalog::{MemTable, SchemaProvider};
use datafusion::common::tree_node::{Transformed, TreeNode as _};
use datafusion::error::Result;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use futures_util::StreamExt as _;

use super::MemorySchemaProvider;
use super::errors::{objection, too_large};
use crate::core::catalogue::{Grid, shown};
use aquifer_shared::base::calendar;

/// The tables of one schema.
pub(super) fn schema(name: &str, grids: &[Grid]) -> Arc<dyn SchemaProvider> {
    let schema = MemorySchemaProvider::new();
    for grid in grids.iter().filter(|grid| grid.schema == name) {
        if let Ok(table) = table(grid) {
            // A provider in memory takes every table.
            let _ = schema.register_table(grid.name.to_owned(), Arc::new(table));
        }
    }
    Arc::new(schema)
}

fn table(grid: &Grid) -> Result<MemTable> {
    let fields = grid.columns.iter();
    let fields = fields.map(|column| Field::new(&column.name, type_of(column.kind), true));
    let schema: SchemaRef = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let columns = grid.columns.iter().enumerate();
    let columns = columns.map(|(place, column)| {
        let values = grid.rows.iter();
        array(
            column.kind,
            values.map(|row| row.get(place).unwrap_or(&AnswerValue::Null)),
        )
    });
    let options = RecordBatchOptions::new().with_row_count(Some(grid.rows.len()));
    let columns: Vec<ArrayRef> = columns.collect();
    let batch = RecordBatch::try_new_with_options(schema.clone(), columns, &options)?;
    MemTable::try_new(schema, vec![vec![batch]])
}

/// The engine's type of a kind of values.
pub(super) fn type_of(kind: AnswerKind) -> DataType {
    match kind {
        AnswerKind::Whole => DataType::Int64,
        AnswerKind::Number => DataType::Float64,
        AnswerKind::Truth => DataType::Boolean,
        AnswerKind::Day => DataType::Date32,
        AnswerKind::Text | AnswerKind::Json => DataType::Utf8,
    }
}

/// Values as the engine holds them.
pub(super) fn array<'a>(
    kind: AnswerKind,
    values: impl Iterator<Item = &'a AnswerValue>,
) -> ArrayRef {
    match kind {
        AnswerKind::Whole => {
            let whole = |value: &AnswerValue| match value {
                AnswerValue::Whole(number) => Some(*number),
                _ => None,
            };
            Arc::new(values.map(whole).collect::<Int64Array>())
        }
        AnswerKind::Number => {
            let number = |value: &AnswerValue| match value {
                AnswerValue::Number(number) => Some(*number),
                AnswerValue::Whole(number) => Some(*number as f64),
                _ => None,
            };
            Arc::new(values.map(number).collect::<Float64Array>())
        }
        AnswerKind::Truth => {
            let truth = |value: &AnswerValue| match value {
                AnswerValue::Truth(truth) => Some(*truth),
                _ => None,
            };
            Arc::new(values.map(truth).collect::<BooleanArray>())
        }
        AnswerKind::Day => {
            let day = |value: &AnswerValue| match value {
                AnswerValue::Text(text) => calendar::parse(text),
                _ => None,
            };
            Arc::new(values.map(day).collect::<Date32Array>())
        }
        AnswerKind::Text | AnswerKind::Json => {
            let text = |value: &AnswerValue| match value {
                AnswerValue::Text(text) => Some(text.clone()),
                _ => None,
            };
            Arc::new(values.map(text).collect::<StringArray>())
        }
    }
}

fn kind_of(data_type: &DataType) -> AnswerKind {
    match data_type {
        DataType::Boolean => AnswerKind::Truth,
        DataType::Date32 => AnswerKind::Day,
        whole if whole.is_integer() => AnswerKind::Whole,
        number if number.is_numeric() => AnswerKind::Number,
        _ => AnswerKind::Text,
    }
}

/// Values as they travel; lists as PostgreSQL writes arrays.
pub(super) fn values(array: &ArrayRef) -> Result<Vec<AnswerValue>> {
    let rows = 0..array.len();
    let some = |row: usize, value: AnswerValue| match array.is_null(row) {
        true => AnswerValue::Null,
        false => value,
    };
    let kind = kind_of(array.data_type());
    if let DataType::List(_) = array.data_type() {
        let options = FormatOptions::default();
        let written = ArrayFormatter::try_new(array, &options)?;
        let list = |row| {
            let text = written.value(row).to_string().replace(", ", ",");
            let inside = text.trim_start_matches('[').trim_end_matches(']');
            some(row, AnswerValue::Text(format!("{{{inside}}}")))
        };
        return Ok(rows.map(list).collect());
    }
    if *array.data_type() == DataType::Null {
        return Ok(vec![AnswerValue::Null; array.len()]);
    }
    let plain = match kind {
        AnswerKind::Whole => cast(array, &DataType::Int64)?,
        AnswerKind::Number => cast(array, &DataType::Float64)?,
        AnswerKind::Text | AnswerKind::Json => cast(array, &DataType::Utf8)?,
        AnswerKind::Truth | AnswerKind::Day => array.clone(),
    };
    let value = |row: usize| match kind {
        AnswerKind::Whole => AnswerValue::Whole(plain.as_primitive::<Int64Type>().value(row)),
        AnswerKind::Number => AnswerValue::Number(plain.as_primitive::<Float64Type>().value(row)),
        AnswerKind::Truth => AnswerValue::Truth(plain.as_boolean().value(row)),
        AnswerKind::Day => {
            let day = plain.as_primitive::<Date32Type>().value(row);
            AnswerValue::Text(calendar::written(day))
        }
        AnswerKind::Text | AnswerKind::Json => {
            AnswerValue::Text(plain.as_string::<i32>().value(row).to_owned())
        }
    };
    Ok(rows.map(|row| some(row, value(row))).collect())
}

/// Joins make many rows of few, without a pause: here they make one every few batches, so that time limits are kept.
fn interruptible(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    let paused = plan.transform_up(|node| {
        let join = node.name().ends_with("JoinExec");
        Ok(match join {
            true => {
                Transformed::yes(Arc::new(CooperativeExec::new(node)) as Arc<dyn ExecutionPlan>)
            }
            false => Transformed::no(node),
        })
    });
    paused.map(|paused| paused.data)
}

/// The rows of a plan, as long as they are few enough.
pub(super) async fn collected(
    state: &SessionState,
    plan: LogicalPlan,
) -> std::result::Result<Answer, Box<Objection>> {
    let physical = state.create_physical_plan(&plan).await;
    let physical = physical.and_then(interruptible);
    let physical: Arc<dyn ExecutionPlan> = physical.map_err(|error| objection(&error))?;
    let column = |field: &Arc<Field>| AnswerColumn {
        name: shown(field.name()).to_owned(),
        kind: kind_of(field.data_type()),
    };
    let columns = physical.schema().fields().iter().map(column).collect();
    let stream = execute_stream(physical, state.task_ctx());
    let mut stream = stream.map_err(|error| objection(&error))?;
    let (mut rows, mut bytes) = (Vec::new(), 0);
    while let Some(batch) = stream.next().await {
        let batch = batch.map_err(|error| objection(&error))?;
        bytes += batch.get_array_memory_size();
        if rows.len() + batch.num_rows() > CATALOGUE_ROWS_MAX || bytes > CATALOGUE_BYTES_MAX {
            return Err(too_large());
        }
        let columns = batch.columns().iter().map(values);
        let columns: Result<Vec<Vec<AnswerValue>>> = columns.collect();
        let columns = columns.map_err(|error| objection(&error))?;
        let row = |row: usize| columns.iter().map(|column| column[row].clone()).collect();
        rows.extend((0..batch.num_rows()).map(row));
    }
    Ok(Answer {
        columns,
        rows,
        notices: Vec::new(),
        release: None,
    })
}
