//! Questions of analysts by SQL, over the real door: eight node processes, a coordinator, and a client that users have.
//!
//! Nothing of the answer slot or of the durable writes is taken out of a figure in silence: both are printed beside it.

mod durable;
mod first;
mod fresh;
mod load;
mod pace;
mod stored;
mod times;
pub mod timing;
mod wording;

use anyhow::{Context, Result};
use aquifer_shared::shell::report::{Tone, note};
use aquifer_tests::company::Company;
use aquifer_tests::reports::{Analyst, Reports, Standing, published};
use aquifer_tests::synthetic;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::client::provide;
use crate::options::Options;
use durable::Disk;
use wording::Wording;

/// The two ways to be trusted, by purpose.
const STANDINGS: [Standing<'static>; 2] = [
    Standing {
        purpose: SHARED,
        trust: "shared-noise",
        urho: URHO,
    },
    Standing {
        purpose: OWN,
        trust: "node-noise",
        urho: URHO,
    },
];
const SHARED: &str = "reporting";
const OWN: &str = "steering";
/// Price of a question: it makes no difference to its time.
const URHO: u64 = 20;
/// What measures must not disturb: memory is sampled every ten seconds.
const SAMPLES_PASSED: u32 = 200;
/// People who ask.
const ANALYSTS: usize = 50;

/// Everything that the parts of this measurement share.
struct Bench<'a> {
    options: &'a Options,
    reports: Reports,
    analysts: Vec<Analyst>,
    wording: Wording,
    runtime: Runtime,
    disk: Disk,
}

/// Measures on every data set that is there, and on made-up customers where none is.
pub fn measure(options: &Options) -> Result<Value> {
    provide();
    let mut figures = Vec::new();
    for name in ["adult", "telco"] {
        if let Some(path) = options.data_set(name) {
            figures.push(measure_on(options, Company::read(&path, "unit_iid")?)?);
        }
    }
    if figures.is_empty() {
        note("no public data set is here: made-up customers take their place");
        let company = Company::synthetic(synthetic::SEED, synthetic::CUSTOMERS);
        figures.push(measure_on(options, company)?);
    }
    Ok(Value::Array(figures))
}

fn measure_on(options: &Options, company: Company) -> Result<Value> {
    let folder = tempfile::Builder::new().prefix("aquifer-").tempdir()?;
    let mut reports = Reports::prepare(folder.path(), published(company)?, &STANDINGS)?;
    reports.start(&STANDINGS)?;
    reports.cluster.watcher().sample_rarely(SAMPLES_PASSED);
    let names = (0..ANALYSTS).map(|number| format!("analyst-{number}"));
    let analysts = names
        .map(|name| reports.add_analyst(&name))
        .collect::<Result<Vec<_>>>()?;
    let wording = Wording::of(reports.table()).context("a key and two numbers are needed")?;
    let mut bench = Bench {
        options,
        reports,
        analysts,
        wording,
        runtime: Runtime::new()?,
        disk: Disk::measure(folder.path(), options)?,
    };
    let name = bench.reports.company.name.clone();
    note(&format!("bench: questions: {name}"));
    let figures = json!({
        "dataset": name,
        "disk": bench.disk.to_json(),
        "fresh": fresh::measure(&mut bench)?,
        "psql": first::measure(&mut bench)?,
        "stored": stored::measure(&mut bench)?,
        "load": load::measure(&mut bench)?,
    });
    bench.reports.cluster.stop()?;
    Ok(figures)
}

/// A figure beside the limit that it must stay below.
fn judged(found: f64, limit: f64) -> (String, Tone) {
    let tone = if found < limit { Tone::Good } else { Tone::Bad };
    (format!("{found:.1} [{limit:.0}]"), tone)
}

/// How many failed, where none should.
fn failures(failed: Option<&(String, usize)>) -> (String, Tone) {
    match failed {
        None => ("0".to_owned(), Tone::Good),
        Some((first, count)) => (format!("{count}: {first}"), Tone::Bad),
    }
}

fn plain(cell: impl Into<String>) -> (String, Tone) {
    (cell.into(), Tone::Plain)
}
