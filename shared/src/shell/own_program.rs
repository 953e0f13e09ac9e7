//! Which program this process is: the SHA-256 of the file that it runs from, its parts, and its statement about both for audit packs.
//!
//! All of it is the program's own word: it reads its own file. Writes nothing.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use anyhow::Context as _;
use aws_lc_rs::digest::{Context, SHA256};
use tokio::sync::OnceCell;
use tokio::task::spawn_blocking;

use crate::base::hash::sha256;
use crate::base::ids::Hash32;
use crate::domain::pack::{BadLock, Statement, is_revision, sbom};

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

/// What this program says of itself in a pack of a log: the list of its parts, and its statement, which the log's key has yet to sign.
///
/// # Errors
///
/// The program cannot read itself.
pub async fn stated(
    name: &str,
    (origin, size, root): (&str, u64, Hash32),
) -> anyhow::Result<(&'static str, Statement)> {
    let program = own_program().await?;
    let parts = PARTS.as_deref().map_err(BadLock::clone);
    let parts = parts.context("the lock file of the build")?;
    let statement = Statement {
        name: name.to_owned(),
        program,
        version: VERSION.to_owned(),
        platform: format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS),
        revision: REVISION.map(str::to_owned),
        sbom: sha256(parts.as_bytes()),
        origin: origin.to_owned(),
        size,
        root,
    };
    Ok((parts, statement))
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
/// Made once.
static PARTS: LazyLock<Result<String, BadLock>> = LazyLock::new(|| sbom(PRODUCT, VERSION, LOCK));
/// What the lock file is of.
const PRODUCT: &str = "aquifer";
const VERSION: &str = env!("CARGO_PKG_VERSION");
const LOCK: &str = include_str!("../../../Cargo.lock");
/// Revision of the sources, where whoever built said it.
const REVISION: Option<&str> = option_env!("AQUIFER_SOURCE_REVISION");
const _: () = assert!(
    match REVISION {
        Some(text) => is_revision(text.as_bytes()),
        None => true,
    },
    "AQUIFER_SOURCE_REVISION is not a revision of 40 or 64 digits in small letters"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lock_file_of_this_build_gives_a_list_of_its_parts() {
        let parts = sbom(PRODUCT, VERSION, LOCK).unwrap();
        assert_eq!(parts, sbom(PRODUCT, VERSION, LOCK).unwrap());
        for part in ["pkg:cargo/tokio@", "aquifer-coordinator@", "aquifer-node@"] {
            assert!(parts.contains(part), "{part}");
        }
    }

    #[tokio::test]
    async fn the_digest_is_that_of_the_file_that_runs() {
        let path = std::env::current_exe().unwrap();
        let expected = sha256(&std::fs::read(path).unwrap());
        assert_eq!(own_program().await.unwrap(), expected);
        assert!(file_digest(Path::new("/no/such/file")).is_err());
    }
}
