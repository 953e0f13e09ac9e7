//! Signatures of approvals that were found right: under each question stands the one of its standing study, looked at when the question is
//! offered and again with its task.
//!
//! A memory of a pure function. Whose approval counts is asked anew each time; what did not hold is not remembered.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use aquifer_shared::base::ids::Hash32;
use aquifer_shared::protocol::wire::Approval;
use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};

/// The newest that were found right.
#[derive(Debug, Default)]
pub struct Approved(Mutex<VecDeque<(Hash32, Approval)>>);

impl Approved {
    /// Whether this is the signature of its key over this digest.
    #[must_use]
    pub fn holds(&self, digest: &Hash32, approval: &Approval) -> bool {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let same = |known: &(Hash32, Approval)| known.0 == *digest && known.1 == *approval;
        if known.iter().any(same) {
            return true;
        }
        let key = UnparsedPublicKey::new(&ED25519, approval.key.0);
        let holds = key.verify(&digest.0, &approval.signature).is_ok();
        if holds {
            known.truncate(KNOWN_MAX - 1);
            known.push_front((*digest, approval.clone()));
        }
        holds
    }
}

impl Clone for Approved {
    /// Remembers nothing.
    fn clone(&self) -> Self {
        Self::default()
    }
}

/// Standing studies are few.
const KNOWN_MAX: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::fixtures::key;

    fn approval(seed: u8, digest: &Hash32) -> Approval {
        use aws_lc_rs::signature::KeyPair as _;
        let pair = key(seed);
        let public = pair.public_key().as_ref().try_into().unwrap();
        Approval {
            key: aquifer_shared::base::ids::IdentityKey(public),
            signature: pair.sign(&digest.0).as_ref().to_vec(),
        }
    }

    #[test]
    fn what_is_remembered_holds_for_the_same_bytes_alone() {
        let approved = Approved::default();
        let (digest, other) = (Hash32([1; 32]), Hash32([2; 32]));
        let right = approval(7, &digest);
        for _ in 0..2 {
            assert!(approved.holds(&digest, &right));
            assert!(!approved.holds(&other, &right), "another study");
            let key = approval(8, &digest).key;
            let of_another = Approval {
                key,
                ..right.clone()
            };
            assert!(!approved.holds(&digest, &of_another));
            for place in [0, 40, 63] {
                let mut bent = right.clone();
                bent.signature[place] ^= 1;
                assert!(!approved.holds(&digest, &bent));
            }
        }
        assert_eq!(
            approved.0.lock().unwrap().len(),
            1,
            "what is wrong is not kept"
        );
    }

    #[test]
    fn so_many_are_remembered_and_no_more() {
        let approved = Approved::default();
        for number in 0..2 * KNOWN_MAX as u8 {
            let digest = Hash32([number; 32]);
            assert!(approved.holds(&digest, &approval(7, &digest)));
        }
        assert_eq!(approved.0.lock().unwrap().len(), KNOWN_MAX);
        let first = Hash32([0; 32]);
        assert!(
            approved.holds(&first, &approval(7, &first)),
            "looked at again"
        );
    }
}
