//! Why a study cannot go on: found after a sum was released, so what was spent stays spent.

/// The end of a study without a model.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Stop {
    /// The noisy number of customers is too small for this price.
    #[error("about {customers:.0} customers in the released counts, expected at least {needed:.0}")]
    TooLittleData {
        /// Estimate from the released counts.
        customers: f64,
        /// Least number.
        needed: f64,
    },
    /// The step could not be computed from these sums.
    #[error("the sums of round {round} do not give a finite step")]
    NotFinite {
        /// Residual round, from 1.
        round: usize,
    },
    /// Curves ran into their bounds.
    #[error("{at_bound} of {entries} curve entries are at their bound, expected at most 1 in 100")]
    Saturated {
        /// Entries at ±8 log-odds.
        at_bound: usize,
        /// All entries.
        entries: usize,
    },
    /// A sum, or a recorded study, has another shape than the plan.
    #[error("{what} is {got}, expected {expected}")]
    Shape {
        /// The thing.
        what: &'static str,
        /// Found.
        got: usize,
        /// Expected.
        expected: usize,
    },
}

impl Stop {
    /// Fixed code for logs and states.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooLittleData { .. } | Self::NotFinite { .. } => "too_little_data",
            Self::Saturated { .. } => "saturated",
            Self::Shape { .. } => "wrong_shape",
        }
    }
}
