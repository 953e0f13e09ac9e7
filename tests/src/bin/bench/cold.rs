//! From the start of a node to its first contribution, all customers of a data set at one node.

use std::time::Instant;

use anyhow::{Context, Result};
use aquifer_shared::shell::report::Table;
use aquifer_tests::cluster::Cluster;
use aquifer_tests::company::Company;
use aquifer_tests::exact::mean_and_deviation;
use aquifer_tests::measured::{cap, price, slot_seconds};
use aquifer_tests::policy::Policy;
use aquifer_tests::study::Study;
use serde_json::{Value, json};

use crate::options::Options;

/// Measures a node that finds an approved study waiting for it.
pub fn measure(options: &Options) -> Result<Value> {
    let mut table = Table::new(&[
        "data set",
        "customers at the node",
        "seconds to the first sum",
        "of which slot",
    ]);
    let mut figures = Vec::new();
    for name in ["adult"] {
        let Some(path) = options.data_set(name) else {
            continue;
        };
        let mut company = Company::read(&path, "unit_iid")?;
        company.merge_units();
        let taken = (0..options.times(3, 1))
            .map(|_| cold(&company))
            .collect::<Result<Vec<f64>>>()?;
        let (seconds, _) = mean_and_deviation(&taken).context("there is a run")?;
        let (customers, slot) = (company.customers.len(), slot_seconds(&company));
        table.row([
            name.to_owned(),
            customers.to_string(),
            format!("{seconds:.2}"),
            format!("{slot:.2}"),
        ]);
        figures.push(json!({"dataset": name, "customers": customers, "seconds": seconds, "seconds_slot": slot, "limit": 1.0}));
    }
    table.print()?;
    Ok(Value::Array(figures))
}

fn cold(company: &Company) -> Result<f64> {
    let folder = tempfile::Builder::new().prefix("aquifer-").tempdir()?;
    let mut cluster = Cluster::start(folder.path())?;
    cluster.add_units(
        company,
        &Policy {
            cap: cap(price(1.0, 1e-6)?),
            ..Policy::default()
        },
    )?;
    let study = Study {
        name: "cold",
        epsilon: 1.0,
        delta: 1e-6,
        trust: Some("node-noise"),
        more: "",
    };
    let hash = cluster.submit(&study.file(company))?;
    let watch = cluster.watch(&hash)?;
    cluster.approve(&hash)?;
    let started = Instant::now();
    cluster.start_node(0)?;
    let mut first = None;
    let last = cluster.follow(&watch, 60_000, |status| {
        if status["status"]["rounds_done"].as_u64() >= Some(1) {
            first.get_or_insert_with(|| started.elapsed().as_secs_f64());
        }
    })?;
    first.with_context(|| format!("no sum was released: {}", last))
}
