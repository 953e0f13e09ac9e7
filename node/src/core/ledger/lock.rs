//! When a ledger may not be used: somebody has seen entries of it that it does not hold.

use std::fmt;

use aquifer_shared::protocol::chain::Head;

use super::Ledger;

/// How a ledger disagrees with what was seen of it.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum LockReason {
    /// The ledger has lost entries.
    #[error("it ends at entry {ledger}, {by} has seen entry {seen}")]
    Behind {
        /// Last entry of the ledger.
        ledger: u64,
        /// Entry that was seen.
        seen: u64,
        /// By whom.
        by: SeenBy,
    },
    /// The ledger has another past.
    #[error("entry {seq} is not the one that {by} has seen")]
    Forked {
        /// The entry.
        seq: u64,
        /// By whom.
        by: SeenBy,
    },
    /// The witness is gone.
    #[error(
        "it has {ledger} entries and no witness; if the witness volume was lost: `aquifer-node ledger adopt`"
    )]
    Missing {
        /// Last entry of the ledger.
        ledger: u64,
    },
    /// The witness cannot be read.
    #[error(
        "its witness holds no valid line; if that volume is damaged: `aquifer-node ledger adopt`"
    )]
    Unreadable,
}

/// Who has seen more of a ledger than it holds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SeenBy {
    /// The witness file.
    Witness,
    /// The coordinator's mirror, with this node's own signature.
    Mirror,
}

impl fmt::Display for SeenBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Witness => "its witness",
            Self::Mirror => "the coordinator's mirror, signed by this node,",
        })
    }
}

impl Ledger {
    /// Holds the ledger against a position at which somebody has seen it.
    ///
    /// # Errors
    ///
    /// Its durable entries do not pass through that position, and its operator has not given that up.
    pub fn held_against(&self, seen: Head, by: SeenBy) -> Result<(), LockReason> {
        let ledger = self.durable().seq;
        let passes = seen.seq <= ledger && self.contains(seen);
        if passes || self.has_given_up(seen) {
            return Ok(());
        }
        let seq = seen.seq;
        if seq > ledger {
            return Err(LockReason::Behind {
                ledger,
                seen: seq,
                by,
            });
        }
        Err(LockReason::Forked { seq, by })
    }
}
