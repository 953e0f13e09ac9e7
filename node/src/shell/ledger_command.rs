//! `aquifer-node ledger`: the ways out of a locked ledger. Both are a person's decision, and neither gives budget back.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use aquifer_shared::base::units::MicroRho;
use aquifer_shared::shell::report::{Outcome, print, print_json, refuse};
use serde_json::{Value, json};

use super::clock::now;
use super::config::NodeConfig;
use super::store::{LockReason, Unwitnessed};

/// Continues with a newer copy of this ledger, or with the present one where only the witness was lost.
///
/// # Errors
///
/// A file cannot be read or written, or is no ledger.
pub fn adopt(directory: &Path, file: Option<&Path>, json: bool) -> anyhow::Result<Outcome> {
    let config = NodeConfig::load(directory)?;
    let (ledger, witness) = (
        config.ledger_path(directory),
        config.witness_path(directory),
    );
    runtime()?.block_on(async {
        let present = Unwitnessed::open(&ledger, &witness).await?;
        match (file, present.lock_reason()) {
            (_, None) => {
                let why = "the ledger is not locked: it agrees with its witness";
                refuse(json, "not-locked", why)
            }
            (Some(file), Some(_)) => adopt_copy(present, [&ledger, &witness, file], json).await,
            (None, Some(LockReason::Missing { .. } | LockReason::Unreadable)) => {
                let (store, ledger) = present.overrule()?;
                store.close().await?;
                let seq = ledger.durable().seq;
                let text = format!("the witness is made anew from entry {seq} of the ledger");
                done(json, &text, json!({"entry": seq, "before": seq}))
            }
            (None, Some(reason)) => {
                let why = format!("{reason}: name a newer copy of the ledger (`adopt FILE`), or write off what is left");
                refuse(json, "locked", &why)
            }
        }
    })
}

async fn adopt_copy(
    present: Unwitnessed,
    [ledger, witness, file]: [&Path; 3],
    json: bool,
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
    if !copy.contains(head) {
        let why = format!(
            "{} does not continue the present ledger (entry {} is not in it): nothing was changed",
            file.display(),
            head.seq
        );
        return refuse(json, "copy", &why);
    }
    if let Some(reason) = copy.lock_reason() {
        let why = format!(
            "{} does not satisfy the witness either ({reason})",
            file.display()
        );
        return refuse(json, "copy", &why);
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
    let text = format!("the ledger goes on from entry {to} instead of {from}");
    done(json, &text, json!({"entry": to, "before": from}))
}

/// Gives up the whole remaining budget, for good under the contract's cap and for a year under the yearly cap.
///
/// # Errors
///
/// Ledger or witness cannot be written; the ledger stays locked.
pub fn write_off(directory: &Path, yes: bool, json: bool) -> anyhow::Result<Outcome> {
    let config = NodeConfig::load(directory)?;
    let (ledger, witness) = (
        config.ledger_path(directory),
        config.witness_path(directory),
    );
    runtime()?.block_on(async {
        let present = Unwitnessed::open(&ledger, &witness).await?;
        let Some(reason) = present.lock_reason() else {
            let why = "the ledger is not locked: nothing is written off";
            return refuse(json, "not-locked", why);
        };
        if !yes {
            let why = format!(
                "{reason}: this gives up all that is left under every cap; say --yes to do it"
            );
            return refuse(json, "not-confirmed", &why);
        }
        let caps = config.caps();
        let all = caps.per_contract.max(caps.per_year);
        present.write_off(now(), all).await?;
        let MicroRho(all) = all;
        let text =
            format!("{all} micro-rho are written off under every cap; the ledger is unlocked");
        done(json, &text, json!({"written_off_rho_micro": all}))
    })
}

fn done(json: bool, text: &str, value: Value) -> anyhow::Result<Outcome> {
    if json {
        print_json(&value)?;
    } else {
        print(&format!("{text}\n"))?;
    }
    Ok(Outcome::Done)
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
