//! The mapping file: what the columns and words of a source mean. Every word must mean something, or nothing is written.

use std::collections::BTreeMap;
use std::path::Path;

use aquifer_shared::base::ids::Name;
use aquifer_shared::domain::law::Rulebook;
use aquifer_shared::shell::documents::read_document;
use serde::Deserialize;

use crate::core::consent::{AgeSaid, EventKind, Scope};

/// A mapping file, checked.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Mapping {
    /// Name of the source: events are known by it and the source's own id.
    pub source: String,
    /// How the file is written.
    pub format: Format,
    /// Column (or dotted path) of the customer.
    pub subject: String,
    /// Column of the event's own id; for wide files the customer with the moment stand for it.
    pub event_id: Option<String>,
    /// Column of the moment at which it happened.
    pub event_at: String,
    /// Column of the purpose, in long files.
    pub purpose: Option<String>,
    /// Column of the status, in long files.
    pub status: Option<String>,
    /// Words or columns of the source, and the purposes they stand for.
    pub purposes: BTreeMap<String, String>,
    /// Words of the source, and what happened.
    pub statuses: BTreeMap<String, String>,
    /// Column of the SHA-256 of the notice that was shown.
    pub notice: Option<String>,
    /// Column that says whether it was said in express words.
    pub explicit: Option<String>,
    /// Column of the end of the consent.
    pub valid_until: Option<String>,
    /// Column of the age band.
    pub age: Option<String>,
    /// Words of the source for age bands.
    #[serde(default)]
    pub ages: BTreeMap<String, String>,
    /// Column of the country or region.
    pub place: Option<String>,
    /// Column that marks tests.
    pub test: Option<String>,
    /// What the source says it has sent.
    #[serde(default)]
    pub totals: Totals,
}

/// How a file is written.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// CSV, a column for each purpose.
    CsvWide,
    /// CSV, a row for each event.
    CsvLong,
    /// One JSON object a line.
    Ndjson,
    /// JSON: an array of objects, or one object, such as a receipt.
    Json,
}

/// Figures of the source, to be held against what was read.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Totals {
    /// Rows or objects.
    pub rows: Option<u64>,
    /// Events that begin a consent.
    pub grants: Option<u64>,
    /// Events that end one or block a purpose.
    pub ends: Option<u64>,
}

/// A mapping that is wrong.
#[derive(Debug, thiserror::Error)]
#[error("{}: {problem}", path.display())]
pub struct MappingError {
    path: std::path::PathBuf,
    problem: String,
}

impl Mapping {
    /// Reads a mapping file.
    ///
    /// # Errors
    ///
    /// It is missing, is no TOML, has unknown keys or words, or leaves out what its format needs.
    pub fn load(path: &Path) -> Result<Self, MappingError> {
        let wrong = |problem: String| MappingError {
            path: path.to_owned(),
            problem,
        };
        let text = read_document(path).map_err(|error| wrong(format!("{error:#}")))?;
        let mapping: Self = toml::from_str(&text).map_err(|error| wrong(error.to_string()))?;
        match mapping.fault() {
            None => Ok(mapping),
            Some(problem) => Err(wrong(problem)),
        }
    }

    /// The first purpose of the mapping that the unit does not declare: what is said about it would count for nothing.
    #[must_use]
    pub fn undeclared(&self, book: &Rulebook) -> Option<Name> {
        let scopes = self.purposes.values();
        let names = scopes.filter_map(|written| match Scope::of_word(written) {
            Some(Scope::Purpose(name)) => Some(name),
            _ => None,
        });
        names
            .into_iter()
            .find(|name| book.purpose(name.as_str()).is_none())
    }

    fn fault(&self) -> Option<String> {
        if self.source.is_empty() || self.source.len() > SOURCE_BYTES_MAX {
            return Some(format!(
                "source has {} bytes, expected 1 to {SOURCE_BYTES_MAX}",
                self.source.len()
            ));
        }
        if self.purposes.is_empty() || self.statuses.is_empty() {
            return Some("[purposes] and [statuses] are empty, expected an entry for each word of the source".to_owned());
        }
        for (written, scope) in &self.purposes {
            if Scope::of_word(scope).is_none() {
                return Some(format!(
                    "purposes.{written:?} is {scope:?}, expected the name of a purpose, direct_marketing, sale_or_share or all"
                ));
            }
        }
        for (written, kind) in &self.statuses {
            if EventKind::of_word(kind).is_none() {
                let known: Vec<&str> = EventKind::ALL.iter().map(|kind| kind.word()).collect();
                return Some(format!(
                    "statuses.{written:?} is {kind:?}, expected one of {}",
                    known.join(", ")
                ));
            }
        }
        for (written, age) in &self.ages {
            if AgeSaid::of_word(age).is_none() {
                return Some(format!(
                    "ages.{written:?} is {age:?}, expected unknown, adult, minor or minor_with_guardian"
                ));
            }
        }
        let long = self.format != Format::CsvWide;
        if long && (self.purpose.is_none() || self.status.is_none() || self.event_id.is_none()) {
            return Some(
                "this format needs purpose, status and event_id: the names of their columns"
                    .to_owned(),
            );
        }
        None
    }
}

/// Longest name of a source.
const SOURCE_BYTES_MAX: usize = 64;
