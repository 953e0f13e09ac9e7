//! What a node says of its budgets.

use serde::{Deserialize, Serialize};

use crate::base::limits::GREETING_BYTES_MAX;
use crate::base::units::MicroRho;
use crate::protocol::wire::{Message, message};

message!(36, BudgetLeft, GREETING_BYTES_MAX);

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
