//! The rules that a pack of the unit names: those in node.toml, and those that were in force before.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use aquifer_shared::base::ids::Hash32;
use aquifer_shared::domain::pack::Book;
use aquifer_shared::shell::documents::read_document;
use aquifer_shared::shell::law_packs;

use crate::shell::config::NodeConfig;

/// Rules that were in force before those in node.toml.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Before<'a> {
    /// Files of purposes.
    pub(super) purposes: &'a [PathBuf],
    /// Folders of packs.
    pub(super) packs: &'a [PathBuf],
}

/// Texts of purposes and of packs that may have been in force together.
#[derive(Debug)]
pub(super) struct Rules {
    purposes: Vec<String>,
    packs: Vec<Vec<String>>,
    /// The first of each are those in node.toml.
    has_own: bool,
}

impl Rules {
    /// Reads those in node.toml, if it has `[people]`, and those from before.
    ///
    /// # Errors
    ///
    /// Something cannot be read, or is no rule pack.
    pub(super) fn read(directory: &Path, before: Before<'_>) -> anyhow::Result<Self> {
        let config = NodeConfig::load(directory)?;
        let own = config.people.as_ref();
        let (mut purposes, mut packs) = (Vec::new(), Vec::new());
        if let Some(people) = own {
            purposes.push(read_document(&directory.join(&people.purposes))?);
        }
        let folder = own.and_then(|people| people.packs_folder(directory));
        packs.push(texts(folder.as_deref())?);
        for file in before.purposes {
            purposes.push(read_document(file)?);
        }
        for folder in before.packs {
            packs.push(texts(Some(folder))?);
        }
        Ok(Self {
            purposes,
            packs,
            has_own: own.is_some(),
        })
    }

    /// The book in force, and of all others those that somebody has decided by.
    pub(super) fn books(&self, decided_by: &BTreeSet<Hash32>) -> Vec<Book> {
        let pairs = self
            .purposes
            .iter()
            .flat_map(|purposes| self.packs.iter().map(move |packs| (purposes, packs)));
        let (mut books, mut known) = (Vec::new(), BTreeSet::new());
        for (place, (purposes, packs)) in pairs.enumerate() {
            let book = Book {
                purposes: purposes.clone(),
                packs: packs.clone(),
            };
            let digest = book.digest();
            let is_in_force = self.has_own && place == 0;
            if (is_in_force || decided_by.contains(&digest)) && known.insert(digest) {
                books.push(book);
            }
        }
        books
    }
}

fn texts(folder: Option<&Path>) -> anyhow::Result<Vec<String>> {
    let packs = law_packs::all(folder)?;
    Ok(packs.into_iter().map(|held| held.text).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn book(purposes: &str, pack: &str) -> Book {
        Book {
            purposes: purposes.to_owned(),
            packs: vec![pack.to_owned()],
        }
    }

    /// Purposes `new` and `old`, packs `new` and `old`; the books of a pack in whose log somebody decided by these.
    #[track_caller]
    fn check(has_own: bool, decided_by: &[(&str, &str)], expected: &[(&str, &str)]) {
        let text = |own: &str| own.to_owned();
        let rules = Rules {
            purposes: vec![text("new"), text("old"), text("old")],
            packs: vec![vec![text("new")], vec![text("old")]],
            has_own,
        };
        let books = |named: &[(&str, &str)]| -> Vec<Book> {
            named
                .iter()
                .map(|(purposes, pack)| book(purposes, pack))
                .collect()
        };
        let decided_by = books(decided_by).iter().map(Book::digest).collect();
        assert_eq!(rules.books(&decided_by), books(expected));
    }

    #[test]
    fn rules_that_were_changed_one_by_one_are_all_there() {
        let changed = [("old", "old"), ("new", "old"), ("new", "new")];
        let found = [("new", "new"), ("new", "old"), ("old", "old")];
        check(true, &changed, &found);
    }

    #[test]
    fn rules_that_nobody_decided_by_are_left_out() {
        check(true, &[], &[("new", "new")]);
        check(true, &[("other", "new")], &[("new", "new")]);
        check(false, &[("old", "new")], &[("old", "new")]);
        check(false, &[], &[]);
    }
}
