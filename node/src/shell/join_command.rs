//! `aquifer-node join`: redeems a ticket and leaves a directory that wants nothing but the unit's own node.toml.

use std::path::Path;

use anyhow::Context;
use aquifer_shared::base::ids::Role;
use aquifer_shared::protocol::ticket::Ticket;
use aquifer_shared::shell::directory::{IDENTITY_KEY, TLS_KEY};
use aquifer_shared::shell::join::{JoinFault, redeem, ticket_text};
use aquifer_shared::shell::keys::fingerprint;
use aquifer_shared::shell::report::{Outcome, print, print_json, refuse};
use serde::Serialize;

use super::at_rest;
use super::clock::now;
use super::config::{CONFIG_FILE, SAMPLE};
use super::holdout_key;

#[derive(Serialize)]
struct Report {
    name: String,
    address: String,
    identity: String,
    fingerprint: String,
    certificate_until: u64,
    directory: String,
}

/// Redeems a ticket for a node.
///
/// # Errors
///
/// The ticket is not taken, the coordinator cannot be reached, or the directory cannot be written.
pub fn run(ticket: &str, directory: &Path, json: bool) -> anyhow::Result<Outcome> {
    let ticket = &*ticket_text(ticket, std::io::stdin())?;
    let role = Ticket::parse(ticket).map_err(JoinFault::from)?.role;
    if role != Role::Node {
        let why = format!("the ticket is for a person ({role}): use `aquifer join`");
        return refuse(json, "role", &why);
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("the runtime did not start")?;
    let made = runtime.block_on(redeem(ticket, directory, now()))?;
    holdout_key::make(directory)?;
    // Their keys were plain for a moment: from here on they are sealed.
    for file in [IDENTITY_KEY, TLS_KEY] {
        at_rest::vault(directory)?
            .file(file)
            .seal(&directory.join(file))?;
    }
    let made = at_rest::identity(made.path())?;
    let config = directory.join(CONFIG_FILE);
    if !config.exists() {
        let written = std::fs::write(&config, SAMPLE);
        written.with_context(|| format!("could not write {}", config.display()))?;
    }
    let identity = made.identity().public();
    let coordinator = made.coordinator();
    let report = Report {
        name: coordinator.name.to_string(),
        address: coordinator.address.clone(),
        identity: identity.to_string(),
        fingerprint: fingerprint(&identity),
        certificate_until: made.certificate().not_after.0,
        directory: directory.display().to_string(),
    };
    if json {
        print_json(&report)?;
    } else {
        print(&text(&report))?;
    }
    Ok(Outcome::Done)
}

fn text(report: &Report) -> String {
    let Report {
        name,
        address,
        fingerprint,
        directory,
        ..
    } = report;
    format!(
        "joined {address} as node {name}\n\
         fingerprint {fingerprint} (compare it by voice with the operator's)\n\
         next: describe the unit's data in {directory}/{CONFIG_FILE}, then run `aquifer-node check` and `aquifer-node run`\n"
    )
}
