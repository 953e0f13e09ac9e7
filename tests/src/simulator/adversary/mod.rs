//! Those who lie: a coordinator of the adversary's own, and members that twist what the product's machine says for them.
//!
//! Both know everything that colluding members know. Neither breaks cryptography.

pub mod liar;
pub mod rogue;
mod sealing;

use aquifer_shared::base::ids::Hash32;
use aquifer_shared::protocol::aggregation::Signature64;

use super::keys::Pair;
use crate::random::Seeded;

/// A colluder's signature on whatever the adversary wants.
fn signed(pair: &Pair, digest: &Hash32) -> Signature64 {
    let bytes = pair.sign(digest).try_into();
    Signature64(bytes.expect("an Ed25519 signature has 64 bytes"))
}

/// Bytes from numbers.
fn bytes<const N: usize>(numbers: &mut Seeded) -> [u8; N] {
    std::array::from_fn(|_| numbers.next_u64() as u8)
}

/// One of a list.
fn pick<T: Copy>(numbers: &mut Seeded, list: &[T]) -> Option<T> {
    let at = numbers.next_u64() as usize % list.len().max(1);
    list.get(at).copied()
}
