//! Bugs that are planted to see whether they are noticed.

/// A bug.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Plant {
    /// A disk acknowledges what it has not kept yet.
    ForgottenFsync,
    /// The noise source gives the same vector twice.
    ReusedNoise,
}
