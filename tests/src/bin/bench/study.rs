//! Whole studies on real processes: seconds beside the slots, CPU, memory, bytes, and AUC.

use anyhow::{Context, Result};
use aquifer_shared::shell::report::Table;
use aquifer_tests::cluster::Cluster;
use aquifer_tests::company::Company;
use aquifer_tests::exact::mean_and_deviation;
use aquifer_tests::measured::{Measured, cap, price, slot_seconds};
use aquifer_tests::policy::Policy;
use aquifer_tests::processes::loopback_bytes;
use aquifer_tests::study::{Study, WATCH};
use aquifer_tests::training::Encoded;
use serde_json::{Value, json};

use crate::options::Options;

const EPSILON: f64 = 1.0;
const DELTA: f64 = 1e-6;

/// One study with its figures.
struct Run {
    seconds: f64,
    slots: f64,
    cpu: f64,
    together: f64,
    idle: f64,
    round_bytes: f64,
    auc: f64,
}

/// Measures studies on every public data set that is there.
pub fn measure(options: &Options) -> Result<Value> {
    let headings = [
        "data set",
        "seconds",
        "beside slots",
        "CPU seconds",
        "PSS MiB",
        "largest idle node",
        "kB a round beside vectors",
        "AUC",
    ];
    let mut table = Table::new(&headings);
    let mut figures = Vec::new();
    for name in ["adult", "bank", "telco"] {
        let Some(path) = options.data_set(name) else {
            continue;
        };
        let company = Company::read(&path, "unit_iid")?;
        let encoded = Encoded::of(&company)?;
        let times = options.times(if name == "adult" { 5 } else { 2 }, 1);
        let runs = (0..times)
            .map(|_| run(&company, &encoded))
            .collect::<Result<Vec<Run>>>()?;
        let mean = |figure: fn(&Run) -> f64| {
            let all: Vec<f64> = runs.iter().map(figure).collect();
            mean_and_deviation(&all).map_or(f64::NAN, |(mean, _)| mean)
        };
        let beside = |run: &Run| run.seconds - run.slots;
        table.row([
            name.to_owned(),
            format!("{:.2}", mean(|run| run.seconds)),
            format!("{:.2}", mean(beside)),
            format!("{:.2}", mean(|run| run.cpu)),
            format!("{:.0}", mean(|run| run.together)),
            format!("{:.1}", mean(|run| run.idle)),
            format!("{:.1}", mean(|run| run.round_bytes) / 1e3),
            format!("{:.4}", mean(|run| run.auc)),
        ]);
        figures.push(json!({
            "dataset": name, "runs": times, "seconds_study": mean(|run| run.seconds), "seconds_slots": mean(|run| run.slots),
            "seconds_beside_slots": mean(beside), "cpu_seconds": mean(|run| run.cpu),
            "pss_mib_together": mean(|run| run.together), "pss_mib_idle_node": mean(|run| run.idle),
            "bytes_per_round_beside_vectors": mean(|run| run.round_bytes), "auc": mean(|run| run.auc),
        }));
    }
    table.print()?;
    Ok(Value::Array(figures))
}

fn run(company: &Company, encoded: &Encoded) -> Result<Run> {
    let folder = tempfile::Builder::new().prefix("aquifer-").tempdir()?;
    let mut cluster = Cluster::start(folder.path())?;
    cluster.add_units(
        company,
        &Policy {
            cap: cap(price(EPSILON, DELTA)?),
            ..Policy::default()
        },
    )?;
    cluster.start_nodes()?;
    let study = Study {
        name: "bench",
        epsilon: EPSILON,
        delta: DELTA,
        trust: Some("node-noise"),
        more: "",
    };
    // Bytes on the wire when the first residual sum and when the last one had come in.
    let mut seen: Vec<(u64, u64)> = Vec::new();
    let measured = Measured::run(&cluster, "bench", &study.file(company), |status| {
        let done = status["status"]["rounds_done"].as_u64().unwrap_or(0);
        if seen.last().is_none_or(|(last, _)| *last < done) {
            seen.extend(loopback_bytes().ok().map(|bytes| (done, bytes)));
        }
    })?;
    let model = measured
        .model
        .as_ref()
        .context("the study ended without a model")?;
    let auc = encoded.quality(&model.trained)?.auc;
    let vector = model.trained.state.curves.len() as f64 * 8.0 * company.units.len() as f64;
    let residuals = seen.iter().filter(|(done, _)| (2..=9).contains(done));
    let (first, last) = (residuals.clone().min(), residuals.max());
    let round_bytes = first.zip(last).map_or(f64::NAN, |(first, last)| {
        (last.1 - first.1) as f64 / (last.0 - first.0) as f64 - vector
    });
    let report = cluster.watcher().report();
    let nodes = report
        .each
        .iter()
        .filter(|(name, _)| !["coordinator", WATCH].contains(&name.as_str()));
    let idle = nodes.map(|(_, usage)| usage.pss_last).max().unwrap_or(0);
    cluster.stop()?;
    let mut ended = cluster.watcher().report();
    ended.each.remove(WATCH);
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    Ok(Run {
        seconds: measured.seconds,
        slots: measured.sums() as f64 * slot_seconds(company),
        cpu: ended.cpu_seconds(),
        together: mib(report.pss_peak_together),
        idle: mib(idle),
        round_bytes,
        auc,
    })
}
