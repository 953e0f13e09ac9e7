//! Dealing: one vector becomes one record for each member.

use std::fmt;

use super::draw::Draw;
use super::field::{Element, P};
use super::matrix::{Matrix, times};
use super::packing::{BadSize, Packing, record_bytes};
use crate::base::secret::Secret;

/// Splits vectors into records; made once for a study.
#[derive(Debug)]
pub struct Dealer {
    packing: Packing,
    matrix: Matrix,
}

/// Where the record of one member goes: exactly [`record_bytes`] of the vector's blocks.
pub struct RecordSpace<'a> {
    /// Its number, from 1.
    pub member: u16,
    /// Whatever is inside is overwritten.
    pub bytes: &'a mut [u8],
}

impl fmt::Debug for RecordSpace<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<record for member {}>", self.member)
    }
}

impl Dealer {
    /// Computes the Lagrange matrix from the packing's points to the members.
    #[must_use]
    pub fn new(packing: Packing) -> Self {
        let members: Vec<Element> = packing.numbers().map(member_point).collect();
        Self {
            packing,
            matrix: Matrix::lagrange(&packing_points(packing.width()), &members),
        }
    }

    /// The numbers it was made for.
    #[must_use]
    pub fn packing(&self) -> Packing {
        self.packing
    }

    /// Splits a vector into the records of some or all members. The seed is used up.
    ///
    /// # Errors
    ///
    /// A vector that is empty or too long for this packing.
    ///
    /// # Panics
    ///
    /// If a space is for no member or not exactly as long as a record.
    ///
    /// # Privacy
    ///
    /// Any [`random`](Packing::random) of the records together are uniform and independent of the vector, as long as the
    /// seed is uniform, unknown and used once. Copies of cells, random values and shares are wiped.
    pub fn deal(
        &self,
        cells: &[Element],
        seed: Secret<[u8; 32]>,
        spaces: &mut [RecordSpace<'_>],
    ) -> Result<(), BadSize> {
        let mut draw = Draw::new(&seed);
        self.deal_with(cells, |random| draw.fill(random), spaces)
    }

    /// As [`Dealer::deal`], with random values that `random` writes for one block after the other.
    pub(super) fn deal_with(
        &self,
        cells: &[Element],
        mut random: impl FnMut(&mut [Element]),
        spaces: &mut [RecordSpace<'_>],
    ) -> Result<(), BadSize> {
        let blocks = self.packing.blocks(cells.len())?;
        self.check_spaces(blocks, spaces);
        let (packed, width) = (self.packing.packed(), self.packing.width());
        let mut columns = Secret::new(vec![Element::ZERO; TILE_BLOCKS.min(blocks) * width]);
        let mut shares = Secret::new([Element::ZERO; TILE_BLOCKS]);
        for (tile, cells) in cells.chunks(TILE_BLOCKS * packed).enumerate() {
            let count = cells.len().div_ceil(packed);
            let columns = &mut columns.expose_mut()[..count * width];
            for (column, cells) in columns.chunks_exact_mut(width).zip(cells.chunks(packed)) {
                let (given, drawn) = column.split_at_mut(packed);
                given[..cells.len()].copy_from_slice(cells);
                given[cells.len()..].fill(Element::ZERO);
                random(drawn);
            }
            let shares = &mut shares.expose_mut()[..count];
            for space in &mut *spaces {
                let row = self.matrix.row(usize::from(space.member) - 1);
                times(row, columns, shares);
                let bytes = &mut space.bytes[record_bytes(tile * TILE_BLOCKS)..];
                for (word, share) in bytes.as_chunks_mut().0.iter_mut().zip(&*shares) {
                    *word = share.value().to_le_bytes();
                }
            }
        }
        Ok(())
    }

    fn check_spaces(&self, blocks: usize, spaces: &[RecordSpace<'_>]) {
        for space in spaces {
            let (member, bytes) = (space.member, space.bytes.len());
            assert!(
                self.packing.has_member(member),
                "record for member {member}"
            );
            assert_eq!(bytes, record_bytes(blocks), "bytes of a record");
        }
    }
}

/// The point of a member: its number.
pub(super) fn member_point(member: u16) -> Element {
    Element::new(member.into()).expect("far below p")
}

/// The points ω_j = p − j, j = 1..count: first those of the cells, then those of the random values.
pub(super) fn packing_points(count: usize) -> Vec<Element> {
    let points = (1..=count as u64).map(|j| Element::new(P - j).expect("below p"));
    points.collect()
}

/// Blocks that are worked on together: their values stay in the first cache.
const TILE_BLOCKS: usize = 32;
