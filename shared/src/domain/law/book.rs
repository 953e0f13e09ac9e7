//! The rule book: all packs and purposes in force at a party, with one digest that two parties compare.

use std::sync::Arc;

use super::key::Key;
use super::limits::Limits;
use super::pack::{Pack, PackKind};
use super::place::Place;
use super::purpose::{Purpose, Purposes};
use crate::base::hash::labelled;
use crate::base::ids::Hash32;
use crate::base::limits::LAW_PACKS_MAX;

/// Packs and purposes, checked against each other. Copies share one content.
#[derive(Clone, Debug)]
pub struct Rulebook(Arc<Content>);

#[derive(Debug)]
struct Content {
    packs: Vec<Pack>,
    purposes: Purposes,
    digest: Hash32,
}

/// Packs that do not make a rule book.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum WrongBook {
    /// Two packs of one name.
    #[error("pack {0} is there twice, expected each once")]
    PackTwice(String),
    /// Too many packs.
    #[error("{0} packs, expected at most {LAW_PACKS_MAX}")]
    TooMany(usize),
    /// Limits of the organisation are missing.
    #[error("no pack of kind house, expected one: no law names a cohort or a budget")]
    NoHouse,
}

impl Rulebook {
    /// Puts packs and purposes together, in order of their names.
    ///
    /// # Errors
    ///
    /// A pack that is there twice, too many packs, or no policy of the house.
    pub fn new(mut packs: Vec<Pack>, purposes: Purposes) -> Result<Self, WrongBook> {
        packs.sort_by(|a, b| a.id().cmp(b.id()));
        if let Some(pair) = packs.windows(2).find(|pair| pair[0].id() == pair[1].id()) {
            return Err(WrongBook::PackTwice(pair[0].id().to_string()));
        }
        if packs.len() > LAW_PACKS_MAX {
            return Err(WrongBook::TooMany(packs.len()));
        }
        if !packs.iter().any(|pack| pack.kind() == PackKind::House) {
            return Err(WrongBook::NoHouse);
        }
        let digest = digest(&packs, &purposes);
        let content = Content {
            packs,
            purposes,
            digest,
        };
        Ok(Self(Arc::new(content)))
    }

    /// The packs, in order of their names.
    #[must_use]
    pub fn packs(&self) -> &[Pack] {
        &self.0.packs
    }

    /// The purposes, in order of their names.
    #[must_use]
    pub fn purposes(&self) -> &[Purpose] {
        self.0.purposes.list()
    }

    /// A purpose by its name.
    #[must_use]
    pub fn purpose(&self, id: &str) -> Option<&Purpose> {
        self.purposes().get(self.purpose_number(id)?)
    }

    pub(super) fn purpose_number(&self, id: &str) -> Option<usize> {
        let list = self.purposes();
        list.binary_search_by(|known| known.id.as_str().cmp(id))
            .ok()
    }

    /// SHA-256 over all packs and purposes: what was in force when something was decided.
    #[must_use]
    pub fn digest(&self) -> Hash32 {
        self.0.digest
    }

    /// The strictest value that rules of these places set on a day; none where no rule in force there sets it.
    #[must_use]
    pub fn strictest(&self, places: &[Place], key: Key, day: i32) -> Option<u64> {
        let limits = places.iter().flat_map(|place| {
            let packs = (0..).zip(self.packs());
            let packs = packs.filter(|(_, pack)| pack.applies_at(*place));
            packs.map(|(number, pack)| Limits::of_pack(pack, number, *place, day))
        });
        limits.reduce(Limits::join)?.value(key)
    }

    /// Which packs apply at which of the places, by number; and whether each place has a law. Without any place, the house alone.
    pub(super) fn applicable(&self, places: &[Place]) -> (Vec<(u8, Place)>, bool) {
        let places = if places.is_empty() {
            &[Place::NOWHERE]
        } else {
            places
        };
        let mut found: Vec<(u8, Place)> = Vec::with_capacity(places.len() * 3);
        let mut all_covered = true;
        for &place in places {
            let mut covered = false;
            for (number, pack) in (0..).zip(self.packs()) {
                if !pack.applies_at(place) {
                    continue;
                }
                covered |= pack.kind() == PackKind::Law;
                // A pack that says the same everywhere is asked once.
                if pack.varies() || found.iter().all(|(other, _)| *other != number) {
                    found.push((number, place));
                }
            }
            all_covered &= covered;
        }
        (found, all_covered)
    }
}

fn digest(packs: &[Pack], purposes: &Purposes) -> Hash32 {
    let packs: Vec<u8> = packs.iter().flat_map(|pack| pack.digest().0).collect();
    labelled("aquifer/law/book/v1", &[&purposes.digest().0, &packs])
}
