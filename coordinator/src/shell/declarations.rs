//! `[facts]` of coordinator.toml: what notices, cards and records of processing say of parties, bases and measures. It enters the history
//! together with the rules and purposes in force.
//!
//! The history leaves the coordinator: offices and mailboxes belong here, names of people do not.

use std::collections::BTreeMap;

use aquifer_shared::base::time::Timestamp;
use aquifer_shared::domain::facts::{
    Basis, Declaration, Measure, Parties, declares_measures, declares_rules, forbidden, is_known,
};
use aquifer_shared::domain::history::Event;
use aquifer_shared::domain::law::proxy::categories_of;
use aquifer_shared::domain::law::{self, Key, Purpose, Rulebook, Transfer, Word};
use serde::{Deserialize, Serialize};

use crate::core::gates::{Declared, Gates};

/// `[facts]`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct FactsConfig {
    /// Who answers for the data.
    pub controller: String,
    /// Where people turn to.
    pub controller_contact: String,
    /// Who runs this coordinator.
    pub processor: String,
    /// Where it can be reached.
    pub processor_contact: String,
    /// The data protection officer's mailbox.
    pub dpo: String,
    /// What the controller says to be: `controller`, `joint_controllers` or `processor`.
    pub role: String,
    /// Where complaints go.
    pub authority: String,
    /// Whose data.
    #[serde(default = "customers")]
    pub subjects: Vec<String>,
    /// Where the data come from.
    #[serde(default = "own_records")]
    pub source: String,
    /// Who receives results, beside the coordinator and the units of a study.
    #[serde(default)]
    pub recipients: Vec<String>,
    /// The basis of each declared purpose.
    pub basis: BTreeMap<String, String>,
    /// Measures of protection beside those of the product.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub measures: Vec<MeasureConfig>,
}

/// `[[facts.measures]]`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct MeasureConfig {
    /// In words.
    pub text: String,
    /// As `dpv:Encryption`.
    pub dpv: String,
}

/// `[facts]` is wrong.
#[derive(Debug, thiserror::Error)]
#[error("[facts] of coordinator.toml: {0}")]
pub struct FactsError(String);

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
            Some(_) => Err(wrong(
                "there is no [law], expected one: it declares the purposes",
            )),
        };
    };
    let mut events = vec![declares_rules(book)];
    if let Some(facts) = facts {
        facts.check(book)?;
        let retention = gates.limit(Key::ScoreRetentionMaxDays, now);
        let retention = retention.and_then(|days| u32::try_from(days).ok());
        let retention = retention
            .ok_or_else(|| wrong("no rule in force sets score_retention_max_days, expected one"))?;
        events.push(facts.parties().event());
        for purpose in book.purposes() {
            let declaration = facts.declaration(purpose, own, retention)?;
            events.push(Event {
                policy: book.digest(),
                ..declaration.event(purpose)
            });
        }
        events.push(declares_measures(&facts.all_measures()));
    }
    Ok(events)
}

impl FactsConfig {
    fn check(&self, book: &Rulebook) -> Result<(), FactsError> {
        if !ROLES.contains(&self.role.as_str()) {
            let (got, expected) = (&self.role, ROLES.join(", "));
            return Err(wrong(&format!(
                "role is {got:?}, expected one of {expected}"
            )));
        }
        if let Some(unknown) = self.basis.keys().find(|id| book.purpose(id).is_none()) {
            let what = format!("basis names {unknown:?}, expected declared purposes alone");
            return Err(wrong(&what));
        }
        let measures = self.measures.iter();
        if let Some(unknown) = measures.clone().find(|one| !is_known(&one.dpv)) {
            let what = format!(
                "measure {:?}: not in the terms of the Data Privacy Vocabulary that come along",
                unknown.dpv
            );
            return Err(wrong(&what));
        }
        let purposes = book.purposes().iter();
        let purposes = purposes.flat_map(|purpose| [&purpose.title, &purpose.description_plain]);
        let own = self.texts().into_iter().chain(purposes);
        own.chain(measures.map(|one| &one.text))
            .try_for_each(|text| plain(text))
    }

    fn texts(&self) -> Vec<&String> {
        let single = [
            &self.controller,
            &self.controller_contact,
            &self.processor,
            &self.processor_contact,
            &self.dpo,
            &self.authority,
            &self.source,
        ];
        let lists = self.subjects.iter().chain(&self.recipients);
        single.into_iter().chain(lists).collect()
    }

    fn parties(&self) -> Parties {
        Parties {
            controller: (self.controller.clone(), self.controller_contact.clone()),
            processor: (self.processor.clone(), self.processor_contact.clone()),
            dpo: self.dpo.clone(),
            role: self.role.clone(),
            authority: self.authority.clone(),
        }
    }

    fn declaration(
        &self,
        purpose: &Purpose,
        own: &Declared,
        retention_days: u32,
    ) -> Result<Declaration, FactsError> {
        let id = purpose.id.as_str();
        let basis = self.basis.get(id);
        let basis = basis.ok_or_else(|| wrong(&format!("basis has no entry for purpose {id}")))?;
        if law::Basis::from_word(basis).is_none() {
            let expected = law::Basis::expected();
            let what = format!("basis of {id} is {basis:?}, expected one of {expected}");
            return Err(wrong(&what));
        }
        let places = own.places.iter().map(|place| Basis {
            place: place.as_str().to_owned(),
            basis: basis.clone(),
        });
        let columns = purpose.features_allowed.iter().map(String::as_str);
        let columns: Vec<&str> = columns.chain([purpose.target.as_str()]).collect();
        let categories = categories_of(&columns, own.categories, &own.columns);
        Ok(Declaration {
            bases: places.collect(),
            categories: categories.iter().map(|one| one.word().to_owned()).collect(),
            subjects: self.subjects.clone(),
            recipients: self.all_recipients(),
            transfers: transfers(own),
            source: self.source.clone(),
            retention_days,
        })
    }

    fn all_recipients(&self) -> Vec<String> {
        let own = [
            format!("{}: sums of many people, with noise", self.processor),
            "units of a study: models and answers that are released".to_owned(),
        ];
        own.into_iter().chain(self.recipients.clone()).collect()
    }

    /// What the programs do by themselves, and what the operator adds.
    fn all_measures(&self) -> Vec<Measure> {
        let own = MEASURES.map(|(dpv, text)| (dpv.to_owned(), text.to_owned()));
        let further = self.measures.iter();
        let further = further.map(|one| (one.dpv.clone(), one.text.clone()));
        let all = own.into_iter().chain(further);
        all.map(|(dpv, text)| Measure { text, dpv }).collect()
    }
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

/// A text as documents take it.
fn plain(text: &str) -> Result<(), FactsError> {
    if let Some(word) = forbidden(text) {
        let what = format!("a text says {word:?}, which no document may claim");
        return Err(wrong(&what));
    }
    let fits = (1..=TEXT_BYTES_MAX).contains(&text.len()) && !text.contains(char::is_control);
    match fits {
        true => Ok(()),
        false => Err(wrong(&format!(
            "a text of {} bytes, expected 1 to {TEXT_BYTES_MAX} in one line",
            text.len()
        ))),
    }
}

fn wrong(what: &str) -> FactsError {
    FactsError(what.to_owned())
}

fn customers() -> Vec<String> {
    vec!["customers of the units".to_owned()]
}

fn own_records() -> String {
    "each unit's own records of its customers".to_owned()
}

const ROLES: [&str; 3] = ["controller", "joint_controllers", "processor"];
const TEXT_BYTES_MAX: usize = 1_000;
/// What coordinator and nodes do, whatever their settings. Tests of the product show each.
const MEASURES: [(&str, &str); 6] = [
    (
        "dpv:EncryptionAtRest",
        "ledgers, stores and key files are encrypted on disk (test s1_no_plaintext_on_disk)",
    ),
    (
        "dpv:EncryptionInTransfer",
        "every connection is encrypted, and nodes and people show certificates",
    ),
    (
        "dpv:DifferentialPrivacy",
        "nothing about customers leaves a unit without calibrated noise and its charge (test a1_the_subject_year_counts_all_studies_of_the_ledger)",
    ),
    (
        "dpv:Pseudonymisation",
        "consent records hold keyed references, and neither ids nor references leave a unit (test a3_canary_ids_not_on_wire)",
    ),
    (
        "dpv:AccessControlMethod",
        "roles with least rights; policy changes take two people (tests s1_roles_have_least_rights, s1_policy_change_needs_two)",
    ),
    (
        "dpv:ActivityMonitoring",
        "what was done is in logs that cannot be rewritten unseen (test r1_fork_caught_within_one_round)",
    ),
];

#[cfg(test)]
#[path = "declarations_tests.rs"]
mod tests;
