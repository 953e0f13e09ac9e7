//! Whether the time of an answer tells of one customer: the same questions to two deployments that differ by one, in turns.
//!
//! The questions are about a table with several rows of a customer, and the one customer has all rows that a unit keeps: nobody makes more work.
//! Answers leave at the ends of slots. What is left of a difference is that of two deployments on a shared machine; the distance of
//! the two distributions is printed beside what chance alone exceeds once in a hundred (Kolmogorov and Smirnov).

use anyhow::{Context, Result};
use aquifer_shared::shell::report::{Table, print};
use aquifer_tests::company::Company;
use aquifer_tests::orders::{self, Bounds};
use aquifer_tests::policy::Policy;
use aquifer_tests::reports::{Analyst, Reports, Standing};
use aquifer_tests::synthetic::SEED;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::times::Times;
use super::wording::Wording;
use super::{SHARED, URHO, plain};
use crate::client::{Client, provide};
use crate::options::Options;

const STANDING: Standing<'static> = Standing {
    purpose: SHARED,
    trust: "shared-noise",
    urho: URHO,
};
const CUSTOMERS: usize = 8_000;
const UNITS: usize = 4;
const WARM_UP: usize = 10;
/// All rows that are kept count in an answer by shop.
const BOUNDS: Bounds = Bounds {
    rows: 32,
    groups: 4,
    kept: 128,
};

/// One of two deployments.
struct Twin {
    reports: Reports,
    analyst: Analyst,
    client: Option<Client>,
    _folder: TempDir,
}

impl Twin {
    /// With the orders of all customers that there are; the one who is named has many.
    fn start(company: Company, one: &str) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("aquifer-").tempdir()?;
        let policy = Policy {
            tables: orders::TABLE.to_owned(),
            published: orders::MAPPING.to_owned(),
            ..Policy::default()
        };
        let mut reports = Reports::prepare_under(folder.path(), company, &[STANDING], policy)?;
        for (unit, node) in reports.cluster.nodes.iter().enumerate() {
            let rows = orders::of_unit(&reports.company, unit, one, BOUNDS);
            orders::write_csv(&rows, &node.folder.join("orders.csv"))?;
        }
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
    provide();
    let [mut with, mut without] = [(); 2].map(|()| Company::synthetic(SEED, CUSTOMERS));
    with.keep_units(UNITS);
    without.keep_units(UNITS);
    orders::publish(&mut with, BOUNDS)?;
    without.contract = with.contract.clone();
    let one = with
        .customers
        .first()
        .context("somebody is there")?
        .id
        .clone();
    without.customers.retain(|customer| customer.id != one);
    let mut twins = [Twin::start(with, &one)?, Twin::start(without, &one)?];
    let runtime = Runtime::new()?;
    let contract = &twins[0].reports.company.contract;
    let wording = contract.published("orders").and_then(Wording::of);
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
    let mut table = Table::new(&["answers, ms", "p1", "p10", "p50", "p90", "p99", "most"]);
    let shares = [0.01, 0.1, 0.5, 0.9, 0.99, 1.0];
    let with = format!("with the customer of {} rows", BOUNDS.kept);
    for (name, times) in [&*with, "without"].into_iter().zip(&times) {
        let figures = shares.map(|share| plain(format!("{:.2}", times.below(share))));
        let cells = std::iter::once(plain(name)).chain(figures);
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
