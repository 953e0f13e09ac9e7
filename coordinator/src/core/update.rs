//! Updates of members and approvals of people: from bytes that anybody could have sent to values that count.
//!
//! Checks signatures and ranges only; which attempt is live is the study's business.

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};

use aquifer_shared::base::ids::{AttemptId, Hash32, IdentityKey, StudyHash};
use aquifer_shared::protocol::wire::{Approval, Update, approve_digest, update_digest};

/// No honest noisy cell, and no released one, is this far from zero (private sum, rule 3).
pub const CELL_ABS_LIMIT: u64 = 1 << 59;

/// An update whose signature is its member's and whose cells are in range. Only [`verify`] makes one.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct VerifiedUpdate {
    attempt: AttemptId,
    task: Hash32,
    cells: Vec<i64>,
}

/// An update that no honest node sends.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the update {fault}")]
pub struct Malformed {
    /// The attempt that it names.
    pub attempt: AttemptId,
    /// What is wrong with it.
    pub fault: UpdateFault,
}

/// What is wrong with an update.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum UpdateFault {
    /// Not signed by the member's identity key.
    #[error("is not signed by its member")]
    Signature,
    /// A cell beyond any honest noise.
    #[error("has a cell of 2^59 or more")]
    Cell,
}

impl VerifiedUpdate {
    /// The attempt that it answers.
    #[must_use]
    pub fn attempt(&self) -> AttemptId {
        self.attempt
    }

    /// Hash of the task that it answers.
    #[must_use]
    pub fn task(&self) -> Hash32 {
        self.task
    }

    /// The noisy sum.
    ///
    /// # Privacy
    ///
    /// Private on its own (its node has paid for it); kept in memory until the sum is released, never stored.
    #[must_use]
    pub fn into_cells(self) -> Vec<i64> {
        self.cells
    }

    /// How many cells.
    #[must_use]
    pub fn length(&self) -> usize {
        self.cells.len()
    }
}

/// Checks an update against the identity key of the member whose session it came over.
///
/// # Errors
///
/// A wrong signature, or a cell out of range.
pub fn verify(key: &IdentityKey, update: Update) -> Result<VerifiedUpdate, Malformed> {
    let malformed = |fault| Malformed {
        attempt: update.attempt,
        fault,
    };
    let digest = update_digest(&update.attempt, &update.task, &update.cells);
    if !is_signed(key, &digest, &update.signature) {
        return Err(malformed(UpdateFault::Signature));
    }
    let honest = |cell: &i64| cell.unsigned_abs() < CELL_ABS_LIMIT;
    if !update.cells.iter().all(honest) {
        return Err(malformed(UpdateFault::Cell));
    }
    Ok(VerifiedUpdate {
        attempt: update.attempt,
        task: update.task,
        cells: update.cells,
    })
}

/// Whether an approval is a signature of its key over this study.
#[must_use]
pub fn is_approval(study: &StudyHash, approval: &Approval) -> bool {
    is_signed(&approval.key, &approve_digest(study), &approval.signature)
}

/// Whether a signature is a key's over a digest.
pub(super) fn is_signed(key: &IdentityKey, digest: &Hash32, signature: &[u8]) -> bool {
    let key = UnparsedPublicKey::new(&ED25519, key.0);
    key.verify(&digest.0, signature).is_ok()
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};

    use super::*;

    fn signed(cells: &[i64]) -> (IdentityKey, Update) {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
        let key = IdentityKey(pair.public_key().as_ref().try_into().unwrap());
        let (attempt, task) = (AttemptId([1; 32]), Hash32([2; 32]));
        let digest = update_digest(&attempt, &task, cells);
        let update = Update {
            attempt,
            task,
            cells: cells.to_vec(),
            signature: pair.sign(&digest.0).as_ref().to_vec(),
        };
        (key, update)
    }

    #[test]
    fn a_signed_update_counts() {
        let (key, update) = signed(&[1, -2, (1 << 59) - 1]);
        assert_eq!(
            verify(&key, update.clone()).unwrap().into_cells(),
            update.cells
        );
    }

    #[test]
    fn every_field_is_under_the_signature() {
        let (key, update) = signed(&[1, 2]);
        let changes: [fn(&mut Update); 4] = [
            |update| update.attempt.0[0] ^= 1,
            |update| update.task.0[0] ^= 1,
            |update| update.cells[0] += 1,
            |update| update.signature.truncate(63),
        ];
        for change in changes {
            let mut update = update.clone();
            change(&mut update);
            let fault = verify(&key, update).unwrap_err().fault;
            assert_eq!(fault, UpdateFault::Signature);
        }
        assert!(verify(&IdentityKey([3; 32]), update).is_err());
    }

    #[test]
    fn cells_beyond_any_noise_are_refused() {
        for cell in [1 << 59, -(1 << 59), i64::MIN, i64::MAX] {
            let (key, update) = signed(&[0, cell]);
            assert_eq!(verify(&key, update).unwrap_err().fault, UpdateFault::Cell);
        }
    }

    #[test]
    fn an_approval_is_for_one_study() {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
        let digest = approve_digest(&StudyHash([1; 32]));
        let approval = Approval {
            key: IdentityKey(pair.public_key().as_ref().try_into().unwrap()),
            signature: pair.sign(&digest.0).as_ref().to_vec(),
        };
        assert!(is_approval(&StudyHash([1; 32]), &approval));
        assert!(!is_approval(&StudyHash([2; 32]), &approval));
    }
}
