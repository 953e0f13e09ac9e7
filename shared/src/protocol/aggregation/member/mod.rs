//! A node's side of one attempt at a secure sum, from "sum and noise are there" to its opening.
//!
//! Pure: fresh bytes, marks and acknowledgements are arguments. What stays with the caller (the node's participant): the
//! checks of a task, slots, the ledger, deadlines, END. It must keep these orders, which this machine cannot see:
//!
//! 1. [`OnRoster::Charge`]: write the charge and the marks in one durable batch, **then** call [`Member::deal`] and send what
//!    it returns (wrapped in what only a durable charge can build).
//! 2. [`OnDelivery::Mark`]: write the marks durably, **then** call [`Member::confirm`] and send what it returns.
//!
//! | state | waits for | answers |
//! | --- | --- | --- |
//! | Ready | ROSTER | `Charge` |
//! | Charging | [`Member::deal`] | same ROSTER: `Wait` |
//! | Dealt | DELIVERY | `Mark` or `Cannot`; same ROSTER: `Resend` |
//! | Marking | [`Member::confirm`] | same DELIVERY: `Wait` |
//! | Confirmed | PROOF | opening; same DELIVERY: `Resend` |
//! | Opened | END (caller) | PROOF: same opening; same DELIVERY: `Resend` |
//! | Erased | nothing | everything is refused as `NotLive` |
//!
//! Every message for another attempt, or out of state, is refused as `NotLive` and changes nothing. A refusal with
//! [`MemberRefusal::ends`] has wiped the attempt: the caller closes it (charged if it was) and drops the machine.

use std::sync::Arc;

use super::{
    Advert, Cannot, Confirm, Delivery, Guard, MemberSet, Opening, Proof, Roster, Setting, Sign,
};
use crate::base::ids::{Hash32, IdentityKey};
use crate::base::secret::Secret;
use crate::domain::sum::Thresholds;
use crate::protocol::chain::Head;
use crate::protocol::wire::RefusalCode;

/// The machine. Its secrets are wiped when they are no longer needed, and all of them when it is dropped.
#[derive(Debug)]
pub struct Member {
    setting: Setting,
    seat: Seat,
}

/// A node's place in its group.
#[derive(Clone, Debug)]
pub struct Seat {
    /// Its index, from 1 ([`Setting::index_of`]).
    pub own: u16,
    /// For the group's thresholds; made once a study.
    pub table: DealingTable,
}

/// What dealing needs and only the thresholds determine: computed once a study (3 ms at 128 members), cheap to clone.
#[derive(Clone, Debug)]
pub struct DealingTable(Arc<()>);

impl DealingTable {
    /// Computes it.
    #[must_use]
    pub fn new(thresholds: Thresholds) -> Self {
        todo!()
    }
}

/// What a node brings into an attempt.
#[derive(Debug)]
pub struct Contribution {
    /// Exact sum plus this node's noise, one number per cell.
    ///
    /// # Privacy
    ///
    /// Noise of this node alone: a share of what protects its customers. Leaves only dealt and sealed.
    pub noisy: Secret<Vec<i64>>,
    /// Position of the node's ledger: its last durable entry.
    pub ledger: Head,
    /// 32 bytes that were never used: the ephemeral key.
    pub fresh: Secret<[u8; 32]>,
}

/// A roster was accepted.
#[derive(Debug, Eq, PartialEq)]
pub enum OnRoster {
    /// For the first time: charge, then [`Member::deal`].
    Charge {
        /// Its hash: part of the charge.
        roster: Hash32,
        /// Where the ledgers of the other members stand: marks with `dealt` false, in the same batch.
        marks: Vec<(IdentityKey, Head)>,
    },
    /// The same again, after dealing: the same frame of SHARES again.
    Resend(Vec<u8>),
    /// The same again; the answer is on its way or is not needed any more.
    Wait,
}

/// A delivery was taken.
#[derive(Debug, Eq, PartialEq)]
pub enum OnDelivery {
    /// The set is fixed: make these marks (`dealt` true) durable, then [`Member::confirm`].
    Mark {
        /// U.
        dealers: MemberSet,
        /// Its members but this one.
        peers: Vec<IdentityKey>,
    },
    /// The same set again: the same confirmation again.
    Resend(Confirm),
    /// The same set again while its marks are being written.
    Wait,
    /// Records of these dealers are missing or do not open: to be sent; nothing is fixed.
    Cannot(Cannot),
}

/// A message was refused.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{broken} does not hold")]
pub struct MemberRefusal {
    /// For the coordinator.
    pub code: RefusalCode,
    /// For the coordinator: index of the peer in [`RefusalCode::PeerBehind`], else 0.
    pub detail: u64,
    /// For the log: the rule.
    pub broken: Broken,
    /// For the log: the member that the rule is about.
    pub peer: Option<u16>,
    /// Whether the attempt is over at this node.
    pub ends: bool,
    /// For the audit: what does not fit together.
    pub evidence: Option<Box<Evidence>>,
}

/// Which rule a refused message broke.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Broken {
    /// A rule of the protocol.
    #[error("{}", .0.name())]
    Rule(Guard),
    /// The message is for another attempt or comes out of turn.
    #[error("live-attempt")]
    Live,
}

/// Two things of which there must be one per attempt: public bytes only.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Evidence {
    /// Two rosters.
    Rosters {
        /// The one that was accepted.
        held: Roster,
        /// The other.
        shown: Roster,
    },
    /// Two sets of dealers.
    Sets {
        /// The roster of both.
        roster: Hash32,
        /// The one that was fixed.
        held: MemberSet,
        /// The other.
        shown: MemberSet,
    },
}

impl Member {
    /// Begins: makes the ephemeral key and the advert. The caller sends it at its slot, and sends the same again where the
    /// same task comes again.
    ///
    /// # Panics
    ///
    /// If the noisy sum does not have exactly the cells of the setting, or the seat is not in it: bugs of the caller.
    ///
    /// # Privacy
    ///
    /// Nothing about the sum is in the advert.
    #[must_use]
    pub fn advertise(
        setting: Setting,
        seat: Seat,
        contribution: Contribution,
        sign: Sign<'_>,
    ) -> (Self, Advert) {
        todo!()
    }

    /// The attempt.
    #[must_use]
    pub fn setting(&self) -> &Setting {
        &self.setting
    }

    /// The advert, the same bytes whenever it is sent.
    #[must_use]
    pub fn advert(&self) -> &Advert {
        todo!()
    }

    /// Whether a charge was asked for: what the attempt counts as when it ends early.
    #[must_use]
    pub fn is_charged(&self) -> bool {
        todo!()
    }

    /// Takes a roster. `fresh` are 32 bytes drawn after it came (the dealing seed; wiped where they are not needed); `behind`
    /// says whether a peer's ledger is behind or beside its mark.
    ///
    /// # Errors
    ///
    /// A roster that breaks a rule ends the attempt; so does a second one, with both as evidence.
    pub fn on_roster(
        &mut self,
        roster: Roster,
        fresh: Secret<[u8; 32]>,
        behind: &dyn Fn(&IdentityKey, &Head) -> bool,
    ) -> Result<OnRoster, MemberRefusal> {
        todo!()
    }

    /// Deals: the frame of SHARES. To be called **only when the charge is durable**; `None` where no roster waits for it.
    ///
    /// # Privacy
    ///
    /// Each record can be opened by its receiver alone; any `c_max` of them tell nothing about the sum. The noisy sum and the
    /// seed are wiped.
    #[must_use]
    pub fn deal(&mut self) -> Option<Vec<u8>> {
        todo!()
    }

    /// Takes a delivery: opens the records and adds them up.
    ///
    /// # Errors
    ///
    /// One that breaks a rule (nothing changes), or a second set (ends the attempt, with both as evidence).
    pub fn on_delivery(&mut self, delivery: Delivery) -> Result<OnDelivery, MemberRefusal> {
        todo!()
    }

    /// Confirms the fixed set. To be called **only when the marks are durable**; `None` where no set is fixed.
    #[must_use]
    pub fn confirm(&mut self, sign: Sign<'_>) -> Option<Confirm> {
        todo!()
    }

    /// Takes a proof: the opening, the same bytes every time.
    ///
    /// # Errors
    ///
    /// Fewer than Q valid confirmations of distinct members of the roster over the set that this node confirmed; nothing
    /// changes then.
    ///
    /// # Privacy
    ///
    /// The opening is this node's point of the sum over all dealers; it leaves only when no other set can be opened.
    pub fn on_proof(&mut self, proof: &Proof, sign: Sign<'_>) -> Result<Opening, MemberRefusal> {
        todo!()
    }
}
