//! The lines of one person in a file of scores that the unit made.

use std::fs::File;
use std::path::Path;

use anyhow::{Context as _, bail, ensure};
use aquifer_shared::base::limits::{SCORES_FILE_BYTES_MAX, SCORES_OF_PERSON_MAX};
use serde::Serialize;
use std::collections::BTreeMap;

/// One line: what its columns say, without the customer's id.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct ScoreLine(pub BTreeMap<String, String>);

/// Looks for a customer in a CSV file as `aquifer-node score` writes it.
///
/// # Errors
///
/// The file cannot be read, is too large, or is no such file. No value of it is named.
///
/// # Privacy
///
/// Lines of other customers are passed over and not kept.
pub(super) fn of_person(path: &Path, id: &str) -> anyhow::Result<Vec<ScoreLine>> {
    let shown = path.display();
    let file = File::open(path).with_context(|| format!("could not open {shown}"))?;
    let bytes = file.metadata().map(|facts| facts.len());
    let bytes = bytes.with_context(|| format!("could not look at {shown}"))?;
    ensure!(
        bytes <= SCORES_FILE_BYTES_MAX,
        "{shown} has {bytes} bytes, at most {SCORES_FILE_BYTES_MAX} are allowed"
    );
    let mut reader = csv::Reader::from_reader(file);
    // What a reader quotes may be a value.
    let Ok(headings) = reader.headers().cloned() else {
        bail!("{shown} is not CSV: expected a file of `aquifer-node score --out NAME.csv`");
    };
    let place = headings.iter().position(|heading| heading == CUSTOMER);
    let place = place.with_context(|| {
        format!("{shown} has no column {CUSTOMER:?}: expected a file of `aquifer-node score --out NAME.csv`")
    })?;
    let mut found = Vec::new();
    let mut record = csv::StringRecord::new();
    loop {
        let number = reader.position().line();
        match reader.read_record(&mut record) {
            Ok(false) => return Ok(found),
            Ok(true) => {}
            Err(error) => bail!("{shown}: line {number} {}", unlike(&error, headings.len())),
        }
        if record.get(place).is_none_or(|own| own.trim() != id.trim()) {
            continue;
        }
        ensure!(
            found.len() < SCORES_OF_PERSON_MAX,
            "{shown} has more than {SCORES_OF_PERSON_MAX} lines of one customer"
        );
        let columns = headings.iter().zip(&record).enumerate();
        let columns = columns.filter(|(own, _)| *own != place);
        let line = columns.map(|(_, (heading, value))| (heading.to_owned(), value.to_owned()));
        found.push(ScoreLine(line.collect()));
    }
}

/// What is wrong with a line, without a word of it.
fn unlike(error: &csv::Error, expected: usize) -> String {
    match error.kind() {
        csv::ErrorKind::UnequalLengths { len, .. } => {
            format!("has {len} fields, expected {expected} as in the first line")
        }
        csv::ErrorKind::Utf8 { .. } => {
            format!("is not text in UTF-8, expected {expected} fields of text")
        }
        _ => format!("cannot be read, expected {expected} fields as in the first line"),
    }
}

/// As files of scores call the customer's id.
const CUSTOMER: &str = "customer";
