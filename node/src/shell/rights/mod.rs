//! What a person may ask of the unit: what is known of them, an objection, an erasure.

mod access;
mod certificate;
mod command;
mod erase;
mod export;
mod extend;
mod html;
mod list;
mod models;
mod pack;
mod plans;
mod requests;
mod scores;
#[cfg(test)]
mod tests;
mod usage;

pub use access::{Asked, Found, look};
pub(in crate::shell) use command::write_new;
pub use command::{RightsCommand, run};
pub use erase::{Erased, Erasure, Why, erase};
pub use models::{learn, renew};
pub use pack::{Bound, Bounds, Pack, PurposeLine, Run};
pub(in crate::shell) use pack::{House, retention, rights};
pub use plans::learn_plans;
pub use scores::ScoreLine;

use std::path::Path;

use super::clock::now;
use super::usage::{USAGE_FILE, UsageLedger};
use crate::core::chronicle::Keyed;
use crate::core::rights::{extended, told as core_told};

/// What the history is told of erasures, each step with its key; nothing where there is no usage ledger yet. Blocks.
///
/// # Errors
///
/// The usage ledger cannot be read.
pub fn told(directory: &Path) -> anyhow::Result<Vec<Keyed>> {
    if !directory.join(USAGE_FILE).exists() {
        return Ok(Vec::new());
    }
    let mut usage = UsageLedger::open(directory)?;
    let (cases, extensions) = (usage.cases()?, usage.extensions()?);
    let now = i64::try_from(now().0).unwrap_or(i64::MAX);
    let told = cases.iter().flat_map(|case| {
        let longer = extensions.get(&case.request);
        let longer = longer.map(|own| extended(case, own));
        core_told(case, now).into_iter().chain(longer)
    });
    Ok(told.collect())
}
