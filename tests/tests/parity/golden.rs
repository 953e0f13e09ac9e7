//! The golden vectors: node arithmetic, learner, explanation and evaluation, number by number.

use std::fs;

use aquifer_shared::domain::contract::ColumnKind;
use aquifer_shared::domain::predictor::ModelState;
use aquifer_shared::domain::predictor::arithmetic::F;
use aquifer_shared::domain::predictor::evaluation;
use aquifer_shared::domain::predictor::learner::{Fitted, Learner};
use aquifer_shared::protocol::wire::TaskBody;
use aquifer_tests::company::Company;
use serde::Deserialize;

use crate::customers::{Customers, company, customers};
use aquifer_tests::given::shared;

const TOLERANCE: f64 = 1e-6;

#[derive(Deserialize)]
struct Golden {
    plan: Plan,
    customers: usize,
    features: Vec<Feature>,
    noise: Option<Vec<Vec<i64>>>,
    released_sums: Vec<Vec<i64>>,
    bin_of_cell: Vec<Vec<u16>>,
    bin_counts: Vec<Vec<f64>>,
    customers_estimate: f64,
    after_round: Vec<Round>,
    test_rows: Vec<TestRow>,
    explained: Vec<Explained>,
    exact: Figures,
    private: Figures,
}

#[derive(Deserialize)]
struct Plan {
    urho: Vec<u64>,
    delta_sq: Vec<u64>,
    clip: u32,
    scale: Vec<u64>,
    sd: Vec<f64>,
}

#[derive(Deserialize)]
struct Feature {
    name: String,
    cells: usize,
    edges: Option<Vec<f64>>,
}

#[derive(Deserialize)]
struct Round {
    base: i32,
    step_scale: f64,
    curves: Vec<i32>,
}

#[derive(Deserialize)]
struct TestRow {
    cells: Vec<usize>,
    label: u8,
    score: i64,
    probability: f64,
}

#[derive(Deserialize)]
struct Explained {
    contributions: Vec<f64>,
    counterfactual: Option<Change>,
}

#[derive(Deserialize)]
struct Change {
    feature: usize,
    to_bin: usize,
    distance: f64,
    score: i64,
}

#[derive(Deserialize)]
struct Figures {
    auc: f64,
    log_loss: f64,
    calibration: f64,
}

#[track_caller]
fn check_close(what: &str, found: &[f64], expected: &[f64]) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (index, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert!(
            (found - expected).abs() <= TOLERANCE,
            "{what} {index}: {found} {expected}"
        );
    }
}

fn check_golden(name: &str, file: &str, limits: Option<(usize, usize)>) {
    let Some(mut company) = company(name) else {
        return;
    };
    let path = shared()
        .unwrap()
        .join(format!("reference/golden/{file}.json"));
    let golden: Golden = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    if let Some((training, test)) = limits {
        let (mut trained, mut tested) = (0, 0);
        company.customers.retain(|customer| {
            let (count, limit) = match customer.held_out {
                true => (&mut tested, test),
                false => (&mut trained, training),
            };
            *count += 1;
            *count <= limit
        });
    }
    check_contract(&company, &golden);
    let customers = customers(&company);
    assert_eq!(
        customers.table.rows() - customers.test.len(),
        golden.customers
    );
    check_plan(&customers, &golden.plan);
    check_sums(&customers, &golden);
    let fitted = check_learner(&customers, &golden);
    check_rows(&customers, &fitted, &golden);
    let exact = &golden.exact;
    let expected = [exact.auc, exact.log_loss, exact.calibration];
    check_close("exact figures", &customers.exact(&fitted), &expected);
    let private = &golden.private;
    let found = evaluation::figures(&golden.released_sums[9], fitted.base, fitted.clip).unwrap();
    check_close(
        "private figures",
        &[found.auc, found.log_loss, found.calibration],
        &[private.auc, private.log_loss, private.calibration],
    );
}

fn check_contract(company: &Company, golden: &Golden) {
    for (column, feature) in company.contract.columns.iter().zip(&golden.features) {
        assert_eq!(
            (&column.name, column.shape().1),
            (&feature.name, feature.cells)
        );
        if let (ColumnKind::Numeric { cells, .. }, Some(edges)) = (&column.kind, &feature.edges) {
            let scale: Vec<f64> = cells
                .edges()
                .iter()
                .zip(edges)
                .map(|(found, expected)| found / expected)
                .collect();
            check_close(&feature.name, &scale, &[1.0; 63]);
        }
    }
}

/// Prices and reach as the reference plans them; its scales are for shared noise with five honest of eight.
fn check_plan(customers: &Customers, plan: &Plan) {
    let Some(total) = plan.urho.last().copied().filter(|total| *total > 0) else {
        return;
    };
    for (round, terms) in customers.rounds(total, plan.clip).iter().enumerate() {
        assert_eq!(
            (terms.urho.0, terms.delta_sq),
            (plan.urho[round], plan.delta_sq[round])
        );
        assert_eq!(terms.sigma_share, plan.scale[round], "round {round}");
    }
}

/// What the node adds up, with the file's own models as input.
fn check_sums(customers: &Customers, golden: &Golden) {
    let rounds = customers.rounds(24_355, golden.plan.clip);
    let model = |base, curves: &[i32]| ModelState {
        base,
        bin_of_cell: golden.bin_of_cell.concat(),
        curves: curves.to_vec(),
    };
    for (round, expected) in golden.released_sums.iter().enumerate() {
        let body = match round {
            0 => TaskBody::Counts,
            1 => TaskBody::Residuals(model(0, &vec![0; expected.len()])),
            _ => {
                let after = &golden.after_round[round - 2];
                let state = model(after.base, &after.curves);
                if round < 9 {
                    TaskBody::Residuals(state)
                } else {
                    TaskBody::Evaluation(state)
                }
            }
        };
        let mut found = customers.sum(&body, &rounds[round], golden.plan.clip);
        if let Some(noise) = &golden.noise {
            found
                .iter_mut()
                .zip(&noise[round])
                .for_each(|(sum, noise)| *sum += noise);
        }
        assert_eq!(&found, expected, "round {round}");
    }
}

/// Bins, base and curves from the released sums: at most one curve entry may be off, by one.
fn check_learner(customers: &Customers, golden: &Golden) -> Fitted {
    let (sums, sd) = (&golden.released_sums, &golden.plan.sd);
    let mut learner =
        Learner::after_counts(&customers.shapes, &sums[0], sd[0], golden.plan.clip).unwrap();
    let mut off = std::collections::BTreeSet::new();
    for (round, expected) in golden.after_round.iter().enumerate() {
        let report = learner.step(&sums[round + 1], sd[round + 1]).unwrap();
        check_close("step scale", &[report.scale], &[expected.step_scale]);
        let state = learner.state();
        assert_eq!(state.base, expected.base, "base after round {}", round + 1);
        for (entry, (found, expected)) in state.curves.iter().zip(&expected.curves).enumerate() {
            assert!(
                (found - expected).abs() <= 1,
                "entry {entry} after round {}",
                round + 1
            );
            if found != expected {
                off.insert(entry);
            }
        }
    }
    assert!(off.len() <= 1, "entries off by one: {off:?}");
    assert!(learner.consistent());
    let fitted = learner.finish().unwrap();
    check_close(
        "customers",
        &[fitted.customers],
        &[golden.customers_estimate],
    );
    for (feature, bins) in fitted.bins.iter().enumerate() {
        assert_eq!(bins.bin_of_cell, golden.bin_of_cell[feature]);
        check_close("bin counts", &bins.counts, &golden.bin_counts[feature]);
    }
    let last = &golden.after_round[7];
    let mut entries = last.curves.as_slice();
    let curves = fitted.curves.iter().map(|curve| {
        let (own, rest) = entries.split_at(curve.len());
        entries = rest;
        own.to_vec()
    });
    Fitted {
        curves: curves.collect(),
        ..fitted
    }
}

/// Scores, probabilities and explanations of single customers.
fn check_rows(customers: &Customers, fitted: &Fitted, golden: &Golden) {
    let model = fitted.additive(&vec![true; customers.shapes.len()]);
    for (row, (cells, label)) in golden.test_rows.iter().zip(&customers.test) {
        assert_eq!((&row.cells, row.label == 1), (cells, *label));
        assert_eq!(model.score(cells), row.score);
        check_close(
            "probability",
            &[model.probability(row.score)],
            &[row.probability],
        );
    }
    for (row, expected) in golden.test_rows.iter().zip(&golden.explained) {
        let contributions = model.contributions(&row.cells);
        let found: Vec<f64> = contributions
            .iter()
            .map(|own| f64::from(*own) / F as f64)
            .collect();
        check_close("contributions", &found, &expected.contributions);
        let found = model.counterfactual(&row.cells, 0);
        assert_eq!(found.is_some(), expected.counterfactual.is_some());
        let Some((found, expected)) = found.zip(expected.counterfactual.as_ref()) else {
            continue;
        };
        let place = (found.feature, found.bin, found.score);
        assert_eq!(place, (expected.feature, expected.to_bin, expected.score));
        check_close("distance", &[found.distance], &[expected.distance]);
    }
}

#[test]
fn telco_without_noise() {
    check_golden("telco", "telco-exact", None);
}

#[test]
fn a_part_of_adult_without_noise() {
    check_golden("adult", "adult4000-exact", Some((4_000, 1_000)));
}

#[test]
fn telco_with_recorded_noise() {
    check_golden("telco", "telco-recorded-noise", None);
}
