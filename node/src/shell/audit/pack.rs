//! `aquifer-node audit pack`: the unit's own history of a quarter, as an auditor reads and checks it at the unit.
//!
//! The same history gives the same bytes. Nothing of it is sent anywhere.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::Path;

use anyhow::Context as _;
use aquifer_shared::base::hash::sha256;
use aquifer_shared::base::ids::Hash32;
use aquifer_shared::domain::history::Kind;
use aquifer_shared::domain::pack::{
    Book, CannotBuild, Drafting, Files, GrowingTree, Ledger, LogPolicy, Made, NODE, PackTree,
    Quarter, VerifierKey,
};
use aquifer_shared::domain::tlog::root;
use aquifer_shared::shell::history::{Entry, LogSigner};
use aquifer_shared::shell::own_program::stated;
use aquifer_shared::shell::pack_folder::write_for_owner;
use aquifer_shared::shell::pack_made::{keep, lacking};
use aquifer_shared::shell::report::{Outcome, note, refuse};

use super::books::{Before, Rules};
use super::log::{Head, Reader, packed, read};
use super::written::MadePack;
use crate::shell::at_rest;
use crate::shell::clock::now;
use crate::shell::telling::tell_soon;

/// Makes the pack of a quarter, checks it and writes it into a new folder.
///
/// # Errors
///
/// The history does not hold together, rules cannot be read, or the folder cannot be written.
///
/// # Privacy
///
/// The pack holds keyed references and exact numbers of persons: it is for the unit's own people and its auditors, at the unit.
pub(super) fn run(
    directory: &Path,
    (quarter, before): (Quarter, Before<'_>),
    out: Option<&Path>,
    json: bool,
) -> anyhow::Result<Outcome> {
    let (rules, read_at) = (Rules::read(directory, before)?, now());
    let (files, policy, books) = match made(directory, quarter, &rules) {
        Ok(made) => made,
        Err(error) => match error.downcast_ref() {
            Some(none @ CannotBuild::NoCheckpoint) => {
                let why = format!(
                    "{none}: the running node does so every [history] publish_every_minutes of node.toml"
                );
                return refuse(json, "checkpoint", &why);
            }
            Some(none @ CannotBuild::NoStart(_)) => {
                return refuse(json, "checkpoint", &none.to_string());
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

/// The pack with the keys that it is checked by, and the rules in it.
fn made(
    directory: &Path,
    quarter: Quarter,
    rules: &Rules,
) -> anyhow::Result<(Files, LogPolicy, Vec<Book>)> {
    let begin = |head: &Head| Packing::new(quarter, head);
    let (head, packing) = read(directory, days(quarter), begin)?;
    let (policy, books) = (policy(&head), rules.books(&packing.decided_by));
    let (draft, tree) = (packing.drafting.end()?, packing.tree.end());
    let said = said(directory, &head.origin, (&tree, draft.end()))?;
    let ledger = Ledger {
        hashes: &tree,
        checkpoints: &notes(&head),
        policy: &policy,
        books: &books,
        tests: &BTreeMap::new(),
    };
    let files = draft.build(&ledger, &said)?;
    Ok((files, policy, books))
}

/// What a pack needs of the history while that is read.
struct Packing {
    drafting: Drafting,
    tree: GrowingTree,
    /// Rules that decisions name.
    decided_by: BTreeSet<Hash32>,
}

impl Packing {
    fn new(quarter: Quarter, head: &Head) -> anyhow::Result<Self> {
        let drafting = Drafting::new(quarter, &notes(head), &policy(head))?;
        Ok(Self {
            tree: GrowingTree::new(drafting.sizes()),
            drafting,
            decided_by: BTreeSet::new(),
        })
    }
}

impl Reader for Packing {
    fn take(&mut self, entry: Entry) -> anyhow::Result<()> {
        let kind = entry.leaf.kind;
        if kind == Kind::PolicyDecision {
            self.decided_by.insert(entry.leaf.policy);
        }
        let entry = packed(entry);
        // Spends of the year from before the pack are listed in it, and the newest list of programs, each with its proof.
        let is_listed = matches!(kind, Kind::BudgetSpent | Kind::PackLoaded);
        self.tree.push(&entry.leaf, is_listed);
        Ok(self.drafting.take(entry)?)
    }
}

fn policy(head: &Head) -> LogPolicy {
    LogPolicy::new(VerifierKey::of_log(&head.origin, head.key), Vec::new(), 0)
}

fn notes(head: &Head) -> Vec<String> {
    let newest = head.published.iter();
    head.checkpoints.iter().chain(newest).cloned().collect()
}

/// What this program says of itself, signed with the key of the history.
fn said(directory: &Path, origin: &str, (tree, size): (&PackTree, u64)) -> anyhow::Result<Made> {
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
        assert_eq!(
            made_packs(folder.path()).unwrap(),
            std::slice::from_ref(&made)
        );
        // One that is there already is not made again.
        std::fs::create_dir(&made.folder).unwrap();
        let taken = noted(folder.path(), &made, || Ok(Outcome::Refused)).unwrap();
        assert_eq!(taken, Outcome::Refused);
        assert_eq!(made_packs(folder.path()).unwrap().len(), 1);
    }
}
