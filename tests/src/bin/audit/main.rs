//! Audits the training path by canaries: made-up customers, coins, guesses, and whether they falsify a claimed epsilon.
//!
//! Says what it could not have seen as plainly as what it saw, and nothing that an audit cannot show.

mod options;
mod show;

use std::process::ExitCode;

use anyhow::Result;
use aquifer_shared::base::units::Epsilon;
use aquifer_shared::shell::progress::{Counted, Progress};
use aquifer_shared::shell::report::{Outcome, finish, refused};
use aquifer_tests::audit::{Audit, BadDesign, Verdict};
use clap::Parser;

use options::Options;
use show::Audited;

fn main() -> ExitCode {
    let options = Options::parse();
    finish(audit(&options))
}

fn audit(options: &Options) -> Result<Outcome> {
    let claims = match options.claims() {
        Ok(claims) => claims,
        Err(reason) => return Ok(refused(&reason)),
    };
    // All claims are checked before the first takes its time.
    for claim in &claims {
        if let Err(error) = options.design().study(*claim) {
            return refused_or(error);
        }
    }
    let mut all = Vec::new();
    for claim in claims {
        match one(options, claim) {
            Ok(audited) => all.push(audited),
            Err(error) => return refused_or(error),
        }
    }
    if options.json {
        show::json(&all)?;
    } else {
        show::table(&options.design(), &all)?;
    }
    let falsified = |audited: &&Audited| {
        audited.finding.verdict() != Verdict::NotFalsified || audited.correlation.is_shared()
    };
    match all.iter().filter(falsified).count() {
        0 => Ok(Outcome::Done),
        count => Ok(refused(&format!(
            "{count} of {} claims falsified",
            all.len()
        ))),
    }
}

fn one(options: &Options, claim: Epsilon) -> Result<Audited> {
    let audit = Audit::new(options.design(), claim, options.seed, options.fault)?;
    let mut progress = Progress::new("auditing", audit.sums(), Counted::Items);
    let mut done = 0;
    let finding = audit.run(options.seed, || {
        done += 1;
        progress.reach(done);
    })?;
    let correlation = audit.correlation()?;
    Ok(Audited {
        finding,
        correlation,
    })
}

fn refused_or(error: anyhow::Error) -> Result<Outcome> {
    match error.downcast_ref::<BadDesign>() {
        Some(design) => Ok(refused(&design.to_string())),
        None => Err(error),
    }
}
