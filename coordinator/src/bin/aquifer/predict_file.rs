//! Predictions for the rows of a file, batch by batch, into a new file.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use aquifer_coordinator::core::prediction::{self, InputError, absent};
use aquifer_shared::domain::predictor::prediction::{Explanation, Prediction, Value};
use aquifer_shared::shell::progress::Progress;
use aquifer_shared::shell::report::{self, Outcome};
use arrow::array::{ArrayRef, BooleanArray, Float64Array, RecordBatch, StringArray, UInt64Array};
use arrow::csv::Writer;
use parquet::arrow::ArrowWriter;
use serde_json::json;

use crate::args::PredictArguments;
use crate::client::Session;
use crate::out::{NewFile, Taken};
use crate::predict::Ready;
use crate::rows::{Column, Rows};

/// What was read so far, for people.
#[derive(Default)]
struct Told {
    rows: u64,
    /// Decisions for yes.
    yes: u64,
    /// Values outside the list of levels, by feature.
    unlisted: BTreeMap<String, u64>,
}

/// Predicts for every row of `input`.
///
/// # Errors
///
/// A file that cannot be read or written.
pub(crate) fn run(
    session: &Session,
    ready: &Ready,
    asked: &PredictArguments,
    input: &Path,
    out: &Path,
) -> anyhow::Result<Outcome> {
    match predict(ready, asked, input, out) {
        Ok((told, notes)) => {
            print(session, out, &told, notes)?;
            Ok(Outcome::Done)
        }
        Err(error) if error.is::<InputError>() => {
            report::refuse(session.json, "input", &report::chain(&error))
        }
        Err(error) if error.is::<Taken>() => {
            report::refuse(session.json, "taken", &report::chain(&error))
        }
        Err(error) => Err(error),
    }
}

fn predict(
    ready: &Ready,
    asked: &PredictArguments,
    input: &Path,
    out: &Path,
) -> anyhow::Result<(Told, Vec<String>)> {
    let mut rows = Rows::open(input)?;
    let places = prediction::columns(&rows.names, &ready.predictor, ready.contract.as_ref())?;
    let names = rows.names.clone();
    let notes = absent(&ready.predictor, |name| {
        names.iter().any(|known| known == name)
    });
    let (new, file) = NewFile::create(out)?;
    let mut sink = Sink::new(file, out);
    let mut progress = Progress::new("predicting", rows.total.0, rows.total.1);
    let mut told = Told::default();
    while let Some(batch) = rows.next()? {
        let predicted = predict_batch(ready, asked, &places, &batch, &mut told)?;
        let could_not = || format!("could not write {}", out.display());
        sink.write(&predicted).with_context(could_not)?;
        progress.reach(rows.position());
    }
    sink.finish()
        .with_context(|| format!("could not write {}", out.display()))?;
    drop(progress);
    if told.rows == 0 {
        return Err(InputError::Empty.into());
    }
    new.keep()?;
    Ok((told, notes.into_iter().collect()))
}

fn predict_batch(
    ready: &Ready,
    asked: &PredictArguments,
    places: &[Option<usize>],
    batch: &RecordBatch,
    told: &mut Told,
) -> anyhow::Result<RecordBatch> {
    let column = |place: &Option<usize>| place.map(|index| Column::of(batch, index)).transpose();
    let columns = places.iter().map(column).collect::<Result<Vec<_>, _>>()?;
    let value = |feature: usize, row: usize| {
        columns[feature]
            .as_ref()
            .map_or(Value::Missing, |column| column.value(row))
    };
    let predictor = &ready.predictor;
    let mut predictions = Vec::with_capacity(batch.num_rows());
    let mut explanations = Vec::new();
    for row in 0..batch.num_rows() {
        let number = told.rows + row as u64 + 1;
        let features = predictor.names().iter().zip(predictor.meanings());
        for (feature, (name, meaning)) in features.enumerate() {
            prediction::check(value(feature, row), meaning, name, Some(number))?;
            if prediction::is_unlisted(value(feature, row), meaning) {
                *told.unlisted.entry(name.clone()).or_default() += 1;
            }
        }
        let mut features = 0..;
        // Values are asked for once per feature, in the model's order.
        let cells = predictor.cells(|_| {
            features
                .next()
                .map_or(Value::Missing, |own| value(own, row))
        });
        predictions.push(predictor.predict(&cells, Some(asked.threshold)));
        if asked.explain {
            explanations.push(predictor.explain(&cells, Some(asked.threshold)));
        }
    }
    let first = told.rows + 1;
    told.rows += predictions.len() as u64;
    told.yes += predictions
        .iter()
        .filter(|own| own.decision == Some(true))
        .count() as u64;
    Ok(output(
        first,
        &predictions,
        &explanations,
        predictor.names(),
    )?)
}

/// Row number, probability, score and decision; with explanations also what each feature adds, and the smallest change.
fn output(
    first: u64,
    predictions: &[Prediction],
    explanations: &[Explanation],
    names: &[String],
) -> Result<RecordBatch, arrow::error::ArrowError> {
    let numbers = |each: &dyn Fn(&Prediction) -> f64| -> ArrayRef {
        Arc::new(
            predictions
                .iter()
                .map(|own| Some(each(own)))
                .collect::<Float64Array>(),
        )
    };
    let rows = UInt64Array::from_iter_values((first..).take(predictions.len()));
    let decisions: BooleanArray = predictions.iter().map(|own| own.decision).collect();
    let mut columns: Vec<(String, ArrayRef)> = vec![
        ("row".to_owned(), Arc::new(rows)),
        ("probability".to_owned(), numbers(&|own| own.probability)),
        ("score".to_owned(), numbers(&|own| own.score)),
        ("decision".to_owned(), Arc::new(decisions)),
    ];
    if !explanations.is_empty() {
        for (feature, name) in names.iter().enumerate() {
            let added = explanations
                .iter()
                .map(|own| Some(own.contributions[feature].log_odds));
            let added: ArrayRef = Arc::new(added.collect::<Float64Array>());
            columns.push((format!("log_odds.{name}"), added));
        }
        let change =
            |own: &Explanation| own.counterfactual.as_ref().map(|change| change.sentence());
        let changes: StringArray = explanations.iter().map(change).collect();
        columns.push(("change".to_owned(), Arc::new(changes)));
    }
    RecordBatch::try_from_iter_with_nullable(
        columns.into_iter().map(|(name, array)| (name, array, true)),
    )
}

/// Where predictions go.
enum Sink {
    Csv(Box<Writer<File>>),
    /// The schema is known with the first batch.
    Parquet(Option<File>, Option<Box<ArrowWriter<File>>>),
}

impl Sink {
    fn new(file: File, out: &Path) -> Self {
        let parquet = out
            .extension()
            .is_some_and(|end| end.eq_ignore_ascii_case("parquet"));
        if parquet {
            return Self::Parquet(Some(file), None);
        }
        Self::Csv(Box::new(Writer::new(file)))
    }

    fn write(&mut self, batch: &RecordBatch) -> anyhow::Result<()> {
        match self {
            Self::Csv(writer) => Ok(writer.write(batch)?),
            Self::Parquet(file, writer) => {
                if let Some(file) = file.take() {
                    *writer = Some(Box::new(ArrowWriter::try_new(file, batch.schema(), None)?));
                }
                writer
                    .as_mut()
                    .map_or(Ok(()), |writer| Ok(writer.write(batch)?))
            }
        }
    }

    fn finish(self) -> anyhow::Result<()> {
        if let Self::Parquet(_, Some(writer)) = self {
            writer.close()?;
        }
        Ok(())
    }
}

fn print(session: &Session, out: &Path, told: &Told, mut notes: Vec<String>) -> anyhow::Result<()> {
    for (name, count) in &told.unlisted {
        notes.push(format!(
            "{name}: {count} values are none of its levels and count as missing"
        ));
    }
    let file = out.display().to_string();
    if session.json {
        let (rows, yes) = (told.rows, told.yes);
        return report::print_json(
            &json!({"rows": rows, "decided_yes": yes, "file": file, "notes": notes}),
        );
    }
    notes
        .iter()
        .for_each(|note| report::note(&report::printable(&format!("note: {note}"))));
    let (rows, yes) = (told.rows, told.yes);
    report::print(&format!(
        "{rows} predictions ({yes} decided yes) in {file}\n"
    ))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use arrow::array::{AsArray, Int32Array};
    use arrow::datatypes::Float64Type;
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

    use super::*;
    use crate::args::InputKind;
    use crate::predict::ready;

    fn asked(explain: bool) -> PredictArguments {
        PredictArguments {
            model: Some("churn".to_owned()),
            model_file: None,
            input: InputKind::Segment,
            object: None,
            file: None,
            out: None,
            threshold: 0.5,
            explain,
        }
    }

    /// Predicts for a CSV text; the rows of the file that this gives, or the error. Nothing else may be left behind.
    fn predicted(text: &[u8]) -> Result<Vec<String>, String> {
        let folder = tempfile::tempdir().unwrap();
        let (input, out) = (folder.path().join("in.csv"), folder.path().join("out.csv"));
        fs::write(&input, text).unwrap();
        let ended = predict(&ready(), &asked(false), &input, &out);
        let files = fs::read_dir(folder.path()).unwrap().count();
        assert_eq!(files, 1 + usize::from(ended.is_ok()));
        ended.map_err(|error| report::chain(&error))?;
        let text = fs::read_to_string(&out).unwrap();
        Ok(text.lines().map(str::to_owned).collect())
    }

    #[track_caller]
    fn check_refused(text: &[u8], expected: &str) {
        let told = predicted(text).unwrap_err();
        assert!(told.contains(expected), "{told}");
    }

    #[test]
    fn every_row_gets_its_prediction() {
        let lines = predicted(b"plan,tenure\nbasic,1\nplus,60\n,\n").unwrap();
        assert_eq!(lines[0], "row,probability,score,decision");
        let probability =
            |row: usize| -> f64 { lines[row].split(',').nth(1).unwrap().parse().unwrap() };
        assert_eq!(lines.len(), 4);
        assert!(probability(1) > probability(2), "{lines:?}");
    }

    #[test]
    fn a_byte_order_mark_is_no_part_of_a_name() {
        assert_eq!(predicted(b"\xef\xbb\xbftenure\n1\n").unwrap().len(), 2);
    }

    #[test]
    fn bad_rows_are_named_and_not_quoted() {
        let mut rows = "tenure\n".to_owned() + &"1\n".repeat(9_000);
        rows.push_str("secret\n");
        let told = predicted(rows.as_bytes()).unwrap_err();
        assert!(
            told.contains("row 9001") && !told.contains("secret"),
            "{told}"
        );
        check_refused(b"tenure,plan\n1,plus\n1\n", "line 3");
    }

    #[test]
    fn files_that_are_none_are_refused() {
        check_refused(b"", "empty");
        check_refused(b"tenure\n", "empty");
        check_refused(b"PAR1 or not", "could not read");
        check_refused(b"customer_no,tenure\n1,2\n", "names single customers");
        check_refused(b"tenure\n\xff\xfe\n", "UTF-8");
    }

    #[test]
    fn parquet_in_and_out_with_explanations() {
        let folder = tempfile::tempdir().unwrap();
        let (input, out) = (folder.path().join("in"), folder.path().join("out.parquet"));
        let tenure: ArrayRef = Arc::new(Int32Array::from(vec![Some(1), None]));
        let plan: ArrayRef = Arc::new(StringArray::from(vec!["basic", "gold"]));
        let batch = RecordBatch::try_from_iter([("tenure", tenure), ("plan", plan)]).unwrap();
        let file = File::create(&input).unwrap();
        let mut writer = ArrowWriter::try_new(file, batch.schema(), None).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
        let (told, _) = predict(&ready(), &asked(true), &input, &out).unwrap();
        assert_eq!((told.rows, told.unlisted["plan"]), (2, 1));
        let read = ParquetRecordBatchReaderBuilder::try_new(File::open(&out).unwrap()).unwrap();
        let batch = read.build().unwrap().next().unwrap().unwrap();
        let names: Vec<_> = batch
            .schema()
            .fields()
            .iter()
            .map(|own| own.name().clone())
            .collect();
        assert_eq!(
            names,
            [
                "row",
                "probability",
                "score",
                "decision",
                "log_odds.tenure",
                "log_odds.plan",
                "change"
            ]
        );
        let added = |name: &str| {
            batch
                .column_by_name(name)
                .unwrap()
                .as_primitive::<Float64Type>()
                .value(0)
        };
        assert!(added("log_odds.tenure") > 0.0 && added("log_odds.plan") > 0.0);
    }
}
