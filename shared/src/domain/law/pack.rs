//! Rule packs: one law, or the policy of the house, as a list of values; and which of them hold at a place on a day.

use super::key::{Key, OF_A_LAW, OF_THE_HOUSE};
use super::place::Place;
use super::read;
use super::rule::{Provenance, Rule};
use super::words::{Word, words};
use crate::base::document::DocumentError;
use crate::base::hash::labelled;
use crate::base::ids::{Hash32, Name};

words!(
    /// What a pack is.
    PackKind {
        /// A law, with the places where it applies.
        Law = "law",
        /// What the organisation asks of itself everywhere.
        House = "house",
    }
);

/// A checked rule pack.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Pack {
    id: Name,
    title: String,
    kind: PackKind,
    places: Vec<Place>,
    scope: Provenance,
    /// By key, place, first day.
    rules: Vec<Rule>,
    varies: bool,
    digest: Hash32,
}

/// What a pack says about a key.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Says<'a> {
    /// This.
    Value(&'a Rule),
    /// Something once, that has expired.
    Stale,
    /// Something later, that is not in force yet.
    NotYet,
    /// Nothing.
    Nothing,
}

/// A pack as it was read, before it is put in order.
pub(super) struct Parts {
    pub(super) id: Name,
    pub(super) title: String,
    pub(super) kind: PackKind,
    pub(super) places: Vec<Place>,
    pub(super) scope: Provenance,
    pub(super) rules: Vec<Rule>,
}

impl PackKind {
    /// What a pack of this kind must set.
    pub(super) fn must_set(self) -> &'static [Key] {
        match self {
            Self::Law => &OF_A_LAW,
            Self::House => &OF_THE_HOUSE,
        }
    }
}

impl Pack {
    /// Reads a pack (TOML).
    ///
    /// # Errors
    ///
    /// The first broken rule of the format, with its place in the file.
    pub fn parse(text: &str) -> Result<Self, DocumentError> {
        let parts = read::pack(text)?;
        let mut rules = parts.rules;
        rules.sort_by_key(|rule| (rule.key, rule.place, rule.provenance.valid_from));
        Ok(Self {
            id: parts.id,
            title: parts.title,
            kind: parts.kind,
            places: parts.places,
            scope: parts.scope,
            varies: rules.iter().any(|rule| rule.place.is_some()),
            rules,
            digest: labelled("aquifer/law/pack/v1", &[text.as_bytes()]),
        })
    }

    /// Its short name.
    #[must_use]
    pub fn id(&self) -> &Name {
        &self.id
    }

    /// Its full name.
    #[must_use]
    pub fn title(&self) -> &str {
        &self.title
    }

    /// A law, or the house.
    #[must_use]
    pub fn kind(&self) -> PackKind {
        self.kind
    }

    /// Where it applies; empty for the house, whose policy applies everywhere.
    #[must_use]
    pub fn places(&self) -> &[Place] {
        &self.places
    }

    /// Where its scope comes from.
    #[must_use]
    pub fn scope(&self) -> &Provenance {
        &self.scope
    }

    /// All values, in order of key, place and first day.
    #[must_use]
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// SHA-256 of its text, labelled.
    #[must_use]
    pub fn digest(&self) -> Hash32 {
        self.digest
    }

    /// Whether it applies at a place.
    #[must_use]
    pub fn applies_at(&self, place: Place) -> bool {
        self.kind == PackKind::House || self.places.iter().any(|law| law.covers(place))
    }

    /// What it says about `key` at `place` on `day`.
    pub(super) fn says(&self, key: Key, place: Place, day: i32) -> Says<'_> {
        let first = self.rules.partition_point(|rule| rule.key < key);
        let end = self.rules.partition_point(|rule| rule.key <= key);
        says(&self.rules[first..end], place, day)
    }

    /// The same for all keys that it sets, in their order.
    pub(super) fn all_said(&self, place: Place, day: i32) -> impl Iterator<Item = (Key, Says<'_>)> {
        let each_key = self.rules.chunk_by(|a, b| a.key == b.key);
        each_key.map(move |rules| (rules[0].key, says(rules, place, day)))
    }

    /// Whether a rule holds at some of its places only.
    pub(super) fn varies(&self) -> bool {
        self.varies
    }

    /// Whether a pack of its kind must set a key: then a rule that is not in force yet is as bad as none.
    pub(super) fn must_set(&self, key: Key) -> bool {
        self.kind.must_set().contains(&key)
    }

    /// Keys that it sets.
    pub fn keys(&self) -> impl Iterator<Item = Key> {
        let set = |key: &Key| self.rules.iter().any(|rule| rule.key == *key);
        Key::ALL.iter().copied().filter(set)
    }
}

/// What rules of one key say. A rule for the place goes before one for all places, also when it has expired.
fn says(rules: &[Rule], place: Place, day: i32) -> Says<'_> {
    let (mut general, mut special) = (Says::Nothing, Says::Nothing);
    for rule in rules {
        let said = match rule.place {
            None => &mut general,
            Some(law) if law.covers(place) => &mut special,
            Some(_) => continue,
        };
        if rule.provenance.holds_on(day) {
            *said = Says::Value(rule);
        } else if rule.provenance.valid_from <= day {
            if !matches!(said, Says::Value(_)) {
                *said = Says::Stale;
            }
        } else if matches!(said, Says::Nothing) {
            *said = Says::NotYet;
        }
    }
    match special {
        Says::Nothing | Says::NotYet => general,
        _ => special,
    }
}
