//! The files of a pack: paths and bytes, in order of their paths.

use std::collections::BTreeMap;

use crate::base::hash::sha256;
use crate::base::limits::{PACK_BYTES_MAX, PACK_FILES_MAX};

/// Paths with `/`, relative to the pack's folder, and what they hold.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Files {
    files: BTreeMap<String, Vec<u8>>,
    bytes: u64,
}

/// More than any pack holds.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "a pack has at most {PACK_FILES_MAX} files of {PACK_BYTES_MAX} bytes together, {path} is beyond that"
)]
pub struct TooLarge {
    /// The file that is too much.
    pub path: String,
}

impl Files {
    /// Puts a file in, in place of one of the same path.
    ///
    /// # Errors
    ///
    /// The pack would be larger than any.
    pub fn put(&mut self, path: &str, bytes: Vec<u8>) -> Result<(), TooLarge> {
        let before = self.files.get(path).map_or(0, |old| old.len() as u64);
        let total = self.bytes - before + bytes.len() as u64;
        let is_new = !self.files.contains_key(path);
        if total > PACK_BYTES_MAX || is_new && self.files.len() >= PACK_FILES_MAX {
            return Err(TooLarge {
                path: path.to_owned(),
            });
        }
        self.bytes = total;
        self.files.insert(path.to_owned(), bytes);
        Ok(())
    }

    /// A file's bytes.
    #[must_use]
    pub fn get(&self, path: &str) -> Option<&[u8]> {
        self.files.get(path).map(Vec::as_slice)
    }

    /// All files, by path.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.files
            .iter()
            .map(|(path, bytes)| (path.as_str(), bytes.as_slice()))
    }

    /// SHA-256 of every file but the manifest and what is added later, as `sha256sum` writes it.
    #[must_use]
    pub fn manifest(&self) -> String {
        let covered = self
            .iter()
            .filter(|(path, _)| super::layout::is_covered(path));
        covered
            .map(|(path, bytes)| format!("{}  {path}\n", sha256(bytes)))
            .collect()
    }
}
