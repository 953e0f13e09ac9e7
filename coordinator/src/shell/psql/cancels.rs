//! Waits that a client may give up from another connection. What is charged stays charged, and the answer is kept.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

/// Every connection that may be told to stop waiting.
#[derive(Debug, Default)]
pub(super) struct Cancels {
    open: Mutex<HashMap<i32, (i32, Arc<Notify>)>>,
}

impl Cancels {
    /// A connection comes, with a random number and key; false if the number is taken.
    pub(super) fn add(&self, number: i32, key: i32, wake: Arc<Notify>) -> bool {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.contains_key(&number) {
            return false;
        }
        open.insert(number, (key, wake));
        true
    }

    /// It leaves.
    pub(super) fn remove(&self, number: i32) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.remove(&number);
    }

    /// Somebody asks that it stop waiting; says nothing about whether it does.
    pub(super) fn cancel(&self, number: i32, key: i32) {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((own, wake)) = open.get(&number)
            && *own == key
        {
            wake.notify_waiters();
        }
    }
}
