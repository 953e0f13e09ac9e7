//! Whether the time of an answer tells of one customer: the same questions to two deployments that differ by one, in turns.
//!
//! Answers leave at the ends of slots. What is left of a difference is that of two deployments on a shared machine; the distance of
//! the two distributions is printed beside what chance alone exceeds once in a hundred (Kolmogorov and Smirnov).

use anyhow::{Context, Result};
use aquifer_shared::shell::report::{Table, print};
use aquifer_tests::company::Company;
use aquifer_tests::reports::{Analyst, Reports, Standing, published};
use aquifer_tests::synthetic::SEED;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::client::Client;
use super::times::Times;
use super::wording::Wording;
use super::{SHARED, URHO, plain};
use crate::options::Options;

const STANDING: Standing<'static> = Standing {
    purpose: SHARED,
    trust: "shared-noise",
    urho: URHO,
};
const CUSTOMERS: usize = 8_000;
const UNITS: usize = 4;
const WARM_UP: usize = 10;

/// One of two deployments.
struct Twin {
    reports: Reports,
    analyst: Analyst,
    client: Option<Client>,
    _folder: TempDir,
}

impl Twin {
    fn start(company: Company) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("aquifer-").tempdir()?;
        let mut reports = Reports::prepare(folder.path(), published(company)?, &[STANDING])?;
        reports.start(&[STANDING])?;
        Ok(Self {
            analyst: reports.add_analyst("ada")?,
            reports,
            client: None,
            _folder: folder,
        })
    }

    fn ask(&mut self, runtime: &Runtime, text: &str) -> Result<f64> {
        runtime.block_on(async {
            let client = match &mut self.client {
                Some(client) => client,
                none => none.insert(Client::open(&self.reports, &self.analyst, SHARED).await?),
            };
            client.ask(text, None).await
        })
    }
}

/// Measures.
pub fn measure(options: &Options) -> Result<Value> {
    // The client takes the provider of the process; one that is there already will do.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let mut with = Company::synthetic(SEED, CUSTOMERS);
    with.keep_units(UNITS);
    let mut without = Company::synthetic(SEED, CUSTOMERS);
    without.keep_units(UNITS);
    without.customers.pop().context("somebody is there")?;
    let mut twins = [Twin::start(with)?, Twin::start(without)?];
    let runtime = Runtime::new()?;
    let wording = Wording::of(twins[0].reports.table());
    let mut wording = wording.context("a key and two numbers are needed")?;
    let mut taken = [Vec::new(), Vec::new()];
    for question in 0..WARM_UP + options.times(1_000, 60) {
        let text = wording.next();
        // In turns, so that neither is always the first.
        for place in [question % 2, 1 - question % 2] {
            let time = twins[place].ask(&runtime, &text)?;
            if question >= WARM_UP {
                taken[place].push(time);
            }
        }
    }
    for twin in &mut twins {
        twin.reports.cluster.stop()?;
    }
    show(taken)
}

fn show(taken: [Vec<f64>; 2]) -> Result<Value> {
    let count = taken[0].len() as f64;
    let times = taken.map(Times::of);
    let mut table = Table::new(&["answers, ms", "p1", "p25", "p50", "p75", "p99", "most"]);
    let shares = [0.01, 0.25, 0.5, 0.75, 0.99, 1.0];
    for (name, times) in ["with the customer", "without"].iter().zip(&times) {
        let figures = shares.map(|share| plain(format!("{:.2}", times.below(share))));
        let cells = std::iter::once(plain(*name)).chain(figures);
        table.toned_row(cells);
    }
    table.print()?;
    let distance = times[0].distance(&times[1]);
    let chance = 1.628 * (2.0 / count).sqrt();
    print(&format!(
        "distance of the two distributions {distance:.3}; chance alone exceeds {chance:.3} once in a hundred\n"
    ))?;
    Ok(json!({
        "with": times[0].to_json(), "without": times[1].to_json(), "distance": distance, "chance_1_percent": chance,
    }))
}
