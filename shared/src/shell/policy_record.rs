//! The policy of a site's files held against what two officers accepted: read at start, kept in `policy.accepted`. The same at a node and
//! at the coordinator.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde_json::{Value, json};

use super::documents::read_document;
use super::exceptions::{self, Held};
use super::keys::write_private;
use super::report::{self, Outcome};
use super::signed::signers;
use crate::base::hash::labelled;
use crate::base::ids::{Hash32, IdentityKey};
use crate::base::time::Timestamp;
use crate::domain::history::{ActorKind, ActorRole, Event, Json, Kind};
use crate::domain::law::change::{
    Accepted, Found, NotAccepted, Override, SIGNERS_MIN, accept, change_digest, change_of,
};

/// The policy is not in force: nothing was attached, nothing was sent.
#[derive(Debug, thiserror::Error)]
#[error("{source}: {}", self.remedy())]
pub struct PolicyFault {
    program: &'static str,
    directory: PathBuf,
    source: NotAccepted,
}

impl PolicyFault {
    fn remedy(&self) -> String {
        let in_directory = |file: &str| self.directory.join(file).display().to_string();
        match self.source {
            NotAccepted::Missing => format!(
                "put the newest copy of {} back (`{} policy status` shows whether the files are as it says); where there is none, start once \
                 with --break-glass \"REASON\", which takes the policy of the files and is written down",
                in_directory(ACCEPTED_FILE),
                self.program
            ),
            _ => format!(
                "`{} policy status` prints the digest that two officers sign with `aquifer policy sign DIGEST`; put their lines into {}, or \
                 start once with --break-glass \"REASON\", which is written down and holds a day",
                self.program,
                in_directory(SIGNED_FILE)
            ),
        }
    }
}

/// What a site's files say, and what was accepted.
#[derive(Debug)]
pub struct Standing {
    program: &'static str,
    directory: PathBuf,
    digest: Hash32,
    /// What officers sign.
    change: Hash32,
    officers: Vec<IdentityKey>,
    signers: Vec<IdentityKey>,
    before: Option<Accepted>,
}

/// A policy as it was read: of which program, where, its digest, and the officers that it names.
#[derive(Clone, Copy, Debug)]
pub struct Policy<'a> {
    /// Whose.
    pub program: &'static str,
    /// The site's directory.
    pub directory: &'a Path,
    /// Stands for all of it.
    pub digest: Hash32,
    /// Identity keys of its officers.
    pub officers: &'a [String],
}

/// What an event is entered under, and the event.
pub type Keyed = (String, Event);

impl Standing {
    /// Holds a policy against the record of what was accepted, or what the history `kept` of that, if it knows more.
    ///
    /// # Errors
    ///
    /// The record, the signatures or a key of an officer cannot be read.
    pub fn of(policy: &Policy<'_>, kept: Option<&str>) -> anyhow::Result<Self> {
        let before = accepted(policy.directory)?.map(|before| newest(before, kept));
        let change = change_of(before.as_ref(), &policy.digest);
        let signed = policy.directory.join(SIGNED_FILE);
        let lines = match signed.exists() {
            true => read_document(&signed)?,
            false => String::new(),
        };
        Ok(Self {
            program: policy.program,
            directory: policy.directory.to_owned(),
            digest: policy.digest,
            change,
            officers: officers(policy.officers)?,
            signers: signers(&lines, &change_digest(&change)),
            before,
        })
    }

    /// The record to keep, or what is missing. `has_past` says whether the site accepted a policy before, whatever became of the record.
    ///
    /// # Errors
    ///
    /// [`PolicyFault`].
    pub fn accept(
        &self,
        has_past: bool,
        reason: Option<&str>,
        now: Timestamp,
    ) -> Result<Accepted, PolicyFault> {
        let found = Found {
            digest: self.digest,
            officers: &self.officers,
            signers: &self.signers,
            reason,
            has_past,
            now,
        };
        accept(self.before.as_ref(), &found).map_err(|source| PolicyFault {
            program: self.program,
            directory: self.directory.clone(),
            source,
        })
    }

    /// Writes down what was accepted, and tells the log of it.
    ///
    /// # Errors
    ///
    /// The record cannot be written.
    pub fn keep(&self, accepted: &Accepted) -> anyhow::Result<()> {
        if self.officers.len() < SIGNERS_MIN {
            let program = self.program;
            tracing::warn!("{program}: fewer than two officers: one person can change the policy");
        }
        if self.before.as_ref() != Some(accepted) {
            tracing::info!(
                policy = %self.digest, signers = accepted.signers.len(), exceptions = accepted.exceptions.len(), "another policy is in force"
            );
            write(&self.directory.join(ACCEPTED_FILE), accepted)?;
        }
        // Said once it is written down.
        if accepted.digest != self.digest {
            tracing::warn!(policy = %self.digest, "the policy is in force by an override, for a day");
        }
        Ok(())
    }

    /// What a history is told: each broken glass, and a change that was signed or made just now. Once each, by its key.
    #[must_use]
    pub fn said(&self, accepted: &Accepted) -> Vec<Keyed> {
        let before = self.before.as_ref();
        let now = before.is_some_and(|before| before.digest != accepted.digest);
        let changed = (now || !accepted.signers.is_empty()).then(|| change_said(accepted));
        let broken = accepted.overrides.iter().map(broken_said);
        broken.chain(changed).collect()
    }

    /// Prints the digest of the files' policy, and what is accepted.
    ///
    /// # Errors
    ///
    /// The terminal cannot be written.
    pub fn print(
        &self,
        site: &IdentityKey,
        (held, now): (&[Held], Timestamp),
        json: bool,
    ) -> anyhow::Result<Outcome> {
        if json {
            report::print_json(&self.as_json(site, (held, now)))?;
            return Ok(Outcome::Done);
        }
        self.table(site).print()?;
        if !held.is_empty() {
            exceptions::print(held, now)?;
        }
        if !self.in_force() {
            report::note(&format!(
                "each officer: aquifer policy sign {} >> {SIGNED_FILE}",
                self.change
            ));
        }
        Ok(Outcome::Done)
    }

    fn in_force(&self) -> bool {
        let before = self.before.as_ref();
        before.is_some_and(|before| before.digest == self.digest)
    }

    fn as_json(&self, site: &IdentityKey, (held, now): (&[Held], Timestamp)) -> Value {
        let before = self.before.as_ref();
        let overrides = |before: &Accepted| -> Vec<Value> {
            before.overrides.iter().map(override_json).collect()
        };
        json!({
            "site": site.to_string(),
            "exceptions": exceptions::as_json(held, now),
            "policy": self.digest.to_string(),
            "digest": self.change.to_string(),
            "accepted": before.map(|before| before.digest.to_string()),
            "in_force": self.in_force(),
            "signed_by": texts(&self.signers),
            "officers": before.map(|before| texts(&before.officers)),
            "overrides": before.map(overrides),
        })
    }

    fn table(&self, site: &IdentityKey) -> report::Table {
        let before = self.before.as_ref();
        let mut table = report::Table::new(&["POLICY", "VALUE"]);
        let known = before.map_or("none yet".to_owned(), |before| before.digest.to_string());
        let officers = before.map_or(0, |before| before.officers.len());
        for (what, value) in [
            ("of site", site.to_string()),
            ("of the files", self.digest.to_string()),
            ("accepted", known),
            ("officers who sign the next change", officers.to_string()),
            ("signatures that count", self.signers.len().to_string()),
        ] {
            table.row([what.to_owned(), value]);
        }
        for own in before.map_or(&[][..], |before| &before.overrides) {
            let reason = report::printable(&own.reason);
            let what = format!("override of {}", &own.digest.to_string()[..12]);
            table.row([what, reason]);
        }
        table
    }
}

/// Stands for everything in a configuration but these settings (`table` or `table.key`), and for purposes and packs.
///
/// # Errors
///
/// The text is not TOML.
pub fn digest(text: &str, but: &[&str], book: Hash32) -> anyhow::Result<Hash32> {
    let mut table: toml::Table = toml::from_str(text)?;
    for place in but {
        let (outer, inner) = match place.split_once('.') {
            None => (Some(&mut table), *place),
            Some((outer, inner)) => (
                table.get_mut(outer).and_then(toml::Value::as_table_mut),
                inner,
            ),
        };
        if let Some(outer) = outer {
            outer.remove(inner);
        }
    }
    // Keys are in order: the same settings in another order are the same policy.
    let text = toml::to_string(&table)?;
    Ok(labelled("aquifer/policy/2", &[text.as_bytes(), &book.0]))
}

/// What the history keeps of an accepted policy, to know a record that was put back.
#[must_use]
pub fn mark(accepted: &Accepted) -> String {
    format!("{} {}", accepted.at.0, accepted.digest)
}

/// What was accepted at a site, if anything was.
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

/// Keys of officers as a configuration names them.
///
/// # Errors
///
/// One is no key.
pub fn officers(written: &[String]) -> anyhow::Result<Vec<IdentityKey>> {
    let keys = written.iter().map(|key| key.parse::<IdentityKey>());
    keys.collect::<Result<_, _>>().context("a key of officers")
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

/// A change as the history says it.
fn change_said(accepted: &Accepted) -> Keyed {
    let signers = accepted.signers.iter();
    let signers = signers.map(|key| Json::from(key.to_string())).collect();
    let payload = Json::object([
        ("event_at", Json::from(accepted.at.0)),
        ("policy", Json::from(accepted.digest.to_string())),
        ("signers", Json::List(signers)),
    ]);
    said(Kind::PackChanged, payload, (accepted.digest, accepted.at))
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
    said(Kind::OverrideGranted, payload, (own.digest, own.at))
}

fn said(kind: Kind, payload: Json, (policy, at): (Hash32, Timestamp)) -> Keyed {
    let event = Event::of_program(kind, payload).by(ActorKind::Person, ActorRole::Unit);
    (
        format!("{kind}/{policy}/{}", at.0),
        Event { policy, ..event },
    )
}

/// Whole or not at all: a crash leaves the record before.
fn write(path: &Path, accepted: &Accepted) -> anyhow::Result<()> {
    let text = serde_json::to_vec_pretty(accepted)?;
    let new = path.with_extension("accepted.new");
    let _ = std::fs::remove_file(&new);
    let could_not = || format!("could not write {}", path.display());
    write_private(&new, &text).with_context(could_not)?;
    std::fs::rename(&new, path).with_context(could_not)
}

fn texts(keys: &[IdentityKey]) -> Vec<String> {
    keys.iter().map(IdentityKey::to_string).collect()
}

fn override_json(own: &Override) -> Value {
    json!({"digest": own.digest.to_string(), "reason": own.reason, "at_ms": own.at.0})
}

/// What was accepted.
const ACCEPTED_FILE: &str = "policy.accepted";
/// Under which name the history keeps which policy was accepted last.
pub const KEPT: &str = "policy";
/// What the history holds of a reason; the record holds all of it.
const REASON_CHARS_MAX: usize = 500;
/// Signatures of officers.
const SIGNED_FILE: &str = "policy.signed";

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str =
        "a = 1\n[data]\nquery = \"SELECT\"\nepoch = \"one\"\n[ledger]\nfile = \"x\"\n";

    #[track_caller]
    fn check(from: &str, to: &str, same: bool) {
        assert!(TEXT.contains(from), "{from}");
        let but = ["ledger", "data.epoch", "none", "none.inner", "a.inner"];
        let digest = |text: &str| digest(text, &but, Hash32([7; 32])).unwrap();
        let other = digest(&TEXT.replacen(from, to, 1));
        assert_eq!(other == digest(TEXT), same, "{to}");
    }

    #[test]
    fn a_digest_is_of_settings_and_not_of_how_they_are_written() {
        check("a = 1\n", "# why\na    = 1\n", true);
        check("\"x\"", "\"elsewhere\"", true);
        check("\"one\"", "\"two\"", true);
        check("\"SELECT\"", "\"SELECT *\"", false);
        check("a = 1\n", "a = 2\n", false);
        check("[data]\n", "[data]\nbasis = \"x\"\n", false);
        let book = |byte| digest(TEXT, &[], Hash32([byte; 32])).unwrap();
        assert_ne!(book(1), book(2));
        assert!(digest("a = ", &[], Hash32::default()).is_err());
    }

    fn standing(directory: &Path, digest: u8, kept: Option<&str>) -> Standing {
        let policy = Policy {
            program: "aquifer-node",
            directory,
            digest: Hash32([digest; 32]),
            officers: &[],
        };
        Standing::of(&policy, kept).unwrap()
    }

    #[test]
    fn what_is_accepted_is_kept_and_a_change_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let first = standing(folder.path(), 1, None);
        let one = first.accept(false, None, Timestamp(5)).unwrap();
        first.keep(&one).unwrap();
        assert!(first.said(&one).is_empty(), "the first is no change");
        assert_eq!(accepted(folder.path()).unwrap(), Some(one.clone()));
        let second = standing(folder.path(), 2, None);
        let two = second.accept(true, None, Timestamp(9)).unwrap();
        let said = second.said(&two);
        assert_eq!((said.len(), said[0].1.kind), (1, Kind::PackChanged));
        second.keep(&two).unwrap();
        // The record of before, with a history that knows better: the change starts from the newer one.
        write(&folder.path().join(ACCEPTED_FILE), &one).unwrap();
        let back = standing(folder.path(), 1, Some(&mark(&two)));
        assert_eq!(back.before.as_ref().map(|own| own.digest), Some(two.digest));
        // No record at all where there was one.
        std::fs::remove_file(folder.path().join(ACCEPTED_FILE)).unwrap();
        let fault = standing(folder.path(), 1, None).accept(true, None, Timestamp(9));
        let fault = fault.unwrap_err().to_string();
        assert!(fault.contains("missing") && fault.contains("aquifer-node policy status"));
        assert!(fault.contains("policy.accepted back"), "{fault}");
    }
}
