//! Whether a table may be read at all: a decision of its own, taken before the first row is looked at.
//!
//! A table is read for declared purposes. What no purpose covers is not read, and what was read for some purposes serves no other.

use std::collections::{BTreeMap, BTreeSet};

use aquifer_shared::base::ids::Name;
use aquifer_shared::base::time::Timestamp;
use aquifer_shared::domain::contract::{Contract, Published};
use aquifer_shared::domain::history::{Event, Json, Kind};
use aquifer_shared::domain::law::witness::{Ingest, Run};
use aquifer_shared::domain::law::{Action, Allowed, Decision, Purpose, Refused, Word};

use super::gatekeeper::Gatekeeper;

/// A table that somebody wants to read, and what for.
#[derive(Clone, Debug)]
pub struct Wanted<'a> {
    table: &'a str,
    columns: Vec<&'a str>,
    action: Action,
    /// One purpose alone; else all with this action.
    purpose: Option<&'a str>,
    /// Whether each purpose takes all columns; else those that it lists.
    whole: bool,
}

/// Leave to read one table: for which purposes, each with its decision. Nobody makes one but a rule book that allows it.
///
/// Reading takes it, so that no row is read for learning or for answers without:
///
/// ```compile_fail,E0061
/// use aquifer_node::shell::encode::encode;
/// use aquifer_node::shell::source::DataConfig;
/// fn around(config: &DataConfig, directory: &std::path::Path) { let _ = encode(config, directory); }
/// ```
///
/// Leave to learn is none to read:
///
/// ```compile_fail,E0308
/// use aquifer_node::shell::encode::encode;
/// use aquifer_node::shell::source::DataConfig;
/// use aquifer_shared::domain::law::{Allowed, witness::{Run, Train}};
/// fn around(config: &DataConfig, directory: &std::path::Path, trained: &Allowed<Train, Run>) {
///     let _ = encode(config, directory, trained);
/// }
/// ```
///
/// It is not made by hand:
///
/// ```compile_fail,E0451
/// use aquifer_node::core::intake::Intake;
/// fn forged(genuine: Intake) -> Intake { Intake { table: "customers".to_owned(), ..genuine } }
/// ```
///
/// And what is allowed does compile:
///
/// ```no_run
/// use aquifer_node::core::intake::Intake;
/// use aquifer_node::shell::encode::encode;
/// use aquifer_node::shell::source::DataConfig;
/// fn through(config: &DataConfig, directory: &std::path::Path, intake: &Intake) {
///     let _ = encode(config, directory, intake);
/// }
/// ```
#[derive(Debug)]
pub struct Intake {
    table: String,
    columns: BTreeSet<String>,
    allowed: BTreeMap<Name, Allowed<Ingest, Run>>,
}

/// Why a table is not read. Public: does not depend on any row.
#[derive(Debug, thiserror::Error)]
pub enum Shut {
    /// Nothing is declared.
    #[error("table {table:?} is not read: node.toml has no [people], so no purpose is declared")]
    Undeclared {
        /// Which.
        table: String,
    },
    /// The rules say no.
    #[error("table {table:?} is not read: {refused}")]
    Rules {
        /// Which.
        table: String,
        /// The decision that is the closest to a yes.
        refused: Refused,
    },
}

impl<'a> Wanted<'a> {
    /// The training table: all features and what they tell, for purposes that learn.
    #[must_use]
    pub fn training(contract: &'a Contract) -> Self {
        Self {
            table: &contract.table,
            columns: learned_from(contract),
            action: Action::Train,
            purpose: None,
            whole: true,
        }
    }

    /// The same for scores for one purpose.
    #[must_use]
    pub fn scoring(contract: &'a Contract, purpose: &'a str) -> Self {
        Self {
            action: Action::Score,
            purpose: Some(purpose),
            ..Self::training(contract)
        }
    }

    /// A table for analysts, for purposes that ask: each may use the columns that it lists, and all together must list every one.
    #[must_use]
    pub fn published(table: &'a Published) -> Self {
        let columns = table.columns.iter();
        let mut columns: Vec<&str> = columns.map(|column| column.name.as_str()).collect();
        // Rows alone say that somebody is a customer, and no more.
        if columns.is_empty() {
            columns.push(&table.privacy_unit);
        }
        Self {
            table: &table.name,
            columns,
            action: Action::Query,
            purpose: None,
            whole: false,
        }
    }

    /// Its name.
    #[must_use]
    pub fn table(&self) -> &str {
        self.table
    }

    fn is_for(&self, purpose: &Purpose) -> bool {
        let named = self.purpose.is_none_or(|own| own == purpose.id.as_str());
        named && purpose.action == self.action
    }

    /// What a purpose would use of it.
    fn used_by(&self, purpose: &Purpose) -> Vec<&'a str> {
        let columns = self.columns.iter().copied();
        let listed: Vec<&str> = columns.filter(|column| purpose.allows(column)).collect();
        if self.whole || listed.is_empty() {
            return self.columns.clone();
        }
        listed
    }
}

impl Gatekeeper {
    /// Whether a table may be read, and for which purposes.
    ///
    /// # Errors
    ///
    /// No purpose in force allows it, or a column is covered by none.
    pub fn admit(&self, wanted: &Wanted<'_>, now: Timestamp) -> Result<Intake, Shut> {
        let mut intake = Intake {
            table: wanted.table.to_owned(),
            columns: BTreeSet::new(),
            allowed: BTreeMap::new(),
        };
        let mut nearest: Option<Decision> = None;
        let purposes = self.book().purposes().iter();
        for purpose in purposes.filter(|purpose| wanted.is_for(purpose)) {
            let columns = wanted.used_by(purpose);
            let decision = self.ingest(purpose.id.as_str(), &columns, now);
            match decision.allowed::<Ingest, Run>() {
                Ok(allowed) => {
                    let read = columns.into_iter().map(str::to_owned);
                    intake.columns.extend(read);
                    intake.allowed.insert(purpose.id.clone(), allowed);
                }
                Err(Refused(denied)) => nearest = Some(nearer(nearest, *denied)),
            }
        }
        let first = intake.allowed.keys().next().map(Name::as_str);
        if first.is_some() && intake.covers(wanted) {
            return Ok(intake);
        }
        // Where all that are asked say yes, a column is left that the first does not list; where none is asked, none is declared.
        let name = first.unwrap_or_default();
        let denied = nearest.unwrap_or_else(|| self.ingest(name, &wanted.columns, now));
        Err(Shut::Rules {
            table: wanted.table.to_owned(),
            refused: Refused(Box::new(denied)),
        })
    }
}

impl Intake {
    /// The table.
    #[must_use]
    pub fn table(&self) -> &str {
        &self.table
    }

    /// Whether it is leave to read this table with these columns.
    #[must_use]
    pub fn covers(&self, wanted: &Wanted<'_>) -> bool {
        let columns = &mut wanted.columns.iter();
        self.table == wanted.table && columns.all(|column| self.columns.contains(*column))
    }

    /// Whether the table is read for a purpose.
    #[must_use]
    pub fn is_for(&self, purpose: &str) -> bool {
        self.allowed.keys().any(|known| known.as_str() == purpose)
    }

    /// Purposes for which it is read, in order.
    pub fn purposes(&self) -> impl Iterator<Item = &Name> {
        self.allowed.keys()
    }

    /// What the history says of the decisions.
    pub fn decided(&self) -> impl Iterator<Item = Event> + '_ {
        let allowed = self.allowed.values();
        allowed.map(|allowed| decided(&self.table, allowed.decision()))
    }

    /// What the history says once the table was read.
    ///
    /// # Privacy
    ///
    /// From contract and declarations: neither rows nor customers are counted.
    #[must_use]
    pub fn registered(&self, contract: &Contract, epoch: Option<&Name>) -> Event {
        let each = self.allowed.values().map(Allowed::decision);
        let decisions = each.map(|decision| Json::from(decision.id().to_string()));
        let purposes = self.purposes().map(|purpose| Json::from(purpose.as_str()));
        let payload = Json::object([
            ("columns", Json::from(self.columns.len() as u64)),
            ("contract", Json::from(contract.name.as_str())),
            ("contract_sha256", Json::from(contract.hash().to_string())),
            ("contract_version", Json::from(contract.version)),
            ("decisions", Json::List(decisions.collect())),
            (
                "epoch",
                epoch.map_or(Json::Null, |epoch| Json::from(epoch.as_str())),
            ),
            ("purposes", Json::List(purposes.collect())),
            ("table", Json::from(self.table.as_str())),
        ]);
        let policy = self.allowed.values().next();
        let policy = policy.map(|allowed| allowed.decision().policy_digest());
        Event {
            policy: policy.unwrap_or_default(),
            ..Event::of_program(Kind::DatasetRegistered, payload)
        }
    }
}

impl Shut {
    /// What the history says of it; nothing where nothing is declared.
    #[must_use]
    pub fn decided(&self) -> Option<Event> {
        match self {
            Self::Undeclared { .. } => None,
            Self::Rules { table, refused } => Some(decided(table, &refused.0)),
        }
    }
}

/// Leave to write a file of scores, or that there is none, as the history says it.
#[must_use]
pub fn exporting(table: &str, decision: &Decision) -> Event {
    let mut event = decided(table, decision);
    if let Json::Object(fields) = &mut event.payload {
        fields.insert("export".to_owned(), Json::Flag(true));
    }
    event
}

/// A decision about a run as the history says it.
fn decided(table: &str, decision: &Decision) -> Event {
    let causes = decision.causes().iter();
    let causes = causes.map(|cause| Json::from(cause.word())).collect();
    let purpose = decision.purpose();
    let payload = Json::object([
        ("causes", Json::List(causes)),
        ("decision", Json::from(decision.id().to_string())),
        ("gate", Json::from(decision.gate().word())),
        (
            "purpose",
            purpose.map_or(Json::Null, |purpose| Json::from(purpose.id.as_str())),
        ),
        ("table", Json::from(table)),
        ("verdict", Json::from(decision.verdict().word())),
    ]);
    Event {
        policy: decision.policy_digest(),
        ..Event::of_program(Kind::PolicyDecision, payload)
    }
}

/// The one with fewer causes; of two alike, the first.
fn nearer(known: Option<Decision>, other: Decision) -> Decision {
    let causes = |decision: &Decision| decision.causes().iter().count();
    match known {
        Some(known) if causes(&known) <= causes(&other) => known,
        _ => other,
    }
}

fn learned_from(contract: &Contract) -> Vec<&str> {
    let features = contract.columns.iter().map(|column| column.name.as_str());
    features.chain([contract.label.column.as_str()]).collect()
}

#[cfg(test)]
#[path = "intake_tests.rs"]
mod tests;
