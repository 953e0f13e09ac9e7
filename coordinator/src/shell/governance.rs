//! The coordinator's policy held against what two of its officers accepted: `[law]` with purposes and packs, and everything else of
//! coordinator.toml but where it listens and where its files are.

use std::path::Path;

use anyhow::Context as _;
use aquifer_shared::base::ids::{Hash32, IdentityKey};
use aquifer_shared::base::time::Timestamp;
use aquifer_shared::domain::law::Rulebook;
use aquifer_shared::shell::documents::read_document;
use aquifer_shared::shell::history::History;
use aquifer_shared::shell::policy_record::{self, KEPT, Policy, Standing};
use aquifer_shared::shell::report::Outcome;

use super::clock::now;
use super::home::{CONFIG, Home};
use super::lawful::LawConfig;
use crate::core::gates::Gates;

impl Home {
    /// Gates of the policy that is in force, with its exceptions; the history has both before any gate does.
    ///
    /// # Errors
    ///
    /// `PolicyFault`; a file or a key that is wrong; a history that cannot be written.
    pub async fn in_force(
        &self,
        gates: Gates,
        history: &History,
        reason: Option<&str>,
    ) -> anyhow::Result<Gates> {
        let standing = |kept: Option<&str>| self.standing(&gates, kept);
        let accepted = hold(standing, history, (reason, now())).await?;
        self.excepting(gates, &accepted, history).await
    }

    /// Prints the digest of the policy of the files, and what is accepted.
    ///
    /// # Errors
    ///
    /// A file that cannot be read.
    pub fn policy_status(&self, json: bool) -> anyhow::Result<Outcome> {
        let gates = self.gates()?;
        let standing = self.standing(&gates, None)?;
        let held = self.exceptions(&gates, &self.officers()?)?;
        standing.print(&self.release.public(), (&held, now()), json)
    }

    fn standing(&self, gates: &Gates, kept: Option<&str>) -> anyhow::Result<Standing> {
        let officers = self
            .config
            .law
            .as_ref()
            .map_or(&[][..], LawConfig::officers);
        standing(&self.dir, gates, officers, kept)
    }
}

fn standing(
    directory: &Path,
    gates: &Gates,
    officers: &[String],
    kept: Option<&str>,
) -> anyhow::Result<Standing> {
    let text = read_document(&directory.join(CONFIG))?;
    let book = gates.book().map_or(Hash32::default(), Rulebook::digest);
    let policy = Policy {
        program: "aquifer-coordinator",
        directory,
        digest: policy_record::digest(&text, &PLACES, book).context(CONFIG)?,
        officers,
    };
    Standing::of(&policy, kept).context(CONFIG)
}

/// Accepts the policy, tells the history, and lets it know what was accepted last.
async fn hold(
    standing: impl FnOnce(Option<&str>) -> anyhow::Result<Standing>,
    history: &History,
    (reason, now): (Option<&str>, Timestamp),
) -> anyhow::Result<Vec<IdentityKey>> {
    let kept = history.kept(KEPT).await?;
    let standing = standing(kept.as_deref())?;
    let accepted = standing.accept(kept.is_some(), reason, now)?;
    // Told before it is kept: a crash in between tells it twice, and never not at all.
    let said = standing.said(&accepted);
    if !said.is_empty() {
        history.append_once(said).await?;
    }
    standing.keep(&accepted)?;
    history.keep(KEPT, policy_record::mark(&accepted)).await?;
    Ok(accepted.officers)
}

/// What one person may change: where the coordinator listens and is found, and where its files are.
const PLACES: [&str; 10] = [
    "listen",
    "listen_join",
    "listen_sql",
    "listen_https",
    "address",
    "address_join",
    "server_name",
    "store",
    "at_rest",
    "history_checkpoint",
];

#[cfg(test)]
#[path = "governance_tests.rs"]
mod tests;
