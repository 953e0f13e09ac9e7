//! What node and coordinator say about their logs.

use serde::{Deserialize, Serialize};

use crate::base::ids::{Hash32, IdentityKey};
use crate::base::limits::{GREETING_BYTES_MAX, NOTE_BYTES_MAX};
use crate::protocol::wire::{Message, Signature, message};

message!(25, LogSeen, GREETING_BYTES_MAX);
message!(26, LogHead, GREETING_BYTES_MAX);
message!(27, Cosigned, GREETING_BYTES_MAX);
message!(28, LogQuorum, NOTE_BYTES_MAX + 8);
message!(29, NodeHead, GREETING_BYTES_MAX);
message!(32, NodeHeld, GREETING_BYTES_MAX);

/// N→C, after the welcome: what the node signed last of the coordinator's log; zeros before the first time.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct LogSeen {
    /// Leaves.
    pub size: u64,
    /// Root of them.
    pub root: Hash32,
}

/// C→N: the coordinator's log now, and why it continues what the node saw.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct LogHead {
    /// The log's key; a node keeps the first that it hears.
    pub key: IdentityKey,
    /// Signed checkpoint (C2SP).
    pub note: String,
    /// Leaves that the node saw.
    pub from: u64,
    /// Proof from there (RFC 6962, 2.1.2).
    pub consistency: Vec<Hash32>,
}

/// N→C: a cosignature (C2SP tlog-cosignature), after what it signs is on the node's disk.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Cosigned {
    /// Leaves.
    pub size: u64,
    /// Root of them.
    pub root: Hash32,
    /// When, in seconds since 1970.
    pub seconds: u64,
    /// Ed25519 by the node's identity key.
    pub signature: Signature,
}

/// C→N: the newest checkpoint with the cosignatures that it has.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct LogQuorum {
    /// Signed checkpoint with cosignatures.
    pub note: String,
}

/// N→C: the newest checkpoint of the node's own log, which is entered in the coordinator's.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct NodeHead {
    /// Signed checkpoint.
    pub note: String,
}

/// C→N, at the beginning of a session: the newest checkpoint of the node's own log that the coordinator knows.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct NodeHeld {
    /// As the node signed it.
    pub note: String,
}
