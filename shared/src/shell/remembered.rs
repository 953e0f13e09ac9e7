//! Results of pure functions that are dear to compute, kept by their arguments: prices and scales come again and again.
//!
//! # Privacy
//!
//! For public numbers only.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// The last results, up to [`RESULTS_MAX`].
#[derive(Debug)]
pub(super) struct Remembered<K, V> {
    known: Mutex<BTreeMap<K, V>>,
}

/// All are forgotten where one more would be too many.
const RESULTS_MAX: usize = 1_024;

impl<K: Copy + Ord, V: Copy> Remembered<K, V> {
    pub(super) const fn new() -> Self {
        Self {
            known: Mutex::new(BTreeMap::new()),
        }
    }

    /// What is known for these arguments, or what is computed now; a failure is not kept.
    pub(super) fn of<E>(&self, key: K, compute: impl FnOnce() -> Result<V, E>) -> Result<V, E> {
        let lock = || self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = lock().get(&key) {
            return Ok(*known);
        }
        let found = compute()?;
        let mut known = lock();
        if known.len() >= RESULTS_MAX {
            known.clear();
        }
        known.insert(key, found);
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_is_not_computed_again() {
        let squares = Remembered::new();
        assert_eq!(squares.of(3, || Err("no")), Err("no"));
        assert_eq!(squares.of(3, || Ok::<_, &str>(9)), Ok(9));
        assert_eq!(squares.of(3, || Err("computed again")), Ok(9));
        for number in 0..2 * RESULTS_MAX {
            assert_eq!(
                squares.of(number, || Ok::<_, ()>(number)),
                Ok(if number == 3 { 9 } else { number })
            );
            assert!(squares.known.lock().unwrap().len() <= RESULTS_MAX);
        }
    }
}
