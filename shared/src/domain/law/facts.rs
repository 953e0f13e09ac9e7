//! What a decision looks at: the request, and what is known about the run or the person. Unknown is a value of its own.

use std::fmt;

use super::place::Place;
use super::vocabulary::{Basis, Category, Gate};
use super::words::{Set, words};
use crate::base::ids::IdentityKey;

/// What somebody wants to do.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Where it is asked.
    pub gate: Gate,
    /// Name of the purpose.
    pub purpose: &'a str,
    /// Columns that would be used.
    pub columns: &'a [&'a str],
    /// What they are about, by the tags of the contract.
    pub categories: Set<Category>,
    /// Where the unit is.
    pub controller: Option<Place>,
    /// Whether results would leave the unit's tools.
    pub export: bool,
}

/// What is known.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The assessment of impact of this purpose.
    pub dpia: Dpia,
    /// Who reviews decisions of significant effect.
    pub reviewer: Option<IdentityKey>,
    /// Who signed for a screened use.
    pub signers: Option<TwoSigners>,
    /// Of whom.
    pub about: About<'a>,
}

/// Of whom something is known.
#[derive(Clone, Copy, Debug)]
pub enum About<'a> {
    /// One person, at the node that holds it.
    Person(Person),
    /// A run as a whole, from declared and public figures.
    Run(Run<'a>),
}

/// What is known of one person.
///
/// # Privacy
///
/// Customers' facts: stay at the node. Not serialisable, and hidden from `Debug`.
#[derive(Clone, Copy, PartialEq)]
pub struct Person {
    /// Where the person lives.
    pub place: Option<Place>,
    /// Why the data may be processed.
    pub basis: Option<Basis>,
    /// State of the consent to this purpose.
    pub consent: Consent,
    /// Day of that consent.
    pub consented_on: Option<i32>,
    /// Objection or opt-out from this purpose.
    pub block: Block,
    /// Version of the notice that was shown.
    pub notice: Option<u32>,
    /// Age.
    pub age: Age,
}

/// What is known of a run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Run<'a> {
    /// Where the people in it live.
    pub places: &'a [Place],
    /// Whether something goes to another country.
    pub transfer: Transfer,
    /// Declared size of the population.
    pub population: Option<u64>,
    /// What it would cost.
    pub spend: Option<Spend>,
}

/// Privacy cost, composed over the year and this run, for a subject in the worst case.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Spend {
    /// Epsilon in millionths, rounded up.
    pub epsilon_micro: u64,
    /// Delta in units of 10^-12, rounded up.
    pub delta_pico: u64,
}

/// A person's age.
#[derive(Clone, Copy, Eq, PartialEq)]
pub enum Age {
    /// Full years.
    Years(u8),
    /// Of age everywhere.
    Adult,
    /// Below the age of consent, and a guardian agreed.
    MinorWithGuardian,
    /// Below the age of consent.
    Minor,
    /// Nobody knows.
    Unknown,
}

words!(
    /// State of a consent at the time of the decision.
    Consent {
        /// Nobody knows.
        Unknown = "unknown",
        /// Never given.
        None = "none",
        /// Given, and in force.
        Active = "active",
        /// Given in express words, and in force.
        Explicit = "explicit",
        /// Refused.
        Refused = "refused",
        /// Taken back.
        Withdrawn = "withdrawn",
        /// Over.
        Expired = "expired",
    }
);

words!(
    /// Whether a person objected to the purpose.
    Block {
        /// Nobody knows.
        Unknown = "unknown",
        /// No.
        None = "none",
        /// Yes.
        Objected = "objected",
        /// A signal or a setting says so.
        OptedOut = "opted_out",
    }
);

words!(
    /// Whether something goes to another country, and under what.
    Transfer {
        /// Nobody knows.
        Unknown = "unknown",
        /// It does not.
        Within = "within",
        /// It does, under an adequacy decision, standard clauses or binding rules.
        Tool = "tool",
        /// It does, under terms of a contract alone.
        ContractTerms = "contract_terms",
        /// It does, under nothing.
        Bare = "bare",
    }
);

words!(
    /// State of the assessment of impact.
    Dpia {
        /// Nobody knows.
        Unknown = "unknown",
        /// There is none.
        Absent = "absent",
        /// Signed, and nothing has changed since that would open it again.
        Current = "current",
        /// Something has changed since.
        Stale = "stale",
    }
);

/// Two different people who signed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct TwoSigners(IdentityKey, IdentityKey);

/// The same person twice.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("both signatures are by {0}, expected two people")]
pub struct SameSigner(pub IdentityKey);

impl TwoSigners {
    /// Two signatures that were verified.
    ///
    /// # Errors
    ///
    /// Both by the same key.
    pub fn new(first: IdentityKey, second: IdentityKey) -> Result<Self, SameSigner> {
        if first == second {
            return Err(SameSigner(first));
        }
        Ok(Self(first.min(second), first.max(second)))
    }

    /// Their keys, in order.
    #[must_use]
    pub fn keys(self) -> [IdentityKey; 2] {
        [self.0, self.1]
    }
}

impl fmt::Debug for Person {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<personal>")
    }
}

impl fmt::Debug for Age {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<personal>")
    }
}
