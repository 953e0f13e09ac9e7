//! The witness file: position and hash of the ledger, on another path, so that an old ledger is noticed.
//!
//! Two lines of fixed length, written in turn and checked by a sum of their own: a torn write spoils one of them at most. It is
//! written after every commit without waiting for the disk; an older witness is harmless, a newer one locks the node.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use aquifer_shared::base::hash::labelled;
use aquifer_shared::base::ids::Hash32;
use aquifer_shared::protocol::chain::Head;

/// An open witness file.
#[derive(Debug)]
pub struct Witness {
    file: File,
    path: PathBuf,
    /// The line that is written next: never the one with the newest head.
    turn: AtomicU64,
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
    #[error("the witness file {} has {bytes} bytes and no valid line, expected one at least of its two lines of {LINE_BYTES} bytes", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Its length.
        bytes: u64,
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
        let lines = [0, 1].map(|line| Some((read_line(&file, line)?, line)));
        let newest = lines.into_iter().flatten().max_by_key(|line| line.0.seq);
        let (head, line) = newest.ok_or_else(|| WitnessFault::Unreadable {
            path: path.to_owned(),
            bytes: file.metadata().map_or(0, |facts| facts.len()),
        })?;
        let (path, turn) = (path.to_owned(), AtomicU64::new(line + 1));
        Ok(Some((Self { file, path, turn }, head)))
    }

    /// Makes (or makes anew) the file, naming this head, and waits for the disk. It is whole or as it was before, at any moment.
    ///
    /// # Errors
    ///
    /// It cannot be written.
    pub fn create(path: &Path, head: Head) -> Result<Self, WitnessFault> {
        let fault = |source| WitnessFault::Write {
            path: path.to_owned(),
            source,
        };
        let folder = path.parent().filter(|folder| *folder != Path::new(""));
        let folder = folder.unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder).map_err(fault)?;
        let mut beside = path.as_os_str().to_owned();
        beside.push(".new");
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(true);
        let file = options.mode(0o600).open(&beside).map_err(fault)?;
        let (path, turn) = (path.to_owned(), AtomicU64::new(0));
        let witness = Self { file, path, turn };
        witness.write(head)?;
        witness.sync()?;
        std::fs::rename(&beside, &witness.path).map_err(fault)?;
        let synced = File::open(folder).and_then(|folder| folder.sync_all());
        synced.map_err(fault)?;
        Ok(witness)
    }

    /// Names a newer head.
    ///
    /// # Errors
    ///
    /// It cannot be written.
    pub fn write(&self, head: Head) -> Result<(), WitnessFault> {
        let line = line_of(head);
        // In turn, whatever the numbers are: a batch of two entries must not write over the only other head.
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let offset = (turn % 2) * LINE_BYTES as u64;
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
    fn a_torn_line_leaves_the_one_before_where_batches_are_of_two_entries() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.witness");
        let witness = Witness::create(&path, head(0)).unwrap();
        [2, 4, 6]
            .into_iter()
            .for_each(|seq| witness.write(head(seq)).unwrap());
        let (witness, newest) = Witness::open(&path).unwrap().unwrap();
        assert_eq!(newest, head(6));
        witness.write(head(8)).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let torn = text.replace(
            &line_of(head(8))[25..],
            &line_of(head(8))[25..].replace('8', "9"),
        );
        std::fs::write(&path, torn).unwrap();
        assert_eq!(Witness::open(&path).unwrap().unwrap().1, head(6));
    }

    #[test]
    fn a_witness_that_is_made_anew_is_never_half_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.witness");
        Witness::create(&path, head(3)).unwrap();
        // What a kill in the middle of another try leaves.
        std::fs::write(folder.path().join("ledger.witness.new"), "").unwrap();
        assert_eq!(Witness::open(&path).unwrap().unwrap().1, head(3));
        drop(Witness::create(&path, head(4)).unwrap());
        assert_eq!(Witness::open(&path).unwrap().unwrap().1, head(4));
        assert_eq!(folder.path().read_dir().unwrap().count(), 1);
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
