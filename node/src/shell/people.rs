//! `[people]` of node.toml: what the unit declares of its customers, its purposes, and the rule packs in force.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use aquifer_shared::base::ids::{IdentityKey, Name};
use aquifer_shared::domain::law::{
    Basis, Category, Place, Purposes, Rulebook, Set, Transfer, Word,
};
use aquifer_shared::shell::law_packs;
use aquifer_shared::shell::policy_record;
use serde::Deserialize;

use crate::core::gatekeeper::{Gatekeeper, People};

/// `[people]`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct PeopleConfig {
    /// Where the unit is: a country, or a region of one.
    pub controller: String,
    /// Where its customers live, where no event says otherwise.
    pub place: String,
    /// `adult` where all customers are of age; left out: nobody knows, and who has no event that says so is left out.
    pub age: Option<String>,
    /// Under what noisy sums go to the coordinator: `within` the place, or with a `tool` (adequacy, standard clauses), under
    /// `contract_terms`, or `bare`.
    #[serde(default = "unknown")]
    pub transfer: String,
    /// Declared purposes, relative to node.toml.
    pub purposes: PathBuf,
    /// Folder of rule packs in front of those that come along.
    pub packs: Option<PathBuf>,
    /// What the columns are about that `columns` does not name.
    pub categories: Vec<String>,
    /// What single columns are about.
    #[serde(default)]
    pub columns: BTreeMap<String, Vec<String>>,
    /// On which basis each purpose rests.
    #[serde(default)]
    pub basis: BTreeMap<Name, String>,
    /// Purposes whose assessment of impact is current.
    #[serde(default)]
    pub dpia_current: Vec<Name>,
    /// Who may review decisions of significant effect, each with the identity key (`aquifer whoami --identity`).
    #[serde(default)]
    pub reviewers: BTreeMap<Name, String>,
}

/// `[people]`, a purpose or a pack is wrong.
#[derive(Debug, thiserror::Error)]
#[error("{}: {problem}", path.display())]
pub struct PeopleError {
    path: PathBuf,
    problem: String,
}

impl PeopleConfig {
    /// Reads purposes and packs, and puts them together with what is declared and with the exceptions of the accepted policy.
    ///
    /// # Errors
    ///
    /// A word, file or pack that is wrong, with its place.
    pub fn gatekeeper(&self, directory: &Path) -> Result<Gatekeeper, PeopleError> {
        let purposes = self.purposes(directory)?;
        let folder = self.packs_folder(directory);
        let packs = law_packs::all(folder.as_deref()).map_err(|error| PeopleError {
            path: folder
                .clone()
                .unwrap_or_else(|| directory.join(CONFIG_FILE)),
            problem: format!("{error:#}"),
        })?;
        let packs = packs.into_iter().map(|held| held.pack).collect();
        let book = Rulebook::new(packs, purposes).map_err(|error| PeopleError {
            path: folder.unwrap_or_else(|| directory.join(CONFIG_FILE)),
            problem: error.to_string(),
        })?;
        let people = self.people().map_err(|problem| PeopleError {
            path: directory.join(CONFIG_FILE),
            problem: format!("[people]: {problem}"),
        })?;
        // A record that cannot be read excepts nothing: the policy is refused where it has to be in force.
        let accepted = policy_record::accepted(directory).ok().flatten();
        let exceptions = accepted.map(|accepted| accepted.exceptions);
        Ok(Gatekeeper::new(book, people).excepting(exceptions.unwrap_or_default()))
    }

    /// The folder of packs in front of those that come along.
    #[must_use]
    pub fn packs_folder(&self, directory: &Path) -> Option<PathBuf> {
        self.packs.as_ref().map(|folder| directory.join(folder))
    }

    fn purposes(&self, directory: &Path) -> Result<Purposes, PeopleError> {
        let path = directory.join(&self.purposes);
        let text = std::fs::read_to_string(&path).map_err(|error| PeopleError {
            path: path.clone(),
            problem: format!("could not be read: {error}"),
        })?;
        Purposes::parse(&text).map_err(|error| PeopleError {
            path,
            problem: error.to_string(),
        })
    }

    fn people(&self) -> Result<People, String> {
        let basis = self.basis.iter();
        let basis = basis.map(|(purpose, written)| Ok((purpose.clone(), word("basis", written)?)));
        let columns = self.columns.iter();
        let columns = columns.map(|(column, written)| Ok((column.clone(), categories(written)?)));
        Ok(People {
            controller: place("controller", &self.controller)?,
            place: place("place", &self.place)?,
            adult: match self.age.as_deref() {
                None => false,
                Some("adult") => true,
                Some(other) => {
                    return Err(format!("age is {other:?}, expected \"adult\" or nothing"));
                }
            },
            transfer: word("transfer", &self.transfer)?,
            basis: basis.collect::<Result<BTreeMap<Name, Basis>, String>>()?,
            categories: categories(&self.categories)?,
            columns: columns.collect::<Result<_, String>>()?,
            dpia_current: self.dpia_current.clone(),
            reviewers: self
                .reviewers
                .iter()
                .map(reviewer)
                .collect::<Result<_, _>>()?,
        })
    }
}

fn reviewer((name, key): (&Name, &String)) -> Result<(Name, IdentityKey), String> {
    let expected = "expected the 64 hexadecimal digits of an identity key";
    let key = key
        .parse()
        .map_err(|_| format!("reviewer {name} has {key:?}, {expected}"))?;
    Ok((name.clone(), key))
}

fn place(what: &str, written: &str) -> Result<Place, String> {
    written.parse().map_err(|error| format!("{what}: {error}"))
}

fn categories(written: &[String]) -> Result<Set<Category>, String> {
    let mut all = Set::EMPTY;
    for written in written {
        all.insert(word("category", written)?);
    }
    Ok(all)
}

fn word<W: Word>(what: &str, written: &str) -> Result<W, String> {
    let found = W::ALL.iter().find(|known| known.word() == written);
    found.copied().ok_or_else(|| {
        let known: Vec<&str> = W::ALL.iter().map(|known| known.word()).collect();
        format!(
            "{what} is {written:?}, expected one of {}",
            known.join(", ")
        )
    })
}

fn unknown() -> String {
    Transfer::Unknown.word().to_owned()
}

/// Where the section is.
const CONFIG_FILE: &str = "node.toml";

#[cfg(test)]
mod tests {
    use super::*;

    const PURPOSES: &str = include_str!("../../../shared/laws/examples/purposes.toml");
    const PEOPLE: &str = r#"
controller = "DE"
place = "DE"
age = "adult"
transfer = "within"
purposes = "purposes.toml"
categories = ["contract"]
[columns]
plan = ["usage", "payment"]
[basis]
"churn.train" = "consent"
"#;

    #[track_caller]
    fn check(edit: impl FnOnce(&str) -> String, purposes: &str, expected: Option<&str>) {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("purposes.toml"), purposes).unwrap();
        let config: PeopleConfig = toml::from_str(&edit(PEOPLE)).unwrap();
        match (config.gatekeeper(folder.path()), expected) {
            (Ok(gatekeeper), None) => assert!(gatekeeper.purpose("churn.train").is_some()),
            (Err(error), Some(part)) => assert!(error.to_string().contains(part), "{error}"),
            (found, _) => panic!("{found:?}"),
        }
    }

    #[test]
    fn what_is_declared_is_checked_word_by_word() {
        let as_it_is = |text: &str| text.to_owned();
        check(as_it_is, PURPOSES, None);
        check(
            as_it_is,
            "[[purpose]]\nid = 1\n",
            Some("purposes.toml: line"),
        );
        let instead =
            |from: &'static str, to: &'static str| move |text: &str| text.replace(from, to);
        check(
            instead("\"adult\"", "\"old\""),
            PURPOSES,
            Some("age is \"old\""),
        );
        check(
            instead("\"consent\"", "\"habit\""),
            PURPOSES,
            Some("expected one of consent"),
        );
        check(
            instead("\"usage\"", "\"shoes\""),
            PURPOSES,
            Some("category is \"shoes\""),
        );
        check(
            instead("place = \"DE\"", "place = \"Germany\""),
            PURPOSES,
            Some("[people]: place"),
        );
        check(
            instead("\"within\"", "\"by mail\""),
            PURPOSES,
            Some("transfer is \"by mail\""),
        );
        check(
            instead("purposes.toml", "elsewhere.toml"),
            PURPOSES,
            Some("elsewhere.toml: could not be read"),
        );
        let reviewer = |text: &str| format!("{text}[reviewers]\nada = \"7\"\n");
        check(reviewer, PURPOSES, Some("reviewer ada has \"7\""));
        let no_packs = |text: &str| text.replace("purposes =", "packs = \"packs\"\npurposes =");
        check(no_packs, PURPOSES, Some("packs"));
    }
}
