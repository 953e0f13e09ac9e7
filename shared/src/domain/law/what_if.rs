//! A made-up case, written down: what would be decided if. The same words serve files and the table of golden cases.

use super::book::Rulebook;
use super::decide::decide;
use super::decision::Decision;
use super::facts::{
    About, Age, Block, Consent, Dpia, Facts, Person, Request, Run, Spend, Transfer, TwoSigners,
};
use super::place::Place;
use super::vocabulary::{Category, Gate};
use super::what_if_values::{
    age, categories, day, known, list, number, one_of, place, places, word, yes,
};
use super::words::{Set, Word};
use crate::base::document::{DocumentError, Section, tables};
use crate::base::ids::IdentityKey;
use crate::base::limits::FEATURES_MAX;
use crate::base::time::Timestamp;

/// A case. What is not said is not known.
#[derive(Clone, Debug)]
pub struct WhatIf {
    gate: Option<Gate>,
    purpose: String,
    columns: Vec<String>,
    categories: Set<Category>,
    controller: Option<Place>,
    export: bool,
    dpia: Dpia,
    reviewed: bool,
    signers: u8,
    /// Of a person, rather than a run.
    person: bool,
    known: Person,
    places: Vec<Place>,
    transfer: Transfer,
    population: Option<u64>,
    spend: (Option<u64>, Option<u64>),
    day: Option<i32>,
}

/// Fields of a case.
const FIELDS: [&str; 22] = [
    "gate",
    "purpose",
    "columns",
    "categories",
    "controller",
    "export",
    "dpia",
    "reviewer",
    "signers",
    "about",
    "place",
    "basis",
    "consent",
    "consented_on",
    "block",
    "notice",
    "age",
    "transfer",
    "population",
    "epsilon_micro",
    "delta_pico",
    "on",
];

impl Default for WhatIf {
    fn default() -> Self {
        Self {
            gate: None,
            purpose: String::new(),
            columns: Vec::new(),
            categories: Set::EMPTY,
            controller: None,
            export: false,
            dpia: Dpia::Unknown,
            reviewed: false,
            signers: 0,
            person: false,
            known: Person {
                place: None,
                basis: None,
                consent: Consent::Unknown,
                consented_on: None,
                block: Block::Unknown,
                notice: None,
                age: Age::Unknown,
            },
            places: Vec::new(),
            transfer: Transfer::Unknown,
            population: None,
            spend: (None, None),
            day: None,
        }
    }
}

impl WhatIf {
    /// Reads a case (TOML, one field a line).
    ///
    /// # Errors
    ///
    /// The first field that is unknown or says what no case can, with its place in the file.
    pub fn parse(text: &str) -> Result<Self, DocumentError> {
        let document = tables(text)?;
        let root = Section::new(text, "the file", 0, document.get_ref());
        let mut case = Self::default();
        for field in &root.fields {
            let value = field.as_text()?;
            case.set(field.key, &value)
                .map_err(|problem| field.problem_here(&problem))?;
        }
        if case.gate.is_none() {
            return Err(root.problem(format!(
                "the file has no \"gate\", expected {}",
                Gate::expected()
            )));
        }
        Ok(case)
    }

    /// Sets one field.
    ///
    /// # Errors
    ///
    /// What was found and what was expected.
    pub fn set(&mut self, key: &str, value: &str) -> Result<(), String> {
        match key {
            "gate" => self.gate = Some(word(value)?),
            "purpose" => value.clone_into(&mut self.purpose),
            "columns" => self.columns = list(value).map(str::to_owned).collect(),
            "categories" => self.categories = categories(value)?,
            "controller" => self.controller = known(value, place)?,
            "export" => self.export = yes(value)?,
            "dpia" => self.dpia = word(value)?,
            "reviewer" => self.reviewed = yes(value)?,
            "signers" => self.signers = number(value, 2)? as u8,
            "about" => self.person = one_of(value, ["run", "person"])? == 1,
            "place" => self.places = places(value)?,
            "basis" => self.known.basis = known(value, word)?,
            "consent" => self.known.consent = word(value)?,
            "consented_on" => self.known.consented_on = known(value, day)?,
            "block" => self.known.block = word(value)?,
            "notice" => {
                self.known.notice = known(value, |text| Ok(number(text, u32::MAX.into())? as u32))?
            }
            "age" => self.known.age = age(value)?,
            "transfer" => self.transfer = word(value)?,
            "population" => self.population = known(value, |text| number(text, i64::MAX as u64))?,
            "epsilon_micro" => self.spend.0 = known(value, |text| number(text, i64::MAX as u64))?,
            "delta_pico" => self.spend.1 = known(value, |text| number(text, i64::MAX as u64))?,
            "on" => self.day = known(value, day)?,
            _ => {
                return Err(format!(
                    "is no field of a case, expected {}",
                    FIELDS.join(", ")
                ));
            }
        }
        if self.columns.len() > FEATURES_MAX {
            return Err(format!(
                "has {} columns, expected at most {FEATURES_MAX}",
                self.columns.len()
            ));
        }
        Ok(())
    }

    /// What is decided in this case, on its own day, or at `now` where it names none.
    pub fn decide(&self, book: &Rulebook, now: Timestamp) -> Decision {
        let columns: Vec<&str> = self.columns.iter().map(String::as_str).collect();
        let request = Request {
            gate: self.gate.unwrap_or(Gate::Release),
            purpose: &self.purpose,
            columns: &columns,
            categories: self.categories,
            controller: self.controller,
            export: self.export,
        };
        let person = Person {
            place: self.places.first().copied(),
            ..self.known
        };
        let run = Run {
            places: &self.places,
            transfer: self.transfer,
            population: self.population,
            spend: self
                .spend
                .0
                .zip(self.spend.1)
                .map(|(epsilon_micro, delta_pico)| Spend {
                    epsilon_micro,
                    delta_pico,
                }),
        };
        let facts = Facts {
            dpia: self.dpia,
            reviewer: self.reviewed.then_some(IdentityKey([1; 32])),
            signers: (self.signers == 2)
                .then(|| TwoSigners::new(IdentityKey([2; 32]), IdentityKey([3; 32])).ok())
                .flatten(),
            about: if self.person {
                About::Person(person)
            } else {
                About::Run(run)
            },
        };
        let on = self.day.and_then(|day| u64::try_from(day).ok());
        let now = on.map_or(now, |day| Timestamp(day * 24 * 3_600 * 1_000));
        decide(&request, &facts, book, now)
    }
}
