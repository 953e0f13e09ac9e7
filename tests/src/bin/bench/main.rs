//! Measures what the product must reach, on this machine, with the shipped programs and cores.
//!
//! Every figure says what it was measured against. Missing data sets are named, never passed over in silence.

mod accuracy;
mod aggregation;
mod client;
mod cold;
mod consent;
mod history;
mod machine;
mod million;
mod options;
mod pack;
mod parquet;
mod quality;
mod questions;
mod rights;
mod rounds;
mod scale;
mod sharing;
mod study;

use std::fs;
use std::process::ExitCode;

use anyhow::{Context, Result};
use aquifer_shared::shell::report::{Outcome, finish, note, print};
use clap::Parser;
use serde_json::{Map, Value};

use options::{Options, Part};

fn main() -> ExitCode {
    let options = Options::parse();
    finish(bench(&options).map(|()| Outcome::Done))
}

fn bench(options: &Options) -> Result<()> {
    let mut figures = Map::new();
    for part in options.parts() {
        note(&format!("bench: {}", part.name()));
        let measured = match part {
            Part::Machine => machine::measure(options)?,
            Part::Million => million::measure(options)?,
            Part::Sharing => sharing::measure(options)?,
            Part::Rounds => rounds::measure(options)?,
            Part::Aggregation => aggregation::measure(options)?,
            Part::Scale => scale::measure(options)?,
            Part::Cold => cold::measure(options)?,
            Part::Study => study::measure(options)?,
            Part::Quality => quality::measure(options)?,
            Part::Questions => questions::measure(options)?,
            Part::Accuracy => accuracy::measure(options)?,
            Part::Parquet => parquet::measure(options)?,
            Part::Consent => consent::measure(options)?,
            Part::Rights => rights::measure(options)?,
            Part::Pack => pack::measure(options)?,
            Part::Timing => questions::timing::measure(options)?,
            Part::History => history::measure(options)?,
        };
        figures.insert(part.name().to_owned(), measured);
    }
    if let Some(path) = &options.json {
        let text = format!("{:#}\n", Value::Object(figures));
        fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
        print(&format!("\nwritten to {}\n", path.display()))?;
    }
    Ok(())
}
