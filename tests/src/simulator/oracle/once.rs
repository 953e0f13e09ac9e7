//! What must not come twice: noise, keys, seeds; and what may come twice only as the same bytes.

use std::collections::{HashMap, HashSet};

use aquifer_shared::base::hash::sha256;
use aquifer_shared::base::ids::{AttemptId, Hash32};

use super::Invariant;
use super::violation::Breach;
use crate::simulator::network::Frame;

/// Everything that was seen once.
#[derive(Debug)]
pub(super) struct Once {
    noise: Vec<HashSet<Hash32>>,
    fresh: HashSet<[u8; 32]>,
    keys: HashMap<[u8; 32], (usize, AttemptId)>,
    frames: HashMap<(usize, u8, AttemptId), Hash32>,
}

impl Once {
    pub(super) fn new(nodes: usize) -> Self {
        Self {
            noise: vec![HashSet::new(); nodes],
            fresh: HashSet::new(),
            keys: HashMap::new(),
            frames: HashMap::new(),
        }
    }

    /// A noise vector reaches a node.
    pub(super) fn noise(&mut self, node: usize, noise: &[i64]) -> Result<(), Breach> {
        let bytes: Vec<u8> = noise.iter().flat_map(|cell| cell.to_le_bytes()).collect();
        let silent = noise.iter().all(|cell| *cell == 0);
        // A few small cells may come twice by chance.
        let telling = noise.len() >= TELLING_CELLS && !silent;
        if self.noise[node].insert(sha256(&bytes)) || !telling {
            return Ok(());
        }
        let what = format!("node {node} draws the same noise a second time");
        Err(Breach(Invariant::NoReuse, what))
    }

    /// Fresh bytes reach a node.
    pub(super) fn fresh(&mut self, node: usize, bytes: &[u8; 32]) -> Result<(), Breach> {
        if self.fresh.insert(*bytes) {
            return Ok(());
        }
        let what = format!("node {node} gets bytes as fresh that were used before");
        Err(Breach(Invariant::NoReuse, what))
    }

    /// An ephemeral key is announced.
    pub(super) fn key(
        &mut self,
        node: usize,
        attempt: AttemptId,
        key: &[u8; 32],
    ) -> Result<(), Breach> {
        let first = *self.keys.entry(*key).or_insert((node, attempt));
        if first == (node, attempt) {
            return Ok(());
        }
        let what = format!(
            "node {node} announces a key that node {} announced in {}",
            first.0, first.1
        );
        Err(Breach(Invariant::NoReuse, what))
    }

    /// A frame of an attempt leaves a node; true for the first time.
    pub(super) fn frame(
        &mut self,
        node: usize,
        kind: u8,
        attempt: AttemptId,
        frame: &Frame,
    ) -> Result<bool, Breach> {
        let hash = sha256(frame);
        let known = *self.frames.entry((node, kind, attempt)).or_insert(hash);
        if known == hash {
            return Ok(true);
        }
        let what =
            format!("node {node} sends two different messages of kind {kind} in one attempt");
        Err(Breach(Invariant::NoReuse, what))
    }
}

const TELLING_CELLS: usize = 8;
