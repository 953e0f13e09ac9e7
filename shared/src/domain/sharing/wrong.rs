//! One wrong opener among many: who it is, and the sum of the others.

use std::collections::BTreeMap;

use super::field::Element;
use super::packing::Packing;
use super::read::{ReadFault, Reader, Reading, read};

/// As [`read`]; where openings disagree and two or more are spare, leaves out the one opener without whom all others agree,
/// and names it.
///
/// As many wrong openers as there are spare openings can together make one honest opener look like the only wrong one; then
/// the sum is theirs, as it may be with dishonest dealers. Fewer are always noticed.
///
/// # Errors
///
/// As [`read`]; [`ReadFault::NotOne`] where leaving out no single opener makes the others agree.
pub fn read_naming_one(
    packing: Packing,
    cells: usize,
    openings: &BTreeMap<u16, &[Element]>,
) -> Result<Reading, ReadFault> {
    let all = read(packing, cells, openings);
    let Err(ReadFault::Inconsistent { block, .. }) = all else {
        return all;
    };
    if openings.len() < packing.width() + 2 {
        return all;
    }
    for &member in openings.keys() {
        let mut others = openings.clone();
        others.remove(&member);
        let reader = Reader::new(packing, &others.keys().copied().collect())?;
        let listed: Vec<&[Element]> = others.values().copied().collect();
        if reader.check(block..block + 1, &listed).is_err() {
            continue;
        }
        // Nobody else can be left out: those who remain then determine the polynomial, so both would be on it.
        let reading = reader.read(cells, &others);
        return reading
            .map(|reading| Reading {
                left_out: Some(member),
                ..reading
            })
            .map_err(|fault| match fault {
                ReadFault::Inconsistent { block, .. } => ReadFault::NotOne { block },
                fault => fault,
            });
    }
    Err(ReadFault::NotOne { block })
}
