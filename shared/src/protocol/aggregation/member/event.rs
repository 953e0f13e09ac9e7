//! What a node brings into an attempt, and what becomes of the messages that it gets.

use std::sync::Arc;

use crate::base::ids::{Hash32, IdentityKey};
use crate::base::secret::Secret;
use crate::domain::sharing::Dealer;
use crate::domain::sum::Thresholds;
use crate::protocol::aggregation::setting::packing;
use crate::protocol::aggregation::{Cannot, Confirm, MemberSet};
use crate::protocol::chain::Head;

/// A node's place in its group.
#[derive(Clone, Debug)]
pub struct Seat {
    /// Its index, from 1 (`Setting::index_of`).
    pub own: u16,
    /// For the group's thresholds; made once a study.
    pub table: DealingTable,
}

/// What dealing needs and only the thresholds determine: computed once a study (3 ms at 128 members), cheap to clone.
#[derive(Clone, Debug)]
pub struct DealingTable(Arc<Dealer>);

impl DealingTable {
    /// Computes it.
    #[must_use]
    pub fn new(thresholds: Thresholds) -> Self {
        Self(Arc::new(Dealer::new(packing(thresholds))))
    }

    pub(super) fn dealer(&self) -> &Dealer {
        &self.0
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
    /// For the first time: charge, then `Member::deal`.
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
    /// The set is fixed: make these marks (`dealt` true) durable, then `Member::confirm`.
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
