//! The coordinator's policy held against what two of its officers accepted: `[law]` with purposes and packs, and everything else of
//! coordinator.toml but where it listens and where its files are.

use std::path::Path;

use anyhow::Context as _;
use aquifer_shared::base::ids::{Hash32, IdentityKey};
use aquifer_shared::base::time::Timestamp;
use aquifer_shared::domain::law::Rulebook;
use aquifer_shared::shell::history::History;
use aquifer_shared::shell::policy_kept::Known;
use aquifer_shared::shell::policy_record::{Policy, Standing, Term};
use aquifer_shared::shell::policy_text::Written;
use aquifer_shared::shell::report::{Outcome, chain, note};
use tokio::sync::mpsc;

use super::clock::now;
use super::front::Command;
use super::home::{CONFIG, Home};
use super::hub::Hub;
use super::lawful::LawConfig;
use crate::core::gates::Gates;

impl Home {
    /// Gates of the policy that is in force, with its exceptions, and how long; the history has both before any gate does.
    ///
    /// # Errors
    ///
    /// `PolicyFault`; a file or a key that is wrong; a history that cannot be written.
    pub async fn in_force(
        &self,
        gates: Gates,
        history: &History,
        reason: Option<&str>,
    ) -> anyhow::Result<(Gates, Term)> {
        let standing = |known: Known| self.standing(&gates, known);
        let (officers, term) = hold(standing, history, (reason, now())).await?;
        Ok((self.excepting(gates, &officers, history).await?, term))
    }

    /// Prints the digest of the policy of the files, and what is accepted.
    ///
    /// # Errors
    ///
    /// A file that cannot be read.
    pub async fn policy_status(&self, json: bool) -> anyhow::Result<Outcome> {
        let gates = self.gates()?;
        let standing = self.standing(&gates, self.known().await?)?;
        let held = self.exceptions(&gates, standing.signing())?;
        standing.print(&self.release.public(), (&held, now()), json)
    }

    /// What the history knows; nothing before the first start.
    async fn known(&self) -> anyhow::Result<Known> {
        if !self.history_place().folder.exists() {
            return Ok(Known::default());
        }
        let history = match self.history().await {
            Ok(history) => history,
            Err(fault) if fault.is_refusal() => return Err(fault.into()),
            Err(fault) => {
                let why = chain(&fault.into());
                note(&format!(
                    "the history was not asked, so that this is by policy.accepted alone; stop the coordinator to ask it ({why})"
                ));
                return Ok(Known::default());
            }
        };
        let known = Known::of(&history).await;
        history.close().await;
        Ok(known?)
    }

    fn standing(&self, gates: &Gates, known: Known) -> anyhow::Result<Standing> {
        let law = self.config.law.as_ref();
        let officers = law.map_or(&[][..], LawConfig::officers);
        standing((&self.dir, &self.written), gates, officers, known)
    }
}

impl Hub {
    /// Works until it is told to stop, or the policy is not in force any more; the history keeps how long a glass was broken.
    ///
    /// # Errors
    ///
    /// As [`Hub::run`].
    pub(super) async fn run_within(
        mut self,
        (term, history): (Term, History),
        commands: mpsc::Receiver<Command>,
    ) -> anyhow::Result<()> {
        self.term = Some((term.clone(), history.clone()));
        let ended = self.run(commands).await;
        term.end(&history).await;
        ended
    }

    /// Closes connections that are not welcome any more; all end with a policy that is not in force any more.
    ///
    /// # Errors
    ///
    /// A broken glass has run out, or the history cannot be written.
    pub(super) async fn look_around(&mut self) -> anyhow::Result<()> {
        let now = self.front.law.present(now());
        if let Some((term, history)) = &mut self.term {
            term.check(now)?;
            term.charge(history).await?;
        }
        self.front.close_unwelcome().await;
        self.look_at_models().await;
        Ok(())
    }
}

/// Of what was read: the file is not looked at again.
fn standing(
    (directory, written): (&Path, &Written),
    gates: &Gates,
    officers: &[String],
    known: Known,
) -> anyhow::Result<Standing> {
    let book = gates.book().map_or(Hash32::default(), Rulebook::digest);
    let policy = Policy {
        program: "aquifer-coordinator",
        directory,
        digest: written.digest(&PLACES, book).context(CONFIG)?,
        officers,
    };
    Standing::of(&policy, known).context(CONFIG)
}

/// Accepts the policy, tells the history, and lets it know what was accepted last.
async fn hold(
    standing: impl FnOnce(Known) -> anyhow::Result<Standing>,
    history: &History,
    (reason, now): (Option<&str>, Timestamp),
) -> anyhow::Result<(Vec<IdentityKey>, Term)> {
    let standing = standing(Known::of(history).await?)?;
    let accepted = standing.accept(false, reason, now)?;
    standing.settle(&accepted, [], history).await?;
    let mut term = standing.term(&accepted, now);
    term.charge(history).await?;
    Ok((accepted.officers, term))
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
