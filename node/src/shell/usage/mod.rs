//! The usage ledger of a unit: for which studies and answers a person's record was eligible, and what those were charged.
//!
//! `usage.db` of the node's directory. What was charged is folded from the budget ledger; who was eligible comes from the cuts that sums
//! were taken with. Written by a thread of its own: nothing waits for it. Where a cut is not known, everybody counts.

mod binding;
mod entries;
mod ledger;
mod look;
mod masks;
mod persons;
#[cfg(test)]
pub(in crate::shell) mod tests;
mod writer;

pub(in crate::shell) use binding::changed;
pub use binding::{bind, hold};
pub(in crate::shell) use ledger::fault;
pub use ledger::{USAGE_FILE, UsageFault, UsageLedger};
pub use look::{Lost, UsedRun};
pub use masks::{KeptMask, told};
pub use writer::{News, Usage, UsageThread, start};
