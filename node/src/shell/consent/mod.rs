//! The consent ledger of a unit: a file that only grows, imports into it, and what people at the unit ask of it.

mod batch;
pub(in crate::shell) mod command;
pub(in crate::shell) mod desk;
pub(in crate::shell) mod entering;
#[cfg(test)]
mod history_tests;
mod import;
mod issued;
mod ledger;
mod mapping;
mod notices;
mod outbox;
mod receipt;
mod receipt_command;
mod record;
mod rows;
pub(in crate::shell) mod show;
mod steps;
#[cfg(test)]
mod tests;
pub(in crate::shell) mod time;
mod tombstone;
mod verify;

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use anyhow::{Context as _, ensure};
pub use batch::Written;
pub use command::{ConsentCommand, run};
pub use ledger::{ConsentFault, ConsentLedger, EventKey, LEDGER_FILE, Position, Taken};
pub use outbox::Told;
use steps::CONSENT;
pub use tombstone::Erased;

use super::cohorts::{Heard, News};
use super::steps::Step;
use crate::core::consent::NoticeBook;

/// What comes into the ledger of a unit, from the first event on. A ledger that does not exist yet has nothing; it is looked for again
/// at every call. One that the history knows by a step must go on from it: the open file itself, whatever was at its place before.
///
/// # Errors
///
/// The ledger is there and cannot be opened, or does not go on from what is known; later, another file is in its place.
pub(in crate::shell) fn attach(directory: &Path, known: Option<Step>) -> anyhow::Result<News> {
    let directory = directory.to_owned();
    let path = directory.join(LEDGER_FILE);
    let there = move || -> anyhow::Result<Option<(ConsentLedger, File)>> {
        let path = directory.join(LEDGER_FILE);
        if !path.exists() {
            return Ok(None);
        }
        let ledger = ConsentLedger::open(&directory)?;
        let file = File::at(&path).with_context(|| format!("{} is gone", path.display()))?;
        Ok(Some((ledger, file)))
    };
    let mut open = there()?;
    match &mut open {
        Some((ledger, _)) => ledger.goes_on(known)?.map(drop)?,
        None => CONSENT.absent(path.parent().unwrap_or(&path), known)?,
    }
    let (mut seen, mut listed) = (Position::default(), NoticeBook::default());
    let mut step = known;
    Ok(Box::new(move || {
        if open.is_none() {
            open = there()?;
        }
        let Some((ledger, file)) = &mut open else {
            return Ok(Heard::default());
        };
        // Commands would write to another file, and nobody here would hear of it.
        ensure!(
            File::at(&path).as_ref() == Some(&*file),
            "{} was deleted or replaced while it is in use: start again",
            path.display()
        );
        // A copy that was written over it gives out numbers again that were read.
        step = Some(ledger.goes_on(step)??).filter(|step| step.number() > 0);
        // Notices before events, which name them.
        let notices = ledger.notices()?;
        let (events, last) = ledger.since(seen)?;
        seen = last;
        // Nothing fails from here on: what is not handed over now would not be handed over again.
        let notices = (notices != listed).then(|| {
            listed = notices.clone();
            notices
        });
        let upto = last.events();
        Ok(Heard {
            events,
            notices,
            upto,
        })
    }))
}

/// Which file it is, whatever its name.
#[derive(Eq, PartialEq)]
struct File {
    device: u64,
    number: u64,
}

impl File {
    fn at(path: &Path) -> Option<Self> {
        let facts = std::fs::metadata(path).ok()?;
        Some(Self {
            device: facts.dev(),
            number: facts.ino(),
        })
    }
}
