//! Whom to believe about a log: its key, its witnesses, and how many of them (C2SP tlog-policy).

use std::collections::BTreeMap;

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::base::ids::IdentityKey;
use crate::base::limits::{LOG_POLICY_NAMES_MAX, NOTE_BYTES_MAX};
use crate::domain::tlog::{SignedNote, key_hash};

/// How the names of units' logs begin; no other log's does.
pub const UNIT_LOG: &str = "aquifer/node/";

/// A public key with its name and type, as `name+hash+key`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct VerifierKey {
    /// Its name.
    pub name: String,
    /// 1 for logs, 4 for witnesses.
    pub key_type: u8,
    /// Ed25519.
    pub key: IdentityKey,
}

/// A policy: one log, its witnesses, and which of them make a quorum.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LogPolicy {
    /// The log.
    pub log: VerifierKey,
    /// Witnesses, by their name in this policy.
    pub witnesses: Vec<(String, VerifierKey)>,
    groups: Vec<Group>,
    /// Name of a witness or group; none where no cosignature is asked for.
    quorum: Option<String>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
struct Group {
    name: String,
    needed: usize,
    members: Vec<String>,
}

/// A text that is no policy.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("line {line}: expected {expected}")]
pub struct BadLogPolicy {
    /// From 1.
    pub line: usize,
    /// What belongs there.
    pub expected: &'static str,
}

impl VerifierKey {
    /// The key of a log.
    #[must_use]
    pub fn of_log(name: &str, key: IdentityKey) -> Self {
        Self {
            name: name.to_owned(),
            key_type: LOG_TYPE,
            key,
        }
    }

    /// The key of a witness.
    #[must_use]
    pub fn of_witness(name: &str, key: IdentityKey) -> Self {
        Self {
            key_type: WITNESS_TYPE,
            ..Self::of_log(name, key)
        }
    }

    /// Reads `name+hash+key`; none where it is not that, or the hash is another.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (name, rest) = text.split_once('+')?;
        let (_, key) = rest.split_once('+')?;
        let bytes = STANDARD.decode(key).ok()?;
        let (key_type, key) = bytes.split_first()?;
        let found = Self {
            name: name.to_owned(),
            key_type: *key_type,
            key: IdentityKey(key.try_into().ok()?),
        };
        let known = [LOG_TYPE, WITNESS_TYPE].contains(key_type) && !name.is_empty();
        (known && found.to_text() == text).then_some(found)
    }

    /// Whether this is the key of a unit's own log: entries of such a log may be about persons, and a pack of it stays at the unit.
    #[must_use]
    pub fn is_of_unit(&self) -> bool {
        self.name.starts_with(UNIT_LOG)
    }

    /// The text.
    #[must_use]
    pub fn to_text(&self) -> String {
        let hash = u32::from_be_bytes(self.hash());
        let key = [&[self.key_type][..], &self.key.0].concat();
        format!("{}+{hash:08x}+{}", self.name, STANDARD.encode(key))
    }

    fn hash(&self) -> [u8; 4] {
        key_hash(&self.name, self.key_type, &self.key.0)
    }

    /// Whether a note has signature lines of this key, and whether all of them hold; none where it has none.
    #[must_use]
    pub fn signed(&self, note: &SignedNote) -> Option<bool> {
        let own = note
            .signatures
            .iter()
            .filter(|one| one.name == self.name && one.key_hash == self.hash());
        let held: Vec<bool> = own.map(|one| self.holds(&note.text, &one.bytes)).collect();
        (!held.is_empty()).then(|| held.iter().all(|one| *one))
    }

    /// Whether a signature of this key over a text holds.
    pub(super) fn holds(&self, text: &str, signature: &[u8]) -> bool {
        let public = UnparsedPublicKey::new(&ED25519, self.key.0);
        if self.key_type == LOG_TYPE {
            return public.verify(text.as_bytes(), signature).is_ok();
        }
        let Some((seconds, signature)) = signature.split_first_chunk() else {
            return false;
        };
        let text = cosigned_text(u64::from_be_bytes(*seconds), text);
        public.verify(text.as_bytes(), signature).is_ok()
    }
}

/// What a witness signs at a time, in seconds since 1970 (C2SP tlog-cosignature).
#[must_use]
pub fn cosigned_text(seconds: u64, checkpoint: &str) -> String {
    format!("cosignature/v1\ntime {seconds}\n{checkpoint}")
}

impl LogPolicy {
    /// So many of the witnesses; none of them where there are none.
    #[must_use]
    pub fn new(log: VerifierKey, witnesses: Vec<VerifierKey>, needed: usize) -> Self {
        let witnesses: Vec<_> = witnesses
            .into_iter()
            .map(|key| (key.name.clone(), key))
            .collect();
        let members: Vec<String> = witnesses.iter().map(|(name, _)| name.clone()).collect();
        let group = Group {
            name: "quorum".to_owned(),
            needed,
            members,
        };
        let is_asked = !witnesses.is_empty();
        Self {
            log,
            witnesses,
            groups: is_asked.then_some(group).into_iter().collect(),
            quorum: is_asked.then(|| "quorum".to_owned()),
        }
    }

    /// Whether cosignatures are asked for.
    #[must_use]
    pub fn has_quorum(&self) -> bool {
        self.quorum.is_some()
    }

    /// Whether those who signed, by their names in this policy, are enough.
    #[must_use]
    pub fn is_quorum(&self, signed: &[&str]) -> bool {
        let Some(quorum) = &self.quorum else {
            return true;
        };
        // A group names what is in front of it: one pass settles all.
        let mut met: BTreeMap<&str, bool> = BTreeMap::new();
        for (name, _) in &self.witnesses {
            met.insert(name, signed.contains(&name.as_str()));
        }
        for group in &self.groups {
            let members = group.members.iter();
            let count = members
                .filter(|name| met.get(name.as_str()) == Some(&true))
                .count();
            met.insert(&group.name, count >= group.needed);
        }
        met.get(quorum.as_str()) == Some(&true)
    }

    /// The text.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = format!("log {}\n", self.log.to_text());
        for (name, key) in &self.witnesses {
            text.push_str(&format!("witness {name} {}\n", key.to_text()));
        }
        for group in &self.groups {
            let members = group.members.join(" ");
            text.push_str(&format!(
                "group {} {} {members}\n",
                group.name, group.needed
            ));
        }
        text.push_str(&format!(
            "quorum {}\n",
            self.quorum.as_deref().unwrap_or("none")
        ));
        text
    }

    /// Reads a policy with one log.
    ///
    /// # Errors
    ///
    /// Another form, with its line.
    pub fn parse(text: &str) -> Result<Self, BadLogPolicy> {
        let mut reading = Reading::default();
        if text.len() > NOTE_BYTES_MAX {
            return Err(bad(0, "at most 64 KiB"));
        }
        let mut last = 1;
        for (place, line) in text.lines().enumerate() {
            let words: Vec<&str> = line.split_ascii_whitespace().collect();
            if words.first().is_some_and(|word| !word.starts_with('#')) {
                reading
                    .line(&words)
                    .map_err(|expected| bad(place, expected))?;
            }
            last = place;
        }
        Ok(Self {
            log: reading.log.ok_or(bad(last, "a log"))?,
            quorum: reading.quorum.ok_or(bad(last, "a quorum"))?,
            witnesses: reading.witnesses,
            groups: reading.groups,
        })
    }
}

#[derive(Default)]
struct Reading {
    log: Option<VerifierKey>,
    witnesses: Vec<(String, VerifierKey)>,
    groups: Vec<Group>,
    quorum: Option<Option<String>>,
}

impl Reading {
    fn line(&mut self, words: &[&str]) -> Result<(), &'static str> {
        match words {
            ["log", key] | ["log", key, _] if self.log.is_none() => {
                let key = VerifierKey::parse(key).filter(|key| key.key_type == LOG_TYPE);
                self.log = Some(key.ok_or("the key of a log")?);
            }
            ["witness", name, key] | ["witness", name, key, _] => {
                let key = VerifierKey::parse(key).filter(|key| key.key_type == WITNESS_TYPE);
                let key = key.ok_or("the key of a witness")?;
                if self.witnesses.iter().any(|(_, other)| other.key == key.key) {
                    return Err("each witness's key once");
                }
                self.new_name(name)?;
                self.witnesses.push(((*name).to_owned(), key));
            }
            ["group", name, needed, members @ ..] if !members.is_empty() => {
                self.group(name, needed, members)?;
            }
            ["quorum", name] if self.quorum.is_none() => {
                let known = *name == "none" || self.is_known(name);
                known.then_some(()).ok_or("none, or a name from above")?;
                self.quorum = Some((*name != "none").then(|| (*name).to_owned()));
            }
            _ => {
                return Err(
                    "log KEY, witness NAME KEY, group NAME COUNT NAMES, or quorum NAME; log and quorum once",
                );
            }
        }
        Ok(())
    }

    fn group(&mut self, name: &str, needed: &str, members: &[&str]) -> Result<(), &'static str> {
        let all_known = members.iter().all(|member| self.is_known(member));
        let distinct = (1..members.len()).all(|at| !members[..at].contains(&members[at]));
        (all_known && distinct)
            .then_some(())
            .ok_or("names from above, each once")?;
        let needed = match needed {
            "any" => 1,
            "all" => members.len(),
            count => count
                .parse()
                .ok()
                .filter(|count: &usize| count.to_string() == needed)
                .unwrap_or(0),
        };
        let fits = (1..=members.len()).contains(&needed);
        fits.then_some(())
            .ok_or("any, all, or a count of at most the members")?;
        self.new_name(name)?;
        self.groups.push(Group {
            name: name.to_owned(),
            needed,
            members: members.iter().map(|member| (*member).to_owned()).collect(),
        });
        Ok(())
    }

    fn is_known(&self, name: &str) -> bool {
        self.witnesses.iter().any(|(other, _)| other == name)
            || self.groups.iter().any(|group| group.name == name)
    }

    fn new_name(&self, name: &str) -> Result<(), &'static str> {
        let room = self.witnesses.len() + self.groups.len() < LOG_POLICY_NAMES_MAX;
        let is_new = name != "none" && !self.is_known(name) && self.quorum.is_none();
        (room && is_new)
            .then_some(())
            .ok_or("a new name, in front of the quorum")
    }
}

fn bad(place: usize, expected: &'static str) -> BadLogPolicy {
    BadLogPolicy {
        line: place + 1,
        expected,
    }
}

const LOG_TYPE: u8 = 1;
const WITNESS_TYPE: u8 = 4;
