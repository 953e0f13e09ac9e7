//! Bounds hold exactly, for every figure that rows can make.

use proptest::prelude::*;

use super::super::fixtures::{contract, orders, question};
use super::super::{Block, BlockKind, RUN_CELLS};
use super::*;

const EVERY_KIND: [BlockKind; 12] = [
    BlockKind::Units,
    BlockKind::Rows,
    BlockKind::Values(0),
    BlockKind::Values(2),
    BlockKind::Sum(0),
    BlockKind::Sum(1),
    BlockKind::Centred(0),
    BlockKind::Centred(1),
    BlockKind::Squares(0),
    BlockKind::Squares(1),
    BlockKind::Grid(0),
    BlockKind::Runs(0),
];

#[track_caller]
fn check_reach(kind: BlockKind, expected: Option<u128>) {
    assert_eq!(reach(kind, &orders()), expected, "{kind:?}");
}

#[test]
fn reaches_follow_from_the_contract() {
    check_reach(BlockKind::Units, Some(1));
    check_reach(BlockKind::Rows, Some(20));
    check_reach(BlockKind::Values(0), Some(20));
    check_reach(BlockKind::Sum(0), Some(20 * 15_000));
    check_reach(BlockKind::Sum(1), Some(20 * 91));
    check_reach(BlockKind::Centred(0), Some(20 * 16_000));
    check_reach(BlockKind::Squares(0), Some(20 * 16_000 * 16_000 / 2));
    // An odd range: everything twice.
    check_reach(BlockKind::Squares(1), Some(20 * 73 * 73));
    check_reach(BlockKind::Grid(0), Some(20));
    check_reach(BlockKind::Runs(0), Some(20));
    check_reach(BlockKind::Runs(2), None);
    check_reach(BlockKind::Values(1), None);
    check_reach(BlockKind::Sum(3), None);
    check_reach(BlockKind::Sum(99), None);
}

#[test]
fn scales_are_as_fine_as_the_limits_allow() {
    let scales = |customers| Scales::of(&question(), &orders(), customers).unwrap();
    // G = 12: the squared norm binds; sqrt(1/4) of 2^22.
    let fine = scales(1_000);
    assert_eq!(fine.amplitudes, [1 << 21; 4]);
    assert_eq!(
        (fine.delta_sq, fine.cell_abs_max),
        (12 * 4 * (1 << 42), 1 << 21)
    );
    assert!(fine.delta_sq <= DELTA_SQ_MAX);
    let coarse = scales(1 << 32);
    assert_eq!(coarse.cell_abs_max, 1 << 17);
    assert!(u64::from(coarse.cell_abs_max) << 32 <= SUM_ABS_MAX);
    assert_eq!(Scales::of(&question(), &orders(), SUM_ABS_MAX), None);
    assert_eq!(Scales::of(&question(), &orders(), u64::MAX), None);
}

#[test]
fn many_groups_make_scales_coarse() {
    let mut question = question();
    question.groups_max = 1 << 14;
    let scales = Scales::of(&question, &orders(), 1_000).unwrap();
    assert_eq!(scales.amplitudes[0], 1 << 16);
    assert!(scales.delta_sq <= DELTA_SQ_MAX);
}

#[test]
fn weights_are_shares_of_the_squared_norm() {
    let mut question = question();
    let weights = [100, 300, 300, 300];
    for (block, weight) in question.blocks.iter_mut().zip(weights) {
        block.weight = weight;
    }
    let scales = Scales::of(&question, &orders(), 1_000).unwrap();
    let q = f64::from(1 << 22);
    for (a, weight) in scales.amplitudes.iter().zip(weights) {
        let exact = q * (f64::from(weight) / 1_000.0).sqrt();
        assert!((0.0..1.0).contains(&(exact - f64::from(*a))));
    }
}

proptest! {
    /// R rows of a customer, whatever they hold, stay within D and so within A, in all of G groups within the norm.
    #[test]
    fn no_customer_exceeds_the_bounds(
        amounts in proptest::collection::vec(proptest::option::of(-1_000_i64..=15_000), 0..=20),
        ages in proptest::collection::vec(18_i64..=91, 0..=20),
    ) {
        let table = orders();
        let mut asked = question();
        asked.blocks = EVERY_KIND.map(|kind| Block { kind, weight: 80 }).to_vec();
        let scales = Scales::of(&asked, &table, 1_000).unwrap();
        let mut norm = 0_i128;
        for (index, block) in asked.blocks.iter().enumerate() {
            let values = match block.kind.column() {
                Some(1) => ages.iter().map(|age| Some(*age)).collect(),
                _ => amounts.clone(),
            };
            let mut cells = vec![0_i128; 40];
            for value in values {
                let cell = match block.kind {
                    BlockKind::Grid(_) => {
                        let amount = number(&table.columns[0].kind).unwrap();
                        value.map_or(0, |value| amount.grid_cell(value))
                    }
                    BlockKind::Runs(_) => {
                        let amount = number(&table.columns[0].kind).unwrap();
                        value.map_or(0, |value| amount.grid_cell(value) / RUN_CELLS)
                    }
                    _ => 0,
                };
                cells[cell] += block.kind.of_row(&table, value);
            }
            if block.kind == BlockKind::Units {
                cells[0] = cells[0].min(1);
            }
            let reach = scales.reaches[index] as i128;
            prop_assert!(cells.iter().map(|cell| cell.abs()).sum::<i128>() <= reach);
            let of_block: i128 = cells.iter().map(|cell| i128::from(scales.scaled(index, *cell)).pow(2)).sum();
            prop_assert!(of_block <= i128::from(scales.amplitudes[index]).pow(2));
            norm += of_block;
        }
        prop_assert!(norm * i128::from(asked.groups_max) <= i128::from(scales.delta_sq));
    }
}

#[test]
fn figures_beyond_the_reach_are_clamped_and_rounded_towards_zero() {
    let scales = Scales::of(&question(), &orders(), 1_000).unwrap();
    assert_eq!(scales.scaled(0, 20), 1 << 21);
    assert_eq!(scales.scaled(0, 21), 1 << 21);
    assert_eq!(scales.scaled(0, i128::MIN), -(1 << 21));
    assert_eq!(scales.scaled(0, 7), (7 << 21) / 20);
    assert_eq!(scales.scaled(2, -1), -((1 << 21) / 320_000));
}

#[test]
fn the_training_table_has_one_row_of_a_customer() {
    let contract = contract();
    let people = contract.published("people").unwrap();
    assert_eq!(reach(BlockKind::Rows, people), Some(1));
}
