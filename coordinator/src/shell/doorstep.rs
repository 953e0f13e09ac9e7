//! The place in front of both endpoints: who is let in while there is room, who has to show that its address is its own.
//!
//! Knows nothing of certificates or tickets: it is passed before a handshake begins.

use std::sync::Arc;

use quinn::Incoming;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Places that callers hold, each from its first packet until it leaves.
#[derive(Clone, Debug)]
pub struct Doorstep {
    room: Arc<Semaphore>,
    places: usize,
}

/// What to do with a caller.
#[derive(Debug)]
enum Verdict {
    Enter(OwnedSemaphorePermit),
    ShowAddress,
    Refuse,
}

impl Doorstep {
    /// Room for so many callers at a time.
    #[must_use]
    pub fn new(places: usize) -> Self {
        Self {
            room: Arc::new(Semaphore::new(places)),
            places,
        }
    }

    /// The caller with its place; none where it was sent back for proof of its address, or away.
    ///
    /// The last half of the places is for those who have shown that their address is their own: packets with forged senders
    /// cost nothing, and each would hold a place until its handshake times out.
    #[must_use]
    pub fn admit(&self, caller: Incoming) -> Option<(Incoming, OwnedSemaphorePermit)> {
        match self.verdict(caller.may_retry()) {
            Verdict::Enter(place) => return Some((caller, place)),
            // Allowed once for each address: that was asked just before.
            Verdict::ShowAddress => drop(caller.retry()),
            Verdict::Refuse => caller.refuse(),
        }
        None
    }

    fn verdict(&self, may_retry: bool) -> Verdict {
        if may_retry && self.room.available_permits() <= self.places / 2 {
            return Verdict::ShowAddress;
        }
        let place = self.room.clone().try_acquire_owned();
        place.map_or(Verdict::Refuse, Verdict::Enter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_half_is_for_those_who_show_their_address() {
        let doorstep = Doorstep::new(4);
        let enter = |may_retry| match doorstep.verdict(may_retry) {
            Verdict::Enter(place) => place,
            other => panic!("{other:?}"),
        };
        let first = [enter(true), enter(true)];
        assert!(matches!(doorstep.verdict(true), Verdict::ShowAddress));
        let last = [enter(false), enter(false)];
        assert!(matches!(doorstep.verdict(true), Verdict::ShowAddress));
        assert!(matches!(doorstep.verdict(false), Verdict::Refuse));
        drop((first, last));
        drop(enter(true));
    }
}
