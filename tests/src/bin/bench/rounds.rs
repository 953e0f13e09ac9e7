//! Rounds without training: sums of 100 cells, slot 0, eight nodes on loopback, durable ledgers.

use std::time::Instant;

use anyhow::{Result, ensure};
use aquifer_shared::base::units::MicroRho;
use aquifer_shared::shell::report::Table;
use aquifer_tests::cluster::Cluster;
use aquifer_tests::company::Company;
use aquifer_tests::measured::SPARE_ATTEMPTS;
use aquifer_tests::policy::Policy;
use aquifer_tests::study::{Study, state};
use serde_json::{Value, json};

use crate::machine::{draws_per_second, fsync_ms};
use crate::options::Options;

const CELLS: usize = 100;
const NODES: f64 = 8.0;
/// Price of a round: 400 of them stay below the largest epsilon that a statement may have.
const URHO: u64 = 20_000;

/// Measures rounds a second, and what the disk and the noise cost of them.
pub fn measure(options: &Options) -> Result<Value> {
    let rounds = options.times(400, 100);
    let company = Company::synthetic(1, 800);
    let (fsync, draws) = (
        fsync_ms(options.times(400, 100))?,
        draws_per_second(20_000)?,
    );
    let folder = tempfile::Builder::new().prefix("aquifer-").tempdir()?;
    let mut cluster = Cluster::start(folder.path())?;
    let price = rounds as u64 * URHO;
    let cap = MicroRho(price + SPARE_ATTEMPTS * URHO);
    cluster.add_units(
        &company,
        &Policy {
            cap,
            allow_synthetic: true,
            ..Policy::default()
        },
    )?;
    cluster.start_nodes()?;
    let file = Study {
        name: "rounds",
        epsilon: 1.0,
        delta: 1e-6,
        trust: Some("node-noise"),
        more: "slot_ms = 0\nsynthetic = true",
    };
    let plan = format!("plan = {{ synthetic = {{ cells = {CELLS}, rounds = {rounds} }} }}");
    let file = file.file(&company).replace("plan = \"additive\"", &plan);
    let file = file.replace("epsilon = 1.0", &format!("urho = {price}"));
    let hash = cluster.submit(&file)?;
    let watch = cluster.watch(&hash)?;
    cluster.approve(&hash)?;
    let mut first: Option<(Instant, u64)> = None;
    let mut last = (Instant::now(), 0);
    let status = cluster.follow(&watch, 60_000, |status| {
        let done = status["status"]["rounds_done"].as_u64().unwrap_or(0);
        if done > last.1 {
            last = (Instant::now(), done);
            first = first.or(Some(last));
        }
    })?;
    ensure!(
        state(&status) != "aborted" || last.1 as usize == rounds,
        "the rounds ended early: {status}"
    );
    let (started, done) = first.unwrap_or(last);
    let per_second = (last.1 - done) as f64 / (last.0 - started).as_secs_f64();
    let cores = std::thread::available_parallelism()?.get() as f64;
    let noise_ms = CELLS as f64 * NODES / draws / cores * 1e3;
    let mut table = Table::new(&["rounds without training", "measured"]);
    table.row(["rounds a second".to_owned(), format!("{per_second:.1}")]);
    table.row(["a round, ms".to_owned(), format!("{:.2}", 1e3 / per_second)]);
    table.row(["one fsync, ms".to_owned(), format!("{fsync:.3}")]);
    table.row([
        "noise of eight nodes on all cores, ms".to_owned(),
        format!("{noise_ms:.2}"),
    ]);
    table.print()?;
    Ok(
        json!({"rounds_per_second": per_second, "floor": 50, "fsync_ms": fsync, "noise_ms": noise_ms, "rounds": rounds}),
    )
}
