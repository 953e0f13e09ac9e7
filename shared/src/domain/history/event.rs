//! An event before it is written down, and what its leaf commits to.

use super::json::Json;
use super::kind::Kind;
use super::leaf::{ActorKind, ActorRole};
use crate::base::hash::labelled;
use crate::base::ids::Hash32;

/// What happened, for a log that gives it its place and time.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Event {
    /// What.
    pub kind: Kind,
    /// Who, by kind.
    pub actor_kind: ActorKind,
    /// Who, by role.
    pub actor_role: ActorRole,
    /// Packs and settings in force; zero where none are.
    pub policy: Hash32,
    /// Everything else: an object.
    pub payload: Json,
}

impl Event {
    /// Something that a program did by itself, with no packs in force.
    #[must_use]
    pub fn of_program(kind: Kind, payload: Json) -> Self {
        Self {
            kind,
            actor_kind: ActorKind::Program,
            actor_role: ActorRole::None,
            policy: Hash32::default(),
            payload,
        }
    }

    /// The same, done by somebody.
    #[must_use]
    pub fn by(self, actor_kind: ActorKind, actor_role: impl Into<ActorRole>) -> Self {
        Self {
            actor_kind,
            actor_role: actor_role.into(),
            ..self
        }
    }
}

/// `SHA-256(u8(18) ‖ "aquifer/payload/v1" ‖ salt ‖ payload)`.
///
/// # Privacy
///
/// Without the salt the hash says nothing about the payload, however few payloads are possible: the salt has 32 random bytes.
#[must_use]
pub fn payload_commit(salt: &[u8; 32], payload: &[u8]) -> Hash32 {
    labelled("aquifer/payload/v1", &[salt, payload])
}
