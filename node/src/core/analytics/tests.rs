//! Fast sums are the defined sums: a slow evaluator over raw values, row by row, customer by customer.

use std::collections::BTreeMap;

use aquifer_shared::base::calendar::{civil_of, parse};
use aquifer_shared::domain::contract::published::{
    NumberColumn, Published, PublishedColumn, PublishedKind,
};
use aquifer_shared::domain::question::{Block, BlockKind, Filter, Key, Period, Question};
use proptest::prelude::*;

use super::*;

/// A customer's row before it is encoded: customer, level, small number, wide number, day.
#[derive(Clone, Debug)]
struct Raw {
    customer: u8,
    level: u16,
    small: Option<i64>,
    wide: Option<i64>,
    day: Option<i32>,
}

const LEVELS: u16 = 3;
const SMALL: (i64, i64) = (-7, 12);
/// An odd span, so that squares are doubled, wider than 32 bits.
const WIDE: (i64, i64) = (-3, (1 << 40) - 4);
const WIDE_NULL: i64 = 5;

fn days() -> (i32, i32) {
    (parse("2023-11-20").unwrap(), parse("2025-02-03").unwrap())
}

fn number((low, high): (i64, i64), grid: u8, on_null: Option<i64>) -> PublishedKind {
    PublishedKind::Number(NumberColumn {
        digits: 0,
        low,
        high,
        step: 1,
        grid,
        unit: String::new(),
        on_null,
    })
}

fn published(rows_max: u32, groups_max: u32) -> Published {
    let (first, last) = days();
    let levels = (0..LEVELS).map(|level| level.to_string()).collect();
    let unknown = "other".to_owned();
    let kinds = [
        PublishedKind::Key { levels, unknown },
        number(SMALL, 7, None),
        number(WIDE, 64, Some(WIDE_NULL)),
        PublishedKind::Date { first, last },
    ];
    let columns = (0..)
        .zip(kinds)
        .map(|(index, kind): (usize, _)| PublishedColumn {
            name: index.to_string(),
            description: String::new(),
            kind,
        });
    Published {
        name: "orders".to_owned(),
        description: String::new(),
        privacy_unit: "id".to_owned(),
        rows_per_group_max: rows_max,
        groups_per_unit_max: groups_max,
        size_band: (1, 1_000),
        columns: columns.collect(),
    }
}

impl Raw {
    /// Values in contract form; none where a number has none.
    fn values(&self) -> [Option<i64>; 4] {
        let (first, last) = days();
        [
            Some(self.level.min(LEVELS).into()),
            self.small.map(|small| small.clamp(SMALL.0, SMALL.1)),
            Some(self.wide.unwrap_or(WIDE_NULL).clamp(WIDE.0, WIDE.1)),
            Some(self.day.unwrap_or(first).clamp(first, last).into()),
        ]
    }

    fn codes(&self, published: &Published) -> [u64; 4] {
        let of = |index: usize, value: Option<i64>| match &published.columns[index].kind {
            PublishedKind::Number(column) => number_code(column, value.map(|value| value as f64)).0,
            PublishedKind::Date { first, last } => {
                day_code((*first, *last), value.map(|day| day as i32)).0
            }
            PublishedKind::Key { .. } => value.unwrap().min(LEVELS.into()) as u64,
        };
        let raw = [
            Some(self.level.into()),
            self.small,
            self.wide,
            self.day.map(i64::from),
        ];
        [0, 1, 2, 3].map(|index| of(index, raw[index]))
    }
}

fn key() -> ChoiceKey {
    ChoiceKey::derive(&[7; 32], "orders")
}

fn table(rows: &[Raw], published: &Published) -> RowTable {
    let mut builder = TableBuilder::new(published, key());
    for row in rows {
        builder
            .push(&row.customer.to_string(), row.codes(published))
            .unwrap();
    }
    builder.finish()
}

/// Reaches by the definitions, with some largest integer per block.
fn reaches(published: &Published, question: &Question) -> Vec<Reach> {
    let rows = i128::from(published.rows_per_group_max);
    let of = |block: &Block| {
        let bounds = |column: u16| match &published.columns[usize::from(column)].kind {
            PublishedKind::Number(number) => (i128::from(number.low), i128::from(number.high)),
            _ => panic!("not a number"),
        };
        match block.kind {
            BlockKind::Units => 1,
            BlockKind::Rows | BlockKind::Values(_) | BlockKind::Grid(_) => rows,
            BlockKind::Sum(column) => rows * bounds(column).0.abs().max(bounds(column).1.abs()),
            BlockKind::Centred(column) => rows * (bounds(column).1 - bounds(column).0),
            BlockKind::Squares(column) => {
                let span = bounds(column).1 - bounds(column).0;
                rows * span * span / (2 - span % 2)
            }
        }
    };
    let blocks = question.blocks.iter();
    blocks
        .map(|block| Reach {
            by: i64::from(block.weight) * 4_001,
            of: of(block),
        })
        .collect()
}

fn answer(rows: &[Raw], published: &Published, question: &Question, parts: usize) -> Vec<i64> {
    let table = table(rows, published);
    let inquiry = Inquiry::new(&table, published, question, &reaches(published, question));
    let sums = inquiry
        .parts(parts)
        .into_iter()
        .map(|part| inquiry.sum(part));
    sums.reduce(|a, b| a.iter().zip(&b).map(|(a, b)| a + b).collect())
        .unwrap()
}

fn passes(filter: &Filter, values: &[Option<i64>; 4]) -> bool {
    match filter {
        Filter::All => true,
        Filter::Nothing => false,
        Filter::Levels(column, levels) => levels
            .iter()
            .any(|level| values[usize::from(*column)] == Some((*level).into())),
        Filter::Ranges(column, ranges) => {
            let value = values[usize::from(*column)];
            value.is_some_and(|value| {
                ranges
                    .iter()
                    .any(|(low, high)| (*low..=*high).contains(&value))
            })
        }
        Filter::Missing(column) => values[usize::from(*column)].is_none(),
        Filter::Every(parts) => parts.iter().all(|part| passes(part, values)),
        Filter::Either(parts) => parts.iter().any(|part| passes(part, values)),
    }
}

/// The period of a day, counted from some day long ago.
fn period(period: Period, day: i64) -> i64 {
    let (year, month, _) = civil_of(day as i32);
    let (year, month) = (i64::from(year), i64::from(month) - 1);
    match period {
        Period::Year => year,
        Period::Quarter => year * 4 + month / 3,
        Period::Month => year * 12 + month,
        Period::Week => (day + 3).div_euclid(7),
        Period::Day => day,
    }
}

/// Value of a key, and how many it has.
fn key_value(key: &Key, values: &[Option<i64>; 4]) -> (usize, usize) {
    let (value, count) = match *key {
        Key::Level(column) => (values[usize::from(column)].unwrap(), i64::from(LEVELS) + 1),
        Key::Period(column, kind) => {
            let (first, last) = days();
            let start = period(kind, first.into());
            let value = period(kind, values[usize::from(column)].unwrap());
            (value - start, period(kind, last.into()) - start + 1)
        }
        Key::Bucket {
            column,
            low,
            high,
            count,
        } => {
            let parts = i64::from(count);
            let value = match values[usize::from(column)] {
                None => parts + 2,
                Some(x) if x < low => 0,
                Some(x) if x >= high => parts + 1,
                Some(x) => {
                    (i128::from(x - low) * i128::from(parts) / i128::from(high - low)) as i64 + 1
                }
            };
            (value, parts + 2 + i64::from(column == 1))
        }
    };
    (value as usize, count as usize)
}

/// What a row adds to the cells of a block.
fn row_adds(kind: BlockKind, values: &[Option<i64>; 4]) -> Vec<i128> {
    let x = |column: u16| values[usize::from(column)].map(i128::from);
    let bounds = |column: u16| if column == 1 { SMALL } else { WIDE };
    let span = |column: u16| i128::from(bounds(column).1 - bounds(column).0);
    let twice =
        |column: u16| x(column).map(|x| 2 * x - i128::from(bounds(column).0 + bounds(column).1));
    vec![match kind {
        BlockKind::Units | BlockKind::Rows => 1,
        BlockKind::Values(column) => x(column).is_some().into(),
        BlockKind::Sum(column) => x(column).unwrap_or(0),
        BlockKind::Centred(column) => twice(column).unwrap_or(0),
        BlockKind::Squares(column) => {
            let twice = twice(column);
            let even = span(column) % 2 == 0;
            twice.map_or(0, |y| {
                if even {
                    y * y - span(column).pow(2) / 2
                } else {
                    2 * y * y - span(column).pow(2)
                }
            })
        }
        BlockKind::Grid(column) => {
            let cells: i128 = if column == 1 { 7 } else { 64 };
            let low = i128::from(bounds(column).0);
            let cell = x(column).map(|x| ((x - low) * cells / span(column)).min(cells - 1));
            return (0..cells)
                .map(|other| i128::from(cell == Some(other)))
                .collect();
        }
    }]
}

/// The definition: rows that pass, in keyed order; the first G groups; the first R rows of each; totals cut to their reach.
fn naive(rows: &[Raw], published: &Published, question: &Question) -> Vec<i64> {
    let blank = [Some(0), None, Some(0), Some(days().0.into())];
    let groups: usize = question
        .keys
        .iter()
        .map(|key| key_value(key, &blank).1)
        .product();
    let reaches = reaches(published, question);
    let wide: Vec<usize> = question
        .blocks
        .iter()
        .map(|block| row_adds(block.kind, &blank).len())
        .collect();
    let width: usize = wide.iter().sum();
    let mut sums = vec![0; groups * width];
    let mut customers: BTreeMap<u8, Vec<&Raw>> = BTreeMap::new();
    rows.iter()
        .for_each(|row| customers.entry(row.customer).or_default().push(row));
    for rows in customers.values() {
        let mut kept: BTreeMap<usize, (usize, Vec<i128>)> = BTreeMap::new();
        for row in in_order(rows, published) {
            let values = row.values();
            if !passes(&question.filter, &values) {
                continue;
            }
            let group = question.keys.iter().fold(0, |group, key| {
                let (value, count) = key_value(key, &values);
                group * count + value
            });
            if !kept.contains_key(&group) && kept.len() == question.groups_max as usize {
                continue;
            }
            let (counted, totals) = kept.entry(group).or_insert((0, vec![0; width]));
            if *counted == published.rows_per_group_max as usize {
                continue;
            }
            *counted += 1;
            let adds = question.blocks.iter().flat_map(|block| {
                let once = block.kind == BlockKind::Units && *counted > 1;
                row_adds(block.kind, &values)
                    .into_iter()
                    .map(move |add| if once { 0 } else { add })
            });
            totals
                .iter_mut()
                .zip(adds)
                .for_each(|(total, add)| *total += add);
        }
        let reach_of_cell = reaches
            .iter()
            .zip(&wide)
            .flat_map(|(reach, wide)| vec![*reach; *wide]);
        let reach_of_cell: Vec<Reach> = reach_of_cell.collect();
        for (group, (_, totals)) in kept {
            for (cell, (total, reach)) in totals.iter().zip(&reach_of_cell).enumerate() {
                assert!(total.abs() <= reach.of);
                sums[group * width + cell] += (total * i128::from(reach.by) / reach.of) as i64;
            }
        }
    }
    sums
}

/// The rows of a customer by the keyed hash of their content.
fn in_order<'a>(rows: &[&'a Raw], published: &Published) -> Vec<&'a Raw> {
    let (key, buffer) = (key(), &mut Vec::new());
    let mut seen: BTreeMap<Vec<u8>, u32> = BTreeMap::new();
    let tag = key.tag(rows[0].customer.to_string().as_bytes(), buffer);
    let mut ranked: Vec<(u128, &Raw)> = Vec::new();
    for row in rows {
        let [level, small, wide, day] = row.codes(published);
        let mut content = vec![level as u8, small as u8];
        content.extend(wide.to_le_bytes());
        content.extend((day as u16).to_le_bytes());
        let nth = seen.entry(content.clone()).or_insert(0);
        ranked.push((key.rank(tag, *nth, &content, buffer), row));
        *nth += 1;
    }
    ranked.sort_by_key(|row| row.0);
    ranked.into_iter().map(|row| row.1).collect()
}

fn any_raw() -> impl Strategy<Value = Raw> {
    let (first, last) = days();
    let day = prop_oneof![
        first - 2..=first + 9,
        first..=last,
        Just(last + 1),
        Just(i32::MAX),
        Just(i32::MIN)
    ];
    let small = SMALL.0 - 2..=SMALL.1 + 2;
    // Whole numbers that floating point holds.
    let wide = prop_oneof![
        0..20_i64,
        WIDE.0 - 1..=WIDE.1 + 1,
        Just(WIDE.1),
        Just(-(1 << 52))
    ];
    (
        0..6_u8,
        0..LEVELS + 2,
        proptest::option::of(small),
        proptest::option::of(wide),
        proptest::option::of(day),
    )
        .prop_map(|(customer, level, small, wide, day)| Raw {
            customer,
            level,
            small,
            wide,
            day,
        })
}

fn any_key() -> impl Strategy<Value = Key> {
    let period = prop_oneof![
        Just(Period::Year),
        Just(Period::Quarter),
        Just(Period::Month),
        Just(Period::Week),
        Just(Period::Day)
    ];
    let bucket =
        (1..=2_u16, -20..30_i64, 1..40_i64, 1..9_u16).prop_map(|(column, low, span, count)| {
            // Of the wide column, buckets that are about as wide as it.
            let scale = if column == 1 { 1 } else { 1 << 35 };
            Key::Bucket {
                column,
                low: low * scale,
                high: (low + span) * scale,
                count,
            }
        });
    prop_oneof![
        Just(Key::Level(0)),
        period.prop_map(|period| Key::Period(3, period)),
        bucket
    ]
}

fn any_leaf() -> impl Strategy<Value = Filter> {
    let (first, last) = days();
    let levels = proptest::collection::btree_set(0..=LEVELS, 1..3)
        .prop_map(|set| Filter::Levels(0, set.into_iter().collect()));
    let small = (SMALL.0..=SMALL.1, 0..9_i64)
        .prop_map(|(low, more)| Filter::Ranges(1, vec![(low, (low + more).min(SMALL.1))]));
    let wide = (0..1_i64 << 39)
        .prop_map(|low: i64| Filter::Ranges(2, vec![(WIDE.0, 7), (low + 9, WIDE.1)]));
    let day =
        (first..=last).prop_map(move |day| Filter::Ranges(3, vec![(first.into(), day.into())]));
    prop_oneof![6 => Just(Filter::All), 1 => Just(Filter::Nothing), 4 => levels, 4 => small, 4 => wide, 4 => day, 2 => Just(Filter::Missing(1))]
}

fn any_filter() -> impl Strategy<Value = Filter> {
    any_leaf().prop_recursive(3, 12, 3, |inner| {
        let parts = proptest::collection::vec(inner, 2..4);
        (parts, any::<bool>()).prop_map(|(parts, every)| {
            if every {
                Filter::Every(parts)
            } else {
                Filter::Either(parts)
            }
        })
    })
}

const KINDS: [BlockKind; 11] = [
    BlockKind::Units,
    BlockKind::Rows,
    BlockKind::Values(0),
    BlockKind::Values(1),
    BlockKind::Sum(1),
    BlockKind::Sum(2),
    BlockKind::Centred(1),
    BlockKind::Squares(1),
    BlockKind::Squares(2),
    BlockKind::Grid(1),
    BlockKind::Grid(2),
];

fn any_question() -> impl Strategy<Value = Question> {
    let keys = proptest::collection::vec(any_key(), 0..3);
    let blocks = proptest::sample::subsequence(KINDS.to_vec(), 1..5);
    let weights = proptest::collection::vec(1..=1_000_u16, 5);
    (keys, any_filter(), 1..5_u32, blocks, weights).prop_map(
        |(keys, filter, groups_max, blocks, weights)| Question {
            table: "orders".to_owned(),
            keys,
            filter,
            groups_max,
            blocks: blocks
                .into_iter()
                .zip(weights)
                .map(|(kind, weight)| Block { kind, weight })
                .collect(),
        },
    )
}

proptest! {
    #[test]
    fn fast_sums_are_the_defined_sums(
        rows in proptest::collection::vec(any_raw(), 0..80),
        question in any_question(),
        rows_max in 1..4_u32,
        parts in 1..4_usize,
    ) {
        let published = published(rows_max, question.groups_max);
        let found = answer(&rows, &published, &question, parts);
        prop_assert_eq!(found, naive(&rows, &published, &question));
    }

    #[test]
    fn one_customer_changes_the_sums_within_the_reach(
        mut rows in proptest::collection::vec(any_raw(), 0..80),
        question in any_question(),
        rows_max in 1..4_u32,
        customer in 0..6_u8,
    ) {
        let published = published(rows_max, question.groups_max);
        let with = answer(&rows, &published, &question, 1);
        rows.retain(|row| row.customer != customer);
        let without = answer(&rows, &published, &question, 1);
        let change: i128 = with.iter().zip(&without).map(|(a, b)| i128::from(a - b).pow(2)).sum();
        let reach = reaches(&published, &question).iter().map(|reach| i128::from(reach.by).pow(2)).sum::<i128>();
        prop_assert!(change <= i128::from(question.groups_max) * reach);
    }

    #[test]
    fn the_order_of_reading_means_nothing(rows in proptest::collection::vec(any_raw(), 0..60).prop_shuffle()) {
        let published = published(2, 2);
        let mut turned = rows.clone();
        turned.reverse();
        prop_assert!(table(&rows, &published) == table(&turned, &published));
    }
}

fn raw(customer: u8, level: u16, small: Option<i64>) -> Raw {
    Raw {
        customer,
        level,
        small,
        wide: Some(0),
        day: None,
    }
}

fn ask(keys: Vec<Key>, filter: Filter, groups_max: u32, kinds: &[BlockKind]) -> Question {
    let blocks = kinds.iter().map(|kind| Block {
        kind: *kind,
        weight: 1,
    });
    Question {
        table: "orders".to_owned(),
        keys,
        filter,
        groups_max,
        blocks: blocks.collect(),
    }
}

#[test]
fn a_sum_by_hand() {
    let rows = [
        raw(1, 0, Some(3)),
        raw(1, 0, Some(100)),
        raw(1, 2, None),
        raw(2, 9, Some(-100)),
    ];
    let question = ask(
        vec![Key::Level(0)],
        Filter::All,
        4,
        &[
            BlockKind::Units,
            BlockKind::Rows,
            BlockKind::Values(1),
            BlockKind::Sum(1),
        ],
    );
    // 4,001 times 1/1, rows/3, rows with a value/3, (3 + 12)/36 and -7/36.
    let expected = [
        [4_001, 2_667, 2_667, 1_667],
        [0; 4],
        [4_001, 1_333, 0, 0],
        [4_001, 1_333, 1_333, -777],
    ];
    assert_eq!(
        answer(&rows, &published(3, 4), &question, 1),
        expected.concat()
    );
}

#[test]
fn an_empty_table_adds_up_to_nothing() {
    let question = ask(
        vec![Key::Level(0)],
        Filter::All,
        1,
        &[BlockKind::Rows, BlockKind::Grid(1)],
    );
    for parts in [1, 2] {
        assert_eq!(answer(&[], &published(1, 1), &question, parts), [0; 4 * 8]);
    }
}

#[test]
fn blocks_of_rows_join_without_a_seam() {
    let row = |index: usize| {
        raw(
            (index % 5 * index % 7) as u8,
            (index % 4) as u16,
            Some(index as i64 % 20 - 8),
        )
    };
    let rows: Vec<Raw> = (0..9_000).map(row).collect();
    let filter = Filter::Ranges(1, vec![(-7, -2), (1, 12)]);
    for rows_max in [1, 1_000, 1_500] {
        let published = published(rows_max, 2);
        let question = ask(
            vec![Key::Level(0)],
            filter.clone(),
            2,
            &[BlockKind::Rows, BlockKind::Squares(1)],
        );
        let expected = naive(&rows, &published, &question);
        for parts in 1..4 {
            assert_eq!(answer(&rows, &published, &question, parts), expected);
        }
    }
}

#[test]
fn a_customer_with_a_million_rows_counts_as_much_as_any() {
    let published = published(1, 3);
    let (mut builder, codes) = (
        TableBuilder::new(&published, key()),
        raw(0, 0, Some(12)).codes(&published),
    );
    for row in 0..1_000_000_u64 {
        builder
            .push("one", [row % 4, codes[1], codes[2], codes[3]])
            .unwrap();
    }
    let table = builder.finish();
    assert_eq!((table.rows(), table.customers()), (1_000_000, 1));
    let question = ask(vec![Key::Level(0)], Filter::All, 3, &[BlockKind::Sum(1)]);
    let inquiry = Inquiry::new(&table, &published, &question, &[Reach { by: 24, of: 12 }]);
    let mut sums: Vec<i64> = inquiry.sum(0..1);
    sums.sort_unstable();
    assert_eq!(sums, [0, 24, 24, 24]);
}

#[test]
fn tables_tell_nothing_when_printed() {
    assert_eq!(
        format!("{:?}", table(&[raw(1, 1, None)], &published(1, 1))),
        "<rows of 4 columns>"
    );
}
