//! The one place where the coordinator reads the clock.

use std::time::{SystemTime, UNIX_EPOCH};

use aquifer_shared::base::time::Timestamp;

/// Now, as the cores take it.
#[must_use]
pub fn now() -> Timestamp {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
