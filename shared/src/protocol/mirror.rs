//! What a node says of its ledger beside its sums: copies for the coordinator's mirror, and what its budgets leave.

use serde::{Deserialize, Serialize};

use crate::base::limits::{GREETING_BYTES_MAX, LEDGER_COPY_BYTES_MAX, LEDGER_LINK_BYTES_MAX};
use crate::base::units::MicroRho;
use crate::protocol::chain::Head;
use crate::protocol::wire::{Message, Signature, message};

message!(
    23,
    LedgerCopy,
    LEDGER_COPY_BYTES_MAX + LEDGER_LINK_BYTES_MAX
);
message!(24, LedgerHeld, GREETING_BYTES_MAX);
message!(36, BudgetLeft, GREETING_BYTES_MAX);

/// N→C: entries of the node's ledger for the coordinator's mirror.
///
/// The first link follows an entry that the mirror holds (or none, at position 1). Normally that is the mirror's last entry.
/// Where it is an earlier one, the node's operator gave up what came after it: the mirror follows the copy from there on. A node
/// sends copies only once it has heard [`LedgerHeld`] and agrees with it, so a node that forgot entries replaces none.
///
/// # Privacy
///
/// Entries hold studies, prices and hashes: nothing about customers.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct LedgerCopy {
    /// Encoded links of the chain, in order.
    pub links: Vec<Vec<u8>>,
    /// By the node's identity key over [`ledger_digest`](crate::protocol::wire::ledger_digest) of the head behind the last link.
    pub signature: Signature,
}

/// C→N, right after the welcome and before anything else: the position of the coordinator's mirror of the node's ledger, with
/// the node's own signature.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct LedgerHeld {
    /// Position of the last entry that the mirror holds; zero if it holds none.
    pub head: Head,
    /// The node's signature over [`ledger_digest`](crate::protocol::wire::ledger_digest); empty if the mirror holds nothing.
    pub signature: Signature,
}

/// N→C, beside the copies of its ledger: what its own caps leave for studies of everybody, of what is neither charged nor set aside.
///
/// For price tags: it comes a moment after what has changed it, and the node decides by its ledger, not by this.
///
/// # Privacy
///
/// Prices and caps: nothing about customers.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct BudgetLeft {
    /// The least of what its caps leave.
    pub urho: MicroRho,
}
