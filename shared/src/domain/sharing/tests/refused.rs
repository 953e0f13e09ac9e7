//! What must not become a sum: wrong, missing, foreign and malformed openings, padding, cells out of range.

use super::*;

/// Adds 1 to one element of one member.
fn spoil(openings: &mut Openings, member: u16, block: usize) {
    let element = &mut openings[usize::from(member) - 1][block];
    *element = *element + Element::ONE;
}

type Read = fn(Packing, usize, &BTreeMap<u16, &[Element]>) -> Result<Reading, ReadFault>;

/// Openings of `members` for a sum of 1, 2, …, 110, some of them spoiled at some block.
#[track_caller]
fn check_spoiled(
    members: &[u16],
    spoiled: &[(u16, usize)],
    call: Read,
) -> Result<Reading, ReadFault> {
    let packing = packing(8, 3, 1);
    let cells: Vec<i64> = (1..=110).collect();
    let mut openings = opened(&[dealt(&Dealer::new(packing), &cells, 5)]);
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
fn as_many_wrong_openers_as_spare_ones_can_blame_an_honest_one() {
    // (x − 1)(x − 2)(x − 3) is 24 at 5 and 60 at 6, and −24, −60, −120 where the cells are.
    let packing = packing(8, 3, 1);
    let mut openings = opened(&[dealt(&Dealer::new(packing), &[1, 2, 3], 5)]);
    for (member, wrong) in [(5, 24), (6, 60)] {
        let element = &mut openings[member - 1][0];
        *element = *element + Element::from(i64::from(wrong));
    }
    let reading = read_naming_one(packing, 3, &of(&openings, &[1, 2, 3, 4, 5, 6])).unwrap();
    assert_eq!(
        (reading.left_out, reading.sum),
        (Some(4), vec![-23, -58, -117])
    );
    let fault = read_naming_one(packing, 3, &of(&openings, &[1, 2, 3, 4, 5, 6, 7])).unwrap_err();
    assert_eq!(fault, ReadFault::NotOne { block: 0 });
}

#[test]
fn without_a_spare_opening_nothing_is_checked() {
    let reading = check_spoiled(&[2, 3, 5, 8], &[], read).unwrap();
    assert_eq!(reading.spares, 0);
}

#[track_caller]
fn check_refused(members: &[u16], cells: usize, expected: &ReadFault) {
    let records = dealt(&Dealer::new(packing(8, 3, 1)), &[1, 2, 3, 4, 5], 6);
    let openings = opened(&[records]);
    let fault = read(packing(8, 3, 1), cells, &of(&openings, members)).unwrap_err();
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
    for stranger in [0, 9, u16::MAX] {
        let openings = [1, 2, 3, 4, stranger].map(|member| (member, &[Element::ZERO][..]));
        let fault = read(packing(8, 3, 1), 1, &openings.into()).unwrap_err();
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
        let openings = opened(&[dealt(&Dealer::new(packing), &[0, 1, 2, 3, cell], 6)]);
        let fault = read(packing, 5, &all(&openings)).err();
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
    check_parse(&words, 3, Err(BadElement { position: 1 }.into()));
}
