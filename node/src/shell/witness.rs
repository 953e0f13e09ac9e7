//! The witness file: position and hash of the ledger, on another path, so that an old ledger is noticed.
//!
//! Two lines of fixed length, written in turn and checked by a sum of their own: a torn write spoils one of them at most. It is
//! written after every commit without waiting for the disk; an older witness is harmless, a newer one locks the node.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use aquifer_shared::base::hash::labelled;
use aquifer_shared::base::ids::Hash32;
use aquifer_shared::protocol::chain::Head;

/// An open witness file.
#[derive(Debug)]
pub struct Witness {
    file: File,
    path: PathBuf,
}

/// The witness file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum WitnessFault {
    /// It cannot be read.
    #[error("could not read the witness file {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It cannot be written.
    #[error("could not write the witness file {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Nothing in it can be read.
    #[error("the witness file {} holds no valid line", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
    },
}

impl Witness {
    /// Opens the file if it is there; with it, the newest head that it names.
    ///
    /// # Errors
    ///
    /// It cannot be read, or neither line is valid.
    pub fn open(path: &Path) -> Result<Option<(Self, Head)>, WitnessFault> {
        let fault = |source| WitnessFault::Read {
            path: path.to_owned(),
            source,
        };
        let file = match OpenOptions::new().read(true).write(true).open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened.map_err(fault)?,
        };
        let heads = [0, 1].map(|slot| read_line(&file, slot));
        let newest = heads.into_iter().flatten().max_by_key(|head| head.seq);
        let head = newest.ok_or_else(|| WitnessFault::Unreadable {
            path: path.to_owned(),
        })?;
        let path = path.to_owned();
        Ok(Some((Self { file, path }, head)))
    }

    /// Makes (or makes anew) the file, naming this head, and waits for the disk.
    ///
    /// # Errors
    ///
    /// It cannot be written.
    pub fn create(path: &Path, head: Head) -> Result<Self, WitnessFault> {
        let fault = |source| WitnessFault::Write {
            path: path.to_owned(),
            source,
        };
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(fault)?;
        }
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(true);
        let file = options.mode(0o600).open(path).map_err(fault)?;
        let path = path.to_owned();
        let witness = Self { file, path };
        witness.write(head)?;
        witness.sync()?;
        Ok(witness)
    }

    /// Names a newer head.
    ///
    /// # Errors
    ///
    /// It cannot be written.
    pub fn write(&self, head: Head) -> Result<(), WitnessFault> {
        let line = line_of(head);
        let offset = (head.seq % 2) * LINE_BYTES as u64;
        let written = self.file.write_all_at(line.as_bytes(), offset);
        written.map_err(|source| WitnessFault::Write {
            path: self.path.clone(),
            source,
        })
    }

    /// Waits until the file is on disk.
    ///
    /// # Errors
    ///
    /// The disk refuses.
    pub fn sync(&self) -> Result<(), WitnessFault> {
        self.file.sync_data().map_err(|source| WitnessFault::Write {
            path: self.path.clone(),
            source,
        })
    }
}

fn line_of(head: Head) -> String {
    let text = format!("{:020} {}", head.seq, head.hash);
    let sum = labelled("aquifer/witness/1", &[text.as_bytes()]).to_string();
    format!("{text} {}\n", &sum[..16])
}

fn read_line(file: &File, slot: u64) -> Option<Head> {
    let mut bytes = [0; LINE_BYTES];
    file.read_exact_at(&mut bytes, slot * LINE_BYTES as u64)
        .ok()?;
    let text = str::from_utf8(&bytes).ok()?;
    let seq = text.get(..20)?.parse().ok()?;
    let hash: Hash32 = text.get(21..85)?.parse().ok()?;
    let head = Head { seq, hash };
    (line_of(head) == text).then_some(head)
}

/// 20 digits, 64 hexadecimal digits, 16 of the sum, two blanks and the end of the line.
const LINE_BYTES: usize = 20 + 1 + 64 + 1 + 16 + 1;

#[cfg(test)]
mod tests {
    use super::*;

    fn head(seq: u64) -> Head {
        Head {
            seq,
            hash: Hash32([seq as u8; 32]),
        }
    }

    #[test]
    fn the_newest_head_is_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("volume/ledger.witness");
        assert!(Witness::open(&path).unwrap().is_none());
        let witness = Witness::create(&path, head(0)).unwrap();
        for seq in 1..=5 {
            witness.write(head(seq)).unwrap();
        }
        assert_eq!(Witness::open(&path).unwrap().unwrap().1, head(5));
    }

    #[test]
    fn a_torn_line_leaves_the_one_before() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.witness");
        let witness = Witness::create(&path, head(0)).unwrap();
        (1..=4).for_each(|seq| witness.write(head(seq)).unwrap());
        witness.file.write_all_at(b"garbage", 30).unwrap();
        assert_eq!(Witness::open(&path).unwrap().unwrap().1, head(3));
    }

    #[test]
    fn garbage_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.witness");
        std::fs::write(&path, "no witness").unwrap();
        assert!(matches!(
            Witness::open(&path),
            Err(WitnessFault::Unreadable { .. })
        ));
    }
}
