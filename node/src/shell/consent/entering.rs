//! Takes what the ledger tells the history into it, and what is about erased persons out of it.
//!
//! Each step may be repeated: a crash between any two of them loses nothing and enters nothing twice.

use std::path::Path;

use aquifer_shared::base::ids::Hash32;
use aquifer_shared::base::time::Timestamp;
use aquifer_shared::shell::history::History;

use super::ledger::{ConsentFault, ConsentLedger, LEDGER_FILE};
use super::outbox::Open;
use super::steps::CONSENT;
use crate::shell::config::NodeConfig;
use crate::shell::steps::{PutBack, Step};

/// Refuses a ledger that was deleted or put back alone from a backup, unless there is a reason to take it as it is.
///
/// # Errors
///
/// [`PutBack`], or the ledger or the history cannot be used.
pub async fn hold(
    history: &History,
    directory: &Path,
    (reason, now): (Option<&str>, Timestamp),
) -> anyhow::Result<()> {
    let known = CONSENT.known(history).await?;
    let (found, held) = match directory.join(LEDGER_FILE).exists() {
        false => (Default::default(), CONSENT.absent(directory, known)),
        true => {
            let looked = move |ledger: &mut ConsentLedger| {
                let found = ledger.step()?;
                Ok((found, ledger.goes_on(known)?.map(drop)))
            };
            with_ledger(directory, looked).await?
        }
    };
    let steps = (known, found);
    CONSENT.hold(history, steps, held, (reason, now)).await
}

/// The step of the ledger that the history knows, if it knows any.
///
/// # Errors
///
/// The history cannot be read.
pub async fn known(history: &History) -> anyhow::Result<Option<Step>> {
    CONSENT.known(history).await
}

/// Enters everything that is open. One task at a time, of the process that has the history open.
///
/// # Errors
///
/// The ledger or the history cannot be used: the rest is entered by the next call. [`PutBack`]: nothing is entered.
///
/// # Privacy
///
/// Payload and salt of entries about an erased person are gone from the history before the ledger forgets that there were any.
pub async fn enter(history: &History, directory: &Path) -> anyhow::Result<()> {
    let mut known = CONSENT.known(history).await?;
    if !directory.join(LEDGER_FILE).exists() {
        return Ok(CONSENT.absent(directory, known)?);
    }
    loop {
        let looked = move |ledger: &mut ConsentLedger| {
            let open = ledger.open_entries()?;
            // After what is open: the history knows the steps of all that it has.
            Ok::<(Vec<Open>, Result<_, PutBack>), _>((open, ledger.goes_on(known)?))
        };
        let (open, reached) = with_ledger(directory, looked).await?;
        CONSENT.follow(history, &mut known, reached).await?;
        if open.is_empty() {
            return Ok(());
        }
        let (gone, new): (Vec<Open>, Vec<Open>) = open.into_iter().partition(|own| own.gone);
        let rules = in_force(directory);
        let keyed = new.iter().map(|own| own.keyed(rules));
        let keyed: Vec<_> = keyed.collect::<anyhow::Result<_>>()?;
        let places = history.append_once(keyed).await?;
        let numbers = new.iter().map(|own| own.number);
        let entered: Vec<(i64, u64)> = numbers.zip(places).collect();
        for own in &gone {
            erase(history, own).await?;
        }
        let dropped: Vec<i64> = gone.iter().map(|own| own.number).collect();
        let settle = move |ledger: &mut ConsentLedger| ledger.settle(&entered, &dropped);
        with_ledger(directory, settle).await?;
    }
}

/// Digest of the rules in the node's files; zero where it has none that can be read.
fn in_force(directory: &Path) -> Hash32 {
    let config = NodeConfig::load(directory).ok();
    let gatekeeper = config.and_then(|config| config.gatekeeper(directory).ok().flatten());
    gatekeeper.map_or_else(Hash32::default, |own| own.book().digest())
}

/// Takes one entry out of the history, if it is there: its place may not have been noted any more.
async fn erase(history: &History, own: &Open) -> anyhow::Result<()> {
    let place = match own.place {
        Some(place) => Some(place),
        None => history.find(&own.key).await?,
    };
    if let Some(place) = place {
        history.erase(place).await?;
    }
    Ok(())
}

/// Works on the ledger, which blocks, beside the caller's tasks.
async fn with_ledger<T: Send + 'static>(
    directory: &Path,
    work: impl FnOnce(&mut ConsentLedger) -> Result<T, ConsentFault> + Send + 'static,
) -> anyhow::Result<T> {
    let directory = directory.to_owned();
    let done = tokio::task::spawn_blocking(move || {
        let mut ledger = ConsentLedger::open(&directory)?;
        work(&mut ledger)
    });
    Ok(done.await??)
}
