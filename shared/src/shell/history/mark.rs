//! The newest signed checkpoint, in a second place, so that a log which was cut or put back is noticed.
//!
//! Two slots of fixed length, written in turn, each with a sum of its own: a torn write spoils one of them at most. It is written after
//! every commit without waiting for the disk: an older mark is harmless, a newer one stops the log.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::fault::{HistoryFault, file};
use super::{Edge, LogSigner};
use crate::base::hash::labelled;
use crate::domain::tlog::{Checkpoint, SignedNote};

/// An open mark.
#[derive(Debug)]
pub(super) struct Mark {
    file: File,
    path: PathBuf,
    turn: u64,
}

impl Mark {
    /// Opens the file if it is there; with it, the newest checkpoint, whose signature is checked.
    pub(super) fn open(
        path: &Path,
        signer: &LogSigner,
    ) -> Result<Option<(Self, Edge)>, HistoryFault> {
        let opened = OpenOptions::new().read(true).write(true).open(path);
        let opened = match opened {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened.map_err(file(path))?,
        };
        let mark = || path.to_owned();
        let mut newest = None;
        for slot in 0..2 {
            let Some(note) = read_slot(&opened, slot) else {
                continue;
            };
            let edge = edge_of(&note, path, signer)?;
            if newest.is_none_or(|(found, _): (Edge, u64)| found.size <= edge.size) {
                newest = Some((edge, slot));
            }
        }
        let (edge, slot) = newest.ok_or(HistoryFault::BadMark { mark: mark() })?;
        let open = Self {
            file: opened,
            path: mark(),
            turn: slot + 1,
        };
        Ok(Some((open, edge)))
    }

    /// Makes the file and waits for the disk.
    pub(super) fn create(path: &Path, note: &str) -> Result<Self, HistoryFault> {
        let folder = path.parent().filter(|folder| *folder != Path::new(""));
        let folder = folder.unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder).map_err(file(folder))?;
        let mut beside = path.as_os_str().to_owned();
        beside.push(".new");
        let beside = PathBuf::from(beside);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(true);
        let made = options.mode(0o600).open(&beside).map_err(file(&beside))?;
        let mut mark = Self {
            file: made,
            path: path.to_owned(),
            turn: 0,
        };
        mark.write(note)?;
        mark.sync()?;
        std::fs::rename(&beside, path).map_err(file(path))?;
        let synced = File::open(folder).and_then(|folder| folder.sync_all());
        synced.map_err(file(folder))?;
        Ok(mark)
    }

    /// Names a newer checkpoint.
    pub(super) fn write(&mut self, note: &str) -> Result<(), HistoryFault> {
        let slot = slot_of(note);
        let offset = (self.turn % 2) * SLOT_BYTES as u64;
        self.turn += 1;
        let written = self.file.write_all_at(&slot, offset);
        written.map_err(file(&self.path))
    }

    /// Waits for the disk.
    pub(super) fn sync(&self) -> Result<(), HistoryFault> {
        self.file.sync_data().map_err(file(&self.path))
    }
}

fn edge_of(note: &str, path: &Path, signer: &LogSigner) -> Result<Edge, HistoryFault> {
    let mark = || path.to_owned();
    let bad = |source| HistoryFault::OtherKey {
        mark: mark(),
        source,
    };
    let note = SignedNote::parse(note).map_err(bad)?;
    note.verify(signer.origin(), &signer.public())
        .map_err(bad)?;
    let checkpoint = Checkpoint::parse(&note.text);
    let checkpoint = checkpoint.map_err(|source| HistoryFault::Checkpoint {
        mark: mark(),
        source,
    })?;
    Ok(Edge {
        size: checkpoint.size,
        root: checkpoint.root,
    })
}

/// Length, note, sum, and zeros.
fn slot_of(note: &str) -> Vec<u8> {
    let sum = labelled("aquifer/mark/1", &[note.as_bytes()]);
    let mut slot = Vec::with_capacity(SLOT_BYTES);
    let length = u32::try_from(note.len()).unwrap_or(u32::MAX);
    slot.extend(length.to_be_bytes());
    slot.extend(note.as_bytes());
    slot.extend(&sum.0[..8]);
    slot.resize(SLOT_BYTES, 0);
    slot
}

fn read_slot(file: &File, slot: u64) -> Option<String> {
    let mut bytes = vec![0; SLOT_BYTES];
    file.read_exact_at(&mut bytes, slot * SLOT_BYTES as u64)
        .ok()?;
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let length = u32::from_be_bytes(*length) as usize;
    let note = str::from_utf8(rest.get(..length)?).ok()?.to_owned();
    (slot_of(&note) == bytes).then_some(note)
}

/// A note of one signature, and room.
const SLOT_BYTES: usize = 1_024;
