//! What a log says was done with personal data, by purpose.

use std::collections::BTreeMap;

use super::log::Log;
use crate::domain::history::{Json, Kind};

/// Uses of a purpose.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Uses {
    /// Entries, in order.
    pub(super) entries: Vec<u64>,
}

/// All processing, by purpose; synthetic studies hold nobody's data. Names of purposes are those of the entries: declared or not.
pub(super) fn uses(log: &Log) -> BTreeMap<String, Uses> {
    let mut all: BTreeMap<String, Uses> = BTreeMap::new();
    for fact in log.facts() {
        let is_use = KINDS.contains(&fact.kind);
        if !is_use || fact.payload.get("synthetic") == Some(&Json::Flag(true)) {
            continue;
        }
        // A write-off of a ledger is no processing: it has no purpose, and says so.
        if fact.text("pays") == Some("write-off") {
            continue;
        }
        let purpose = fact
            .text("purpose")
            .or_else(|| of_study(log, fact.text("study")?));
        let purpose = purpose.unwrap_or("unnamed");
        let uses = all.entry(purpose.to_owned()).or_default();
        uses.entries.push(fact.index);
    }
    all
}

/// The purpose of a study, from its proposal.
fn of_study<'a>(log: &'a Log, study: &str) -> Option<&'a str> {
    let mut all = log
        .facts()
        .iter()
        .filter(|fact| NAMING.contains(&fact.kind));
    let found =
        all.find(|fact| fact.text("study") == Some(study) && fact.text("purpose").is_some());
    found?.text("purpose")
}

/// What reads data of persons, or spends for it.
const KINDS: [Kind; 5] = [
    Kind::StudyProposed,
    Kind::QueryPlanned,
    Kind::BudgetReserved,
    Kind::BudgetSpent,
    Kind::PredictionServed,
];
/// What names a study's purpose.
const NAMING: [Kind; 4] = [
    Kind::StudyProposed,
    Kind::QueryPlanned,
    Kind::StudyApproved,
    Kind::BudgetReserved,
];
