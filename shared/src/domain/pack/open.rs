//! Reading a pack: every file in its one form, within limits, before anything in it is believed.

use std::collections::BTreeMap;

use super::book;
use super::checks::Finding;
use super::entry::{Body, Entry};
use super::extracts;
use super::files::Files;
use super::layout::{
    BOOKS, BUNDLE, CHECKPOINTS, CONSISTENCY, EARLIER, FRONTIER, HASHES, INCLUSION, LEAVES, NEEDED,
    PAYLOADS, POLICY, REPORT, SAMPLE_FILE, SPENDS, TESTS, hash, is_known, lines, number, read_body,
    read_entry, read_proof_line, size_of, word,
};
use super::log_policy::LogPolicy;
use super::provenance::{self, Statement};
use super::quarter::Quarter;
use super::tree::{PackTree, prove, written_proof};
use crate::base::ids::Hash32;
use crate::base::limits::{
    DOCUMENT_BYTES_MAX, HISTORY_PROOF_HASHES_MAX, PACK_CHECKPOINTS_MAX, PACK_EVENTS_MAX,
    PACK_LISTED_MAX,
};
use crate::domain::history::{Json, LEAF_BYTES};
use crate::domain::tlog::{Checkpoint, SignedNote, leaf_hash};

/// A pack whose files are in form; nothing is checked against anything yet.
#[derive(Clone, Debug)]
pub struct Pack {
    /// The quarter that it says to be about.
    pub quarter: Quarter,
    /// What its report says.
    pub(super) report: Json,
    pub(super) sample: Option<Json>,
    pub(super) contents: Contents,
}

impl Pack {
    /// The last checkpoint.
    #[must_use]
    pub fn checkpoint(&self) -> Option<&Checkpoint> {
        Some(&self.contents.points.last()?.checkpoint)
    }

    /// Its entries in order, spends from before its first checkpoint included; to be believed once the pack is verified.
    pub fn entries(&self) -> impl Iterator<Item = Entry> {
        let contents = &self.contents;
        let own = contents.leaves.iter().zip(&contents.bodies);
        let own = own.map(|(leaf, (index, body))| Entry {
            index: *index,
            leaf: *leaf,
            body: body.clone(),
        });
        contents.earlier.iter().cloned().chain(own)
    }

    /// The proof that one of its entries is in the log of its last checkpoint (C2SP tlog-proof); none where it has no such entry.
    #[must_use]
    pub fn prove(&self, index: u64) -> Option<String> {
        let contents = &self.contents;
        let last = contents.points.last()?;
        if index < contents.first {
            let listed = contents.inclusion.iter().find(|(own, _)| *own == index)?;
            return Some(written_proof(index, &listed.1, &last.note.to_text()));
        }
        let leaves = contents.leaves.iter().map(|leaf| leaf_hash(leaf));
        let tree = PackTree::new(contents.first, &contents.frontier, leaves)?;
        prove(&tree, index, contents.end, &last.note.to_text())
    }
}

/// Everything but the report and the sample.
#[derive(Clone, Debug)]
pub(super) struct Contents {
    pub(super) policy: LogPolicy,
    /// Sizes of the first and the last checkpoint.
    pub(super) first: u64,
    pub(super) end: u64,
    pub(super) points: Vec<Point>,
    pub(super) frontier: Vec<Hash32>,
    pub(super) leaves: Vec<[u8; LEAF_BYTES]>,
    pub(super) hashes: Vec<Hash32>,
    pub(super) bodies: Vec<(u64, Body)>,
    pub(super) earlier: Vec<Entry>,
    pub(super) spends: Vec<(u64, Vec<u8>)>,
    pub(super) books: Vec<Vec<Hash32>>,
    pub(super) consistency: Vec<Hash32>,
    pub(super) inclusion: Vec<(u64, Vec<Hash32>)>,
    pub(super) tests: BTreeMap<String, String>,
    /// What the program said of itself, whether or not it signed that.
    pub(super) program: Option<Statement>,
    pub(super) has_clocks: bool,
}

/// A checkpoint with its file.
#[derive(Clone, Debug)]
pub(super) struct Point {
    pub(super) path: String,
    pub(super) note: SignedNote,
    pub(super) checkpoint: Checkpoint,
}

/// Reads a pack.
///
/// # Errors
///
/// Every file that is missing, not known, or not in its form.
pub fn open(files: &Files) -> Result<Pack, Vec<Finding>> {
    let mut findings = Vec::new();
    for path in NEEDED {
        if files.get(path).is_none() {
            findings.push(Finding::of(path, None, "missing"));
        }
    }
    for (path, _) in files.iter().filter(|(path, _)| !is_known(path)) {
        findings.push(Finding::of(path, None, "no pack has such a file"));
    }
    if !findings.is_empty() {
        return Err(findings);
    }
    let (report, sample) = (document(files, REPORT), document(files, SAMPLE_FILE));
    let quarter = report
        .as_ref()
        .and_then(|report| report.get("quarter")?.as_text()?.parse().ok());
    if quarter.is_none() {
        findings.push(Finding::of(
            REPORT,
            None,
            "not canonical JSON with a quarter",
        ));
    }
    if files.get(SAMPLE_FILE).is_some() && sample.is_none() {
        findings.push(Finding::of(SAMPLE_FILE, None, "not canonical JSON"));
    }
    let contents = match contents(files) {
        Ok(contents) => Some(contents),
        Err(more) => {
            findings.extend(more);
            None
        }
    };
    match (quarter, report, contents) {
        (Some(quarter), Some(report), Some(contents)) if findings.is_empty() => Ok(Pack {
            quarter,
            report,
            sample,
            contents,
        }),
        _ => Err(findings),
    }
}

/// Reads all but report and sample.
pub(super) fn contents(files: &Files) -> Result<Contents, Vec<Finding>> {
    let mut reading = Reading {
        files,
        findings: Vec::new(),
    };
    let policy = reading.file(POLICY, |bytes| {
        LogPolicy::parse(str::from_utf8(bytes).ok()?).ok()
    });
    let sizes = reading.file(CONSISTENCY, consistency);
    let contents = Contents {
        points: reading.points(sizes.as_ref().map(|(first, end, _)| (*first, *end))),
        frontier: reading.file(FRONTIER, frontier).unwrap_or_default(),
        leaves: reading.file(LEAVES, chunks).unwrap_or_default(),
        hashes: reading
            .file(HASHES, |bytes| {
                Some(chunks(bytes)?.into_iter().map(Hash32).collect())
            })
            .unwrap_or_default(),
        bodies: reading.lines(PAYLOADS, PACK_EVENTS_MAX, read_body),
        earlier: reading.lines(EARLIER, PACK_LISTED_MAX, read_entry),
        spends: reading.lines(SPENDS, PACK_EVENTS_MAX + PACK_LISTED_MAX, |line| {
            let (index, payload) = word(line)?;
            Some((number(index)?, payload.to_vec()))
        }),
        books: reading.file(BOOKS, book::read).unwrap_or_default(),
        inclusion: reading.lines(INCLUSION, PACK_LISTED_MAX, read_proof_line),
        tests: reading.file(TESTS, tests).unwrap_or_default(),
        program: provenance::opened(files).map(|opened| opened.statement),
        has_clocks: !extracts::clocks(files).is_empty(),
        policy: policy.clone().unwrap_or_else(unread),
        first: sizes.as_ref().map_or(0, |(first, _, _)| *first),
        end: sizes.as_ref().map_or(0, |(_, end, _)| *end),
        consistency: sizes.map(|(_, _, hashes)| hashes).unwrap_or_default(),
    };
    reading.rising(EARLIER, contents.earlier.iter().map(|entry| entry.index));
    reading.rising(SPENDS, contents.spends.iter().map(|(index, _)| *index));
    reading.rising(
        INCLUSION,
        contents.inclusion.iter().map(|(index, _)| *index),
    );
    reading.texts();
    match reading.findings.is_empty() {
        true => Ok(contents),
        false => Err(reading.findings),
    }
}

struct Reading<'a> {
    files: &'a Files,
    findings: Vec<Finding>,
}

impl Reading<'_> {
    fn bad(&mut self, path: &str, what: &str) {
        self.findings.push(Finding::of(path, None, what));
    }

    fn file<T>(&mut self, path: &str, read: impl Fn(&[u8]) -> Option<T>) -> Option<T> {
        let found = self.files.get(path).and_then(read);
        if found.is_none() {
            self.bad(path, "not in its form");
        }
        found
    }

    fn lines<T>(&mut self, path: &str, count_max: usize, read: fn(&[u8]) -> Option<T>) -> Vec<T> {
        let read_all = |bytes: &[u8]| {
            let lines = lines(bytes).filter(|lines| lines.len() <= count_max)?;
            lines.into_iter().map(read).collect::<Option<Vec<T>>>()
        };
        self.file(path, read_all).unwrap_or_default()
    }

    fn rising(&mut self, path: &str, indexes: impl Iterator<Item = u64>) {
        let indexes: Vec<u64> = indexes.collect();
        if indexes.windows(2).any(|pair| pair[0] >= pair[1]) {
            self.bad(path, "indexes do not rise");
        }
    }

    /// All checkpoints between two sizes, both of which must be there.
    fn points(&mut self, sizes: Option<(u64, u64)>) -> Vec<Point> {
        let mut points = Vec::new();
        let files = self.files;
        for (path, bytes) in files
            .iter()
            .filter(|(path, _)| path.starts_with(CHECKPOINTS))
        {
            match point(path, bytes) {
                Some(point) => points.push(point),
                None => self.bad(path, "no checkpoint of the size in its name"),
            }
        }
        let Some((first, end)) = sizes else {
            return points;
        };
        let all: Vec<u64> = points.iter().map(|point| point.checkpoint.size).collect();
        let bounds = match first {
            0 => all.last() == Some(&end) && all.first() != Some(&0),
            _ => all.last() == Some(&end) && all.first() == Some(&first),
        };
        if !bounds || all.len() > PACK_CHECKPOINTS_MAX {
            self.bad(
                CHECKPOINTS,
                "others than from the first to the last size of proofs/consistency",
            );
        }
        points
    }

    fn texts(&mut self) {
        let files = self.files;
        let texts = files.iter().filter(|(path, _)| path.starts_with(BUNDLE));
        let long = texts.filter(|(path, bytes)| *path != BOOKS && bytes.len() > DOCUMENT_BYTES_MAX);
        for (path, _) in long {
            self.bad(path, "too long");
        }
    }
}

fn point(path: &str, bytes: &[u8]) -> Option<Point> {
    let note = SignedNote::parse(str::from_utf8(bytes).ok()?).ok()?;
    let checkpoint = Checkpoint::parse(&note.text).ok()?;
    (Some(checkpoint.size) == size_of(path) && note.to_text().as_bytes() == bytes).then(|| Point {
        path: path.to_owned(),
        note,
        checkpoint,
    })
}

/// `FIRST END`, then one hash in each line.
fn consistency(bytes: &[u8]) -> Option<(u64, u64, Vec<Hash32>)> {
    let lines = lines(bytes)?;
    let (head, hashes) = lines.split_first()?;
    let (first, end) = word(head)?;
    let (first, end) = (number(first)?, number(end)?);
    (hashes.len() < HISTORY_PROOF_HASHES_MAX).then_some(())?;
    let hashes: Option<Vec<Hash32>> = hashes.iter().map(|line| hash(line)).collect();
    let count = usize::try_from(end.checked_sub(first)?).ok()?;
    ((1..=PACK_EVENTS_MAX).contains(&count) && end < 1 << 62).then_some((first, end, hashes?))
}

/// At most one subtree for each level.
fn frontier(bytes: &[u8]) -> Option<Vec<Hash32>> {
    let lines = lines(bytes).filter(|lines| lines.len() <= 64)?;
    lines.into_iter().map(hash).collect()
}

fn chunks<const N: usize>(bytes: &[u8]) -> Option<Vec<[u8; N]>> {
    let (chunks, rest) = bytes.as_chunks::<N>();
    (rest.is_empty() && chunks.len() <= PACK_EVENTS_MAX).then(|| chunks.to_vec())
}

fn tests(bytes: &[u8]) -> Option<BTreeMap<String, String>> {
    let Json::Object(tests) = Json::document(bytes, DOCUMENT_BYTES_MAX).ok()? else {
        return None;
    };
    let result = |(id, value): (String, Json)| {
        let value = value
            .as_text()
            .filter(|text| ["passed", "failed"].contains(text))?;
        Some((id, value.to_owned()))
    };
    tests.into_iter().map(result).collect()
}

fn document(files: &Files, path: &str) -> Option<Json> {
    Json::document(files.get(path)?, REPORT_BYTES_MAX).ok()
}

/// Stands where the policy could not be read; the pack is refused then.
fn unread() -> LogPolicy {
    let key = crate::base::ids::IdentityKey([0; 32]);
    LogPolicy::new(
        super::log_policy::VerifierKey::of_log("unread", key),
        Vec::new(),
        0,
    )
}

/// Bytes of a report: figures of every study, and alarms.
const REPORT_BYTES_MAX: usize = 64 << 20;
