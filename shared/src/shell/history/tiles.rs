//! The tree in tiles: 256 hashes of every eighth level. Complete ones are on disk, the right edge is in memory.

use std::collections::HashMap;

use super::Edge;
use crate::base::ids::Hash32;
use crate::domain::tlog::{Frontier, Hashes, node_hash};

/// Hashes in a complete tile.
pub(super) const TILE: usize = 256;

/// A tile's name: its level (0: leaves, 1: subtrees of 256 leaves, …) and its number in it.
pub(super) type TileId = (u8, u64);

/// The right edge, and what it takes to grow it.
#[derive(Clone, Debug, Default)]
pub(super) struct Growing {
    frontier: Frontier,
    /// By level: hashes behind the last complete tile.
    partial: Vec<Vec<Hash32>>,
}

impl Growing {
    /// The edge of a log whose partial tiles are these.
    pub(super) fn of(size: u64, partial: Vec<Vec<Hash32>>) -> Option<Self> {
        let mut tiles = Tiles::default();
        for (level, hashes) in (0_u8..).zip(&partial) {
            tiles.put((level, tile_at(level, size)), hashes.clone());
        }
        let frontier = Frontier::of(&tiles, size)?;
        Some(Self { frontier, partial })
    }

    pub(super) fn size(&self) -> u64 {
        self.frontier.size()
    }

    pub(super) fn edge(&self) -> Edge {
        Edge {
            size: self.frontier.size(),
            root: self.frontier.root(),
        }
    }

    /// Adds a leaf; tiles that it completes are told.
    pub(super) fn push(&mut self, leaf: Hash32, complete: &mut Vec<(TileId, Vec<Hash32>)>) {
        let partial = &mut self.partial;
        self.frontier.push(leaf, |level, index, hash| {
            if level % 8 != 0 {
                return;
            }
            let row = (level / 8) as usize;
            if partial.len() <= row {
                partial.resize(row + 1, Vec::new());
            }
            partial[row].push(hash);
            if partial[row].len() == TILE {
                let id = (row as u8, index >> 8);
                complete.push((id, std::mem::take(&mut partial[row])));
            }
        });
    }

    /// The hashes of a partial tile, if it is one of the edge.
    pub(super) fn partial(&self, (level, number): TileId) -> Option<&[Hash32]> {
        let row = self.partial.get(usize::from(level))?;
        (number == tile_at(level, self.size())).then_some(row)
    }
}

/// Number of the tile of a level behind the last complete one, in a log of this size.
pub(super) fn tile_at(level: u8, size: u64) -> u64 {
    size.checked_shr(8 * (u32::from(level) + 1)).unwrap_or(0)
}

/// Levels that a log of this size has tiles of.
pub(super) fn levels(size: u64) -> impl Iterator<Item = u8> {
    (0..8).take_while(move |level| *level == 0 || size >> (8 * level) > 0)
}

/// Tiles that were read for one proof.
#[derive(Debug, Default)]
pub(super) struct Tiles(HashMap<TileId, Vec<Hash32>>);

impl Tiles {
    pub(super) fn put(&mut self, id: TileId, hashes: Vec<Hash32>) {
        self.0.insert(id, hashes);
    }

    /// What a proof about a leaf, in a log of this size, reads: the tiles over the leaf and those of the edge.
    pub(super) fn needed(leaf: u64, size: u64) -> Vec<TileId> {
        let both = levels(size)
            .flat_map(|level| [(level, tile_at(level, leaf)), (level, tile_at(level, size))]);
        let mut needed: Vec<TileId> = both.collect();
        needed.sort_unstable();
        needed.dedup();
        needed
    }
}

impl Hashes for Tiles {
    fn subtree(&self, level: u32, index: u64) -> Option<Hash32> {
        let (row, height) = (u8::try_from(level / 8).ok()?, level % 8);
        let first = index.checked_shl(height)?;
        let tile = self.0.get(&(row, first >> 8))?;
        let start = (first & 255) as usize;
        let hashes = tile.get(start..start + (1 << height))?;
        Some(fold(hashes))
    }
}

/// Root of a power of two of hashes.
pub(super) fn fold(hashes: &[Hash32]) -> Hash32 {
    let mut row = hashes.to_vec();
    while row.len() > 1 {
        row = row
            .chunks_exact(2)
            .map(|pair| node_hash(&pair[0], &pair[1]))
            .collect();
    }
    row.first().copied().unwrap_or_default()
}

/// As a tile is stored and exported.
pub(super) fn to_bytes(hashes: &[Hash32]) -> Vec<u8> {
    hashes.iter().flat_map(|hash| hash.0).collect()
}

/// Reads what [`to_bytes`] wrote.
pub(super) fn from_bytes(bytes: &[u8]) -> Option<Vec<Hash32>> {
    let chunks = bytes.chunks_exact(32);
    if !chunks.remainder().is_empty() {
        return None;
    }
    let hashes = chunks.map(|chunk| chunk.try_into().ok().map(Hash32));
    hashes.collect()
}
