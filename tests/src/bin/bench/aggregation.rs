//! What secure aggregation costs beside updates that are private on their own: time and bytes, measured in one run.

use anyhow::{Context, Result};
use aquifer_shared::domain::sum::Thresholds;
use aquifer_shared::shell::report::Table;
use serde_json::{Value, json};

use crate::options::Options;
use crate::rounds::Rounds;

const CELLS: u32 = 1_000;
const NODES: usize = 8;
/// A round may take so many times that of node-noise.
const RATIO_MAX: f64 = 3.0;

/// Measures rounds of both trust modes, in turn, so that what else the machine does weighs on both.
pub fn measure(options: &Options) -> Result<Value> {
    let times = options.times(3, 1);
    let mut table = Table::new(&[
        "8 nodes, 1000 cells",
        "ms a round",
        "kB a round on loopback",
    ]);
    let mut all = [Vec::new(), Vec::new()];
    for _ in 0..times {
        for (trust, found) in MODES.iter().zip(&mut all) {
            let rounds = options.times(100, 40);
            let rounds = Rounds {
                trust,
                cells: CELLS,
                rounds,
            };
            found.push(rounds.run()?);
        }
    }
    let mut figures = Vec::new();
    for (trust, found) in MODES.iter().zip(&all) {
        let ms = median(found.iter().map(|took| 1e3 / took.per_second));
        let bytes = median(found.iter().map(|took| took.wire_bytes));
        table.row([
            (*trust).to_owned(),
            format!("{ms:.1}"),
            format!("{:.1}", bytes / 1e3),
        ]);
        figures.push((ms, bytes));
    }
    let ratio = figures[1].0 / figures[0].0;
    table.row([
        format!("ratio (at most {RATIO_MAX})"),
        format!("{ratio:.2}"),
        format!("{:.2}", figures[1].1 / figures[0].1),
    ]);
    let messages = message_bytes(CELLS as usize)?;
    table.row([
        "shared-noise by the table of message sizes".to_owned(),
        String::new(),
        format!("{:.1}", messages as f64 / 1e3),
    ]);
    table.print()?;
    Ok(json!({
        "nodes": NODES, "cells": CELLS, "node_noise_ms": figures[0].0, "shared_noise_ms": figures[1].0, "ratio": ratio,
        "ratio_max": RATIO_MAX, "node_noise_wire_bytes": figures[0].1, "shared_noise_wire_bytes": figures[1].1,
        "shared_noise_message_bytes": messages,
    }))
}

const MODES: [&str; 2] = ["node-noise", "shared-noise"];

/// Bytes of all messages of one sum, both directions and all nodes together, everybody taking part: without headers, tasks
/// and what the transport adds.
fn message_bytes(cells: usize) -> Result<usize> {
    let (absent, colluders) = (
        Thresholds::usual_absent(NODES),
        Thresholds::usual_colluders(NODES),
    );
    let group = Thresholds::new(NODES, absent, colluders).context("eight nodes make a group")?;
    let blocks = group.blocks(cells);
    let records = (NODES - 1) * (8 * blocks + 26);
    let up = 202 + (72 + records) + 144 + (104 + 8 * blocks);
    let down = (8 + 202 * NODES) + (88 + records) + (40 + 66 * group.confirmations()) + 65;
    Ok(NODES * (up + down))
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
