//! The coordinator's clock, where no connection brings its platform along.

use aquifer_shared::base::time::Timestamp;
use aquifer_shared::shell::platform::{Platform, System};

/// Now, as the cores take it.
#[must_use]
pub fn now() -> Timestamp {
    System.now()
}
