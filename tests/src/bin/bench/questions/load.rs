//! Fifty analysts with a session each, twenty fresh questions a second for a minute: no error, and memory that does not grow.

use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use aquifer_shared::shell::report::Table;
use aquifer_tests::processes::{Report, Watcher};
use serde_json::{Value, json};

use super::{Bench, SHARED, failures, judged, pace, plain};
use crate::client::Client;

const SESSIONS: usize = 50;
const PER_SECOND: f64 = 20.0;
const SECONDS: usize = 60;
/// When memory is looked at, in seconds from the start, where the whole time is measured.
const LOOKS: [u64; 3] = [10, 30, 60];
/// What one process may grow by from the first look to the last, in MiB.
const GROWTH_MAX: f64 = 8.0;
const COORDINATOR: &str = "coordinator";

/// Proportional set sizes at one moment, in MiB.
struct Look {
    second: f64,
    coordinator: f64,
    largest_node: f64,
    nodes: f64,
}

/// Measures one minute.
pub fn measure(bench: &mut Bench<'_>) -> Result<Value> {
    let seconds = bench.options.times(SECONDS, SECONDS / 6);
    let mut clients = Vec::new();
    for number in 0..SESSIONS {
        let analyst = &bench.analysts[number % bench.analysts.len()];
        let opened = Client::open(&bench.reports, analyst, SHARED);
        clients.push(bench.runtime.block_on(opened)?);
    }
    let count = PER_SECOND as usize * seconds;
    let statements: Vec<String> = (0..count).map(|_| bench.wording.next()).collect();
    let rows = Some(bench.wording.rows());
    let shrink = SECONDS as f64 / seconds as f64;
    let looks = LOOKS.map(|second| Duration::from_secs_f64(second as f64 / shrink));
    let watcher = bench.reports.cluster.watcher();
    let before = watcher.report().cpu_seconds();
    let (done, over) = channel();
    let (paced, looks) = thread::scope(|scope| {
        let looking = scope.spawn(move || look_at(watcher, &looks, &over));
        let paced = pace::run(
            &bench.runtime,
            &mut clients,
            (&statements, rows),
            PER_SECOND,
        );
        drop(done);
        (paced, looking.join().ok())
    });
    let (paced, looks) = (paced?, looks.context("nobody looked at memory")?);
    let cpu = (watcher.report().cpu_seconds() - before) * 1e3 / count as f64;
    let growth = growth(&looks);
    let mut table = Table::new(&[
        "50 analysts, 20 fresh questions a second, ms",
        "p50",
        "p99",
        "failed",
        "CPU a question",
        "MiB of coordinator and largest node at 10, 30, 60 s",
        "most grown, MiB [limit]",
    ]);
    let sizes = looks
        .iter()
        .map(|look| format!("{:.1}+{:.1}", look.coordinator, look.largest_node));
    table.toned_row([
        plain(format!("{}, {seconds} s", bench.reports.company.name)),
        plain(format!("{:.1}", paced.times.below(0.5))),
        plain(format!("{:.1}", paced.times.below(0.99))),
        failures(paced.failed.as_ref()),
        plain(format!("{cpu:.1}")),
        plain(sizes.collect::<Vec<_>>().join(", ")),
        judged(growth, GROWTH_MAX),
    ]);
    table.print()?;
    let looks = looks.iter().map(|look| {
        json!({"second": look.second, "coordinator_mib": look.coordinator, "largest_node_mib": look.largest_node, "nodes_mib": look.nodes})
    });
    Ok(json!({
        "times": paced.times.to_json(), "failed": paced.failed, "cpu_ms_a_question": cpu, "seconds": seconds,
        "memory": looks.collect::<Vec<_>>(), "growth_mib": growth, "limit_growth_mib": GROWTH_MAX,
    }))
}

/// Looks at these moments; at the end at once.
fn look_at(
    watcher: &Watcher,
    moments: &[Duration],
    over: &std::sync::mpsc::Receiver<()>,
) -> Vec<Look> {
    let started = Instant::now();
    let look = |moment: &Duration| {
        let left = moment.saturating_sub(started.elapsed());
        let ended = over.recv_timeout(left) == Err(RecvTimeoutError::Disconnected);
        let second = if ended { started.elapsed() } else { *moment };
        Look::of(second.as_secs_f64(), &watcher.report())
    };
    moments.iter().map(look).collect()
}

impl Look {
    fn of(second: f64, report: &Report) -> Self {
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        let of = |name: &str| report.each.get(name).map_or(0, |usage| usage.pss_last);
        let nodes = report.each.iter().filter(|(name, _)| *name != COORDINATOR);
        let nodes: Vec<u64> = nodes.map(|(_, usage)| usage.pss_last).collect();
        Self {
            second,
            coordinator: mib(of(COORDINATOR)),
            largest_node: mib(nodes.iter().copied().max().unwrap_or(0)),
            nodes: mib(nodes.iter().sum()),
        }
    }
}

/// What one process grew by from the first look to the last.
fn growth(looks: &[Look]) -> f64 {
    let (Some(first), Some(last)) = (looks.first(), looks.last()) else {
        return f64::NAN;
    };
    let coordinator = last.coordinator - first.coordinator;
    coordinator.max(last.largest_node - first.largest_node)
}
