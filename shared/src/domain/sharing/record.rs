//! Share records and openings as bytes: L elements, each a little-endian word below p.

use std::fmt;

use super::field::Element;
use super::packing::record_bytes;
use crate::base::secret::Secret;

/// Bytes that were checked to be whole elements: a record from one dealer to one member, or a member's opening.
///
/// # Privacy
///
/// Fewer than `width` records of one dealing must never meet outside their members; `Debug` hides what is inside.
#[derive(Clone, Copy)]
pub struct Record<'a>(&'a [[u8; 8]]);

/// Bytes that are no record.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum BadRecord {
    /// Another number of bytes.
    #[error("a share record has {got} bytes, expected {expected}")]
    Length {
        /// What was found.
        got: usize,
        /// 8 bytes for each block.
        expected: usize,
    },
    /// A word of p or above.
    #[error("element {block} of a share record is not below 2^61 - 1")]
    Element {
        /// Its position, from 0.
        block: usize,
    },
}

/// Sum of the records that one member holds, its own included.
///
/// # Privacy
///
/// Secret until the member has proof that the set of dealers is the only one (protocol); wiped when dropped.
#[derive(Debug)]
pub struct Opening(Secret<Vec<Element>>);

impl<'a> Record<'a> {
    /// Checks the length and every element.
    ///
    /// # Errors
    ///
    /// Not exactly 8·`blocks` bytes, or an element that is not below p.
    pub fn parse(bytes: &'a [u8], blocks: usize) -> Result<Self, BadRecord> {
        let (words, rest) = bytes.as_chunks();
        if words.len() != blocks || !rest.is_empty() {
            return Err(BadRecord::Length {
                got: bytes.len(),
                expected: record_bytes(blocks),
            });
        }
        let bad = |word: &[u8; 8]| Element::new(u64::from_le_bytes(*word)).is_none();
        match words.iter().position(bad) {
            Some(block) => Err(BadRecord::Element { block }),
            None => Ok(Self(words)),
        }
    }

    /// Number of elements.
    #[must_use]
    pub fn blocks(&self) -> usize {
        self.0.len()
    }

    /// The element of one block.
    #[must_use]
    pub fn element(&self, block: usize) -> Element {
        let word = u64::from_le_bytes(self.0[block]);
        Element::new(word).expect("checked when parsed")
    }

    /// All elements in order.
    pub fn elements(&self) -> impl Iterator<Item = Element> {
        (0..self.blocks()).map(|block| self.element(block))
    }
}

impl fmt::Debug for Record<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<share record>")
    }
}

impl Opening {
    /// The sum of no records.
    #[must_use]
    pub fn zero(blocks: usize) -> Self {
        Self(Secret::new(vec![Element::ZERO; blocks]))
    }

    /// Adds the record of one dealer.
    ///
    /// # Panics
    ///
    /// If it was parsed for another number of blocks.
    pub fn add(&mut self, record: &Record<'_>) {
        let sums = self.0.expose_mut();
        assert_eq!(sums.len(), record.blocks(), "blocks of one sum");
        for (sum, element) in sums.iter_mut().zip(record.elements()) {
            *sum = *sum + element;
        }
    }

    /// The sums as they travel.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let sums = self.0.expose().iter();
        sums.flat_map(|sum| sum.value().to_le_bytes()).collect()
    }
}
