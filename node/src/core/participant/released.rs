//! The only thing about customers that may leave: bytes that a durable charge paid for.

use aquifer_shared::base::ids::Hash32;
use aquifer_shared::domain::sum::attempt_id;
use aquifer_shared::protocol::aggregation::{Checks, Guard};
use aquifer_shared::protocol::wire::{HEADER_BYTES, Message, Opening, Shares, frame};

use crate::core::ledger::Charge;

/// A frame with something about customers, paid for: a noisy sum, shares of one, or a point of the sum of many.
///
/// # Privacy
///
/// It can be built from a [`Charge`] only, and a charge only from a journal acknowledgement. An update is the one that the
/// charge names; shares are among the roster that it names. Sending them once more costs nothing.
#[derive(Debug)]
pub struct Released {
    frame: Vec<u8>,
}

impl Released {
    /// The frame of an update, if it is the one that was charged.
    pub(super) fn update(charge: &Charge, frame: &[u8]) -> Option<Self> {
        charge.covers(frame).then(|| Self {
            frame: frame.to_vec(),
        })
    }

    /// The frame of shares, if they are of the attempt and among the roster that were charged.
    pub(super) fn shares(checks: Checks, charge: &Charge, frame: Vec<u8>) -> Option<Self> {
        let (study, round, attempt) = charge.attempt();
        let kind = *frame.get(1)?;
        let head = frame.get(HEADER_BYTES..HEADER_BYTES + 64)?;
        let (of, roster) = head.split_at(32);
        let roster = Hash32(roster.try_into().ok()?);
        let among = checks.hold(Guard::OneRoster, charge.covers_shares(&roster));
        let charged = of == attempt_id(&study, round, attempt).0 && charge.pays_shares();
        (kind == Shares::KIND && charged && among).then_some(Self { frame })
    }

    /// The frame of an opening, if its attempt was charged and dealt among this roster.
    pub(super) fn opening(charge: &Charge, opening: &Opening) -> Option<Self> {
        let (study, round, attempt) = charge.attempt();
        let charged = opening.attempt == attempt_id(&study, round, attempt);
        (charged && charge.pays_shares()).then(|| Self {
            frame: frame(opening),
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
