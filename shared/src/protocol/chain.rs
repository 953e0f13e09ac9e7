//! A chain of entries: each names the hash of the one before it, so that nothing can be taken out or changed unnoticed.
//!
//! Pure: bytes in, bytes out. Where they are kept, and what a body means, is the owner's business.

use serde::{Deserialize, Serialize};

use super::codec::{CodecError, decode, encode};
use crate::base::hash::labelled;
use crate::base::ids::Hash32;

/// Kind of the entry by which a node's operator writes off what its ledger has lost: the one kind whose number a mirror knows.
pub const WRITE_OFF_KIND: u8 = 7;

/// Position of a chain: number of the last entry (from 1) and its hash; zero and zeros before the first.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Head {
    /// Number of the last entry.
    pub seq: u64,
    /// Its hash.
    pub hash: Hash32,
}

/// One link, as it is encoded and hashed.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Link {
    /// Its number, from 1, without gaps.
    pub seq: u64,
    /// Hash of the link before it; zeros for the first.
    pub prev_hash: Hash32,
    /// What the body is.
    pub kind: u8,
    /// Encoded content.
    pub body: Vec<u8>,
}

/// Bytes that do not continue a chain.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum BrokenChain {
    /// Not an encoded link.
    #[error("entry {seq} does not decode")]
    Encoding {
        /// The number that was expected.
        seq: u64,
        /// Why.
        source: CodecError,
    },
    /// A gap or a repetition.
    #[error("entry {got} follows, expected {expected}")]
    Sequence {
        /// Found.
        got: u64,
        /// Expected.
        expected: u64,
    },
    /// Another past.
    #[error("entry {seq} does not name the hash of the entry before it")]
    Hash {
        /// Which.
        seq: u64,
    },
}

impl Head {
    /// Bytes of the next link, and the head behind it.
    #[must_use]
    pub fn append(&self, kind: u8, body: Vec<u8>) -> (Vec<u8>, Self) {
        let (seq, prev_hash) = (self.seq + 1, self.hash);
        let bytes = encode(&Link {
            seq,
            prev_hash,
            kind,
            body,
        });
        let hash = link_hash(&bytes);
        (bytes, Self { seq, hash })
    }

    /// Reads the next link and checks that it continues this chain.
    ///
    /// # Errors
    ///
    /// Bytes that do not decode, a wrong number, or a wrong past.
    pub fn follow(&self, bytes: &[u8], limit: usize) -> Result<(Link, Self), BrokenChain> {
        let expected = self.seq + 1;
        let decoded = decode::<Link>("ledger entry", bytes, limit);
        let link = decoded.map_err(|source| BrokenChain::Encoding {
            seq: expected,
            source,
        })?;
        let got = link.seq;
        if got != expected {
            return Err(BrokenChain::Sequence { got, expected });
        }
        if link.prev_hash != self.hash {
            return Err(BrokenChain::Hash { seq: got });
        }
        let hash = link_hash(bytes);
        Ok((link, Self { seq: got, hash }))
    }
}

/// Hash of a link's bytes, label `aquifer/sum/1/ledger`.
fn link_hash(bytes: &[u8]) -> Hash32 {
    labelled("aquifer/sum/1/ledger", &[bytes])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain(bodies: &[&[u8]]) -> Vec<Vec<u8>> {
        let mut head = Head::default();
        let mut links = Vec::new();
        for body in bodies {
            let (bytes, next) = head.append(1, body.to_vec());
            links.push(bytes);
            head = next;
        }
        links
    }

    fn walk(links: &[Vec<u8>]) -> Result<Head, BrokenChain> {
        links.iter().try_fold(Head::default(), |head, bytes| {
            head.follow(bytes, 1_000).map(|(_, next)| next)
        })
    }

    #[test]
    fn five_links_have_the_published_head() {
        let links = chain(&[b"a", b"b", b"c", b"d", b"e"]);
        let head = walk(&links).unwrap();
        assert_eq!(head.seq, 5);
        assert_eq!(head.hash.to_string(), GOLDEN_HEAD);
    }

    #[test]
    fn a_missing_link_is_noticed() {
        let mut links = chain(&[b"a", b"b", b"c"]);
        links.remove(1);
        let expected = BrokenChain::Sequence {
            got: 3,
            expected: 2,
        };
        assert_eq!(walk(&links), Err(expected));
    }

    #[test]
    fn a_changed_link_is_noticed_by_the_next() {
        let mut links = chain(&[b"a", b"b", b"c"]);
        let last = links[1].len() - 1;
        links[1][last] ^= 1;
        assert_eq!(walk(&links), Err(BrokenChain::Hash { seq: 3 }));
    }

    #[test]
    fn trailing_bytes_are_noticed() {
        let mut links = chain(&[b"a"]);
        links[0].push(0);
        assert!(matches!(
            walk(&links),
            Err(BrokenChain::Encoding { seq: 1, .. })
        ));
    }

    const GOLDEN_HEAD: &str = "4a75888506fbcef3963ee3ec951c0d55da7c5f86b7babf2e73617c1e6f8adfa8";
}
