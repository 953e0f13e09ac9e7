//! `[facts]` of a site's settings: what notices, cards and records of processing say of parties, bases and measures. The same at a unit and
//! at the coordinator; it enters the history there.
//!
//! Histories are shown to others: offices and mailboxes belong here, names of people do not.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::declared::{Basis, Declaration, Measure, Parties, declares_measures};
use super::terms::is_known;
use super::words::forbidden;
use crate::domain::history::Event;
use crate::domain::law::proxy::categories_of;
use crate::domain::law::{Basis as LegalBasis, Category, Place, Purpose, Rulebook, Set, Word};

/// `[facts]`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct FactsConfig {
    /// Who answers for the data.
    pub controller: String,
    /// Where people turn to.
    pub controller_contact: String,
    /// Who runs the coordinator.
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
    /// The basis of each declared purpose, where the site's rules do not say it already.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
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
#[error("[facts] of {file}: {problem}")]
pub struct FactsError {
    file: &'static str,
    problem: String,
}

/// Purposes of a site, each with the basis that it rests on.
pub type Based<'a> = Vec<(&'a Purpose, LegalBasis)>;

/// What the rules of a site say for the declarations of its purposes.
#[derive(Debug)]
pub struct Site<'a> {
    /// The file of its settings.
    pub file: &'static str,
    /// The rules in force.
    pub book: &'a Rulebook,
    /// Where the people live.
    pub places: &'a [Place],
    /// What all columns are about that have no entry in `columns`.
    pub categories: Set<Category>,
    /// What single columns are about.
    pub columns: &'a BTreeMap<String, Set<Category>>,
    /// What goes to other countries, each with its tool.
    pub transfers: Vec<String>,
    /// How long scores are kept, by the rules in force; none where none says.
    pub retention_days: Option<u64>,
}

impl FactsError {
    /// What is wrong in which file.
    #[must_use]
    pub fn new(file: &'static str, problem: impl Into<String>) -> Self {
        let problem = problem.into();
        Self { file, problem }
    }
}

impl FactsConfig {
    /// All purposes of a rule book with the bases that `[facts.basis]` names.
    ///
    /// # Errors
    ///
    /// A name that is no purpose, a purpose without a basis, a basis that is none.
    pub fn based<'a>(
        &self,
        file: &'static str,
        book: &'a Rulebook,
    ) -> Result<Based<'a>, FactsError> {
        let wrong = |problem: String| FactsError::new(file, problem);
        if let Some(unknown) = self.basis.keys().find(|id| book.purpose(id).is_none()) {
            let what = format!("basis names {unknown:?}, expected declared purposes alone");
            return Err(wrong(what));
        }
        let based = book.purposes().iter().map(|purpose| {
            let id = purpose.id.as_str();
            let basis = self.basis.get(id);
            let basis =
                basis.ok_or_else(|| wrong(format!("basis has no entry for purpose {id}")))?;
            let known = LegalBasis::from_word(basis).ok_or_else(|| {
                let expected = LegalBasis::expected();
                wrong(format!(
                    "basis of {id} is {basis:?}, expected one of {expected}"
                ))
            })?;
            Ok((purpose, known))
        });
        based.collect()
    }

    /// What enters the history: parties, these purposes, measures.
    ///
    /// # Errors
    ///
    /// A word that is none, or a text that claims what no log can show. That no rule says how long scores are kept is no error: it is declared
    /// so, and the record has an alarm.
    pub fn events(
        &self,
        site: &Site<'_>,
        purposes: &[(&Purpose, LegalBasis)],
    ) -> Result<Vec<Event>, FactsError> {
        let wrong = |problem: String| FactsError::new(site.file, problem);
        self.check(site.book).map_err(wrong)?;
        let days = site.retention_days;
        let days = days.and_then(|days| u32::try_from(days).ok());
        let mut events = vec![self.parties().event()];
        for &(purpose, basis) in purposes {
            let declaration = self.declaration(site, (purpose, basis), days);
            events.push(Event {
                policy: site.book.digest(),
                ..declaration.event(purpose)
            });
        }
        events.push(declares_measures(&self.all_measures()));
        Ok(events)
    }

    fn check(&self, book: &Rulebook) -> Result<(), String> {
        if !ROLES.contains(&self.role.as_str()) {
            let (got, expected) = (&self.role, ROLES.join(", "));
            return Err(format!("role is {got:?}, expected one of {expected}"));
        }
        let measures = self.measures.iter();
        if let Some(unknown) = measures.clone().find(|one| !is_known(&one.dpv)) {
            return Err(format!(
                "measure {:?}: not in the terms of the Data Privacy Vocabulary that come along",
                unknown.dpv
            ));
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
        site: &Site<'_>,
        (purpose, basis): (&Purpose, LegalBasis),
        retention_days: Option<u32>,
    ) -> Declaration {
        let bases = site.places.iter().map(|place| Basis {
            place: place.as_str().to_owned(),
            basis: basis.word().to_owned(),
        });
        let columns = purpose.features_allowed.iter().map(String::as_str);
        let columns: Vec<&str> = columns.chain([purpose.target.as_str()]).collect();
        let categories = categories_of(&columns, site.categories, site.columns);
        Declaration {
            bases: bases.collect(),
            categories: categories.iter().map(|one| one.word().to_owned()).collect(),
            subjects: self.subjects.clone(),
            recipients: self.all_recipients(),
            transfers: site.transfers.clone(),
            source: self.source.clone(),
            retention_days,
        }
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

/// A text as documents take it.
fn plain(text: &str) -> Result<(), String> {
    if let Some(word) = forbidden(text) {
        return Err(format!("a text says {word:?}, which no document may claim"));
    }
    let fits = (1..=TEXT_BYTES_MAX).contains(&text.len()) && !text.contains(char::is_control);
    match fits {
        true => Ok(()),
        false => Err(format!(
            "a text of {} bytes, expected 1 to {TEXT_BYTES_MAX} in one line",
            text.len()
        )),
    }
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
