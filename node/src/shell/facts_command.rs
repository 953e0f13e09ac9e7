//! `aquifer-node facts`: documents of the unit, out of its own history alone.

use std::path::{Path, PathBuf};

use aquifer_shared::domain::facts::{Form, Log, LogReader, NoDocument, Record};
use aquifer_shared::domain::pack::VerifierKey;
use aquifer_shared::shell::history::Entry;
use aquifer_shared::shell::report::{self, Outcome, refuse};
use clap::Subcommand;
use serde_json::json;

use super::audit::{self, Head, Reader, packed};
use super::rights::write_new;

/// Documents that the node's history gives.
#[derive(Debug, Subcommand)]
pub enum FactsCommand {
    /// Record of processing activities of the unit (GDPR 30(1)): CSV, or JSON-LD with --json; exit code 1 where processing was not declared.
    #[command(
        after_help = "Example:\n  aquifer-node facts ropa --dir north --out record.csv\n\nMade of what was published of the history, and of nothing else: [facts] of node.toml enters it at a start."
    )]
    Ropa {
        /// New file, readable for its owner alone [default: standard output].
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
        /// The record as JSON-LD, refusals as JSON.
        #[arg(long)]
        json: bool,
    },
}

impl FactsCommand {
    /// Whether a program reads the answer.
    #[must_use]
    pub fn json(&self) -> bool {
        match self {
            Self::Ropa { json, .. } => *json,
        }
    }
}

/// Carries out a command.
///
/// # Errors
///
/// The history does not verify or cannot be read, or the file cannot be written.
pub fn run(directory: &Path, command: &FactsCommand) -> anyhow::Result<Outcome> {
    let FactsCommand::Ropa { out, json } = command;
    if let Some(out) = out.as_ref().filter(|out| out.exists()) {
        let why = format!("{} is there, and is not overwritten", out.display());
        return refuse(*json, "taken", &why);
    }
    let read = match audit::read(directory, 0..0, Documented::of) {
        Ok((_, read)) => record(read, *json),
        Err(error) => match error.downcast_ref::<NoDocument>() {
            Some(none) => Err((none.code(), none.to_string())),
            None => return Err(error),
        },
    };
    let (text, alarms) = match read {
        Ok(made) => made,
        Err((code, why)) => return refuse(*json, code, &why),
    };
    match out {
        None => report::print(&text)?,
        Some(out) => {
            write_new(out, &text)?;
            let file = out.display().to_string();
            match *json {
                true => report::print_json(&json!({"file": file}))?,
                false => report::print(&format!("written to {file}\n"))?,
            }
        }
    }
    match alarms.is_empty() {
        true => Ok(Outcome::Done),
        // The document has them: a program that reads it gets no second one.
        false => Ok(report::refused(&alarms.join("; "))),
    }
}

/// What was published of a history while it is read, as the source of documents; none where nothing was yet.
struct Documented(Option<LogReader>);

impl Documented {
    fn of(head: &Head) -> anyhow::Result<Self> {
        let key = VerifierKey::of_log(&head.origin, head.key);
        let note = head.published.as_deref();
        let reader = note.map(|note| LogReader::new(note, &key));
        Ok(Self(reader.transpose()?))
    }

    fn log(self) -> Result<Option<Log>, NoDocument> {
        self.0.map(LogReader::end).transpose()
    }
}

impl Reader for Documented {
    fn take(&mut self, entry: Entry) -> anyhow::Result<()> {
        if let Some(reader) = self.0.as_mut().filter(|reader| !reader.is_whole()) {
            reader.take(&packed(entry))?;
        }
        Ok(())
    }
}

/// The record and its alarms; or a code, and why there is none.
///
/// # Privacy
///
/// Names no person; counts entries, not people.
fn record(read: Documented, json: bool) -> Result<(String, Vec<String>), (&'static str, String)> {
    let made = read.log().and_then(|log| {
        log.map(|log| Record::of(&log, Form::Controller))
            .transpose()
    });
    let record = made.map_err(|none| (none.code(), none.to_string()))?;
    let record = record.ok_or_else(|| ("log", UNPUBLISHED.to_owned()))?;
    let text = match json {
        true => record.to_json_ld(),
        false => record.to_csv(),
    };
    Ok((text, record.alarms().to_vec()))
}

const UNPUBLISHED: &str = "nothing of the history is published yet, and a record is made of what is: let the node run until the next time, \
    which [history] publish_every_minutes of node.toml sets";

#[cfg(test)]
#[path = "facts_tests.rs"]
mod tests;
