//! Rules of law at the node's gates: what a run may do, and who may be in it.
//!
//! Holds the rule book and what the unit declares of its people; [`decide`] answers. No gate looks at an exact count of people.

use std::collections::BTreeMap;
use std::sync::Arc;

use aquifer_shared::base::ids::{IdentityKey, Name};
use aquifer_shared::base::time::Timestamp;
use aquifer_shared::domain::law::exception::{Granted, signers_of};
use aquifer_shared::domain::law::proxy::categories_of;
use aquifer_shared::domain::law::{
    About, Basis, Category, Decision, Dpia, Facts, Gate, Key, Person, Place, Purpose, Request,
    Rulebook, Run, Set, Spend, Transfer, Verdict, decide,
};

use super::consent::Defaults;

/// What the unit declares of the people in its tables.
#[derive(Clone, Debug, PartialEq)]
pub struct People {
    /// Where the unit is.
    pub controller: Place,
    /// Where its customers live, where no event says otherwise.
    pub place: Place,
    /// Whether all of them are of age.
    pub adult: bool,
    /// Under what updates go to the coordinator.
    pub transfer: Transfer,
    /// On which basis each purpose rests.
    pub basis: BTreeMap<Name, Basis>,
    /// What all columns are about that have no entry in `columns`.
    pub categories: Set<Category>,
    /// What single columns are about.
    pub columns: BTreeMap<String, Set<Category>>,
    /// Names of purposes whose assessment of impact is current.
    pub dpia_current: Vec<Name>,
    /// Who may review decisions of significant effect, and by which key they are known.
    pub reviewers: BTreeMap<Name, IdentityKey>,
}

/// Rules and declarations, shared by all gates of a node.
#[derive(Clone, Debug)]
pub struct Gatekeeper(Arc<Content>);

#[derive(Debug)]
struct Content {
    book: Rulebook,
    people: People,
    exceptions: Vec<Granted>,
}

/// What a run would cost a subject in a year, and how many people it declares.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Figures {
    /// Declared number of customers.
    pub population: u64,
    /// Composed over the year and this run.
    pub spend: Spend,
}

impl Figures {
    /// Of what leaves nothing outside, such as a score.
    #[must_use]
    pub fn unspent(population: u64) -> Self {
        let spend = Spend {
            epsilon_micro: 0,
            delta_pico: 0,
        };
        Self { population, spend }
    }
}

impl Gatekeeper {
    /// Rules, and what they are applied to.
    #[must_use]
    pub fn new(book: Rulebook, people: People) -> Self {
        let exceptions = Vec::new();
        Self(Arc::new(Content {
            book,
            people,
            exceptions,
        }))
    }

    /// The same with these exceptions for screened uses, and no others.
    #[must_use]
    pub fn excepting(&self, exceptions: Vec<Granted>) -> Self {
        let (book, people) = (self.0.book.clone(), self.0.people.clone());
        Self(Arc::new(Content {
            book,
            people,
            exceptions,
        }))
    }

    /// The rule book.
    #[must_use]
    pub fn book(&self) -> &Rulebook {
        &self.0.book
    }

    /// What the unit declares.
    #[must_use]
    pub fn people(&self) -> &People {
        &self.0.people
    }

    /// A declared purpose.
    #[must_use]
    pub fn purpose(&self, name: &str) -> Option<&Purpose> {
        self.0.book.purpose(name)
    }

    /// The strictest value of the rules in force at the unit's place.
    #[must_use]
    pub fn limit(&self, key: Key, now: Timestamp) -> Option<u64> {
        let day = i32::try_from(now.0 / DAY_MS).ok()?;
        self.0.book.strictest(&[self.0.people.place], key, day)
    }

    /// What holds for customers of whom no event says otherwise.
    #[must_use]
    pub fn defaults(&self, purpose: &Name) -> Defaults {
        let people = &self.0.people;
        Defaults {
            place: Some(people.place),
            adult: people.adult,
            basis: people.basis.get(purpose).copied(),
        }
    }

    /// Whether a run may go on.
    pub fn run(
        &self,
        gate: Gate,
        purpose: &str,
        columns: &[&str],
        figures: Figures,
        now: Timestamp,
    ) -> Decision {
        let request = Request {
            categories: self.categories_by_name(columns),
            ..self.request(gate, purpose, columns)
        };
        let places = [self.0.people.place];
        let about = About::Run(self.about_run(&places, figures));
        self.decide(&request, None, about, now)
    }

    /// Whether data may be read for a purpose. It stays at the unit.
    pub fn ingest(&self, purpose: &str, columns: &[&str], now: Timestamp) -> Decision {
        let request = Request {
            categories: self.categories_by_name(columns),
            ..self.request(Gate::Ingest, purpose, columns)
        };
        let places = [self.0.people.place];
        let about = About::Run(Run {
            places: &places,
            transfer: Transfer::Within,
            population: None,
            spend: None,
        });
        self.decide(&request, None, about, now)
    }

    /// Whether a file of scores may be written; a reviewer counts where the unit has declared the name.
    pub fn score(
        &self,
        purpose: &str,
        columns: &[&str],
        reviewer: Option<&Name>,
        now: Timestamp,
    ) -> Decision {
        let request = Request {
            categories: self.categories_by_name(columns),
            export: true,
            ..self.request(Gate::Score, purpose, columns)
        };
        let reviewer = reviewer.and_then(|name| self.0.people.reviewers.get(name));
        let places = [self.0.people.place];
        let about = About::Run(Run {
            // Scores stay at the unit.
            transfer: Transfer::Within,
            ..self.about_run(&places, Figures::unspent(0))
        });
        self.decide(&request, reviewer.copied(), about, now)
    }

    fn about_run<'a>(&self, places: &'a [Place], figures: Figures) -> Run<'a> {
        Run {
            places,
            transfer: self.0.people.transfer,
            population: Some(figures.population),
            spend: Some(figures.spend),
        }
    }

    /// Whether one person is eligible.
    ///
    /// # Privacy
    ///
    /// The answer is a customer's fact: it becomes a bit of a mask, and nothing else.
    #[must_use]
    pub fn is_eligible(
        &self,
        gate: Gate,
        purpose: &str,
        columns: &[&str],
        person: &Person,
        now: Timestamp,
    ) -> bool {
        let request = self.request(gate, purpose, columns);
        // Who reviews is named with each file of scores, and asked for by the decision about that; here it is enough that the unit has somebody.
        let reviewer = self.0.people.reviewers.values().next().copied();
        let decision = self.decide(&request, reviewer, About::Person(*person), now);
        decision.verdict() == Verdict::Allow
    }

    fn request<'a>(&self, gate: Gate, purpose: &'a str, columns: &'a [&'a str]) -> Request<'a> {
        Request {
            gate,
            purpose,
            columns,
            categories: self.categories(columns),
            controller: Some(self.0.people.controller),
            export: false,
        }
    }

    fn decide(
        &self,
        request: &Request<'_>,
        reviewer: Option<IdentityKey>,
        about: About<'_>,
        now: Timestamp,
    ) -> Decision {
        let book = &self.0.book;
        let purpose = book.purpose(request.purpose);
        let facts = Facts {
            dpia: self.dpia(purpose),
            reviewer,
            signers: signers_of(&self.0.exceptions, purpose, now),
            about,
        };
        decide(request, &facts, book, now)
    }

    fn dpia(&self, purpose: Option<&Purpose>) -> Dpia {
        let Some(purpose) = purpose else {
            return Dpia::Unknown;
        };
        match &purpose.dpia_ref {
            None => Dpia::Absent,
            Some(_) if self.0.people.dpia_current.contains(&purpose.id) => Dpia::Current,
            Some(_) => Dpia::Stale,
        }
    }

    /// What these columns are about.
    #[must_use]
    pub fn categories(&self, columns: &[&str]) -> Set<Category> {
        let people = &self.0.people;
        let mut all = Set::EMPTY;
        for column in columns {
            let own = people.columns.get(*column).unwrap_or(&people.categories);
            own.iter().for_each(|category| all.insert(category));
        }
        all
    }

    /// The same for a run, before which names are looked at: a column that has a sensitive name and no tag is unknown.
    fn categories_by_name(&self, columns: &[&str]) -> Set<Category> {
        let people = &self.0.people;
        categories_of(columns, people.categories, &people.columns)
    }
}

const DAY_MS: u64 = 24 * 3_600 * 1_000;

#[cfg(test)]
mod tests {
    use aquifer_shared::domain::law::{Cause, Purposes, vendored};

    use super::*;

    const PURPOSES: &str = include_str!("../../../shared/laws/examples/purposes.toml");
    /// 2026-11-25.
    const NOW: Timestamp = Timestamp(20_782 * 24 * 3_600 * 1_000);

    fn people() -> People {
        let basis = ["churn.train", "churn.query", "churn.score"];
        let basis = basis.map(|purpose| (purpose.parse().unwrap(), Basis::Contract));
        People {
            controller: "DE".parse().unwrap(),
            place: "DE".parse().unwrap(),
            adult: true,
            transfer: Transfer::Within,
            basis: basis.into(),
            categories: Set::of(&[Category::Contract]),
            columns: BTreeMap::new(),
            dpia_current: Vec::new(),
            reviewers: BTreeMap::from([("ada".parse().unwrap(), IdentityKey([7; 32]))]),
        }
    }

    fn figures() -> Figures {
        Figures {
            population: 10_000,
            spend: Spend {
                epsilon_micro: 1_000_000,
                delta_pico: 1_000_000,
            },
        }
    }

    #[track_caller]
    fn check(people: People, columns: &[&str], figures: Figures, expected: Option<Cause>) {
        let purposes = Purposes::parse(PURPOSES).unwrap();
        let book = Rulebook::new(vendored::packs().unwrap(), purposes).unwrap();
        let gatekeeper = Gatekeeper::new(book, people);
        let decision = gatekeeper.run(Gate::Train, "churn.train", columns, figures, NOW);
        let causes = decision.causes();
        match expected {
            None => assert!(causes.is_empty(), "{causes:?}"),
            Some(cause) => assert!(causes.contains(cause), "{causes:?}"),
        }
    }

    #[test]
    fn a_run_is_held_against_the_rules() {
        let columns = ["tenure", "plan", "churned"];
        check(people(), &columns, figures(), None);
        check(
            people(),
            &["tenure", "shoe_size"],
            figures(),
            Some(Cause::ColumnNotAllowed),
        );
        let few = Figures {
            population: 199,
            ..figures()
        };
        check(people(), &columns, few, Some(Cause::CohortTooSmall));
        let mut dear = figures();
        dear.spend.epsilon_micro = 3_000_001;
        check(people(), &columns, dear, Some(Cause::EpsilonAboveCap));
        let mut tagged = people();
        tagged
            .columns
            .insert("plan".into(), Set::of(&[Category::Unknown]));
        check(tagged, &columns, figures(), Some(Cause::CategoryUnknown));
        let mut elsewhere = people();
        elsewhere.place = "JP".parse().unwrap();
        check(elsewhere, &columns, figures(), Some(Cause::PlaceUncovered));
        let mut bare = people();
        bare.transfer = Transfer::Bare;
        check(bare, &columns, figures(), Some(Cause::TransferWithoutTool));
    }

    #[test]
    fn a_sensitive_name_must_be_tagged_before_a_run() {
        let columns = ["tenure", "religion"];
        check(people(), &columns, figures(), Some(Cause::CategoryUnknown));
        let mut tagged = people();
        tagged
            .columns
            .insert("religion".into(), Set::of(&[Category::Religion]));
        let decided = gatekeeper(tagged).run(Gate::Train, "churn.train", &columns, figures(), NOW);
        assert!(!decided.causes().contains(Cause::CategoryUnknown));
    }

    fn gatekeeper(people: People) -> Gatekeeper {
        let purposes = Purposes::parse(PURPOSES).unwrap();
        let book = Rulebook::new(vendored::packs().unwrap(), purposes).unwrap();
        Gatekeeper::new(book, people)
    }

    #[track_caller]
    fn check_score(purpose: &str, reviewer: Option<&str>, expected: &[Cause]) {
        let mut people = people();
        let current = ["retention.score", "credit.score"];
        people.dpia_current = current.map(|name| name.parse().unwrap()).into();
        let reviewer: Option<Name> = reviewer.map(|name| name.parse().unwrap());
        let columns = ["tenure", "plan"];
        let decision = gatekeeper(people).score(purpose, &columns, reviewer.as_ref(), NOW);
        assert_eq!(decision.causes(), Set::of(expected), "{purpose}");
    }

    #[test]
    fn l3_significant_needs_reviewer() {
        check_score("churn.score", None, &[]);
        check_score("retention.score", None, &[Cause::ReviewerMissing]);
        check_score("retention.score", Some("bob"), &[Cause::ReviewerMissing]);
        check_score("retention.score", Some("ada"), &[]);
    }

    /// Somebody of whom no event says anything.
    fn adult(defaults: &Defaults) -> Person {
        Person {
            place: defaults.place,
            basis: defaults.basis,
            consent: aquifer_shared::domain::law::Consent::None,
            consented_on: None,
            block: aquifer_shared::domain::law::Block::None,
            notice: None,
            age: aquifer_shared::domain::law::Age::Adult,
        }
    }

    #[test]
    fn l3_a_reviewed_score_is_of_somebody() {
        let eligible = |reviewers: BTreeMap<Name, IdentityKey>| {
            let mut people = people();
            let purpose: Name = "retention.score".parse().unwrap();
            people.dpia_current = vec![purpose.clone()];
            people.basis.insert(purpose.clone(), Basis::Contract);
            people.reviewers = reviewers;
            let gatekeeper = gatekeeper(people);
            let person = adult(&gatekeeper.defaults(&purpose));
            gatekeeper.is_eligible(Gate::Score, purpose.as_str(), &["tenure"], &person, NOW)
        };
        assert!(eligible(people().reviewers));
        assert!(!eligible(BTreeMap::new()), "nobody could review it");
    }

    #[test]
    fn l3_screened_use_denied() {
        check_score("credit.score", Some("ada"), &[Cause::UseScreened]);
        check_score(
            "churn.train",
            None,
            &[Cause::WrongAction, Cause::ExportNotDeclared],
        );
        check_score("nothing.score", None, &[Cause::PurposeUnknown]);
    }

    #[test]
    fn sensitive_columns_need_explicit_consent_of_each_person() {
        let mut people = people();
        people
            .columns
            .insert("plan".into(), Set::of(&[Category::Health]));
        let purposes = Purposes::parse(PURPOSES).unwrap();
        let book = Rulebook::new(vendored::packs().unwrap(), purposes).unwrap();
        let gatekeeper = Gatekeeper::new(book, people);
        let person = adult(&gatekeeper.defaults(&"churn.train".parse().unwrap()));
        let eligible = |columns: &[&str]| {
            gatekeeper.is_eligible(Gate::Train, "churn.train", columns, &person, NOW)
        };
        assert!(eligible(&["tenure"]));
        assert!(!eligible(&["tenure", "plan"]));
    }
}
