//! The demonstration: a coordinator and a node per unit as separate processes, one private study, and what it was worth.
//!
//! Owns all the customers, so it can print exact figures beside the private ones. Stops everything it started.

mod compare;
mod options;
mod run;
mod show;
mod stop;

use std::process::ExitCode;

use aquifer_shared::shell::report::{Outcome, finish, refused};
use clap::Parser;

use options::Options;
use stop::Stop;

fn main() -> ExitCode {
    let options = Options::parse();
    if let Err(reason) = options.check() {
        return finish(Ok::<Outcome, anyhow::Error>(refused(&reason)));
    }
    let stop = match Stop::listen() {
        Ok(stop) => stop,
        Err(error) => return finish(Err(error)),
    };
    match run::demo(&options, &stop) {
        Err(_) if stop.asked() => {
            eprintln!("stopped; everything that was started has ended");
            ExitCode::from(130)
        }
        ended => finish(ended.map(|()| Outcome::Done)),
    }
}
