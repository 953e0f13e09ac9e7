//! `aquifer-node consent notices`: the list of texts under which consent counts.

use std::path::Path;

use aquifer_shared::base::ids::{Hash32, Name};
use aquifer_shared::shell::documents::read_document;
use aquifer_shared::shell::report::{self, Outcome};
use serde::Deserialize;

use super::command::open;
use crate::core::consent::Notice;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NoticeFile {
    notice: Vec<NoticeEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NoticeEntry {
    id: Name,
    version: u32,
    lang: String,
    sha256: String,
    #[serde(default = "yes")]
    material: bool,
    signer: Option<String>,
}

fn yes() -> bool {
    true
}

/// Adds the notices of a file to the list.
///
/// # Errors
///
/// The file or the ledger cannot be used, or the list does not hold together: nothing was written.
pub(super) fn add_notices(directory: &Path, file: &Path, json: bool) -> anyhow::Result<Outcome> {
    let text = read_document(file)?;
    let shown = file.display();
    let listed: NoticeFile =
        toml::from_str(&text).map_err(|error| anyhow::anyhow!("{shown}: {error}"))?;
    let mut notices = Vec::new();
    for entry in listed.notice {
        let sha256 = entry.sha256.parse::<Hash32>().map_err(|error| {
            anyhow::anyhow!(
                "{shown}: notice {} version {}: {error}",
                entry.id,
                entry.version
            )
        })?;
        notices.push(Notice {
            id: entry.id,
            version: entry.version,
            lang: entry.lang,
            sha256,
            material: entry.material,
            signer: entry.signer,
        });
    }
    let (_, mut ledger) = open(directory)?;
    let added = ledger.add_notices(&notices)?;
    if json {
        report::print_json(&serde_json::json!({"added": added}))?;
    } else {
        report::print(&format!(
            "{added} notices added; a running node takes them up before its next sum\n"
        ))?;
    }
    Ok(Outcome::Done)
}
