//! The only thing about customers that may leave: bytes that a durable charge paid for.

use crate::core::ledger::Charge;

/// A noisy sum in its frame, paid for.
///
/// # Privacy
///
/// It can be built from a [`Charge`] only, and a charge only from a journal acknowledgement; it holds the bytes that the
/// charge names, so sending it once more costs nothing.
#[derive(Debug)]
pub struct Released {
    frame: Vec<u8>,
}

impl Released {
    /// The frame, if it is the one that was charged.
    pub(super) fn of(charge: &Charge, frame: &[u8]) -> Option<Self> {
        charge.covers(frame).then(|| Self {
            frame: frame.to_vec(),
        })
    }

    /// The frame as it goes to the coordinator.
    #[must_use]
    pub fn frame(&self) -> &[u8] {
        &self.frame
    }

    /// The frame as it goes to the coordinator.
    #[must_use]
    pub fn into_frame(self) -> Vec<u8> {
        self.frame
    }
}
