//! The file of scores: CSV or Parquet, with the same columns. Readable for its owner alone; never in place of another, never half.
//! A customer who is suppressed has a line without any score.

use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use arrow::array::{ArrayRef, Float64Array, Int32Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use parquet::arrow::ArrowWriter;

/// How scores are written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Format {
    /// Text with a heading.
    Csv,
    /// Typed columns.
    Parquet,
}

/// One customer's line.
///
/// # Privacy
///
/// About a person: it has no `Debug`, and goes to the unit's own file alone.
pub struct Scored<'a> {
    /// The unit's own name for the customer.
    pub customer: &'a str,
    /// What the model says; none where the customer is suppressed.
    pub points: Option<Points>,
}

/// What the model says about one customer.
///
/// # Privacy
///
/// As [`Scored`].
pub struct Points {
    /// Of the label.
    pub probability: f64,
    /// In F-ths of log-odds.
    pub score: i32,
    /// The strongest contributions in words; none where nobody asked for them.
    pub reasons: Option<String>,
}

impl Format {
    /// What a file's name asks for; none where it asks for neither.
    #[must_use]
    pub fn of(path: &Path) -> Option<Self> {
        let end = path.extension()?.to_str()?.to_ascii_lowercase();
        match end.as_str() {
            "csv" => Some(Self::Csv),
            "parquet" => Some(Self::Parquet),
            _ => None,
        }
    }
}

/// Writes all lines into a new file; `with_reasons` says whether there is a column for them.
///
/// # Errors
///
/// The file exists or cannot be written; nothing is left of it then.
///
/// # Privacy
///
/// The file is made with mode 0600.
pub fn write<'a>(
    path: &Path,
    format: Format,
    with_reasons: bool,
    lines: impl Iterator<Item = Scored<'a>>,
) -> anyhow::Result<()> {
    let failed = || format!("could not write {}", path.display());
    let opened = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path);
    let file = opened.with_context(failed)?;
    let written = match format {
        Format::Csv => csv(file, with_reasons, lines),
        Format::Parquet => parquet(file, with_reasons, lines),
    };
    let synced = written.and_then(|file| Ok(file.sync_all()?));
    if synced.is_err() {
        // Half a file of scores is of no use, and is about people.
        drop(std::fs::remove_file(path));
    }
    synced.with_context(failed)
}

fn csv<'a>(
    file: File,
    with_reasons: bool,
    lines: impl Iterator<Item = Scored<'a>>,
) -> anyhow::Result<File> {
    let mut out = BufWriter::new(file);
    let names = &NAMES[..columns(with_reasons)];
    writeln!(out, "{}", names.join(","))?;
    for line in lines {
        write!(out, "{},", quoted(line.customer))?;
        let reasons = match line.points {
            Some(points) => {
                write!(out, "{:.6},{},{SCORED}", points.probability, points.score)?;
                points.reasons.unwrap_or_default()
            }
            None => {
                write!(out, ",,{SUPPRESSED}")?;
                String::new()
            }
        };
        if with_reasons {
            write!(out, ",{}", quoted(&reasons))?;
        }
        writeln!(out)?;
    }
    Ok(out.into_inner()?)
}

fn parquet<'a>(
    file: File,
    with_reasons: bool,
    mut lines: impl Iterator<Item = Scored<'a>>,
) -> anyhow::Result<File> {
    let schema = schema(with_reasons);
    let mut out = ArrowWriter::try_new(file, schema.clone(), None)?;
    loop {
        let block: Vec<Scored<'a>> = lines.by_ref().take(BLOCK_ROWS).collect();
        if block.is_empty() {
            return Ok(out.into_inner()?);
        }
        out.write(&batch(&schema, &block)?)?;
    }
}

fn schema(with_reasons: bool) -> SchemaRef {
    let types = [
        DataType::Utf8,
        DataType::Float64,
        DataType::Int32,
        DataType::Utf8,
        DataType::Utf8,
    ];
    let fields = NAMES.iter().zip(types).take(columns(with_reasons));
    let fields: Vec<Field> = fields
        .map(|(name, kind)| Field::new(*name, kind, !["customer", "state"].contains(name)))
        .collect();
    Arc::new(Schema::new(fields))
}

fn batch(schema: &SchemaRef, block: &[Scored<'_>]) -> anyhow::Result<RecordBatch> {
    let customers = block.iter().map(|line| line.customer);
    let points = || block.iter().map(|line| line.points.as_ref());
    let probabilities = points().map(|points| Some(points?.probability));
    let scores = points().map(|points| Some(points?.score));
    let states = points().map(|points| points.map_or(SUPPRESSED, |_| SCORED));
    let reasons = points().map(|points| points?.reasons.as_deref());
    let mut all: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from_iter_values(customers)),
        Arc::new(probabilities.collect::<Float64Array>()),
        Arc::new(scores.collect::<Int32Array>()),
        Arc::new(StringArray::from_iter_values(states)),
        Arc::new(reasons.collect::<StringArray>()),
    ];
    all.truncate(schema.fields().len());
    Ok(RecordBatch::try_new(schema.clone(), all)?)
}

fn columns(with_reasons: bool) -> usize {
    if with_reasons {
        NAMES.len()
    } else {
        NAMES.len() - 1
    }
}

/// A CSV field (RFC 4180).
fn quoted(field: &str) -> String {
    if field.contains(['"', ',', '\n', '\r']) {
        return format!("\"{}\"", field.replace('"', "\"\""));
    }
    field.to_owned()
}

const NAMES: [&str; 5] = ["customer", "probability", "score", "state", "reasons"];
/// State of a customer with a score.
const SCORED: &str = "scored";
/// State of a customer without one, whatever the reason is.
const SUPPRESSED: &str = "suppressed";
/// Rows of a Parquet file that are in memory at a time.
const BLOCK_ROWS: usize = 8_192;

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use arrow::array::AsArray;
    use arrow::datatypes::{Float64Type, Int32Type};
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

    use super::*;

    const COUNT: usize = BLOCK_ROWS + 2;

    /// Enough customers for two blocks; their ids need quotes in CSV.
    fn ids() -> Vec<String> {
        (0..COUNT).map(|row| format!("c,{row}")).collect()
    }

    fn lines(ids: &[String]) -> impl Iterator<Item = Scored<'_>> {
        ids.iter().enumerate().map(|(row, id)| Scored {
            customer: id,
            points: (row % 5 != 4).then(|| Points {
                probability: row as f64 / COUNT as f64,
                score: row as i32 - 5,
                reasons: Some(format!("plan: \"basic\" +{row}")),
            }),
        })
    }

    fn batches(path: &Path) -> Vec<RecordBatch> {
        let file = File::open(path).unwrap();
        let reader = ParquetRecordBatchReaderBuilder::try_new(file)
            .unwrap()
            .build();
        reader.unwrap().map(Result::unwrap).collect()
    }

    #[track_caller]
    fn check_format(name: &str, expected: Option<Format>) {
        assert_eq!(Format::of(Path::new(name)), expected, "{name}");
    }

    #[test]
    fn a_name_says_the_format() {
        check_format("a/scores.csv", Some(Format::Csv));
        check_format("scores.parquet", Some(Format::Parquet));
        check_format("scores.v2.PARQUET", Some(Format::Parquet));
        for neither in [
            "scores",
            "scores.json",
            "scores.csv.gz",
            "scores.",
            ".csv",
            "csv",
        ] {
            check_format(neither, None);
        }
    }

    #[test]
    fn fields_are_quoted_where_they_must_be() {
        assert_eq!(quoted("c-1"), "c-1");
        assert_eq!(quoted("a,\"b\""), "\"a,\"\"b\"\"\"");
    }

    #[test]
    fn both_formats_hold_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let ids = ids();
        let (text, typed) = (folder.path().join("s.csv"), folder.path().join("s.parquet"));
        write(&text, Format::Csv, true, lines(&ids)).unwrap();
        write(&typed, Format::Parquet, true, lines(&ids)).unwrap();
        let text = fs::read_to_string(text).unwrap();
        let mut expected = text.lines();
        let heading = "customer,probability,score,state,reasons";
        assert_eq!(expected.next(), Some(heading));
        for batch in batches(&typed) {
            let names: Vec<&String> = batch
                .schema_ref()
                .fields()
                .iter()
                .map(|own| own.name())
                .collect();
            assert_eq!(names, NAMES);
            for row in 0..batch.num_rows() {
                let text =
                    |column: usize| quoted(batch.column(column).as_string::<i32>().value(row));
                let probability = batch.column(1).as_primitive::<Float64Type>();
                let score = batch.column(2).as_primitive::<Int32Type>();
                let suppressed = [1, 2, 4].map(|column| batch.column(column).is_null(row));
                let line = match suppressed {
                    [false, false, false] => format!(
                        "{},{:.6},{},scored,{}",
                        text(0),
                        probability.value(row),
                        score.value(row),
                        text(4)
                    ),
                    _ => format!("{},,,{},", text(0), text(3)),
                };
                assert_eq!(suppressed, [text(3) == "suppressed"; 3]);
                assert_eq!(Some(line.as_str()), expected.next());
            }
        }
        assert_eq!(expected.next(), None);
    }

    #[test]
    fn c3_objector_is_never_scored() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s.csv");
        let suppressed = Scored {
            customer: "c-1",
            points: None,
        };
        write(&path, Format::Csv, true, [suppressed].into_iter()).unwrap();
        let text = fs::read_to_string(path).unwrap();
        let expected = "customer,probability,score,state,reasons\nc-1,,,suppressed,\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn without_reasons_there_is_no_column_for_them() {
        let folder = tempfile::tempdir().unwrap();
        let ids = ids();
        let path = folder.path().join("s.parquet");
        write(&path, Format::Parquet, false, lines(&ids)).unwrap();
        assert!(batches(&path).iter().all(|batch| batch.num_columns() == 4));
        let path = folder.path().join("s.csv");
        write(&path, Format::Csv, false, lines(&ids[..1])).unwrap();
        let text = fs::read_to_string(path).unwrap();
        let expected = "customer,probability,score,state\n\"c,0\",0.000000,-5,scored\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn a_file_is_for_its_owner_and_never_in_place_of_another() {
        let folder = tempfile::tempdir().unwrap();
        for (name, format) in [("s.csv", Format::Csv), ("s.parquet", Format::Parquet)] {
            let path = folder.path().join(name);
            write(&path, format, true, lines(&ids())).unwrap();
            let mode = fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
            let before = fs::read(&path).unwrap();
            assert!(write(&path, format, true, lines(&[])).is_err());
            assert_eq!(fs::read(&path).unwrap(), before, "{name}");
        }
    }
}
