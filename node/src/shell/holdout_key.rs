//! The key of the hold-out: who is held out, nobody else can tell.
//!
//! Made once, before anything rests on it; never made anew beside a ledger that does.

use std::path::Path;

use anyhow::ensure;
use aquifer_shared::base::secret::Secret;
use aquifer_shared::shell::keys::random_bytes32;

use super::at_rest;

/// Makes the key where there is none, or where a crash left an empty file.
///
/// # Errors
///
/// It cannot be written.
pub fn make(directory: &Path) -> anyhow::Result<()> {
    let path = directory.join(HOLDOUT_KEY);
    match path.metadata() {
        Ok(facts) if facts.len() > 0 => return Ok(()),
        Ok(_) => std::fs::remove_file(&path)?,
        Err(_) => {}
    }
    let fresh = Secret::new(random_bytes32()?);
    let key = at_rest::vault(directory)?.file(HOLDOUT_KEY);
    Ok(key.write(&path, fresh.expose())?)
}

/// Reads the key; makes it where the ledger has no entry yet, as after a `join` that was interrupted.
///
/// # Errors
///
/// It is missing while the ledger has this many entries, or cannot be read.
pub fn load(directory: &Path, entries: u64) -> anyhow::Result<Secret<[u8; 32]>> {
    let path = directory.join(HOLDOUT_KEY);
    if path.metadata().map_or(true, |facts| facts.len() == 0) {
        ensure!(
            entries == 0,
            "{} is missing, and the ledger has {entries} entries that rest on it: put it back from a backup",
            path.display()
        );
        make(directory)?;
    }
    let bytes = at_rest::vault(directory)?.file(HOLDOUT_KEY).read(&path)?;
    let key: [u8; 32] = bytes.as_slice().try_into().map_err(|_| {
        let (path, length) = (path.display(), bytes.len());
        anyhow::anyhow!("{path} has {length} bytes, expected 32")
    })?;
    Ok(Secret::new(key))
}

/// Name of the hold-out key in a node's directory.
const HOLDOUT_KEY: &str = "node.key";

#[cfg(test)]
mod tests {
    use aquifer_shared::shell::keys::write_private;

    use super::*;

    /// A directory whose key file has these bytes, if any.
    fn directory(bytes: Option<&[u8]>) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        if let Some(bytes) = bytes {
            write_private(&directory.path().join(HOLDOUT_KEY), bytes).unwrap();
        }
        directory
    }

    #[track_caller]
    fn check(bytes: Option<&[u8]>, entries: u64, expected: Option<&str>) {
        let directory = directory(bytes);
        let found = load(directory.path(), entries).map(|key| *key.expose());
        match expected {
            None => {
                let again = load(directory.path(), 9).unwrap();
                assert_eq!(found.unwrap(), *again.expose(), "made once");
            }
            Some(text) => {
                let found = found.unwrap_err().to_string();
                assert!(found.contains(text), "{found}");
                let there = directory.path().join(HOLDOUT_KEY).exists();
                assert_eq!(there, bytes.is_some(), "nothing was made");
            }
        }
    }

    #[test]
    fn a_join_that_was_interrupted_is_made_good() {
        check(None, 0, None);
        check(Some(&[]), 0, None);
        check(Some(&[7; 32]), 0, None);
        check(Some(&[7; 32]), 5, None);
    }

    #[test]
    fn a_key_that_was_lost_is_not_replaced() {
        check(None, 1, Some("the ledger has 1 entries that rest on it"));
        check(Some(&[]), 5, Some("put it back from a backup"));
        check(Some(&[7; 31]), 0, Some("31 bytes, expected 32"));
    }
}
