//! Fast sums are the defined sums: a slow evaluator over raw values, row by row, customer by customer.

use std::collections::BTreeMap;

use aquifer_shared::base::calendar::parse;
use aquifer_shared::base::limits::ROWS_PER_UNIT_MAX;
use aquifer_shared::domain::contract::published::{
    NumberColumn, Published, PublishedColumn, PublishedKind,
};
use aquifer_shared::domain::question::{
    Block, BlockKind, Filter, Key, Layout, Period, Question, RUN_CELLS, Scales, number,
};
use proptest::prelude::*;

use super::*;
use crate::core::consent::SubjectKey;
use crate::core::fixtures::everybody;

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

fn numeric((low, high): (i64, i64), grid: u8, on_null: Option<i64>) -> PublishedKind {
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
        numeric(SMALL, 7, None),
        numeric(WIDE, 64, Some(WIDE_NULL)),
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
        rows_per_unit_max: ROWS_PER_UNIT_MAX,
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
            self.day.map(|day| day.clamp(first, last).into()),
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
    ChoiceKey::derive(&[7; 32], &SubjectKey::new(&[8; 32]), "orders")
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

fn scales(published: &Published, question: &Question) -> Scales {
    Scales::of(question, published, 1_000).unwrap()
}

fn answer(rows: &[Raw], published: &Published, question: &Question, parts: usize) -> Vec<i64> {
    let (table, scales) = (table(rows, published), scales(published, question));
    let cohort = everybody(table.rows());
    let inquiry = Inquiry::new((&table, &cohort), published, question, &scales);
    let sums = inquiry.parts(parts).into_iter();
    let sums = sums.map(|part| inquiry.sum(part));
    let both = |a: Vec<i64>, b: Vec<i64>| a.iter().zip(&b).map(|(a, b)| a + b).collect();
    sums.reduce(both).unwrap()
}

/// The definition: rows that pass, in keyed order; the first G groups; the first R rows of each; totals cut to their reach.
fn naive(rows: &[Raw], published: &Published, question: &Question) -> Vec<i64> {
    let layout = Layout::of(question, published).unwrap();
    let (scales, width) = (scales(published, question), layout.width());
    let kind = |column: u16| &published.columns[usize::from(column)].kind;
    let mut sums = vec![0; layout.cells()];
    let mut customers: BTreeMap<u8, Vec<&Raw>> = BTreeMap::new();
    rows.iter()
        .for_each(|row| customers.entry(row.customer).or_default().push(row));
    for rows in customers.values() {
        let mut kept: BTreeMap<usize, (usize, Vec<i128>)> = BTreeMap::new();
        for row in in_order(rows, published) {
            let values = row.values();
            let value = |column: u16| values[usize::from(column)];
            if !question.filter.holds(&value) {
                continue;
            }
            let keys = question.keys.iter();
            let places =
                keys.map(|key| key.place(kind(key.column()), value(key.column())).unwrap());
            let group = layout.group(&places.collect::<Vec<usize>>()).unwrap();
            if !kept.contains_key(&group) && kept.len() == question.groups_max as usize {
                continue;
            }
            let (counted, totals) = kept.entry(group).or_insert((0, vec![0; width]));
            if *counted == published.rows_per_group_max as usize {
                continue;
            }
            *counted += 1;
            for (index, block) in question.blocks.iter().enumerate() {
                let value = block.kind.column().and_then(value);
                let cell = match block.kind {
                    BlockKind::Units if *counted > 1 => continue,
                    BlockKind::Grid(column) => {
                        number(kind(column)).unwrap().grid_cell(value.unwrap_or(0))
                    }
                    BlockKind::Runs(column) => {
                        let cell = number(kind(column)).unwrap().grid_cell(value.unwrap_or(0));
                        cell / RUN_CELLS
                    }
                    _ => 0,
                };
                totals[layout.block(index).start + cell] += block.kind.of_row(published, value);
            }
        }
        for (group, (_, totals)) in kept {
            for index in 0..question.blocks.len() {
                let cells = layout.cells_of(group, index).zip(layout.block(index));
                cells.for_each(|(cell, total)| {
                    assert!(totals[total].unsigned_abs() <= scales.reaches[index]);
                    sums[cell] += scales.scaled(index, totals[total]);
                });
            }
        }
    }
    sums
}

/// The rows of a customer by the keyed hash of their content.
fn in_order<'a>(rows: &[&'a Raw], published: &Published) -> Vec<&'a Raw> {
    let (key, buffer) = (key(), &mut Vec::new());
    let mut seen: BTreeMap<Vec<u8>, u32> = BTreeMap::new();
    let tag = key.tag(&rows[0].customer.to_string());
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
    prop_oneof![6 => Just(Filter::All), 1 => Just(Filter::Nothing), 4 => levels, 4 => small, 4 => wide, 4 => day, 2 => Just(Filter::Missing(1)), 2 => Just(Filter::Missing(3))]
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

const KINDS: [BlockKind; 13] = [
    BlockKind::Units,
    BlockKind::Rows,
    BlockKind::Values(1),
    BlockKind::Values(3),
    BlockKind::Sum(1),
    BlockKind::Sum(2),
    BlockKind::Centred(1),
    BlockKind::Squares(1),
    BlockKind::Squares(2),
    BlockKind::Grid(1),
    BlockKind::Grid(2),
    BlockKind::Runs(1),
    BlockKind::Runs(2),
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
        prop_assert!(change <= scales(&published, &question).delta_sq.into());
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
    let published = published(3, 4);
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
    let table = table(&rows, &published);
    let scales = Scales {
        amplitudes: vec![4_001; 4],
        ..scales(&published, &question)
    };
    let cohort = everybody(table.rows());
    let inquiry = Inquiry::new((&table, &cohort), &published, &question, &scales);
    assert_eq!(inquiry.sum(0..2), expected.concat());
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
    let kept = ROWS_PER_UNIT_MAX as usize;
    assert_eq!((table.rows(), table.customers()), (kept, 1));
    let excess = excess(&table, &published);
    let over = (excess.customers_over_kept, excess.rows_not_kept);
    assert_eq!(over, (1, 1_000_000 - u64::from(ROWS_PER_UNIT_MAX)));
    let question = ask(vec![Key::Level(0)], Filter::All, 3, &[BlockKind::Sum(1)]);
    let scales = scales(&published, &question);
    let mut sums = Inquiry::new(
        (&table, &everybody(table.rows())),
        &published,
        &question,
        &scales,
    )
    .sum(0..1);
    sums.sort_unstable();
    let most = scales.amplitudes[0].into();
    assert_eq!(sums, [0, most, most, most]);
}

/// The first rows by keyed rank are kept; those with no more rows than that keep all, and their sums stay as they were.
#[test]
fn rows_beyond_those_that_a_unit_keeps_count_nowhere() {
    let row = |index: i64| raw((index % 3) as u8, (index % 2) as u16, Some(index % 20 - 7));
    let mut rows: Vec<Raw> = (0..60).map(row).collect();
    rows.extend((0..5).map(|index| raw(9, 1, Some(index))));
    let whole = published(100, 4);
    let kept = Published {
        rows_per_unit_max: 5,
        ..whole.clone()
    };
    let table = table(&rows, &kept);
    assert_eq!((table.customers(), table.rows()), (4, 20));
    let excess = excess(&table, &kept);
    assert_eq!((excess.customers_over_kept, excess.rows_not_kept), (3, 45));
    let mut first: Vec<Raw> = Vec::new();
    for customer in [0, 1, 2, 9] {
        let own: Vec<&Raw> = rows.iter().filter(|row| row.customer == customer).collect();
        first.extend(in_order(&own, &whole).into_iter().take(5).cloned());
    }
    let keys = vec![Key::Level(0)];
    let question = ask(keys, Filter::All, 4, &[BlockKind::Rows, BlockKind::Sum(1)]);
    let expected = naive(&first, &whole, &question);
    assert_eq!(answer(&rows, &kept, &question, 1), expected);
}

#[test]
fn customers_beyond_the_band_are_left_out_by_their_tags() {
    let band = |most| Published {
        size_band: (1, most),
        ..published(2, 4)
    };
    let rows: Vec<Raw> = (0..40)
        .flat_map(|customer| [raw(customer, 0, None), raw(customer, 1, None)])
        .collect();
    let table_of = |rows: &[Raw], most| table(rows, &band(most));
    let kept = table_of(&rows, 25);
    let found = (kept.customers(), kept.rows(), kept.customers_left_out());
    assert_eq!(found, (25, 50, 15));
    let tag = |customer: u8| key().tag(&customer.to_string());
    let mut tags: Vec<_> = (0..40).map(|customer| (tag(customer), customer)).collect();
    tags.sort_unstable();
    let first: Vec<u8> = tags[..25].iter().map(|(_, customer)| *customer).collect();
    let those: Vec<Raw> = rows
        .iter()
        .filter(|row| first.contains(&row.customer))
        .cloned()
        .collect();
    let whole = table_of(&those, 25);
    assert_eq!(whole.customers_left_out(), 0);
    assert!(
        kept.digest(&[1; 32]) == whole.digest(&[1; 32])
            && kept.digest(&[1; 32]) != whole.digest(&[2; 32])
    );
    assert_eq!(table_of(&rows, 40).customers_left_out(), 0);
}

#[test]
fn tables_tell_nothing_when_printed() {
    assert_eq!(
        format!("{:?}", table(&[raw(1, 1, None)], &published(1, 1))),
        "<rows of 4 columns>"
    );
}
