//! `[law]` of coordinator.toml, and the gates with somebody who hears of every decision.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use aquifer_shared::base::ids::{Hash32, IdentityKey, Name};
use aquifer_shared::base::time::Timestamp;
use aquifer_shared::domain::contract::{Contract, Published};
use aquifer_shared::domain::history::{Event, Json, Kind};
use aquifer_shared::domain::law::witness::{Query, Release, Run, Score};
use aquifer_shared::domain::law::{
    Allowed, Category, Decision, Gate, Key, Obligation, Place, Purposes, Rulebook, Set, Transfer,
    Verdict, Word,
};
use aquifer_shared::domain::question::Question;
use aquifer_shared::domain::sum::StudyTerms;
use aquifer_shared::protocol::ask::Response;
use aquifer_shared::shell::documents::read_document;
use aquifer_shared::shell::history::{History, HistoryFault};
use aquifer_shared::shell::law_packs;
use serde::{Deserialize, Serialize};

use super::requests::{ACCOUNTANT, refused};
use crate::core::asking::standing_of;
use crate::core::gates::{Declared, Denied, Gates, Permit};

/// `[law]`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct LawConfig {
    /// Where the coordinator is: a country, or a region of one.
    pub controller: String,
    /// Where customers of all units live.
    pub places: Vec<String>,
    /// Under what noisy sums come from other countries: `within` where there are none, with a `tool`, under `contract_terms`, `bare`.
    #[serde(default = "unknown")]
    pub transfer: String,
    /// Declared purposes, relative to coordinator.toml.
    pub purposes: PathBuf,
    /// Folder of rule packs in front of those that come along.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub packs: Option<PathBuf>,
    /// What the columns are about that `columns` does not name.
    pub categories: Vec<String>,
    /// Purposes whose assessment of impact is current.
    #[serde(default)]
    pub dpia_current: Vec<Name>,
    /// People who may review models of significant effect before they are released.
    #[serde(default)]
    pub reviewers: Vec<Name>,
    /// Identity keys of people of whom two sign a change of the policy or an exception for a screened use, 64 hexadecimal digits each.
    #[serde(default)]
    pub officers: Vec<String>,
    /// What single columns are about.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub columns: BTreeMap<String, Vec<String>>,
}

/// `[law]`, a purpose or a pack is wrong.
#[derive(Debug, thiserror::Error)]
#[error("{}: {problem}", path.display())]
pub struct LawError {
    path: PathBuf,
    problem: String,
}

/// What was decided at a gate, for whoever keeps count.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Decided {
    /// Where.
    pub gate: Gate,
    /// For what; none where the purpose is not declared.
    pub purpose: Option<Name>,
    /// The decision's id.
    pub id: Hash32,
    /// Packs and purposes in force.
    pub policy: Hash32,
    /// Yes or no.
    pub verdict: Verdict,
    /// Why it is no.
    pub causes: Vec<&'static str>,
    /// What comes along with a yes.
    pub obligations: Set<Obligation>,
}

/// Who hears of decisions.
pub type Listener = Box<dyn Fn(&Decided) + Send + Sync>;

/// The gates of a running coordinator.
pub struct Law {
    gates: Gates,
    listener: Listener,
    /// The latest moment that was seen or written down: a clock that is set back brings no rule back.
    latest: AtomicU64,
}

impl LawConfig {
    /// A start: everybody at one place, purposes in a file beside.
    #[must_use]
    pub fn at(place: &str) -> Self {
        Self {
            controller: place.to_owned(),
            places: vec![place.to_owned()],
            transfer: Transfer::Within.word().to_owned(),
            purposes: PURPOSES.into(),
            packs: None,
            categories: ["contract", "usage", "payment"].map(str::to_owned).into(),
            dpia_current: Vec::new(),
            reviewers: Vec::new(),
            officers: Vec::new(),
            columns: BTreeMap::new(),
        }
    }

    /// Identity keys of officers, as they are written.
    #[must_use]
    pub fn officers(&self) -> &[String] {
        &self.officers
    }

    /// Reads purposes and packs, and puts them together with what is declared.
    ///
    /// # Errors
    ///
    /// A word, file or pack that is wrong, with its place.
    pub fn gates(&self, directory: &Path) -> Result<Gates, LawError> {
        let wrong = |path: &Path, problem: String| LawError {
            path: directory.join(path),
            problem,
        };
        let file = Path::new(super::home::CONFIG);
        let declared = self.declared();
        let declared = declared.map_err(|problem| wrong(file, format!("[law]: {problem}")))?;
        let text = read_document(&directory.join(&self.purposes));
        let text = text.map_err(|error| wrong(&self.purposes, format!("{error:#}")))?;
        let purposes = Purposes::parse(&text);
        let purposes = purposes.map_err(|error| wrong(&self.purposes, error.to_string()))?;
        let folder = self.packs.as_ref().map(|folder| directory.join(folder));
        let at = self.packs.as_deref().unwrap_or(file);
        let packs = law_packs::all(folder.as_deref());
        let packs = packs.map_err(|error| wrong(at, format!("{error:#}")))?;
        let packs = packs.into_iter().map(|held| held.pack).collect();
        let book = Rulebook::new(packs, purposes).map_err(|error| wrong(at, error.to_string()))?;
        Ok(Gates::new(book, declared))
    }

    fn declared(&self) -> Result<Declared, String> {
        let columns = self.columns.iter();
        let columns = columns.map(|(column, written)| Ok((column.clone(), categories(written)?)));
        let places = self.places.iter().map(|written| place("places", written));
        Ok(Declared {
            controller: place("controller", &self.controller)?,
            places: places.collect::<Result<_, _>>()?,
            transfer: word("transfer", &self.transfer)?,
            categories: categories(&self.categories)?,
            columns: columns.collect::<Result<_, String>>()?,
            dpia_current: self.dpia_current.clone(),
            reviewers: self.reviewers.clone(),
        })
    }
}

impl Decided {
    /// Of a run: nothing about a person.
    fn of(decision: &Decision) -> Self {
        Self {
            gate: decision.gate(),
            purpose: decision.purpose().map(|purpose| purpose.id.clone()),
            id: decision.id(),
            policy: decision.policy_digest(),
            verdict: decision.verdict(),
            causes: decision.causes().iter().map(Word::word).collect(),
            obligations: decision.obligations(),
        }
    }
}

/// A decision as the history says it.
fn policy_decision(decided: &Decided) -> Event {
    let causes = decided.causes.iter().map(|cause| Json::from(*cause));
    let purpose = decided.purpose.as_ref();
    let payload = Json::object([
        ("causes", Json::List(causes.collect())),
        ("decision", Json::from(decided.id.to_string())),
        ("gate", Json::from(decided.gate.word())),
        (
            "purpose",
            purpose.map_or(Json::Null, |purpose| Json::from(purpose.as_str())),
        ),
        (
            "verdict",
            Json::from(format!("{:?}", decided.verdict).to_lowercase()),
        ),
    ]);
    Event {
        policy: decided.policy,
        ..Event::of_program(Kind::PolicyDecision, payload)
    }
}

impl Law {
    /// Gates, and who hears of their decisions.
    #[must_use]
    pub fn new(gates: Gates, listener: Listener) -> Self {
        Self {
            gates,
            listener,
            latest: AtomicU64::new(0),
        }
    }

    /// The same, for which it is never before this moment.
    #[must_use]
    pub fn since(self, floor: Timestamp) -> Self {
        self.latest.fetch_max(floor.0, Ordering::Relaxed);
        self
    }

    /// Now, or the latest moment that was seen or written down: a clock that is set back brings back no rule and no model.
    pub(super) fn present(&self, now: Timestamp) -> Timestamp {
        let before = self.latest.fetch_max(now.0, Ordering::Relaxed);
        now.max(Timestamp(before))
    }

    /// Gates whose decisions go to the log.
    #[must_use]
    pub fn logged(gates: Gates) -> Self {
        Self::new(gates, Box::new(log))
    }

    /// Gates whose decisions go to the log and into the history, for which it is never before what that holds.
    ///
    /// # Errors
    ///
    /// The history cannot be read.
    pub async fn told(gates: Gates, history: History) -> Result<Self, HistoryFault> {
        announce(&gates);
        let latest = history.latest().await?;
        let listener = move |decided: &Decided| {
            log(decided);
            history.tell(None, policy_decision(decided));
        };
        Ok(Self::new(gates, Box::new(listener)).since(latest))
    }

    /// Gates of a coordinator that declares nothing.
    #[must_use]
    pub fn undeclared() -> Self {
        Self::logged(Gates::undeclared())
    }

    /// The rule book, if there is one.
    #[must_use]
    pub fn book(&self) -> Option<&Rulebook> {
        self.gates.book()
    }

    /// What the rules in force say of a limit, where they say anything.
    #[must_use]
    pub fn limit(&self, key: Key, now: Timestamp) -> Option<u64> {
        self.gates.limit(key, now)
    }

    /// Whether a study may run.
    ///
    /// # Errors
    ///
    /// The rules say no.
    pub fn study(
        &self,
        terms: &StudyTerms,
        contract: &Contract,
        now: Timestamp,
    ) -> Result<Permit, Denied> {
        let now = self.present(now);
        let decided = self.gates.study(terms, contract, epsilon(terms), now);
        let decision = decided
            .as_ref()
            .map_or_else(Denied::decision, Permit::decision);
        decision.map(Decided::of).iter().for_each(&self.listener);
        decided
    }

    /// Whether a question may be asked under a standing study, at this epsilon.
    ///
    /// # Errors
    ///
    /// The rules say no.
    pub fn question(
        &self,
        standing: &StudyTerms,
        (table, question): (&Published, &Question),
        epsilon: f64,
        now: Timestamp,
    ) -> Result<Allowed<Query, Run>, Denied> {
        let now = self.present(now);
        self.heard(self.gates.question(standing, table, question, epsilon, now))
    }

    /// Whether the model of a study may be published.
    ///
    /// # Errors
    ///
    /// The rules say no.
    pub fn release(
        &self,
        terms: &StudyTerms,
        contract: &Contract,
        reviewer: Option<(&Name, IdentityKey)>,
        now: Timestamp,
    ) -> Result<Allowed<Release, Run>, Denied> {
        let (epsilon, now) = (epsilon(terms), self.present(now));
        self.heard(self.gates.release(terms, contract, epsilon, reviewer, now))
    }

    /// Whether made-up customers may be scored with a model of this contract.
    ///
    /// # Errors
    ///
    /// The rules say no.
    pub fn score(
        &self,
        contract: &Contract,
        now: Timestamp,
    ) -> Result<Allowed<Score, Run>, Denied> {
        self.heard(self.gates.score(contract, self.present(now)))
    }

    fn heard<G>(
        &self,
        decided: Result<Allowed<G, Run>, Denied>,
    ) -> Result<Allowed<G, Run>, Denied> {
        let decision = match &decided {
            Ok(allowed) => Some(allowed.decision()),
            Err(denied) => denied.decision(),
        };
        decision.map(Decided::of).iter().for_each(&self.listener);
        decided
    }
}

impl std::fmt::Debug for Law {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Law")
            .field("gates", &self.gates)
            .finish_non_exhaustive()
    }
}

/// Tells in the log which gates are declared.
fn announce(gates: &Gates) {
    match gates.book() {
        Some(book) => tracing::info!(
            policy = %book.digest(), packs = book.packs().len(), purposes = book.purposes().len(), "law"
        ),
        None => tracing::warn!(
            "coordinator.toml has no [law]: purposes are not declared, so that only synthetic studies run"
        ),
    }
}

/// The refusal of what a gate denies.
pub(super) fn denied_response(denied: &Denied) -> Response {
    refused("law", denied.to_string())
}

/// What a study may cost a subject in all, repeated attempts included; under a standing study, the dearest question alone: how many
/// are asked in a year is counted at the units.
fn epsilon(terms: &StudyTerms) -> f64 {
    let price = match standing_of(terms).filter(|_| terms.is_standing()) {
        Some(standing) => standing.urho_question_max,
        None => terms.urho_cap,
    };
    let quoted = terms.quoted(price).unwrap_or(price);
    (ACCOUNTANT.epsilon)(quoted, terms.delta)
}

fn log(decided: &Decided) {
    let Decided {
        gate,
        purpose,
        id,
        policy,
        verdict,
        causes,
        obligations,
    } = decided;
    let purpose = purpose.as_ref().map_or("undeclared", Name::as_str);
    let causes = causes.join(" ");
    tracing::info!(%gate, purpose, %verdict, causes, %obligations, decision = %id, %policy, "decided");
}

fn place(what: &str, written: &str) -> Result<Place, String> {
    written.parse().map_err(|error| format!("{what}: {error}"))
}

fn categories(written: &[String]) -> Result<Set<Category>, String> {
    let words = written.iter().map(|written| word("category", written));
    Ok(Set::of(&words.collect::<Result<Vec<_>, _>>()?))
}

fn word<W: Word>(what: &str, written: &str) -> Result<W, String> {
    let expected = || format!("{what} is {written:?}, expected one of {}", W::expected());
    W::from_word(written).ok_or_else(expected)
}

/// The file of purposes that `init` starts.
pub const PURPOSES: &str = "purposes.toml";

fn unknown() -> String {
    Transfer::Unknown.word().to_owned()
}

/// What trains, asks, scores or publishes takes a decision. A study of real data cannot be passed off as made up:
///
/// ```compile_fail,E0423
/// use aquifer_coordinator::core::gates::{MadeUp, Permit};
/// let permit = Permit::MadeUp(MadeUp(()));
/// ```
///
/// A permit to learn takes the decision of that gate, and no other:
///
/// ```compile_fail,E0308
/// use aquifer_coordinator::core::gates::Permit;
/// use aquifer_shared::domain::law::{Allowed, witness::{Query, Run}};
/// fn around(asked: Allowed<Query, Run>) -> Permit { Permit::Train(asked) }
/// ```
///
/// A model is published by a decision about releases, and a bare flag publishes none:
///
/// ```compile_fail,E0308
/// use aquifer_coordinator::shell::store::{Store, StoredModel};
/// async fn around(store: &Store, model: &StoredModel) { let _ = store.add_model(model, true).await; }
/// ```
///
/// ```compile_fail,E0308
/// use aquifer_coordinator::shell::store::{Store, StoredModel};
/// use aquifer_shared::domain::law::{Allowed, witness::{Run, Train}};
/// async fn around(store: &Store, model: &StoredModel, trained: Allowed<Train, Run>) {
///     let _ = store.add_model(model, Some(trained)).await;
/// }
/// ```
///
/// And what is allowed does compile:
///
/// ```no_run
/// use aquifer_coordinator::core::gates::Permit;
/// use aquifer_coordinator::shell::store::{Store, StoredModel};
/// use aquifer_shared::domain::law::{Allowed, witness::{Release, Run, Train}};
/// fn learn(allowed: Allowed<Train, Run>) -> Permit { Permit::Train(allowed) }
/// async fn publish(store: &Store, model: &StoredModel, allowed: Allowed<Release, Run>) {
///     let _ = store.add_model(model, Some(allowed)).await;
/// }
/// ```
#[cfg(doctest)]
pub mod l1_no_bypass {}

#[cfg(test)]
#[path = "lawful_tests.rs"]
mod tests;
