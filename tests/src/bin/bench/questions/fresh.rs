//! A grouped count that nobody has asked yet, one after the other: what it takes beyond the answer slot and the durable writes.

use anyhow::{Context, Result};
use aquifer_shared::shell::report::Table;
use serde_json::{Value, json};

use super::client::Client;
use super::durable::Writes;
use super::times::Times;
use super::{Bench, OWN, SHARED, judged, plain};

/// A trust mode: purpose, durable writes in a row, limits of p50 and p99 beyond them.
const CASES: [(&str, &str, Writes, [f64; 2]); 2] = [
    ("shared-noise", SHARED, SHARED_WRITES, [30.0, 120.0]),
    ("node-noise", OWN, OWN_WRITES, [15.0, 60.0]),
];
/// See `docs/performance.md`, where each is named.
pub const SHARED_WRITES: Writes = Writes {
    coordinator: 7,
    nodes: 3,
};
const OWN_WRITES: Writes = Writes {
    coordinator: 4,
    nodes: 2,
};
/// Questions before anything counts.
const WARM_UP: usize = 20;

/// Measures both trust modes.
pub fn measure(bench: &mut Bench<'_>) -> Result<Value> {
    let mut table = Table::new(&[
        "fresh grouped count, 8 nodes, ms",
        "p50",
        "p99",
        "slot",
        "durable writes",
        "p50 beyond [limit]",
        "p99 beyond [limit]",
        "CPU a question",
    ]);
    let mut figures = Vec::new();
    for (trust, purpose, writes, limits) in CASES {
        let (times, slot, cpu) = ask(bench, purpose)?;
        let disk = bench.disk.of(writes);
        let beyond = [0.5, 0.99].map(|share| times.below(share) - slot - disk);
        table.toned_row([
            plain(format!("{}, {trust}", bench.reports.company.name)),
            plain(format!("{:.1}", times.below(0.5))),
            plain(format!("{:.1}", times.below(0.99))),
            plain(format!("{slot:.0}")),
            plain(format!(
                "{} + {} = {disk:.1}",
                writes.coordinator, writes.nodes
            )),
            judged(beyond[0], limits[0]),
            judged(beyond[1], limits[1]),
            plain(format!("{cpu:.1}")),
        ]);
        figures.push(json!({
            "trust": trust, "times": times.to_json(), "slot_ms": slot, "durable_writes_coordinator": writes.coordinator,
            "durable_writes_nodes": writes.nodes, "durable_ms": disk, "beyond_p50_ms": beyond[0], "beyond_p99_ms": beyond[1],
            "limit_p50_ms": limits[0], "limit_p99_ms": limits[1], "cpu_ms_a_question": cpu,
        }));
    }
    table.print()?;
    Ok(Value::Array(figures))
}

/// Times, the slot, and the processor time of all processes together for one question.
fn ask(bench: &mut Bench<'_>, purpose: &str) -> Result<(Times, f64, f64)> {
    let rows = Some(bench.wording.rows());
    let mut client =
        bench
            .runtime
            .block_on(Client::open(&bench.reports, &bench.analysts[0], purpose))?;
    let slot = slot_ms(bench, &mut client)?;
    for _ in 0..WARM_UP {
        let text = bench.wording.next();
        bench.runtime.block_on(client.ask(&text, rows))?;
    }
    let times = bench.options.times(400, 60);
    let before = bench.reports.cluster.watcher().report().cpu_seconds();
    let taken = (0..times).map(|_| {
        let text = bench.wording.next();
        bench.runtime.block_on(client.ask(&text, rows))
    });
    let taken = taken.collect::<Result<Vec<f64>>>()?;
    let after = bench.reports.cluster.watcher().report().cpu_seconds();
    let cpu = (after - before) * 1e3 / times as f64;
    Ok((Times::of(taken), slot, cpu))
}

/// What a price tag says of the slot of such a question.
pub fn slot_ms(bench: &mut Bench<'_>, client: &mut Client) -> Result<f64> {
    let text = bench.wording.next();
    let slot = bench.runtime.block_on(client.explain(&text, "slot"))?;
    let number = slot.split_whitespace().next().unwrap_or_default();
    number.parse().context("a slot is a number of milliseconds")
}
