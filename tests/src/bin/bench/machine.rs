//! What this machine gives: a durable write, memory bandwidth, exact noise.

use std::fs::File;
use std::hint::black_box;
use std::io::Write;
use std::time::Instant;

use anyhow::Result;
use aquifer_shared::shell::noise::{Noise, OpenDpNoise};
use aquifer_shared::shell::report::Table;
use serde_json::{Value, json};

use crate::options::Options;

/// Measures and prints all three.
pub fn measure(options: &Options) -> Result<Value> {
    let fsync = fsync_ms(options.times(400, 100))?;
    let bandwidth = gigabytes_per_second();
    let noise = draws_per_second(options.times(55_000, 10_000))?;
    let mut table = Table::new(&["this machine", "measured"]);
    table.row([
        "durable write of 4 kB (median), ms".to_owned(),
        format!("{fsync:.3}"),
    ]);
    table.row([
        "memory read by one core, GB/s".to_owned(),
        format!("{bandwidth:.1}"),
    ]);
    table.row([
        "exact noise of one core, draws/s".to_owned(),
        format!("{noise:.0}"),
    ]);
    table.print()?;
    Ok(
        json!({"fsync_ms": fsync, "memory_gb_per_second": bandwidth, "noise_draws_per_second": noise}),
    )
}

/// Median time of a small write and its fsync, where temporary folders (and so the measured ledgers) are.
pub fn fsync_ms(times: usize) -> Result<f64> {
    let folder = tempfile::tempdir()?;
    let mut file = File::create(folder.path().join("probe"))?;
    let mut taken = Vec::with_capacity(times);
    for _ in 0..times {
        let started = Instant::now();
        file.write_all(&[0x5a; 4_096])?;
        file.sync_data()?;
        taken.push(started.elapsed().as_secs_f64() * 1e3);
    }
    taken.sort_by(f64::total_cmp);
    Ok(taken[times / 2])
}

/// Reads 512 MB in order, the best of five times.
pub fn gigabytes_per_second() -> f64 {
    let memory = vec![1_u64; 64 << 20];
    let pass = || {
        let started = Instant::now();
        black_box(
            black_box(&memory)
                .iter()
                .fold(0_u64, |sum, word| sum.wrapping_add(*word)),
        );
        started.elapsed().as_secs_f64()
    };
    let best = (0..5).map(|_| pass()).fold(f64::INFINITY, f64::min);
    size_of_val(memory.as_slice()) as f64 / best / 1e9
}

/// Draws of the shipped sampler, one core.
pub fn draws_per_second(draws: usize) -> Result<f64> {
    let started = Instant::now();
    black_box(OpenDpNoise.draw(6_528, draws)?);
    Ok(draws as f64 / started.elapsed().as_secs_f64())
}
