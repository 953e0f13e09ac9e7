//! The key under which a unit knows its customers, in a file of its own.
//!
//! Made once. Consent records rest on it: without it nobody can tell whom they are about.

use std::path::Path;

use anyhow::{Context as _, ensure};
use aquifer_shared::base::secret::Secret;
use aquifer_shared::shell::keys::random_bytes32;

use super::at_rest;
use crate::core::consent::SubjectKey;

/// Reads the key; makes it where there is none and no consent record rests on it.
///
/// # Errors
///
/// It is missing beside records, has another length, or cannot be read or written.
///
/// # Privacy
///
/// The file is readable for its owner alone, and never leaves the node.
pub fn load(directory: &Path) -> anyhow::Result<SubjectKey> {
    let path = directory.join(SUBJECT_KEY);
    let sealed = at_rest::vault(directory)?.file(SUBJECT_KEY);
    let made = path.metadata().is_ok_and(|facts| facts.len() > 0);
    if !made {
        ensure!(
            !directory.join(super::consent::LEDGER_FILE).exists(),
            "{} is missing, and consent records rest on it: put it back from a backup",
            path.display()
        );
        let _ = std::fs::remove_file(&path);
        let fresh = Secret::new(random_bytes32()?);
        sealed.write(&path, fresh.expose())?;
    }
    let bytes = sealed.read(&path)?;
    let length = bytes.len();
    let key: [u8; 32] = bytes
        .as_slice()
        .try_into()
        .ok()
        .with_context(|| format!("{} has {length} bytes, expected 32", path.display()))?;
    Ok(SubjectKey::new(&key))
}

const SUBJECT_KEY: &str = "subject.key";
