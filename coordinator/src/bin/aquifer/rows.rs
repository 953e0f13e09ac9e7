//! Rows of a CSV or Parquet file in batches, each column as numbers or as text.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek};
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use anyhow::Context;
use aquifer_coordinator::core::prediction::InputError;
use aquifer_shared::domain::predictor::prediction::Value;
use aquifer_shared::shell::progress::Counted;
use arrow::array::{Array, AsArray, Float64Array, RecordBatch, StringArray};
use arrow::compute::cast;
use arrow::csv::ReaderBuilder;
use arrow::csv::reader::Format;
use arrow::datatypes::{DataType, Field, Float64Type, Schema};
use arrow::error::ArrowError;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

/// A file's rows, batch by batch.
pub(crate) struct Rows {
    /// Names of the columns, as in the file.
    pub(crate) names: Vec<String>,
    /// What progress counts, and how much there is of it.
    pub(crate) total: (u64, Counted),
    batches: Box<dyn Iterator<Item = Result<RecordBatch, ArrowError>>>,
    /// Bytes read; none where rows are counted.
    position: Option<Rc<Cell<u64>>>,
    rows: u64,
}

/// A column of a batch.
#[derive(Debug)]
pub(crate) enum Column {
    /// Numbers; NaN counts as missing.
    Numbers(Float64Array),
    /// Texts.
    Texts(StringArray),
}

impl Rows {
    /// Opens a file: Parquet if it starts like one, else CSV with a heading.
    ///
    /// # Errors
    ///
    /// It cannot be read, or has no heading.
    pub(crate) fn open(path: &Path) -> anyhow::Result<Self> {
        let could_not = || format!("could not read {}", path.display());
        let mut file = File::open(path).with_context(could_not)?;
        let mut start = [0; 4];
        let is_parquet = file.read_exact(&mut start).is_ok() && &start == PARQUET;
        file.rewind().with_context(could_not)?;
        if is_parquet {
            return parquet(file).with_context(could_not);
        }
        csv(file).with_context(could_not)
    }

    /// The next batch.
    ///
    /// # Errors
    ///
    /// A row that cannot be read.
    pub(crate) fn next(&mut self) -> anyhow::Result<Option<RecordBatch>> {
        let batch = self
            .batches
            .next()
            .transpose()
            .with_context(|| format!("the file cannot be read beyond row {}", self.rows))?;
        self.rows += batch.as_ref().map_or(0, |batch| batch.num_rows() as u64);
        Ok(batch)
    }

    /// How far reading is, in the unit of `total`.
    pub(crate) fn position(&self) -> u64 {
        self.position
            .as_ref()
            .map_or(self.rows, |bytes| bytes.get())
    }
}

impl Column {
    /// A column of a batch, as numbers or as text.
    ///
    /// # Errors
    ///
    /// A type that is neither.
    pub(crate) fn of(batch: &RecordBatch, index: usize) -> Result<Self, InputError> {
        let (array, schema) = (batch.column(index), batch.schema());
        let field = schema.field(index);
        let kind = || InputError::Kind {
            column: field.name().clone(),
            found: format!("values of type {}", field.data_type()),
        };
        let own = match field.data_type() {
            DataType::Dictionary(_, values) => values.as_ref(),
            other => other,
        };
        let target = match own {
            DataType::Float16
            | DataType::Float32
            | DataType::Float64
            | DataType::Decimal128(..) => DataType::Float64,
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Boolean => {
                DataType::Utf8
            }
            DataType::Null => DataType::Utf8,
            whole if whole.is_integer() => DataType::Utf8,
            _ => return Err(kind()),
        };
        let array = cast(array, &target).map_err(|_| kind())?;
        Ok(match target {
            DataType::Float64 => Self::Numbers(array.as_primitive::<Float64Type>().clone()),
            _ => Self::Texts(array.as_string::<i32>().clone()),
        })
    }

    /// The value of a row.
    pub(crate) fn value(&self, row: usize) -> Value<'_> {
        match self {
            Self::Numbers(array) if array.is_valid(row) && !array.value(row).is_nan() => {
                Value::Number(array.value(row))
            }
            Self::Texts(array) if array.is_valid(row) => Value::Text(array.value(row)),
            _ => Value::Missing,
        }
    }
}

fn parquet(file: File) -> anyhow::Result<Rows> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(file)?.with_batch_size(BATCH_ROWS);
    let names = builder
        .schema()
        .fields()
        .iter()
        .map(|field| field.name().clone());
    let names = names.collect();
    let rows = builder.metadata().file_metadata().num_rows();
    Ok(Rows {
        names,
        total: (u64::try_from(rows).unwrap_or(0), Counted::Items),
        batches: Box::new(builder.build()?),
        position: None,
        rows: 0,
    })
}

fn csv(mut file: File) -> anyhow::Result<Rows> {
    skip_byte_order_mark(&mut file)?;
    let total = file.metadata()?.len();
    let start = file.stream_position()?;
    let format = Format::default().with_header(true);
    let (heading, _) = format.infer_schema(BufReader::new(&mut file), Some(0))?;
    file.seek(io::SeekFrom::Start(start))?;
    let names: Vec<String> = heading
        .fields()
        .iter()
        .map(|field| field.name().clone())
        .collect();
    if names.iter().all(String::is_empty) {
        return Err(InputError::Empty.into());
    }
    let texts = names
        .iter()
        .map(|name| Field::new(name, DataType::Utf8, true));
    let schema = Arc::new(Schema::new(texts.collect::<Vec<_>>()));
    let position = Rc::new(Cell::new(0));
    let counted = CountingReader {
        inner: file,
        position: position.clone(),
    };
    let builder = ReaderBuilder::new(schema)
        .with_format(format)
        .with_batch_size(BATCH_ROWS);
    let batches = builder.build_buffered(BufReader::new(counted))?;
    Ok(Rows {
        names,
        total: (total, Counted::Bytes),
        batches: Box::new(batches),
        position: Some(position),
        rows: 0,
    })
}

/// Spreadsheet programs put three bytes in front that are no part of the first name.
fn skip_byte_order_mark(file: &mut File) -> io::Result<()> {
    let mut start = [0; 3];
    let marked = file.read_exact(&mut start).is_ok() && start == [0xef, 0xbb, 0xbf];
    file.seek(io::SeekFrom::Start(if marked { 3 } else { 0 }))?;
    Ok(())
}

struct CountingReader {
    inner: File,
    position: Rc<Cell<u64>>,
}

impl Read for CountingReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let got = self.inner.read(buffer)?;
        self.position.set(self.position.get() + got as u64);
        Ok(got)
    }
}

/// First bytes of a Parquet file.
const PARQUET: &[u8; 4] = b"PAR1";
/// Rows that are in memory at a time.
const BATCH_ROWS: usize = 8_192;
