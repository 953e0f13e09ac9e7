//! The parts together, from a dealing to a reading.

mod exact;
mod hidden;
mod refused;

use std::collections::BTreeMap;

use super::*;
use crate::base::secret::Secret;

/// One record for each member in order.
type Records = Vec<Vec<u8>>;
/// One opening for each member in order.
type Openings = Vec<Vec<Element>>;

fn packing(members: usize, packed: usize, random: usize) -> Packing {
    Packing::new(members, packed, random).unwrap()
}

/// The packing of the default thresholds, and how many members may be missing.
fn default_packing(n: usize) -> (Packing, usize) {
    let (missing, random) = (n / 4, (n / 8).max(1));
    let honest = n - missing - random;
    (packing(n, honest.div_ceil(2), random), missing)
}

fn elements(cells: &[i64]) -> Vec<Element> {
    cells.iter().map(|&cell| Element::from(cell)).collect()
}

fn empty_records(packing: Packing, cells: usize) -> Records {
    let blocks = packing.blocks(cells).unwrap();
    vec![vec![0xff; record_bytes(blocks)]; packing.members()]
}

fn spaces(records: &mut Records) -> Vec<RecordSpace<'_>> {
    let numbered = (1..).zip(records);
    numbered
        .map(|(member, bytes)| RecordSpace { member, bytes })
        .collect()
}

/// Records of all members, with given random values.
fn dealt_with(packing: Packing, cells: &[i64], random: &[i64]) -> Records {
    let mut records = empty_records(packing, cells.len());
    let mut random = elements(random).into_iter();
    let fill = |values: &mut [Element]| values.fill_with(|| random.next().unwrap());
    let dealer = Dealer::new(packing);
    dealer
        .deal_with(&elements(cells), fill, &mut spaces(&mut records))
        .unwrap();
    records
}

/// Records of all members from a seed.
fn dealt(dealer: &Dealer, cells: &[i64], seed: u8) -> Records {
    let mut records = empty_records(dealer.packing(), cells.len());
    let (cells, seed) = (elements(cells), Secret::new([seed; 32]));
    dealer
        .deal(&cells, seed, &mut spaces(&mut records))
        .unwrap();
    records
}

/// What every member opens when these are the dealings.
fn opened(dealings: &[Records]) -> Openings {
    let blocks = dealings[0][0].len() / 8;
    let opening = |member: usize| {
        let mut summed = SummedShares::zero(blocks);
        for records in dealings {
            summed.add(&Record::parse(&records[member], blocks).unwrap());
        }
        Element::list(&summed.open()).unwrap()
    };
    (0..dealings[0].len()).map(opening).collect()
}

/// The openings of some members.
fn of<'a>(openings: &'a Openings, members: &[u16]) -> BTreeMap<u16, &'a [Element]> {
    let numbered = members
        .iter()
        .map(|&member| (member, &*openings[usize::from(member) - 1]));
    numbered.collect()
}

fn all(openings: &Openings) -> BTreeMap<u16, &[Element]> {
    (1..)
        .zip(openings)
        .map(|(member, opening)| (member, &**opening))
        .collect()
}

/// The one element of everybody.
fn values(openings: &Openings) -> Vec<u64> {
    openings
        .concat()
        .iter()
        .map(|element| element.value())
        .collect()
}

fn read_by(packing: Packing, cells: usize, openings: &Openings, members: &[u16]) -> Vec<i64> {
    read(packing, cells, &of(openings, members)).unwrap().sum
}

/// Ways to choose `count` of `members`.
fn subsets(members: usize, count: usize) -> Vec<Vec<u16>> {
    let masks = (0_u32..1 << members).filter(|mask| mask.count_ones() as usize == count);
    let chosen = masks.map(|mask| (1..=members as u16).filter(move |m| mask >> (m - 1) & 1 == 1));
    chosen.map(Iterator::collect).collect()
}
