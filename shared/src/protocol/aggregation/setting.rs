//! What both sides of one attempt know before it begins, and how signatures are made and checked.

use std::sync::Arc;

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};

use super::{Checks, SEAL_BYTES, Signature64};
use crate::base::ids::{AttemptId, Hash32, IdentityKey};
use crate::base::limits::SHARES_BYTES_MAX;
use crate::domain::sharing::{Packing, record_bytes};
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

/// Whether a sum of this many cells can be made: its records and openings fit into their messages.
#[must_use]
pub fn carries(thresholds: Thresholds, cells: usize) -> bool {
    let Ok(blocks) = packing(thresholds).blocks(cells) else {
        return false;
    };
    let record = record_bytes(blocks) + SEAL_BYTES + RECORD_HEAD_BYTES;
    SHARES_HEAD_BYTES + (thresholds.members() - 1) * record <= SHARES_BYTES_MAX
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

/// The sharing that these tolerances stand for.
pub(super) fn packing(thresholds: Thresholds) -> Packing {
    let packing = Packing::new(
        thresholds.members(),
        thresholds.packed(),
        thresholds.colluders_max(),
    );
    packing.expect("checked thresholds make a sharing")
}

/// A signature of the node's own, in its fixed length.
pub(super) fn signed(sign: Sign<'_>, digest: &Hash32) -> Signature64 {
    let bytes = sign(digest).try_into();
    Signature64(bytes.expect("an Ed25519 signature has 64 bytes"))
}

/// Attempt, roster and count before the records.
const SHARES_HEAD_BYTES: usize = 32 + 32 + 8;
/// Index and length before a record.
const RECORD_HEAD_BYTES: usize = 2 + 8;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::limits::{CELLS_MAX, GROUP_MAX, GROUP_MIN, SHARING_BLOCKS_MAX};

    fn usual(members: usize) -> Thresholds {
        let absent = Thresholds::usual_absent(members);
        Thresholds::new(members, absent, Thresholds::usual_colluders(members)).unwrap()
    }

    #[test]
    fn every_usual_group_carries_the_largest_sum_that_can_be_shared() {
        for members in GROUP_MIN..=GROUP_MAX {
            let usual = usual(members);
            let cells = CELLS_MAX.min(SHARING_BLOCKS_MAX * usual.packed());
            assert!(carries(usual, cells), "{members} members");
            assert!(!carries(usual, cells + 1), "{members} members");
            assert!(!carries(usual, 0));
        }
    }

    #[test]
    fn records_that_do_not_fit_one_message_are_refused() {
        let narrow = Thresholds::new(128, 40, 40).unwrap();
        assert_eq!(narrow.packed(), 24);
        assert!(!carries(narrow, CELLS_MAX));
        assert!(carries(narrow, CELLS_MAX / 2));
    }

    #[test]
    fn all_thresholds_make_a_sharing() {
        for members in GROUP_MIN..=GROUP_MAX {
            for (absent, colluders) in (0..64).flat_map(|d| (1..128).map(move |c| (d, c))) {
                if let Ok(thresholds) = Thresholds::new(members, absent, colluders) {
                    assert_eq!(packing(thresholds).width(), thresholds.openings());
                }
            }
        }
    }
}
