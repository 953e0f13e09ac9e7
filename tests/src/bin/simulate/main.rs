//! Simulates studies of the production state machines under a virtual clock, with faults, and watches their promises.
//!
//! Prints what happened as a table and, for each broken promise, the command that shows it again.

mod cost;
mod exact;
mod options;
mod show;

use std::fs;
use std::process::ExitCode;

use anyhow::{Context, Result};
use aquifer_shared::shell::progress::{Counted, Progress};
use aquifer_shared::shell::report::{Outcome, finish, refused};
use aquifer_tests::simulator::report::{Finding, Tally};
use aquifer_tests::simulator::shrink::shrink;
use aquifer_tests::simulator::sweep::Sweep;
use clap::Parser;

use cost::Cost;
use options::Options;

fn main() -> ExitCode {
    let options = Options::parse();
    finish(simulate(&options))
}

fn simulate(options: &Options) -> Result<Outcome> {
    let wish = match options.wish() {
        Ok(wish) => wish,
        Err(reason) => return Ok(refused(&reason)),
    };
    if options.exact {
        let nodes_max = options.nodes.unwrap_or(usize::MAX);
        return exact::all_sizes(nodes_max, options.cells.unwrap_or(u32::MAX));
    }
    let sweep = Sweep {
        wish,
        seeds: options.seeds.0.clone(),
        threads: options.threads,
    };
    let begun = Cost::begin();
    let (mut tally, mut failed) = (Tally::default(), Vec::new());
    let mut progress = Progress::new(
        "simulating",
        sweep.seeds.end - sweep.seeds.start,
        Counted::Items,
    );
    // A panic is a finding, told with all others.
    std::panic::set_hook(Box::new(|_| {}));
    sweep.run(|seed, history| {
        tally.add(&history);
        progress.reach(tally.seeds);
        if history.violation.is_some() {
            failed.push((seed, history));
        }
        failed.len() < options.findings
    });
    let cost = begun.end()?;
    for (seed, history) in failed {
        let shrunk = shrink(seed, &sweep.wish, &history, options.shrink);
        tally
            .violations
            .extend(history.violation.map(|violation| Finding {
                seed,
                violation,
                replay: sweep.wish.command(seed),
                shrunk: shrunk.map(|shrunk| shrunk.wish.command(seed)),
            }));
    }
    drop(progress);
    show::table(&sweep, &tally, &cost)?;
    if let Some(path) = &options.json {
        let text = format!("{:#}\n", show::json(&sweep, &tally, &cost));
        fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    match tally.violations.len() {
        0 => Ok(Outcome::Done),
        count => anyhow::bail!("{count} promises were broken"),
    }
}
