//! What both sides of one attempt know before it begins, and how signatures are made and checked.

use std::sync::Arc;

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};

use super::{Checks, Signature64};
use crate::base::ids::{AttemptId, Hash32, IdentityKey};
use crate::domain::sum::Thresholds;

/// Makes an Ed25519 signature over a labelled digest with the node's identity key.
pub type Sign<'a> = &'a dyn Fn(&Hash32) -> Vec<u8>;

/// Checks a signature; [`is_signed`] in every program. A function, so that simulations can remember what they checked.
pub type Verify = fn(&IdentityKey, &Hash32, &Signature64) -> bool;

/// One attempt at one private sum of one group, as its task and the signed study fix it.
#[derive(Clone, Debug)]
pub struct Setting {
    /// The attempt.
    pub attempt: AttemptId,
    /// Hash of its task.
    pub task: Hash32,
    /// Identity keys of the group, by rising index (member 1 first); as many as the thresholds say.
    pub members: Arc<[IdentityKey]>,
    /// Tolerances of the group.
    pub thresholds: Thresholds,
    /// Cells of the vector, 1 or more.
    pub cells: usize,
    /// How rules are judged.
    pub checks: Checks,
    /// How signatures are checked.
    pub verify: Verify,
}

/// Whether `signature` is `key`'s over `digest`: plain Ed25519.
#[must_use]
pub fn is_signed(key: &IdentityKey, digest: &Hash32, signature: &Signature64) -> bool {
    UnparsedPublicKey::new(&ED25519, key.0)
        .verify(&digest.0, &signature.0)
        .is_ok()
}

impl Setting {
    /// Elements of one share record: L.
    #[must_use]
    pub fn blocks(&self) -> usize {
        self.thresholds.blocks(self.cells)
    }

    /// The identity key of a member.
    #[must_use]
    pub fn key_of(&self, index: u16) -> Option<&IdentityKey> {
        self.members.get(usize::from(index).checked_sub(1)?)
    }

    /// The index of a member of the group, from 1.
    #[must_use]
    pub fn index_of(&self, key: &IdentityKey) -> Option<u16> {
        let place = self.members.iter().position(|member| member == key)?;
        u16::try_from(place + 1).ok()
    }

    /// Whether a member signed this digest.
    #[must_use]
    pub fn is_by(&self, index: u16, digest: &Hash32, signature: &Signature64) -> bool {
        self.key_of(index)
            .is_some_and(|key| (self.verify)(key, digest, signature))
    }
}

/// A signature of the node's own, in its fixed length.
pub(super) fn signed(sign: Sign<'_>, digest: &Hash32) -> Signature64 {
    let bytes = sign(digest).try_into();
    Signature64(bytes.expect("an Ed25519 signature has 64 bytes"))
}
