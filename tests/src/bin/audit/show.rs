//! What an audit came to, for people and for programs.

use anyhow::Result;
use aquifer_shared::shell::report::{Table, Tone, print, print_json};
use aquifer_tests::audit::{Between, CanaryResult, Correlation, Design, Finding, Verdict};

/// One claim after its audit.
#[derive(Debug)]
pub struct Audited {
    /// Guesses.
    pub finding: Finding,
    /// Noise of nodes, sums and cells.
    pub correlation: Correlation,
}

/// Prints a row for each claim, and what is known of the noise.
///
/// # Errors
///
/// Nothing can be printed.
pub fn table(design: &Design, all: &[Audited]) -> Result<()> {
    let mut table = Table::new(&[
        "claimed epsilon",
        "guesses",
        "right",
        "falsified from",
        "largest epsilon it could falsify",
        "largest it does",
        "the claim is",
    ]);
    for Audited { finding, .. } in all {
        let verdict = finding.verdict();
        let tone = match verdict {
            Verdict::NotFalsified => Tone::Plain,
            Verdict::Falsified | Verdict::OutOfReach => Tone::Bad,
        };
        let threshold = finding.threshold();
        table.toned_row([
            plain(finding.claim().to_string()),
            plain(finding.guesses().to_string()),
            plain(finding.correct().to_string()),
            plain(threshold.map_or("-".to_owned(), |threshold| threshold.to_string())),
            plain(format!("{:.2}", finding.ceiling())),
            plain(format!("{:.2}", finding.falsified_up_to())),
            (verdict.words().to_owned(), tone),
        ]);
    }
    table.print()?;
    print(&format!(
        "{} canaries; delta {:e}; a true claim is falsified in at most 5 of 100 audits\n",
        design.canaries,
        design.delta.get()
    ))?;
    for Audited {
        finding,
        correlation,
    } in all
    {
        print(&noise(finding.claim(), correlation))?;
    }
    Ok(())
}

fn noise(claim: f64, found: &Correlation) -> String {
    let what = match found.between {
        Between::Nodes => "nodes",
        Between::Sums => "sums",
        Between::Cells => "cells",
    };
    let words = if found.is_shared() {
        Verdict::Falsified.words()
    } else {
        Verdict::NotFalsified.words()
    };
    format!(
        "claim {claim}: that noise is independent is {words} (strongest of {} pairs: two {what}, {:.1} standard deviations)\n",
        found.pairs, found.deviations
    )
}

/// The same as one line of JSON: a list of records.
///
/// # Errors
///
/// Nothing can be printed.
pub fn json(all: &[Audited]) -> Result<()> {
    let records = all
        .iter()
        .map(|audited| audited.finding.record(&audited.correlation));
    print_json(&records.collect::<Vec<CanaryResult>>())
}

fn plain(text: String) -> (String, Tone) {
    (text, Tone::Plain)
}
