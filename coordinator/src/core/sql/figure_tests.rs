//! Intervals cover what they claim. Seeds are fixed, so that a run either always passes or always fails; before the seed was
//! chosen, a sound interval would have failed a bound on 10,000 answers by chance in fewer than 1 of 100,000 runs.

use super::super::fixtures::{Chance, contract};
use super::*;
use aquifer_shared::base::decimal::Decimal;
use aquifer_shared::domain::question::{RUN_CELLS, reach};

const ANSWERS: usize = 10_000;

const AMOUNT: u16 = 0;
/// Noise of a block, as a multiple of its reach.
const SIGMA: f64 = 2.0;

/// Exact sums of a column's values.
fn exact(values: &[i64], table: &Published) -> Vec<(BlockKind, Vec<f64>)> {
    let column = number(&table.columns[usize::from(AMOUNT)].kind).unwrap();
    let kinds = [
        BlockKind::Values(AMOUNT),
        BlockKind::Sum(AMOUNT),
        BlockKind::Centred(AMOUNT),
        BlockKind::Squares(AMOUNT),
        BlockKind::Grid(AMOUNT),
        BlockKind::Runs(AMOUNT),
    ];
    let sums = kinds.map(|kind| {
        let (count, each) = match kind {
            BlockKind::Grid(_) => (40, 1),
            BlockKind::Runs(_) => (5, RUN_CELLS),
            _ => (1, usize::MAX),
        };
        let mut cells = vec![0.0; count];
        for value in values {
            let cell = column.grid_cell(*value) / each;
            cells[cell] += kind.of_row(table, Some(*value)) as f64;
        }
        (kind, cells)
    });
    sums.to_vec()
}

fn noisy<'a>(
    exact: &[(BlockKind, Vec<f64>)],
    table: &'a Published,
    chance: &mut Chance,
    multiple: f64,
) -> Sums<'a> {
    let blocks = exact.iter().map(|(kind, sums)| {
        let sigma = multiple * reach(*kind, table).unwrap() as f64;
        let mut shaken = |sum: &f64| sum + (sigma * chance.normal()).round();
        BlockSum {
            kind: *kind,
            sums: sums.iter().map(&mut shaken).collect(),
            sigma,
        }
    });
    Sums {
        table,
        blocks: blocks.collect(),
    }
}

/// Values that lean to one side, inside -10.00 to 150.00.
fn sample(count: usize, seed: u64) -> Vec<i64> {
    let mut chance = Chance(seed);
    let lean = |chance: &mut Chance| -1_000 + (16_000.0 * chance.uniform().powi(3)) as i64;
    (0..count).map(|_| lean(&mut chance)).collect()
}

/// SQL's `percentile_cont`.
fn percentile_cont(values: &[i64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    let rank = share * (sorted.len() - 1) as f64;
    let (below, above) = (sorted[rank.floor() as usize], sorted[rank.ceil() as usize]);
    (below as f64 + (above - below) as f64 * rank.fract()) / 100.0
}

/// The share of answers with a value whose interval holds the truth; all blocks but one kind may be there.
fn coverage(values: &[i64], reading: &Reading, truth: f64, without: Option<BlockKind>) -> f64 {
    let contract = contract();
    let table = contract.published("orders").unwrap();
    let mut exact = exact(values, table);
    exact.retain(|(kind, _)| Some(*kind) != without);
    let mut chance = Chance(1);
    let (mut covered, mut valued) = (0, 0);
    for _ in 0..ANSWERS {
        let sums = noisy(&exact, table, &mut chance, SIGMA);
        let Some(figure) = sums.read(reading, true) else {
            continue;
        };
        assert!(
            figure.low <= figure.value && figure.value <= figure.high,
            "{figure:?}"
        );
        valued += 1;
        covered += usize::from((figure.low - 1e-6..=figure.high + 1e-6).contains(&truth));
    }
    covered as f64 / f64::from(valued)
}

#[track_caller]
fn check_covered(values: &[i64], reading: &Reading, truth: f64, least: f64, most: f64) {
    let covered = coverage(values, reading, truth, None);
    assert!(
        (least..=most).contains(&covered),
        "{reading:?} of {}: {covered}",
        values.len()
    );
}

fn moments(values: &[i64]) -> (f64, f64) {
    let count = values.len() as f64;
    let mean = values.iter().map(|v| *v as f64 / 100.0).sum::<f64>() / count;
    let squares = values.iter().map(|v| (*v as f64 / 100.0 - mean).powi(2));
    (mean, squares.sum::<f64>() / count)
}

#[test]
fn intervals_of_counts_and_sums_cover_94_to_96() {
    for count in [40, 1_000, 20_000] {
        let values = sample(count, 7);
        let total = values.iter().sum::<i64>() as f64 / 100.0;
        let counted = Reading::Count(BlockKind::Values(AMOUNT));
        check_covered(&values, &counted, count as f64, 0.94, 0.96);
        check_covered(&values, &Reading::Sum(AMOUNT), total, 0.94, 0.96);
    }
}

#[test]
fn sums_that_are_read_from_a_mean_cover_as_well() {
    let contract = contract();
    let table = contract.published("orders").unwrap();
    let values = sample(500, 8);
    let total = values.iter().sum::<i64>() as f64 / 100.0;
    let mut exact = exact(&values, table);
    exact.retain(|(kind, _)| *kind != BlockKind::Sum(AMOUNT));
    let mut chance = Chance(3);
    let covered = (0..ANSWERS).filter(|_| {
        let sums = noisy(&exact, table, &mut chance, SIGMA);
        let figure = sums.read(&Reading::Sum(AMOUNT), false).unwrap();
        (figure.low..=figure.high).contains(&total)
    });
    let share = covered.count() as f64 / ANSWERS as f64;
    assert!((0.94..=0.96).contains(&share), "{share}");
}

#[test]
fn intervals_of_ratios_cover_95_at_least() {
    for count in [30, 60, 120, 500, 5_000, 50_000] {
        let values = sample(count, 9);
        let (mean, variance) = moments(&values);
        check_covered(&values, &Reading::Mean(AMOUNT), mean, 0.95, 1.0);
        check_covered(&values, &Reading::Variance(AMOUNT), variance, 0.95, 1.0);
        check_covered(
            &values,
            &Reading::Deviation(AMOUNT),
            variance.sqrt(),
            0.95,
            1.0,
        );
    }
}

#[test]
fn intervals_of_percentiles_cover_95_at_least() {
    for count in [20, 300, 5_000, 50_000] {
        let values = sample(count, 10);
        for share in ["0", "0.05", "0.25", "0.5", "0.9", "1"] {
            let share = Decimal::parse(share).unwrap();
            let truth = percentile_cont(&values, share.to_f64());
            let reading = Reading::Percentile(AMOUNT, share);
            check_covered(&values, &reading, truth, 0.95, 1.0);
            let cells_alone = coverage(&values, &reading, truth, Some(BlockKind::Runs(AMOUNT)));
            assert!(cells_alone >= 0.95, "{share:?} of {count}: {cells_alone}");
        }
    }
}

#[test]
fn half_the_noise_would_be_noticed() {
    let contract = contract();
    let table = contract.published("orders").unwrap();
    let exact = exact(&sample(1_000, 7), table);
    let mut chance = Chance(4);
    let covered = (0..ANSWERS).filter(|_| {
        let mut sums = noisy(&exact, table, &mut chance, SIGMA);
        sums.blocks.iter_mut().for_each(|block| block.sigma /= 2.0);
        let figure = sums
            .read(&Reading::Count(BlockKind::Values(AMOUNT)), true)
            .unwrap();
        (figure.low..=figure.high).contains(&1_000.0)
    });
    assert!(covered.count() < 8_000);
}

#[test]
fn groups_that_noise_can_empty_have_no_ratios() {
    let contract = contract();
    let table = contract.published("orders").unwrap();
    let exact = exact(&[], table);
    let mut chance = Chance(5);
    let mut valued = 0;
    for _ in 0..1_000 {
        let sums = noisy(&exact, table, &mut chance, SIGMA);
        assert!(
            sums.read(&Reading::Count(BlockKind::Values(AMOUNT)), false)
                .unwrap()
                .value
                >= 0.0
        );
        let mean = sums.read(&Reading::Mean(AMOUNT), false);
        valued += usize::from(mean.is_some());
        let middle = Reading::Percentile(AMOUNT, Decimal::parse("0.5").unwrap());
        for reading in [
            Reading::Variance(AMOUNT),
            Reading::Deviation(AMOUNT),
            middle,
        ] {
            if let Some(figure) = sums.read(&reading, false) {
                assert!(
                    figure.low.is_finite() && figure.value.is_finite() && figure.high.is_finite()
                );
            }
        }
    }
    // 1.25 of 100 boxes around an empty group miss 0 from above; 40 of 1,000 would be more than 7 deviations more.
    assert!(valued < 40, "{valued}");
}

#[test]
fn without_noise_readings_are_exact() {
    let contract = contract();
    let table = contract.published("orders").unwrap();
    for (count, seed) in [(1, 1), (2, 2), (3, 3), (17, 4), (400, 5)] {
        let values = sample(count, seed);
        let sums = noisy(&exact(&values, table), table, &mut Chance(0), 0.0);
        let (mean, variance) = moments(&values);
        let check = |reading: Reading, expected: f64| {
            let found = sums.read(&reading, false).unwrap();
            for end in [found.value, found.low, found.high] {
                assert!(
                    (end - expected).abs() < 1e-6 * (1.0 + expected.abs()),
                    "{reading:?}: {found:?} {expected}"
                );
            }
        };
        check(Reading::Count(BlockKind::Values(AMOUNT)), count as f64);
        check(
            Reading::Sum(AMOUNT),
            values.iter().sum::<i64>() as f64 / 100.0,
        );
        check(Reading::Mean(AMOUNT), mean);
        check(Reading::Variance(AMOUNT), variance);
        for share in ["0", "0.25", "0.5", "1"] {
            let share = Decimal::parse(share).unwrap();
            let truth = percentile_cont(&values, share.to_f64());
            let found = sums
                .read(&Reading::Percentile(AMOUNT, share), false)
                .unwrap();
            assert!(
                (found.low..=found.high).contains(&truth),
                "{share:?}: {found:?} {truth}"
            );
        }
    }
}

/// Mean width of the interval of the median, with runs and without them at the same price.
#[test]
fn runs_make_percentiles_closer() {
    let contract = contract();
    let table = contract.published("orders").unwrap();
    let exact = exact(&sample(5_000, 11), table);
    let middle = Reading::Percentile(AMOUNT, Decimal::parse("0.5").unwrap());
    let width = |runs: bool| {
        let mut chance = Chance(6);
        let mut exact = exact.clone();
        exact.retain(|(kind, _)| runs || *kind != BlockKind::Runs(AMOUNT));
        // Each of two blocks has half of the price.
        let multiple = if runs { SIGMA * 2.0_f64.sqrt() } else { SIGMA };
        let widths = (0..1_000).map(|_| {
            let figure = noisy(&exact, table, &mut chance, multiple).read(&middle, false);
            let figure = figure.unwrap();
            figure.high - figure.low
        });
        widths.sum::<f64>()
    };
    let (with, without) = (width(true), width(false));
    assert!(with < 0.85 * without, "{with} {without}");
}
