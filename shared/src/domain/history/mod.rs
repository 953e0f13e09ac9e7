//! What a history is made of: one leaf for each event, and the payload that it commits to.
//!
//! A leaf has 108 bytes and says what kind of thing happened, when, and who did it by class; everything else is in the payload, of which
//! the leaf holds a salted hash only. Payload and salt can be erased; the tree over the leaves stays as it was. Pure: no clock, no file, no
//! randomness. The formats are in docs/history.md.

mod event;
mod json;
mod kind;
mod leaf;
#[cfg(test)]
mod tests;

pub use event::{Event, payload_commit};
pub use json::{BadPayload, Json};
pub use kind::{Kind, Persons, Retention, Severity};
pub use leaf::{ActorKind, ActorRole, BadLeaf, LEAF_BYTES, Leaf, SCHEMA_VERSION};
