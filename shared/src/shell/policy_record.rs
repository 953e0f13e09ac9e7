//! The policy of a site's files held against what two officers accepted: read at start, kept in `policy.accepted`. The same at a node and
//! at the coordinator.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};

use super::documents::read_document;
use super::exceptions::{self, Held};
use super::history::History;
use super::keys::write_private;
use super::policy_kept::{KEPT, Kept, Known, Start, digest_of};
use super::policy_term::SIGNED_FILE;
pub use super::policy_term::{ACCEPTED_FILE, PolicyFault, Term, reason};
use super::report::{self, Outcome};
use super::signed::signed_lines;
use crate::base::ids::{Hash32, IdentityKey};
use crate::base::limits::GLASS_REASON_CHARS_MAX;
use crate::base::time::Timestamp;
use crate::domain::history::{ActorKind, ActorRole, Event, Json, Kind};
use crate::domain::law::change::{
    Accepted, Found, NotAccepted, Override, SIGNERS_MIN, Signed, accept, change_digest, change_of,
};

/// What a site's files say, and what was accepted.
#[derive(Debug)]
pub struct Standing {
    program: &'static str,
    directory: PathBuf,
    digest: Hash32,
    /// What officers sign.
    change: Hash32,
    officers: Vec<IdentityKey>,
    /// Who signed the change, each with the line.
    signed: Vec<(IdentityKey, String)>,
    before: Option<Accepted>,
    /// Whether the record beside the files is not what the history knows.
    lost: bool,
    known: Known,
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
    /// Holds a policy against the record of what was accepted, and that against what the history knows. A record that cannot be read is
    /// as good as lost.
    ///
    /// # Errors
    ///
    /// The signatures or a key of an officer cannot be read.
    pub fn of(policy: &Policy<'_>, known: Known) -> anyhow::Result<Self> {
        let there = policy.directory.join(ACCEPTED_FILE).exists();
        let file = accepted(policy.directory).unwrap_or_else(|fault| {
            let fault = format!("{fault:#}");
            tracing::warn!(fault, "the record of the accepted policy cannot be read");
            None
        });
        let start = known.start(file, there)?;
        Self::made(policy, start, known)
    }

    /// Holds a policy against what the running program accepted when it started, whatever has become of the record.
    ///
    /// # Errors
    ///
    /// The signatures or a key of an officer cannot be read.
    pub fn under(policy: &Policy<'_>, accepted: &Accepted) -> anyhow::Result<Self> {
        let start = Start {
            before: Some(accepted.clone()),
            lost: false,
        };
        Self::made(policy, start, Known::default())
    }

    fn made(policy: &Policy<'_>, start: Start, known: Known) -> anyhow::Result<Self> {
        let Start { before, lost } = start;
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
            signed: signed_lines(&lines, &change_digest(&change)),
            before,
            lost,
            known,
        })
    }

    /// The record to keep, or what is missing. `has_past` says whether the site has a past beside what its history knows of policies.
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
        let signers = self.signers();
        let found = Found {
            digest: self.digest,
            officers: &self.officers,
            signers: &signers,
            reason,
            used_ms: self.used_ms(),
            has_past: has_past || self.lost || self.known.kept.is_some(),
            lost: self.lost,
            now: self.present(now),
        };
        let accepted = accept(self.before.as_ref(), &found);
        let accepted = accepted.map_err(|source| self.refused(source))?;
        Ok(self.with_signatures(accepted))
    }

    /// Whether what a running program accepted at its start is what these files say, too.
    ///
    /// # Errors
    ///
    /// [`PolicyFault`]: also where the change is allowed, as the history hears of it at a start.
    pub fn same(&self, now: Timestamp) -> Result<(), PolicyFault> {
        let accepted = self.accept(true, None, now)?;
        match self.before.as_ref() == Some(&accepted) {
            true => Ok(()),
            false => Err(self.refused(NotAccepted::NotStarted)),
        }
    }

    fn refused(&self, source: NotAccepted) -> PolicyFault {
        PolicyFault::new(self.program, &self.directory, source)
    }

    /// For how long programs ran under a glass that was broken for this policy.
    fn used_ms(&self) -> u64 {
        let before = self.before.as_ref();
        let broken = before.and_then(|before| before.broken(&self.digest));
        broken.map_or(0, |own| self.known.used_ms(own))
    }

    /// Tells the history what was accepted, with more that is said of it, and writes it down: in the history first, so that a crash leaves
    /// the record before beside the files, which the history knows.
    ///
    /// # Errors
    ///
    /// History or record cannot be written.
    pub async fn settle(
        &self,
        accepted: &Accepted,
        more: impl IntoIterator<Item = Keyed>,
        history: &History,
    ) -> anyhow::Result<()> {
        // Told before it is kept: a crash in between tells it twice, and never not at all.
        let said: Vec<Keyed> = self.said(accepted).into_iter().chain(more).collect();
        if !said.is_empty() {
            history.append_once(said).await?;
        }
        // Where the history knows nothing yet, a record that it does not know is taken: here the file comes first.
        let first = self.known.kept.is_none();
        if first {
            self.keep(accepted)?;
        }
        if self.known.record().map(|kept| kept.accepted).as_ref() != Some(accepted) {
            let before = self.before.as_ref().map(digest_of).transpose()?;
            let accepted = accepted.clone();
            let kept = serde_json::to_string(&Kept { accepted, before })?;
            history.keep(KEPT, kept).await?;
        }
        match first {
            true => Ok(()),
            false => self.keep(accepted),
        }
    }

    /// How long it is in force in the program that starts now.
    #[must_use]
    pub fn term(&self, accepted: &Accepted, now: Timestamp) -> Term {
        let whose = (self.program, self.directory.as_path());
        let what = (accepted, &self.digest);
        Term::new(whose, what, (&self.known.used, self.present(now)))
    }

    /// What officers sign.
    #[must_use]
    pub fn change(&self) -> Hash32 {
        self.change
    }

    /// Officers who sign the next change: of what was accepted last, as far as that is known.
    #[must_use]
    pub fn signing(&self) -> &[IdentityKey] {
        let before = self.before.as_ref();
        before.map_or(&self.officers[..], |before| &before.officers)
    }

    /// Now, and not before anything that was written down.
    fn present(&self, now: Timestamp) -> Timestamp {
        now.max(self.known.latest)
    }

    fn signers(&self) -> Vec<IdentityKey> {
        self.signed.iter().map(|(key, _)| *key).collect()
    }

    /// The signatures with a change that was made just now.
    fn with_signatures(&self, accepted: Accepted) -> Accepted {
        let Some(before) = &self.before else {
            return accepted;
        };
        // A broken glass leaves the signatures of the policy before as they are.
        let same = accepted == *before || accepted.overrides != before.overrides;
        if same || accepted.signers.is_empty() || accepted.signed.is_some() {
            return accepted;
        }
        let own = self.signed.iter();
        let own = own.filter(|(key, _)| accepted.signers.contains(key));
        let signed = Signed {
            from: before.digest,
            since: before.at,
            lines: own.map(|(_, line)| line.clone()).collect(),
        };
        Accepted {
            signed: Some(signed),
            ..accepted
        }
    }

    /// Writes down what was accepted, and tells the log of it.
    fn keep(&self, accepted: &Accepted) -> anyhow::Result<()> {
        if self.officers.len() < SIGNERS_MIN {
            let program = self.program;
            tracing::warn!("{program}: fewer than two officers: one person can change the policy");
        }
        let file = self::accepted(&self.directory).ok().flatten();
        if file.as_ref() != Some(accepted) {
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
        // Where nobody knows who the officers were, signatures count for nothing.
        let unknown = self.lost && self.before.is_none();
        if !self.in_force() && !unknown {
            report::note(&format!(
                "each officer: aquifer policy sign {} >> {SIGNED_FILE}",
                self.change
            ));
        }
        Ok(Outcome::Done)
    }

    fn in_force(&self) -> bool {
        let before = self.before.as_ref();
        !self.lost && before.is_some_and(|before| before.digest == self.digest)
    }

    /// Officers who signed, each once.
    fn counting(&self) -> usize {
        let mut own = self.signers();
        own.retain(|key| self.signing().contains(key));
        own.sort_unstable();
        own.dedup();
        own.len()
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
            "record_lost": self.lost,
            "signed_by": texts(&self.signers()),
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
            ("signatures that count", self.counting().to_string()),
        ] {
            table.row([what.to_owned(), value]);
        }
        if self.lost {
            let what = format!("{ACCEPTED_FILE} is not what the history knows");
            let helps = match before {
                Some(_) => "two officers sign the policy again",
                None => "put both back, or start the program, which says more",
            };
            table.row([what, helps.to_owned()]);
        }
        for own in before.map_or(&[][..], |before| &before.overrides) {
            let reason = report::printable(&own.reason);
            let what = format!("override of {}", &own.digest.to_string()[..12]);
            table.row([what, reason]);
        }
        table
    }
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
/// One is no key, or is there twice.
pub fn officers(written: &[String]) -> anyhow::Result<Vec<IdentityKey>> {
    let keys = written.iter().map(|key| key.parse::<IdentityKey>());
    let keys: Vec<IdentityKey> = keys
        .collect::<Result<_, _>>()
        .context("a key of officers")?;
    for (place, key) in keys.iter().enumerate() {
        ensure!(
            !keys[..place].contains(key),
            "officer {key} is named twice, expected each person once"
        );
    }
    Ok(keys)
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
    // Records of older versions may have longer ones.
    let reason: String = own.reason.chars().take(GLASS_REASON_CHARS_MAX).collect();
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_is_an_officer_once() {
        let key = |byte: u8| IdentityKey([byte; 32]).to_string();
        assert_eq!(officers(&[key(1), key(2)]).unwrap().len(), 2);
        let twice = officers(&[key(0xab), key(2), key(0xab).to_uppercase()]);
        let twice = twice.unwrap_err().to_string();
        assert!(
            twice.contains("named twice") || twice.contains("a key of officers"),
            "{twice}"
        );
        assert!(officers(&[key(1), key(1)]).is_err());
    }
}
