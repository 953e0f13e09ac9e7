//! Rules of law at the coordinator's gates: which studies run, which questions are asked, which models are published and used.
//!
//! Looks at public terms and at what the operator declares, never at people: of those only the units know. Where nothing is declared,
//! synthetic studies alone go through.

use std::collections::BTreeMap;
use std::sync::Arc;

use aquifer_shared::base::ids::{IdentityKey, Name};
use aquifer_shared::base::time::Timestamp;
use aquifer_shared::domain::contract::{Contract, Published};
use aquifer_shared::domain::law::exception::{Granted, signers_of};
use aquifer_shared::domain::law::proxy::categories_of;
use aquifer_shared::domain::law::witness::{GateKind, Query, Release, Run, Score, Train};
use aquifer_shared::domain::law::{
    self, About, Action, Allowed, Category, Decision, Dpia, Facts, Gate, Key, Place, Refused,
    Request, Rulebook, Set, Spend, Transfer, decide,
};
use aquifer_shared::domain::question::Question;
use aquifer_shared::domain::sum::{Plan, StudyTerms};

use super::asking::standing_of;

/// What the operator declares of the units whose studies are run here.
#[derive(Clone, Debug, PartialEq)]
pub struct Declared {
    /// Where the coordinator is.
    pub controller: Place,
    /// Where customers of all units live.
    pub places: Vec<Place>,
    /// Under what noisy sums come from other countries.
    pub transfer: Transfer,
    /// What all columns are about that have no entry in `columns`.
    pub categories: Set<Category>,
    /// What single columns are about.
    pub columns: BTreeMap<String, Set<Category>>,
    /// Purposes whose assessment of impact is current.
    pub dpia_current: Vec<Name>,
    /// People who may review models of significant effect.
    pub reviewers: Vec<Name>,
}

/// Rules and declarations, shared by all gates of a coordinator.
#[derive(Clone, Debug)]
pub struct Gates(Option<Arc<Content>>);

#[derive(Debug)]
struct Content {
    book: Rulebook,
    declared: Declared,
    exceptions: Vec<Granted>,
}

/// What lets a study run.
#[derive(Debug)]
pub enum Permit {
    /// It reads nobody.
    MadeUp(MadeUp),
    /// It may learn.
    Train(Allowed<Train, Run>),
    /// Questions may be asked under it, or it is one.
    Query(Allowed<Query, Run>),
}

/// A study of made-up zeros. Only its terms make one.
#[derive(Debug)]
pub struct MadeUp(());

/// What is not let through.
#[derive(Debug, thiserror::Error)]
pub enum Denied {
    /// Nothing is declared here.
    #[error(
        "coordinator.toml has no [law]: purposes are not declared, so that only synthetic studies run; declare them, and ask the \
         coordinator's operator"
    )]
    Undeclared,
    /// The rules say no.
    #[error(transparent)]
    Rules(#[from] Refused),
}

/// What a run is held against the rules with.
struct Wanted<'a> {
    gate: Gate,
    purpose: &'a str,
    columns: Vec<&'a str>,
    population: u64,
    epsilon: f64,
    delta: f64,
    reviewer: Option<IdentityKey>,
}

impl MadeUp {
    fn of(terms: &StudyTerms) -> Option<Self> {
        matches!(terms.plan, Plan::Synthetic { .. }).then_some(Self(()))
    }
}

impl Permit {
    /// The decision that it rests on; none where nobody's data is read.
    #[must_use]
    pub fn decision(&self) -> Option<&Decision> {
        match self {
            Self::MadeUp(_) => None,
            Self::Train(allowed) => Some(allowed.decision()),
            Self::Query(allowed) => Some(allowed.decision()),
        }
    }
}

impl Denied {
    /// The decision behind it, where there is one.
    #[must_use]
    pub fn decision(&self) -> Option<&Decision> {
        match self {
            Self::Undeclared => None,
            Self::Rules(Refused(decision)) => Some(decision),
        }
    }

    /// What to do, in one line.
    #[must_use]
    pub fn hint(&self) -> String {
        let reasons = self.decision().map(Decision::reasons).unwrap_or_default();
        match reasons.first() {
            None => "ask the coordinator's operator".to_owned(),
            Some(first) => format!("{}; ask the {}", first.cause.remedy(), first.ask()),
        }
    }
}

impl Gates {
    /// Rules, and what they are applied to.
    #[must_use]
    pub fn new(book: Rulebook, declared: Declared) -> Self {
        let exceptions = Vec::new();
        Self(Some(Arc::new(Content {
            book,
            declared,
            exceptions,
        })))
    }

    /// The same with these exceptions for screened uses, and no others.
    #[must_use]
    pub fn excepting(&self, exceptions: Vec<Granted>) -> Self {
        let content = self.0.as_ref().map(|content| Content {
            book: content.book.clone(),
            declared: content.declared.clone(),
            exceptions,
        });
        Self(content.map(Arc::new))
    }

    /// Nothing is declared: only synthetic studies run.
    #[must_use]
    pub fn undeclared() -> Self {
        Self(None)
    }

    /// The rule book, if there is one.
    #[must_use]
    pub fn book(&self) -> Option<&Rulebook> {
        Some(&self.0.as_ref()?.book)
    }

    /// What the operator declares, if anything.
    #[must_use]
    pub fn declared(&self) -> Option<&Declared> {
        Some(&self.0.as_ref()?.declared)
    }

    /// The strictest that the rules in force say of a limit where customers live; none where none says anything.
    #[must_use]
    pub fn limit(&self, key: Key, now: Timestamp) -> Option<u64> {
        let Content { book, declared, .. } = &**self.0.as_ref()?;
        let day = i32::try_from(now.0 / (24 * 3_600 * 1_000)).ok()?;
        book.strictest(&declared.places, key, day)
    }

    /// Whether a study may run; `epsilon` is what it may cost a subject in all.
    ///
    /// # Errors
    ///
    /// The rules say no, or nothing is declared.
    pub fn study(
        &self,
        terms: &StudyTerms,
        contract: &Contract,
        epsilon: f64,
        now: Timestamp,
    ) -> Result<Permit, Denied> {
        match &terms.plan {
            Plan::Synthetic { .. } => MadeUp::of(terms)
                .map(Permit::MadeUp)
                .ok_or(Denied::Undeclared),
            Plan::Additive { .. } => {
                let wanted = wanted(Gate::Train, terms, trained(contract), epsilon);
                self.allowed(&wanted, now).map(Permit::Train)
            }
            Plan::Question { .. } => {
                let listed = standing_of(terms).map_or(&[][..], |standing| &standing.tables);
                let tables = listed.iter().filter_map(|name| contract.published(name));
                let columns = tables.flat_map(all_columns).collect();
                let wanted = wanted(Gate::Query, terms, columns, epsilon);
                self.allowed(&wanted, now).map(Permit::Query)
            }
        }
    }

    /// Whether a question may be asked under a standing study; `epsilon` is what it costs a subject.
    ///
    /// # Errors
    ///
    /// The rules say no, or nothing is declared.
    pub fn question(
        &self,
        standing: &StudyTerms,
        table: &Published,
        question: &Question,
        epsilon: f64,
        now: Timestamp,
    ) -> Result<Allowed<Query, Run>, Denied> {
        let columns = asked(table, question);
        self.allowed(&wanted(Gate::Query, standing, columns, epsilon), now)
    }

    /// Whether the model of a study may be published; a reviewer counts where the operator has declared the name.
    ///
    /// # Errors
    ///
    /// The rules say no, or nothing is declared.
    pub fn release(
        &self,
        terms: &StudyTerms,
        contract: &Contract,
        epsilon: f64,
        reviewer: Option<(&Name, IdentityKey)>,
        now: Timestamp,
    ) -> Result<Allowed<Release, Run>, Denied> {
        let declared = self.0.as_ref().map(|content| &content.declared);
        let reviewer = reviewer
            .filter(|(name, _)| declared.is_some_and(|own| own.reviewers.contains(name)))
            .map(|(_, key)| key);
        let wanted = Wanted {
            reviewer,
            ..wanted(Gate::Release, terms, trained(contract), epsilon)
        };
        self.allowed(&wanted, now)
    }

    /// Whether made-up customers may be scored with a model of this contract: some declared purpose of scoring covers its columns.
    /// Without one, the answer is that of the purpose that is the closest by its name's order.
    ///
    /// # Errors
    ///
    /// The rules say no, or nothing is declared.
    pub fn score(
        &self,
        contract: &Contract,
        now: Timestamp,
    ) -> Result<Allowed<Score, Run>, Denied> {
        let content = self.0.as_ref().ok_or(Denied::Undeclared)?;
        let fits = |purpose: &&law::Purpose| {
            purpose.action == Action::Score && purpose.target == contract.label.column
        };
        let purposes = content.book.purposes().iter().filter(fits);
        let columns: Vec<&str> = features(contract).collect();
        let mut last = None;
        for purpose in purposes {
            match self.allowed(&scored(purpose.id.as_str(), columns.clone()), now) {
                Ok(allowed) => return Ok(allowed),
                Err(denied) => last = last.or(Some(denied)),
            }
        }
        // No purpose at all is denied as one that is not declared.
        last.map_or_else(|| self.allowed(&scored("", columns), now), Err)
    }

    fn allowed<G: GateKind>(
        &self,
        wanted: &Wanted<'_>,
        now: Timestamp,
    ) -> Result<Allowed<G, Run>, Denied> {
        let content = self.0.as_ref().ok_or(Denied::Undeclared)?;
        Ok(content.decide(wanted, now).allowed::<G, Run>()?)
    }
}

impl Content {
    fn decide(&self, wanted: &Wanted<'_>, now: Timestamp) -> Decision {
        let declared = &self.declared;
        let request = Request {
            gate: wanted.gate,
            purpose: wanted.purpose,
            columns: &wanted.columns,
            categories: categories_of(&wanted.columns, declared.categories, &declared.columns),
            controller: Some(declared.controller),
            export: false,
        };
        let run = law::Run {
            places: &declared.places,
            transfer: declared.transfer,
            population: Some(wanted.population),
            spend: Some(Spend {
                epsilon_micro: (wanted.epsilon * 1e6).ceil() as u64,
                delta_pico: (wanted.delta * 1e12).ceil() as u64,
            }),
        };
        let purpose = self.book.purpose(wanted.purpose);
        let facts = Facts {
            dpia: self.dpia(wanted.purpose),
            reviewer: wanted.reviewer,
            signers: signers_of(&self.exceptions, purpose, now),
            about: About::Run(run),
        };
        decide(&request, &facts, &self.book, now)
    }

    fn dpia(&self, purpose: &str) -> Dpia {
        let Some(purpose) = self.book.purpose(purpose) else {
            return Dpia::Unknown;
        };
        match &purpose.dpia_ref {
            None => Dpia::Absent,
            Some(_) if self.declared.dpia_current.contains(&purpose.id) => Dpia::Current,
            Some(_) => Dpia::Stale,
        }
    }
}

fn wanted<'a>(
    gate: Gate,
    terms: &'a StudyTerms,
    columns: Vec<&'a str>,
    epsilon: f64,
) -> Wanted<'a> {
    Wanted {
        gate,
        purpose: terms.purpose.as_str(),
        columns,
        population: terms.customers_max,
        epsilon,
        delta: terms.delta.get(),
        reviewer: None,
    }
}

/// Made-up values cost nobody anything.
fn scored<'a>(purpose: &'a str, columns: Vec<&'a str>) -> Wanted<'a> {
    Wanted {
        gate: Gate::Score,
        purpose,
        columns,
        population: 0,
        epsilon: 0.0,
        delta: 0.0,
        reviewer: None,
    }
}

fn features(contract: &Contract) -> impl Iterator<Item = &str> {
    contract.columns.iter().map(|column| column.name.as_str())
}

/// What is learned from: all features, and what they tell.
fn trained(contract: &Contract) -> Vec<&str> {
    features(contract)
        .chain([contract.label.column.as_str()])
        .collect()
}

/// What a question looks at. Counting rows says that somebody is a customer, and no more.
fn asked<'a>(table: &'a Published, question: &Question) -> Vec<&'a str> {
    let name = |column: u16| Some(table.columns.get(usize::from(column))?.name.as_str());
    let columns: Vec<&str> = question.columns().into_iter().filter_map(name).collect();
    match columns.is_empty() {
        true => vec![table.privacy_unit.as_str()],
        false => columns,
    }
}

fn all_columns(table: &Published) -> impl Iterator<Item = &str> {
    let columns = table.columns.iter().map(|column| column.name.as_str());
    columns.chain([table.privacy_unit.as_str()])
}

#[cfg(test)]
#[path = "gates_tests.rs"]
mod tests;
