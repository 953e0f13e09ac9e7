//! What a simulation came to, for people and for programs.

use anyhow::Result;
use aquifer_shared::shell::report::{Table, print};
use aquifer_tests::simulator::report::Tally;
use aquifer_tests::simulator::sweep::Sweep;
use serde_json::{Value, json};

use crate::cost::Cost;

/// Prints the table, and the commands that show broken promises again.
///
/// # Errors
///
/// Nothing can be printed.
pub fn table(sweep: &Sweep, tally: &Tally, cost: &Cost) -> Result<()> {
    let mut table = Table::new(&["simulated", "count"]);
    let mut row = |what: &str, count: String| table.row([what.to_owned(), count]);
    row("seeds", tally.seeds.to_string());
    row(
        "hours of virtual time",
        format!("{:.1}", tally.simulated_hours),
    );
    row("attempts at sums", tally.attempts.to_string());
    row("sums released", tally.sums.to_string());
    row("studies completed", tally.completed.to_string());
    row(
        "studies aborted cleanly",
        tally.aborted_cleanly().to_string(),
    );
    for (code, count) in &tally.aborted {
        row(&format!("  {code}"), count.to_string());
    }
    row(
        "studies that a liar kept from ending",
        tally.unfinished.to_string(),
    );
    let faults: u64 = tally.faults.values().sum();
    row("faults", faults.to_string());
    for (fault, count) in &tally.faults {
        row(&format!("  {fault}"), count.to_string());
    }
    let signatures = tally.signatures;
    row("signature checks asked for", signatures.asked.to_string());
    row("signature checks computed", signatures.made.to_string());
    row("seconds", format!("{:.1}", cost.wall_seconds));
    row("CPU seconds", format!("{:.1}", cost.cpu_seconds));
    row("peak memory, MB", format!("{:.0}", cost.peak_memory_mb));
    row("violations", tally.violations.len().to_string());
    table.print()?;
    for finding in &tally.violations {
        let (seed, violation) = (finding.seed, &finding.violation);
        print(&format!(
            "\nseed {seed}: {violation}\n  again:  {}\n",
            finding.replay
        ))?;
        if let Some(shrunk) = &finding.shrunk {
            print(&format!("  shrunk: {shrunk}\n"))?;
        }
    }
    let _ = sweep;
    Ok(())
}

/// The same as JSON.
#[must_use]
pub fn json(sweep: &Sweep, tally: &Tally, cost: &Cost) -> Value {
    let wish = &sweep.wish;
    json!({
        "seeds": {"from": sweep.seeds.start, "to": sweep.seeds.end},
        "nodes": wish.nodes,
        "rounds": wish.rounds,
        "cells": wish.cells,
        "trust": wish.trust,
        "faults": wish.profile().map(|profile| profile.name()),
        "threads": sweep.threads,
        "signatures_remembered": wish.remember_signatures,
        "counts": tally,
        "cost": cost,
    })
}
