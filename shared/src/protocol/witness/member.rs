//! A node's side: checks that the coordinator's log only grew, signs that, and asks for a quorum before it works.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use super::messages::{Cosigned, LogHead, LogSeen};
use super::note::{coordinator_origin, cosigned_text, is_cosigned, quorum, read_note};
use crate::base::ids::{Hash32, IdentityKey, StudyHash};
use crate::base::limits::HISTORY_PROOF_HASHES_MAX;
use crate::base::time::Timestamp;
use crate::domain::tlog::{SignedNote, verify_consistency};

/// What a node keeps through a restart: which log, and what it signed of it last.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Held {
    /// The log's key, in hexadecimal digits; where none is known, that of the first checkpoint is taken.
    pub key: Option<String>,
    /// Leaves.
    pub size: u64,
    /// Root of them, in hexadecimal digits.
    pub root: String,
    /// The checkpoint as the coordinator signed it.
    pub note: String,
}

/// Two checkpoints of the coordinator that cannot both be true of one log that only grows.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Fork {
    /// What does not fit.
    pub reason: String,
    /// What this node signed.
    pub held: String,
    /// What was shown later.
    pub shown: String,
}

/// What to do about a checkpoint.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Step {
    /// Put this on disk, then say [`Member::signed`], then send the cosignature.
    Cosign(Box<Held>),
    /// Keep the evidence and work no more.
    Fork(Box<Fork>),
    /// It is nothing that this node can use; why.
    Ignore(&'static str),
}

/// A node as a witness.
#[derive(Debug)]
pub struct Member {
    held: Held,
    dishonest: usize,
    /// What was signed in this run: leaves, root, when.
    signed: VecDeque<(u64, Hash32, Timestamp)>,
    quorum: Option<Quorate>,
    /// How much had been signed when a study was last worked for.
    worked: BTreeMap<StudyHash, u64>,
}

#[derive(Debug)]
struct Quorate {
    size: u64,
    note: SignedNote,
    /// Whose cosignatures were checked, and how.
    checked: BTreeMap<IdentityKey, bool>,
}

impl Member {
    /// A witness that goes on from what it kept; at most `dishonest` nodes help a coordinator that lies.
    #[must_use]
    pub fn new(held: Held, dishonest: usize, now: Timestamp) -> Self {
        let root = held.root.parse().unwrap_or_default();
        let signed = (!held.note.is_empty()).then_some((held.size, root, now));
        Self {
            held,
            dishonest,
            signed: signed.into_iter().collect(),
            quorum: None,
            worked: BTreeMap::new(),
        }
    }

    /// What it says at the beginning of a session.
    #[must_use]
    pub fn seen(&self) -> LogSeen {
        LogSeen {
            size: self.held.size,
            root: self.held.root.parse().unwrap_or_default(),
        }
    }

    /// What is kept.
    #[must_use]
    pub fn held(&self) -> &Held {
        &self.held
    }

    /// Looks at a checkpoint.
    #[must_use]
    pub fn look(&self, head: &LogHead) -> Step {
        let key = match &self.held.key {
            None => head.key,
            Some(key) => match key.parse() {
                Ok(key) => key,
                Err(_) => return Step::Ignore("the kept key is none"),
            },
        };
        if key != head.key {
            return self.fork("the log has another key", &head.note);
        }
        let Some((_, shown)) = read_note(&head.note, &coordinator_origin(&key), &key) else {
            return Step::Ignore("the checkpoint is not signed by the log");
        };
        let held = &self.held;
        let root = held.root.parse().unwrap_or_default();
        let is_known = !held.note.is_empty();
        if is_known && shown.size < held.size {
            return self.fork("the log is shorter than it was", &head.note);
        }
        if is_known && shown.size == held.size && shown.root != root {
            return self.fork("the log has another root at the same size", &head.note);
        }
        if head.from != held.size {
            return Step::Ignore("the proof is from another size");
        }
        if head.consistency.len() > HISTORY_PROOF_HASHES_MAX {
            return Step::Ignore("the proof is too long");
        }
        let (old, new) = ((held.size, &root), (shown.size, &shown.root));
        if verify_consistency(old, new, &head.consistency).is_err() {
            return self.fork("the log does not continue what it was", &head.note);
        }
        Step::Cosign(Box::new(Held {
            key: Some(key.to_string()),
            size: shown.size,
            root: shown.root.to_string(),
            note: head.note.clone(),
        }))
    }

    fn fork(&self, reason: &str, shown: &str) -> Step {
        Step::Fork(Box::new(Fork {
            reason: reason.to_owned(),
            held: self.held.note.clone(),
            shown: shown.to_owned(),
        }))
    }

    /// What [`Step::Cosign`] brought is on disk: the cosignature.
    #[must_use]
    pub fn signed(
        &mut self,
        now: Timestamp,
        held: Held,
        sign: impl FnOnce(&str) -> Vec<u8>,
    ) -> Option<Cosigned> {
        let text = SignedNote::parse(&held.note).ok()?.text;
        let (size, root) = (held.size, held.root.parse().ok()?);
        if self.signed.len() == SIGNED_MAX {
            self.signed.pop_front();
        }
        self.signed.push_back((size, root, now));
        self.held = held;
        let seconds = now.0 / 1_000;
        Some(Cosigned {
            size,
            root,
            seconds,
            signature: sign(&cosigned_text(seconds, &text)),
        })
    }

    /// Takes a checkpoint with cosignatures; they are checked when a study asks for them.
    pub fn on_quorum(&mut self, note: &str) -> Option<Box<Fork>> {
        let key: IdentityKey = self.held.key.as_ref()?.parse().ok()?;
        let (parsed, shown) = read_note(note, &coordinator_origin(&key), &key)?;
        let same = self.signed.iter().find(|(size, ..)| *size == shown.size);
        let (size, root, _) = same?;
        if *root != shown.root {
            return match self.fork("the log has another root at the same size", note) {
                Step::Fork(fork) => Some(fork),
                _ => None,
            };
        }
        let newer = self.quorum.as_ref().is_none_or(|held| held.size <= *size);
        if newer {
            self.quorum = Some(Quorate {
                size: *size,
                note: parsed,
                checked: BTreeMap::new(),
            });
        }
        None
    }

    /// Whether a study of these members may be worked for: enough of them signed what this node had signed when it last worked for the
    /// study, and what it signed longer ago than cosignatures take.
    pub fn may_work(&mut self, now: Timestamp, study: &StudyHash, roster: &[IdentityKey]) -> bool {
        let late = |(size, _, at): &(u64, Hash32, Timestamp)| {
            (now.since_ms(*at) >= GRACE_MS).then_some(*size)
        };
        let late = self.signed.iter().filter_map(late).max().unwrap_or(0);
        let worked = self.worked.get(study).copied().unwrap_or(0);
        let Some(quorate) = &mut self.quorum else {
            return false;
        };
        if quorate.size < late.max(worked) {
            return false;
        }
        let needed = quorum(roster.len(), self.dishonest);
        let mut found = 0;
        for key in roster {
            let note = &quorate.note;
            let checked = quorate.checked.entry(*key);
            found += usize::from(*checked.or_insert_with(|| is_cosigned(note, key)));
        }
        found >= needed
    }

    /// A study is worked for now.
    pub fn works(&mut self, study: StudyHash) {
        if self.worked.len() >= STUDIES_MAX {
            self.worked.pop_first();
        }
        self.worked.insert(study, self.held.size);
    }
}

/// Checkpoints of one run that are remembered.
const SIGNED_MAX: usize = 64;
/// Studies that are remembered.
const STUDIES_MAX: usize = 1_024;
/// How long the cosignatures of others may take, in milliseconds: longer than a coordinator waits for them.
const GRACE_MS: u64 = 15_000;
