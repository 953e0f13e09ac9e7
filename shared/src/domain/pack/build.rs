//! Making a pack from a log: the same log gives the same bytes.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::book::{self, Book};
use super::checks::Finding;
use super::entry::{Body, Entry};
use super::extracts;
use super::files::{Files, TooLarge};
use super::layout::{
    CONSISTENCY, EARLIER, EXCEPTIONS, FRONTIER, HASHES, INCLUSION, LEAVES, MANIFEST, PAGE,
    PAYLOADS, POLICY, PROVENANCE, REPORT, RIGHTS, SBOM, SPENDS, TESTS, VERIFY, VERIFY_TEXT,
    body_line, checkpoint_path, entry_line, proof_line,
};
use super::log_policy::LogPolicy;
use super::open;
use super::quarter::Quarter;
use super::range::{Choosing, Chosen, is_spend_of};
use super::{page, report, tree};
use crate::base::ids::Hash32;
use crate::domain::history::Json;
use crate::domain::tlog::{
    BadNote, Checkpoint, Hashes, SignedNote, consistency, inclusion, leaf_hash,
};

/// What a pack is made of.
#[derive(Debug)]
pub struct Ledger<'a, H> {
    /// Hashes of the log's tree.
    pub hashes: &'a H,
    /// Signed notes, in any order.
    pub checkpoints: &'a [String],
    /// Whom to believe.
    pub policy: &'a LogPolicy,
    /// Rule books that were in force.
    pub books: &'a [Book],
    /// Tests of the released build: id, and whether it passed.
    pub tests: &'a BTreeMap<String, bool>,
}

/// Why there is no pack.
#[derive(Debug, thiserror::Error)]
pub enum CannotBuild {
    /// The log has no checkpoint over any entry of the quarter.
    #[error("no checkpoint covers an entry of the quarter; publish one first")]
    NoCheckpoint,
    /// Entries are missing.
    #[error("entry {0} does not follow the one before it")]
    Gap(u64),
    /// More than a pack holds.
    #[error("the quarter has more entries or spends than a pack holds")]
    TooMany,
    /// The first entry in front of the quarter that no checkpoint parts from it.
    #[error(
        "no checkpoint is kept between entry {0} and the quarter, and more entries are there than a pack holds: packs can be made of quarters that begin after a checkpoint"
    )]
    NoStart(u64),
    /// A checkpoint is none.
    #[error("a checkpoint of the log is no signed note")]
    Note(#[from] BadNote),
    /// Another thing in place of a checkpoint.
    #[error("a signed note of the log is no checkpoint")]
    Checkpoint,
    /// Hashes of the tree are missing.
    #[error("hashes of the tree are missing")]
    Hashes,
    /// More than a pack holds.
    #[error(transparent)]
    TooLarge(#[from] TooLarge),
    /// The log does not hold together: no report is made of it.
    #[error("{}: {}", .0.file, .0.what)]
    Broken(Finding),
}

/// What the program that keeps the log says of itself.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Made {
    /// The list of its parts ([`super::sbom`]).
    pub sbom: String,
    /// Its statement in a signed envelope ([`super::Statement`]), about the log up to [`Draft::end`].
    pub provenance: String,
}

/// A pack of which it is known what it holds, but not yet who made it.
#[derive(Debug)]
pub struct Draft {
    quarter: Quarter,
    notes: Notes,
    chosen: Chosen,
}

/// Chooses what the pack of a quarter holds. Entries are those of the log from its first, or from the first of the quarter's year at the
/// latest.
///
/// # Errors
///
/// Nothing covers the quarter, or entries are missing.
pub fn draft<H: Hashes>(
    quarter: Quarter,
    ledger: &Ledger<'_, H>,
    entries: impl IntoIterator<Item = Entry>,
) -> Result<Draft, CannotBuild> {
    let mut drafting = Drafting::new(quarter, ledger.checkpoints, ledger.policy)?;
    for entry in entries {
        drafting.take(entry)?;
    }
    drafting.end()
}

/// As [`draft`], entry by entry: holds no more of the log than a pack does.
#[derive(Debug)]
pub struct Drafting {
    quarter: Quarter,
    notes: Notes,
    choosing: Choosing,
}

impl Drafting {
    /// Begins with the signed notes of a log, in any order, and with whom to believe.
    ///
    /// # Errors
    ///
    /// A note is no checkpoint.
    pub fn new(
        quarter: Quarter,
        checkpoints: &[String],
        policy: &LogPolicy,
    ) -> Result<Self, CannotBuild> {
        let notes = notes(checkpoints)?;
        let choosing = Choosing::new(quarter, ends(&notes, policy));
        Ok(Self {
            quarter,
            notes,
            choosing,
        })
    }

    /// Sizes of the log's checkpoints.
    pub fn sizes(&self) -> impl Iterator<Item = u64> {
        self.notes.keys().copied()
    }

    /// The next entry of the log.
    ///
    /// # Errors
    ///
    /// It does not follow the one before, or a pack cannot hold it.
    pub fn take(&mut self, entry: Entry) -> Result<(), CannotBuild> {
        self.choosing.take(entry)
    }

    /// What was chosen.
    ///
    /// # Errors
    ///
    /// Nothing covers the quarter.
    pub fn end(self) -> Result<Draft, CannotBuild> {
        Ok(Draft {
            quarter: self.quarter,
            notes: self.notes,
            chosen: self.choosing.end()?,
        })
    }
}

impl Draft {
    /// The size of the log at which the pack ends.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.chosen.range.end
    }

    /// The pack.
    ///
    /// # Errors
    ///
    /// The log does not hold together.
    pub fn build<H: Hashes>(
        self,
        ledger: &Ledger<'_, H>,
        made: &Made,
    ) -> Result<Files, CannotBuild> {
        let Self {
            quarter,
            notes,
            chosen,
        } = self;
        let mut files = Files::default();
        put_log(&mut files, ledger, &chosen)?;
        put_checkpoints(&mut files, &notes, &chosen.range)?;
        put_proofs(&mut files, ledger.hashes, &chosen)?;
        put_spends(&mut files, &chosen, quarter)?;
        book::put(ledger.books, &mut files)?;
        files.put(POLICY, ledger.policy.to_text().into_bytes())?;
        files.put(TESTS, tests(ledger.tests).to_text().into_bytes())?;
        files.put(VERIFY, VERIFY_TEXT.into())?;
        files.put(SBOM, made.sbom.clone().into_bytes())?;
        files.put(PROVENANCE, made.provenance.clone().into_bytes())?;
        put_report(&mut files, quarter)?;
        let manifest = files.manifest();
        files.put(MANIFEST, manifest.into_bytes())?;
        Ok(files)
    }
}

/// What follows from the files that are there.
fn put_report(files: &mut Files, quarter: Quarter) -> Result<(), CannotBuild> {
    let contents = open::contents(files).map_err(broken)?;
    let report = report::report(quarter, &contents).map_err(CannotBuild::Broken)?;
    let rights = extracts::rights(files, &contents);
    files.put(RIGHTS, rights.to_text().into_bytes())?;
    files.put(EXCEPTIONS, extracts::exceptions(&contents))?;
    files.put(PAGE, page::page(&report).into_bytes())?;
    files.put(REPORT, report.to_text().into_bytes())?;
    Ok(())
}

fn broken(mut findings: Vec<Finding>) -> CannotBuild {
    match findings.is_empty() {
        true => CannotBuild::Hashes,
        false => CannotBuild::Broken(findings.swap_remove(0)),
    }
}

type Notes = BTreeMap<u64, SignedNote>;

/// Checkpoints by size; of several of one size that with the most signatures.
fn notes(checkpoints: &[String]) -> Result<Notes, CannotBuild> {
    let mut notes = Notes::new();
    for text in checkpoints {
        let note = SignedNote::parse(text)?;
        let size = Checkpoint::parse(&note.text)
            .map_err(|_| CannotBuild::Checkpoint)?
            .size;
        let signatures = note.signatures.len();
        let is_better = |known: &SignedNote| known.signatures.len() < signatures;
        if size > 0 && notes.get(&size).is_none_or(is_better) {
            notes.insert(size, note);
        }
    }
    Ok(notes)
}

/// Sizes at which a pack may begin and end: those with a quorum, or all where none has one.
fn ends(notes: &Notes, policy: &LogPolicy) -> BTreeSet<u64> {
    let is_met = |note: &SignedNote| {
        let signed = policy
            .witnesses
            .iter()
            .filter(|(_, key)| key.signed(note) == Some(true));
        let signed: Vec<&str> = signed.map(|(name, _)| name.as_str()).collect();
        policy.is_quorum(&signed)
    };
    let met: BTreeSet<u64> = notes
        .iter()
        .filter(|(_, note)| is_met(note))
        .map(|(size, _)| *size)
        .collect();
    match met.is_empty() {
        true => notes.keys().copied().collect(),
        false => met,
    }
}

fn put_log<H: Hashes>(
    files: &mut Files,
    ledger: &Ledger<'_, H>,
    chosen: &Chosen,
) -> Result<(), CannotBuild> {
    let (mut leaves, mut hashes, mut payloads) = (Vec::new(), Vec::new(), Vec::new());
    for entry in &chosen.entries {
        leaves.extend(entry.leaf);
        hashes.extend(leaf_hash(&entry.leaf).0);
        body_line(entry.index, &entry.body, &mut payloads);
    }
    let mut earlier = Vec::new();
    chosen
        .earlier
        .iter()
        .for_each(|entry| entry_line(entry, &mut earlier));
    let frontier = tree::frontier(ledger.hashes, chosen.range.start).ok_or(CannotBuild::Hashes)?;
    files.put(LEAVES, leaves)?;
    files.put(HASHES, hashes)?;
    files.put(PAYLOADS, payloads)?;
    files.put(EARLIER, earlier)?;
    files.put(FRONTIER, hash_lines(&frontier).into_bytes())?;
    Ok(())
}

fn put_checkpoints(
    files: &mut Files,
    notes: &Notes,
    range: &Range<u64>,
) -> Result<(), CannotBuild> {
    for (size, note) in notes.range(range.start..=range.end) {
        files.put(&checkpoint_path(*size), note.to_text().into_bytes())?;
    }
    Ok(())
}

fn put_proofs(files: &mut Files, hashes: &impl Hashes, chosen: &Chosen) -> Result<(), CannotBuild> {
    let Range { start, end } = chosen.range;
    let grown = consistency(hashes, start, end).ok_or(CannotBuild::Hashes)?;
    let text = format!("{start} {end}\n{}", hash_lines(&grown));
    files.put(CONSISTENCY, text.into_bytes())?;
    let mut listed = String::new();
    for entry in &chosen.earlier {
        let proof = inclusion(hashes, entry.index, end).ok_or(CannotBuild::Hashes)?;
        listed.push_str(&proof_line(entry.index, &proof));
    }
    files.put(INCLUSION, listed.into_bytes())?;
    Ok(())
}

fn put_spends(files: &mut Files, chosen: &Chosen, quarter: Quarter) -> Result<(), CannotBuild> {
    let mut lines = Vec::new();
    let all = chosen.earlier.iter().chain(&chosen.entries);
    for entry in all.filter(|entry| is_spend_of(entry, quarter.year())) {
        if let Body::Kept { payload, .. } = &entry.body {
            lines.extend(format!("{} ", entry.index).as_bytes());
            lines.extend(payload);
            lines.push(b'\n');
        }
    }
    files.put(SPENDS, lines)?;
    Ok(())
}

fn tests(tests: &BTreeMap<String, bool>) -> Json {
    let result = |passed: bool| if passed { "passed" } else { "failed" };
    let tests = tests
        .iter()
        .map(|(id, passed)| (id.clone(), result(*passed).into()));
    Json::Object(tests.collect())
}

fn hash_lines(hashes: &[Hash32]) -> String {
    hashes.iter().map(|hash| format!("{hash}\n")).collect()
}
