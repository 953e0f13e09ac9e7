//! Secrecy, decided over the field and not sampled: colluders hold a bijective image of the random values.

use proptest::prelude::*;
use proptest::sample::subsequence;

use super::*;

#[test]
fn nothing_secret_can_be_printed() {
    let bytes = 4_711_u64.to_le_bytes();
    let mut summed = SummedShares::zero(1);
    let record = Record::parse(&bytes, 1).unwrap();
    summed.add(&record);
    let mut bytes = bytes;
    let space = RecordSpace {
        member: 2,
        bytes: &mut bytes,
    };
    let printed = format!("{record:?} {summed:?} {space:?}");
    assert_eq!(
        printed,
        "<share record> SummedShares(<secret>) <record for member 2>"
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

/// What every member's share of one block owes to each random value: dealings of zeros with a single 1 among them.
fn random_parts(packing: Packing) -> Vec<Vec<Element>> {
    let mut parts = vec![Vec::new(); packing.members()];
    for drawn in 0..packing.random() {
        let mut random = vec![0; packing.random()];
        random[drawn] = 1;
        let zeros = vec![0; packing.packed()];
        let shares = opened(&[dealt_with(packing, &zeros, &random)]);
        for (part, share) in parts.iter_mut().zip(shares) {
            part.extend(share);
        }
    }
    parts
}

/// The shares of `members` are a bijective image of the random values, whatever the cells are.
#[track_caller]
fn check_hidden(parts: &[Vec<Element>], members: &[u16]) {
    let rows = members
        .iter()
        .map(|&member| parts[usize::from(member) - 1].clone());
    assert_eq!(rank(rows.collect()), members.len(), "{members:?}");
}

#[track_caller]
fn check_every_choice(packing: Packing) {
    let parts = random_parts(packing);
    for members in subsets(packing.members(), packing.random()) {
        check_hidden(&parts, &members);
    }
}

#[test]
fn every_set_of_colluders_sees_only_random_values() {
    (4..=12).for_each(|n| check_every_choice(default_packing(n).0));
    (1..=6).for_each(|random| check_every_choice(packing(8, 1, random)));
    (1..=6).for_each(|packed| check_every_choice(packing(8, packed, 1)));
    check_every_choice(packing(12, 5, 5));
}

#[test]
#[should_panic(expected = "[1, 2, 3]")]
fn one_colluder_more_sees_more() {
    check_hidden(&random_parts(packing(8, 3, 2)), &[1, 2, 3]);
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
        check_hidden(&random_parts(packing), &members);
    }
}
