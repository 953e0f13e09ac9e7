//! One round over 1,000,000 made-up customers of 20 features at one node, on one core.

use std::hint::black_box;
use std::time::Instant;

use anyhow::{Context, Result};
use aquifer_node::core::contribution::contribution;
use aquifer_node::core::holdout::Split;
use aquifer_node::core::table::{Table, TableBuilder};
use aquifer_shared::base::units::MicroRho;
use aquifer_shared::domain::predictor::ModelState;
use aquifer_shared::domain::predictor::plan::{
    CLIP_TIGHT, RESIDUAL_ROUNDS, Shape, additive_rounds,
};
use aquifer_shared::domain::sum::{HoldOut, NoiseShare};
use aquifer_shared::protocol::wire::TaskBody;
use aquifer_shared::shell::report;
use aquifer_tests::company::SPLIT_COLUMN;
use aquifer_tests::law::everybody;
use aquifer_tests::random::Seeded;
use serde_json::{Value, json};

use crate::machine::gigabytes_per_second;
use crate::options::Options;

const CUSTOMERS: usize = 1_000_000;
const FEATURES: usize = 20;
const CELLS: usize = 65;
const BINS: usize = 33;

/// Measures a counting round and a residual round.
pub fn measure(options: &Options) -> Result<Value> {
    let (table, split) = customers()?;
    let shapes = vec![
        Shape {
            ordered: true,
            cells: CELLS
        };
        FEATURES
    ];
    let rounds = additive_rounds(
        &shapes,
        MicroRho(24_355),
        CLIP_TIGHT,
        RESIDUAL_ROUNDS,
        NoiseShare::OWN,
    );
    let rounds = rounds.context("the price gives scales within limits")?;
    let model = ModelState {
        base: -60_000,
        bin_of_cell: (0..FEATURES * CELLS)
            .map(|cell| (cell % CELLS / 2) as u16)
            .collect(),
        curves: (0..FEATURES * BINS)
            .map(|entry| entry as i32 * 37 % 20_000 - 10_000)
            .collect(),
    };
    let cohort = everybody(table.rows());
    let bandwidth = gigabytes_per_second();
    let mut printed = report::Table::new(&[
        "round over 1,000,000 x 20",
        "seconds",
        "million cells/s",
        "GB/s",
        "of memory's",
    ]);
    let mut figures = json!({"memory_gb_per_second": bandwidth});
    let bodies = [
        ("counts", TaskBody::Counts, rounds[0]),
        ("residuals", TaskBody::Residuals(model), rounds[2]),
    ];
    for (name, body, terms) in bodies {
        let pass = || -> Result<f64> {
            let started = Instant::now();
            black_box(contribution(
                &table, &split, &cohort, &body, &terms, CLIP_TIGHT,
            )?);
            Ok(started.elapsed().as_secs_f64())
        };
        let taken = (0..options.times(5, 2))
            .map(|_| pass())
            .collect::<Result<Vec<f64>>>()?;
        let seconds = taken.into_iter().fold(f64::INFINITY, f64::min);
        let cells = (CUSTOMERS * FEATURES) as f64 / seconds;
        printed.row([
            name.to_owned(),
            format!("{seconds:.3}"),
            format!("{:.0}", cells / 1e6),
            format!("{:.2}", cells / 1e9),
            format!("{:.0} %", cells / 1e7 / bandwidth),
        ]);
        figures[name] =
            json!({"seconds": seconds, "cells_per_second": cells, "limit_seconds": 0.25});
    }
    printed.print()?;
    Ok(figures)
}

fn customers() -> Result<(Table, Split)> {
    let mut random = Seeded::new(1, 0);
    let mut builder = TableBuilder::new(vec![CELLS; FEATURES], Some(SPLIT_COLUMN));
    for customer in 0..CUSTOMERS {
        let cells: [usize; FEATURES] =
            std::array::from_fn(|_| (random.next_u64() % CELLS as u64) as usize);
        let label = random.uniform() < 0.2;
        builder.push(
            cells,
            label,
            &format!("{customer:07}"),
            random.uniform() < 0.15,
        )?;
    }
    let table = builder.finish();
    let rule = HoldOut::Column(SPLIT_COLUMN.to_owned());
    let split = Split::of(&table, &[0; 32], &"bench".parse()?, &rule)?;
    Ok((table, split))
}
