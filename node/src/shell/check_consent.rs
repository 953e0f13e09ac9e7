//! Consent records held against the training table: part of `aquifer-node check`, for the unit's own people.

use std::collections::HashSet;
use std::fmt::Write;
use std::path::Path;

use serde::Serialize;

use super::consent::{ConsentLedger, LEDGER_FILE};
use super::subject_key;
use crate::core::table::Table;

/// How many persons of the consent records have a row.
///
/// # Privacy
///
/// Exact numbers for the unit's own people; never sent.
#[derive(Debug, Serialize)]
pub struct ConsentReport {
    /// Persons about whom something is written down.
    persons: u64,
    /// Those of them without a row in the training table.
    without_row: u64,
}

impl ConsentReport {
    /// Looks; none where there are no records.
    ///
    /// # Errors
    ///
    /// The ledger or its key cannot be read.
    pub fn of(directory: &Path, table: &Table) -> anyhow::Result<Option<Self>> {
        if !directory.join(LEDGER_FILE).exists() {
            return Ok(None);
        }
        let key = subject_key::load(directory)?;
        let rows: HashSet<_> = (0..table.rows())
            .map(|row| key.subject(table.customer(row)))
            .collect();
        let persons = ConsentLedger::open(directory)?.persons()?;
        let without = persons.iter().filter(|person| !rows.contains(person));
        let without_row = without.count() as u64;
        Ok((!persons.is_empty()).then_some(Self {
            persons: persons.len() as u64,
            without_row,
        }))
    }

    /// Ids that match nowhere are a mistake; some that do not may be of customers who left.
    pub fn problem(&self) -> Option<String> {
        (self.persons == self.without_row).then(|| {
            format!(
                "none of the {} persons in the consent records has a row in the training table: are ids written as in the table?",
                self.persons
            )
        })
    }

    /// For people.
    ///
    /// # Errors
    ///
    /// Never for a string.
    pub fn write(&self, out: &mut String) -> std::fmt::Result {
        writeln!(
            out,
            "\nconsent: records of {} persons, {} of them without a row in the training table (customers who left, or ids that are written otherwise)",
            self.persons, self.without_row
        )
    }
}
