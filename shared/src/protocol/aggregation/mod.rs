//! Secure aggregation: the coordinator learns the sum over a group of nodes and nothing else (`shared-noise`).
//!
//! Messages, what is hashed and signed of them, and the rules that both sides hold to. Reads no clock, opens nothing.

#[allow(unused, clippy::todo)]
mod assembly;
mod guards;
#[allow(unused, clippy::todo)]
mod member;
mod messages;
#[allow(unused)]
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
pub use setting::{Setting, Sign, Verify, is_signed};
