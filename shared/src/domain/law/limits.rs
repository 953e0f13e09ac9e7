//! The strictest of all that applies: values of several packs and places joined, and which packs bound each.
//!
//! A lattice: joining is commutative, associative and idempotent, and never more permissive than a member. A limit that cannot be
//! met, a minimum above its maximum, is a conflict; so is a rule that has expired.

use super::book::Rulebook;
use super::key::{Key, Stricter};
use super::pack::{Pack, Says};
use super::place::Place;
use super::words::{Set, Word};

/// A joined value.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Bound {
    value: u64,
    /// One bit for each pack that bound it.
    packs: u32,
}

/// Joined values of all keys.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    bounds: [Option<Bound>; KEYS],
    stale: Set<Key>,
}

const KEYS: usize = Key::ALL.len();

impl Limits {
    /// No pack, no limit. What is missing here is denied where it is looked at.
    pub(super) const NONE: Self = Self {
        bounds: [None; KEYS],
        stale: Set::EMPTY,
    };

    /// What one pack says at a place on a day.
    #[must_use]
    pub fn of_pack(pack: &Pack, number: u8, place: Place, day: i32) -> Self {
        let mut limits = Self::NONE;
        limits.take(pack, number, place, day);
        limits
    }

    /// What packs of a book say together, each at its place.
    pub(super) fn of(book: &Rulebook, applicable: &[(u8, Place)], day: i32) -> Self {
        let mut limits = Self::NONE;
        for &(number, place) in applicable {
            if let Some(pack) = book.packs().get(usize::from(number)) {
                limits.take(pack, number, place, day);
            }
        }
        limits
    }

    /// Joins what one pack says.
    fn take(&mut self, pack: &Pack, number: u8, place: Place, day: i32) {
        if !pack.scope().holds_on(day) {
            self.stale.insert(Key::OnUnknown);
        }
        let packs = 1_u32.checked_shl(number.into()).unwrap_or(0);
        for (key, says) in pack.all_said(place, day) {
            match says {
                Says::Value(rule) => {
                    let value = rule.value;
                    self.bind(key, Bound { value, packs });
                }
                Says::Stale => self.stale.insert(key),
                Says::NotYet if pack.must_set(key) => self.stale.insert(key),
                Says::NotYet | Says::Nothing => {}
            }
        }
    }

    fn bind(&mut self, key: Key, bound: Bound) {
        let ours = &mut self.bounds[key as usize];
        *ours = Some(ours.map_or(bound, |ours| ours.join(bound, key.stricter())));
    }

    /// The strictest of both, key by key.
    #[must_use]
    pub fn join(mut self, other: Self) -> Self {
        for &key in Key::ALL {
            if let Some(bound) = other.bounds[key as usize] {
                self.bind(key, bound);
            }
        }
        self.stale = Set::from_bits(self.stale.bits() | other.stale.bits());
        self
    }

    /// The joined value; `None` where no pack sets it.
    #[must_use]
    pub fn value(&self, key: Key) -> Option<u64> {
        self.bounds[key as usize].map(|bound| bound.value)
    }

    /// Numbers of the packs that bound a value.
    pub fn bound_by(&self, key: Key) -> impl Iterator<Item = u8> + use<> {
        let packs = self.bounds[key as usize].map_or(0, |bound| bound.packs);
        (0..32).filter(move |number| packs >> number & 1 == 1)
    }

    /// Keys for which a pack has a rule that is not in force. The scope of a pack counts as its rule about the unknown.
    #[must_use]
    pub fn stale(&self) -> Set<Key> {
        self.stale
    }

    /// Whether a minimum is above its maximum: both cannot be kept.
    #[must_use]
    pub fn conflict(&self) -> bool {
        let value = |key| self.value(key);
        let pair = |low: Option<u64>, high: Option<u64>| matches!((low, high), (Some(low), Some(high)) if low > high);
        pair(value(Key::RetentionMinDays), value(Key::RetentionMaxDays))
    }

    /// Whether everything that `other` forbids is forbidden here too.
    #[must_use]
    pub fn as_strict_as(&self, other: &Self) -> bool {
        let bounds = |limits: &Self| limits.bounds.map(|bound| bound.map(|bound| bound.value));
        bounds(&self.join(*other)) == bounds(self)
            && self.stale.bits() | other.stale.bits() == self.stale.bits()
    }
}

impl Bound {
    fn join(self, other: Self, stricter: Stricter) -> Self {
        let both = self.packs | other.packs;
        let packs = |ours: bool, theirs: bool| match (ours, theirs) {
            (true, false) => self.packs,
            (false, true) => other.packs,
            _ => both,
        };
        let (a, b) = (self.value, other.value);
        match stricter {
            Stricter::Larger => Self {
                value: a.max(b),
                packs: packs(a > b, b > a),
            },
            Stricter::Smaller => Self {
                value: a.min(b),
                packs: packs(a < b, b < a),
            },
            Stricter::Union => Self {
                value: a | b,
                packs: packs(b == 0 && a != 0, a == 0 && b != 0),
            },
            Stricter::Intersection => Self {
                value: a & b,
                packs: both,
            },
        }
    }
}
