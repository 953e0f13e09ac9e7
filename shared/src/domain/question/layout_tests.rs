//! Cells have one place each, and buckets are PostgreSQL's.

use super::super::fixtures::{orders, question};
use super::super::{Filter, Period};
use super::*;

#[test]
fn cells_are_group_major_with_the_last_key_fastest() {
    let layout = Layout::of(&question(), &orders()).unwrap();
    // Three shops, twelve months and one for missing days; three single cells and a grid of 40.
    assert_eq!(
        (layout.groups(), layout.width(), layout.cells()),
        (39, 43, 1_677)
    );
    assert_eq!(layout.group(&[1, 2]), Some(15));
    assert_eq!(layout.places(15), [1, 2]);
    assert_eq!(layout.cells_of(15, 3), 15 * 43 + 3..16 * 43);
    assert_eq!(layout.block(1), 1..2);
    assert_eq!(layout.group(&[3, 0]), None);
    assert_eq!(layout.group(&[0]), None);
    let every = (0..39).map(|group| layout.group(&layout.places(group)));
    assert!(every.eq((0..39).map(Some)));
}

#[test]
fn a_question_without_keys_has_one_group() {
    let mut question = question();
    question.keys.clear();
    question.filter = Filter::All;
    let layout = Layout::of(&question, &orders()).unwrap();
    assert_eq!((layout.groups(), layout.group(&[])), (1, Some(0)));
    question.keys = vec![Key::Level(0)];
    assert_eq!(Layout::of(&question, &orders()), None);
    question.keys = vec![Key::Level(9)];
    assert_eq!(Layout::of(&question, &orders()), None);
}

#[track_caller]
fn check_place(key: Key, value: Option<i64>, expected: usize) {
    let table = orders();
    let kind = &table.columns[usize::from(key.column())].kind;
    assert_eq!(
        key.place(kind, value),
        Some(expected),
        "{key:?} of {value:?}"
    );
    assert!(expected < key.count(kind).unwrap());
}

#[test]
fn every_value_has_a_place() {
    let day = |text: &str| crate::base::calendar::parse(text).map(i64::from);
    let month = Key::Period(2, Period::Month);
    check_place(month, day("2024-01-15"), 0);
    check_place(month, day("2024-12-01"), 11);
    check_place(month, day("1999-12-01"), 0);
    check_place(month, None, 12);
    check_place(Key::Level(3), Some(0), 0);
    check_place(Key::Level(3), Some(2), 2);
    check_place(Key::Level(3), Some(99), 2);
    check_place(Key::Level(3), None, 2);
    let bucket = |column| Key::Bucket {
        column,
        low: 20,
        high: 80,
        count: 6,
    };
    check_place(bucket(1), Some(19), 0);
    check_place(bucket(1), Some(80), 7);
    check_place(bucket(0), None, 8);
}

#[test]
fn buckets_are_those_of_postgresql() {
    // SELECT width_bucket(x, 0, 10, 3) from PostgreSQL 15, numeric arguments.
    let cases = [
        (-1, 0),
        (0, 1),
        (3, 1),
        (4, 2),
        (6, 2),
        (7, 3),
        (9, 3),
        (10, 4),
        (11, 4),
    ];
    for (units, expected) in cases {
        assert_eq!(bucket(units, 0, 10, 3), expected, "{units}");
    }
    assert_eq!(bucket(5_350, 24, 10_060, 5), 3);
    assert_eq!(bucket(i64::MAX, i64::MIN, i64::MAX, u16::MAX), 65_536);
    assert_eq!(bucket(i64::MAX - 1, i64::MIN, i64::MAX, 1), 1);
}

#[test]
fn the_grid_covers_the_bounds() {
    let table = orders();
    let amount = number(&table.columns[0].kind).unwrap();
    assert_eq!(amount.grid_cell(-1_000), 0);
    assert_eq!(amount.grid_cell(-601), 0);
    assert_eq!(amount.grid_cell(-600), 1);
    assert_eq!(amount.grid_cell(15_000), 39);
    assert_eq!(amount.grid_cell(99_000), 39);
    assert_eq!(amount.runs(), 5);
    assert_eq!(
        (amount.grid_edge(1), amount.grid_edge(40)),
        (-600.0, 15_000.0)
    );
}
