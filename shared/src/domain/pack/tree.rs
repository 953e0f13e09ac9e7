//! The tree of a pack: complete subtrees before its first leaf, and all of its leaves; and proofs as C2SP writes them.

use std::collections::{BTreeSet, HashMap};
use std::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::base::ids::Hash32;
use crate::base::limits::{NOTE_BYTES_MAX, NOTE_SIGNATURES_MAX};
use crate::domain::tlog::{Frontier, Hashes, inclusion, leaf_hash, root};

/// Hashes of a pack or of a whole log in memory, by level and index.
#[derive(Debug)]
pub struct PackTree(HashMap<(u32, u64), Hash32>);

impl Hashes for PackTree {
    fn subtree(&self, level: u32, index: u64) -> Option<Hash32> {
        self.0.get(&(level, index)).copied()
    }
}

impl PackTree {
    /// The tree of a whole log.
    #[must_use]
    pub fn whole<'a>(leaves: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let (mut tree, mut growing) = (Self(HashMap::new()), Frontier::default());
        for leaf in leaves {
            growing.push(leaf_hash(leaf), |level, index, hash| {
                tree.0.insert((level, index), hash);
            });
        }
        tree
    }

    /// The tree of so many leaves whose complete subtrees are `frontier`, and of the leaves after them; none where these are not as
    /// many as the size has.
    pub(super) fn new(
        first: u64,
        frontier: &[Hash32],
        leaves: impl IntoIterator<Item = Hash32>,
    ) -> Option<Self> {
        let places: Vec<(u32, u64)> = subtrees(first).collect();
        (places.len() == frontier.len()).then_some(())?;
        let mut tree = Self(places.into_iter().zip(frontier.iter().copied()).collect());
        let mut growing = Frontier::of(&tree, first)?;
        for leaf in leaves {
            growing.push(leaf, |level, index, hash| {
                tree.0.insert((level, index), hash);
            });
        }
        Some(tree)
    }

    pub(super) fn root(&self, size: u64) -> Option<Hash32> {
        root(self, 0..size)
    }
}

/// The tree of a whole log while it is read: keeps of it what proofs about some places need, and not every leaf.
#[derive(Debug)]
pub struct GrowingTree {
    tree: PackTree,
    growing: Frontier,
    /// What is below the top of the tile that is being filled.
    tile: Vec<((u32, u64), Hash32)>,
    /// Tiles that are kept whole.
    wanted: BTreeSet<u64>,
}

impl GrowingTree {
    /// Of a log whose checkpoints have these sizes.
    #[must_use]
    pub fn new(sizes: impl IntoIterator<Item = u64>) -> Self {
        let beside = sizes
            .into_iter()
            .flat_map(|size| [size, size.saturating_sub(1)]);
        Self {
            tree: PackTree(HashMap::new()),
            growing: Frontier::default(),
            tile: Vec::new(),
            wanted: beside.map(|place| place >> TILE_LEVEL).collect(),
        }
    }

    /// The next leaf, and whether its place in the log will have to be proved.
    pub fn push(&mut self, leaf: &[u8], is_proved: bool) {
        let own = self.growing.size() >> TILE_LEVEL;
        if is_proved {
            self.wanted.insert(own);
        }
        let (tree, tile) = (&mut self.tree, &mut self.tile);
        self.growing.push(leaf_hash(leaf), |level, index, hash| {
            match level < TILE_LEVEL {
                true => tile.push(((level, index), hash)),
                false => {
                    tree.0.insert((level, index), hash);
                }
            }
        });
        if self.growing.size() >> TILE_LEVEL != own {
            let whole = std::mem::take(&mut self.tile);
            if self.wanted.remove(&own) {
                self.tree.0.extend(whole);
            }
        }
    }

    /// The tree: it proves what lies at the checkpoints, and what was to be proved, in any log of their sizes.
    #[must_use]
    pub fn end(mut self) -> PackTree {
        self.tree.0.extend(self.tile);
        self.tree
    }
}

/// The complete subtrees of a size, the largest first: level and index.
fn subtrees(size: u64) -> impl Iterator<Item = (u32, u64)> {
    let levels = (0..u64::BITS)
        .rev()
        .filter(move |level| size >> level & 1 == 1);
    levels.map(move |level| (level, (size >> level) - 1))
}

/// The hashes of the complete subtrees of a size.
pub(super) fn frontier(hashes: &impl Hashes, size: u64) -> Option<Vec<Hash32>> {
    subtrees(size)
        .map(|(level, index)| hashes.subtree(level, index))
        .collect()
}

/// A proof that an entry is in the log of a checkpoint, in one text (C2SP tlog-proof); none where hashes are missing.
#[must_use]
pub fn prove(hashes: &impl Hashes, index: u64, size: u64, checkpoint: &str) -> Option<String> {
    let proof = inclusion(hashes, index, size)?;
    Some(written_proof(index, &proof, checkpoint))
}

/// The text of a proof (C2SP tlog-proof).
#[must_use]
pub fn written_proof(index: u64, proof: &[Hash32], checkpoint: &str) -> String {
    let hashes = proof.iter().map(|hash| STANDARD.encode(hash.0) + "\n");
    format!(
        "{PROOF_LINE}\nindex {index}\n{}\n{checkpoint}",
        hashes.collect::<String>()
    )
}

/// Reads the text of a proof: index, hashes, checkpoint.
#[must_use]
pub fn read_proof(text: &str) -> Option<(u64, Vec<Hash32>, &str)> {
    (text.len() <= 2 * NOTE_BYTES_MAX).then_some(())?;
    let (head, checkpoint) = text.split_once("\n\n")?;
    let mut lines = head.split('\n');
    (lines.next()? == PROOF_LINE).then_some(())?;
    let index = lines.next()?.strip_prefix("index ")?;
    let index = super::layout::number(index.as_bytes())?;
    let hashes: Option<Vec<Hash32>> = lines
        .map(|line| STANDARD.decode(line).ok()?.try_into().ok().map(Hash32))
        .collect();
    let hashes = hashes.filter(|hashes| hashes.len() <= NOTE_SIGNATURES_MAX)?;
    (written_proof(index, &hashes, checkpoint) == text).then_some((index, hashes, checkpoint))
}

/// The places of a pack as numbers of a list.
pub(super) fn places(range: &Range<u64>) -> usize {
    usize::try_from(range.end.saturating_sub(range.start)).unwrap_or(usize::MAX)
}

const PROOF_LINE: &str = "c2sp.org/tlog-proof@v1";
/// A tile has 256 leaves.
const TILE_LEVEL: u32 = 8;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::tlog::consistency;

    /// A tree that keeps little proves the same as one that keeps all.
    #[test]
    fn what_is_kept_of_a_tree_proves_all_that_is_asked() {
        let leaves: Vec<[u8; 4]> = (0..3_000_u32).map(u32::to_be_bytes).collect();
        let whole = PackTree::whole(leaves.iter().map(<[u8; 4]>::as_slice));
        let sizes = [1, 255, 256, 257, 700, 1_024, 1_025, 2_047, 2_900];
        let proved = [0, 3, 511, 512, 1_290, 2_600];
        let mut growing = GrowingTree::new(sizes);
        for (index, leaf) in (0..).zip(&leaves) {
            growing.push(leaf, proved.contains(&index));
        }
        let tree = growing.end();
        assert!(tree.0.len() < whole.0.len(), "not all is kept");
        for end in sizes {
            assert_eq!(tree.root(end).unwrap(), whole.root(end).unwrap());
            assert_eq!(
                frontier(&tree, end).unwrap(),
                frontier(&whole, end).unwrap()
            );
            for first in sizes.into_iter().filter(|first| *first <= end) {
                let found = consistency(&tree, first, end);
                assert_eq!(found.unwrap(), consistency(&whole, first, end).unwrap());
            }
            for index in proved.into_iter().filter(|index| *index < end) {
                let found = inclusion(&tree, index, end);
                assert_eq!(found.unwrap(), inclusion(&whole, index, end).unwrap());
            }
        }
        assert_eq!(inclusion(&tree, 1_600, 2_900), None, "nobody asked for it");
    }
}
