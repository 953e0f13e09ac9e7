//! `aquifer-node ledger`: the ways out of a locked ledger. Both are a person's decision, and neither gives budget back.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use aquifer_shared::base::units::MicroRho;
use aquifer_shared::protocol::chain::Head;
use aquifer_shared::shell::report::{Outcome, note, print, refused};

use super::clock::now;
use super::config::NodeConfig;
use super::mirror::{self, Mirrored};
use super::store::Unwitnessed;
use crate::core::ledger::{self, LockReason, SeenBy};

/// Continues with what the coordinator's mirror holds, with a newer copy of this ledger, or with the present one where only the
/// witness was lost.
///
/// # Errors
///
/// A file cannot be read or written, or is no ledger.
pub fn adopt(directory: &Path, file: Option<&Path>) -> anyhow::Result<Outcome> {
    let config = NodeConfig::load(directory)?;
    let (ledger, witness) = (
        config.ledger_path(directory),
        config.witness_path(directory),
    );
    runtime()?.block_on(async {
        let present = Unwitnessed::open(&ledger, &witness).await?;
        match file {
            Some(file) => adopt_copy(present, &ledger, &witness, file).await,
            None => adopt_mirror(present, mirror::fetch(directory).await).await,
        }
    })
}

async fn adopt_mirror(
    mut present: Unwitnessed,
    mirrored: anyhow::Result<Mirrored>,
) -> anyhow::Result<Outcome> {
    let mirrored = match mirrored {
        Ok(mirrored) => mirrored,
        Err(fault) => return adopt_without_mirror(present, &fault).await,
    };
    let head = mirrored.head;
    let adoption = ledger::adopt(now(), &present.entries().await?, &mirrored.links)?;
    let Some(adoption) = adoption else {
        return adopt_present(present, head).await;
    };
    let witnessed = present.witnessed();
    let known = |seen| adoption.ledger.contains(seen) || present.ledger().contains(seen);
    if witnessed.is_some_and(|seen| !known(seen)) {
        return Ok(refused(
            "the coordinator's mirror does not satisfy the witness either: name a newer copy of the ledger (`adopt FILE`), \
             or write off what is left",
        ));
    }
    let (from, to) = (
        present.ledger().durable().seq,
        adoption.ledger.durable().seq,
    );
    let MicroRho(lost) = adoption.written_off;
    present.adopt(adoption, head).await?;
    print(&format!(
        "the ledger goes on from entry {to} instead of {from}, as the coordinator's mirror and this node's signature have it\n"
    ))?;
    if lost > 0 {
        print(&format!(
            "{lost} micro-rho that only the shorter of both had spent are written off under every cap\n"
        ))?;
    }
    Ok(Outcome::Done)
}

/// The mirror holds nothing that is not here.
async fn adopt_present(present: Unwitnessed, mirror: Head) -> anyhow::Result<Outcome> {
    match present.lock_reason() {
        None => Ok(refused(&format!(
            "the ledger is not locked: it agrees with its witness and with the coordinator's mirror (entry {})",
            mirror.seq
        ))),
        Some(LockReason::Missing { .. } | LockReason::Unreadable) => renew_witness(present).await,
        Some(reason) => Ok(refused(&format!(
            "{reason}; the coordinator's mirror ends at entry {}: name a newer copy of the ledger (`adopt FILE`), or write \
             off what is left",
            mirror.seq
        ))),
    }
}

async fn adopt_without_mirror(
    present: Unwitnessed,
    fault: &anyhow::Error,
) -> anyhow::Result<Outcome> {
    let unasked = format!("the coordinator's mirror cannot be asked ({fault:#})");
    match present.lock_reason() {
        None => Ok(refused(&format!(
            "the ledger agrees with its witness, and {unasked}: nothing was changed"
        ))),
        Some(LockReason::Missing { .. } | LockReason::Unreadable) => {
            note(&format!(
                "{unasked}; it is held against the ledger in the next session"
            ));
            renew_witness(present).await
        }
        Some(reason) => Ok(refused(&format!(
            "{reason}; {unasked}: try again later, name a newer copy of the ledger (`adopt FILE`), or write off what is left"
        ))),
    }
}

async fn renew_witness(present: Unwitnessed) -> anyhow::Result<Outcome> {
    let (store, ledger) = present.overrule()?;
    store.close().await?;
    let seq = ledger.durable().seq;
    print(&format!(
        "the witness is made anew from entry {seq} of the ledger\n"
    ))?;
    Ok(Outcome::Done)
}

async fn adopt_copy(
    present: Unwitnessed,
    ledger: &Path,
    witness: &Path,
    file: &Path,
) -> anyhow::Result<Outcome> {
    let staged = with_suffix(ledger, ".adopting");
    for suffix in ["", "-wal"] {
        let (from, to) = (with_suffix(file, suffix), with_suffix(&staged, suffix));
        if to.exists() {
            fs::remove_file(&to).with_context(|| format!("could not remove {}", to.display()))?;
        }
        if suffix.is_empty() || from.exists() {
            fs::copy(&from, &to).with_context(|| format!("could not copy {}", from.display()))?;
        }
    }
    let copy = Unwitnessed::open(&staged, witness).await?;
    let head = present.ledger().durable();
    if !copy.ledger().contains(head) {
        let why = format!(
            "{} does not continue the present ledger (entry {} is not in it): nothing was changed",
            file.display(),
            head.seq
        );
        return Ok(refused(&why));
    }
    if present.lock_reason().is_none() && copy.ledger().durable() == head {
        let why = format!(
            "the ledger agrees with its witness, and {} holds no more",
            file.display()
        );
        return Ok(refused(&why));
    }
    if let Some(reason) = copy.lock_reason() {
        let why = format!(
            "{} does not satisfy the witness either ({reason})",
            file.display()
        );
        return Ok(refused(&why));
    }
    let (store, adopted) = copy.admit()?;
    store.close().await?;
    let _lock = present.retire().await?;
    let old = with_suffix(ledger, &format!(".before-{}", adopted.durable().seq));
    fs::rename(ledger, &old).with_context(|| format!("could not move {}", ledger.display()))?;
    fs::rename(&staged, ledger).with_context(|| format!("could not move {}", staged.display()))?;
    // The copy's lock has no meaning without the copy; a leftover would only confuse.
    let _ = fs::remove_file(with_suffix(&staged, ".lock"));
    let (from, to) = (head.seq, adopted.durable().seq);
    print(&format!(
        "the ledger goes on from entry {to} instead of {from}\n"
    ))?;
    Ok(Outcome::Done)
}

/// Gives up the whole remaining budget, for good under the contract's cap and for a year under the yearly cap.
///
/// # Errors
///
/// Ledger or witness cannot be written; the ledger stays locked.
pub fn write_off(directory: &Path, yes: bool) -> anyhow::Result<Outcome> {
    let config = NodeConfig::load(directory)?;
    let (ledger, witness) = (
        config.ledger_path(directory),
        config.witness_path(directory),
    );
    runtime()?.block_on(async {
        let present = Unwitnessed::open(&ledger, &witness).await?;
        let mirrored = mirror::fetch(directory).await;
        let seen = mirrored.as_ref().map(|mirrored| mirrored.head).ok();
        let differs = seen.and_then(|head| {
            let agrees = present.ledger().held_against(head, SeenBy::Mirror);
            agrees.err()
        });
        let Some(reason) = present.lock_reason().copied().or(differs) else {
            let asked = match mirrored {
                Ok(_) => "and with the coordinator's mirror".to_owned(),
                Err(fault) => format!("and the coordinator's mirror cannot be asked ({fault:#})"),
            };
            return Ok(refused(&format!(
                "the ledger is not locked: it agrees with its witness, {asked}; nothing is written off"
            )));
        };
        if !yes {
            let why = format!(
                "{reason}: this gives up all that is left under every cap; say --yes to do it"
            );
            return Ok(refused(&why));
        }
        let caps = config.caps();
        let all = caps.per_contract.max(caps.per_year);
        let seen = present.witnessed().into_iter().chain(seen);
        let given_up = seen.filter(|seen| !present.ledger().contains(*seen));
        let given_up = given_up.collect();
        present.write_off(now(), all, given_up).await?;
        let MicroRho(all) = all;
        print(&format!(
            "{all} micro-rho are written off under every cap; the ledger is unlocked\n"
        ))?;
        Ok(Outcome::Done)
    })
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("the runtime did not start")
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
