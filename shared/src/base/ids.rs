//! Identifiers: hashes, identity keys, names. One is never taken for another.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::limits::NAME_BYTES_MAX;
use super::units::OutOfRange;

macro_rules! bytes32 {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Default, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
        pub struct $name(pub [u8; 32]);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{self}")
            }
        }

        impl FromStr for $name {
            type Err = OutOfRange;

            fn from_str(text: &str) -> Result<Self, OutOfRange> {
                from_hex(text).map(Self).ok_or_else(|| OutOfRange {
                    what: stringify!($name),
                    expected: "64 hexadecimal digits",
                    got: format!("{} characters", text.chars().count()),
                })
            }
        }
    };
}

bytes32!(
    /// A SHA-256.
    Hash32
);
bytes32!(
    /// The hash of a study's terms: its identity everywhere.
    StudyHash
);
bytes32!(
    /// One try at one round of one study.
    AttemptId
);
bytes32!(
    /// A party's public Ed25519 key; survives certificate renewal.
    IdentityKey
);

/// Reads 64 hexadecimal digits.
fn from_hex(text: &str) -> Option<[u8; 32]> {
    let mut out = [0; 32];
    if text.len() != 64 || !text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    for (byte, pair) in out.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *byte = u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(out)
}

impl StudyHash {
    /// The first 12 digits, enough to name a study to a person.
    #[must_use]
    pub fn short(&self) -> String {
        self.to_string()[..12].to_owned()
    }
}

/// A name that people give: 1 to 128 bytes of letters, digits, `.`, `_` and `-`, starting with a letter or digit.
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(String);

impl Name {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl TryFrom<String> for Name {
    type Error = OutOfRange;

    fn try_from(text: String) -> Result<Self, OutOfRange> {
        let fits = (1..=NAME_BYTES_MAX).contains(&text.len());
        let first = text
            .bytes()
            .next()
            .is_some_and(|byte| byte.is_ascii_alphanumeric());
        let rest = text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
        if fits && first && rest {
            return Ok(Self(text));
        }
        Err(OutOfRange {
            what: "name",
            expected: "1 to 128 letters, digits, '.', '_' or '-', starting with a letter or digit",
            got: format!("{:?}", text.chars().take(40).collect::<String>()),
        })
    }
}

impl FromStr for Name {
    type Err = OutOfRange;

    fn from_str(text: &str) -> Result<Self, OutOfRange> {
        Self::try_from(text.to_owned())
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.0
    }
}

/// What a certificate allows its holder to do.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// A business unit's node.
    Node,
    /// Submits and aborts studies.
    Operator,
    /// Signs studies.
    Approver,
    /// Reads models and releases, predicts.
    Analyst,
    /// Reads everything that is public inside the company.
    Auditor,
    /// Data protection officer; reads what an auditor reads.
    Dpo,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Node => "node",
            Self::Operator => "operator",
            Self::Approver => "approver",
            Self::Analyst => "analyst",
            Self::Auditor => "auditor",
            Self::Dpo => "dpo",
        })
    }
}

impl FromStr for Role {
    type Err = OutOfRange;

    fn from_str(text: &str) -> Result<Self, OutOfRange> {
        [
            Self::Node,
            Self::Operator,
            Self::Approver,
            Self::Analyst,
            Self::Auditor,
            Self::Dpo,
        ]
        .into_iter()
        .find(|role| role.to_string() == text)
        .ok_or_else(|| OutOfRange {
            what: "role",
            expected: "node, operator, approver, analyst, auditor or dpo",
            got: format!("{:?}", text.chars().take(40).collect::<String>()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_plain() {
        for good in ["north", "unit-7", "a.b_c", "7"] {
            assert!(good.parse::<Name>().is_ok(), "{good}");
        }
        for bad in ["", "-x", "a b", "ä", "../etc", &"x".repeat(129)] {
            assert!(bad.parse::<Name>().is_err(), "{bad}");
        }
    }

    #[test]
    fn hashes_read_what_they_print() {
        let hash = Hash32([0xa7; 32]);
        assert_eq!(hash.to_string().parse::<Hash32>(), Ok(hash));
        assert!("zz".repeat(32).parse::<Hash32>().is_err());
        assert!("+1".repeat(32).parse::<Hash32>().is_err());
    }
}
