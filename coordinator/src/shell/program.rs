//! What this program says of itself, for audit packs: its parts, and its statement, signed by the log's key.
//!
//! All of it is the program's own word. Writes nothing.

use aquifer_shared::domain::pack::COORDINATOR;
use aquifer_shared::shell::history::History;
use aquifer_shared::shell::own_program::stated;
use serde_json::{Value, json};

/// Parts and statement, about the log of this size.
///
/// # Errors
///
/// The log is shorter, or the program cannot read itself.
pub(super) async fn made(history: &History, size: u64) -> anyhow::Result<Value> {
    let root = history.root_at(size).await?;
    let (parts, statement) = stated(COORDINATOR, (history.origin(), size, root)).await?;
    Ok(json!({ "sbom": parts, "provenance": history.attested(&statement) }))
}
