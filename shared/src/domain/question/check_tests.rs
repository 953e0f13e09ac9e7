//! Every rule of a question, kept and broken.

use super::super::fixtures::{contract, orders, question};
use super::super::{Period, plan_id};
use super::*;
use crate::base::ids::Hash32;
use crate::protocol::codec::{decode, encode};

#[track_caller]
fn check_broken(change: impl FnOnce(&mut Question), expected: &str) {
    let contract = contract();
    let mut asked = question();
    assert!(asked.check(&contract).is_ok());
    change(&mut asked);
    let found = asked.check(&contract).unwrap_err().to_string();
    assert!(found.contains(expected), "{found}");
}

fn bucket(low: i64, high: i64, count: u16) -> Key {
    Key::Bucket {
        column: 0,
        low,
        high,
        count,
    }
}

#[test]
fn tables_and_keys_must_exist() {
    check_broken(
        |asked| asked.table = "sales".to_owned(),
        "publishes no table \"sales\"",
    );
    check_broken(
        |asked| asked.keys[0] = Key::Level(0),
        "column 0 of table \"orders\" is no key",
    );
    check_broken(
        |asked| asked.keys[1] = Key::Period(3, Period::Year),
        "column 3 of table \"orders\" is no date",
    );
    check_broken(
        |asked| asked.keys[1] = Key::Period(9, Period::Year),
        "column 9",
    );
    check_broken(
        |asked| asked.keys.swap(0, 1),
        "group keys is not in canonical form",
    );
    check_broken(
        |asked| asked.keys[1] = asked.keys[0],
        "group keys is not in canonical form",
    );
    check_broken(
        |asked| asked.keys = vec![Key::Level(3); 5],
        "number of group keys is 5, expected 0 to 4",
    );
}

#[test]
fn buckets_lie_on_steps_inside_the_bounds() {
    let keys = |key| move |asked: &mut Question| asked.keys = vec![key];
    let contract = contract();
    let mut asked = question();
    (asked.keys, asked.groups_max) = (vec![bucket(-1_000, 15_000, 5)], 8);
    assert!(asked.check(&contract).is_ok());
    check_broken(keys(bucket(0, 15_050, 5)), "do not rise inside the bounds");
    check_broken(keys(bucket(-1_050, 0, 5)), "do not rise inside the bounds");
    check_broken(keys(bucket(50, 50, 5)), "do not rise inside the bounds");
    check_broken(keys(bucket(25, 100, 5)), "no multiples of the step");
    check_broken(keys(bucket(0, 100, 0)), "number of buckets is 0");
    check_broken(
        keys(bucket(0, 100, 400)),
        "number of cells is 17329, expected 1 to 16384",
    );
    let text = Key::Bucket {
        column: 3,
        low: 0,
        high: 1,
        count: 1,
    };
    check_broken(keys(text), "column 3 of table \"orders\" is no number");
}

#[test]
fn blocks_are_sorted_and_share_the_price() {
    check_broken(|asked| asked.blocks.clear(), "number of blocks is 0");
    check_broken(
        |asked| asked.blocks.swap(0, 1),
        "list of blocks is not in canonical form",
    );
    check_broken(
        |asked| asked.blocks[1] = asked.blocks[0],
        "list of blocks is not in canonical form",
    );
    check_broken(|asked| asked.blocks[0].weight = 0, "weight of a block is 0");
    check_broken(
        |asked| asked.blocks[0].weight = 251,
        "sum of weights is 1001",
    );
    check_broken(
        |asked| asked.blocks[2].kind = BlockKind::Centred(3),
        "column 3 of table \"orders\" is no number",
    );
    check_broken(
        |asked| asked.blocks[1].kind = BlockKind::Values(1),
        "rows where every row has a value",
    );
    check_broken(
        |asked| asked.blocks[1].kind = BlockKind::Values(9),
        "column 9",
    );
    let people = |asked: &mut Question| {
        (asked.table, asked.keys) = ("people".to_owned(), Vec::new());
        (asked.filter, asked.groups_max) = (Filter::All, 1);
        asked.blocks = vec![Block {
            kind: BlockKind::Units,
            weight: 1_000,
        }];
    };
    check_broken(people, "rows where a customer has at most one");
}

#[test]
fn conditions_are_canonical_and_no_finer_than_the_step() {
    let filter = |filter: Filter| move |asked: &mut Question| asked.filter = filter;
    check_broken(filter(Filter::Levels(3, vec![3])), "a level does not exist");
    check_broken(
        filter(Filter::Levels(3, vec![1, 0])),
        "the condition is not in canonical form",
    );
    check_broken(
        filter(Filter::Levels(3, vec![0, 1, 2])),
        "the condition is not in canonical form",
    );
    check_broken(
        filter(Filter::Levels(0, vec![0])),
        "column 0 of table \"orders\" is no key",
    );
    check_broken(
        filter(Filter::Ranges(0, vec![(0, 15_001)])),
        "does not rise inside the bounds",
    );
    check_broken(
        filter(Filter::Ranges(0, vec![(20, 100)])),
        "finer than the step",
    );
    check_broken(
        filter(Filter::Ranges(0, vec![(0, 120)])),
        "finer than the step",
    );
    check_broken(
        filter(Filter::Ranges(0, vec![(0, 50), (51, 100)])),
        "the condition is not in canonical form",
    );
    check_broken(
        filter(Filter::Ranges(0, vec![])),
        "the condition is not in canonical form",
    );
    check_broken(filter(Filter::Ranges(3, vec![(0, 1)])), "no number or date");
    check_broken(filter(Filter::Missing(1)), "column with missing values");
    check_broken(filter(Filter::Missing(9)), "column 9");
    check_broken(
        filter(Filter::Every(vec![Filter::Missing(0)])),
        "parts of a condition is 1",
    );
    let twice = vec![Filter::Missing(0), Filter::Missing(0)];
    check_broken(
        filter(Filter::Either(twice)),
        "the condition is not in canonical form",
    );
    let pair = vec![Filter::Missing(0), Filter::Missing(2)];
    let nested = vec![Filter::Missing(0), Filter::Either(pair)];
    check_broken(
        filter(Filter::Either(nested)),
        "the condition is not in canonical form",
    );
}

#[test]
fn conditions_have_limits() {
    let filter = |filter: Filter| move |asked: &mut Question| asked.filter = filter;
    let mut deep = Filter::Missing(0);
    for level in 0..33 {
        let parts = vec![Filter::Missing(2), deep];
        deep = if level % 2 == 0 {
            Filter::Every(parts)
        } else {
            Filter::Either(parts)
        };
    }
    check_broken(filter(deep), "nesting of conditions is 33");
    let wide = Filter::Either(vec![Filter::Missing(0); 33]);
    let other = Filter::Either(vec![Filter::Missing(2); 32]);
    check_broken(
        filter(Filter::Every(vec![wide, other])),
        "number of conditions is 65",
    );
}

#[test]
fn a_customer_counts_to_no_more_groups_than_the_contract_says() {
    check_broken(
        |asked| asked.groups_max = 13,
        "groups_max is 13, expected 1 to 12",
    );
    check_broken(|asked| asked.groups_max = 0, "groups_max is 0");
    check_broken(
        |asked| asked.keys.clear(),
        "groups_max is 12, expected 1 to 1",
    );
    check_broken(
        |asked| asked.keys.truncate(1),
        "groups_max is 12, expected 1 to 3",
    );
}

/// 240 rows of each of 2,000 customers, and eight columns that are read: 3.8 million codes.
#[test]
fn a_slot_covers_every_row_that_a_unit_keeps() {
    let mut table = orders();
    let columns =
        |question: &Question| 1 + question.keys.len() as u64 + question.blocks.len() as u64 + 1;
    for (kept, customers, slot) in [(1, 2_000, 20), (240, 2_000, 50), (4_096, 2_000, 1_000)] {
        table.rows_per_unit_max = kept;
        let needed = 2 * customers * u64::from(kept) * columns(&question()) / 160_000;
        assert_eq!(question().slot_ms(&table, customers), slot);
        assert!(u64::from(slot) >= needed, "{kept}: {needed}");
    }
}

#[test]
fn a_plan_has_one_identity() {
    let bytes = encode(&question());
    assert_eq!(
        decode::<Question>("question", &bytes, 1_000),
        Ok(question())
    );
    assert_eq!(
        plan_id(&Hash32([7; 32]), &bytes).to_string(),
        "f261c7a3860b83d987a1224d7ba2188e4bc2bddf0cec52ae77c3ac5a861d6814"
    );
    assert_ne!(
        plan_id(&Hash32([7; 32]), &bytes),
        plan_id(&Hash32([8; 32]), &bytes)
    );
}
