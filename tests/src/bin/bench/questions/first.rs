//! Real `psql`: from the start of the process to the end of its first fresh answer.

use std::process::Command;
use std::time::Instant;

use anyhow::Result;
use aquifer_shared::shell::report::{Table, note};
use aquifer_tests::processes::run;
use serde_json::{Value, json};

use super::client::Client;
use super::times::Times;
use super::{Bench, SHARED, fresh, judged, plain};

const LIMIT_MS: f64 = 100.0;

/// Measures a process for each question; says so where there is no `psql`.
pub fn measure(bench: &mut Bench<'_>) -> Result<Value> {
    if run(Command::new("psql").arg("--version")).is_err() {
        note("SKIPPED: psql is not installed");
        return Ok(Value::Null);
    }
    let opened = Client::open(&bench.reports, &bench.analysts[0], SHARED);
    let mut client = bench.runtime.block_on(opened)?;
    let slot = fresh::slot_ms(bench, &mut client)?;
    let times = bench.options.times(60, 15);
    let taken = (0..times)
        .map(|_| once(bench))
        .collect::<Result<Vec<f64>>>()?;
    let times = Times::of(taken);
    let disk = bench.disk.of(fresh::SHARED_WRITES);
    let beyond = times.below(0.5) - slot - disk;
    let mut table = Table::new(&[
        "psql -c, from its start to its first fresh answer, ms",
        "p50",
        "p99",
        "slot",
        "durable writes",
        "p50 beyond the slot",
        "and the writes [limit]",
    ]);
    table.toned_row([
        plain(bench.reports.company.name.clone()),
        plain(format!("{:.1}", times.below(0.5))),
        plain(format!("{:.1}", times.below(0.99))),
        plain(format!("{slot:.0}")),
        plain(format!("{disk:.1}")),
        plain(format!("{:.1}", times.below(0.5) - slot)),
        judged(beyond, LIMIT_MS),
    ]);
    table.print()?;
    Ok(json!({
        "times": times.to_json(), "slot_ms": slot, "durable_ms": disk, "beyond_p50_ms": beyond, "limit_ms": LIMIT_MS,
    }))
}

fn once(bench: &mut Bench<'_>) -> Result<f64> {
    let question = bench.wording.next();
    let analyst = &bench.analysts[0];
    let place = format!(
        "host=aquifer hostaddr=127.0.0.1 port={} dbname=aquifer user={} sslmode=verify-full sslrootcert={}",
        bench.reports.port,
        analyst.name,
        analyst.authority.display()
    );
    let mut psql = Command::new("psql");
    psql.args(["-X", "-q", "-w", "-v", "ON_ERROR_STOP=1", "-d", &place])
        .args(["-c", &question])
        .env("PGOPTIONS", format!("-c aquifer.purpose={SHARED}"))
        .env("PGPASSWORD", &analyst.password);
    let started = Instant::now();
    let outcome = run(&mut psql)?;
    let taken = started.elapsed().as_secs_f64() * 1e3;
    outcome.success()?;
    Ok(taken)
}
