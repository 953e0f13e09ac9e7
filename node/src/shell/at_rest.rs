//! The keys of a node's directory: opened once per process, whoever asks.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context as _;
use aquifer_shared::shell::at_rest::{AtRestConfig, Vault};
use aquifer_shared::shell::directory::{COORDINATOR, IdentityDirectory};
use serde::Deserialize;

use super::config::{CONFIG_FILE, wrong};

/// Refuses a directory that others may enter, or a key file where everybody may look. A directory that is not there is not judged.
///
/// # Errors
///
/// The path, what was found, what was expected, and what to type.
pub fn check(directory: &Path) -> anyhow::Result<()> {
    match directory.exists() {
        true => Ok(config(directory)?.check(directory)?),
        false => Ok(()),
    }
}

/// The keys of a directory's files; made where there are none.
///
/// # Errors
///
/// The key cannot be had, or does not open the keyring.
pub fn vault(directory: &Path) -> anyhow::Result<Arc<Vault>> {
    let whole = std::path::absolute(directory).unwrap_or_else(|_| directory.to_owned());
    let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(vault) = open.get(&whole) {
        return Ok(vault.clone());
    }
    let vault = Arc::new(Vault::open(directory, &config(directory)?)?);
    open.insert(whole, vault.clone());
    Ok(vault)
}

/// Identity and certificate of a node's directory; keys that are still plain are sealed.
///
/// # Errors
///
/// Nobody joined from here, a file cannot be used, or a key does not open.
pub fn identity(directory: &Path) -> anyhow::Result<IdentityDirectory> {
    if !directory.join(COORDINATOR).exists() {
        // Says what is missing; no keyring is made where no node is.
        return Ok(IdentityDirectory::load(directory)?);
    }
    Ok(IdentityDirectory::load_sealed(
        directory,
        &*vault(directory)?,
    )?)
}

/// `[at_rest]` of node.toml, whatever else is wrong with it; before there is one, the usual place.
///
/// # Errors
///
/// The file cannot be read, or the section is wrong.
pub fn config(directory: &Path) -> anyhow::Result<AtRestConfig> {
    #[derive(Deserialize)]
    struct Section {
        #[serde(default)]
        at_rest: AtRestConfig,
    }
    let path = directory.join(CONFIG_FILE);
    if !path.exists() {
        return Ok(AtRestConfig::default());
    }
    let text = std::fs::read_to_string(&path);
    let text = text.with_context(|| format!("could not read {}", path.display()))?;
    let section = toml::from_str::<Section>(&text);
    // Place and message: the text around it is the whole configuration's business.
    let section = section.map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        let readable = toml::from_str::<toml::Table>(&text).is_ok();
        let section = if readable { "[at_rest]: " } else { "" };
        wrong(&path, &text, at, &format!("{section}{}", error.message()))
    })?;
    Ok(section.at_rest)
}

/// A key command runs once, and a key is read once, per directory and process.
static OPEN: Mutex<BTreeMap<PathBuf, Arc<Vault>>> = Mutex::new(BTreeMap::new());

/// Role of the ledger and of its copies.
pub const LEDGER: &str = "ledger";
/// Role of the history.
pub const HISTORY: &str = "history";
/// Role of the consent ledger.
pub const CONSENT: &str = "consent";
/// Role of the usage ledger.
pub const USAGE: &str = "usage";
