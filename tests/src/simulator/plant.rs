//! Bugs that are planted to see whether they are noticed.

use aquifer_shared::protocol::aggregation::Guard;

/// A bug.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Plant {
    /// A rule of the machines is not kept.
    Missing(Guard),
    /// A disk acknowledges what it has not kept yet.
    ForgottenFsync,
    /// The noise source gives the same vector twice.
    ReusedNoise,
}
