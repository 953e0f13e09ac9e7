//! Golden vectors and exact sums: every roster, every choice of openers, many sizes.

use proptest::prelude::*;
use proptest::sample::subsequence;

use super::*;

#[test]
fn golden_dealing_of_four() {
    let packing = packing(4, 1, 1);
    let ends = |digits: [u64; 4]| digits.map(|digits| 2_305_843_009_213_693_000 + digits);
    let first = dealt_with(packing, &[7], &[11]);
    let second = dealt_with(packing, &[-5], &[-1]);
    let values_of = |records: &Records| values(&opened(std::slice::from_ref(records)));
    assert_eq!(values_of(&first), ends([950, 946, 942, 938]));
    assert_eq!(values_of(&second), ends([938, 934, 930, 926]));
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
    let openings = opened(&[dealt_with(packing, &cells, &[123_456_789])]);
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
    assert_eq!(values(&openings), expected);
    assert_eq!(read_by(packing, 3, &openings, &[1, 3, 4, 8]), cells);
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

#[test]
fn any_width_openings_give_the_sum() {
    let packing = packing(10, 3, 2);
    let cells = [i64::from(i32::MIN), -1, 0, 1, 1 << 58];
    let openings = opened(&[dealt(&Dealer::new(packing), &cells, 9)]);
    for members in subsets(10, packing.width()) {
        assert_eq!(read_by(packing, 5, &openings, &members), cells);
    }
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
    let (first, second) = (opened(&[first]), opened(&[second]));
    assert_eq!(read_by(dealer.packing(), 9, &first, &[2, 4, 6, 8]), cells);
    assert_eq!(read_by(dealer.packing(), 9, &second, &[2, 4, 6, 8]), cells);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

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
        let openings = opened(&[dealt(&Dealer::new(packing), &cells, seed)]);
        prop_assert_eq!(read_by(packing, cells.len(), &openings, &members), cells);
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
        prop_assert_eq!(opened(&[first, second]), opened(&[sum]));
    }
}
