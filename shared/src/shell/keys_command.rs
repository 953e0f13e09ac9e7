//! `keys rotate`: a new master key for a directory, while its program runs.

use std::path::Path;

use clap::Subcommand;
use serde_json::json;

use super::at_rest::{AtRestConfig, Rotated, rotate};
use super::report::{Outcome, print, print_json};

/// What to do about the key under which files are encrypted.
#[derive(Debug, Subcommand)]
pub enum KeysCommand {
    /// Put a new key in the place of the present one; a program that runs goes on, and only the keyring is sealed anew.
    #[command(
        after_help = "Without --to the key file gets a new key, and the old one opens nothing from then on.\nWith --to both keys open until a program starts with the new one: name its place under [at_rest], and start again.\n\nExamples for --to:\n  --to 'key_file = \"/run/keys/aquifer.key\"'     made if it is not there\n  --to 'key_env = \"AQUIFER_KEY\"'                 must be set for this command too\n  --to 'key_command = [\"pass\", \"show\", \"aquifer\"]'"
    )]
    Rotate {
        /// Another place of the key, as one line of `[at_rest]`.
        #[arg(long, value_name = "LINE")]
        to: Option<String>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

impl KeysCommand {
    /// Whether a program reads the answer.
    #[must_use]
    pub fn json(&self) -> bool {
        let Self::Rotate { json, .. } = self;
        *json
    }
}

/// Carries out a command on a directory whose key is where `present` says; `file` holds that section.
///
/// # Errors
///
/// A key cannot be had, does not open, or cannot be written; the key in place opens as before then.
pub fn run(
    directory: &Path,
    present: &AtRestConfig,
    command: &KeysCommand,
    file: &str,
) -> anyhow::Result<Outcome> {
    let KeysCommand::Rotate { to, json } = command;
    let to = to.as_deref().map(AtRestConfig::parse).transpose()?;
    let (text, value) = match rotate(directory, present, to.as_ref())? {
        Rotated::Done { file } => {
            let file = file.display().to_string();
            let text = format!("{file} holds a new key; the old one opens nothing any more\n");
            (text, json!({"rotated": true, "key": file}))
        }
        Rotated::Both { place } => (
            format!(
                "the present key and {place} both open the keyring; name the new place under [at_rest] of {file} and start the \
                 program again: from then on the old key opens nothing\n"
            ),
            json!({"rotated": false, "key": place}),
        ),
    };
    match json {
        true => print_json(&value)?,
        false => print(&text)?,
    }
    Ok(Outcome::Done)
}
