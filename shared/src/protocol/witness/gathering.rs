//! The coordinator's side: whom to show which checkpoint, and what has been signed of it.

use std::collections::BTreeMap;

use super::messages::Cosigned;
use super::note::{is_signed, quorum, with_cosignatures};
use crate::base::ids::{Hash32, IdentityKey};
use crate::base::time::Timestamp;
use crate::domain::tlog::SignedNote;

/// Cosignatures of the newest checkpoint.
#[derive(Debug, Default)]
pub struct Gathering {
    nodes: BTreeMap<IdentityKey, Seen>,
    current: Option<Current>,
}

/// What a node that is here saw and was shown.
#[derive(Clone, Copy, Debug)]
struct Seen {
    signed: u64,
    shown: Option<u64>,
}

#[derive(Debug)]
struct Current {
    size: u64,
    root: Hash32,
    note: String,
    text: String,
    since: Timestamp,
    cosigned: BTreeMap<IdentityKey, (u64, Vec<u8>)>,
    told: usize,
}

/// A checkpoint, its leaves, and who was not shown it yet, each with the size that it signed before.
pub type Owed = (String, u64, Vec<(IdentityKey, u64)>);

impl Gathering {
    /// A node is here, and says how much of the log it signed before.
    pub fn seen(&mut self, node: IdentityKey, size: u64) {
        let seen = Seen {
            signed: size,
            shown: None,
        };
        self.nodes.insert(node, seen);
    }

    /// A node is gone; what it signed counts on.
    pub fn gone(&mut self, node: &IdentityKey) {
        self.nodes.remove(node);
    }

    /// Whether another checkpoint may follow: the present one has its quorum, or was waited for long enough; at most one a second.
    #[must_use]
    pub fn is_due(&self, now: Timestamp, size: u64) -> bool {
        let Some(current) = &self.current else {
            return true;
        };
        let waited = now.since_ms(current.since);
        let enough = current.cosigned.len() >= quorum(self.nodes.len(), 0);
        let patience = if enough { APART_MS } else { PATIENCE_MS };
        size > current.size && waited >= patience
    }

    /// A new checkpoint is signed by the log.
    pub fn publish(&mut self, now: Timestamp, (size, root): (u64, Hash32), note: String) {
        let text = SignedNote::parse(&note).map_or_else(|_| String::new(), |note| note.text);
        self.current = Some(Current {
            size,
            root,
            note,
            text,
            since: now,
            cosigned: BTreeMap::new(),
            told: 0,
        });
    }

    /// The newest checkpoint and who was not shown it yet, each with the size that it signed before. They count as shown from here on.
    pub fn owed(&mut self) -> Option<Owed> {
        let current = self.current.as_ref()?;
        let mut owed = Vec::new();
        for (node, seen) in &mut self.nodes {
            if seen.shown != Some(current.size) {
                seen.shown = Some(current.size);
                owed.push((*node, seen.signed));
            }
        }
        (!owed.is_empty()).then(|| (current.note.clone(), current.size, owed))
    }

    /// Takes a cosignature; false where it is of another checkpoint, or does not verify.
    pub fn cosigned(&mut self, node: &IdentityKey, said: &Cosigned) -> bool {
        let Some(current) = &mut self.current else {
            return false;
        };
        let same = (current.size, current.root) == (said.size, said.root);
        if !same || !is_signed(node, said.seconds, &current.text, &said.signature) {
            return false;
        }
        let signature = (said.seconds, said.signature.clone());
        current.cosigned.insert(*node, signature);
        if let Some(seen) = self.nodes.get_mut(node) {
            seen.signed = said.size;
        }
        true
    }

    /// The checkpoint with its cosignatures, where there are news for nodes: a quorum of those who are here, and then all of them.
    pub fn news(&mut self) -> Option<String> {
        let here = self.nodes.len();
        let current = self.current.as_mut()?;
        let count = current.cosigned.len();
        let enough = count >= quorum(here, 0) && current.told < quorum(here, 0);
        let all = count >= here && current.told < count;
        if count == 0 || !(enough || all) {
            return None;
        }
        current.told = count;
        self.noted()
    }

    /// The checkpoint with the cosignatures that it has, if any.
    #[must_use]
    pub fn noted(&self) -> Option<String> {
        let current = self.current.as_ref()?;
        let lines = current
            .cosigned
            .iter()
            .map(|(key, (seconds, signature))| (key, *seconds, signature.as_slice()));
        with_cosignatures(&current.note, lines).filter(|_| !current.cosigned.is_empty())
    }
}

/// Between two checkpoints, in milliseconds.
const APART_MS: u64 = 1_000;
/// How long cosignatures of one checkpoint are waited for, in milliseconds.
const PATIENCE_MS: u64 = 5_000;
