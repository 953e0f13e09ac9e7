//! Transparency logs: a hash tree that only grows, proofs about it, and signed checkpoints of it.
//!
//! The tree is that of RFC 6962 (Laurie, Langley, Kasper 2013) with SHA-256; notes and checkpoints are those of C2SP (signed-note,
//! tlog-checkpoint). Pure: whoever stores the hashes, and whoever signs, is elsewhere.

mod checkpoint;
mod note;
mod proof;
mod tree;

pub use checkpoint::{BadCheckpoint, Checkpoint};
pub use note::{BadNote, NoteSignature, SignedNote, key_hash};
pub use proof::{BadProof, consistency, inclusion, verify_consistency, verify_inclusion};
pub use tree::{Frontier, Hashes, leaf_hash, node_hash, root};
