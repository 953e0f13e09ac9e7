//! Proofs: that an entry is in a log of some size, and that a log has only grown from one size to another.

use std::ops::Range;

use super::tree::{Hashes, node_hash, root};
use crate::base::ids::Hash32;

/// Why a proof proves nothing.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum BadProof {
    /// No such leaf, or sizes that shrink.
    #[error("no proof is possible from {from} to {size}")]
    Range {
        /// The leaf, or the smaller size.
        from: u64,
        /// The size of the log.
        size: u64,
    },
    /// More or fewer hashes than the sizes need.
    #[error("{got} hashes, expected {expected}")]
    Length {
        /// Found.
        got: usize,
        /// Needed.
        expected: usize,
    },
    /// It leads to another root.
    #[error("the proof leads to another root")]
    Root,
}

/// A side of the path: the smaller part of a split, and whether it lies on the right.
struct Split {
    other: Range<u64>,
    is_right: bool,
}

/// From the whole log down to one leaf (or, with `stop_at`, to where the leaves before it are one complete subtree).
fn path(size: u64, is_there: impl Fn(&Range<u64>) -> bool, leaf: u64) -> Vec<Split> {
    let (mut part, mut path) = (0..size, Vec::new());
    while !is_there(&part) {
        let middle = part.start + (1 << (part.end - part.start - 1).ilog2());
        let (kept, other) = match leaf < middle {
            true => (part.start..middle, middle..part.end),
            false => (middle..part.end, part.start..middle),
        };
        path.push(Split {
            is_right: other.start == middle,
            other,
        });
        part = kept;
    }
    path.reverse();
    path
}

fn to_leaf(leaf: u64, size: u64) -> Vec<Split> {
    path(size, |part| part.end - part.start == 1, leaf)
}

/// To the part that ends where the older log ended and is one of its complete subtrees.
fn to_old_end(old: u64, size: u64) -> Vec<Split> {
    path(
        size,
        |part| part.end == old && (part.end - part.start).is_power_of_two(),
        old - 1,
    )
}

/// The audit path of a leaf in a log of this size (RFC 6962, 2.1.1), from the leaf upwards; none if there is no such leaf or a hash is
/// missing.
#[must_use]
pub fn inclusion(hashes: &impl Hashes, leaf: u64, size: u64) -> Option<Vec<Hash32>> {
    let path = (leaf < size).then(|| to_leaf(leaf, size))?;
    path.into_iter()
        .map(|split| root(hashes, split.other))
        .collect()
}

/// Checks that a leaf is in the log of this size and root.
///
/// # Errors
///
/// Whatever makes the proof prove nothing.
pub fn verify_inclusion(
    leaf_hash: &Hash32,
    (leaf, size): (u64, u64),
    proof: &[Hash32],
    expected: &Hash32,
) -> Result<(), BadProof> {
    if leaf >= size {
        return Err(BadProof::Range { from: leaf, size });
    }
    let path = to_leaf(leaf, size);
    check_length(proof.len(), path.len())?;
    let reached = climb(*leaf_hash, &path, proof, |_| true);
    (reached == *expected).then_some(()).ok_or(BadProof::Root)
}

/// The proof that a log of `size` leaves continues one of `old` leaves (RFC 6962, 2.1.2); empty where either is trivially so; none if
/// that cannot be or a hash is missing.
#[must_use]
pub fn consistency(hashes: &impl Hashes, old: u64, size: u64) -> Option<Vec<Hash32>> {
    if old > size {
        return None;
    }
    if old == 0 || old == size {
        return Some(Vec::new());
    }
    let path = to_old_end(old, size);
    let first = (!old.is_power_of_two()).then(|| {
        let start = start_of(&path, old);
        root(hashes, start..old)
    });
    let rest = path.into_iter().map(|split| root(hashes, split.other));
    first.into_iter().chain(rest).collect()
}

/// Where the part begins that a path goes up from.
fn start_of(path: &[Split], old: u64) -> u64 {
    let left = path.iter().find(|split| !split.is_right);
    left.map_or(0, |split| split.other.end).min(old)
}

/// Checks that the log of `size` leaves and root `new_root` continues that of `old` leaves and root `old_root`.
///
/// # Errors
///
/// Whatever makes the proof prove nothing.
pub fn verify_consistency(
    (old, old_root): (u64, &Hash32),
    (size, new_root): (u64, &Hash32),
    proof: &[Hash32],
) -> Result<(), BadProof> {
    if old > size {
        return Err(BadProof::Range { from: old, size });
    }
    if old == 0 || old == size {
        check_length(proof.len(), 0)?;
        let same = old == 0 || old_root == new_root;
        return same.then_some(()).ok_or(BadProof::Root);
    }
    let path = to_old_end(old, size);
    let (seed, rest) = match old.is_power_of_two() {
        true => (*old_root, proof),
        false => {
            check_length(proof.len(), path.len() + 1)?;
            let (first, rest) = proof.split_first().ok_or(BadProof::Root)?;
            (*first, rest)
        }
    };
    check_length(rest.len(), path.len())?;
    // What lies on the right was not there in the older log.
    let before = climb(seed, &path, rest, |split| !split.is_right);
    let after = climb(seed, &path, rest, |_| true);
    (before == *old_root && after == *new_root)
        .then_some(())
        .ok_or(BadProof::Root)
}

fn climb(
    seed: Hash32,
    path: &[Split],
    proof: &[Hash32],
    counts: impl Fn(&Split) -> bool,
) -> Hash32 {
    let steps = path.iter().zip(proof).filter(|(split, _)| counts(split));
    steps.fold(seed, |hash, (split, other)| match split.is_right {
        true => node_hash(&hash, other),
        false => node_hash(other, &hash),
    })
}

fn check_length(got: usize, expected: usize) -> Result<(), BadProof> {
    (got == expected)
        .then_some(())
        .ok_or(BadProof::Length { got, expected })
}

#[cfg(test)]
mod tests {
    use super::super::tree::leaf_hash;
    use super::super::tree::tests::{ENTRIES, Memory, hex};
    use super::*;

    fn log(size: u32) -> Memory {
        Memory::with((0..size).map(|n| n.to_be_bytes().to_vec())).0
    }

    fn leaf(number: u64) -> Hash32 {
        leaf_hash(&(number as u32).to_be_bytes())
    }

    #[track_caller]
    fn check_published(proof: Option<Vec<Hash32>>, expected: &[&str]) {
        let proof: Vec<Vec<u8>> = proof.unwrap().iter().map(|hash| hash.0.to_vec()).collect();
        let expected: Vec<Vec<u8>> = expected.iter().map(|text| hex(text)).collect();
        assert_eq!(proof, expected);
    }

    #[test]
    fn published_proofs_hold() {
        let (memory, _) = Memory::with(ENTRIES.iter().map(|text| hex(text)));
        check_published(inclusion(&memory, 0, 1), &[]);
        check_published(
            inclusion(&memory, 0, 8),
            &[
                "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
                "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
            ],
        );
        check_published(
            inclusion(&memory, 5, 8),
            &[
                "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
                "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
                "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            ],
        );
        check_published(
            consistency(&memory, 6, 8),
            &[
                "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
                "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
                "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            ],
        );
    }

    #[test]
    fn every_leaf_is_proved_and_nothing_else() {
        let memory = log(70);
        for size in 1..=70 {
            let whole = root(&memory, 0..size).unwrap();
            for number in 0..size {
                let proof = inclusion(&memory, number, size).unwrap();
                let check = |hash: &Hash32, place, proof: &[Hash32]| {
                    verify_inclusion(hash, place, proof, &whole)
                };
                assert_eq!(check(&leaf(number), (number, size), &proof), Ok(()));
                assert!(check(&leaf(number + 1), (number, size), &proof).is_err());
                assert!(
                    check(&leaf(number), ((number + 1) % size, size), &proof).is_err() || size == 1
                );
                let mut altered = proof.clone();
                for place in 0..proof.len() {
                    altered[place].0[31] ^= 1;
                    assert!(check(&leaf(number), (number, size), &altered).is_err());
                    altered[place].0[31] ^= 1;
                }
                altered.push(leaf(0));
                assert!(matches!(
                    check(&leaf(number), (number, size), &altered),
                    Err(BadProof::Length { .. })
                ));
            }
            assert_eq!(inclusion(&memory, size, size), None);
        }
    }

    #[test]
    fn every_growth_is_proved_and_no_other_past() {
        let memory = log(70);
        let root = |size: u64| root(&memory, 0..size).unwrap();
        for size in 0..=70 {
            for old in 0..=size {
                let proof = consistency(&memory, old, size).unwrap();
                let (before, after) = (root(old), root(size));
                let check = |old_root: &Hash32, new_root: &Hash32, proof: &[Hash32]| {
                    verify_consistency((old, old_root), (size, new_root), proof)
                };
                assert_eq!(check(&before, &after, &proof), Ok(()), "{old} to {size}");
                if old > 0 {
                    assert!(
                        check(&leaf(9_999), &after, &proof).is_err(),
                        "{old} to {size}"
                    );
                }
                if old > 0 && old < size {
                    assert!(
                        check(&before, &leaf(9_999), &proof).is_err(),
                        "{old} to {size}"
                    );
                    let mut altered = proof.clone();
                    for place in 0..proof.len() {
                        altered[place].0[0] ^= 0x80;
                        assert!(check(&before, &after, &altered).is_err());
                        altered[place].0[0] ^= 0x80;
                    }
                    assert!(check(&before, &after, &proof[1..]).is_err());
                }
            }
            assert_eq!(consistency(&memory, size + 1, size), None);
        }
        let (a, b) = (leaf(0), leaf(1));
        assert!(verify_consistency((5, &a), (4, &b), &[]).is_err());
        assert!(verify_consistency((4, &a), (4, &b), &[]).is_err());
    }
}
