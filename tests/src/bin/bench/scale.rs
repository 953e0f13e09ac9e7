//! How the cost of a secure sum grows with nodes and with cells: real cryptography in the simulator, one process for all nodes.

use std::fs;

use anyhow::{Context, Result};
use aquifer_shared::shell::report::{Table, print};
use aquifer_tests::plot::Chart;
use aquifer_tests::processes::{command, run};
use serde_json::{Value, json};

use crate::options::Options;

/// What one size cost.
struct Size {
    nodes: usize,
    cells: usize,
    cpu_seconds: f64,
    memory_mb: f64,
}

/// Measures sums of growing size, every signature check made; the noise is the simulator's.
pub fn measure(options: &Options) -> Result<Value> {
    let by_nodes = options.times(6, 4);
    let by_cells = options.times(5, 3);
    let nodes = NODES[..by_nodes].iter().map(|nodes| size(*nodes, 1_000));
    let nodes: Vec<Size> = nodes.collect::<Result<_>>()?;
    let cells = CELLS[..by_cells].iter().map(|cells| size(8, *cells));
    let cells: Vec<Size> = cells.collect::<Result<_>>()?;
    let mut table = Table::new(&[
        "nodes",
        "cells",
        "CPU seconds a sum",
        "a node, ms",
        "peak MB",
    ]);
    for size in nodes.iter().chain(&cells) {
        table.row([
            size.nodes.to_string(),
            size.cells.to_string(),
            format!("{:.3}", size.cpu_seconds),
            format!("{:.2}", 1e3 * size.cpu_seconds / size.nodes as f64),
            format!("{:.0}", size.memory_mb),
        ]);
    }
    table.print()?;
    if let Some(folder) = &options.plots {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let charts = [
            (
                "cost-by-nodes.svg",
                chart("nodes (1,000 cells)", &nodes, |size| size.nodes),
            ),
            (
                "cost-by-cells.svg",
                chart("cells (8 nodes)", &cells, |size| size.cells),
            ),
        ];
        for (name, svg) in charts {
            let path = folder.join(name);
            fs::write(&path, svg).with_context(|| format!("cannot write {}", path.display()))?;
            print(&format!("written to {}\n", path.display()))?;
        }
    }
    let sizes = nodes.iter().chain(&cells).map(|size| {
        json!({"nodes": size.nodes, "cells": size.cells, "cpu_seconds_per_sum": size.cpu_seconds, "peak_memory_mb": size.memory_mb})
    });
    Ok(Value::Array(sizes.collect()))
}

fn size(nodes: usize, cells: usize) -> Result<Size> {
    let file = tempfile::NamedTempFile::new()?;
    let (wanted, length) = (nodes.to_string(), cells.to_string());
    // Processor time is counted in hundredths of a second: small sums are repeated.
    let rounds = (400_000 / (nodes * cells)).clamp(3, 50).to_string();
    let arguments = [
        "--seeds",
        "0..1",
        "--faults",
        "none",
        "--plan",
        "synthetic",
        "--threads",
        "1",
        "--check-every-signature",
        "--rounds",
        &rounds,
        "--nodes",
        &wanted,
        "--cells",
        &length,
        "--json",
    ];
    let mut simulate = command("simulate", arguments);
    run(simulate.arg(file.path()))?
        .success()
        .with_context(|| format!("simulate with {nodes} nodes and {cells} cells"))?;
    let found: Value = serde_json::from_slice(&fs::read(file.path())?)?;
    let figure = |pointer: &str| {
        let value = found.pointer(pointer).and_then(Value::as_f64);
        value.with_context(|| format!("simulate printed no {pointer}"))
    };
    Ok(Size {
        nodes,
        cells,
        cpu_seconds: figure("/cost/cpu_seconds")? / figure("/counts/sums")?.max(1.0),
        memory_mb: figure("/cost/peak_memory_mb")?,
    })
}

fn chart(x: &str, sizes: &[Size], of: fn(&Size) -> usize) -> String {
    let points = sizes.iter().map(|size| (of(size) as f64, size.cpu_seconds));
    Chart {
        title: "CPU seconds of one secure sum, all nodes and the coordinator together",
        x,
        y: "CPU seconds",
        lines: vec![("shared-noise".to_owned(), points.collect())],
    }
    .svg()
}

const NODES: [usize; 6] = [8, 16, 32, 64, 128, 1_000];
const CELLS: [usize; 5] = [100, 1_000, 10_000, 100_000, 1_000_000];
