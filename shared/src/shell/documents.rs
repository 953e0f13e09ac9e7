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
    text.map_err(|error| {
        let place = error.utf8_error().valid_up_to() + 1;
        anyhow::anyhow!(
            "{} is not text in UTF-8: byte {place} is part of no letter, expected a file of text",
            path.display()
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(bytes: &[u8], expected: Result<&str, &str>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, bytes).unwrap();
        let read = read_document(&path).map_err(|error| error.to_string());
        match (read, expected) {
            (Ok(found), Ok(expected)) => assert_eq!(found, expected),
            (Err(found), Err(expected)) => assert!(found.contains(expected), "{found}"),
            (found, _) => panic!("{found:?}"),
        }
    }

    #[test]
    fn files_of_text_are_read_and_others_named_with_the_place() {
        check("a = \"ä\"".as_bytes(), Ok("a = \"ä\""));
        check(
            b"a = \xff",
            Err("byte 5 is part of no letter, expected a file of text"),
        );
        check(&[b'x'; DOCUMENT_BYTES_MAX + 1], Err("are allowed"));
    }
}
