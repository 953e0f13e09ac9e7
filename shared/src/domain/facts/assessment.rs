//! The assessment of a model by a data protection officer: a text that stands for one file, and counts once it is signed.
//!
//! Whether a model is personal data is judged by people, case by case; the product computes bounds and says `not_claimed` until somebody
//! whom the log names as dpo has signed another judgement.

use std::fmt::Display;
use std::str::FromStr;

use super::log::{Fact, Log};
use crate::base::document::{DocumentError, Field, Read, Section, tables};
use crate::base::hash::labelled;
use crate::base::ids::{Hash32, IdentityKey, Name};
use crate::base::limits::LAW_TEXT_BYTES_MAX;
use crate::domain::history::Kind;

/// What a data protection officer signs: a text, of which every byte counts.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Assessment {
    /// The model.
    pub model: Name,
    /// Its version.
    pub version: u64,
    /// SHA-256 of its file, as the log says.
    pub file_sha256: Hash32,
    /// What was concluded, in the officer's words.
    pub conclusion: String,
    /// Where the reasons are kept.
    pub reference: String,
    digest: Hash32,
}

/// Why an assessment counts for nothing.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum NotAssessed {
    /// It is about another file.
    #[error("the assessment is about {found}, expected {expected}, as the log says")]
    OtherModel {
        /// In the text.
        found: String,
        /// In the log.
        expected: String,
    },
    /// Nobody who may has signed it.
    #[error(
        "no dpo of the log signed the assessment ({known} are registered and not revoked): read it, then `aquifer policy sign {digest}` as \
         dpo, with the line that it prints in the file of signatures beside it"
    )]
    Unsigned {
        /// What to sign.
        digest: Hash32,
        /// Data protection officers of the log.
        known: usize,
    },
}

impl Assessment {
    /// Reads one.
    ///
    /// # Errors
    ///
    /// The first broken rule of the format, with its place in the file.
    pub fn parse(text: &str) -> Result<Self, DocumentError> {
        let document = tables(text)?;
        let mut root = Section::new(text, "the file", 0, document.get_ref());
        let mut take = |key: &str| root.required(key);
        let (model, version) = (take("model")?, take("version")?);
        let (file, conclusion) = (take("file_sha256")?, take("conclusion")?);
        let reference = take("reference")?;
        root.finish(&FIELDS)?;
        Ok(Self {
            model: parsed(&model)?,
            version: version.integer(1, i64::from(u32::MAX))?.unsigned_abs(),
            file_sha256: parsed(&file)?,
            conclusion: plain(&conclusion)?,
            reference: plain(&reference)?,
            digest: labelled(LABEL, &[text.as_bytes()]),
        })
    }

    /// What an officer signs: label `aquifer/model/anonymity-assessment/1` over the text.
    #[must_use]
    pub fn digest(&self) -> Hash32 {
        self.digest
    }

    /// Entries that register the officers who signed it; `signers` are keys whose signatures were verified.
    ///
    /// # Errors
    ///
    /// It is about another model than the released one, or no officer of the log signed it.
    pub(super) fn signed(
        &self,
        log: &Log,
        released: &Fact,
        signers: &[IdentityKey],
    ) -> Result<Vec<u64>, NotAssessed> {
        let version = released.payload.get("version").and_then(|own| own.as_u64());
        let named =
            |model: &str, version: u64, file: &str| format!("{model}@{version}, file {file}");
        let expected = named(
            released.text("model").unwrap_or_default(),
            version.unwrap_or_default(),
            released.text("file_sha256").unwrap_or_default(),
        );
        let found = named(
            self.model.as_str(),
            self.version,
            &self.file_sha256.to_string(),
        );
        if found != expected {
            return Err(NotAssessed::OtherModel { found, expected });
        }
        let officers = officers(log);
        let signed = officers.iter().filter(|(key, _)| signers.contains(key));
        let signed: Vec<u64> = signed.map(|(_, index)| *index).collect();
        match signed.is_empty() {
            false => Ok(signed),
            true => Err(NotAssessed::Unsigned {
                digest: self.digest,
                known: officers.len(),
            }),
        }
    }
}

/// Data protection officers that the log names and that were not revoked since, with their entries.
fn officers(log: &Log) -> Vec<(IdentityKey, u64)> {
    let key = |fact: &Fact| fact.text("key")?.parse::<IdentityKey>().ok();
    let of = |kind: Kind| {
        let all = log.of_kind(kind);
        let dpo = all.filter(|fact| fact.text("role") == Some("dpo"));
        dpo.filter_map(|fact| Some((key(fact)?, fact.index)))
            .collect::<Vec<_>>()
    };
    let mut granted = of(Kind::RoleGranted);
    let revoked = of(Kind::RoleRevoked);
    granted.retain(|(key, index)| !revoked.iter().any(|(gone, at)| gone == key && at > index));
    granted
}

fn parsed<T: FromStr<Err: Display>>(field: &Field<'_>) -> Read<T> {
    let found = field.text()?.parse();
    found.map_err(|error| field.problem(format!("{error}")))
}

fn plain(field: &Field<'_>) -> Read<String> {
    let found = field.text()?;
    let plain = !found.trim().is_empty() && !found.chars().any(char::is_control);
    if !plain || found.len() > LAW_TEXT_BYTES_MAX {
        let expected = format!("is no plain text, expected 1 to {LAW_TEXT_BYTES_MAX} bytes of it");
        return Err(field.problem_here(&expected));
    }
    Ok(found.trim().to_owned())
}

const LABEL: &str = "aquifer/model/anonymity-assessment/1";
const FIELDS: [&str; 5] = ["model", "version", "file_sha256", "conclusion", "reference"];

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "model = \"churn\"\nversion = 1\nfile_sha256 = \"0707070707070707070707070707070707070707070707070707070707070707\"\n\
        conclusion = \"nobody is singled out\"\nreference = \"memo 17\"\n";

    #[track_caller]
    fn check(from: &str, to: &str, expected: Option<&str>) {
        let read = Assessment::parse(&GOOD.replacen(from, to, 1));
        match (read, expected) {
            (Ok(_), None) => {}
            (Err(error), Some(expected)) => {
                assert!(error.to_string().contains(expected), "{error}");
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_assessment_is_read_whole_or_not_at_all() {
        check("", "", None);
        check("reference", "references", Some("reference"));
        check("version = 1", "version = 0", Some("version"));
        check("\"memo 17\"", "\"\"", Some("plain text"));
        check("\"0707", "\"07", Some("expected 64 hexadecimal digits"));
        check("reference", "extra = 1\nreference", Some("extra"));
    }

    #[test]
    fn every_byte_is_signed() {
        let digest = |text: &str| Assessment::parse(text).unwrap().digest();
        assert_ne!(digest(GOOD), digest(&GOOD.replace("memo 17", "memo 18")));
        assert_ne!(digest(GOOD), digest(&format!("# x\n{GOOD}")));
    }
}
