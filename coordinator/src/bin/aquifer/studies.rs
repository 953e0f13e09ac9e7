//! `aquifer study`: submit, approve, list, show, follow and stop studies.

use std::path::Path;

use anyhow::{Context, ensure};
use aquifer_shared::base::ids::StudyHash;
use aquifer_shared::domain::sum::{StudyTerms, study_hash};
use aquifer_shared::protocol::ask::{Request, Response, StudyDetail, StudyState, StudyStatus};
use aquifer_shared::protocol::wire::approve_digest;
use aquifer_shared::shell::documents::read_document;
use aquifer_shared::shell::report::{self, Outcome, Table, Tone};
use serde_json::json;

use crate::args::StudyCommand;
use crate::client::{Client, Session, not_expected};
use crate::show::{detail_json, moment, privacy, state_cell, status_json, terms_json};
use crate::study_detail;
use crate::study_terms;

/// Carries out a command about studies.
///
/// # Errors
///
/// A file cannot be read, or the coordinator cannot be asked.
pub(crate) async fn run(session: &Session, command: &StudyCommand) -> anyhow::Result<Outcome> {
    match command {
        StudyCommand::Submit {
            file,
            contract,
            dry_run,
        } => submit(session, file, contract, *dry_run).await,
        StudyCommand::Approve(which) => approve(session, &which.study).await,
        StudyCommand::List => list(session).await,
        StudyCommand::Show(which) => show(session, &which.study).await,
        StudyCommand::Watch(which) => watch(session, &which.study).await,
        StudyCommand::Abort(which) => {
            let response = session
                .ask(Request::StudyAbort(which.study.clone()))
                .await?;
            done(session, response)
        }
    }
}

/// Prints what was done.
///
/// # Errors
///
/// The coordinator sent something else.
pub(crate) fn done(session: &Session, response: Response) -> anyhow::Result<Outcome> {
    match response {
        Response::Done(text) if session.json => report::print_json(&json!({"done": text}))?,
        Response::Done(text) => report::print(&format!("{}\n", report::printable(&text)))?,
        other => return not_expected(other, session.json),
    }
    Ok(Outcome::Done)
}

async fn submit(
    session: &Session,
    file: &Path,
    contract: &Path,
    dry_run: bool,
) -> anyhow::Result<Outcome> {
    let request = Request::StudySubmit {
        study: read_document(file)?,
        contract: read_document(contract)?,
        dry_run,
    };
    let (bytes, hash, notes) = match session.ask(request).await? {
        Response::Submitted {
            terms,
            study,
            notes,
        } => (terms, study, notes),
        other => return not_expected(other, session.json),
    };
    let terms = read_terms(&bytes, &hash)?;
    if session.json {
        report::print_json(&json!({
            "study": hash.to_string(),
            "registered": !dry_run,
            "terms": terms_json(&terms),
            "notes": notes,
        }))?;
        return Ok(Outcome::Done);
    }
    study_terms::print(&terms)?;
    for note in &notes {
        report::print(&format!("note: {}\n", report::printable(note)))?;
    }
    report::print(&match dry_run {
        true => "dry run: nothing was registered\n".to_owned(),
        false => format!(
            "study {hash}\nregistered; it waits for an approver: aquifer study approve {}\n",
            hash.short()
        ),
    })?;
    Ok(Outcome::Done)
}

/// Signs the hash of the very terms that were shown, not a hash that the coordinator names.
async fn approve(session: &Session, which: &str) -> anyhow::Result<Outcome> {
    let client = session.connect().await?;
    let approved = approve_with(session, &client, which).await;
    client.close().await;
    approved
}

async fn approve_with(session: &Session, client: &Client, which: &str) -> anyhow::Result<Outcome> {
    let detail = match client.ask(Request::StudyShow(which.to_owned())).await? {
        Response::Study(detail) => detail,
        other => return not_expected(other, session.json),
    };
    let terms = read_terms(&detail.terms, &detail.status.study)?;
    if !session.json {
        study_terms::print(&terms)?;
    }
    let study = study_hash(&detail.terms);
    if !session.json {
        let key = client.directory.identity().public();
        report::print(&format!("signing study {study}\nwith key      {key}\n"))?;
    }
    let signature = client.directory.identity().sign(&approve_digest(&study));
    let response = client
        .ask(Request::StudyApprove { study, signature })
        .await?;
    done(session, response)
}

async fn list(session: &Session) -> anyhow::Result<Outcome> {
    let studies = match session.ask(Request::StudyList).await? {
        Response::Studies(studies) => studies,
        other => return not_expected(other, session.json),
    };
    if session.json {
        report::print_json(&studies.iter().map(status_json).collect::<Vec<_>>())?;
        return Ok(Outcome::Done);
    }
    let mut table = Table::new(&[
        "STUDY",
        "NAME",
        "PURPOSE",
        "STATE",
        "SUMS",
        "EPSILON",
        "DELTA",
        "SUBMITTED",
        "WHY",
    ]);
    for study in &studies {
        let plain = |text: String| (text, Tone::Plain);
        table.toned_row([
            plain(study.study.short()),
            plain(study.name.to_string()),
            plain(study.purpose.to_string()),
            state_cell(study.state),
            plain(format!("{} of {}", study.rounds_done, study.rounds_total)),
            plain(format!("{:.4}", study.epsilon)),
            plain(format!("{:e}", study.delta)),
            plain(moment(study.submitted)),
            plain(study.reason.clone()),
        ]);
    }
    table.print()?;
    Ok(Outcome::Done)
}

async fn show(session: &Session, which: &str) -> anyhow::Result<Outcome> {
    let detail = match session.ask(Request::StudyShow(which.to_owned())).await? {
        Response::Study(detail) => detail,
        other => return not_expected(other, session.json),
    };
    let terms = read_terms(&detail.terms, &detail.status.study)?;
    if session.json {
        let mut value = detail_json(&detail);
        value["terms"] = terms_json(&terms);
        report::print_json(&value)?;
        return Ok(Outcome::Done);
    }
    study_detail::print(&detail, &terms)?;
    Ok(Outcome::Done)
}

/// Prints a line for every change; the study's end decides the exit code.
async fn watch(session: &Session, which: &str) -> anyhow::Result<Outcome> {
    let client = session.connect().await?;
    let watched = watch_with(session, &client, which).await;
    client.close().await;
    watched
}

async fn watch_with(session: &Session, client: &Client, which: &str) -> anyhow::Result<Outcome> {
    let mut answers = client.follow(Request::StudyWatch(which.to_owned())).await?;
    let mut line = study_detail::StatusLine::default();
    let mut seen: Option<StudyState> = None;
    while let Some(response) = answers.next().await? {
        let status = match response {
            Response::Study(detail) => detail.status,
            Response::Studies(mut list) if list.len() == 1 => list.remove(0),
            other => return not_expected(other, session.json),
        };
        let changed = seen.replace(status.state) != Some(status.state);
        if !session.json {
            line.print(&status);
        } else if changed {
            print_whole(client, &status).await?;
        } else {
            report::print_json(&json!({"status": status_json(&status)}))?;
        }
        if is_end(status.state) {
            line.finish();
            return Ok(end(session, &status));
        }
    }
    anyhow::bail!("the coordinator stopped telling before the study ended; watch again")
}

/// Members and rounds change slowly: they are told whenever the state changes.
async fn print_whole(client: &Client, status: &StudyStatus) -> anyhow::Result<()> {
    let asked = Request::StudyShow(status.study.to_string());
    let Response::Study(detail) = client.ask(asked).await? else {
        return report::print_json(&json!({"status": status_json(status)}));
    };
    let detail = StudyDetail {
        status: status.clone(),
        ..*detail
    };
    report::print_json(&detail_json(&detail))
}

fn end(session: &Session, status: &StudyStatus) -> Outcome {
    if status.state == StudyState::Published {
        if !session.json {
            report::note(&format!(
                "published with {}; aquifer model list shows what there is",
                privacy(status.epsilon, status.delta)
            ));
        }
        return Outcome::Done;
    }
    let (state, _) = state_cell(status.state);
    report::refused(&report::printable(&format!(
        "study {state}: {}",
        status.reason
    )))
}

fn is_end(state: StudyState) -> bool {
    matches!(
        state,
        StudyState::Published | StudyState::Held | StudyState::Aborted | StudyState::Damaged
    )
}

/// The terms behind a hash, checked against it: what a person reads is what everybody signs.
fn read_terms(bytes: &[u8], hash: &StudyHash) -> anyhow::Result<StudyTerms> {
    ensure!(
        study_hash(bytes) == *hash,
        "the coordinator sent terms that do not have the study's hash; do not approve, tell its operator"
    );
    aquifer_shared::protocol::codec::decode("study terms", bytes, bytes.len())
        .context("the coordinator sent terms that cannot be read; the versions may not fit")
}
