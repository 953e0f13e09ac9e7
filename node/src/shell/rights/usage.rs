//! The usage ledger for a command: where no node runs, what the budget ledger has more is counted first.

use std::path::Path;

use crate::shell::at_rest;
use crate::shell::config::NodeConfig;
use crate::shell::store::{StoreFault, Unwitnessed};
use crate::shell::telling::held_now;
use crate::shell::usage::{self, UsageLedger};

/// Opens it, once the history has said that it is the one that it knows: nothing is read of another, nor written to it.
///
/// # Errors
///
/// The history knows another one or cannot be asked; one of the ledgers cannot be read, or this one not be written.
pub(super) fn open(directory: &Path) -> anyhow::Result<UsageLedger> {
    held_now(directory)?;
    let config = NodeConfig::load(directory)?;
    let (ledger, witness) = (
        config.ledger_path(directory),
        config.witness_path(directory),
    );
    if ledger.exists() {
        catch_up(directory, &ledger, &witness)?;
    }
    Ok(UsageLedger::open(directory)?)
}

fn catch_up(directory: &Path, ledger: &Path, witness: &Path) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let database = at_rest::vault(directory)?.database(at_rest::LEDGER);
    let mut store = match runtime.block_on(Unwitnessed::open(ledger, witness, &database)) {
        // A node runs, and counts by itself.
        Err(StoreFault::InUse { .. }) => return Ok(()),
        store => store?,
    };
    let entries = runtime.block_on(store.entries())?;
    let after = |number: u64| {
        let start = usize::try_from(number).unwrap_or(usize::MAX);
        Ok(entries.get(start..).unwrap_or_default().to_vec())
    };
    usage::start(directory, store.ledger(), after)?.finish();
    runtime.block_on(store.retire())?;
    Ok(())
}
