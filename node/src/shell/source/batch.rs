//! Builds record batches value by value, for sources that the query engine has no reader for. A batch is bounded in rows and bytes.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanBuilder, Date32Builder, Float64Builder, Int64Builder, RecordBatch,
    RecordBatchOptions, StringBuilder, TimestampMicrosecondBuilder,
};
use arrow::datatypes::{DataType, SchemaRef, TimeUnit};
use arrow::error::ArrowError;

/// One value of a row.
pub(super) enum Cell<'a> {
    Null,
    Flag(bool),
    Whole(i64),
    Real(f64),
    Text(&'a str),
    /// Days since 1970.
    Day(i32),
    /// Microseconds since 1970.
    Moment(i64),
}

/// A value of another type than its column.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Misfit;

/// Rows that are on their way into a batch.
pub(super) struct Rows {
    schema: SchemaRef,
    columns: Vec<Column>,
    rows: usize,
    bytes: usize,
}

enum Column {
    Flag(BooleanBuilder),
    Whole(Int64Builder),
    Real(Float64Builder),
    Text(StringBuilder),
    Day(Date32Builder),
    Moment(TimestampMicrosecondBuilder),
}

impl Rows {
    /// No rows yet.
    pub(super) fn new(schema: SchemaRef) -> Self {
        let columns = schema.fields().iter();
        Self {
            columns: columns.map(|field| Column::of(field.data_type())).collect(),
            schema,
            rows: 0,
            bytes: 0,
        }
    }

    /// Adds a value of the row to a column.
    pub(super) fn add(&mut self, column: usize, cell: &Cell<'_>) -> Result<(), Misfit> {
        self.bytes += match cell {
            Cell::Text(text) => text.len(),
            _ => 8,
        };
        self.columns.get_mut(column).ok_or(Misfit)?.add(cell)
    }

    /// Ends the row; true when the batch should be taken.
    pub(super) fn end_row(&mut self) -> bool {
        self.rows += 1;
        self.rows >= super::BATCH_ROWS || self.bytes >= BATCH_BYTES
    }

    /// The rows as a batch, if there are any.
    pub(super) fn take(&mut self) -> Result<Option<RecordBatch>, ArrowError> {
        if self.rows == 0 {
            return Ok(None);
        }
        let arrays = self.columns.iter_mut().map(Column::finish);
        let options = RecordBatchOptions::new().with_row_count(Some(self.rows));
        let batch =
            RecordBatch::try_new_with_options(self.schema.clone(), arrays.collect(), &options)?;
        (self.rows, self.bytes) = (0, 0);
        Ok(Some(batch))
    }
}

impl Column {
    fn of(kind: &DataType) -> Self {
        match kind {
            DataType::Boolean => Self::Flag(BooleanBuilder::new()),
            DataType::Int64 => Self::Whole(Int64Builder::new()),
            DataType::Float64 => Self::Real(Float64Builder::new()),
            DataType::Date32 => Self::Day(Date32Builder::new()),
            DataType::Timestamp(TimeUnit::Microsecond, zone) => {
                let builder = TimestampMicrosecondBuilder::new();
                Self::Moment(builder.with_timezone_opt(zone.clone()))
            }
            _ => Self::Text(StringBuilder::new()),
        }
    }

    fn add(&mut self, cell: &Cell<'_>) -> Result<(), Misfit> {
        match (self, cell) {
            (Self::Flag(column), Cell::Flag(flag)) => column.append_value(*flag),
            (Self::Whole(column), Cell::Whole(whole)) => column.append_value(*whole),
            (Self::Real(column), Cell::Real(real)) => column.append_value(*real),
            (Self::Text(column), Cell::Text(text)) => column.append_value(text),
            (Self::Day(column), Cell::Day(day)) => column.append_value(*day),
            (Self::Moment(column), Cell::Moment(moment)) => column.append_value(*moment),
            (column, Cell::Null) => column.add_null(),
            _ => return Err(Misfit),
        }
        Ok(())
    }

    fn add_null(&mut self) {
        match self {
            Self::Flag(column) => column.append_null(),
            Self::Whole(column) => column.append_null(),
            Self::Real(column) => column.append_null(),
            Self::Text(column) => column.append_null(),
            Self::Day(column) => column.append_null(),
            Self::Moment(column) => column.append_null(),
        }
    }

    fn finish(&mut self) -> ArrayRef {
        match self {
            Self::Flag(column) => Arc::new(column.finish()),
            Self::Whole(column) => Arc::new(column.finish()),
            Self::Real(column) => Arc::new(column.finish()),
            Self::Text(column) => Arc::new(column.finish()),
            Self::Day(column) => Arc::new(column.finish()),
            Self::Moment(column) => Arc::new(column.finish()),
        }
    }
}

/// A batch is taken once its values have this many bytes, however few rows they are.
const BATCH_BYTES: usize = 4 << 20;

#[cfg(test)]
mod tests {
    use arrow::array::Array;
    use arrow::datatypes::{Field, Schema};

    use super::*;

    fn rows_of(kind: DataType) -> Rows {
        Rows::new(Arc::new(Schema::new(vec![Field::new("x", kind, true)])))
    }

    #[track_caller]
    fn check_kept(kind: DataType, cell: Cell<'_>) {
        let mut rows = rows_of(kind.clone());
        for cell in [&cell, &Cell::Null] {
            rows.add(0, cell).unwrap();
            rows.end_row();
        }
        let batch = rows.take().unwrap().unwrap();
        let column = batch.column(0);
        assert_eq!(column.data_type(), &kind);
        assert_eq!((column.len(), column.null_count()), (2, 1));
        assert_eq!(rows.take().unwrap(), None);
    }

    #[test]
    fn values_of_every_type_are_kept() {
        check_kept(DataType::Boolean, Cell::Flag(true));
        check_kept(DataType::Int64, Cell::Whole(7));
        check_kept(DataType::Float64, Cell::Real(0.5));
        check_kept(DataType::Utf8, Cell::Text("x"));
        check_kept(DataType::Date32, Cell::Day(7));
        for zone in [None, Some("+00:00".into())] {
            let kind = DataType::Timestamp(TimeUnit::Microsecond, zone);
            check_kept(kind, Cell::Moment(7));
        }
    }

    #[test]
    fn values_of_another_type_are_refused() {
        assert_eq!(
            rows_of(DataType::Int64).add(0, &Cell::Text("1")),
            Err(Misfit)
        );
        assert_eq!(rows_of(DataType::Utf8).add(0, &Cell::Whole(1)), Err(Misfit));
        assert_eq!(
            rows_of(DataType::Int64).add(1, &Cell::Whole(1)),
            Err(Misfit)
        );
    }

    #[test]
    fn few_long_rows_fill_a_batch() {
        let mut rows = rows_of(DataType::Utf8);
        let text = "x".repeat(BATCH_BYTES / 2);
        rows.add(0, &Cell::Text(&text)).unwrap();
        assert!(!rows.end_row());
        rows.add(0, &Cell::Text(&text)).unwrap();
        assert!(rows.end_row());
    }
}
