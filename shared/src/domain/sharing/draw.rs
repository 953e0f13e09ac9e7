//! Uniform field elements from a seed: the keystream of ChaCha20, elements out of range drawn again.
//!
//! The stream is a dealer's own matter; nobody else recomputes it.

use aws_lc_rs::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use zeroize::Zeroize;

use super::field::{Element, P};
use crate::base::secret::Secret;

/// A stream of uniform elements.
///
/// # Privacy
///
/// Indistinguishable from uniform to who lacks the seed (ChaCha20, Bernstein 2008). Keystream is wiped when dropped, the
/// key by the library.
#[derive(Debug)]
pub(super) struct Draw {
    key: LessSafeKey,
    /// Pieces of keystream taken so far; also the nonce of the next one.
    pieces: u64,
    piece: Secret<[u8; PIECE_BYTES]>,
    used: usize,
}

impl Draw {
    /// The stream of a seed.
    pub(super) fn new(seed: &Secret<[u8; 32]>) -> Self {
        let key = UnboundKey::new(&CHACHA20_POLY1305, seed.expose());
        Self {
            key: LessSafeKey::new(key.expect("a ChaCha20 key has 32 bytes")),
            pieces: 0,
            piece: Secret::new([0; PIECE_BYTES]),
            used: PIECE_BYTES,
        }
    }

    /// Replaces every element by a drawn one.
    pub(super) fn fill(&mut self, elements: &mut [Element]) {
        elements.fill_with(|| self.next());
    }

    fn next(&mut self) -> Element {
        loop {
            if self.used == PIECE_BYTES {
                self.refill();
            }
            let word = self.piece.expose()[self.used..].first_chunk();
            self.used += size_of::<u64>();
            let word = u64::from_le_bytes(*word.expect("a piece is whole words"));
            if let Some(element) = Element::new(word & P) {
                return element;
            }
        }
    }

    fn refill(&mut self) {
        let mut nonce = [0; NONCE_LEN];
        nonce[..8].copy_from_slice(&self.pieces.to_le_bytes());
        let piece = self.piece.expose_mut();
        piece.zeroize();
        let nonce = Nonce::assume_unique_for_key(nonce);
        // Encrypting zeros gives the keystream; its tag is of no use here.
        let sealed = self
            .key
            .seal_in_place_separate_tag(nonce, Aad::empty(), piece);
        let _tag = sealed.expect("a piece is far below the longest message");
        self.pieces += 1;
        self.used = 0;
    }
}

const PIECE_BYTES: usize = 1_024;

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(seed: u8, count: usize) -> Vec<Element> {
        let mut elements = vec![Element::ZERO; count];
        Draw::new(&Secret::new([seed; 32])).fill(&mut elements);
        elements
    }

    #[test]
    fn a_seed_fixes_the_stream() {
        assert_eq!(drawn(1, 1_000), drawn(1, 1_000));
        assert_eq!(drawn(1, 1_000)[..300], drawn(1, 300));
        assert_ne!(drawn(1, 1_000), drawn(2, 1_000));
    }

    #[test]
    fn it_is_the_keystream_of_chacha20() {
        // Key and nonce zero, block 1: RFC 8439, appendix A.1, test vector 2.
        let words = [
            u64::from_le_bytes([0x9f, 0x07, 0xe7, 0xbe, 0x55, 0x51, 0x38, 0x7a]),
            u64::from_le_bytes([0x98, 0xba, 0x97, 0x7c, 0x73, 0x2d, 0x08, 0x0d]),
        ];
        let values: Vec<u64> = drawn(0, 2).into_iter().map(Element::value).collect();
        assert_eq!(values, words.map(|word| word & P));
    }

    #[test]
    fn no_piece_comes_twice() {
        let mut words: Vec<u64> = drawn(3, 20_000).into_iter().map(Element::value).collect();
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), 20_000);
    }

    #[test]
    fn every_bit_is_even() {
        // Seed fixed, so there is no false alarm: the counts are the same on every run. Five standard deviations.
        let draws = drawn(4, 40_000);
        for bit in 0..61 {
            let ones = draws
                .iter()
                .filter(|draw| draw.value() >> bit & 1 == 1)
                .count();
            assert!(ones.abs_diff(20_000) < 500, "bit {bit}: {ones}");
        }
    }
}
