//! `aquifer-node rights`: what the desk of a unit does when a person asks.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use aquifer_shared::base::limits::{
    ERASURE_BACKUPS_MAX, ERASURE_KEEP_OUT_DAYS_MAX, ERASURE_TEXT_CHARS_MAX,
};
use aquifer_shared::shell::report::{self, Outcome, Table, refuse};
use clap::Subcommand;
use serde_json::{Value, json};

use super::access::{Asked, Found, answered, look};
use super::erase::{Erased, Erasure, Why, erase};
use super::pack::Pack;
use super::{export, extend, html, list};
use crate::core::consent::EventKind;
use crate::core::rights::{Backup, Ground, Stage};
use crate::shell::audit::MadePack;
use crate::shell::consent::command::whom;
use crate::shell::consent::desk::at_the_desk;
use crate::shell::consent::time::{parse, written};
use crate::shell::telling::tell_soon;

/// What a person asks for.
#[derive(Debug, Subcommand)]
pub enum RightsCommand {
    /// Show everything that is kept about one person for studies: consents, studies and answers that the record may have
    /// contributed to, what all of it adds up to, who got sums, how long what is kept.
    #[command(
        after_help = "Example:\n  aquifer-node rights access --subject - --out pack --scores scores.csv --dir north\n\nThe pack goes to the person: access.html to read, access.json for programs."
    )]
    Access {
        /// The customer's id in the source; `-` reads it from standard input, out of sight of others on the machine.
        #[arg(long, value_name = "ID")]
        subject: String,
        /// New folder for access.json and access.html, readable for its owner alone.
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
        /// A file of scores (CSV) in which the person is looked for.
        #[arg(long, value_name = "FILE")]
        scores: Option<PathBuf>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Print the same as CSV, to take along.
    Export {
        /// The customer's id in the source; `-` reads it from standard input.
        #[arg(long, value_name = "ID")]
        subject: String,
        /// A file of scores (CSV) in which the person is looked for.
        #[arg(long, value_name = "FILE")]
        scores: Option<PathBuf>,
        /// Refusals as JSON; the export itself is CSV.
        #[arg(long)]
        json: bool,
    },
    /// Write down that one person objects, as `consent object` does.
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
    /// Take back the consent of one person, as `consent withdraw` does.
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
    /// Erase one person from what the node keeps, and keep them out; run again, it goes on where it ended.
    #[command(
        after_help = "Example:\n  aquifer-node rights erase --subject - --ground consent_withdrawn --verified-by \"J. Doe\" --backup nightly=2026-12-31 --dir north\n\nThe unit's own source, files of scores, audit packs and backups are the unit's to erase."
    )]
    Erase {
        /// The customer's id in the source; `-` reads it from standard input.
        #[arg(long, value_name = "ID")]
        subject: String,
        /// no_longer_needed, consent_withdrawn, objection_upheld, unlawful, legal_obligation or child.
        #[arg(long)]
        ground: String,
        /// Who at the unit checked that the person is who they say.
        #[arg(long, value_name = "NAME")]
        verified_by: String,
        /// A backup that may hold the person, and the day on which it is gone; may be given several times.
        #[arg(long, value_name = "ID=DAY")]
        backup: Vec<String>,
        /// For how many days an import of this person is rejected.
        #[arg(long, default_value_t = 3_650, value_name = "DAYS")]
        keep_out_days: i64,
        /// Only look up what there is; delete nothing yet.
        #[arg(long)]
        prepare: bool,
        /// New file for the certificate.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Refuse an erasure that was only prepared.
    Refuse {
        /// Its number.
        #[arg(long)]
        request: String,
        /// Why, for the person.
        #[arg(long)]
        why: String,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Take longer for an erasure than the usual clock: once, and before that has run out.
    #[command(
        after_help = "Example:\n  aquifer-node rights extend --request NUMBER --why complexity --dir north\n\nBy as much as the rules in force allow; the person must be told why."
    )]
    Extend {
        /// Its number.
        #[arg(long)]
        request: String,
        /// complexity or number_of_requests.
        #[arg(long)]
        why: String,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Write down that models were superseded, issue the certificate again, and close an erasure once nothing is due.
    Close {
        /// Its number.
        #[arg(long)]
        request: String,
        /// A study whose model was superseded by one trained without the person; may be given several times.
        #[arg(long, value_name = "STUDY")]
        superseded: Vec<String>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// List erasures: how far each is, by when it must be answered, what is still due.
    List {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

impl RightsCommand {
    /// Whether a program reads the answer.
    #[must_use]
    pub fn json(&self) -> bool {
        match self {
            Self::Access { json, .. }
            | Self::Export { json, .. }
            | Self::Object { json, .. }
            | Self::Withdraw { json, .. }
            | Self::Erase { json, .. }
            | Self::Refuse { json, .. }
            | Self::Extend { json, .. }
            | Self::Close { json, .. }
            | Self::List { json } => *json,
        }
    }
}

/// Carries out a command.
///
/// # Errors
///
/// A ledger, a file or node.toml cannot be used.
pub fn run(directory: &Path, command: &RightsCommand) -> anyhow::Result<Outcome> {
    match command {
        RightsCommand::Access {
            subject,
            out,
            scores,
            json,
        } => {
            let id = whom(subject)?;
            let scores = scores.as_deref();
            let found = look(directory, &Asked { id: &id, scores })?;
            let shown = with_pack(found, *json, |pack| access(pack, out.as_deref(), *json))?;
            answered(directory, (&id, "access"), shown)
        }
        RightsCommand::Export {
            subject,
            scores,
            json,
        } => {
            let id = whom(subject)?;
            let scores = scores.as_deref();
            let found = look(directory, &Asked { id: &id, scores })?;
            let shown = with_pack(found, *json, |pack| {
                report::print(&export::csv(pack)?)?;
                Ok(Outcome::Done)
            })?;
            answered(directory, (&id, "export"), shown)
        }
        RightsCommand::Object {
            subject,
            purpose,
            json,
        } => {
            let kind = (EventKind::Objected, purpose.as_str());
            at_the_desk(directory, &whom(subject)?, kind, *json)
        }
        RightsCommand::Withdraw {
            subject,
            purpose,
            json,
        } => {
            let kind = (EventKind::Withdrawn, purpose.as_str());
            at_the_desk(directory, &whom(subject)?, kind, *json)
        }
        RightsCommand::Erase { .. } => told(directory, run_erase(directory, command)),
        RightsCommand::Refuse { request, why, json } => match text_fault(why) {
            Some(fault) => refuse(*json, "why", &format!("--why {fault}")),
            None => told(directory, list::refuse(directory, (request, why), *json)),
        },
        RightsCommand::Extend { request, why, json } => {
            told(directory, extend::extend(directory, (request, why), *json))
        }
        RightsCommand::Close {
            request,
            superseded,
            json,
        } => told(
            directory,
            list::close(directory, (request, superseded), *json),
        ),
        RightsCommand::List { json } => list::list(directory, *json),
    }
}

/// The history hears what was written down, however far it came.
fn told(directory: &Path, ended: anyhow::Result<Outcome>) -> anyhow::Result<Outcome> {
    tell_soon(directory);
    ended
}

fn with_pack(
    found: Found,
    json: bool,
    show: impl FnOnce(&Pack) -> anyhow::Result<Outcome>,
) -> anyhow::Result<Outcome> {
    match found {
        Found::Pack(pack) => show(&pack),
        Found::Erased(until) => {
            let why = format!(
                "this person was erased; nothing is kept of them but a mark that keeps them out until {until}"
            );
            refuse(json, "erased", &why)
        }
    }
}

fn access(pack: &Pack, out: Option<&Path>, json: bool) -> anyhow::Result<Outcome> {
    if let Some(folder) = out {
        let made = std::fs::create_dir_all(folder);
        made.with_context(|| format!("could not make {}", folder.display()))?;
        let text = format!("{}\n", serde_json::to_string_pretty(pack)?);
        for (name, text) in [("access.json", &text), ("access.html", &html::page(pack))] {
            let path = folder.join(name);
            if path.exists() {
                let why = format!("{} is there, and is not overwritten", path.display());
                return refuse(json, "out", &why);
            }
            write_new(&path, text)?;
        }
        report::note(&format!(
            "written to {} (access.html, access.json): about one person, for that person",
            folder.display()
        ));
        return Ok(Outcome::Done);
    }
    if json {
        report::print_json(pack)?;
        return Ok(Outcome::Done);
    }
    tell(pack)?;
    Ok(Outcome::Done)
}

fn tell(pack: &Pack) -> anyhow::Result<()> {
    let mut table = Table::new(&["PURPOSE", "BASIS", "CONSENT", "BLOCKED", "ELIGIBLE"]);
    for own in &pack.purposes {
        table.row([
            own.id.clone(),
            own.basis.clone().unwrap_or_else(|| "none".into()),
            own.consent.clone(),
            own.blocked.clone(),
            if own.eligible { "yes" } else { "no" }.to_owned(),
        ]);
    }
    table.print()?;
    let mut table = Table::new(&[
        "MAY HAVE CONTRIBUTED TO",
        "PURPOSE",
        "SUMS",
        "EPSILON",
        "RESULT",
    ]);
    for own in &pack.runs {
        table.row([
            own.name.clone(),
            own.purpose.clone(),
            own.sums.to_string(),
            own.epsilon.map_or("none".into(), |own| format!("{own:.4}")),
            own.result.to_owned(),
        ]);
    }
    table.print()?;
    for (when, own) in [
        ("last 365 days", &pack.bound.year),
        ("all time", &pack.bound.all_time),
    ] {
        let epsilon = own.epsilon.map_or("none".to_owned(), |own| own.to_string());
        report::note(&format!(
            "{when}: epsilon at most {epsilon} at delta {}. {}",
            pack.bound.delta, own.meaning
        ));
    }
    Ok(())
}

fn run_erase(directory: &Path, command: &RightsCommand) -> anyhow::Result<Outcome> {
    let RightsCommand::Erase {
        subject,
        ground,
        verified_by,
        backup,
        keep_out_days,
        prepare,
        out,
        json,
    } = command
    else {
        unreachable!("asked for by run");
    };
    let asked = match asked(ground, verified_by, backup, *keep_out_days) {
        Ok(asked) => asked,
        Err((code, why)) => return refuse(*json, code, &why),
    };
    let until = if *prepare {
        Stage::Scoped
    } else {
        Stage::Closed
    };
    if let Some(out) = out.as_ref().filter(|out| out.exists()) {
        let why = format!("{} is there, and is not overwritten", out.display());
        return refuse(*json, "out", &why);
    }
    match erase(directory, &whom(subject)?, &Erasure { until, ..asked })? {
        Ok(erased) => show_certificate(&erased, out.as_deref(), *json),
        Err(Why::Already(until)) => {
            let until = written(until);
            let why = format!("this person was erased, and is kept out until {until}");
            refuse(*json, "erased", &why)
        }
        Err(Why::OtherGround(known)) => {
            let why = format!(
                "an erasure of this person was begun on the ground {}: go on with that one",
                known.word()
            );
            refuse(*json, "ground", &why)
        }
    }
}

/// What the desk says, checked.
fn asked(
    ground: &str,
    verified_by: &str,
    backups: &[String],
    keep_out_days: i64,
) -> Result<Erasure, (&'static str, String)> {
    let ground = Ground::of_word(ground).ok_or_else(|| {
        let known = Ground::ALL.map(Ground::word).join(", ");
        ("ground", format!("ground is none of {known}"))
    })?;
    if let Some(fault) = text_fault(verified_by) {
        return Err(("verified-by", format!("--verified-by {fault}")));
    }
    if !(1..=ERASURE_KEEP_OUT_DAYS_MAX).contains(&keep_out_days) {
        let why = format!(
            "--keep-out-days is {keep_out_days}, expected 1 to {ERASURE_KEEP_OUT_DAYS_MAX}"
        );
        return Err(("keep-out-days", why));
    }
    if backups.len() > ERASURE_BACKUPS_MAX {
        let why = format!(
            "{} backups, expected at most {ERASURE_BACKUPS_MAX}",
            backups.len()
        );
        return Err(("backup", why));
    }
    let backups = backups.iter().map(|own| backup(own));
    let backups: Option<Vec<Backup>> = backups.collect();
    let backups = backups.ok_or_else(|| {
        let why = "--backup is not ID=DAY, expected such as nightly=2026-12-31".to_owned();
        ("backup", why)
    })?;
    Ok(Erasure {
        ground,
        verified_by: verified_by.trim().to_owned(),
        backups,
        keep_out_days,
        until: Stage::Closed,
    })
}

fn backup(text: &str) -> Option<Backup> {
    let (id, day) = text.split_once('=')?;
    text_fault(id).is_none().then_some(())?;
    Some(Backup {
        id: id.trim().to_owned(),
        expires_at: parse(day)?,
    })
}

/// What is wrong with a text of the desk; the text itself may name somebody.
fn text_fault(text: &str) -> Option<String> {
    let length = text.trim().chars().count();
    let fits = (1..=ERASURE_TEXT_CHARS_MAX).contains(&length);
    let plain = !text.chars().any(char::is_control);
    (!fits || !plain).then(|| {
        format!("has {length} characters, expected 1 to {ERASURE_TEXT_CHARS_MAX} without control characters")
    })
}

/// Prints how far an erasure is, and its certificate.
pub(super) fn show_certificate(
    erased: &Erased,
    out: Option<&Path>,
    json: bool,
) -> anyhow::Result<Outcome> {
    let case = &erased.case;
    if let (Some(path), Some(text)) = (out, &erased.certificate) {
        write_new(path, text)?;
    }
    if json {
        let certificate = erased.certificate.as_deref();
        let certificate: Option<Value> = certificate.map(serde_json::from_str).transpose()?;
        let packs = erased.packs.iter().map(|own| own.folder.to_string_lossy());
        report::print_json(&json!({
            "request": case.request.to_string(), "stage": case.stage.word(), "runs": case.scope.len(), "certificate": certificate,
            "audit_packs": packs.collect::<Vec<_>>(),
        }))?;
        return Ok(Outcome::Done);
    }
    let by_hand = erased.packs.iter().map(MadePack::by_hand);
    by_hand.for_each(|line| report::note(&line));
    report::note(&format!(
        "request {} is at {}",
        case.request,
        case.stage.word()
    ));
    match &erased.certificate {
        Some(text) if out.is_none() => report::print(&format!("{text}\n"))?,
        Some(_) => {}
        None => report::note(&format!(
            "the record may have contributed to {} studies; nothing is deleted yet: run the same without --prepare, or refuse it",
            case.scope.len()
        )),
    }
    Ok(Outcome::Done)
}

/// Writes a new file for its owner alone.
///
/// # Errors
///
/// It is there, or cannot be written.
pub(in crate::shell) fn write_new(path: &Path, text: &str) -> anyhow::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    let written = options
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()));
    written.with_context(|| format!("could not write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(ground: &str, by: &str, backups: &[&str], days: i64, expected: Option<&str>) {
        let backups: Vec<String> = backups.iter().map(|own| (*own).to_owned()).collect();
        match (asked(ground, by, &backups, days), expected) {
            (Ok(_), None) => {}
            (Err((_, why)), Some(part)) => {
                assert!(why.contains(part), "{why}");
                assert!(!why.contains("erika"), "{why}");
            }
            (found, _) => panic!("{found:?}"),
        }
    }

    #[test]
    fn what_the_desk_says_is_checked_and_never_repeated() {
        check("child", "J. Doe", &["nightly=2026-12-31"], 1, None);
        check("erika", "J. Doe", &[], 1, Some("ground is none of"));
        check("child", " ", &[], 1, Some("has 0 characters"));
        check(
            "child",
            &"erika".repeat(41),
            &[],
            1,
            Some("has 205 characters"),
        );
        check("child", "a\nb", &[], 1, Some("control"));
        check("child", "a", &["erika"], 1, Some("not ID=DAY"));
        check("child", "a", &["erika=soon"], 1, Some("not ID=DAY"));
        check("child", "a", &["=2026-12-31"], 1, Some("not ID=DAY"));
        check("child", "a", &[], 0, Some("--keep-out-days is 0"));
        check("child", "a", &["b=2026-12-31"; 65], 1, Some("65 backups"));
    }
}
