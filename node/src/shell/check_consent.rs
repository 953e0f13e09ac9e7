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

#[cfg(test)]
mod tests {
    use aquifer_shared::domain::history::{Json, Kind};

    use super::*;
    use crate::core::consent::{AgeSaid, ConsentEvent, EventKind, Scope};
    use crate::core::table::TableBuilder;
    use crate::shell::consent::{ConsentFault, EventKey, Told};

    #[track_caller]
    fn check(ids: &[&str], without_row: u64, is_problem: bool) {
        let folder = tempfile::tempdir().unwrap();
        let key = subject_key::load(folder.path()).unwrap();
        let mut builder = TableBuilder::new(vec![1], None);
        for customer in ["42", "43"] {
            builder.push([0], true, customer, false).unwrap();
        }
        let table = builder.finish();
        assert!(ConsentReport::of(folder.path(), &table).unwrap().is_none());
        let event = |id: &&str| ConsentEvent {
            subject: key.subject(id),
            scope: Scope::All,
            kind: EventKind::Withdrawn,
            explicit: false,
            notice: None,
            event_at: 1,
            recorded_at: 1,
            valid_from: None,
            valid_until: None,
            age: AgeSaid::Unsaid,
            place: None,
            order: 0,
        };
        let mut events = ids
            .iter()
            .map(|id| (EventKey::of(&key, "crm", id), event(id)));
        let mut ledger = ConsentLedger::open(folder.path()).unwrap();
        let written = ledger.write::<ConsentFault>(
            || 1,
            |_| Ok(events.next()),
            |written| {
                Ok(Some(Told {
                    kind: Kind::ImportBatch,
                    subject: None,
                    payload: Json::Object(written.facts("crm")),
                }))
            },
        );
        written.unwrap();
        let report = ConsentReport::of(folder.path(), &table).unwrap().unwrap();
        assert_eq!(
            (report.persons, report.without_row),
            (ids.len() as u64, without_row)
        );
        assert_eq!(report.problem().is_some(), is_problem);
        let mut text = String::new();
        report.write(&mut text).unwrap();
        assert!(
            text.contains(&format!("{without_row} of them without a row")),
            "{text}"
        );
    }

    #[test]
    fn ids_that_match_no_row_are_a_problem() {
        check(&["42", "43"], 0, false);
        check(&["42", "77"], 1, false);
        check(&["042", "043"], 2, true);
    }
}
