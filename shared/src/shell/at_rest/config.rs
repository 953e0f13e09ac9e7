//! `[at_rest]` of node.toml and coordinator.toml: where the master key is.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::AtRestFault;
use super::permissions::{check_directory, check_key_place};
use super::vault::KEY_FILE;

/// Where the master key comes from; at most one of them.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(try_from = "Written")]
pub struct AtRestConfig(pub(super) Place);

/// The place of a master key.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Place {
    /// A file, relative to the directory.
    File(PathBuf),
    /// A variable of the environment.
    Variable(String),
    /// What a command prints; its arguments may be secret.
    Command(Vec<String>),
}

impl Default for Place {
    fn default() -> Self {
        Self::File(PathBuf::from(KEY_FILE))
    }
}

impl AtRestConfig {
    /// Reads a section as it is given on a command line: `key_file = "..."`.
    ///
    /// # Errors
    ///
    /// It is not one line of the section.
    pub fn parse(text: &str) -> Result<Self, AtRestFault> {
        toml::from_str(text).map_err(|error| AtRestFault::Source {
            text: text.chars().take(80).collect(),
            problem: error.message().replace('\n', "; "),
        })
    }

    /// Refuses a directory that others may enter, and a key file where everybody may look.
    ///
    /// # Errors
    ///
    /// The path, what was found, what was expected, and what to type.
    pub fn check(&self, directory: &Path) -> Result<(), AtRestFault> {
        check_directory(directory)?;
        match &self.0 {
            Place::File(file) => check_key_place(&directory.join(file)),
            _ => Ok(()),
        }
    }

    /// A key in a file.
    pub(super) fn of_file(file: &Path) -> Self {
        Self(Place::File(file.to_owned()))
    }

    /// Where it is, for people; arguments of a command are not told.
    pub(super) fn place(&self, directory: &Path) -> String {
        match &self.0 {
            Place::File(file) => directory.join(file).display().to_string(),
            Place::Variable(name) => format!("the environment variable {name}"),
            Place::Command(words) => {
                format!(
                    "the key command `{}`",
                    words.first().map_or("", |word| word)
                )
            }
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    key_file: Option<PathBuf>,
    key_env: Option<String>,
    key_command: Option<Vec<String>>,
}

impl TryFrom<Written> for AtRestConfig {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        let Written {
            key_file,
            key_env,
            key_command,
        } = written;
        let given = [
            key_file.map(Place::File),
            key_env.map(Place::Variable),
            key_command.map(Place::Command),
        ];
        let mut given = given.into_iter().flatten();
        let place = given.next().unwrap_or_default();
        if given.next().is_some() {
            return Err(
                "key_file, key_env and key_command name several keys, expected one of them"
                    .to_owned(),
            );
        }
        let empty = match &place {
            Place::File(file) => file.as_os_str().is_empty(),
            Place::Variable(name) => name.is_empty() || name.contains(['=', '\0']),
            Place::Command(words) => words.first().is_none_or(String::is_empty),
        };
        match empty {
            true => Err("the place of the key is empty or no name".to_owned()),
            false => Ok(Self(place)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Result<Place, &str>) {
        match (AtRestConfig::parse(text), expected) {
            (Ok(AtRestConfig(found)), Ok(place)) => assert_eq!(found, place),
            (Err(fault), Err(part)) => assert!(fault.to_string().contains(part), "{fault}"),
            (found, _) => panic!("{text}: {found:?}"),
        }
    }

    #[test]
    fn one_place_is_named_or_the_usual_one() {
        check("", Ok(Place::File(KEY_FILE.into())));
        check("key_file = \"/k\"", Ok(Place::File("/k".into())));
        check("key_env = \"K\"", Ok(Place::Variable("K".into())));
        let words = vec!["pass".to_owned(), "show".to_owned()];
        check(
            "key_command = [\"pass\", \"show\"]",
            Ok(Place::Command(words)),
        );
    }

    #[test]
    fn several_none_and_others_are_refused() {
        check("key_file = \"/k\"\nkey_env = \"K\"", Err("one of them"));
        check("key_env = \"\"", Err("empty"));
        check("key_env = \"A=B\"", Err("no name"));
        check("key_command = []", Err("empty"));
        check("key = \"00\"", Err("unknown field"));
        check("key_file", Err("key_file = "));
    }
}
