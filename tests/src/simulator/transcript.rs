//! What happened, in one hash: every delivered message, disk write and crash, each with its virtual time.
//!
//! The same seed gives the same hash on every machine. A second hash keeps only what an outsider could see (kinds, sizes,
//! moments), so that two histories that differ in customers' values can be compared.

use std::fmt;

use aquifer_shared::base::ids::Hash32;
use aquifer_shared::base::time::Timestamp;
use aws_lc_rs::digest;

/// Everything so far.
pub struct Transcript {
    whole: digest::Context,
    outline: digest::Context,
    entries: u64,
}

/// What kind of thing happened.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Mark {
    /// A frame reached the coordinator.
    Up = 1,
    /// A frame reached a node.
    Down = 2,
    /// A node's entries are on disk.
    Entries = 3,
    /// The coordinator's records are stored.
    Records = 4,
    /// A party stopped.
    Crash = 5,
    /// A party started.
    Start = 6,
    /// A fault struck.
    Fault = 7,
    /// A sum was published.
    Release = 8,
}

impl Transcript {
    /// Nothing happened.
    #[must_use]
    pub fn new() -> Self {
        Self {
            whole: digest::Context::new(&digest::SHA256),
            outline: digest::Context::new(&digest::SHA256),
            entries: 0,
        }
    }

    /// Something happened at a party (0: the coordinator; from 1: nodes).
    pub fn note(&mut self, now: Timestamp, mark: Mark, party: usize, bytes: &[u8]) {
        let mut head = [0; 21];
        head[..8].copy_from_slice(&now.0.to_le_bytes());
        head[8] = mark as u8;
        head[9..13].copy_from_slice(&(party as u32).to_le_bytes());
        head[13..21].copy_from_slice(&(bytes.len() as u64).to_le_bytes());
        self.whole.update(&head);
        self.whole.update(bytes);
        self.entries += 1;
        if matches!(mark, Mark::Up | Mark::Down) {
            self.outline.update(&head);
            self.outline.update(&bytes[..bytes.len().min(2)]);
        }
    }

    /// How many things happened.
    #[must_use]
    pub fn entries(&self) -> u64 {
        self.entries
    }

    /// The hash of everything, and that of what an outsider sees.
    #[must_use]
    pub fn finish(self) -> (Hash32, Hash32) {
        (hash_of(self.whole), hash_of(self.outline))
    }
}

fn hash_of(context: digest::Context) -> Hash32 {
    let mut out = Hash32::default();
    out.0.copy_from_slice(context.finish().as_ref());
    out
}

impl Default for Transcript {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Transcript {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Transcript({} entries)", self.entries)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hashes(entries: &[(u64, Mark, &[u8])]) -> (Hash32, Hash32) {
        let mut transcript = Transcript::new();
        for (at, mark, bytes) in entries {
            transcript.note(Timestamp(*at), *mark, 1, bytes);
        }
        transcript.finish()
    }

    #[test]
    fn time_kind_and_content_enter() {
        let one = hashes(&[(1, Mark::Up, b"ab")]);
        assert_eq!(one, hashes(&[(1, Mark::Up, b"ab")]));
        for other in [
            hashes(&[(2, Mark::Up, b"ab")]),
            hashes(&[(1, Mark::Down, b"ab")]),
            hashes(&[(1, Mark::Up, b"ac")]),
            hashes(&[(1, Mark::Up, b"ab"), (1, Mark::Crash, b"")]),
        ] {
            assert_ne!(one.0, other.0);
        }
    }

    #[test]
    fn the_outline_keeps_kinds_sizes_and_moments_alone() {
        let outline = |entries: &[(u64, Mark, &[u8])]| hashes(entries).1;
        let one = outline(&[(1, Mark::Up, b"abcd")]);
        assert_eq!(
            one,
            outline(&[(1, Mark::Up, b"abxy"), (9, Mark::Entries, b"z")])
        );
        assert_ne!(one, outline(&[(1, Mark::Up, b"abcde")]));
        assert_ne!(one, outline(&[(2, Mark::Up, b"abcd")]));
        assert_ne!(one, outline(&[(1, Mark::Up, b"axcd")]));
    }
}
