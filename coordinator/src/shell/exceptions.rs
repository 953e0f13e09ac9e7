//! Exceptions for screened uses at the coordinator: which count, what the history hears of them, and a list for people.

use anyhow::Context as _;
use aquifer_shared::base::ids::{Hash32, IdentityKey};
use aquifer_shared::domain::law::Rulebook;
use aquifer_shared::shell::exceptions::{self, FOLDER, Held, granted, said};
use aquifer_shared::shell::history::History;
use aquifer_shared::shell::laws_view::broken;
use aquifer_shared::shell::report::{Outcome, note, print_json};
use serde_json::json;

use super::clock::now;
use super::home::Home;
use crate::core::gates::Gates;

impl Home {
    /// The exceptions of this directory, each with whether two of the officers of `[law]` signed it.
    ///
    /// # Errors
    ///
    /// A file or a key that is wrong.
    pub fn exceptions(&self, gates: &Gates) -> anyhow::Result<Vec<Held>> {
        let law = self.config.law.as_ref();
        let officers = law.map_or(&[][..], |law| &law.officers).iter();
        let officers = officers.map(|key| key.parse::<IdentityKey>());
        let officers: Vec<IdentityKey> = officers
            .collect::<Result<_, _>>()
            .context("coordinator.toml: [law] officers")?;
        let own = (&self.release.public(), &officers[..]);
        let purposes = gates.book().map_or(&[][..], Rulebook::purposes);
        exceptions::all(&self.dir.join(FOLDER), own, purposes)
    }

    /// Gates with the exceptions that two officers signed; the history has them before any gate does.
    ///
    /// # Errors
    ///
    /// A file or a key that is wrong, or a history that cannot be written.
    pub async fn excepting(&self, gates: Gates, history: &History) -> anyhow::Result<Gates> {
        let granted = granted(&self.exceptions(&gates)?);
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
        let held = home.exceptions(&home.gates()?)?;
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
