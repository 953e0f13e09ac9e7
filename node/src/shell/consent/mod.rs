//! The consent ledger of a unit: a file that only grows, imports into it, and what people at the unit ask of it.

pub(in crate::shell) mod command;
pub(in crate::shell) mod desk;
mod import;
mod ledger;
mod mapping;
mod notices;
mod receipt;
mod record;
mod rows;
pub(in crate::shell) mod show;
#[cfg(test)]
mod tests;
pub(in crate::shell) mod time;
mod tombstone;

use std::path::Path;

pub use command::{ConsentCommand, run};
pub use ledger::{ConsentFault, ConsentLedger, EventKey, LEDGER_FILE, Position, Taken};
pub use tombstone::Erased;

use super::cohorts::News;
use crate::core::consent::NoticeBook;

/// Notices of a unit, and the events that come into its ledger, from the first on. A ledger that does not exist yet has none; it is
/// looked for again at every call.
///
/// # Errors
///
/// The ledger is there and cannot be read.
pub fn attach(directory: &Path) -> anyhow::Result<(NoticeBook, News)> {
    let directory = directory.to_owned();
    let mut open: Option<ConsentLedger> = None;
    if directory.join(LEDGER_FILE).exists() {
        open = Some(ConsentLedger::open(&directory)?);
    }
    let notices = match &mut open {
        Some(ledger) => ledger.notices()?,
        None => NoticeBook::default(),
    };
    let mut seen = Position::default();
    let news = move || {
        if open.is_none() && directory.join(LEDGER_FILE).exists() {
            open = Some(ConsentLedger::open(&directory)?);
        }
        let Some(ledger) = &mut open else {
            return Ok(Vec::new());
        };
        let (new, last) = ledger.since(seen)?;
        seen = last;
        Ok(new)
    };
    Ok((notices, Box::new(news)))
}
