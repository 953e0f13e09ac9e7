//! Files that people write, read whole and within limits.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, ensure};

use crate::base::limits::DOCUMENT_BYTES_MAX;

/// The text of a file.
///
/// # Errors
///
/// It cannot be read, is too long, or is no text.
pub fn read_document(path: &Path) -> anyhow::Result<String> {
    let bytes = fs::read(path).with_context(|| format!("could not read {}", path.display()))?;
    ensure!(
        bytes.len() <= DOCUMENT_BYTES_MAX,
        "{} has {} bytes, at most {DOCUMENT_BYTES_MAX} are allowed",
        path.display(),
        bytes.len()
    );
    let text = String::from_utf8(bytes);
    text.map_err(|_| anyhow::anyhow!("{} is not text in UTF-8", path.display()))
}
