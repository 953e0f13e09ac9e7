//! `aquifer join` and `aquifer whoami`: the person's own identity.

use aquifer_shared::base::ids::Role;
use aquifer_shared::protocol::ticket::Ticket;
use aquifer_shared::shell::directory::IdentityDirectory;
use aquifer_shared::shell::join::{JoinFault, redeem, ticket_text};
use aquifer_shared::shell::keys::fingerprint;
use aquifer_shared::shell::report::{self, Outcome};
use serde_json::json;

use crate::client::{Session, now};
use crate::show::moment;

/// Redeems a ticket for a person.
///
/// # Errors
///
/// The ticket is not taken, the coordinator cannot be reached, or the directory cannot be written.
pub(crate) async fn join(session: &Session, ticket: &str) -> anyhow::Result<Outcome> {
    let ticket = &*ticket_text(ticket, std::io::stdin())?;
    let role = Ticket::parse(ticket).map_err(JoinFault::from)?.role;
    if role == Role::Node {
        let why = "the ticket is for a unit's node: use `aquifer-node join`";
        return report::refuse(session.json, "role", why);
    }
    let made = redeem(ticket, &session.dir()?, now()).await?;
    show(session, &made, "joined")
}

/// Shows who this directory's holder is; or the identity key alone, for a unit's list of approvers.
///
/// # Errors
///
/// The directory holds no identity.
pub(crate) fn whoami(session: &Session, key_alone: bool) -> anyhow::Result<Outcome> {
    let own = session.identity()?;
    if key_alone {
        report::print(&format!("{}\n", own.identity().public()))?;
        return Ok(Outcome::Done);
    }
    show(session, &own, "known")
}

fn show(session: &Session, made: &IdentityDirectory, how: &str) -> anyhow::Result<Outcome> {
    let (coordinator, identity) = (made.coordinator(), made.identity().public());
    let until = made.certificate().not_after;
    if session.json {
        report::print_json(&json!({
            "name": coordinator.name,
            "role": coordinator.role,
            "address": coordinator.address,
            "identity": identity.to_string(),
            "fingerprint": fingerprint(&identity),
            "certificate_until": until,
            "release_key": coordinator.release_key.to_string(),
            "directory": made.path().display().to_string(),
        }))?;
        return Ok(Outcome::Done);
    }
    report::print(&format!(
        "{how} at {} as {} {}\nidentity      {identity}\nfingerprint   {} (compare it by voice with the coordinator's operator)\n\
         certificate   until {}, renewed by use\ndirectory     {}\n",
        coordinator.address,
        coordinator.role,
        coordinator.name,
        fingerprint(&identity),
        moment(until),
        made.path().display(),
    ))?;
    Ok(Outcome::Done)
}
