//! Canonical conditions mean what SQL means, and there is one form only.

use proptest::prelude::*;

use super::super::fixtures::orders;
use super::*;
use crate::base::calendar;
use crate::protocol::codec::{decode, encode};

fn amount(ranges: &[(i64, i64)]) -> Filter {
    Filter::ranges(&orders(), 0, ranges.to_vec())
}

fn shop(places: &[u16]) -> Filter {
    Filter::levels(&orders(), 3, places.to_vec())
}

#[track_caller]
fn check_same(one: Filter, other: Filter) {
    assert_eq!(one, other);
    assert_eq!(one.rebuilt(&orders()), one);
}

#[test]
fn ranges_and_levels_are_merged() {
    let table = orders();
    check_same(amount(&[(5, 9), (0, 4)]), Filter::Ranges(0, vec![(0, 9)]));
    check_same(
        amount(&[(0, 4), (6, 9)]),
        Filter::Ranges(0, vec![(0, 4), (6, 9)]),
    );
    check_same(amount(&[(9, 4)]), Filter::Nothing);
    check_same(amount(&[(-9_999, 0)]), Filter::Ranges(0, vec![(-1_000, 0)]));
    check_same(shop(&[1, 0, 1]), Filter::Levels(3, vec![0, 1]));
    check_same(shop(&[2, 1, 0]), Filter::All);
    check_same(shop(&[]), Filter::Nothing);
    let both = vec![amount(&[(0, 50)]), amount(&[(20, 90)])];
    check_same(Filter::every(&table, both.clone()), amount(&[(20, 50)]));
    check_same(Filter::either(&table, both), amount(&[(0, 90)]));
    let shops = vec![shop(&[0]), shop(&[1])];
    check_same(Filter::every(&table, shops.clone()), Filter::Nothing);
    check_same(Filter::either(&table, shops), shop(&[0, 1]));
}

#[test]
fn a_default_makes_missing_values_impossible() {
    let table = orders();
    check_same(Filter::ranges(&table, 1, vec![(0, 99)]), Filter::All);
    check_same(Filter::missing(&table, 1), Filter::Nothing);
    check_same(Filter::missing(&table, 3), Filter::Nothing);
    check_same(Filter::missing(&table, 0), Filter::Missing(0));
    let whole = amount(&[(-1_000, 15_000)]);
    assert_ne!(whole, Filter::All);
    let either = vec![whole.clone(), Filter::Missing(0)];
    check_same(Filter::either(&table, either.clone()), Filter::All);
    check_same(Filter::every(&table, either), Filter::Nothing);
    check_same(Filter::present(&table, 0), whole);
    check_same(
        Filter::outside(&table, 0, vec![(-1_000, 15_000)]),
        Filter::Nothing,
    );
    check_same(Filter::present(&table, 1), Filter::All);
}

#[test]
fn superfluous_parts_are_absorbed() {
    let table = orders();
    let (a, b) = (shop(&[0]), amount(&[(0, 9)]));
    let either = Filter::either(&table, vec![a.clone(), b.clone()]);
    check_same(Filter::every(&table, vec![either, a.clone()]), a.clone());
    let every = Filter::every(&table, vec![a.clone(), b]);
    check_same(Filter::either(&table, vec![every, a.clone()]), a);
}

#[test]
fn conditions_travel_as_steps() {
    let table = orders();
    let either = Filter::either(&table, vec![shop(&[0]), amount(&[(0, 9)])]);
    let every = Filter::every(&table, vec![either, Filter::Missing(2)]);
    for filter in [every, Filter::All, Filter::Nothing] {
        let bytes = encode(&filter);
        assert_eq!(decode::<Filter>("condition", &bytes, 1_000), Ok(filter));
    }
}

#[test]
fn deep_or_broken_steps_are_refused() {
    let joint = |count: u8| [5_u32.to_le_bytes().as_slice(), &[count]].concat();
    let all = 0_u32.to_le_bytes().to_vec();
    let list = |steps: Vec<Vec<u8>>| {
        [(steps.len() as u64).to_le_bytes().to_vec(), steps.concat()].concat()
    };
    let sound = |steps| decode::<Filter>("condition", &list(steps), 1 << 18).is_ok();
    assert!(sound(vec![all.clone(), all.clone(), joint(2)]));
    assert!(!sound(vec![]));
    assert!(!sound(vec![all.clone(), joint(1)]));
    assert!(!sound(vec![all.clone(), all.clone()]));
    assert!(!sound(vec![all.clone(), joint(2)]));
    let deep = |depth: usize| {
        let levels = (0..depth).flat_map(|_| [all.clone(), joint(2)]);
        std::iter::once(all.clone()).chain(levels).collect()
    };
    assert!(sound(deep(32)));
    assert!(!sound(deep(33)));
    assert!(!sound(vec![all.clone(); 5_000]));
}

/// A condition as people write it.
#[derive(Clone, Debug)]
enum Written {
    Amount(i64, i64),
    Age(i64, i64),
    Day(i64, i64),
    Shop(Vec<u16>),
    Missing(u16),
    Not(Box<Written>),
    And(Vec<Written>),
    Or(Vec<Written>),
}

fn written() -> impl Strategy<Value = Written> {
    let first = i64::from(calendar::parse("2024-01-15").unwrap());
    let leaf = prop_oneof![
        (-1_000_i64..200, 0_i64..300).prop_map(|(from, more)| Written::Amount(from, from + more)),
        (18_i64..60, 0_i64..50).prop_map(|(from, more)| Written::Age(from, (from + more).min(91))),
        (0_i64..200, 0_i64..200).prop_map(move |(from, more)| Written::Day(
            first + from,
            first + (from + more).min(351)
        )),
        proptest::collection::vec(0_u16..3, 0..4).prop_map(Written::Shop),
        (0_u16..4).prop_map(Written::Missing),
    ];
    leaf.prop_recursive(4, 24, 3, |inner| {
        prop_oneof![
            inner.clone().prop_map(|one| Written::Not(Box::new(one))),
            proptest::collection::vec(inner.clone(), 1..4).prop_map(Written::And),
            proptest::collection::vec(inner, 1..4).prop_map(Written::Or),
        ]
    })
}

fn canonical(written: &Written) -> Filter {
    let table = &orders();
    let all = |parts: &[Written]| parts.iter().map(canonical).collect();
    match written {
        Written::Amount(from, to) => Filter::ranges(table, 0, vec![(*from, *to)]),
        Written::Age(from, to) => Filter::ranges(table, 1, vec![(*from, *to)]),
        Written::Day(from, to) => Filter::ranges(table, 2, vec![(*from, *to)]),
        Written::Shop(places) => Filter::levels(table, 3, places.clone()),
        Written::Missing(column) => Filter::missing(table, *column),
        Written::Not(inner) => pushed(inner),
        Written::And(parts) => Filter::every(table, all(parts)),
        Written::Or(parts) => Filter::either(table, all(parts)),
    }
}

/// NOT of a condition, pushed down to its leaves as the front does.
fn pushed(written: &Written) -> Filter {
    let table = &orders();
    let all = |parts: &[Written]| parts.iter().map(pushed).collect();
    match written {
        Written::Not(inner) => canonical(inner),
        Written::And(parts) => Filter::either(table, all(parts)),
        Written::Or(parts) => Filter::every(table, all(parts)),
        Written::Missing(column) => Filter::present(table, *column),
        Written::Amount(from, to) => Filter::outside(table, 0, vec![(*from, *to)]),
        Written::Age(from, to) => Filter::outside(table, 1, vec![(*from, *to)]),
        Written::Day(from, to) => Filter::outside(table, 2, vec![(*from, *to)]),
        Written::Shop(places) => Filter::other_levels(table, 3, places),
    }
}

/// SQL's three values: `None` is neither true nor false.
fn naive(written: &Written, row: &[Option<i64>; 4]) -> Option<bool> {
    let within = |column: usize, from: &i64, to: &i64| {
        row[column].map(|value| (*from..=*to).contains(&value))
    };
    match written {
        Written::Amount(from, to) => within(0, from, to),
        Written::Age(from, to) => within(1, from, to),
        Written::Day(from, to) => within(2, from, to),
        Written::Shop(places) => row[3].map(|place| places.contains(&(place as u16))),
        Written::Missing(column) => Some(row[usize::from(*column)].is_none()),
        Written::Not(inner) => naive(inner, row).map(|found| !found),
        Written::And(parts) => decided(parts, row, false),
        Written::Or(parts) => decided(parts, row, true),
    }
}

/// One part of this value decides; otherwise one that is neither leaves it open.
fn decided(parts: &[Written], row: &[Option<i64>; 4], decisive: bool) -> Option<bool> {
    let found: Vec<Option<bool>> = parts.iter().map(|part| naive(part, row)).collect();
    if found.contains(&Some(decisive)) {
        return Some(decisive);
    }
    (!found.contains(&None)).then_some(!decisive)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn canonical_conditions_mean_what_sql_means(
        asked in written(),
        rows in proptest::collection::vec((proptest::option::of(-1_000_i64..200), 18_i64..=91, proptest::option::of(0_i64..=351), 0_i64..3), 20),
    ) {
        let filter = canonical(&asked);
        prop_assert_eq!(filter.rebuilt(&orders()), filter.clone());
        let first = i64::from(calendar::parse("2024-01-15").unwrap());
        for (amount, age, day, shop) in rows {
            let row = [amount, Some(age), day.map(|day| first + day), Some(shop)];
            let holds = filter.holds(&|column| row[usize::from(column)]);
            prop_assert_eq!(holds, naive(&asked, &row) == Some(true), "{:?}", filter);
        }
    }
}
