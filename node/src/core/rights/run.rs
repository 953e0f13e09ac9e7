//! What the budget ledger says about a run that persons may have been in.
//!
//! Questions under one standing study are one run: they rest on one signature, and are told together.

use aquifer_shared::base::ids::{AttemptId, IdentityKey, Name, StudyHash};
use aquifer_shared::base::time::Timestamp;
use aquifer_shared::base::units::{Delta, MicroRho};
use aquifer_shared::domain::sum::{Part, Plan, StudyTerms, TrustMode, attempt_id};
use aquifer_shared::protocol::codec::CodecError;
use serde::{Deserialize, Serialize};

use crate::core::ledger::{EndReason, Entry, read_terms, signed};

/// What a run does.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Learns a model.
    Train,
    /// Answers questions of analysts.
    Query,
}

/// A run, as its members signed it.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct RunFacts {
    /// Its name; a model is published under it.
    pub name: Name,
    /// Its declared purpose.
    pub purpose: Name,
    /// What it does.
    pub kind: Kind,
    /// Who must be honest for its price.
    pub trust: TrustMode,
    /// At how many nodes one person may be, by the study.
    pub multiplicity: u16,
    /// Delta of its statement.
    pub delta: Delta,
    /// Units that took part, by their keys.
    pub members: Vec<IdentityKey>,
}

/// What an entry of the budget ledger changes here.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// A study was accepted.
    Opened {
        /// The study.
        study: StudyHash,
        /// The run that it belongs to.
        run: StudyHash,
        /// What that is.
        facts: Box<RunFacts>,
    },
    /// An attempt was charged.
    Charged {
        /// The study.
        study: StudyHash,
        /// The attempt.
        attempt: AttemptId,
        /// Whose budget.
        part: Part,
        /// The price.
        urho: MicroRho,
        /// When.
        at: Timestamp,
    },
    /// An attempt is over.
    Closed(AttemptId),
    /// A study is over.
    Ended {
        /// The study.
        study: StudyHash,
        /// Why.
        reason: EndReason,
        /// When.
        at: Timestamp,
    },
    /// Charges that are lost count for everybody.
    WrittenOff {
        /// How much.
        urho: MicroRho,
        /// When.
        at: Timestamp,
    },
}

/// What an entry changes; none where it is about nobody.
///
/// # Errors
///
/// Terms that cannot be read.
pub fn change_of(entry: &Entry) -> Result<Option<Change>, CodecError> {
    Ok(match entry {
        Entry::Reserve(body) => {
            let (study, terms) = read_terms(&body.terms)?;
            facts_of(&terms).map(|facts| Change::Opened {
                study,
                run: signed(&study, &terms).unwrap_or(study),
                facts: Box::new(facts),
            })
        }
        Entry::Spend(body) => Some(Change::Charged {
            study: body.study,
            attempt: attempt_id(&body.study, body.round, body.attempt),
            part: body.part,
            urho: body.urho,
            at: body.at,
        }),
        Entry::Close(body) => {
            let attempt = attempt_id(&body.study, body.round, body.attempt);
            Some(Change::Closed(attempt))
        }
        Entry::Return(body) => Some(Change::Ended {
            study: body.study,
            reason: body.reason,
            at: body.at,
        }),
        Entry::WriteOff(body) => Some(Change::WrittenOff {
            urho: body.lost.urho,
            at: body.at,
        }),
        Entry::Hold(_) | Entry::Decline(_) | Entry::PeerMarks(_) => None,
    })
}

/// Nothing where the study reads nobody.
fn facts_of(terms: &StudyTerms) -> Option<RunFacts> {
    let kind = match terms.plan {
        Plan::Additive { .. } => Kind::Train,
        Plan::Question { .. } => Kind::Query,
        Plan::Synthetic { .. } => return None,
    };
    Some(RunFacts {
        name: terms.name.clone(),
        purpose: terms.purpose.clone(),
        kind,
        trust: terms.mode,
        multiplicity: terms.multiplicity,
        delta: terms.delta,
        members: terms.roster.clone(),
    })
}
