//! Signs a log's checkpoints.
//!
//! With the key that its owner has anyway (a node's identity, the coordinator's release key): whoever knows the owner can check the log
//! without another key to be handed round. What else these keys sign are digests of 32 bytes, which no note has, and statements, which begin
//! as no log's name does.

use super::Edge;
use crate::base::ids::IdentityKey;
use crate::domain::pack::{Statement, VerifierKey, envelope, signed_statement};
use crate::domain::tlog::{Checkpoint, NoteSignature, SignedNote, key_hash};
use crate::shell::keys::Identity;

/// A log's name and key.
pub struct LogSigner {
    origin: String,
    identity: Identity,
}

impl std::fmt::Debug for LogSigner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LogSigner({})", self.origin)
    }
}

impl LogSigner {
    /// The key signs under this name.
    #[must_use]
    pub fn new(origin: String, identity: Identity) -> Self {
        Self { origin, identity }
    }

    /// The log's name.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> IdentityKey {
        self.identity.public()
    }

    /// A statement of this log's owner in its signed envelope, for audit packs.
    #[must_use]
    pub fn attested(&self, statement: &Statement) -> String {
        let key = VerifierKey::of_log(&self.origin, self.public());
        let statement = statement.to_json().to_text();
        let signature = self.identity.sign_note(&signed_statement(&statement));
        envelope(&statement, &key, &signature)
    }

    /// A signed checkpoint.
    #[must_use]
    pub fn note(&self, edge: Edge) -> String {
        let checkpoint = Checkpoint {
            origin: self.origin.clone(),
            size: edge.size,
            root: edge.root,
            extensions: Vec::new(),
        };
        let text = checkpoint.to_text();
        let signature = NoteSignature {
            name: self.origin.clone(),
            key_hash: key_hash(&self.origin, ED25519_TYPE, &self.public().0),
            bytes: self.identity.sign_note(&text),
        };
        let note = SignedNote {
            text,
            signatures: vec![signature],
        };
        note.to_text()
    }
}

/// Type of an Ed25519 signature of a note.
const ED25519_TYPE: u8 = 1;
