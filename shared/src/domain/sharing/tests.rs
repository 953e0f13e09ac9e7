//! The parts together: golden vectors, exact sums, every wrong opening, and secrecy as a rank over the field.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::sample::subsequence;

use super::matrix::Matrix;
use super::*;
use crate::base::secret::Secret;

/// One record, or one opening, for each member in order.
type Records = Vec<Vec<u8>>;

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
fn opened(dealings: &[Records]) -> Records {
    let members = 0..dealings[0].len();
    let opening = |member: usize| {
        let blocks = dealings[0][member].len() / 8;
        let mut opening = Opening::zero(blocks);
        for records in dealings {
            opening.add(&Record::parse(&records[member], blocks).unwrap());
        }
        opening.to_bytes()
    };
    members.map(opening).collect()
}

/// The openings of some members.
fn of<'a>(openings: &'a Records, members: &[u16]) -> BTreeMap<u16, Record<'a>> {
    let parsed = members.iter().map(|&member| {
        let bytes = &openings[usize::from(member) - 1];
        (member, Record::parse(bytes, bytes.len() / 8).unwrap())
    });
    parsed.collect()
}

fn all(openings: &Records) -> BTreeMap<u16, Record<'_>> {
    let members: Vec<u16> = (1..=openings.len() as u16).collect();
    of(openings, &members)
}

fn values(records: &Records) -> Vec<u64> {
    let words = records
        .iter()
        .map(|record| record.as_slice().try_into().unwrap());
    words.map(u64::from_le_bytes).collect()
}

fn read_by(packing: Packing, cells: usize, openings: &Records, members: &[u16]) -> Vec<i64> {
    read(packing, cells, &of(openings, members)).unwrap().sum
}

#[test]
fn golden_dealing_of_four() {
    let packing = packing(4, 1, 1);
    let ends = |digits: [u64; 4]| digits.map(|digits| 2_305_843_009_213_693_000 + digits);
    let first = dealt_with(packing, &[7], &[11]);
    let second = dealt_with(packing, &[-5], &[-1]);
    assert_eq!(values(&first), ends([950, 946, 942, 938]));
    assert_eq!(values(&second), ends([938, 934, 930, 926]));
    let openings = opened(&[first, second]);
    assert_eq!(values(&openings), ends([937, 929, 921, 913]));
    for (a, b) in [(1, 2), (1, 3), (1, 4), (2, 3), (2, 4), (3, 4)] {
        assert_eq!(read_by(packing, 1, &openings, &[a, b]), [2]);
    }
}

#[test]
fn golden_dealing_of_eight() {
    let packing = packing(8, 3, 1);
    let cells = [1_000, -2_000, 3_000];
    let records = dealt_with(packing, &cells, &[123_456_789]);
    let expected = [
        2_305_843_008_719_961_795,
        2_305_843_007_979_344_061,
        2_305_843_006_744_971_171,
        2_305_843_004_893_402_336,
        2_305_843_002_301_196_767,
        2_305_842_998_844_913_675,
        2_305_842_994_401_112_271,
        2_305_842_988_846_351_766,
    ];
    assert_eq!(values(&records), expected);
    assert_eq!(read_by(packing, 3, &records, &[1, 3, 4, 8]), cells);
}

/// Dealer i adds 2^(i mod 50) in one cell of many: a dealer counted twice, or not at all, shows in the digits.
#[track_caller]
fn check_distinguishable(n: usize) {
    let (packing, missing) = default_packing(n);
    let (dealer, cells) = (Dealer::new(packing), packing.packed().max(3));
    let mut sum = vec![0; cells];
    let dealings: Vec<Records> = (0..n)
        .map(|member| {
            let mut cells = vec![0; cells];
            cells[member / 50] = 1 << (member % 50);
            cells
                .iter()
                .zip(&mut sum)
                .for_each(|(cell, sum)| *sum += cell);
            dealt(&dealer, &cells, member as u8)
        })
        .collect();
    let openings = opened(&dealings);
    let reading = read(packing, cells, &all(&openings)).unwrap();
    assert_eq!(
        (reading.sum, reading.spares),
        (sum.clone(), n - packing.width())
    );
    let late: Vec<u16> = (missing as u16 + 1..=n as u16).collect();
    assert_eq!(read_by(packing, cells, &openings, &late), sum, "{n}");
}

#[test]
fn sums_of_4_to_48_members_are_exact() {
    (4..=48).for_each(check_distinguishable);
}

#[test]
fn sums_of_49_to_90_members_are_exact() {
    (49..=90).for_each(check_distinguishable);
}

#[test]
fn sums_of_91_to_128_members_are_exact() {
    (91..=128).for_each(check_distinguishable);
}

#[track_caller]
fn check_size(packing: Packing, cells: usize) {
    let dealer = Dealer::new(packing);
    let vector = |factor: i64| -> Vec<i64> {
        (0..cells as i64)
            .map(|cell| (cell * 1_000_003 + 7) * factor % (1 << 55))
            .collect()
    };
    let (first, second) = (vector(1), vector(-1_234_567));
    let openings = opened(&[dealt(&dealer, &first, 1), dealt(&dealer, &second, 2)]);
    let sum: Vec<i64> = first.iter().zip(&second).map(|(a, b)| a + b).collect();
    assert_eq!(read(packing, cells, &all(&openings)).unwrap().sum, sum);
}

#[test]
fn every_small_size_is_exact() {
    (1..=200).for_each(|cells| check_size(packing(8, 3, 1), cells));
}

#[test]
fn sizes_around_whole_tiles_are_exact() {
    for cells in [95, 96, 97, 191, 192, 193, 350, 1_000, 10_000] {
        check_size(packing(8, 3, 1), cells);
    }
}

#[test]
fn the_largest_number_of_blocks_is_exact() {
    check_size(packing(4, 2, 1), 300_000);
}

#[test]
fn the_widest_packings_are_exact() {
    for (packed, random) in [(63, 1), (64, 1), (1, 126), (63, 64), (126, 1)] {
        check_size(packing(128, packed, random), 300);
    }
}

/// Ways to choose `count` of `members`.
fn subsets(members: usize, count: usize) -> Vec<Vec<u16>> {
    let masks = (0_u32..1 << members).filter(|mask| mask.count_ones() as usize == count);
    let chosen = masks.map(|mask| (1..=members as u16).filter(move |m| mask >> (m - 1) & 1 == 1));
    chosen.map(Iterator::collect).collect()
}

#[test]
fn any_width_openings_give_the_sum() {
    let packing = packing(10, 3, 2);
    let cells = [i64::from(i32::MIN), -1, 0, 1, 1 << 58];
    let records = dealt(&Dealer::new(packing), &cells, 9);
    for members in subsets(10, packing.width()) {
        assert_eq!(read_by(packing, 5, &records, &members), cells);
    }
}

/// Adds 1 to one element of one member.
fn spoil(openings: &mut Records, member: u16, block: usize) {
    let word = &mut openings[usize::from(member) - 1][8 * block..8 * block + 8];
    let value = u64::from_le_bytes(word.try_into().unwrap());
    word.copy_from_slice(&((value + 1) % P).to_le_bytes());
}

type Read = fn(Packing, usize, &BTreeMap<u16, Record<'_>>) -> Result<Reading, ReadFault>;

/// Openings of `members` for a sum of 1, 2, …, 110, some of them spoiled at some block.
#[track_caller]
fn check_spoiled(
    members: &[u16],
    spoiled: &[(u16, usize)],
    call: Read,
) -> Result<Reading, ReadFault> {
    let packing = packing(8, 3, 1);
    let cells: Vec<i64> = (1..=110).collect();
    let mut openings = dealt(&Dealer::new(packing), &cells, 5);
    for &(member, block) in spoiled {
        spoil(&mut openings, member, block);
    }
    let reading = call(packing, cells.len(), &of(&openings, members));
    if let Ok(reading) = &reading {
        assert_eq!(reading.sum, cells);
    }
    reading
}

const EVERYONE: [u16; 8] = [1, 2, 3, 4, 5, 6, 7, 8];

#[test]
fn every_single_wrong_opening_is_noticed() {
    for members in [&EVERYONE[..], &[1, 3, 4, 6, 8], &[4, 5, 6, 7, 8]] {
        for &member in members {
            for block in 0..37 {
                let fault = check_spoiled(members, &[(member, block)], read).unwrap_err();
                let right =
                    matches!(fault, ReadFault::Inconsistent { block: found, .. } if found == block);
                assert!(right, "{member} {block}: {fault}");
            }
        }
    }
}

#[test]
fn a_single_wrong_opener_is_named_and_the_rest_read() {
    for members in [&EVERYONE[..], &[1, 2, 4, 5, 7, 8]] {
        for &member in members {
            for block in [0, 31, 32, 36] {
                let spoiled = [(member, block), (member, 36)];
                let reading = check_spoiled(members, &spoiled[..1], read_naming_one).unwrap();
                assert_eq!(
                    (reading.left_out, reading.spares),
                    (Some(member), members.len() - 5)
                );
                if block != 36 {
                    let reading = check_spoiled(members, &spoiled, read_naming_one).unwrap();
                    assert_eq!(reading.left_out, Some(member));
                }
            }
        }
    }
}

#[test]
fn nobody_is_named_where_openings_agree() {
    let reading = check_spoiled(&EVERYONE, &[], read_naming_one).unwrap();
    assert_eq!((reading.left_out, reading.spares), (None, 4));
}

#[test]
fn nobody_is_named_with_one_spare_opening() {
    let fault = check_spoiled(&EVERYONE[..5], &[(2, 7)], read_naming_one).unwrap_err();
    assert!(matches!(fault, ReadFault::Inconsistent { block: 7, .. }));
}

#[test]
fn two_wrong_openers_are_not_taken_for_one() {
    for spoiled in [[(2, 7), (3, 7)], [(2, 7), (3, 30)], [(8, 36), (1, 0)]] {
        let fault = check_spoiled(&EVERYONE, &spoiled, read_naming_one).unwrap_err();
        assert!(matches!(fault, ReadFault::NotOne { .. }), "{fault}");
    }
}

#[test]
fn without_a_spare_opening_nothing_is_checked() {
    let reading = check_spoiled(&[2, 3, 5, 8], &[], read).unwrap();
    assert_eq!(reading.spares, 0);
}

#[track_caller]
fn check_refused(members: &[u16], cells: usize, expected: &ReadFault) {
    let records = dealt(&Dealer::new(packing(8, 3, 1)), &[1, 2, 3, 4, 5], 6);
    let fault = read(packing(8, 3, 1), cells, &of(&records, members)).unwrap_err();
    assert_eq!(fault, *expected);
}

#[test]
fn too_few_openings_are_refused() {
    check_refused(&[1, 5, 7], 5, &ReadFault::TooFew { got: 3, needed: 4 });
    check_refused(&[], 5, &ReadFault::TooFew { got: 0, needed: 4 });
}

#[test]
fn openings_of_another_size_are_refused() {
    let fault = ReadFault::Length {
        member: 1,
        got: 2,
        expected: 3,
    };
    check_refused(&EVERYONE, 7, &fault);
    check_refused(
        &EVERYONE,
        0,
        &ReadFault::Size(BadSize {
            cells: 0,
            packed: 3,
        }),
    );
}

#[test]
fn openings_of_strangers_are_refused() {
    let bytes = [0; 8];
    let record = Record::parse(&bytes, 1).unwrap();
    for stranger in [0, 9, u16::MAX] {
        let openings = [1, 2, 3, 4, stranger].map(|member| (member, record)).into();
        let fault = read(packing(8, 3, 1), 1, &openings).unwrap_err();
        assert_eq!(
            fault,
            ReadFault::NoMember {
                member: stranger,
                members: 8
            }
        );
    }
}

#[test]
fn padding_that_is_not_zero_is_refused() {
    check_refused(&EVERYONE, 4, &ReadFault::Padding { cell: 4 });
}

#[test]
fn sums_out_of_range_are_refused() {
    let packing = packing(8, 3, 1);
    for (cell, good) in [((1 << 59) - 1, true), (1 << 59, false), (-(1 << 59), false)] {
        let records = dealt(&Dealer::new(packing), &[0, 1, 2, 3, cell], 6);
        let fault = read(packing, 5, &all(&records)).err();
        assert_eq!(fault, (!good).then_some(ReadFault::Range { cell: 4 }));
    }
}

#[track_caller]
fn check_parse(bytes: &[u8], blocks: usize, expected: Result<usize, BadRecord>) {
    let parsed = Record::parse(bytes, blocks);
    assert_eq!(parsed.map(|record| record.blocks()), expected);
}

#[test]
fn records_have_their_length_and_only_elements() {
    check_parse(&(P - 1).to_le_bytes(), 1, Ok(1));
    check_parse(&[], 0, Ok(0));
    check_parse(
        &[0; 15],
        1,
        Err(BadRecord::Length {
            got: 15,
            expected: 8,
        }),
    );
    check_parse(
        &[0; 15],
        2,
        Err(BadRecord::Length {
            got: 15,
            expected: 16,
        }),
    );
    check_parse(
        &[0; 24],
        2,
        Err(BadRecord::Length {
            got: 24,
            expected: 16,
        }),
    );
    let words = [[0; 8], P.to_le_bytes(), [0xff; 8]].concat();
    check_parse(&words, 3, Err(BadRecord::Element { block: 1 }));
}

#[test]
fn nothing_secret_can_be_printed() {
    let bytes = 4_711_u64.to_le_bytes();
    let mut opening = Opening::zero(1);
    let record = Record::parse(&bytes, 1).unwrap();
    opening.add(&record);
    let mut bytes = bytes;
    let space = RecordSpace {
        member: 2,
        bytes: &mut bytes,
    };
    let printed = format!("{record:?} {opening:?} {space:?}");
    assert_eq!(
        printed,
        "<share record> Opening(<secret>) <record for member 2>"
    );
}

#[test]
fn some_members_can_be_dealt_to_alone() {
    let dealer = Dealer::new(packing(8, 3, 1));
    let cells: Vec<i64> = (0..200).collect();
    let records = dealt(&dealer, &cells, 3);
    let mut some = [vec![0; records[0].len()], vec![0; records[0].len()]];
    let [fifth, second] = &mut some;
    let mut spaces = [
        RecordSpace {
            member: 5,
            bytes: fifth,
        },
        RecordSpace {
            member: 2,
            bytes: second,
        },
    ];
    dealer
        .deal(&elements(&cells), Secret::new([3; 32]), &mut spaces)
        .unwrap();
    assert_eq!(some, [records[4].clone(), records[1].clone()]);
}

#[test]
fn seeds_change_every_record_and_never_the_sum() {
    let dealer = Dealer::new(packing(8, 3, 1));
    let cells: Vec<i64> = (0..9).collect();
    let (first, second) = (dealt(&dealer, &cells, 1), dealt(&dealer, &cells, 2));
    assert!(first.iter().zip(&second).all(|(a, b)| a != b));
    assert_eq!(dealt(&dealer, &cells, 1), first);
    assert_eq!(
        read(dealer.packing(), 9, &all(&first)),
        read(dealer.packing(), 9, &all(&second))
    );
}

/// Rank of some rows over the field, by elimination.
fn rank(mut rows: Vec<Vec<Element>>) -> usize {
    let mut rank = 0;
    for column in 0..rows[0].len() {
        let Some(found) = (rank..rows.len()).find(|&row| rows[row][column] != Element::ZERO) else {
            continue;
        };
        rows.swap(rank, found);
        let pivot = rows[rank].clone();
        let inverse = pivot[column].inverse();
        for row in &mut rows[rank + 1..] {
            let factor = row[column] * inverse;
            for (entry, &above) in row.iter_mut().zip(&pivot) {
                *entry = *entry - factor * above;
            }
        }
        rank += 1;
    }
    rank
}

/// The shares of `members` are a bijective image of the random values, whatever the cells are.
#[track_caller]
fn check_hidden(packing: Packing, members: &[u16]) {
    let points = deal::packing_points(packing.width());
    let members: Vec<Element> = members.iter().map(|&m| deal::point_of(m.into())).collect();
    let matrix = Matrix::lagrange(&points, &members);
    let random = matrix.rows().map(|row| row[packing.packed()..].to_vec());
    assert_eq!(
        rank(random.collect()),
        packing.random(),
        "{packing:?} {members:?}"
    );
}

#[test]
fn every_set_of_colluders_sees_only_random_values() {
    for n in 4..=12 {
        let (packing, _) = default_packing(n);
        subsets(n, packing.random())
            .iter()
            .for_each(|members| check_hidden(packing, members));
    }
    for random in 1..=6 {
        let packing = packing(8, 1, random);
        subsets(8, random)
            .iter()
            .for_each(|members| check_hidden(packing, members));
    }
}

#[test]
fn one_colluder_more_than_random_values_sees_more() {
    let packing = packing(8, 3, 2);
    let points = deal::packing_points(packing.width());
    let members: Vec<Element> = (1..=3).map(deal::point_of).collect();
    let matrix = Matrix::lagrange(&points, &members);
    let random = matrix.rows().map(|row| row[packing.packed()..].to_vec());
    assert_eq!(rank(random.collect()), 2);
    assert_eq!(rank(matrix.rows().map(<[Element]>::to_vec).collect()), 3);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn sampled_colluders_see_only_random_values(
        (packing, members) in (4_usize..=128).prop_flat_map(|n| {
            let (packing, _) = default_packing(n);
            let members: Vec<u16> = (1..=n as u16).collect();
            (Just(packing), subsequence(members, packing.random()))
        }),
    ) {
        check_hidden(packing, &members);
    }

    #[test]
    fn sampled_openers_give_the_sum(
        (n, members) in (4_usize..=128).prop_flat_map(|n| {
            let width = default_packing(n).0.width();
            (Just(n), subsequence((1..=n as u16).collect::<Vec<_>>(), width..=n))
        }),
        cell in -(1_i64 << 58)..1 << 58,
        seed: u8,
    ) {
        let (packing, _) = default_packing(n);
        let cells = vec![cell; packing.packed() + 1];
        let records = dealt(&Dealer::new(packing), &cells, seed);
        prop_assert_eq!(read_by(packing, cells.len(), &records, &members), cells);
    }

    #[test]
    fn shares_of_a_sum_are_sums_of_shares(
        a in proptest::collection::vec(-(1_i64 << 58)..1 << 58, 7),
        b in proptest::collection::vec(-(1_i64 << 58)..1 << 58, 7),
        random in proptest::collection::vec(-(1_i64 << 58)..1 << 58, 8),
    ) {
        let packing = packing(9, 3, 2);
        let add = |a: &[i64], b: &[i64]| -> Vec<i64> { a.iter().zip(b).map(|(a, b)| a + b).collect() };
        let (first, second) = (dealt_with(packing, &a, &random[..6]), dealt_with(packing, &b, &random[2..]));
        let sum = dealt_with(packing, &add(&a, &b), &add(&random[..6], &random[2..]));
        prop_assert_eq!(opened(&[first, second]), sum);
    }
}
