//! The clock of the shell; the core gets time as an argument.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aquifer_shared::base::time::Timestamp;

/// Now, in milliseconds since 1970; the epoch itself where the clock is before it.
#[must_use]
pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let since = since.unwrap_or(Duration::ZERO);
    Timestamp(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
