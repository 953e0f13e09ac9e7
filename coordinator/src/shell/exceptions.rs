//! Exceptions for screened uses at the coordinator: which count, what the history hears of them, and a list for people.

use anyhow::Context as _;
use aquifer_shared::base::ids::{Hash32, IdentityKey};
use aquifer_shared::domain::law::Rulebook;
use aquifer_shared::shell::exceptions::{self, FOLDER, Held, granted, said};
use aquifer_shared::shell::history::History;
use aquifer_shared::shell::laws_view::broken;
use aquifer_shared::shell::policy_record;
use aquifer_shared::shell::report::{Outcome, note, print_json};
use serde_json::json;

use super::clock::now;
use super::home::Home;
use super::lawful::LawConfig;
use crate::core::gates::Gates;

impl Home {
    /// Officers of the policy that was accepted; before the first start, those of `[law]`.
    ///
    /// # Errors
    ///
    /// The record or a key is wrong.
    pub(super) fn officers(&self) -> anyhow::Result<Vec<IdentityKey>> {
        if let Some(accepted) = policy_record::accepted(&self.dir)? {
            return Ok(accepted.officers);
        }
        let law = self.config.law.as_ref();
        let officers = law.map_or(&[][..], LawConfig::officers);
        policy_record::officers(officers).context("coordinator.toml: [law]")
    }

    /// The exceptions of this directory, each with whether two of these officers signed it.
    ///
    /// # Errors
    ///
    /// A file that is wrong.
    pub(super) fn exceptions(
        &self,
        gates: &Gates,
        officers: &[IdentityKey],
    ) -> anyhow::Result<Vec<Held>> {
        let own = (&self.release.public(), officers);
        let purposes = gates.book().map_or(&[][..], Rulebook::purposes);
        exceptions::all(&self.dir.join(FOLDER), own, purposes)
    }

    /// Gates with the exceptions that two of these officers signed; the history has them before any gate does.
    ///
    /// # Errors
    ///
    /// A file that is wrong, or a history that cannot be written.
    pub(super) async fn excepting(
        &self,
        gates: Gates,
        officers: &[IdentityKey],
        history: &History,
    ) -> anyhow::Result<Gates> {
        let granted = granted(&self.exceptions(&gates, officers)?);
        let policy = gates.book().map_or(Hash32::default(), Rulebook::digest);
        let events: Vec<_> = granted.iter().map(|one| said(one, policy)).collect();
        if events.is_empty() {
            return Ok(gates);
        }
        history.append_once(events).await?;
        Ok(gates.excepting(granted))
    }
}

/// Prints what is there, and the key that exceptions of this site name.
///
/// # Errors
///
/// A file that cannot be read.
pub fn list(home: &Home, as_json: bool) -> anyhow::Result<Outcome> {
    let site = home.release.public();
    let told = || {
        let held = home.exceptions(&home.gates()?, &home.officers()?)?;
        if as_json {
            let exceptions = exceptions::as_json(&held, now());
            print_json(&json!({ "site": site.to_string(), "exceptions": exceptions }))?;
            return Ok(Outcome::Done);
        }
        exceptions::print(&held, now())?;
        note(&format!("site {site}"));
        Ok(Outcome::Done)
    };
    broken(as_json, told())
}
