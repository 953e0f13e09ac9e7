//! `rights list` and `rights close`: what is open, by when it must be answered, and what is still due.

use std::path::Path;

use aquifer_shared::base::ids::Hash32;
use aquifer_shared::shell::keys::Identity;
use aquifer_shared::shell::report::{self, Outcome, Table as Printed};
use serde_json::{Value, json};

use super::certificate::packs_before;
use super::command::show_certificate;
use super::erase::{Erased, Table};
use super::extend::{clocks, not_in_force};
use crate::core::rights::{Case, Stage, Step};
use crate::shell::at_rest;
use crate::shell::clock::now;
use crate::shell::consent::show::Counter;
use crate::shell::consent::time::written;

/// Prints erasures with their clocks.
///
/// # Errors
///
/// A ledger or node.toml cannot be read.
pub(super) fn list(directory: &Path, json: bool) -> anyhow::Result<Outcome> {
    let unsigned = not_in_force(directory).unwrap_or_else(|fault| Some(report::chain(&fault)));
    if let Some(why) = unsigned {
        report::note(&format!(
            "clocks by files of which nobody knows that they are in force: {why}"
        ));
    }
    let signer = at_rest::identity(directory)?.into_identity();
    let mut table = open(directory, &signer)?;
    table.usage.renew_all(now(), &signer)?;
    let cases = table.usage.cases()?;
    let at = table.desk.at;
    let (extensions, clocks) = (table.usage.extensions()?, clocks(&table.desk));
    let answer_by = |case: &Case| clocks.answer_by(case, extensions.get(&case.request));
    if json {
        let lines = cases.iter().map(|case| {
            json!({
                "request": case.request.to_string(),
                "ground": case.ground.word(),
                "stage": case.stage.word(),
                "received_at": case.reached.first().map(|(_, at)| written(*at)),
                "answer_by": answer_by(case).map(written),
                "extended": extensions.get(&case.request).map(|own| own.reason.word()),
                "late": answer_by(case).is_some_and(|by| by < at),
                "due": case.due(at).map(written),
                "refused": case.refused,
            })
        });
        report::print_json(&lines.collect::<Vec<Value>>())?;
        return Ok(Outcome::Done);
    }
    let headings = ["REQUEST", "GROUND", "STAGE", "RECEIVED", "ANSWER BY", "DUE"];
    let mut printed = Printed::new(&headings);
    for case in &cases {
        let by = answer_by(case);
        let late = by.is_some_and(|by| by < at);
        let by = by.map_or(String::new(), written);
        printed.row([
            case.request.to_string(),
            case.ground.word().to_owned(),
            case.stage.word().to_owned(),
            case.reached
                .first()
                .map_or(String::new(), |(_, at)| written(*at)),
            if late { format!("{by} (late)") } else { by },
            case.due(at).map_or(String::new(), written),
        ]);
    }
    printed.print()?;
    Ok(Outcome::Done)
}

/// Writes down what was superseded, and closes an erasure once nothing is due.
///
/// # Errors
///
/// A ledger or node.toml cannot be used.
pub(super) fn close(
    directory: &Path,
    (request, superseded): (&str, &[String]),
    json: bool,
) -> anyhow::Result<Outcome> {
    let signer = at_rest::identity(directory)?.into_identity();
    let mut table = open(directory, &signer)?;
    table.usage.renew_all(now(), &signer)?;
    let Some(mut case) = find(&mut table, request)? else {
        return report::refuse(
            json,
            "request",
            "no erasure has this number; see `aquifer-node rights list`",
        );
    };
    let at = table.desk.at;
    if case.stage == Stage::Closed {
        return shown(&mut table, case, json);
    }
    let mut before = case.clone();
    for study in superseded {
        let step = study.parse::<Hash32>().ok().map(Step::Supersede);
        let taken = step.map(|step| case.take(at, step));
        if taken.is_none_or(|taken| taken.is_err()) {
            let why = "--superseded names no study of this erasure whose model is due: give the hash of one in its certificate";
            return report::refuse(json, "superseded", why);
        }
    }
    if case.stage != Stage::CertificateIssued {
        let why = format!(
            "the erasure is at {}, expected certificate_issued",
            case.stage.word()
        );
        return report::refuse(json, "stage", &why);
    }
    if !superseded.is_empty() {
        table.certify(&before, &mut case)?;
        before = case.clone();
    }
    if let Some(due) = case.due(at) {
        let why = format!(
            "a model or a backup is due until {}: name models that were superseded with --superseded STUDY",
            written(due)
        );
        return report::refuse(json, "due", &why);
    }
    case.take(at, Step::Close)?;
    let own = (Some(&before), &case);
    table.usage.write_case(own, None, None)?;
    shown(&mut table, case, json)
}

/// Prints an erasure with its newest certificate.
fn shown(table: &mut Table<'_>, case: Case, json: bool) -> anyhow::Result<Outcome> {
    let newest = case
        .certificates
        .last()
        .map(|digest| table.usage.certificate(digest));
    let certificate = newest.transpose()?.flatten();
    let packs = packs_before(&case, &table.desk.ledger.directory())?;
    let erased = Erased {
        case,
        certificate,
        packs,
    };
    show_certificate(&erased, None, json)
}

/// Refuses an erasure before anything is deleted.
///
/// # Errors
///
/// A ledger or node.toml cannot be used.
pub(super) fn refuse(
    directory: &Path,
    (request, why): (&str, &str),
    json: bool,
) -> anyhow::Result<Outcome> {
    let signer = at_rest::identity(directory)?.into_identity();
    let mut table = open(directory, &signer)?;
    let Some(mut case) = find(&mut table, request)? else {
        return report::refuse(
            json,
            "request",
            "no erasure has this number; see `aquifer-node rights list`",
        );
    };
    let before = case.clone();
    if let Err(wrong) = case.take(table.desk.at, Step::Refuse(why.to_owned())) {
        let why = format!("{wrong}: it can be refused only before anything is deleted");
        return report::refuse(json, "stage", &why);
    }
    let own = (Some(&before), &case);
    table.usage.write_case(own, None, None)?;
    if json {
        report::print_json(&json!({"request": request, "stage": case.stage.word()}))?;
    } else {
        report::print(
            "refused; tell the person why, and that they can complain to the authority\n",
        )?;
    }
    Ok(Outcome::Done)
}

/// Both ledgers, and who signs.
pub(super) fn open<'a>(directory: &Path, signer: &'a Identity) -> anyhow::Result<Table<'a>> {
    Ok(Table {
        usage: super::usage::open(directory)?,
        desk: Counter::open(directory)?,
        signer,
    })
}

/// An erasure by its number as the desk gives it.
pub(super) fn find(table: &mut Table<'_>, request: &str) -> anyhow::Result<Option<Case>> {
    let Ok(request) = request.parse::<Hash32>() else {
        return Ok(None);
    };
    Ok(table.usage.case_of(&request)?)
}
