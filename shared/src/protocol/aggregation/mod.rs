//! Secure aggregation: the coordinator learns the sum over a group of nodes and nothing else (`shared-noise`).
//!
//! Messages, what is hashed and signed of them, and the rules that both sides hold to. Reads no clock, opens nothing.

mod assembly;
mod guards;
mod member;
mod messages;
mod roster;
mod seal;
mod setting;

pub use assembly::{
    Assembly, AssemblyEffect, AssemblyEvent, Audit, Durable, FailedSum, Failure, Kept, Offence,
    SecureSum, Suspicion, Timing,
};
pub use guards::{Checks, Guard};
pub use member::{
    Broken, Contribution, DealingTable, Evidence, Member, MemberRefusal, OnDelivery, OnRoster, Seat,
};
pub use messages::{
    Advert, Cannot, Confirm, Delivery, MemberSet, Opening, Proof, Roster, Sealed, Shares,
    Signature64, advert_digest, confirm_digest, opening_digest, roster_hash,
};
pub use roster::verify_advert;
pub use seal::SEAL_BYTES;
pub use setting::{Setting, Sign, Verify, carries, is_signed};

#[cfg(test)]
mod tests;
