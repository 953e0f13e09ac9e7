//! What a node hears whose program is not one of those that the coordinator's settings demand.

use serde::{Deserialize, Serialize};

use crate::base::ids::Hash32;
use crate::base::limits::{GREETING_BYTES_MAX, PROGRAMS_MAX};
use crate::protocol::wire::{Message, message};

message!(33, ProgramRefused, GREETING_BYTES_MAX);

/// C→N, in place of the welcome: this program is not on the list. The connection is closed once the node has read it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct ProgramRefused {
    /// What the node reported.
    pub found: Hash32,
    /// What is demanded: one of these.
    pub expected: Vec<Hash32>,
}

const _: () = assert!((PROGRAMS_MAX + 1) * size_of::<Hash32>() + 8 <= GREETING_BYTES_MAX);
