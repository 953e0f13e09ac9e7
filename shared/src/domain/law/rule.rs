//! One value of a pack: what it sets, where it comes from, from when to when it holds, and who has looked at it.

use super::key::Key;
use super::place::Place;
use super::words::words;
use crate::base::calendar;

words!(
    /// Who set a value.
    Origin {
        /// A law says so.
        Law = "law",
        /// An authority recommends it.
        Guidance = "guidance",
        /// The organisation decided it; no law names the number.
        OrgPolicy = "org_policy",
    }
);

words!(
    /// How well a value is known.
    Confidence {
        /// Not checked against any text.
        Unchecked = "unchecked",
        /// Taken from what others write about the text.
        Secondary = "secondary",
        /// Checked against the text by the reviewer who is named.
        Primary = "primary",
    }
);

/// Where a value comes from and how long it holds.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Provenance {
    /// Who set it.
    pub origin: Origin,
    /// Article, section or document.
    pub reference: String,
    /// First day on which it holds.
    pub valid_from: i32,
    /// Last day, if one is known.
    pub valid_to: Option<i32>,
    /// Day of the last review.
    pub reviewed_on: Option<i32>,
    /// Who reviewed it; nobody yet where this is `None`.
    pub reviewer: Option<String>,
    /// Where the text can be read; `None` for a decision of the house.
    pub source_url: Option<String>,
    /// How well it is known.
    pub confidence: Confidence,
}

/// A value with its provenance.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Rule {
    /// What it sets.
    pub key: Key,
    /// Where it holds, if not everywhere in the pack's scope.
    pub place: Option<Place>,
    /// The value, as the lattice sees it; [`Key::written`] shows it.
    pub value: u64,
    /// Where it comes from.
    pub provenance: Provenance,
}

impl Provenance {
    /// Whether it holds on a day.
    #[must_use]
    pub fn holds_on(&self, day: i32) -> bool {
        self.valid_from <= day && self.valid_to.is_none_or(|last| day <= last)
    }

    /// Whether two periods have a day in common.
    pub(super) fn meets(&self, other: &Self) -> bool {
        let ends = |one: &Self| one.valid_to.unwrap_or(i32::MAX);
        self.valid_from <= ends(other) && other.valid_from <= ends(self)
    }
}

impl Rule {
    /// `PACK/KEY@FIRST-DAY`, or `PACK/KEY/PLACE@FIRST-DAY`: the same for as long as the rule stands.
    #[must_use]
    pub fn id(&self, pack: &str) -> String {
        let from = calendar::written(self.provenance.valid_from);
        match self.place {
            Some(place) => format!("{pack}/{}/{place}@{from}", self.key),
            None => format!("{pack}/{}@{from}", self.key),
        }
    }

    /// The value as it is written in a pack.
    #[must_use]
    pub fn written(&self) -> String {
        self.key.written(self.value)
    }
}
