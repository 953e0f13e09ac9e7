//! Nodes as witnesses of the coordinator's log: each signs what it saw, and works only on what enough others saw too.
//!
//! A coordinator that shows two histories gets the signatures of half of the nodes at most under one of them; nodes under the other find no
//! quorum and stop. Both sides are here, without sockets or files: [`Gathering`] is the coordinator's, [`Member`] a node's.

mod gathering;
mod member;
mod messages;
mod note;
#[cfg(test)]
mod tests;

pub use gathering::Gathering;
pub use member::{Fork, Held, Member, Step};
pub use messages::{Cosigned, LogHead, LogQuorum, LogSeen, NodeHead, NodeHeld};
pub use note::{
    coordinator_origin, cosigned_text, node_origin, quorum, read_note, read_tlog_proof, tlog_proof,
    with_cosignatures,
};
