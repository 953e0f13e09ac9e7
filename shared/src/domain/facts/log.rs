//! A history whose entries were checked against a signed checkpoint: the only source of documents.

use crate::base::ids::Hash32;
use crate::base::time::Timestamp;
use crate::domain::history::{Json, Kind, Leaf, payload_commit};
use crate::domain::pack::{
    Against, Body, Check, Entry, Files, LogPolicy, State, VerifierKey, open, verify,
};
use crate::domain::tlog::{Checkpoint, Frontier, SignedNote, leaf_hash};

/// One entry whose payload is kept.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Fact {
    /// Its place in the log.
    pub index: u64,
    /// When it was written down.
    pub at: Timestamp,
    /// What happened.
    pub kind: Kind,
    /// What it says.
    pub payload: Json,
}

/// Entries of a verified log, and the checkpoint that they were verified against.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Log {
    pub(super) checkpoint: Checkpoint,
    pub(super) facts: Vec<Fact>,
}

/// Why there is no document.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum NoDocument {
    /// The log is not what its checkpoint says.
    #[error("the log does not verify: {0}")]
    NotVerified(String),
    /// The log lacks what the document must say.
    #[error("{what}: no entry of the log says it, expected in {kind}")]
    Missing {
        /// What.
        what: String,
        /// Where it belongs.
        kind: Kind,
    },
    /// An entry that says what cannot be.
    #[error("entry {index}, {what}: expected {expected}")]
    Contradicted {
        /// Which.
        index: u64,
        /// What it says.
        what: String,
        /// What belongs there.
        expected: String,
    },
    /// A name that the vocabulary does not have.
    #[error("{0}: not in the list of terms of the Data Privacy Vocabulary that come along")]
    UnknownTerm(String),
    /// Words that no document may say.
    #[error("the document would say {0:?}: no entry of this kind may claim that")]
    Word(&'static str),
}

impl NoDocument {
    /// The word for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotVerified(_) => "log",
            Self::Missing { .. } => "missing",
            Self::Contradicted { .. } => "contradicted",
            Self::UnknownTerm(_) => "term",
            Self::Word(_) => "word",
        }
    }
}

impl Log {
    /// Checks a whole log, from its first entry to its last, against a note that its key signed.
    ///
    /// # Errors
    ///
    /// The first entry, hash or signature that is not as it must be.
    pub fn verified(
        entries: impl IntoIterator<Item = Entry>,
        note: &str,
        key: &VerifierKey,
    ) -> Result<Self, NoDocument> {
        let mut reader = LogReader::new(note, key)?;
        for entry in entries {
            reader.take(&entry)?;
        }
        reader.end()
    }

    /// The entries of an audit pack, all checks of which hold. That texts of rules are missing from the pack is no fault of the log.
    ///
    /// # Errors
    ///
    /// The first check that fails.
    pub fn of_pack(files: &Files, against: &Against<'_>) -> Result<Self, NoDocument> {
        let bad = |file: &str, index: Option<u64>, what: &str| match index {
            Some(index) => unverified(format!("{file} entry {index}: {what}")),
            None => unverified(format!("{file}: {what}")),
        };
        for checked in verify(files, against).0 {
            if checked.state == State::Failed && checked.check != Check::Policy {
                let finding = checked.findings.first();
                return Err(match finding {
                    Some(one) => bad(&one.file, one.index, &one.what),
                    None => unverified(format!("check {}", checked.check.name())),
                });
            }
        }
        let pack = open(files).map_err(|findings| {
            let first = findings.first();
            first.map_or_else(
                || unverified(String::new()),
                |one| bad(&one.file, one.index, &one.what),
            )
        })?;
        let checkpoint = pack.checkpoint().cloned();
        let checkpoint = checkpoint.ok_or_else(|| unverified("no checkpoint".to_owned()))?;
        let mut facts = Vec::new();
        for entry in pack.entries() {
            facts.extend(checked(&entry)?);
        }
        Ok(Self { checkpoint, facts })
    }

    /// The entries of audit packs of one log, in order of their quarters, each of which continues the one before.
    ///
    /// # Errors
    ///
    /// The first check that fails, or there is no pack.
    pub fn of_packs(packs: &[Files], policy: Option<&LogPolicy>) -> Result<Self, NoDocument> {
        let mut whole: Option<Self> = None;
        for (place, files) in packs.iter().enumerate() {
            let previous = place.checked_sub(1).and_then(|before| packs.get(before));
            let own = Self::of_pack(
                files,
                &Against {
                    policy,
                    previous,
                    ..Against::default()
                },
            )?;
            whole = Some(match whole {
                None => own,
                Some(before) => before.continued(own),
            });
        }
        whole.ok_or_else(|| unverified("no pack".to_owned()))
    }

    fn continued(mut self, later: Self) -> Self {
        let seen = self.checkpoint.size;
        let more = later.facts.into_iter().filter(|fact| fact.index >= seen);
        self.facts.extend(more);
        Self {
            checkpoint: later.checkpoint,
            facts: self.facts,
        }
    }

    /// The checkpoint that everything was checked against.
    #[must_use]
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// Entries whose payload is kept, in order, but for those that fill up.
    #[must_use]
    pub fn facts(&self) -> &[Fact] {
        &self.facts
    }

    pub(super) fn of_kind(&self, kind: Kind) -> impl DoubleEndedIterator<Item = &Fact> {
        self.facts.iter().filter(move |fact| fact.kind == kind)
    }

    /// Root and size in words, for the foot of a document.
    pub(super) fn named(&self) -> (String, u64, Hash32) {
        let Checkpoint {
            origin, size, root, ..
        } = &self.checkpoint;
        (origin.clone(), *size, *root)
    }
}

/// A log while it is read, entry by entry, against a note that its key signed. Keeps what says something.
#[derive(Debug)]
pub struct LogReader {
    checkpoint: Checkpoint,
    frontier: Frontier,
    facts: Vec<Fact>,
}

impl LogReader {
    /// Begins with the note.
    ///
    /// # Errors
    ///
    /// It is none, or another key's.
    pub fn new(note: &str, key: &VerifierKey) -> Result<Self, NoDocument> {
        let note = SignedNote::parse(note).map_err(|error| unverified(error.to_string()))?;
        let checkpoint = Checkpoint::parse(&note.text);
        let checkpoint = checkpoint.map_err(|error| unverified(error.to_string()))?;
        if key.signed(&note) != Some(true) || checkpoint.origin != key.name {
            return Err(unverified(format!(
                "its checkpoint is not signed by {}",
                key.name
            )));
        }
        Ok(Self {
            checkpoint,
            frontier: Frontier::default(),
            facts: Vec::new(),
        })
    }

    /// Whether all entries of the checkpoint were taken.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.frontier.size() >= self.checkpoint.size
    }

    /// The next entry.
    ///
    /// # Errors
    ///
    /// It is not in its place, or not what its leaf commits to.
    pub fn take(&mut self, entry: &Entry) -> Result<(), NoDocument> {
        let (index, found) = (self.frontier.size(), entry.index);
        if found != index {
            return Err(unverified(format!("entry {found} in place of {index}")));
        }
        self.frontier.push(leaf_hash(&entry.leaf), |_, _, _| {});
        self.facts.extend(checked(entry)?);
        Ok(())
    }

    /// The log.
    ///
    /// # Errors
    ///
    /// It is not the one that the note is about.
    pub fn end(self) -> Result<Log, NoDocument> {
        let Self {
            checkpoint,
            frontier,
            facts,
        } = self;
        if frontier.size() != checkpoint.size || frontier.root() != checkpoint.root {
            let (got, size) = (frontier.size(), checkpoint.size);
            let what = format!("{got} entries with another root than the {size} of its checkpoint");
            return Err(unverified(what));
        }
        Ok(Log { checkpoint, facts })
    }
}

impl Fact {
    /// A text of the payload.
    pub(super) fn text(&self, key: &str) -> Option<&str> {
        self.payload.get(key)?.as_text()
    }

    pub(super) fn needed<'a>(
        &self,
        found: Option<&'a Json>,
        what: &str,
    ) -> Result<&'a Json, NoDocument> {
        let empty = |json: &&Json| !matches!(json, Json::Null) && json.as_text() != Some("");
        found.filter(empty).ok_or_else(|| NoDocument::Missing {
            what: format!("{what} (entry {})", self.index),
            kind: self.kind,
        })
    }

    pub(super) fn needed_text(&self, key: &str) -> Result<String, NoDocument> {
        let found = self.needed(self.payload.get(key), key)?.as_text();
        found
            .map(str::to_owned)
            .ok_or_else(|| self.contradicted(key, "a text"))
    }

    pub(super) fn needed_number(&self, key: &str) -> Result<u64, NoDocument> {
        let found = self.needed(self.payload.get(key), key)?.as_u64();
        found.ok_or_else(|| self.contradicted(key, "a number from 0"))
    }

    /// Texts of a list; none where it is left out.
    pub(super) fn texts(&self, key: &str) -> Result<Vec<String>, NoDocument> {
        let Some(found) = self.payload.get(key) else {
            return Ok(Vec::new());
        };
        let Json::List(values) = found else {
            return Err(self.contradicted(key, "a list of texts"));
        };
        let texts = values
            .iter()
            .map(|value| value.as_text().map(str::to_owned));
        let texts: Option<Vec<String>> = texts.collect();
        texts.ok_or_else(|| self.contradicted(key, "a list of texts"))
    }

    pub(super) fn contradicted(&self, what: &str, expected: &str) -> NoDocument {
        NoDocument::Contradicted {
            index: self.index,
            what: what.to_owned(),
            expected: expected.to_owned(),
        }
    }
}

/// A leaf at its place, with the payload that it commits to; nothing where that was erased, or where the entry fills up.
fn checked(entry: &Entry) -> Result<Option<Fact>, NoDocument> {
    let index = entry.index;
    let bad = |what: String| unverified(format!("entry {index}: {what}"));
    let leaf = Leaf::parse(&entry.leaf).map_err(|error| bad(error.to_string()))?;
    if leaf.seq != index {
        return Err(bad(format!("a leaf that says it is entry {}", leaf.seq)));
    }
    let Body::Kept { salt, payload } = &entry.body else {
        return Ok(None);
    };
    if payload_commit(salt, payload) != leaf.payload_commit {
        return Err(bad("another payload than the leaf commits to".to_owned()));
    }
    let payload = Json::parse(payload).map_err(|error| bad(error.to_string()))?;
    let fact = Fact {
        index,
        at: leaf.recorded_at,
        kind: leaf.kind,
        payload,
    };
    Ok((leaf.kind != Kind::LogPad).then_some(fact))
}

fn unverified(what: String) -> NoDocument {
    NoDocument::NotVerified(what)
}
