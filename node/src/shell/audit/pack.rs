//! `aquifer-node audit pack`: the unit's own history of a quarter, as an auditor reads and checks it at the unit.
//!
//! The same history gives the same bytes. Nothing of it is sent anywhere.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use anyhow::Context as _;
use aquifer_shared::base::hash::sha256;
use aquifer_shared::domain::pack::{
    Body, Book, CannotBuild, Entry, Files, Ledger, LogPolicy, Made, NODE, PackTree, Quarter,
    VerifierKey, draft,
};
use aquifer_shared::domain::tlog::root;
use aquifer_shared::shell::documents::read_document;
use aquifer_shared::shell::history::LogSigner;
use aquifer_shared::shell::law_packs;
use aquifer_shared::shell::own_program::stated;
use aquifer_shared::shell::pack_folder::write_for_owner;
use aquifer_shared::shell::pack_made::{keep, lacking};
use aquifer_shared::shell::report::{Outcome, note, refuse};

use super::log::LogCopy;
use super::written::MadePack;
use crate::shell::at_rest;
use crate::shell::clock::now;
use crate::shell::config::NodeConfig;
use crate::shell::telling::tell_soon;

/// Makes the pack of a quarter, checks it and writes it into a new folder.
///
/// # Errors
///
/// The history does not hold together, or the folder cannot be written.
///
/// # Privacy
///
/// The pack holds keyed references and exact numbers of persons: it is for the unit's own people and its auditors, at the unit.
pub(super) fn run(
    directory: &Path,
    quarter: Quarter,
    out: Option<&Path>,
    json: bool,
) -> anyhow::Result<Outcome> {
    let (books, read_at) = (books(directory)?, now());
    let copy = LogCopy::read(directory, days(quarter))?;
    let policy = LogPolicy::new(VerifierKey::of_log(&copy.origin, copy.key), Vec::new(), 0);
    let files = match packed(directory, (&copy, quarter), (&policy, &books[..])) {
        Ok(files) => files,
        Err(error) => match error.downcast_ref() {
            Some(none @ CannotBuild::NoCheckpoint) => {
                let why = format!(
                    "{none}: the running node does so every [history] publish_every_minutes of node.toml"
                );
                return refuse(json, "checkpoint", &why);
            }
            Some(_) => return Err(error).context("no pack can be made of the history"),
            None => return Err(error),
        },
    };
    let lacking = lacking(&files, &policy, &books)?;
    let name = quarter.to_string();
    let folder = out.unwrap_or(Path::new(&name));
    let made = MadePack {
        folder: std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned()),
        quarter: name.clone(),
        manifest: sha256(files.manifest().as_bytes()).to_string(),
        read_at: i64::try_from(read_at.0).unwrap_or(i64::MAX),
    };
    let kept = noted(directory, &made, || {
        keep(json, (folder, write_for_owner), &files, &lacking)
    })?;
    if kept == Outcome::Done {
        note("it holds keyed references and exact numbers of persons: it stays at the unit");
    }
    Ok(kept)
}

/// Notes a pack, writes it, and tells the history of it. A folder that is there already is another pack's.
fn noted(
    directory: &Path,
    made: &MadePack,
    write: impl FnOnce() -> anyhow::Result<Outcome>,
) -> anyhow::Result<Outcome> {
    if made.folder.exists() {
        return write();
    }
    made.note(directory)?;
    let written = write()?;
    tell_soon(directory);
    Ok(written)
}

fn packed(
    directory: &Path,
    (copy, quarter): (&LogCopy, Quarter),
    (policy, books): (&LogPolicy, &[Book]),
) -> anyhow::Result<Files> {
    let entries: Vec<Entry> = copy.entries.iter().map(entry).collect();
    let tree = PackTree::whole(entries.iter().map(|entry| entry.leaf.as_slice()));
    let newest = copy.published.iter();
    let checkpoints: Vec<String> = copy.checkpoints.iter().chain(newest).cloned().collect();
    let ledger = Ledger {
        hashes: &tree,
        checkpoints: &checkpoints,
        policy,
        books,
        tests: &BTreeMap::new(),
    };
    let draft = draft(quarter, &ledger, entries)?;
    let made = made(directory, &copy.origin, (&tree, draft.end()))?;
    Ok(draft.build(&ledger, &made)?)
}

/// What this program says of itself, signed with the key of the history.
fn made(directory: &Path, origin: &str, (tree, size): (&PackTree, u64)) -> anyhow::Result<Made> {
    let root = root(tree, 0..size).context("hashes of the tree are missing")?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("the runtime did not start")?;
    let (parts, statement) = runtime.block_on(stated(NODE, (origin, size, root)))?;
    let key = at_rest::identity(directory)?.into_identity();
    let signer = LogSigner::new(origin.to_owned(), key);
    Ok(Made {
        sbom: parts.to_owned(),
        provenance: signer.attested(&statement),
    })
}

/// The rules in node.toml, as one book; none where it has no `[people]`.
fn books(directory: &Path) -> anyhow::Result<Vec<Book>> {
    let config = NodeConfig::load(directory)?;
    let Some(people) = &config.people else {
        return Ok(Vec::new());
    };
    let packs = law_packs::all(people.packs_folder(directory).as_deref())?;
    Ok(vec![Book {
        purposes: read_document(&directory.join(&people.purposes))?,
        packs: packs.into_iter().map(|held| held.text).collect(),
    }])
}

fn entry(own: &aquifer_shared::shell::history::Entry) -> Entry {
    let body = match &own.opening {
        Some((salt, payload)) => Body::Kept {
            salt: *salt,
            payload: payload.clone(),
        },
        None => Body::Erased,
    };
    Entry {
        index: own.leaf.seq,
        leaf: own.leaf.to_bytes(),
        body,
    }
}

/// Days of the checkpoints that a pack of a quarter may begin or end at: a year before it, and a month after it.
fn days(quarter: Quarter) -> Range<u64> {
    let time = quarter.range();
    (time.start / DAY_MS).saturating_sub(366)..time.end / DAY_MS + 31
}

const DAY_MS: u64 = 24 * 3_600 * 1_000;

#[cfg(test)]
mod tests {
    use super::super::written::made_packs;
    use super::*;

    #[test]
    fn a_pack_is_known_before_its_folder_is_begun() {
        let folder = tempfile::tempdir().unwrap();
        let made = MadePack {
            folder: folder.path().join("pack"),
            quarter: "2026Q4".to_owned(),
            manifest: "00".repeat(32),
            read_at: 7,
        };
        let stops = || {
            assert_eq!(made_packs(folder.path()).unwrap().len(), 1);
            anyhow::bail!("the machine stops")
        };
        assert!(noted(folder.path(), &made, stops).is_err());
        assert_eq!(made_packs(folder.path()).unwrap(), [made.clone()]);
        // One that is there already is not made again.
        std::fs::create_dir(&made.folder).unwrap();
        let taken = noted(folder.path(), &made, || Ok(Outcome::Refused)).unwrap();
        assert_eq!(taken, Outcome::Refused);
        assert_eq!(made_packs(folder.path()).unwrap().len(), 1);
    }
}
