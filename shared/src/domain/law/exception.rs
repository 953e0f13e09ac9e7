//! Exceptions from the screening of uses: for one purpose at one site, with a reason, until a day, and signed by two of its officers.
//!
//! Screened uses (credit, insurance pricing, employment, education, essential services) are denied without one. Reads no clock.

use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::decide::day_of;
use super::facts::TwoSigners;
use super::purpose::Purpose;
use super::read_values::{long_text, word};
use super::vocabulary::ScreenedUse;
use super::words::Word;
use crate::base::calendar;
use crate::base::document::{DocumentError, Field, Read, Section, tables};
use crate::base::hash::labelled;
use crate::base::ids::{Hash32, IdentityKey, Name};
use crate::base::limits::EXCEPTION_DAYS_MAX;
use crate::base::time::Timestamp;

/// What two officers sign: a text, of which every byte counts.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Exception {
    /// Whose gates it is for: the identity key of a node, or the release key of a coordinator.
    pub site: IdentityKey,
    /// The purpose.
    pub purpose: Name,
    /// Stands for the purpose as it is declared ([`Purpose::digest`]): declared anew, it takes a new exception.
    pub declaration: Hash32,
    /// The screened use.
    pub screened: ScreenedUse,
    /// Why, in the officers' words.
    pub reason: String,
    /// First day.
    pub from: i32,
    /// Last day.
    pub until: i32,
    digest: Hash32,
}

/// An exception that two officers signed.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Granted {
    /// Stands for what was signed.
    pub digest: Hash32,
    /// The purpose.
    pub purpose: Name,
    /// Stands for the purpose as it was declared.
    pub declaration: Hash32,
    /// The screened use.
    #[serde(
        rename = "use",
        serialize_with = "write_word",
        deserialize_with = "read_word"
    )]
    pub screened: ScreenedUse,
    /// Why.
    pub reason: String,
    /// First day, counted from 1970.
    pub from: i32,
    /// Last day, counted from 1970.
    pub until: i32,
    /// Who signed, in order of their keys.
    pub signers: [IdentityKey; 2],
}

/// Why an exception counts for nothing.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum NotGranted {
    /// It is for somebody else's gates.
    #[error("it is for site {found}, expected this one, {expected}")]
    OtherSite {
        /// In the text.
        found: IdentityKey,
        /// This site.
        expected: IdentityKey,
    },
    /// No such purpose.
    #[error("purpose {0} is not declared")]
    Undeclared(Name),
    /// The purpose says something else than it did when they signed.
    #[error("purpose {0} was declared anew since: it takes another exception")]
    Redeclared(Name),
    /// The purpose is for another use.
    #[error("it is for {found}, which is not the screened use of its purpose")]
    OtherUse {
        /// In the text.
        found: ScreenedUse,
    },
    /// Too few officers signed.
    #[error("{signed} of {officers} officers signed it, expected two")]
    Unsigned {
        /// Officers whose signature holds.
        signed: usize,
        /// Officers who may sign.
        officers: usize,
    },
}

impl Exception {
    /// Reads one.
    ///
    /// # Errors
    ///
    /// The first broken rule of the format, with its place in the file.
    pub fn parse(text: &str) -> Result<Self, DocumentError> {
        let document = tables(text)?;
        let mut root = Section::new(text, "the file", 0, document.get_ref());
        let mut take = |key: &str| root.required(key);
        let (site, purpose) = (take("site")?, take("purpose")?);
        let (declaration, screened) = (take("declaration")?, take("use")?);
        let (reason, from, until) = (take("reason")?, take("from")?, take("until")?);
        root.finish(&FIELDS)?;
        let read = Self {
            site: parsed(&site)?,
            purpose: parsed(&purpose)?,
            declaration: parsed(&declaration)?,
            screened: word(&screened)?,
            reason: long_text(&reason)?,
            from: from.date()?,
            until: until.date()?,
            digest: labelled("aquifer/law/exception/1", &[text.as_bytes()]),
        };
        let days = i64::from(read.until) - i64::from(read.from);
        if !(0..=i64::from(EXCEPTION_DAYS_MAX)).contains(&days) {
            let expected = format!("is not 0 to {EXCEPTION_DAYS_MAX} days after from");
            return Err(until.problem_here(&expected));
        }
        Ok(read)
    }

    /// The text for two officers, for a purpose as it is declared; none where the purpose is for no screened use.
    #[must_use]
    pub fn written(
        site: &IdentityKey,
        purpose: &Purpose,
        reason: &str,
        (from, until): (i32, i32),
    ) -> Option<String> {
        let screened = purpose.annex_iii?;
        let (id, declaration) = (&purpose.id, purpose.digest());
        let reason = toml::Value::String(reason.to_owned());
        let (from, until) = (calendar::written(from), calendar::written(until));
        Some(format!(
            "# An exception for a screened use. Two officers sign this file as it is, byte for byte.\n\
             site = \"{site}\"\npurpose = \"{id}\"\ndeclaration = \"{declaration}\"\nuse = \"{screened}\"\n\
             reason = {reason}\nfrom = {from}\nuntil = {until}\n"
        ))
    }

    /// What an officer signs: label `aquifer/law/exception/1` over the text.
    #[must_use]
    pub fn digest(&self) -> Hash32 {
        self.digest
    }

    /// Holds it against what is declared at a site and who signed it; `signers` are keys whose signatures were verified.
    ///
    /// # Errors
    ///
    /// Why it counts for nothing.
    pub fn granted(
        &self,
        (site, officers): (&IdentityKey, &[IdentityKey]),
        purpose: Option<&Purpose>,
        signers: &[IdentityKey],
    ) -> Result<Granted, NotGranted> {
        if self.site != *site {
            return Err(NotGranted::OtherSite {
                found: self.site,
                expected: *site,
            });
        }
        let purpose = purpose.filter(|purpose| purpose.id == self.purpose);
        let purpose = purpose.ok_or_else(|| NotGranted::Undeclared(self.purpose.clone()))?;
        if purpose.digest() != self.declaration {
            return Err(NotGranted::Redeclared(self.purpose.clone()));
        }
        if purpose.annex_iii != Some(self.screened) {
            let found = self.screened;
            return Err(NotGranted::OtherUse { found });
        }
        let mut signed: Vec<IdentityKey> = signers.to_vec();
        signed.retain(|key| officers.contains(key));
        signed.sort_unstable();
        signed.dedup();
        let [first, second, ..] = signed[..] else {
            return Err(NotGranted::Unsigned {
                signed: signed.len(),
                officers: officers.len(),
            });
        };
        Ok(Granted {
            digest: self.digest,
            purpose: self.purpose.clone(),
            declaration: self.declaration,
            screened: self.screened,
            reason: self.reason.clone(),
            from: self.from,
            until: self.until,
            signers: [first, second],
        })
    }
}

impl Granted {
    /// Who signed, where it covers the purpose as it is declared on this day.
    #[must_use]
    pub fn signers(&self, purpose: &Purpose, now: Timestamp) -> Option<TwoSigners> {
        let covers = (self.from..=self.until).contains(&day_of(now))
            && purpose.id == self.purpose
            && purpose.annex_iii == Some(self.screened)
            && purpose.digest() == self.declaration;
        let [first, second] = self.signers;
        TwoSigners::new(first, second).ok().filter(|_| covers)
    }
}

/// Who signed for a purpose on this day, if anybody did.
#[must_use]
pub fn signers_of(
    granted: &[Granted],
    purpose: Option<&Purpose>,
    now: Timestamp,
) -> Option<TwoSigners> {
    let purpose = purpose?;
    granted.iter().find_map(|one| one.signers(purpose, now))
}

fn parsed<T: FromStr<Err: std::fmt::Display>>(field: &Field<'_>) -> Read<T> {
    let found = field.text()?.parse();
    found.map_err(|error| field.problem(format!("{error}")))
}

fn write_word<S: Serializer>(found: &ScreenedUse, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(found.word())
}

fn read_word<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ScreenedUse, D::Error> {
    let found = String::deserialize(deserializer)?;
    let expected = || de::Error::custom(format!("use, expected {}", ScreenedUse::expected()));
    ScreenedUse::from_word(&found).ok_or_else(expected)
}

const FIELDS: [&str; 7] = [
    "site",
    "purpose",
    "declaration",
    "use",
    "reason",
    "from",
    "until",
];

#[cfg(test)]
#[path = "tests/exceptions.rs"]
mod tests;
