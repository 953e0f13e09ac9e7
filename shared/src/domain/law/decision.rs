//! Decisions and their witnesses. Only `decide` makes a decision, and only an allowing decision makes a witness.

use std::fmt;
use std::marker::PhantomData;

use super::book::Rulebook;
use super::cause::{Ask, Cause};
use super::key::{Key, Stricter};
use super::limits::Limits;
use super::pack::Says;
use super::place::Place;
use super::rule::Rule;
use super::vocabulary::Gate;
use super::witness::{GateKind, SubjectKind};
use super::words::{Set, words};
use crate::base::hash::labelled;
use crate::base::ids::Hash32;

words!(
    /// The answer.
    Verdict {
        /// It may be done, under the obligations.
        Allow = "allow",
        /// It may not.
        Deny = "deny",
    }
);

words!(
    /// What has to be done along with it.
    Obligation {
        /// Results about fewer people than the cohort are not shown.
        MinCohort = "min_cohort",
        /// Nothing leaves without noise and its charge.
        Noise = "noise",
        /// Where no score may be shown, `suppressed` stands in its place.
        Suppress = "suppress",
        /// A person reviews each decision and can change it.
        HumanReview = "human_review",
        /// The explanation is logged with the score.
        LogExplanation = "log_explanation",
        /// The year's epsilon of a subject is told: it has reached the warning.
        WarnEpsilon = "warn_epsilon",
    }
);

words!(
    /// Of whom a decision is.
    Subject {
        /// One person.
        Person = "person",
        /// A run as a whole.
        Run = "run",
    }
);

/// What was decided, on which rules, and what follows from it.
///
/// # Privacy
///
/// About a person it is a customer's fact, and stays at the node. Its digest of inputs covers few possible values and can be guessed:
/// it does not leave the node either.
#[must_use = "nothing may be done before it allows it"]
#[derive(Clone)]
pub struct Decision {
    pub(super) book: Rulebook,
    pub(super) gate: Gate,
    pub(super) subject: Subject,
    pub(super) day: i32,
    pub(super) applicable: Vec<(u8, Place)>,
    pub(super) used: Set<Key>,
    pub(super) causes: Set<Cause>,
    pub(super) obligations: Set<Obligation>,
    pub(super) inputs: Hash32,
}

/// A rule that a decision rests on.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Ground {
    /// `PACK/KEY@FIRST-DAY`.
    pub rule_id: String,
    /// Article, section or document.
    pub reference: String,
}

/// A cause with the rules it rests on.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Reason {
    /// Why.
    pub cause: Cause,
    /// On which rules.
    pub grounds: Vec<Ground>,
}

/// A decision that allows, for one gate and one kind of subject. Training, queries, scores and releases take it by value.
#[must_use = "what was allowed has not been done yet"]
pub struct Allowed<G, S> {
    decision: Decision,
    of: PhantomData<(G, S)>,
}

/// A decision that does not allow what was wanted.
#[derive(Debug)]
pub struct Refused(pub Box<Decision>);

impl Decision {
    /// Allow or deny.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        if self.causes.is_empty() {
            return Verdict::Allow;
        }
        Verdict::Deny
    }

    /// Where it was asked.
    #[must_use]
    pub fn gate(&self) -> Gate {
        self.gate
    }

    /// Of whom it is.
    #[must_use]
    pub fn subject(&self) -> Subject {
        self.subject
    }

    /// Why it is no; empty where it is yes.
    #[must_use]
    pub fn causes(&self) -> Set<Cause> {
        self.causes
    }

    /// What has to be done along with it.
    #[must_use]
    pub fn obligations(&self) -> Set<Obligation> {
        self.obligations
    }

    /// SHA-256 of packs and purposes in force.
    #[must_use]
    pub fn policy_digest(&self) -> Hash32 {
        self.book.digest()
    }

    /// SHA-256 of the request, the facts and the time.
    #[must_use]
    pub fn inputs_digest(&self) -> Hash32 {
        self.inputs
    }

    /// The decision's id: the same for the same inputs under the same rules.
    #[must_use]
    pub fn id(&self) -> Hash32 {
        labelled(
            "aquifer/law/decision/v1",
            &[&self.policy_digest().0, &self.inputs.0],
        )
    }

    /// The strictest values that applied.
    #[must_use]
    pub fn limits(&self) -> Limits {
        Limits::of(&self.book, &self.applicable, self.day)
    }

    /// Names of the packs that bound a value.
    pub fn bound_by(&self, key: Key) -> impl Iterator<Item = &str> {
        let numbers = self.limits().bound_by(key);
        numbers.filter_map(|number| Some(self.book.packs().get(usize::from(number))?.id().as_str()))
    }

    /// All rules that were looked at.
    #[must_use]
    pub fn grounds(&self) -> Vec<Ground> {
        let keys: Vec<Key> = self.used.iter().collect();
        self.grounds_of(&keys)
    }

    /// Why it is no, with rules and references; empty where it is yes.
    #[must_use]
    pub fn reasons(&self) -> Vec<Reason> {
        let reason = |cause: Cause| Reason {
            cause,
            grounds: match cause {
                Cause::RuleStale => self.stale(),
                _ => self.grounds_of(cause.keys()),
            },
        };
        self.causes.iter().map(reason).collect()
    }

    /// The witness for a gate and a kind of subject.
    ///
    /// # Errors
    ///
    /// The decision, if it denies, or is of another gate or of another kind of subject.
    pub fn allowed<G: GateKind, S: SubjectKind>(self) -> Result<Allowed<G, S>, Refused> {
        let fits = self.gate == G::GATE && self.subject == S::SUBJECT;
        if self.verdict() == Verdict::Deny || !fits {
            return Err(Refused(Box::new(self)));
        }
        let of = PhantomData;
        Ok(Allowed { decision: self, of })
    }

    /// Rules in force that made the joined values of these keys.
    fn grounds_of(&self, keys: &[Key]) -> Vec<Ground> {
        let limits = self.limits();
        let rules = keys.iter().flat_map(|&key| {
            self.each_pack().filter_map(move |(number, place)| {
                let pack = self.book.packs().get(usize::from(number))?;
                let Says::Value(rule) = pack.says(key, place, self.day) else {
                    return None;
                };
                let bound = limits.bound_by(key).any(|bound| bound == number);
                (bound && made(rule, &limits)).then(|| ground(rule, pack.id().as_str()))
            })
        });
        once_each(rules)
    }

    /// Rules that are not in force; scopes by the name of their pack.
    fn stale(&self) -> Vec<Ground> {
        let stale = self.each_pack().flat_map(|(number, place)| {
            let pack = &self.book.packs()[usize::from(number)];
            let over = move |key: &Key| match pack.says(*key, place, self.day) {
                Says::Stale => true,
                Says::NotYet => pack.must_set(*key),
                Says::Value(_) | Says::Nothing => false,
            };
            let last = move |key: Key| pack.rules().iter().rfind(|rule| rule.key == key);
            let rules = pack.keys().filter(over).filter_map(last);
            let scope = (!pack.scope().holds_on(self.day)).then(|| Ground {
                rule_id: format!("{}/scope", pack.id()),
                reference: pack.scope().reference.clone(),
            });
            let rules = rules.map(move |rule| ground(rule, pack.id().as_str()));
            scope.into_iter().chain(rules)
        });
        once_each(stale)
    }

    fn each_pack(&self) -> impl Iterator<Item = (u8, Place)> {
        self.applicable.iter().copied()
    }
}

fn made(rule: &Rule, limits: &Limits) -> bool {
    match rule.key.stricter() {
        Stricter::Larger | Stricter::Smaller => limits.value(rule.key) == Some(rule.value),
        Stricter::Union => rule.value != 0 || limits.value(rule.key) == Some(0),
        Stricter::Intersection => true,
    }
}

fn ground(rule: &Rule, pack: &str) -> Ground {
    Ground {
        rule_id: rule.id(pack),
        reference: rule.provenance.reference.clone(),
    }
}

fn once_each(grounds: impl Iterator<Item = Ground>) -> Vec<Ground> {
    let mut kept: Vec<Ground> = Vec::new();
    for ground in grounds {
        if !kept.contains(&ground) {
            kept.push(ground);
        }
    }
    kept
}

impl<G, S> Allowed<G, S> {
    /// The decision behind it, for the log and its obligations.
    pub fn decision(&self) -> &Decision {
        &self.decision
    }
}

impl Reason {
    /// Whom to ask.
    #[must_use]
    pub fn ask(&self) -> Ask {
        self.cause.ask()
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (cause, found, remedy) = (self.cause, self.cause.found(), self.cause.remedy());
        let grounds: Vec<String> = self.grounds.iter().map(ToString::to_string).collect();
        let rules = if grounds.is_empty() {
            "deny by default".to_owned()
        } else {
            grounds.join("; ")
        };
        write!(
            f,
            "{cause}: {found} ({rules}); {remedy}; ask the {}",
            self.ask()
        )
    }
}

impl fmt::Display for Ground {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.rule_id, self.reference)
    }
}

impl fmt::Debug for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.subject {
            Subject::Person => "<personal>".to_owned(),
            Subject::Run => format!("{} {:?}", self.verdict(), self.causes),
        };
        write!(f, "Decision({} {} {what})", self.gate, self.subject)
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reasons: Vec<String> = self.0.reasons().iter().map(ToString::to_string).collect();
        match reasons.is_empty() {
            true => write!(
                f,
                "the decision is of gate {} and of a {}, expected one of the gate and subject it is used for",
                self.0.gate, self.0.subject
            ),
            false => f.write_str(&reasons.join("\n")),
        }
    }
}

impl std::error::Error for Refused {}
