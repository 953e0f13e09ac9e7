//! What the asker adds to an audit pack: rules in force, and results of tests. Reads files; asks nobody.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, bail};
use aquifer_shared::base::limits::{DOCUMENT_BYTES_MAX, HISTORY_KEY_BYTES_MAX};
use aquifer_shared::domain::pack::Book;
use aquifer_shared::shell::documents::read_document;
use aquifer_shared::shell::law_packs;

use crate::audit::read_up_to;

/// What the asker adds to what the history has.
pub(crate) struct Given<'a> {
    /// File of purposes.
    pub(crate) purposes: Option<&'a Path>,
    /// Folder of packs.
    pub(crate) packs: Option<&'a Path>,
    /// File of test results.
    pub(crate) tests: Option<&'a Path>,
}

/// The rules that are named, as one book; none where no purposes are.
///
/// # Errors
///
/// Something cannot be read, or is no rule pack.
pub(crate) fn books(given: &Given<'_>) -> anyhow::Result<Vec<Book>> {
    let Some(purposes) = given.purposes else {
        return Ok(Vec::new());
    };
    let packs = law_packs::all(given.packs)?;
    Ok(vec![Book {
        purposes: read_document(purposes)?,
        packs: packs.into_iter().map(|held| held.text).collect(),
    }])
}

/// Results of tests by id; none where no file is named.
///
/// # Errors
///
/// The file cannot be read, or is something else.
pub(crate) fn tests(file: Option<&Path>) -> anyhow::Result<BTreeMap<String, bool>> {
    let Some(file) = file else {
        return Ok(BTreeMap::new());
    };
    let could_not = || {
        format!(
            "{} is no JSON object of test ids (at most 64 letters, digits, '.', '_', '-'), each passed or failed",
            file.display()
        )
    };
    let bytes = read_up_to(file, DOCUMENT_BYTES_MAX)?;
    let results: BTreeMap<String, String> =
        serde_json::from_slice(&bytes).with_context(could_not)?;
    let known = |(id, result): (String, String)| match &*result {
        _ if !is_id(&id) => bail!(could_not()),
        "passed" => Ok((id, true)),
        "failed" => Ok((id, false)),
        _ => bail!(could_not()),
    };
    results.into_iter().map(known).collect()
}

fn is_id(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    (1..=HISTORY_KEY_BYTES_MAX).contains(&text.len()) && text.bytes().all(plain)
}
