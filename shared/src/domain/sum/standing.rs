//! Standing studies: approvers sign once what analysts may ask; every question is a study of one sum that fits.
//!
//! The approvals of a question are those of its standing study: the question's own terms with everything taken out that differs
//! from question to question. So whatever is not named here cannot differ from what was signed.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Plan, StudyTerms};
use crate::base::ids::Name;
use crate::base::time::Timestamp;
use crate::base::units::MicroRho;

/// What may be asked under one approval.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Standing {
    /// Drawn at submission.
    pub id: [u8; 16],
    /// Short name.
    pub name: Name,
    /// Published tables that questions may read, strictly rising.
    pub tables: Vec<String>,
    /// Largest price of one question, all its attempts together.
    pub urho_question_max: MicroRho,
    /// Price of a question that names none.
    pub urho_question_default: MicroRho,
    /// Largest price of all questions under it at one node.
    pub urho_max: MicroRho,
    /// Largest price of one analyst's questions in one window; the coordinator watches over it, nodes do not.
    pub urho_share: MicroRho,
    /// How long a share lasts before it is filled again.
    pub window: Window,
    /// Groups whose noisy count is below this are not shown.
    pub cohort_floor: u32,
    /// Nodes refuse questions after this.
    pub expires: Timestamp,
}

/// How long an analyst's share lasts. It paces spending and restores no privacy.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Window {
    /// As long as the standing study.
    #[default]
    Whole,
    /// From Monday on, UTC.
    Week,
    /// A month of the calendar.
    Month,
    /// A quarter of a year.
    Quarter,
    /// A year of the calendar.
    Year,
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Whole => "study",
            Self::Week => "week",
            Self::Month => "month",
            Self::Quarter => "quarter",
            Self::Year => "year",
        })
    }
}

/// Why terms are not a question of their standing study.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Outside {
    /// They are no question.
    #[error("the plan is no question")]
    OtherPlan,
    /// A question has one sum.
    #[error("{0} sums, expected 1")]
    Rounds(usize),
    /// It costs more than one question may.
    #[error("one question may cost {max}, with all its attempts this one costs {got}")]
    Price {
        /// Found.
        got: MicroRho,
        /// Allowed.
        max: MicroRho,
    },
    /// It goes by a name that nobody signed.
    #[error("the question goes by another name than its standing study")]
    Name,
    /// It would outlive what was signed.
    #[error("the question expires after its standing study")]
    Expires,
}

impl StudyTerms {
    /// Whether these are the terms of a standing study, under which nothing is asked yet.
    #[must_use]
    pub fn is_standing(&self) -> bool {
        matches!(&self.plan, Plan::Question { question, .. } if question.is_empty())
    }

    /// The terms of the standing study behind a question: what its approvers signed, through
    /// [`study_hash`](super::study_hash) of the encoding.
    ///
    /// # Errors
    ///
    /// Terms that are no question, or more than the standing study allows.
    pub fn standing(&self) -> Result<Self, Outside> {
        let Plan::Question { standing, .. } = &self.plan else {
            return Err(Outside::OtherPlan);
        };
        if self.rounds.len() != 1 {
            return Err(Outside::Rounds(self.rounds.len()));
        }
        if self.urho_cap > standing.urho_question_max {
            let (got, max) = (self.urho_cap, standing.urho_question_max);
            return Err(Outside::Price { got, max });
        }
        if self.name != standing.name {
            return Err(Outside::Name);
        }
        if self.expires > standing.expires {
            return Err(Outside::Expires);
        }
        Ok(self.template())
    }

    /// A question's terms with everything taken out that differs from question to question; other terms as they are.
    #[must_use]
    pub fn template(&self) -> Self {
        let Plan::Question { standing, .. } = &self.plan else {
            return self.clone();
        };
        Self {
            study_id: standing.id,
            name: standing.name.clone(),
            plan: Plan::Question {
                question: Vec::new(),
                data: Vec::new(),
                standing: standing.clone(),
            },
            rounds: Vec::new(),
            // What all questions together may cost: the price that approvers see.
            urho_cap: standing.urho_max,
            urho: standing.urho_max,
            expires: standing.expires,
            // Follows from the question's own sizes, and nodes hold it against them.
            slot_ms: 0,
            phase_ms: 0,
            ..self.clone()
        }
    }
}
