//! `aquifer-node consent`: imports, and what the desk of the unit does for one person.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use aquifer_shared::base::ids::Hash32;
use aquifer_shared::shell::keys::random_bytes32;
use aquifer_shared::shell::progress::{Counted, Progress};
use aquifer_shared::shell::report::{self, Outcome, Table};
use clap::Subcommand;
use serde::Deserialize;

use super::import::{Desk, Imported, import};
use super::ledger::{ConsentLedger, EventKey, Taken};
use super::mapping::Mapping;
use super::show;
use crate::core::consent::{ConsentEvent, EventKind, Notice, Scope, SubjectKey};
use crate::shell::clock::now;
use crate::shell::subject_key;

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
        /// The list (TOML, [[notice]]).
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
            | Self::Show { json, .. }
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
        ConsentCommand::Show { subject, json } => show::person(directory, &whom(subject)?, *json),
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
fn whom(subject: &str) -> anyhow::Result<String> {
    if subject != "-" {
        return Ok(subject.to_owned());
    }
    let mut line = String::new();
    std::io::stdin().read_line(&mut line)?;
    Ok(line.trim().to_owned())
}

/// Key first: it must not be made anew beside a ledger that rests on it.
fn open(directory: &Path) -> anyhow::Result<(SubjectKey, ConsentLedger)> {
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
    let (key, mut ledger) = open(directory)?;
    let desk = Desk {
        mapping: &mapping,
        key: &key,
        now: moment(),
        dry_run,
    };
    let mut out = rejects.map(File::create_new).transpose()?;
    if let Some(out) = &mut out {
        writeln!(out, "row,reason")?;
    }
    let mut bar = Progress::new("events", 0, Counted::Items);
    let imported = import(
        &mut ledger,
        file,
        &desk,
        |reject| {
            if let Some(out) = &mut out {
                let reason = serde_json::to_value(reject.reason)?;
                writeln!(
                    out,
                    "{},{}",
                    reject.row,
                    reason.as_str().unwrap_or_default()
                )?;
            }
            Ok(())
        },
        |done| bar.reach(done),
    )?;
    drop(bar);
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
    if imported.notice_unknown > 0 {
        report::note(&format!(
            "{} events are under a notice that is not listed, and count for nothing: `aquifer-node consent notices`",
            imported.notice_unknown
        ));
    }
    if imported.dry_run {
        report::note("only tried: nothing was written");
    }
    Ok(())
}

/// Writes down what a person said at the desk.
fn at_the_desk(
    directory: &Path,
    subject: &str,
    (kind, purpose): (EventKind, &str),
    json: bool,
) -> anyhow::Result<Outcome> {
    let Some(scope) = Scope::of_word(purpose) else {
        let why = format!(
            "purpose is {purpose:?}, expected the name of a purpose, direct_marketing, sale_or_share or all"
        );
        return report::refuse(json, "purpose", &why);
    };
    let (key, mut ledger) = open(directory)?;
    let at = ledger.latest()?.max(moment());
    let number = Hash32(random_bytes32()?);
    let event_key = EventKey::of(DESK, &number.to_string());
    let event = ConsentEvent {
        subject: key.subject(subject),
        scope,
        kind,
        explicit: false,
        notice: None,
        event_at: at,
        recorded_at: at,
        valid_from: None,
        valid_until: None,
        age: Default::default(),
        place: None,
        order: event_key.order(),
    };
    let mut next = Some((event_key, event));
    let mut erased = false;
    ledger.write::<anyhow::Error>(
        |before| {
            erased |= before == Some(Taken::Erased);
            Ok(next.take())
        },
        || Ok(true),
    )?;
    if erased {
        return report::refuse(
            json,
            "erased",
            "this person was erased; nothing is kept of them",
        );
    }
    let word = kind.word();
    if json {
        report::print_json(
            &serde_json::json!({"recorded": word, "purpose": purpose, "at_ms": at}),
        )?;
    } else {
        report::print(&format!(
            "recorded: {word}, purpose {purpose}; it counts from the next round on\n"
        ))?;
    }
    Ok(Outcome::Done)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NoticeFile {
    notice: Vec<NoticeEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NoticeEntry {
    id: aquifer_shared::base::ids::Name,
    version: u32,
    lang: String,
    sha256: String,
    #[serde(default = "yes")]
    material: bool,
    signer: Option<String>,
}

fn yes() -> bool {
    true
}

fn add_notices(directory: &Path, file: &Path, json: bool) -> anyhow::Result<Outcome> {
    let text = aquifer_shared::shell::documents::read_document(file)?;
    let shown = file.display();
    let listed: NoticeFile =
        toml::from_str(&text).map_err(|error| anyhow::anyhow!("{shown}: {error}"))?;
    let mut notices = Vec::new();
    for entry in listed.notice {
        let sha256 = entry.sha256.parse::<Hash32>().map_err(|error| {
            anyhow::anyhow!(
                "{shown}: notice {} version {}: {error}",
                entry.id,
                entry.version
            )
        })?;
        notices.push(Notice {
            id: entry.id,
            version: entry.version,
            lang: entry.lang,
            sha256,
            material: entry.material,
            signer: entry.signer,
        });
    }
    let (_, mut ledger) = open(directory)?;
    let added = ledger.add_notices(&notices)?;
    if json {
        report::print_json(&serde_json::json!({"added": added}))?;
    } else {
        report::print(&format!(
            "{added} notices added; a running node takes them up when it is started again\n"
        ))?;
    }
    Ok(Outcome::Done)
}

fn moment() -> i64 {
    i64::try_from(now().0).unwrap_or(i64::MAX)
}

/// Source of what is said at the desk.
const DESK: &str = "desk";
