//! Virtual time: what happens next, and what the parties believe the time to be.
//!
//! Nothing here reads a real clock. Things planned for the same moment happen in the order in which they were planned.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use aquifer_shared::base::time::Timestamp;

/// Start of every history, in milliseconds since 1970.
pub const START: Timestamp = Timestamp(1_700_000_000_000);

/// What is planned, by time.
#[derive(Debug)]
pub struct Agenda<T> {
    now: Timestamp,
    planned: u64,
    heap: BinaryHeap<Reverse<Entry<T>>>,
}

#[derive(Debug)]
struct Entry<T> {
    at: Timestamp,
    order: u64,
    what: T,
}

impl<T> Agenda<T> {
    /// Nothing is planned.
    #[must_use]
    pub fn new() -> Self {
        Self {
            now: START,
            planned: 0,
            heap: BinaryHeap::new(),
        }
    }

    /// The present.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// Plans something for a moment; what is late happens now.
    pub fn at(&mut self, at: Timestamp, what: T) {
        let (at, order) = (at.max(self.now), self.planned);
        self.planned += 1;
        self.heap.push(Reverse(Entry { at, order, what }));
    }

    /// Plans something for later.
    pub fn after_ms(&mut self, ms: u64, what: T) {
        self.at(self.now.after_ms(ms), what);
    }

    /// When the next thing happens.
    #[must_use]
    pub fn next_at(&self) -> Option<Timestamp> {
        self.heap.peek().map(|Reverse(entry)| entry.at)
    }

    /// Goes on to the next thing.
    pub fn pop(&mut self) -> Option<T> {
        let Reverse(entry) = self.heap.pop()?;
        self.now = entry.at;
        Some(entry.what)
    }
}

impl<T> Default for Agenda<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> PartialEq for Entry<T> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl<T> Eq for Entry<T> {}

impl<T> PartialOrd for Entry<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for Entry<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.at, self.order).cmp(&(other.at, other.order))
    }
}

/// A party's clock: wrong by some amount, which may jump.
#[derive(Clone, Copy, Debug, Default)]
pub struct LocalClock {
    ahead_ms: i64,
}

impl LocalClock {
    /// What the party reads at a moment.
    #[must_use]
    pub fn read(self, now: Timestamp) -> Timestamp {
        Timestamp(now.0.saturating_add_signed(self.ahead_ms))
    }

    /// The clock is set forward, or back.
    pub fn jump(&mut self, ms: i64) {
        self.ahead_ms += ms;
    }

    /// Whether the clock is right.
    #[must_use]
    pub fn is_right(self) -> bool {
        self.ahead_ms == 0
    }

    /// The clock is right again.
    pub fn mend(&mut self) {
        self.ahead_ms = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn things_happen_by_time_then_in_the_order_of_planning() {
        let mut agenda = Agenda::new();
        for (ms, name) in [(5, "c"), (1, "a"), (5, "d"), (2, "b")] {
            agenda.after_ms(ms, name);
        }
        let order: Vec<_> = std::iter::from_fn(|| agenda.pop()).collect();
        assert_eq!(order, ["a", "b", "c", "d"]);
        assert_eq!(agenda.now(), START.after_ms(5));
        agenda.at(START, "late");
        assert_eq!(agenda.pop(), Some("late"));
        assert_eq!(agenda.now(), START.after_ms(5));
    }

    #[test]
    fn a_clock_may_be_wrong() {
        let mut clock = LocalClock::default();
        clock.jump(-3_600_000);
        assert_eq!(clock.read(START).after_ms(3_600_000), START);
        assert!(!clock.is_right());
        clock.mend();
        assert_eq!(clock.read(START), START);
        assert!(clock.is_right());
    }
}
