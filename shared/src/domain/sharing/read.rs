//! Reading: openings become the sum, and every opening beyond the needed ones must agree with it.

use std::collections::{BTreeMap, BTreeSet};

use super::deal::{packing_points, point_of};
use super::field::Element;
use super::matrix::{Matrix, times};
use super::packing::{BadSize, Packing};
use super::record::Record;
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
    openers: BTreeSet<u16>,
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
    openings: &BTreeMap<u16, Record<'_>>,
) -> Result<Reading, ReadFault> {
    Reader::new(packing, openings.keys().copied().collect())?.read(cells, openings)
}

/// As [`read`]; where openings disagree and there are two spare ones or more, leaves out the one opener that alone
/// disagrees with all others, and names it.
///
/// With two spare openings, two wrong openers who agree can make a third, honest one seem to be the only wrong one: then the
/// sum is wrong, as it may be with any dishonest dealer. It takes as many as there are spare openings.
///
/// # Errors
///
/// As [`read`]; [`ReadFault::NotOne`] where no single opener explains the disagreement.
pub fn read_naming_one(
    packing: Packing,
    cells: usize,
    openings: &BTreeMap<u16, Record<'_>>,
) -> Result<Reading, ReadFault> {
    let block = match read(packing, cells, openings) {
        Err(ReadFault::Inconsistent { block, .. }) if openings.len() >= packing.width() + 2 => {
            block
        }
        done => return done,
    };
    // If two could be left out, the others, still enough for a polynomial, would be on one with both: no disagreement.
    for &member in openings.keys() {
        let mut others = openings.clone();
        others.remove(&member);
        let reader = Reader::new(packing, others.keys().copied().collect())?;
        let listed: Vec<_> = others
            .iter()
            .map(|(member, opening)| (*member, *opening))
            .collect();
        let columns = reader.columns(block, 1, &listed);
        if reader.check_tile(block, &columns, &listed).is_err() {
            continue;
        }
        return match reader.read(cells, &others) {
            Ok(reading) => Ok(Reading {
                left_out: Some(member),
                ..reading
            }),
            Err(ReadFault::Inconsistent { block, .. }) => Err(ReadFault::NotOne { block }),
            Err(fault) => Err(fault),
        };
    }
    Err(ReadFault::NotOne { block })
}

impl Reader {
    /// Computes the matrices for this set of openers.
    ///
    /// # Errors
    ///
    /// Fewer openers than determine a polynomial, or one that is not in the roster.
    pub fn new(packing: Packing, openers: BTreeSet<u16>) -> Result<Self, ReadFault> {
        if let Some(&member) = openers.iter().find(|member| !packing.has_member(**member)) {
            return Err(ReadFault::NoMember {
                member,
                members: packing.members(),
            });
        }
        let (got, needed) = (openers.len(), packing.width());
        if got < needed {
            return Err(ReadFault::TooFew { got, needed });
        }
        let points = openers.iter().map(|&member| point_of(usize::from(member)));
        let points: Vec<Element> = points.collect();
        let (lowest, spare) = points.split_at(needed);
        Ok(Self {
            checks: Matrix::lagrange(lowest, spare),
            cells: Matrix::lagrange(lowest, &packing_points(packing.packed())),
            packing,
            openers,
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
        openings: &BTreeMap<u16, Record<'_>>,
    ) -> Result<Reading, ReadFault> {
        let blocks = self.packing.blocks(cells)?;
        assert!(
            openings.keys().eq(&self.openers),
            "openings of these openers"
        );
        for (&member, opening) in openings {
            let (got, expected) = (opening.blocks(), blocks);
            if got != expected {
                return Err(ReadFault::Length {
                    member,
                    got,
                    expected,
                });
            }
        }
        let mut sum = vec![0; cells];
        let openings: Vec<_> = openings
            .iter()
            .map(|(member, opening)| (*member, *opening))
            .collect();
        for first in (0..blocks).step_by(TILE_BLOCKS) {
            let count = TILE_BLOCKS.min(blocks - first);
            self.read_tile(first, count, &openings, &mut sum)?;
        }
        Ok(Reading {
            sum,
            spares: openings.len() - self.packing.width(),
            left_out: None,
        })
    }

    /// Checks some blocks in a row and writes their cells.
    fn read_tile(
        &self,
        first: usize,
        count: usize,
        openings: &[(u16, Record<'_>)],
        sum: &mut [i64],
    ) -> Result<(), ReadFault> {
        let columns = self.columns(first, count, openings);
        self.check_tile(first, &columns, openings)?;
        let packed = self.packing.packed();
        let mut values = [Element::ZERO; TILE_BLOCKS];
        for (place, row) in self.cells.rows().enumerate() {
            times(row, &columns, &mut values[..count]);
            for (block, value) in values[..count].iter().enumerate() {
                let cell = (first + block) * packed + place;
                match sum.get_mut(cell) {
                    Some(sum) => *sum = value.cell().ok_or(ReadFault::Range { cell })?,
                    None if *value != Element::ZERO => return Err(ReadFault::Padding { cell }),
                    None => {}
                }
            }
        }
        Ok(())
    }

    /// The needed openings of some blocks, one block after the other.
    fn columns(&self, first: usize, count: usize, openings: &[(u16, Record<'_>)]) -> Vec<Element> {
        let width = self.packing.width();
        let mut columns = vec![Element::ZERO; count * width];
        for (place, (_, opening)) in openings[..width].iter().enumerate() {
            for block in 0..count {
                columns[block * width + place] = opening.element(first + block);
            }
        }
        columns
    }

    /// Are the spare openings on the polynomials of the needed ones?
    fn check_tile(
        &self,
        first: usize,
        columns: &[Element],
        openings: &[(u16, Record<'_>)],
    ) -> Result<(), ReadFault> {
        let width = self.packing.width();
        let count = columns.len() / width;
        let mut values = [Element::ZERO; TILE_BLOCKS];
        for (row, &(member, opening)) in self.checks.rows().zip(&openings[width..]) {
            times(row, columns, &mut values[..count]);
            let mut found = values[..count].iter().enumerate();
            let off =
                |(block, value): &(usize, &Element)| **value != opening.element(first + block);
            if let Some((block, _)) = found.find(off) {
                let block = first + block;
                return Err(ReadFault::Inconsistent { block, member });
            }
        }
        Ok(())
    }
}

/// Blocks that are worked on together: their openings stay in the first cache.
const TILE_BLOCKS: usize = 32;
