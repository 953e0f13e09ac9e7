//! Which program this process is: the SHA-256 of the file that it runs from.
//!
//! The program's own word: it reads its own file. Writes nothing.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{Context, SHA256};
use tokio::sync::OnceCell;
use tokio::task::spawn_blocking;

use crate::base::ids::Hash32;

/// The program's own file cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("could not read the program's own file {}", path.display())]
pub struct OwnFileFault {
    path: PathBuf,
    source: io::Error,
}

/// SHA-256 of the file that this process runs from, read once: that file stays the same, even where its name is another's by now.
///
/// # Errors
///
/// The file cannot be read.
pub async fn own_program() -> Result<Hash32, OwnFileFault> {
    OWN.get_or_try_init(read).await.copied()
}

async fn read() -> Result<Hash32, OwnFileFault> {
    let path = Path::new(OWN_FILE);
    let digest = spawn_blocking(move || file_digest(path)).await;
    let given_up = |_| Err(io::Error::other("reading it was given up"));
    digest
        .unwrap_or_else(given_up)
        .map_err(|source| OwnFileFault {
            path: path.to_owned(),
            source,
        })
}

fn file_digest(path: &Path) -> io::Result<Hash32> {
    let mut file = File::open(path)?;
    let (mut digest, mut bytes) = (Context::new(&SHA256), vec![0; CHUNK_BYTES]);
    loop {
        match file.read(&mut bytes)? {
            0 => break,
            count => digest.update(&bytes[..count]),
        }
    }
    let mut out = [0; 32];
    out.copy_from_slice(digest.finish().as_ref());
    Ok(Hash32(out))
}

static OWN: OnceCell<Hash32> = OnceCell::const_new();
/// The file that this process runs from.
const OWN_FILE: &str = "/proc/self/exe";
const CHUNK_BYTES: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::hash::sha256;

    #[tokio::test]
    async fn the_digest_is_that_of_the_file_that_runs() {
        let path = std::env::current_exe().unwrap();
        let expected = sha256(&std::fs::read(path).unwrap());
        assert_eq!(own_program().await.unwrap(), expected);
        assert!(file_digest(Path::new("/no/such/file")).is_err());
    }
}
