//! Secure aggregation: the coordinator learns the sum over a group of nodes and nothing else (`shared-noise`).
//!
//! Messages, what is hashed and signed of them, and the rules that both sides hold to. Reads no clock, opens nothing.

mod guards;
mod messages;

pub use guards::{Checks, Guard};
pub use messages::{
    Advert, Cannot, Confirm, Delivery, MemberSet, Opening, Proof, Roster, Sealed, Shares,
    Signature64, advert_digest, confirm_digest, opening_digest, roster_hash,
};
