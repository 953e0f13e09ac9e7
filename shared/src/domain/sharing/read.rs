//! Reading: openings become the sum, and every opening beyond the needed ones must agree with it.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::deal::{member_point, packing_points};
use super::field::Element;
use super::matrix::{Matrix, times};
use super::packing::{BadSize, Packing};
use crate::base::limits::SHARING_SUM_ABS_END;

/// An opened sum.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    /// The cells, noise included: private by the noise of the dealers.
    pub sum: Vec<i64>,
    /// Openings beyond the needed ones that agreed; a sum with none of them is unchecked.
    pub spares: usize,
    /// The one opener whose opening disagreed with all others, if there was one.
    pub left_out: Option<u16>,
}

/// Openings that give no sum.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ReadFault {
    /// Fewer openings than determine a polynomial.
    #[error("{got} openings, expected at least {needed}")]
    TooFew {
        /// What was found.
        got: usize,
        /// Cells and random values in one polynomial.
        needed: usize,
    },
    /// An opener that is not in the roster.
    #[error("an opening of member {member}, expected members 1 to {members}")]
    NoMember {
        /// The opener.
        member: u16,
        /// Members of the roster.
        members: usize,
    },
    /// A vector that cannot have been shared.
    #[error("openings of a vector that cannot be shared")]
    Size(#[from] BadSize),
    /// An opening of another length.
    #[error("the opening of member {member} has {got} elements, expected {expected}")]
    Length {
        /// The opener.
        member: u16,
        /// What was found.
        got: usize,
        /// Blocks of the vector.
        expected: usize,
    },
    /// Openings, or dealings, that do not belong together. Says nothing about who is wrong.
    #[error(
        "openings disagree at block {block}: the one of member {member} is not on the polynomial of those before it"
    )]
    Inconsistent {
        /// A block, from 0, with a disagreement.
        block: usize,
        /// The opener that was found beside the polynomial of the openers with the lowest numbers.
        member: u16,
    },
    /// Leaving out any single opener does not make the others agree.
    #[error("openings disagree at block {block}, and no single opener explains it")]
    NotOne {
        /// A block, from 0, with a disagreement.
        block: usize,
    },
    /// A cell beyond the end of the vector is not zero.
    #[error("padding cell {cell} of the sum is not zero")]
    Padding {
        /// Its position, from 0.
        cell: usize,
    },
    /// A cell that no honest sum reaches.
    #[error("cell {cell} of the sum is outside ±{SHARING_SUM_ABS_END}")]
    Range {
        /// Its position, from 0.
        cell: usize,
    },
}

/// Reads sums from the openings of one set of members; may be kept while the set stays the same.
#[derive(Debug)]
pub struct Reader {
    packing: Packing,
    /// Rising: first the needed ones, then the spare ones.
    openers: Vec<u16>,
    /// From the needed openings to the spare ones.
    checks: Matrix,
    /// From the needed openings to the cells.
    cells: Matrix,
}

/// Reads a sum of `cells` cells from openings by member.
///
/// # Errors
///
/// See [`Reader::new`] and [`Reader::read`].
pub fn read(
    packing: Packing,
    cells: usize,
    openings: &BTreeMap<u16, &[Element]>,
) -> Result<Reading, ReadFault> {
    let openers: BTreeSet<u16> = openings.keys().copied().collect();
    Reader::new(packing, &openers)?.read(cells, openings)
}

impl Reader {
    /// Computes the matrices for this set of openers.
    ///
    /// # Errors
    ///
    /// Fewer openers than determine a polynomial, or one that is not in the roster.
    pub fn new(packing: Packing, openers: &BTreeSet<u16>) -> Result<Self, ReadFault> {
        let members = packing.members();
        if let Some(&member) = openers.iter().find(|member| !packing.has_member(**member)) {
            return Err(ReadFault::NoMember { member, members });
        }
        let (got, needed) = (openers.len(), packing.width());
        if got < needed {
            return Err(ReadFault::TooFew { got, needed });
        }
        let openers: Vec<u16> = openers.iter().copied().collect();
        let points: Vec<Element> = openers.iter().map(|&opener| member_point(opener)).collect();
        let (lowest, spare) = points.split_at(needed);
        Ok(Self {
            packing,
            openers,
            checks: Matrix::lagrange(lowest, spare),
            cells: Matrix::lagrange(lowest, &packing_points(packing.packed())),
        })
    }

    /// Reads a sum of `cells` cells.
    ///
    /// # Errors
    ///
    /// An opening of another length, openings that disagree, padding that is not zero, a cell out of range. Nothing of the
    /// sum is given then.
    ///
    /// # Panics
    ///
    /// If the openings are not those of the openers it was made for.
    pub fn read(
        &self,
        cells: usize,
        openings: &BTreeMap<u16, &[Element]>,
    ) -> Result<Reading, ReadFault> {
        let blocks = self.packing.blocks(cells)?;
        assert!(openings.keys().eq(&self.openers), "openings of its openers");
        let wrong = openings.iter().find(|(_, opening)| opening.len() != blocks);
        if let Some((&member, opening)) = wrong {
            return Err(ReadFault::Length {
                member,
                got: opening.len(),
                expected: blocks,
            });
        }
        let openings: Vec<&[Element]> = openings.values().copied().collect();
        let mut sum = vec![0; cells];
        for first in (0..blocks).step_by(TILE_BLOCKS) {
            let tile = first..blocks.min(first + TILE_BLOCKS);
            let columns = self.check(tile.clone(), &openings)?;
            self.read_tile(tile, &columns, &mut sum)?;
        }
        Ok(Reading {
            sum,
            spares: openings.len() - self.packing.width(),
            left_out: None,
        })
    }

    /// Are the spare openings on the polynomials of the needed ones? Returns those, one block after the other.
    pub(super) fn check(
        &self,
        tile: Range<usize>,
        openings: &[&[Element]],
    ) -> Result<Vec<Element>, ReadFault> {
        let width = self.packing.width();
        let (needed, spare) = openings.split_at(width);
        let mut columns = vec![Element::ZERO; tile.len() * width];
        for (place, opening) in needed.iter().enumerate() {
            let entries = columns.iter_mut().skip(place).step_by(width);
            entries
                .zip(&opening[tile.clone()])
                .for_each(|(entry, element)| *entry = *element);
        }
        let mut values = vec![Element::ZERO; tile.len()];
        let checks = self.checks.rows().zip(&self.openers[width..]).zip(spare);
        for ((row, &member), opening) in checks {
            times(row, &columns, &mut values);
            let mut pairs = values.iter().zip(&opening[tile.clone()]);
            if let Some(off) = pairs.position(|(value, element)| value != element) {
                let block = tile.start + off;
                return Err(ReadFault::Inconsistent { block, member });
            }
        }
        Ok(columns)
    }

    /// Writes the cells of some blocks.
    fn read_tile(
        &self,
        tile: Range<usize>,
        columns: &[Element],
        sum: &mut [i64],
    ) -> Result<(), ReadFault> {
        let packed = self.packing.packed();
        let mut values = vec![Element::ZERO; tile.len()];
        for (place, row) in self.cells.rows().enumerate() {
            times(row, columns, &mut values);
            for (block, value) in tile.clone().zip(&values) {
                let cell = block * packed + place;
                match sum.get_mut(cell) {
                    Some(sum) => *sum = value.cell().ok_or(ReadFault::Range { cell })?,
                    None if *value != Element::ZERO => return Err(ReadFault::Padding { cell }),
                    None => {}
                }
            }
        }
        Ok(())
    }
}

/// Blocks that are worked on together: their openings stay in the first cache.
const TILE_BLOCKS: usize = 32;
