//! `[facts]` of coordinator.toml enters the history together with the rules and purposes in force.

use aquifer_shared::base::time::Timestamp;
use aquifer_shared::domain::facts::{FactsConfig, FactsError, Site, declares_rules};
use aquifer_shared::domain::history::Event;
use aquifer_shared::domain::law::{self, Key, Transfer, Word};

use crate::core::gates::{Declared, Gates};

/// What enters the history at the start of a coordinator: the rules in force and, where `[facts]` is there, parties, purposes, measures.
///
/// # Errors
///
/// A word of `[facts]` that is not one, a purpose without a basis, a text that claims what no log can show.
pub fn declared(
    facts: Option<&FactsConfig>,
    gates: &Gates,
    now: Timestamp,
) -> Result<Vec<Event>, FactsError> {
    let rules = gates.book().zip(gates.declared());
    let Some((book, own)) = rules else {
        return match facts {
            None => Ok(Vec::new()),
            Some(_) => Err(FactsError::new(
                FILE,
                "there is no [law], expected one: it declares the purposes",
            )),
        };
    };
    let mut events = vec![declares_rules(book)];
    if let Some(facts) = facts {
        let site = Site {
            file: FILE,
            book,
            places: &own.places,
            categories: own.categories,
            columns: &own.columns,
            transfers: transfers(own),
            retention_days: gates.limit(Key::ScoreRetentionMaxDays, now),
        };
        events.extend(facts.events(&site, &facts.based(FILE, book)?)?);
    }
    Ok(events)
}

/// Places from which noisy sums go to another country, each with its tool.
fn transfers(own: &Declared) -> Vec<String> {
    if own.transfer == Transfer::Within {
        return Vec::new();
    }
    let home = own.controller.country();
    let abroad = own.places.iter().filter(|place| place.country() != home);
    let line = |place: &law::Place| {
        let (from, to) = (place.as_str(), home.as_str());
        format!("noisy sums from {from} to {to}: {}", own.transfer.word())
    };
    abroad.map(line).collect()
}

/// Where the section is.
const FILE: &str = "coordinator.toml";

#[cfg(test)]
#[path = "declarations_tests.rs"]
mod tests;
