//! `aquifer-node consent`: imports, and what the desk of the unit does for one person.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use aquifer_shared::domain::law::Rulebook;
use aquifer_shared::shell::progress::{Counted, Progress};
use aquifer_shared::shell::report::{self, Outcome, Table};
use clap::Subcommand;

use super::desk::at_the_desk;
use super::import::{Desk, Imported, Reason, Reject, import};
use super::ledger::ConsentLedger;
use super::mapping::Mapping;
use super::notices::add_notices;
use super::{receipt_command, show, verify};
use crate::core::consent::{EventKind, SubjectKey};
use crate::shell::clock::now;
use crate::shell::config::NodeConfig;
use crate::shell::subject_key;
use crate::shell::telling::tell_soon;

/// What to do about consent.
#[derive(Debug, Subcommand)]
pub enum ConsentCommand {
    /// Read an export of a consent system into the ledger: all of it or nothing, and the same export again changes nothing.
    #[command(
        after_help = "Examples:\n  aquifer-node consent import crm.csv --map crm.toml --dry-run --dir north\n  aquifer-node consent import crm.csv --map crm.toml --rejects rejects.csv --dir north\n\nExit code 1 where rows were rejected; those that were not are written."
    )]
    Import {
        /// The export: CSV, NDJSON or JSON, as the mapping says.
        file: PathBuf,
        /// The mapping file (TOML): what columns and words mean.
        #[arg(long, value_name = "FILE")]
        map: PathBuf,
        /// Only try: write nothing.
        #[arg(long)]
        dry_run: bool,
        /// New file for rejected rows: number and reason of each, no values.
        #[arg(long, value_name = "FILE")]
        rejects: Option<PathBuf>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Add notices to the list: consent counts only under a text that is listed.
    #[command(after_help = "Example:\n  aquifer-node consent notices notices.toml --dir north")]
    Notices {
        /// The list (TOML, one table `notice` each).
        file: PathBuf,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Count who is eligible for each purpose now, and why others are not; for the unit's own people.
    Status {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Show what is known of one person, purpose by purpose, with all events.
    Show {
        /// The customer's id in the source; `-` reads it from standard input, out of sight of others on the machine.
        #[arg(long, value_name = "ID")]
        subject: String,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Print receipts of what one person said, purpose by purpose (JSON-LD in the shape of ISO/IEC TS 27560): signed, with the proof that
    /// the node's history has them, once that is published.
    #[command(
        after_help = "Example:\n  aquifer-node consent receipt --subject - --purpose churn.train --json --dir north > receipt.json\n  aquifer audit verify receipt.json"
    )]
    Receipt {
        /// The customer's id in the source; `-` reads it from standard input, out of sight of others on the machine.
        #[arg(long, value_name = "ID")]
        subject: String,
        /// This purpose alone.
        #[arg(long)]
        purpose: Option<String>,
        /// Print each receipt on a line of its own.
        #[arg(long)]
        json: bool,
    },
    /// Hold every record against what the node's history was told when it was written: what was changed later is counted.
    #[command(after_help = "Exit code 1 where a record was altered, or the history contradicts.")]
    Verify {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Take back the consent of one person, from the next round on.
    Withdraw {
        /// The customer's id in the source; `-` reads it from standard input.
        #[arg(long, value_name = "ID")]
        subject: String,
        /// A purpose, or all.
        #[arg(long, default_value = "all")]
        purpose: String,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Write down that one person objects: no training, question or score of the purpose from the next round on.
    Object {
        /// The customer's id in the source; `-` reads it from standard input.
        #[arg(long, value_name = "ID")]
        subject: String,
        /// A purpose, direct_marketing, sale_or_share, or all.
        #[arg(long)]
        purpose: String,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

impl ConsentCommand {
    /// Whether a program reads the answer.
    #[must_use]
    pub fn json(&self) -> bool {
        match self {
            Self::Import { json, .. }
            | Self::Notices { json, .. }
            | Self::Status { json }
            | Self::Verify { json }
            | Self::Show { json, .. }
            | Self::Receipt { json, .. }
            | Self::Withdraw { json, .. }
            | Self::Object { json, .. } => *json,
        }
    }
}

/// Carries out a command.
///
/// # Errors
///
/// The ledger, a file or node.toml cannot be used: nothing was written.
pub fn run(directory: &Path, command: &ConsentCommand) -> anyhow::Result<Outcome> {
    match command {
        ConsentCommand::Import {
            file,
            map,
            dry_run,
            rejects,
            json,
        } => import_file(
            directory,
            (file, map),
            (*dry_run, rejects.as_deref()),
            *json,
        ),
        ConsentCommand::Notices { file, json } => add_notices(directory, file, *json),
        ConsentCommand::Status { json } => show::status(directory, *json),
        ConsentCommand::Verify { json } => verify::run(directory, *json),
        ConsentCommand::Show { subject, json } => show::person(directory, &whom(subject)?, *json),
        ConsentCommand::Receipt {
            subject,
            purpose,
            json,
        } => receipt_command::run(directory, &whom(subject)?, purpose.as_deref(), *json),
        ConsentCommand::Withdraw {
            subject,
            purpose,
            json,
        } => at_the_desk(
            directory,
            &whom(subject)?,
            (EventKind::Withdrawn, purpose),
            *json,
        ),
        ConsentCommand::Object {
            subject,
            purpose,
            json,
        } => at_the_desk(
            directory,
            &whom(subject)?,
            (EventKind::Objected, purpose),
            *json,
        ),
    }
}

/// The id of a person, or the first line of standard input.
pub(in crate::shell) fn whom(subject: &str) -> anyhow::Result<String> {
    if subject != "-" {
        return Ok(subject.to_owned());
    }
    let mut line = String::new();
    std::io::stdin().read_line(&mut line)?;
    Ok(line.trim().to_owned())
}

/// Key first: it must not be made anew beside a ledger that rests on it.
pub(super) fn open(directory: &Path) -> anyhow::Result<(SubjectKey, ConsentLedger)> {
    let key = subject_key::load(directory)?;
    Ok((key, ConsentLedger::open(directory)?))
}

fn import_file(
    directory: &Path,
    (file, map): (&Path, &Path),
    (dry_run, rejects): (bool, Option<&Path>),
    json: bool,
) -> anyhow::Result<Outcome> {
    let mapping = Mapping::load(map)?;
    let undeclared = book(directory)?.and_then(|book| mapping.undeclared(&book));
    if let Some(purpose) = undeclared {
        let why = format!(
            "{} maps to the purpose {purpose}, which this unit does not declare: what is said about it would count for nothing",
            map.display()
        );
        return report::refuse(json, "purpose", &why);
    }
    let (key, mut ledger) = open(directory)?;
    let desk = Desk {
        mapping: &mapping,
        key: &key,
        clock: &moment,
        dry_run,
    };
    let mut out = Rejects::create(rejects)?;
    let mut bar: Option<Progress> = None;
    let imported = import(
        &mut ledger,
        file,
        &desk,
        |reject| out.take(reject),
        |done, total| {
            let bar = bar.get_or_insert_with(|| Progress::new("events", total, Counted::Items));
            bar.reach(done);
        },
    )?;
    drop(bar);
    out.finish()?;
    if !dry_run {
        tell_soon(directory);
    }
    if json {
        report::print_json(&imported)?;
    } else {
        tell(&imported)?;
    }
    Ok(match imported.rejected() {
        0 => Outcome::Done,
        _ => Outcome::Refused,
    })
}

/// The rules of the unit, where it declares any.
pub(super) fn book(directory: &Path) -> anyhow::Result<Option<Rulebook>> {
    let gatekeeper = NodeConfig::load(directory)?.gatekeeper(directory)?;
    Ok(gatekeeper.map(|gatekeeper| gatekeeper.book().clone()))
}

/// The file of rejected rows; gone again where the import fails.
struct Rejects<'a> {
    file: Option<(&'a Path, BufWriter<File>)>,
}

impl<'a> Rejects<'a> {
    fn create(path: Option<&'a Path>) -> anyhow::Result<Self> {
        let Some(path) = path else {
            return Ok(Self { file: None });
        };
        let made = File::create_new(path);
        let made = made.with_context(|| format!("could not make {}", path.display()))?;
        let mut rejects = Self {
            file: Some((path, BufWriter::new(made))),
        };
        rejects.write("row,reason")?;
        Ok(rejects)
    }

    fn take(&mut self, reject: Reject) -> anyhow::Result<()> {
        let reason = serde_json::to_value(reject.reason)?;
        let reason = reason.as_str().unwrap_or_default();
        self.write(&format!("{},{reason}", reject.row))
    }

    fn write(&mut self, line: &str) -> anyhow::Result<()> {
        let Some((path, file)) = &mut self.file else {
            return Ok(());
        };
        writeln!(file, "{line}").with_context(|| format!("could not write {}", path.display()))
    }

    fn finish(mut self) -> anyhow::Result<()> {
        let Some((path, mut file)) = self.file.take() else {
            return Ok(());
        };
        file.flush()
            .with_context(|| format!("could not write {}", path.display()))
    }
}

impl Drop for Rejects<'_> {
    fn drop(&mut self) {
        if let Some((path, _)) = &self.file {
            let _ = std::fs::remove_file(path);
        }
    }
}

fn tell(imported: &Imported) -> anyhow::Result<()> {
    let mut table = Table::new(&["IMPORT", "COUNT"]);
    table.row(["rows".to_owned(), imported.rows.to_string()]);
    table.row(["new events".to_owned(), imported.new.to_string()]);
    for (kind, count) in &imported.kinds {
        table.row([format!("  {kind}"), count.to_string()]);
    }
    table.row(["known already".to_owned(), imported.known.to_string()]);
    for (reason, count) in &imported.rejects {
        let reason = serde_json::to_value(reason)?;
        let reason = reason.as_str().unwrap_or_default().replace('_', " ");
        table.row([format!("rejected: {reason}"), count.to_string()]);
    }
    table.print()?;
    let rows: Vec<String> = imported
        .examples
        .iter()
        .map(|one| one.row.to_string())
        .collect();
    if !rows.is_empty() {
        report::note(&format!("first rejected rows: {}", rows.join(", ")));
    }
    if imported.rejects.contains_key(&Reason::NoticeUnknown) {
        report::note(
            "consent counts under a listed text alone: list it (`aquifer-node consent notices`), then import the same file again",
        );
    }
    if imported.dry_run {
        report::note("only tried: nothing was written");
    }
    Ok(())
}

/// Now.
pub(in crate::shell) fn moment() -> i64 {
    i64::try_from(now().0).unwrap_or(i64::MAX)
}
