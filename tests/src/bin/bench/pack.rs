//! A year's audit pack of 100,000 entries: made, and checked by both verifiers.

use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use aquifer_shared::domain::pack::{Against, verify};
use aquifer_shared::shell::pack_folder;
use aquifer_shared::shell::report::print;
use aquifer_tests::packs::Log;
use serde_json::{Value, json};

use super::options::Options;

/// What is to be reached, in seconds.
const RUST_SECONDS_MAX: f64 = 10.0;
const PYTHON_SECONDS_MAX: f64 = 60.0;

/// Measures building and both verifiers.
pub fn measure(options: &Options) -> Result<Value> {
    let (entries, checkpoints) = if options.quick {
        (10_000, 200)
    } else {
        (100_000, 2_000)
    };
    // Half a year of made-up times: the pack of a quarter then has half of the entries.
    let log = Log::new(2 * entries, 2 * checkpoints);
    let began = Instant::now();
    let pack = log.pack("2026Q4").context("no pack was made")?;
    let built = began.elapsed().as_secs_f64();
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("pack");
    pack_folder::write(&path, &pack)?;
    let began = Instant::now();
    let verdict = verify(&pack_folder::read(&path)?, &Against::default());
    let rust = began.elapsed().as_secs_f64();
    ensure!(
        verdict.code() == 0,
        "the pack did not pass check {}",
        verdict.code()
    );
    let began = Instant::now();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts/verify-audit");
    let status = Command::new("python3")
        .arg(script)
        .arg(&path)
        .output()?
        .status;
    let python = began.elapsed().as_secs_f64();
    ensure!(status.success(), "the Python verifier ended with {status}");
    let bytes: usize = pack.iter().map(|(_, bytes)| bytes.len()).sum();
    print(&format!(
        "audit pack of {entries} entries with {checkpoints} checkpoints and 4 witnesses, {:.1} MB\n  \
         made in {built:.2} s\n  checked in Rust in {rust:.2} s (to reach: {RUST_SECONDS_MAX} s)\n  \
         checked in Python in {python:.2} s (to reach: {PYTHON_SECONDS_MAX} s)\n",
        bytes as f64 / 1e6
    ))?;
    Ok(json!({
        "entries": entries, "checkpoints": checkpoints, "bytes": bytes,
        "build_s": built, "rust_s": rust, "python_s": python,
        "reached": rust <= RUST_SECONDS_MAX && python <= PYTHON_SECONDS_MAX,
    }))
}
