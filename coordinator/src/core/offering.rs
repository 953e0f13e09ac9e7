//! The time before the first round: who has accepted, and whether that is enough to begin.

use std::ops::Range;

use aquifer_shared::base::time::Timestamp;
use aquifer_shared::domain::sum::{Plan, TrustMode};
use aquifer_shared::protocol::wire::Verdict;

use super::event::{Abort, Ending, Member};
use super::seat::Seat;
use super::study::{Stage, Study};

/// How a part of the roster has answered the offer.
struct Acceptance {
    accepted: usize,
    open: usize,
    held: usize,
    members: usize,
    needed: usize,
}

impl Acceptance {
    fn is_enough(&self) -> bool {
        self.accepted >= self.needed
    }

    /// Whether it may still be enough: people may take until the study expires; silent nodes may not.
    fn may_do(&self, late: bool) -> bool {
        self.accepted + if late { self.held } else { self.open } >= self.needed
    }
}

impl Study {
    /// Starts once all have answered, or at the deadline; ends the study where too few can accept.
    pub(super) fn advance_offer(&mut self, now: Timestamp, deadline: Timestamp, late: bool) {
        let late = late || now >= deadline;
        self.stage = Stage::Offered { deadline, late };
        // Questions are for those who are here.
        let question = matches!(self.terms.plan, Plan::Question { .. });
        let open = self
            .seats
            .iter()
            .filter(|seat| !seat.has_answered() && (seat.connected || !question));
        let answered = open.count() == 0;
        let counts = self.acceptances();
        if counts.iter().all(Acceptance::is_enough) && (answered || late) {
            return self.start(now);
        }
        let hopeless = counts
            .iter()
            .zip(0..)
            .find(|(count, _)| !count.may_do(late));
        if let Some((count, group)) = hopeless {
            let abort = self.not_accepted(count, group);
            self.end(now, Ending::Aborted(abort));
        }
    }

    /// Who has accepted, for each part of the roster that needs a number of members of its own.
    fn acceptances(&self) -> Vec<Acceptance> {
        let needed = |members: &Range<Member>| match self.terms.thresholds(members.len()) {
            Ok(thresholds) if self.terms.mode == TrustMode::SharedNoise => thresholds.dealers_min(),
            _ => self.terms.quorum.into(),
        };
        let count = |members: &Range<Member>| {
            let seats = &self.seats[members.clone()];
            let of = |is: fn(&Seat) -> bool| seats.iter().filter(|seat| is(seat)).count();
            Acceptance {
                accepted: of(Seat::has_accepted),
                open: of(|seat| !seat.has_answered()),
                held: of(|seat| seat.verdict == Some(Verdict::Held)),
                members: seats.len(),
                needed: needed(members),
            }
        };
        self.groups.iter().map(count).collect()
    }

    fn not_accepted(&self, count: &Acceptance, group: u16) -> Abort {
        let (accepted, members) = (count.accepted as u32, count.members as u32);
        let needed = count.needed as u32;
        match self.terms.mode {
            TrustMode::NodeNoise => Abort::TooFewAccepted {
                accepted,
                members,
                quorum: needed,
            },
            TrustMode::SharedNoise => Abort::GroupNotAccepted {
                group,
                accepted,
                members,
                needed,
            },
        }
    }
}
