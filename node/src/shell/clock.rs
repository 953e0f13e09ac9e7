//! The clock of the shell; the core gets time as an argument.

use aquifer_shared::base::time::Timestamp;
use aquifer_shared::shell::platform::{Platform, System};

/// Now, in milliseconds since 1970; the epoch itself where the clock is before it.
#[must_use]
pub fn now() -> Timestamp {
    System.now()
}
