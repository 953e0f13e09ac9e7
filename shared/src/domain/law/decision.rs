//! Decisions and their witnesses. Only `decide` makes a decision, and only an allowing decision makes a witness.

use std::fmt;
use std::marker::PhantomData;

use super::book::Rulebook;
use super::cause::Cause;
use super::key::Key;
use super::limits::Limits;
use super::place::Place;
use super::purpose::Purpose;
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
pub struct Decision {
    pub(super) book: Rulebook,
    pub(super) gate: Gate,
    pub(super) subject: Subject,
    /// Its number in the book.
    pub(super) purpose: Option<usize>,
    pub(super) day: i32,
    pub(super) applicable: Vec<(u8, Place)>,
    pub(super) used: Set<Key>,
    pub(super) causes: Set<Cause>,
    pub(super) obligations: Set<Obligation>,
    pub(super) inputs: Hash32,
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

    /// For what; `None` where the purpose is not declared.
    #[must_use]
    pub fn purpose(&self) -> Option<&Purpose> {
        self.book.purposes().get(self.purpose?)
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
}

impl<G, S> Allowed<G, S> {
    /// The decision behind it, for the log and its obligations.
    pub fn decision(&self) -> &Decision {
        &self.decision
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

impl<G, S> fmt::Debug for Allowed<G, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Allowed({:?})", self.decision)
    }
}

/// Of a person it says nothing but no: reasons are asked for where they may be shown.
impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(decision) = self;
        let (gate, subject) = (decision.gate, decision.subject);
        let reasons: Vec<String> = decision.reasons().iter().map(ToString::to_string).collect();
        match (subject, decision.verdict()) {
            (_, Verdict::Allow) => write!(
                f,
                "the decision is of gate {gate} and of a {subject}, expected the gate and subject it is used for"
            ),
            (Subject::Person, Verdict::Deny) => {
                write!(f, "a person is not eligible at gate {gate}")
            }
            (Subject::Run, Verdict::Deny) => f.write_str(&reasons.join("\n")),
        }
    }
}

impl std::error::Error for Refused {}
