//! What a member holds: one record from every dealer, and the sum of them that it opens.

use std::fmt;

use super::field::{BadElement, Element};
use super::packing::record_bytes;
use crate::base::secret::Secret;

/// Share of one dealing for one member: L elements, each a little-endian word, all checked.
///
/// # Privacy
///
/// For its member alone. Any `width` records of one dealing give the dealer's vector away; `Debug` hides what is inside.
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
    /// A word that is no element.
    #[error("a share record holds a word that is no element")]
    Element(#[from] BadElement),
}

/// Sum of the records of some dealers at one member: what it opens once the set of dealers is agreed.
///
/// # Privacy
///
/// Secret until the member has proof that no other set is opened (the protocol's business); wiped when dropped.
#[derive(Debug)]
pub struct SummedShares(Secret<Vec<Element>>);

impl<'a> Record<'a> {
    /// Checks the length and every element.
    ///
    /// # Errors
    ///
    /// Not exactly 8·`blocks` bytes, or a word that is not below p.
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
            Some(position) => Err(BadElement { position }.into()),
            None => Ok(Self(words)),
        }
    }

    /// Number of elements.
    #[must_use]
    pub fn blocks(&self) -> usize {
        self.0.len()
    }

    fn elements(&self) -> impl Iterator<Item = Element> {
        let words = self.0.iter().map(|word| u64::from_le_bytes(*word));
        words.map(|word| Element::new(word).expect("checked when parsed"))
    }
}

impl fmt::Debug for Record<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<share record>")
    }
}

impl SummedShares {
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

    /// The sums as the numbers of an opening.
    #[must_use]
    pub fn open(&self) -> Vec<u64> {
        self.0.expose().iter().map(|sum| sum.value()).collect()
    }
}
