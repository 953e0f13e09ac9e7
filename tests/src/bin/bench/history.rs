//! A transparency log on this disk: appends with group commit, one append alone, proofs, opening, at 1,000,000 entries.

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use aquifer_shared::base::time::Timestamp;
use aquifer_shared::domain::history::{Event, Json, Kind};
use aquifer_shared::domain::tlog::{leaf_hash, verify_consistency, verify_inclusion};
use aquifer_shared::shell::at_rest::DatabaseKey;
use aquifer_shared::shell::history::{History, LogSigner, Place};
use aquifer_shared::shell::keys::Identity;
use aquifer_shared::shell::report::Table;
use serde_json::{Value, json};

use crate::options::Options;

/// Who appends at once, and how many events each hands over at a time.
const CALLERS: usize = 64;
const BATCH: usize = 64;
/// Appends a second, and milliseconds of a proof, that must be reached.
const APPENDS_MIN: f64 = 50_000.0;
const PROOF_MS_MAX: f64 = 1.0;

/// Measures a log of a million entries; every proof is verified.
pub fn measure(options: &Options) -> Result<Value> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let entries = options.times(1_000_000, 100_000);
    runtime.block_on(measured(entries))
}

async fn measured(entries: usize) -> Result<Value> {
    let folder = tempfile::tempdir().context("no folder for a log")?;
    Identity::generate()?.save(&folder.path().join("log.key"))?;
    let open = || async {
        let place = Place {
            folder: folder.path().join("history"),
            mark: folder.path().join("history.checkpoint"),
            takes_persons: true,
            key: DatabaseKey::new([7; 32]),
        };
        let key = Identity::load(&folder.path().join("log.key"))?;
        let signer = LogSigner::new("aquifer/bench".to_owned(), key);
        anyhow::Ok(History::open(place, signer, || Timestamp(1_790_000_000_000)).await?)
    };
    let history = open().await?;
    let appends = filled(&history, entries).await?;
    let alone_ms = alone(&history).await?;
    let proof_ms = proved(&history).await?;
    history.close().await;
    let started = Instant::now();
    let history = open().await?;
    let open_ms = started.elapsed().as_secs_f64() * 1e3;
    let size = history.edge().borrow().size;
    ensure!(size > entries as u64, "{size} entries after opening");
    history.close().await;
    let mut table = Table::new(&["history", "measured", "limit"]);
    let mut row =
        |what: &str, figure: String, limit: String| table.row([what.to_owned(), figure, limit]);
    row("entries", size.to_string(), String::new());
    row(
        "appends a second, group commit",
        format!("{appends:.0}"),
        format!("{APPENDS_MIN:.0} at least"),
    );
    row(
        "one append alone, ms (median)",
        format!("{alone_ms:.2}"),
        String::new(),
    );
    row(
        "inclusion proof, ms (median)",
        format!("{:.3}", proof_ms.0),
        format!("{PROOF_MS_MAX} at most"),
    );
    row(
        "inclusion proof, ms (slowest of 1,000)",
        format!("{:.3}", proof_ms.1),
        String::new(),
    );
    row("open, ms", format!("{open_ms:.0}"), String::new());
    table.print()?;
    Ok(json!({
        "entries": size,
        "appends_per_second": appends,
        "append_alone_ms": alone_ms,
        "proof_ms": proof_ms.0,
        "proof_slowest_ms": proof_ms.1,
        "open_ms": open_ms,
    }))
}

fn spent(number: usize) -> Event {
    let payload = Json::object([
        ("attempt", Json::from(0_u32)),
        ("entry", Json::from(number as u64)),
        ("rho_micro", Json::from(24_355_u64)),
        ("round", Json::from(7_u32)),
        ("study", Json::from("5c".repeat(32))),
    ]);
    Event::of_program(Kind::BudgetSpent, payload)
}

/// Appends a second, each acknowledged when it is on disk.
async fn filled(history: &History, entries: usize) -> Result<f64> {
    let started = Instant::now();
    let each = entries / CALLERS;
    let caller = |_| {
        let history = history.clone();
        tokio::spawn(async move {
            let mut number = 0;
            while number < each {
                let count = BATCH.min(each - number);
                let events = (number..number + count).map(spent).collect();
                history.append(events).await?;
                number += count;
            }
            anyhow::Ok(())
        })
    };
    let callers: Vec<_> = (0..CALLERS).map(caller).collect();
    for caller in callers {
        caller.await??;
    }
    Ok((each * CALLERS) as f64 / started.elapsed().as_secs_f64())
}

async fn alone(history: &History) -> Result<f64> {
    let mut times = Vec::new();
    for number in 0..201 {
        let started = Instant::now();
        history.append(vec![spent(number)]).await?;
        times.push(started.elapsed().as_secs_f64() * 1e3);
    }
    Ok(median(&mut times).0)
}

/// Median and slowest of 1,000 proofs of entries far apart.
async fn proved(history: &History) -> Result<(f64, f64)> {
    let edge = *history.edge().borrow();
    let mut times = Vec::new();
    for number in 0..1_000_u64 {
        let index = number * 7_919_993 % edge.size;
        let started = Instant::now();
        let proof = history.prove(index, edge.size).await?;
        times.push(started.elapsed().as_secs_f64() * 1e3);
        let entry = history.read(index..index + 1).await?;
        let leaf = leaf_hash(&entry[0].leaf.to_bytes());
        verify_inclusion(&leaf, (index, edge.size), &proof, &edge.root)?;
    }
    let old = edge.size / 3;
    let root = history.root_at(old).await?;
    let proof = history.consistency(old, edge.size).await?;
    verify_consistency((old, &root), (edge.size, &edge.root), &proof)?;
    Ok(median(&mut times))
}

fn median(times: &mut [f64]) -> (f64, f64) {
    times.sort_by(f64::total_cmp);
    (times[times.len() / 2], times[times.len() - 1])
}
