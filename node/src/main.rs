//! `aquifer-node`: entry point. Wires arguments and logs to commands, nothing else.

use std::process::ExitCode;

use aquifer_node::shell::cli;
use aquifer_shared::shell::{crash, logging, report};
use clap::Parser;

fn main() -> ExitCode {
    crash::leave_nothing();
    let arguments = cli::Arguments::parse();
    if let Err(fault) = logging::init() {
        return report::finish(Err(fault.into()));
    }
    cli::run(&arguments)
}
