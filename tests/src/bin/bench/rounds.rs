//! Rounds without training: sums of 100 cells, slot 0, eight nodes on loopback, durable ledgers.

use std::time::Instant;

use anyhow::{Result, ensure};
use aquifer_shared::base::units::MicroRho;
use aquifer_shared::shell::report::Table;
use aquifer_tests::cluster::Cluster;
use aquifer_tests::company::Company;
use aquifer_tests::measured::SPARE_ATTEMPTS;
use aquifer_tests::policy::Policy;
use aquifer_tests::processes::loopback_bytes;
use aquifer_tests::study::{Study, state};
use serde_json::{Value, json};

use crate::machine::{draws_per_second, fsync_ms};
use crate::options::Options;

const CELLS: u32 = 100;
const NODES: f64 = 8.0;
/// Price of a round: 400 of them stay below the largest epsilon that a statement may have.
const URHO: u64 = 20_000;

/// Rounds of zeros by eight nodes on loopback.
pub struct Rounds {
    /// Trust mode.
    pub trust: &'static str,
    /// Cells of each sum.
    pub cells: u32,
    /// How many.
    pub rounds: usize,
}

/// What they took.
pub struct Took {
    /// Rounds a second, the first one left out.
    pub per_second: f64,
    /// Bytes on the loopback device for each round, headers, acknowledgements and idle connections included.
    pub wire_bytes: f64,
}

impl Rounds {
    /// Runs them in a deployment of their own.
    pub fn run(&self) -> Result<Took> {
        let company = Company::synthetic(1, 800);
        let folder = tempfile::Builder::new().prefix("aquifer-").tempdir()?;
        let mut cluster = Cluster::start(folder.path())?;
        let price = self.rounds as u64 * URHO;
        let policy = Policy {
            cap: MicroRho(price + SPARE_ATTEMPTS * URHO),
            allow_synthetic: true,
            ..Policy::default()
        };
        cluster.add_units(&company, &policy)?;
        cluster.start_nodes()?;
        let hash = cluster.submit(&self.file(&company, price))?;
        let watch = cluster.watch(&hash)?;
        cluster.approve(&hash)?;
        let mut first: Option<(Instant, u64, u64)> = None;
        let mut last = (Instant::now(), 0, 0);
        let status = cluster.follow(&watch, 120_000, |status| {
            let done = status["status"]["rounds_done"].as_u64().unwrap_or(0);
            if done > last.1 {
                last = (Instant::now(), done, loopback_bytes().unwrap_or(0));
                first = first.or(Some(last));
            }
        })?;
        ensure!(
            state(&status) != "aborted" || last.1 as usize == self.rounds,
            "the rounds ended early: {status}"
        );
        let (started, done, bytes) = first.unwrap_or(last);
        let rounds = (last.1 - done) as f64;
        Ok(Took {
            per_second: rounds / (last.0 - started).as_secs_f64(),
            wire_bytes: (last.2 - bytes) as f64 / rounds,
        })
    }

    fn file(&self, company: &Company, price: u64) -> String {
        let Self { cells, rounds, .. } = self;
        let file = Study {
            name: "rounds",
            epsilon: 1.0,
            delta: 1e-6,
            trust: Some(self.trust),
            more: "slot_ms = 0\nsynthetic = true",
        };
        let plan = format!("plan = {{ synthetic = {{ cells = {cells}, rounds = {rounds} }} }}");
        let file = file.file(company).replace("plan = \"additive\"", &plan);
        file.replace("epsilon = 1.0", &format!("urho = {price}"))
    }
}

/// Measures rounds a second, and what the disk and the noise cost of them.
pub fn measure(options: &Options) -> Result<Value> {
    let (fsync, draws) = (
        fsync_ms(options.times(400, 100))?,
        draws_per_second(20_000)?,
    );
    let rounds = Rounds {
        trust: "node-noise",
        cells: CELLS,
        rounds: options.times(400, 100),
    };
    let per_second = rounds.run()?.per_second;
    let cores = std::thread::available_parallelism()?.get() as f64;
    let noise_ms = f64::from(CELLS) * NODES / draws / cores * 1e3;
    let mut table = Table::new(&["rounds without training", "measured"]);
    table.row(["rounds a second".to_owned(), format!("{per_second:.1}")]);
    table.row(["a round, ms".to_owned(), format!("{:.2}", 1e3 / per_second)]);
    table.row(["one fsync, ms".to_owned(), format!("{fsync:.3}")]);
    table.row([
        "noise of eight nodes on all cores, ms".to_owned(),
        format!("{noise_ms:.2}"),
    ]);
    table.print()?;
    Ok(
        json!({"rounds_per_second": per_second, "floor": 50, "fsync_ms": fsync, "noise_ms": noise_ms, "rounds": rounds.rounds}),
    )
}
