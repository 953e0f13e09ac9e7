//! What this program is, for audit packs: its parts, the digest of the file that it runs from, and its signed statement about both.
//!
//! All of it is the program's own word. Reads its own file once; writes nothing.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::LazyLock;

use anyhow::Context as _;
use aquifer_shared::base::hash::sha256;
use aquifer_shared::base::ids::Hash32;
use aquifer_shared::domain::pack::{BadLock, Statement, is_revision, sbom};
use aquifer_shared::shell::history::History;
use aws_lc_rs::digest::{Context, SHA256};
use serde_json::{Value, json};
use tokio::sync::OnceCell;
use tokio::task::spawn_blocking;

/// Parts and statement, about the log of this size.
///
/// # Errors
///
/// The log is shorter, or the program cannot read itself.
pub(super) async fn made(history: &History, size: u64) -> anyhow::Result<Value> {
    let root = history.root_at(size).await?;
    let program = PROGRAM.get_or_try_init(own_digest).await?;
    let parts = PARTS.as_deref().map_err(BadLock::clone);
    let parts = parts.context("the lock file of the build")?;
    let statement = Statement {
        program: *program,
        version: VERSION.to_owned(),
        platform: format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS),
        revision: REVISION.map(str::to_owned),
        sbom: sha256(parts.as_bytes()),
        origin: history.origin().to_owned(),
        size,
        root,
    };
    Ok(json!({ "sbom": parts, "provenance": history.attested(&statement) }))
}

async fn own_digest() -> anyhow::Result<Hash32> {
    spawn_blocking(|| file_digest(Path::new(OWN_FILE)))
        .await
        .context("reading the program's own file was given up")?
}

fn file_digest(path: &Path) -> anyhow::Result<Hash32> {
    let could_not = || format!("could not read {}", path.display());
    let mut file = File::open(path).with_context(could_not)?;
    let (mut digest, mut bytes) = (Context::new(&SHA256), vec![0; CHUNK_BYTES]);
    loop {
        let count = file.read(&mut bytes).with_context(could_not)?;
        if count == 0 {
            break;
        }
        digest.update(&bytes[..count]);
    }
    let digest = digest.finish();
    let bytes = digest.as_ref().try_into();
    Ok(Hash32(bytes.context("a digest has 32 bytes")?))
}

/// Made once.
static PARTS: LazyLock<Result<String, BadLock>> = LazyLock::new(|| sbom(PRODUCT, VERSION, LOCK));
/// Read once: the file that a process runs from stays the same, even where its name is another's by now.
static PROGRAM: OnceCell<Hash32> = OnceCell::const_new();
/// The file that this process runs from.
const OWN_FILE: &str = "/proc/self/exe";
const CHUNK_BYTES: usize = 1 << 20;
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
        assert_eq!(own_digest().await.unwrap(), expected);
        assert!(file_digest(Path::new("/no/such/file")).is_err());
    }
}
