//! Rule books as a pack carries them: the texts of packs and purposes behind a policy digest.

use std::collections::{BTreeMap, BTreeSet};

use super::checks::Finding;
use super::files::{Files, TooLarge};
use super::layout::{BOOKS, BUNDLE, hash, lines};
use crate::base::hash::labelled;
use crate::base::ids::Hash32;
use crate::base::limits::{LAW_PACKS_MAX, PACK_BOOKS_MAX};

/// One rule book: what was in force under one digest.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Book {
    /// Text of the purposes.
    pub purposes: String,
    /// Texts of the packs, in order of their names.
    pub packs: Vec<String>,
}

impl Book {
    /// The digest that decisions name.
    #[must_use]
    pub fn digest(&self) -> Hash32 {
        digest(&text_digest(PURPOSES, &self.purposes), &self.pack_digests())
    }

    fn pack_digests(&self) -> Vec<Hash32> {
        let packs = self.packs.iter();
        packs.map(|text| text_digest(PACK, text)).collect()
    }
}

fn digest(purposes: &Hash32, packs: &[Hash32]) -> Hash32 {
    let packs: Vec<u8> = packs.iter().flat_map(|pack| pack.0).collect();
    labelled("aquifer/law/book/v1", &[&purposes.0, &packs])
}

fn text_digest(label: &str, text: &str) -> Hash32 {
    labelled(label, &[text.as_bytes()])
}

/// Writes the books, each text once.
pub(super) fn put(books: &[Book], files: &mut Files) -> Result<(), TooLarge> {
    let mut list = BTreeMap::new();
    for book in books {
        let packs = book.pack_digests();
        let purposes = text_digest(PURPOSES, &book.purposes);
        for (digest, text) in packs.iter().zip(&book.packs) {
            files.put(&text_path(digest), text.clone().into_bytes())?;
        }
        files.put(&text_path(&purposes), book.purposes.clone().into_bytes())?;
        let packs = packs.iter().map(|digest| format!(" {digest}"));
        let line = format!(
            "{} {purposes}{}\n",
            book.digest(),
            packs.collect::<String>()
        );
        list.insert(book.digest(), line);
    }
    let list: String = list.into_values().collect();
    files.put(BOOKS, list.into_bytes())
}

/// What the list of books says; each line: digest, purposes, packs.
pub(super) fn read(bytes: &[u8]) -> Option<Vec<Vec<Hash32>>> {
    let lines = lines(bytes)?;
    let books: Option<Vec<Vec<Hash32>>> = lines
        .into_iter()
        .map(|line| line.split(|byte| *byte == b' ').map(hash).collect())
        .collect();
    let books = books?;
    let fits = |book: &Vec<Hash32>| (2..=LAW_PACKS_MAX + 2).contains(&book.len());
    let rising = books.windows(2).all(|pair| pair[0][0] < pair[1][0]);
    (books.len() <= PACK_BOOKS_MAX && books.iter().all(fits) && rising).then_some(books)
}

/// Digests that hold, and what is wrong with others.
pub(super) fn check(books: &[Vec<Hash32>], files: &Files) -> (BTreeSet<Hash32>, Vec<Finding>) {
    let (mut good, mut findings) = (BTreeSet::new(), Vec::new());
    let mut named: BTreeMap<Hash32, &str> = BTreeMap::new();
    for book in books {
        if digest(&book[1], &book[2..]) == book[0] {
            good.insert(book[0]);
        } else {
            let what = format!("book {} is not the hash of its purposes and packs", book[0]);
            findings.push(Finding::of(BOOKS, None, what));
        }
        named.insert(book[1], PURPOSES);
        named.extend(book[2..].iter().map(|pack| (*pack, PACK)));
    }
    for (digest, label) in &named {
        let path = text_path(digest);
        match files.get(&path) {
            Some(bytes) if labelled(label, &[bytes]) == *digest => {}
            Some(_) => findings.push(Finding::of(&path, None, "another text than its name says")),
            None => findings.push(Finding::of(
                &path,
                None,
                "a book names it, but it is not there",
            )),
        }
    }
    let texts = files
        .iter()
        .filter(|(path, _)| path.starts_with(BUNDLE) && *path != BOOKS);
    for (path, _) in texts {
        if named.keys().all(|digest| text_path(digest) != path) {
            findings.push(Finding::of(path, None, "no book names it"));
        }
    }
    (good, findings)
}

fn text_path(digest: &Hash32) -> String {
    format!("{BUNDLE}{digest}.toml")
}

const PACK: &str = "aquifer/law/pack/v1";
const PURPOSES: &str = "aquifer/law/purposes/v1";
