//! The hash tree: leaves, nodes, roots, and what a log keeps in memory to grow.

use std::ops::Range;

use aws_lc_rs::digest;

use crate::base::ids::Hash32;

/// Hash of an entry: `SHA-256(0x00 ‖ entry)` (RFC 6962, 2.1).
#[must_use]
pub fn leaf_hash(entry: &[u8]) -> Hash32 {
    hash(&[&[0], entry])
}

/// Hash of two subtrees: `SHA-256(0x01 ‖ left ‖ right)` (RFC 6962, 2.1).
#[must_use]
pub fn node_hash(left: &Hash32, right: &Hash32) -> Hash32 {
    hash(&[&[1], &left.0, &right.0])
}

fn hash(parts: &[&[u8]]) -> Hash32 {
    let mut context = digest::Context::new(&digest::SHA256);
    parts.iter().for_each(|part| context.update(part));
    let mut out = [0; 32];
    out.copy_from_slice(context.finish().as_ref());
    Hash32(out)
}

/// Hashes of complete subtrees, wherever they are stored.
pub trait Hashes {
    /// Hash of the subtree of `2^level` leaves that begins at leaf `index · 2^level`; none if it is not there.
    fn subtree(&self, level: u32, index: u64) -> Option<Hash32>;
}

/// Root of the leaves in a range, whose start is a multiple of the largest power of two that is below its length or equal to it; none if
/// a hash is missing. An empty range has the hash of nothing.
#[must_use]
pub fn root(hashes: &impl Hashes, leaves: Range<u64>) -> Option<Hash32> {
    let mut parts = complete_subtrees(leaves).map(|(level, index)| hashes.subtree(level, index));
    let Some(first) = parts.next() else {
        return Some(hash(&[]));
    };
    let parts: Vec<Hash32> = std::iter::once(first).chain(parts).collect::<Option<_>>()?;
    Some(joined(&parts))
}

/// The complete subtrees that make up a range, the largest first: level and index of each.
pub(super) fn complete_subtrees(leaves: Range<u64>) -> impl Iterator<Item = (u32, u64)> {
    let mut start = leaves.start;
    std::iter::from_fn(move || {
        let left = leaves.end.checked_sub(start).filter(|left| *left > 0)?;
        let level = left.ilog2();
        let subtree = (level, start >> level);
        start += 1 << level;
        Some(subtree)
    })
}

/// Smaller subtrees hang on the right of larger ones.
fn joined(parts: &[Hash32]) -> Hash32 {
    let mut parts = parts.iter().rev();
    let last = parts.next().copied().unwrap_or_default();
    parts.fold(last, |right, left| node_hash(left, &right))
}

/// What a log needs to grow: the roots of its complete subtrees, at most one for each level.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Frontier {
    size: u64,
    /// The largest first.
    roots: Vec<Hash32>,
}

impl Frontier {
    /// The frontier of a log of this size; none if a hash is missing.
    #[must_use]
    pub fn of(hashes: &impl Hashes, size: u64) -> Option<Self> {
        let roots = complete_subtrees(0..size).map(|(level, index)| hashes.subtree(level, index));
        Some(Self {
            size,
            roots: roots.collect::<Option<_>>()?,
        })
    }

    /// How many leaves there are.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Adds a leaf. Every subtree that it completes is told, its own hash first: level, index, hash.
    pub fn push(&mut self, leaf: Hash32, mut complete: impl FnMut(u32, u64, Hash32)) {
        let (mut level, mut hash) = (0, leaf);
        complete(0, self.size, hash);
        while self.size >> level & 1 == 1 {
            let left = self.roots.pop().unwrap_or_default();
            hash = node_hash(&left, &hash);
            level += 1;
            complete(level, self.size >> level, hash);
        }
        self.roots.push(hash);
        self.size += 1;
    }

    /// Root of all leaves.
    #[must_use]
    pub fn root(&self) -> Hash32 {
        match self.roots.is_empty() {
            true => hash(&[]),
            false => joined(&self.roots),
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// A log in memory.
    #[derive(Default)]
    pub struct Memory(pub BTreeMap<(u32, u64), Hash32>);

    impl Hashes for Memory {
        fn subtree(&self, level: u32, index: u64) -> Option<Hash32> {
            self.0.get(&(level, index)).copied()
        }
    }

    impl Memory {
        pub fn with(entries: impl IntoIterator<Item = Vec<u8>>) -> (Self, Frontier) {
            let (mut memory, mut frontier) = (Self::default(), Frontier::default());
            for entry in entries {
                frontier.push(leaf_hash(&entry), |level, index, hash| {
                    assert_eq!(memory.0.insert((level, index), hash), None);
                });
            }
            (memory, frontier)
        }
    }

    /// The tree as RFC 6962 defines it, by its recursion.
    fn defined(leaves: &[Hash32]) -> Hash32 {
        match leaves.len() {
            0 => hash(&[]),
            1 => leaves[0],
            n => {
                let split = 1 << (n - 1).ilog2();
                node_hash(&defined(&leaves[..split]), &defined(&leaves[split..]))
            }
        }
    }

    pub fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<u8> = text
            .bytes()
            .map(|c| (c as char).to_digit(16).unwrap() as u8)
            .collect();
        digits
            .chunks(2)
            .map(|pair| pair[0] << 4 | pair[1])
            .collect()
    }

    /// The entries and roots that certificate transparency logs are tested with.
    pub const ENTRIES: [&str; 8] = [
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    ];
    const ROOTS: [&str; 9] = [
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ];

    #[test]
    fn published_roots_hold() {
        for (size, expected) in ROOTS.iter().enumerate() {
            let (memory, frontier) = Memory::with(ENTRIES[..size].iter().map(|text| hex(text)));
            assert_eq!(frontier.root().0.to_vec(), hex(expected), "{size} entries");
            assert_eq!(root(&memory, 0..size as u64), Some(frontier.root()));
        }
    }

    #[test]
    fn every_size_has_the_root_of_the_definition() {
        let leaves: Vec<Hash32> = (0..130_u32).map(|n| leaf_hash(&n.to_be_bytes())).collect();
        let (memory, _) = Memory::with((0..130_u32).map(|n| n.to_be_bytes().to_vec()));
        for size in 0..=130 {
            let expected = defined(&leaves[..size]);
            assert_eq!(root(&memory, 0..size as u64), Some(expected), "{size}");
            assert_eq!(Frontier::of(&memory, size as u64).unwrap().root(), expected);
        }
    }

    #[test]
    fn a_missing_hash_is_no_root() {
        let (mut memory, _) = Memory::with((0..5_u8).map(|n| vec![n]));
        memory.0.remove(&(2, 0));
        assert_eq!(root(&memory, 0..5), None);
        assert_eq!(Frontier::of(&memory, 5), None);
        assert!(root(&memory, 0..3).is_some());
    }
}
