//! What a log says was done with personal data, by purpose.

use std::collections::BTreeMap;

use super::log::{Fact, Log};
use crate::domain::history::{Json, Kind};

/// Uses of a purpose.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Uses {
    /// Entries, in order.
    pub(super) entries: Vec<u64>,
}

/// All processing, by purpose; synthetic studies hold nobody's data. Names of purposes are those of the entries: declared or not.
pub(super) fn uses(log: &Log) -> BTreeMap<String, Uses> {
    let studies = studies(log);
    let mut all: BTreeMap<String, Uses> = BTreeMap::new();
    for fact in log.facts().iter().filter(|fact| is_use(fact)) {
        let study = fact.text("study").and_then(|study| studies.get(study));
        if is_made_up(fact) || study.is_some_and(|study| study.is_made_up) {
            continue;
        }
        let purpose = fact.text("purpose").or(study.map(|study| study.purpose));
        let mut purposes = listed(fact);
        if purposes.is_empty() {
            purposes.push(purpose.unwrap_or("unnamed"));
        }
        for purpose in purposes {
            let uses = all.entry(purpose.to_owned()).or_default();
            uses.entries.push(fact.index);
        }
    }
    all
}

/// Purposes of an entry that has several: a table is read once for all of them.
fn listed(fact: &Fact) -> Vec<&str> {
    match fact.payload.get("purposes") {
        Some(Json::List(purposes)) => purposes.iter().filter_map(Json::as_text).collect(),
        _ => Vec::new(),
    }
}

/// What the first entry that names a study's purpose says of it.
struct Study<'a> {
    purpose: &'a str,
    is_made_up: bool,
}

fn studies(log: &Log) -> BTreeMap<&str, Study<'_>> {
    let mut all = BTreeMap::new();
    let naming = log.facts().iter();
    for fact in naming.filter(|fact| NAMING.contains(&fact.kind)) {
        if let (Some(study), Some(purpose)) = (fact.text("study"), fact.text("purpose")) {
            let is_made_up = is_made_up(fact);
            all.entry(study).or_insert(Study {
                purpose,
                is_made_up,
            });
        }
    }
    all
}

/// Whether an entry says that data of persons were read, or paid for.
fn is_use(fact: &Fact) -> bool {
    // A write-off of a ledger is no processing: it has no purpose, and says so.
    if fact.text("pays") == Some("write-off") {
        return false;
    }
    match fact.kind {
        // Of the decisions, those that let a file about persons be written.
        Kind::PolicyDecision => {
            fact.payload.get("export") == Some(&Json::Flag(true))
                && fact.text("verdict") == Some("allow")
        }
        kind => KINDS.contains(&kind),
    }
}

fn is_made_up(fact: &Fact) -> bool {
    fact.payload.get("synthetic") == Some(&Json::Flag(true))
}

/// What reads data of persons, or spends for it.
const KINDS: [Kind; 7] = [
    Kind::DatasetRegistered,
    Kind::StudyProposed,
    Kind::QueryPlanned,
    Kind::BudgetReserved,
    Kind::BudgetSpent,
    Kind::PredictionServed,
    Kind::ScoreSuppressed,
];
/// What names a study's purpose.
const NAMING: [Kind; 4] = [
    Kind::StudyProposed,
    Kind::QueryPlanned,
    Kind::StudyApproved,
    Kind::BudgetReserved,
];
