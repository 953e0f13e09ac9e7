//! Time as an argument: milliseconds since the Unix epoch. Nothing here reads a clock.

use serde::{Deserialize, Serialize};

/// A moment, in milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// The moment `ms` milliseconds later; the far end of time where that does not fit.
    #[must_use]
    pub fn after_ms(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// Milliseconds from `earlier` to `self`; 0 if the clock ran backwards.
    #[must_use]
    pub fn since_ms(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// The first multiple of `slot_ms` after `start` that is not before `self`; `self` where there are no slots.
    #[must_use]
    pub fn next_slot(self, start: Self, slot_ms: u32) -> Self {
        if slot_ms == 0 {
            return self;
        }
        let slot = u64::from(slot_ms);
        let slots = self.since_ms(start).div_ceil(slot).max(1);
        start.after_ms(slots.saturating_mul(slot))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_leaves_at_a_multiple_of_the_slot() {
        let start = Timestamp(1_007);
        assert_eq!(Timestamp(1_007).next_slot(start, 100), Timestamp(1_107));
        assert_eq!(Timestamp(1_107).next_slot(start, 100), Timestamp(1_107));
        assert_eq!(Timestamp(1_108).next_slot(start, 100), Timestamp(1_207));
        assert_eq!(Timestamp(1_108).next_slot(start, 0), Timestamp(1_108));
    }
}
