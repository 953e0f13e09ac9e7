//! What goes in and out of the ledger: entries on their way to the disk, studies that wait, and what can be wrong.

use aquifer_shared::base::ids::StudyHash;
use aquifer_shared::base::time::Timestamp;
use aquifer_shared::base::units::MicroRho;
use aquifer_shared::domain::sum::StudyTerms;
use aquifer_shared::protocol::chain::{BrokenChain, Head};
use aquifer_shared::protocol::codec::CodecError;
use aquifer_shared::protocol::wire::Approval;

use super::entry::EndReason;

/// A study that waits for a person, or to which a person said no.
#[derive(Clone, Debug)]
pub struct Waiting {
    /// Its terms.
    pub terms: StudyTerms,
    /// The terms as they travelled.
    pub bytes: Vec<u8>,
    /// Approvals that came with them.
    pub approvals: Vec<Approval>,
    /// Since when.
    pub since: Timestamp,
    /// A person said no.
    pub declined: bool,
    /// Entry that says so.
    pub(super) seq: u64,
}

/// Where a study stands at this node.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Standing {
    /// Never accepted, never held.
    Unknown,
    /// Waits for a person.
    Held,
    /// A person said no.
    Declined,
    /// Budget is set aside.
    Accepted,
    /// Over; it will not come back.
    Ended(EndReason),
}

/// One entry on its way to the disk.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Record {
    /// Its number.
    pub seq: u64,
    /// The link of the chain, encoded.
    pub bytes: Vec<u8>,
    /// What is stored or dropped in the same transaction.
    pub beside: Beside,
}

/// What goes with an entry in one transaction.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Beside {
    /// Nothing.
    Nothing,
    /// The update that a charge pays for, to be sent again if it is asked for again.
    Store {
        /// The study.
        study: StudyHash,
        /// Round, from 0.
        round: u32,
        /// Attempt, from 0.
        attempt: u32,
        /// The frame.
        update: Vec<u8>,
    },
    /// All stored updates of a study that is over.
    Drop(StudyHash),
}

/// Entries for one transaction, in order.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Batch {
    /// The entries.
    pub records: Vec<Record>,
    /// The chain's head once they are durable.
    pub head: Head,
}

/// Something does not fit the budget.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{left} are left")]
pub struct Shortfall {
    /// What is left.
    pub left: MicroRho,
}

/// A ledger that cannot be trusted.
#[derive(Debug, thiserror::Error)]
pub enum LedgerFault {
    /// The chain is broken.
    #[error("the ledger's chain is broken")]
    Chain(#[from] BrokenChain),
    /// An entry cannot be read.
    #[error("ledger entry {seq} cannot be read")]
    Entry {
        /// Which.
        seq: u64,
        /// Why.
        source: CodecError,
    },
    /// An entry contradicts those before it.
    #[error("ledger entry {seq} contradicts the entries before it ({what})")]
    Contradiction {
        /// Which.
        seq: u64,
        /// How.
        what: &'static str,
    },
}
