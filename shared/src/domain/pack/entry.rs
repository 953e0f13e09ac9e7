//! An entry of a log with what is kept of it.

use std::fmt;

use crate::domain::history::LEAF_BYTES;

/// One entry, as a log has it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Entry {
    /// Its place in the log, from 0.
    pub index: u64,
    /// The bytes that are hashed; whether they are a leaf of this product is checked elsewhere.
    pub leaf: [u8; LEAF_BYTES],
    /// What the leaf commits to.
    pub body: Body,
}

/// Payload and salt, or that both are gone.
///
/// # Privacy
///
/// Its `Debug` shows neither: at a unit, payloads refer to persons.
#[derive(Clone, Eq, PartialEq)]
pub enum Body {
    /// Both are there.
    Kept {
        /// 32 random bytes.
        salt: [u8; 32],
        /// The bytes that were committed to.
        payload: Vec<u8>,
    },
    /// Both were erased; the leaf stays.
    Erased,
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Kept { .. } => "Kept",
            Self::Erased => "Erased",
        })
    }
}

/// Fields of a leaf that are read even where the rest of it is none.
pub(super) mod raw {
    use crate::base::ids::Hash32;
    use crate::domain::history::LEAF_BYTES;

    pub(in crate::domain::pack) fn kind(leaf: &[u8; LEAF_BYTES]) -> u16 {
        u16::from_be_bytes(part(leaf, 4))
    }

    pub(in crate::domain::pack) fn seq(leaf: &[u8; LEAF_BYTES]) -> u64 {
        u64::from_be_bytes(part(leaf, 8))
    }

    pub(in crate::domain::pack) fn event_id(leaf: &[u8; LEAF_BYTES]) -> [u8; 16] {
        part(leaf, 16)
    }

    pub(in crate::domain::pack) fn recorded_at(leaf: &[u8; LEAF_BYTES]) -> u64 {
        u64::from_be_bytes(part(leaf, 32))
    }

    pub(in crate::domain::pack) fn persons(leaf: &[u8; LEAF_BYTES]) -> u8 {
        leaf[43]
    }

    pub(in crate::domain::pack) fn policy(leaf: &[u8; LEAF_BYTES]) -> Hash32 {
        Hash32(part(leaf, 44))
    }

    pub(in crate::domain::pack) fn commit(leaf: &[u8; LEAF_BYTES]) -> Hash32 {
        Hash32(part(leaf, 76))
    }

    fn part<const N: usize>(leaf: &[u8; LEAF_BYTES], at: usize) -> [u8; N] {
        let mut out = [0; N];
        out.copy_from_slice(&leaf[at..at + N]);
        out
    }
}
