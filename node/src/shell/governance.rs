//! The policy of the files held against what two officers accepted: read at start, kept in `policy.accepted`.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use aquifer_shared::base::hash::labelled;
use aquifer_shared::base::ids::{Hash32, IdentityKey};
use aquifer_shared::base::time::Timestamp;
use aquifer_shared::domain::history::{ActorKind, ActorRole, Event, Json, Kind};
use aquifer_shared::domain::law::change::{
    Accepted, Found, NotAccepted, Override, SIGNERS_MIN, accept, change_digest, change_of,
};
use aquifer_shared::shell::documents::read_document;
use aquifer_shared::shell::exceptions::{self, Held};
use aquifer_shared::shell::keys::write_private;
use aquifer_shared::shell::report::{self, Outcome};
use aquifer_shared::shell::signed::signers;

use super::at_rest;
use super::clock::now;
use super::config::{CONFIG_FILE, NodeConfig};
use crate::core::chronicle::Keyed;
use crate::core::gatekeeper::Gatekeeper;

/// The policy is not in force: nothing was attached, nothing was sent.
#[derive(Debug, thiserror::Error)]
#[error("{source}: `aquifer-node policy status` prints the digest that two officers sign with `aquifer policy sign DIGEST`; put their lines into {}, or start once with --break-glass \"REASON\", which is written down and holds a day", signed.display())]
pub struct PolicyFault {
    signed: PathBuf,
    source: NotAccepted,
}

/// What a unit's files say, and what was accepted.
struct Standing {
    digest: Hash32,
    /// What officers sign.
    change: Hash32,
    officers: Vec<IdentityKey>,
    signers: Vec<IdentityKey>,
    before: Option<Accepted>,
}

/// A policy that is in force.
#[derive(Clone, Debug)]
pub struct InForce {
    /// What is kept of it.
    pub accepted: Accepted,
    /// What the history is told: exceptions from rules, once each.
    pub said: Vec<Keyed>,
}

/// Accepts the policy of the files with its exceptions, or says what is missing. `entries` are those of the ledger.
///
/// # Errors
///
/// [`PolicyFault`], or a file that cannot be read or written.
pub fn hold(
    directory: &Path,
    (config, gatekeeper): (&NodeConfig, Option<&Gatekeeper>),
    (site, entries): (&IdentityKey, u64),
    (reason, kept, now): (Option<&str>, Option<&str>, Timestamp),
) -> anyhow::Result<InForce> {
    let before = accepted(directory)?.map(|before| newest(before, kept));
    let standing = Standing::of(directory, (config, gatekeeper), before)?;
    let found = Found {
        digest: standing.digest,
        officers: &standing.officers,
        signers: &standing.signers,
        reason,
        has_past: entries > 0,
        now,
    };
    let mut accepted = accept(standing.before.as_ref(), &found).map_err(|source| PolicyFault {
        signed: directory.join(SIGNED_FILE),
        source,
    })?;
    let overridden = accepted.digest != standing.digest;
    if standing.officers.len() < SIGNERS_MIN {
        tracing::warn!("node.toml names fewer than two officers: one person can change the policy");
    }
    // By the officers of the policy that was accepted: who breaks the glass brings none of their own.
    let held = held_exceptions(directory, (site, &accepted.officers), gatekeeper)?;
    accepted.exceptions = exceptions::granted(&held);
    let book = gatekeeper.map_or(Hash32::default(), |own| own.book().digest());
    let granted = accepted.exceptions.iter();
    let granted = granted.map(|granted| exceptions::said(granted, book));
    let said = accepted.overrides.iter().map(broken_said).chain(granted);
    let said = said.collect();
    if standing.before.as_ref() != Some(&accepted) {
        tracing::info!(
            policy = %standing.digest, signers = accepted.signers.len(), exceptions = accepted.exceptions.len(), "another policy is in force"
        );
        keep(&directory.join(ACCEPTED_FILE), &accepted)?;
    }
    // Said once it is written down.
    if overridden {
        tracing::warn!(policy = %standing.digest, "the policy is in force by an override, for a day");
    }
    Ok(InForce { accepted, said })
}

/// Whether the policy of the files is in force, for a command beside the node: what two officers have not signed counts for none.
///
/// # Errors
///
/// [`PolicyFault`], or a file that cannot be read.
pub fn stands(
    directory: &Path,
    (config, gatekeeper): (&NodeConfig, Option<&Gatekeeper>),
    now: Timestamp,
) -> anyhow::Result<()> {
    let standing = Standing::of(directory, (config, gatekeeper), accepted(directory)?)?;
    let found = Found {
        digest: standing.digest,
        officers: &standing.officers,
        signers: &standing.signers,
        reason: None,
        has_past: false,
        now,
    };
    let accepted = accept(standing.before.as_ref(), &found);
    accepted.map_err(|source| PolicyFault {
        signed: directory.join(SIGNED_FILE),
        source,
    })?;
    Ok(())
}

/// What the history keeps of an accepted policy, to know a record that was put back.
#[must_use]
pub fn mark(accepted: &Accepted) -> String {
    format!("{} {}", accepted.at.0, accepted.digest)
}

/// The record, unless the history knows a later one: then that is what a change starts from, which takes signatures.
fn newest(before: Accepted, kept: Option<&str>) -> Accepted {
    let kept = kept.and_then(|kept| kept.split_once(' '));
    let kept = kept.and_then(|(at, digest)| Some((at.parse().ok()?, digest.parse().ok()?)));
    let Some((at, digest)) = kept.filter(|(at, _)| *at > before.at.0) else {
        return before;
    };
    tracing::warn!("the record of the accepted policy is older than the history: it was put back");
    Accepted {
        at: Timestamp(at),
        digest,
        ..before
    }
}

/// What was accepted at a unit, if anything was.
///
/// # Errors
///
/// The record cannot be read.
pub fn accepted(directory: &Path) -> anyhow::Result<Option<Accepted>> {
    let path = directory.join(ACCEPTED_FILE);
    if !path.exists() {
        return Ok(None);
    }
    let read = serde_json::from_str(&read_document(&path)?);
    Ok(Some(read.with_context(|| {
        format!("{} is not a record of a policy", path.display())
    })?))
}

fn held_exceptions(
    directory: &Path,
    own: (&IdentityKey, &[IdentityKey]),
    gatekeeper: Option<&Gatekeeper>,
) -> anyhow::Result<Vec<Held>> {
    let purposes = gatekeeper.map_or(&[][..], |own| own.book().purposes());
    exceptions::all(&directory.join(exceptions::FOLDER), own, purposes)
}

/// A broken glass as the history says it.
fn broken_said(own: &Override) -> Keyed {
    let reason: String = own.reason.chars().take(REASON_CHARS_MAX).collect();
    let payload = Json::object([
        ("event_at", Json::from(own.at.0)),
        ("policy", Json::from(own.digest.to_string())),
        ("reason", Json::from(reason)),
        ("signers", Json::List(Vec::new())),
    ]);
    let event = Event::of_program(Kind::OverrideGranted, payload);
    let event = event.by(ActorKind::Person, ActorRole::Unit);
    let key = format!("override.granted/{}/{}", own.digest, own.at.0);
    let policy = own.digest;
    (key, Event { policy, ..event })
}

/// Whole or not at all: a crash leaves the record before.
fn keep(path: &Path, accepted: &Accepted) -> anyhow::Result<()> {
    let text = serde_json::to_vec_pretty(accepted)?;
    let new = path.with_extension("accepted.new");
    let _ = std::fs::remove_file(&new);
    let could_not = || format!("could not write {}", path.display());
    write_private(&new, &text).with_context(could_not)?;
    std::fs::rename(&new, path).with_context(could_not)
}

/// Prints the digest of the files' policy, and what is accepted.
///
/// # Errors
///
/// A file that cannot be read.
pub fn status(directory: &Path, json: bool) -> anyhow::Result<Outcome> {
    let config = NodeConfig::load(directory)?;
    let gatekeeper = config.gatekeeper(directory)?;
    let policy = (&config, gatekeeper.as_ref());
    let standing = Standing::of(directory, policy, accepted(directory)?)?;
    let before = standing.before.as_ref();
    let accepted = before.map(|before| before.digest);
    let same = accepted == Some(standing.digest);
    let site = at_rest::identity(directory)?.identity().public();
    let officers = before.map_or(&[][..], |before| &before.officers);
    let held = held_exceptions(directory, (&site, officers), gatekeeper.as_ref())?;
    if json {
        report::print_json(&serde_json::json!({
            "site": site.to_string(),
            "exceptions": exceptions::as_json(&held, now()),
            "policy": standing.digest.to_string(),
            "digest": standing.change.to_string(),
            "accepted": accepted.map(|digest| digest.to_string()),
            "in_force": same,
            "signed_by": texts(&standing.signers),
            "officers": before.map(|before| texts(&before.officers)),
            "overrides": before.map(|before| before.overrides.iter().map(override_json).collect::<Vec<_>>()),
        }))?;
        return Ok(Outcome::Done);
    }
    let mut table = report::Table::new(&["POLICY", "VALUE"]);
    table.row(["of site".to_owned(), site.to_string()]);
    table.row(["of the files".to_owned(), standing.digest.to_string()]);
    let known = accepted.map_or("none yet".to_owned(), |digest| digest.to_string());
    table.row(["accepted".to_owned(), known]);
    let officers = before.map_or(0, |before| before.officers.len());
    table.row([
        "officers who sign the next change".to_owned(),
        officers.to_string(),
    ]);
    table.row([
        "signatures that count".to_owned(),
        standing.signers.len().to_string(),
    ]);
    for own in before
        .map(|before| &before.overrides[..])
        .unwrap_or_default()
    {
        let reason = report::printable(&own.reason);
        table.row([
            format!("override of {}", &own.digest.to_string()[..12]),
            reason,
        ]);
    }
    table.print()?;
    if !held.is_empty() {
        exceptions::print(&held, now())?;
    }
    if !same {
        report::note(&format!(
            "each officer: aquifer policy sign {} >> {SIGNED_FILE}",
            standing.change
        ));
    }
    Ok(Outcome::Done)
}

fn texts(keys: &[IdentityKey]) -> Vec<String> {
    keys.iter().map(IdentityKey::to_string).collect()
}

fn override_json(own: &Override) -> serde_json::Value {
    serde_json::json!({"digest": own.digest.to_string(), "reason": own.reason, "at_ms": own.at.0})
}

impl Standing {
    fn of(
        directory: &Path,
        (config, gatekeeper): (&NodeConfig, Option<&Gatekeeper>),
        before: Option<Accepted>,
    ) -> anyhow::Result<Self> {
        let text = read_document(&directory.join(CONFIG_FILE))?;
        let digest = digest(&text, gatekeeper)?;
        let change = change_of(before.as_ref(), &digest);
        let signed = directory.join(SIGNED_FILE);
        let lines = match signed.exists() {
            true => read_document(&signed)?,
            false => String::new(),
        };
        let officers = config.policy.officers.iter();
        let officers = officers.map(|key| key.parse::<IdentityKey>());
        Ok(Self {
            digest,
            change,
            officers: officers
                .collect::<Result<_, _>>()
                .with_context(|| format!("{CONFIG_FILE}: [policy] officers"))?,
            signers: signers(&lines, &change_digest(&change)),
            before,
        })
    }
}

/// Stands for everything in node.toml but where data and ledger are, and for purposes and packs.
fn digest(text: &str, gatekeeper: Option<&Gatekeeper>) -> anyhow::Result<Hash32> {
    let mut table: toml::Table = toml::from_str(text).context(CONFIG_FILE)?;
    for place in ["data", "ledger"] {
        table.remove(place);
    }
    // Keys are in order: the same settings in another order are the same policy.
    let text = toml::to_string(&table)?;
    let book = gatekeeper.map_or(Hash32::default(), |own| own.book().digest());
    Ok(labelled("aquifer/policy/1", &[text.as_bytes(), &book.0]))
}

/// What was accepted.
const ACCEPTED_FILE: &str = "policy.accepted";
/// Under which name the history keeps which policy was accepted last.
pub const KEPT: &str = "policy";
/// What the history holds of a reason; the record holds all of it.
const REASON_CHARS_MAX: usize = 500;
/// Signatures of officers.
const SIGNED_FILE: &str = "policy.signed";
