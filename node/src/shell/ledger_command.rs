//! `aquifer-node ledger`: the ways out of a locked ledger. Both are a person's decision, and neither gives budget back.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use aquifer_shared::base::units::MicroRho;
use aquifer_shared::protocol::chain::Head;
use aquifer_shared::shell::at_rest::DatabaseKey;
use aquifer_shared::shell::report::{Outcome, note, print, print_json, refuse};
use serde_json::{Value, json};

use super::at_rest;
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
pub fn adopt(directory: &Path, file: Option<&Path>, json: bool) -> anyhow::Result<Outcome> {
    let config = NodeConfig::load(directory)?;
    let (ledger, witness) = (
        config.ledger_path(directory),
        config.witness_path(directory),
    );
    let key = at_rest::vault(directory)?.database(at_rest::LEDGER);
    runtime()?.block_on(async {
        let present = Unwitnessed::open(&ledger, &witness, &key).await?;
        match file {
            Some(file) => adopt_copy(present, [&ledger, &witness, file], &key, json).await,
            None => adopt_mirror(present, mirror::fetch(directory).await, json).await,
        }
    })
}

async fn adopt_mirror(
    mut present: Unwitnessed,
    mirrored: anyhow::Result<Mirrored>,
    json: bool,
) -> anyhow::Result<Outcome> {
    let mirrored = match mirrored {
        Ok(mirrored) => mirrored,
        Err(fault) => return adopt_without_mirror(present, &fault, json).await,
    };
    let head = mirrored.head;
    let adoption = ledger::adopt(now(), &present.entries().await?, &mirrored.links)?;
    let Some(adoption) = adoption else {
        return adopt_present(present, head, json).await;
    };
    let witnessed = present.witnessed();
    let known = |seen| adoption.ledger.contains(seen) || present.ledger().contains(seen);
    if witnessed.is_some_and(|seen| !known(seen)) {
        let why = "the coordinator's mirror does not satisfy the witness either: name a newer copy of the ledger (`adopt FILE`), \
                   or write off what is left";
        return refuse(json, "locked", why);
    }
    let (from, to) = (
        present.ledger().durable().seq,
        adoption.ledger.durable().seq,
    );
    let MicroRho(lost) = adoption.written_off;
    present.adopt(adoption, head).await?;
    let mut text = format!(
        "the ledger goes on from entry {to} instead of {from}, as the coordinator's mirror and this node's signature have it"
    );
    if lost > 0 {
        text += &format!(
            "\n{lost} micro-rho that only the shorter of both had spent are written off under every cap"
        );
    }
    let value = json!({"entry": to, "before": from, "written_off_rho_micro": lost});
    done(json, &text, value)
}

/// The mirror holds nothing that is not here.
async fn adopt_present(present: Unwitnessed, mirror: Head, json: bool) -> anyhow::Result<Outcome> {
    match present.lock_reason() {
        None => {
            let why = format!(
                "the ledger is not locked: it agrees with its witness and with the coordinator's mirror (entry {})",
                mirror.seq
            );
            refuse(json, "not-locked", &why)
        }
        Some(LockReason::Missing { .. } | LockReason::Unreadable) => {
            renew_witness(present, json).await
        }
        Some(reason) => {
            let why = format!(
                "{reason}; the coordinator's mirror ends at entry {}: name a newer copy of the ledger (`adopt FILE`), or \
                 write off what is left",
                mirror.seq
            );
            refuse(json, "locked", &why)
        }
    }
}

async fn adopt_without_mirror(
    present: Unwitnessed,
    fault: &anyhow::Error,
    json: bool,
) -> anyhow::Result<Outcome> {
    let unasked = format!("the coordinator's mirror cannot be asked ({fault:#})");
    match present.lock_reason() {
        None => {
            let why =
                format!("the ledger agrees with its witness, and {unasked}: nothing was changed");
            refuse(json, "not-locked", &why)
        }
        Some(LockReason::Missing { .. } | LockReason::Unreadable) => {
            note(&format!(
                "{unasked}; it is held against the ledger in the next session"
            ));
            renew_witness(present, json).await
        }
        Some(reason) => {
            let why = format!(
                "{reason}; {unasked}: try again later, name a newer copy of the ledger (`adopt FILE`), or write off what is \
                 left"
            );
            refuse(json, "locked", &why)
        }
    }
}

async fn renew_witness(present: Unwitnessed, json: bool) -> anyhow::Result<Outcome> {
    let (store, ledger) = present.overrule()?;
    store.close().await?;
    let seq = ledger.durable().seq;
    let text = format!("the witness is made anew from entry {seq} of the ledger");
    done(json, &text, json!({"entry": seq, "before": seq}))
}

async fn adopt_copy(
    present: Unwitnessed,
    [ledger, witness, file]: [&Path; 3],
    key: &DatabaseKey,
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
    let copy = Unwitnessed::open(&staged, witness, key).await?;
    let head = present.ledger().durable();
    if !copy.ledger().contains(head) {
        let why = format!(
            "{} does not continue the present ledger (entry {} is not in it): nothing was changed",
            file.display(),
            head.seq
        );
        return refuse(json, "copy", &why);
    }
    if present.lock_reason().is_none() && copy.ledger().durable() == head {
        let why = format!(
            "the ledger agrees with its witness, and {} holds no more",
            file.display()
        );
        return refuse(json, "not-locked", &why);
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
    exchange(ledger, &staged, &old)?;
    // The copy's lock has no meaning without the copy; a leftover would only confuse.
    let _ = fs::remove_file(with_suffix(&staged, ".lock"));
    let (from, to) = (head.seq, adopted.durable().seq);
    let text = format!("the ledger goes on from entry {to} instead of {from}");
    done(json, &text, json!({"entry": to, "before": from}))
}

/// Puts a closed ledger in another's place: on disk before it is, and after it is.
fn exchange(ledger: &Path, staged: &Path, old: &Path) -> anyhow::Result<()> {
    for file in [ledger, staged] {
        // A log that outlives its file would be taken for the other file's.
        let log = with_suffix(file, "-wal");
        let shown = log.display();
        anyhow::ensure!(
            !log.exists(),
            "{shown} was not folded into its ledger; free space and adopt again"
        );
    }
    let failed = |file: &Path| format!("could not move {}", file.display());
    let synced = fs::File::open(staged).and_then(|staged| staged.sync_all());
    synced.with_context(|| failed(staged))?;
    fs::rename(ledger, old).with_context(|| failed(ledger))?;
    fs::rename(staged, ledger).with_context(|| failed(staged))?;
    let folder = ledger.parent().filter(|folder| *folder != Path::new(""));
    let folder = fs::File::open(folder.unwrap_or(Path::new(".")));
    folder
        .and_then(|folder| folder.sync_all())
        .with_context(|| failed(staged))
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
    let key = at_rest::vault(directory)?.database(at_rest::LEDGER);
    runtime()?.block_on(async {
        let mut present = Unwitnessed::open(&ledger, &witness, &key).await?;
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
            let why = format!(
                "the ledger is not locked: it agrees with its witness, {asked}; nothing is written off"
            );
            return refuse(json, "not-locked", &why);
        };
        if !yes {
            let why = format!(
                "{reason}: this gives up all that is left under every cap; say --yes to do it"
            );
            return refuse(json, "not-confirmed", &why);
        }
        let caps = config.caps();
        let all = caps.per_contract.max(caps.per_year);
        let seen = present.witnessed().into_iter().chain(seen);
        let given_up = seen.filter(|seen| !present.ledger().contains(*seen));
        let given_up = given_up.collect();
        let common = match mirrored {
            Ok(mirrored) => ledger::common(&present.entries().await?, &mirrored.links),
            Err(_) => 0,
        };
        present.write_off(now(), all, (given_up, common)).await?;
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

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> (tempfile::TempDir, [PathBuf; 3]) {
        let folder = tempfile::tempdir().unwrap();
        let paths =
            ["ledger", "ledger.adopting", "ledger.before-7"].map(|name| folder.path().join(name));
        fs::write(&paths[0], "old").unwrap();
        fs::write(&paths[1], "new").unwrap();
        (folder, paths)
    }

    #[test]
    fn a_copy_takes_the_place_and_the_old_one_is_kept() {
        let (_folder, [ledger, staged, old]) = place();
        exchange(&ledger, &staged, &old).unwrap();
        assert_eq!(fs::read_to_string(&ledger).unwrap(), "new");
        assert_eq!(fs::read_to_string(&old).unwrap(), "old");
    }

    #[test]
    fn a_log_that_is_left_over_is_not_given_to_another_ledger() {
        for left in ["ledger-wal", "ledger.adopting-wal"] {
            let (folder, [ledger, staged, old]) = place();
            fs::write(folder.path().join(left), "log").unwrap();
            let why = exchange(&ledger, &staged, &old).unwrap_err().to_string();
            assert!(why.contains(left), "{why}");
            assert_eq!(fs::read_to_string(&ledger).unwrap(), "old");
        }
    }
}
