//! `--exact`: sums of all sizes against the plain sums, with noise off.

use anyhow::{Result, anyhow};
use aquifer_shared::base::limits::GROUP_MAX;
use aquifer_shared::shell::progress::{Counted, Progress};
use aquifer_shared::shell::report::{Outcome, Table};
use aquifer_tests::simulator::exactness::{CELLS, CELLS_OF_GROUPS_MAX, NODES, Verdict, check};

/// Checks all sizes up to so many nodes and cells and prints a table; the first sum that is not the plain one ends it.
///
/// # Errors
///
/// A sum is not the plain sum, or nothing can be printed.
pub fn all_sizes(nodes_max: usize, cells_max: u32) -> Result<Outcome> {
    let cells: Vec<u32> = CELLS.into_iter().filter(|of| *of <= cells_max).collect();
    let nodes: Vec<usize> = NODES.into_iter().filter(|of| *of <= nodes_max).collect();
    let headings = cells.iter().map(|cells| format!("{cells} cells"));
    let headings: Vec<String> = ["nodes".to_owned()].into_iter().chain(headings).collect();
    let headings: Vec<&str> = headings.iter().map(String::as_str).collect();
    let mut table = Table::new(&headings);
    let sizes = (nodes.len() * cells.len()) as u64;
    let mut progress = Progress::new("adding up", sizes, Counted::Items);
    let mut done = 0;
    for nodes in nodes {
        let mut row = vec![nodes.to_string()];
        for of in &cells {
            row.push(told(nodes, *of)?.to_owned());
            done += 1;
            progress.reach(done);
        }
        table.row(row);
    }
    drop(progress);
    table.print()?;
    Ok(Outcome::Done)
}

fn told(nodes: usize, cells: u32) -> Result<&'static str> {
    if nodes > GROUP_MAX && cells > CELLS_OF_GROUPS_MAX {
        return Ok("-");
    }
    match check(nodes, cells).map_err(|reason| anyhow!(reason))? {
        Verdict::Exact => Ok("exact"),
        Verdict::TooMany => Ok("refused"),
    }
}
