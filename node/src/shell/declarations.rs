//! `[facts]` of node.toml enters the node's history together with the rules in force: what the unit's record of processing is made of.

use aquifer_shared::base::time::Timestamp;
use aquifer_shared::domain::facts::{Based, FactsConfig, FactsError, Site, declares_rules};
use aquifer_shared::domain::history::Event;
use aquifer_shared::domain::law::{Key, Transfer, Word as _};

use super::config::CONFIG_FILE;
use crate::core::gatekeeper::{Gatekeeper, People};

/// What enters the history at a start: the rules in force and, where `[facts]` is there, parties, purposes that have a basis at this unit,
/// measures.
///
/// # Errors
///
/// A word of `[facts]` that is none, a text that claims what no log can show, or bases in it: those are in `[people.basis]`.
pub fn declared(
    facts: Option<&FactsConfig>,
    gatekeeper: Option<&Gatekeeper>,
    now: Timestamp,
) -> Result<Vec<Event>, FactsError> {
    let Some(gatekeeper) = gatekeeper else {
        return match facts {
            None => Ok(Vec::new()),
            Some(_) => Err(FactsError::new(
                CONFIG_FILE,
                "there is no [people], expected one: it declares the purposes",
            )),
        };
    };
    let (book, people) = (gatekeeper.book(), gatekeeper.people());
    let mut events = vec![declares_rules(book)];
    if let Some(facts) = facts {
        if !facts.basis.is_empty() {
            let what = "basis is here, expected in [people.basis], by which is decided";
            return Err(FactsError::new(CONFIG_FILE, what));
        }
        let purposes = book.purposes().iter();
        let based = purposes.filter_map(|own| Some((own, *people.basis.get(&own.id)?)));
        let based: Based<'_> = based.collect();
        let site = Site {
            file: CONFIG_FILE,
            book,
            places: &[people.place],
            categories: people.categories,
            columns: &people.columns,
            transfers: transfers(people),
            retention_days: gatekeeper.limit(Key::ScoreRetentionMaxDays, now),
        };
        events.extend(facts.events(&site, &based)?);
    }
    Ok(events)
}

/// That noisy sums go to another country, and with which tool.
fn transfers(people: &People) -> Vec<String> {
    match people.transfer {
        Transfer::Within => Vec::new(),
        tool => {
            let from = people.controller.as_str();
            vec![format!(
                "noisy sums from {from} to the coordinator: {}",
                tool.word()
            )]
        }
    }
}

#[cfg(test)]
#[path = "declarations_tests.rs"]
pub(in crate::shell) mod tests;
