//! What this program is, for audit packs: its parts, the digest of the file that it runs from, and its signed statement about both.
//!
//! All of it is the program's own word. Writes nothing.

use std::sync::LazyLock;

use anyhow::Context as _;
use aquifer_shared::base::hash::sha256;
use aquifer_shared::domain::pack::{BadLock, Statement, is_revision, sbom};
use aquifer_shared::shell::history::History;
use aquifer_shared::shell::own_program::own_program;
use serde_json::{Value, json};

/// Parts and statement, about the log of this size.
///
/// # Errors
///
/// The log is shorter, or the program cannot read itself.
pub(super) async fn made(history: &History, size: u64) -> anyhow::Result<Value> {
    let root = history.root_at(size).await?;
    let program = own_program().await?;
    let parts = PARTS.as_deref().map_err(BadLock::clone);
    let parts = parts.context("the lock file of the build")?;
    let statement = Statement {
        program,
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
}
