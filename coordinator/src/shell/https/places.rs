//! So many at a time for each party or address, and no more.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

/// Places that are counted for each key by itself.
#[derive(Debug)]
pub(super) struct Places<K> {
    most: usize,
    taken: Mutex<HashMap<K, usize>>,
}

/// A place; free again when dropped.
#[derive(Debug)]
pub(super) struct Place<K: Eq + Hash> {
    places: Arc<Places<K>>,
    key: K,
}

impl<K: Clone + Eq + Hash> Places<K> {
    /// So many for each key.
    pub(super) fn new(most: usize) -> Arc<Self> {
        let taken = Mutex::default();
        Arc::new(Self { most, taken })
    }

    /// A place; none if all of this key are taken.
    pub(super) fn take(self: &Arc<Self>, key: &K) -> Option<Place<K>> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let own = taken.get(key).copied().unwrap_or_default();
        if own >= self.most {
            return None;
        }
        taken.insert(key.clone(), own + 1);
        Some(Place {
            places: self.clone(),
            key: key.clone(),
        })
    }
}

impl<K: Eq + Hash> Drop for Place<K> {
    fn drop(&mut self) {
        let taken = &self.places.taken;
        let mut taken = taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = taken.get_mut(&self.key) {
            *own -= 1;
            if *own == 0 {
                taken.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_has_its_own_places() {
        let places = Places::new(2);
        let first = places.take(&"ada");
        let second = places.take(&"ada");
        assert!(first.is_some() && second.is_some());
        assert!(places.take(&"ada").is_none());
        assert!(places.take(&"eve").is_some());
        drop(first);
        assert!(places.take(&"ada").is_some());
        drop(second);
        assert!(places.taken.lock().unwrap().is_empty(), "nothing is kept");
    }
}
