//! `aquifer facts`: documents out of an audit pack alone, on this machine.

use std::path::{Path, PathBuf};

use aquifer_shared::base::ids::IdentityKey;
use aquifer_shared::domain::facts::{
    Assessment, Card, Dossier, Form, Log, NoDocument, NoDossier, Record, notice,
};
use aquifer_shared::domain::law::change::change_digest;
use aquifer_shared::shell::documents::read_document;
use aquifer_shared::shell::exceptions::SIGNED;
use aquifer_shared::shell::pack_folder;
use aquifer_shared::shell::report::{self, Outcome};
use aquifer_shared::shell::signed::signers;
use clap::{Args, Subcommand, ValueEnum};

use crate::audit::read_policy;
use crate::client::Session;
use crate::out::written;

/// Documents that a log gives.
#[derive(Debug, Subcommand)]
pub(crate) enum FactsCommand {
    /// Model card of a released model: HTML, or CycloneDX JSON with --json
    #[command(after_help = "Example:\n  aquifer facts card churn --log 2026Q4 --out churn.html")]
    Card {
        /// Name of the model
        #[arg(value_name = "MODEL")]
        model: String,
        /// Its version [default: the newest]
        #[arg(long, value_name = "N")]
        version: Option<u64>,
        /// Which log
        #[command(flatten)]
        from: From,
    },
    /// Privacy notice in two layers, as Markdown
    #[command(after_help = "Example:\n  aquifer facts notice --log 2026Q4 --purpose churn.train")]
    Notice {
        /// One purpose [default: all that are declared]
        #[arg(long, value_name = "PURPOSE")]
        purpose: Option<String>,
        /// Which log
        #[command(flatten)]
        from: From,
    },
    /// Record of processing activities: CSV, or JSON-LD with --json; exit code 1 where processing was not declared
    #[command(
        after_help = "Example:\n  aquifer facts ropa --log 2026Q4 --form processor --out record.csv"
    )]
    Ropa {
        /// Whose record
        #[arg(long, value_enum, default_value = "processor")]
        form: Whose,
        /// Which log
        #[command(flatten)]
        from: From,
    },
}

/// Whose record of processing.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Whose {
    /// A unit's, which answers for the data
    Controller,
    /// The coordinator's operator, who works for the units
    Processor,
}

/// Arguments of `model dossier`.
#[derive(Args, Debug)]
pub(crate) struct DossierArguments {
    /// Name of the model
    #[arg(value_name = "MODEL")]
    model: String,
    /// Its version [default: the newest]
    #[arg(long, value_name = "N")]
    version: Option<u64>,
    /// What a dpo has signed about the model (TOML); signatures are in the file beside it that ends in .signed
    #[arg(long, value_name = "FILE")]
    assessment: Option<PathBuf>,
    /// Which log
    #[command(flatten)]
    from: From,
}

/// Makes a dossier.
///
/// # Errors
///
/// The pack or the assessment cannot be read, or the dossier cannot be written.
pub(crate) fn dossier(session: &Session, asked: &DossierArguments) -> anyhow::Result<Outcome> {
    let log = match read(&asked.from)? {
        Ok(log) => log,
        Err(none) => return report::refuse(session.json, none.code(), &none.to_string()),
    };
    let assessed = match asked.assessment.as_deref().map(assessed).transpose()? {
        Some(Err(problem)) => return report::refuse(session.json, "assessment", &problem),
        Some(Ok(assessed)) => Some(assessed),
        None => None,
    };
    let assessed = assessed.as_ref();
    let assessed = assessed.map(|(text, signers)| (text, &signers[..]));
    let dossier = match Dossier::of(&log, (&asked.model, asked.version), assessed) {
        Ok(dossier) => dossier,
        Err(NoDossier::Document(none)) => {
            return report::refuse(session.json, none.code(), &none.to_string());
        }
        Err(NoDossier::Assessment(none)) => {
            return report::refuse(session.json, "assessment", &none.to_string());
        }
    };
    let text = match session.json {
        true => dossier.to_json(),
        false => dossier.to_html(),
    };
    put(session, asked.from.out.as_deref(), &text)
}

/// An assessment, and who signed it; or what is wrong with the file.
fn assessed(file: &Path) -> anyhow::Result<Result<(Assessment, Vec<IdentityKey>), String>> {
    let text = read_document(file)?;
    let beside = file.with_extension(SIGNED);
    let lines = match beside.exists() {
        true => read_document(&beside)?,
        false => String::new(),
    };
    let read = Assessment::parse(&text).map(|own| {
        // What `aquifer policy sign DIGEST` signs.
        let signers = signers(&lines, &change_digest(&own.digest()));
        (own, signers)
    });
    Ok(read.map_err(|problem| format!("{}: {problem}", file.display())))
}

/// Which log, and where to.
#[derive(Args, Debug)]
pub(crate) struct From {
    /// Folder of an audit pack; several times for several quarters, the earliest first
    #[arg(long, value_name = "DIR", required = true)]
    log: Vec<PathBuf>,
    /// Keys of the log and its witnesses from elsewhere (C2SP tlog-policy) [default: those that came along]
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// New file [default: standard output]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Makes a document.
///
/// # Errors
///
/// The pack cannot be read, or the document cannot be written.
pub(crate) fn run(session: &Session, command: &FactsCommand) -> anyhow::Result<Outcome> {
    let from = match command {
        FactsCommand::Card { from, .. }
        | FactsCommand::Notice { from, .. }
        | FactsCommand::Ropa { from, .. } => from,
    };
    let made = read(from)?.and_then(|log| made(&log, command, session.json));
    let (text, alarms) = match made {
        Ok(made) => made,
        Err(none) => return report::refuse(session.json, none.code(), &none.to_string()),
    };
    let done = put(session, from.out.as_deref(), &text)?;
    match alarms.is_empty() || done == Outcome::Refused {
        true => Ok(done),
        // The document has them: a program that reads it gets no second one.
        false => Ok(report::refused(&alarms.join("; "))),
    }
}

fn read(from: &From) -> anyhow::Result<Result<Log, NoDocument>> {
    let policy = from.policy.as_deref().map(read_policy).transpose()?;
    let packs = from.log.iter().map(|folder| pack_folder::read(folder));
    let packs = packs.collect::<Result<Vec<_>, _>>()?;
    Ok(Log::of_packs(&packs, policy.as_ref()))
}

fn made(
    log: &Log,
    command: &FactsCommand,
    json: bool,
) -> Result<(String, Vec<String>), NoDocument> {
    match command {
        FactsCommand::Card { model, version, .. } => {
            let card = Card::of(log, model, *version)?;
            let text = if json { card.to_json() } else { card.to_html() };
            Ok((text, Vec::new()))
        }
        FactsCommand::Notice { purpose, .. } => Ok((notice(log, purpose.as_deref())?, Vec::new())),
        FactsCommand::Ropa { form, .. } => {
            let form = match form {
                Whose::Controller => Form::Controller,
                Whose::Processor => Form::Processor,
            };
            let record = Record::of(log, form)?;
            let text = if json {
                record.to_json_ld()
            } else {
                record.to_csv()
            };
            Ok((text, record.alarms().to_vec()))
        }
    }
}

fn put(session: &Session, out: Option<&Path>, text: &str) -> anyhow::Result<Outcome> {
    if let Some(out) = out {
        return written(session, out, text);
    }
    report::print(text)?;
    Ok(Outcome::Done)
}
