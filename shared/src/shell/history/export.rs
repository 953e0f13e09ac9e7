//! A log as C2SP tiles, and the check of everything that it holds.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;

use super::Edge;
use super::fault::{HistoryFault, file};
use super::tiles::{Growing, TILE, levels, tile_at, to_bytes};
use super::work::Worker;
use crate::domain::tlog::leaf_hash;

impl Worker {
    /// Writes `checkpoint`, `tile/<level>/<number>` and `tile/entries/<number>` (tlog-tiles).
    pub(super) async fn export(&mut self, folder: &Path) -> Result<Edge, HistoryFault> {
        fs::create_dir(folder).map_err(file(folder))?;
        let edge = self.growing.edge();
        for level in levels(edge.size) {
            let last = tile_at(level, edge.size);
            for number in 0..=last {
                let id = (level, number);
                let hashes = match self.growing.partial(id) {
                    Some(partial) => partial.to_vec(),
                    None => {
                        let tile = self.file.tile(id).await?;
                        tile.ok_or_else(|| self.file.damaged(number << 8))?
                    }
                };
                let path = folder.join(format!(
                    "tile/{level}/{}",
                    number_path(number, hashes.len())
                ));
                put(&path, &to_bytes(&hashes))?;
                if level == 0 {
                    self.export_entries(folder, number, hashes.len()).await?;
                }
            }
        }
        put(
            &folder.join("checkpoint"),
            self.signer.note(edge).as_bytes(),
        )?;
        Ok(edge)
    }

    async fn export_entries(
        &mut self,
        folder: &Path,
        number: u64,
        count: usize,
    ) -> Result<(), HistoryFault> {
        let first = number << 8;
        let leaves = self.file.leaves(first, first + count as u64).await?;
        let mut bundle = Vec::new();
        for (_, leaf) in leaves {
            let length = u16::try_from(leaf.len()).unwrap_or(u16::MAX);
            bundle.extend(length.to_be_bytes());
            bundle.extend(leaf);
        }
        let path = folder.join(format!("tile/entries/{}", number_path(number, count)));
        put(&path, &bundle)
    }

    /// Hashes every leaf again.
    pub(super) async fn verify(&mut self) -> Result<Edge, HistoryFault> {
        let (mut again, mut tiles) = (Growing::default(), Vec::new());
        let size = self.growing.size();
        while again.size() < size {
            let first = again.size();
            let end = size.min(first + TILE as u64);
            for (index, entry) in (first..).zip(self.file.entries(first, end).await?) {
                let commits = entry.opening.is_none_or(|(salt, payload)| {
                    crate::domain::history::payload_commit(&salt, &payload)
                        == entry.leaf.payload_commit
                });
                if entry.leaf.seq != index || !commits {
                    return Err(self.file.damaged(index));
                }
                again.push(leaf_hash(&entry.leaf.to_bytes()), &mut tiles);
            }
            if again.size() == first {
                return Err(self.file.damaged(first));
            }
            for (id, hashes) in tiles.drain(..) {
                if self.file.tile(id).await?.as_ref() != Some(&hashes) {
                    return Err(self.file.damaged(first));
                }
            }
        }
        let edge = again.edge();
        (edge == self.growing.edge())
            .then_some(edge)
            .ok_or_else(|| self.file.damaged(size.saturating_sub(1)))
    }
}

/// `x001/x234/067`, with `.p/<width>` where the tile is partial.
fn number_path(number: u64, width: usize) -> String {
    let mut path = format!("{:03}", number % 1_000);
    let mut rest = number / 1_000;
    while rest > 0 {
        path = format!("x{:03}/{path}", rest % 1_000);
        rest /= 1_000;
    }
    match width {
        TILE => path,
        partial => format!("{path}.p/{partial}"),
    }
}

fn put(path: &Path, bytes: &[u8]) -> Result<(), HistoryFault> {
    if bytes.is_empty() {
        return Ok(());
    }
    let folder = path.parent().unwrap_or(path);
    fs::create_dir_all(folder).map_err(file(folder))?;
    let mut out = File::create_new(path).map_err(file(path))?;
    out.write_all(bytes).map_err(file(path))
}
