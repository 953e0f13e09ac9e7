//! `aquifer model`: list, show, export, check and decide on models.

use std::path::Path;

use aquifer_shared::domain::predictor::model::ModelFile;
use aquifer_shared::protocol::ask::{Request, Response};
use aquifer_shared::shell::report::{self, Outcome, Table, Tone};

use serde_json::json;

use crate::args::ModelCommand;
use crate::client::{Session, not_expected};
use crate::out::written;
use crate::show::{model_json, moment};
use crate::studies::done;
use crate::{card, card_page, genuine, replay};

/// Carries out a command about models.
///
/// # Errors
///
/// The coordinator cannot be asked, a model file is not genuine, or a file cannot be written.
pub(crate) async fn run(session: &Session, command: &ModelCommand) -> anyhow::Result<Outcome> {
    match command {
        ModelCommand::List => list(session).await,
        ModelCommand::Release(which) => decide(session, &which.model, true).await,
        ModelCommand::Drop(which) => decide(session, &which.model, false).await,
        ModelCommand::Show(which) => {
            with_model(session, &which.model, |file| show(session, file)).await
        }
        ModelCommand::Card { model, html } => {
            with_model(session, &model.model, |file| {
                print_card(session, file, html.as_deref())
            })
            .await
        }
        ModelCommand::Export { model, out } => {
            with_model(session, &model.model, |file| {
                export(session, file, out.as_deref())
            })
            .await
        }
        ModelCommand::Replay(which) => replay::run(session, &which.model).await,
    }
}

async fn list(session: &Session) -> anyhow::Result<Outcome> {
    let models = match session.ask(Request::ModelList).await? {
        Response::Models(models) => models,
        other => return not_expected(other, session.json),
    };
    if session.json {
        report::print_json(&models.iter().map(model_json).collect::<Vec<_>>())?;
        return Ok(Outcome::Done);
    }
    let mut table = Table::new(&[
        "MODEL", "STATE", "EPSILON", "DELTA", "AUC", "STUDY", "CREATED", "WARNINGS",
    ]);
    for model in &models {
        let plain = |text: String| (text, Tone::Plain);
        let state = match model.published {
            true => ("published".to_owned(), Tone::Good),
            false => ("held".to_owned(), Tone::Warning),
        };
        let auc = model.auc.map_or("-".to_owned(), |auc| format!("{auc:.3}"));
        table.toned_row([
            plain(format!("{}@{}", model.name, model.version)),
            state,
            plain(format!("{:.4}", model.epsilon)),
            plain(format!("{:e}", model.delta)),
            plain(auc),
            plain(model.study.short()),
            plain(moment(model.created)),
            (model.warnings.join(", "), Tone::Warning),
        ]);
    }
    table.print()?;
    Ok(Outcome::Done)
}

async fn decide(session: &Session, model: &str, publish: bool) -> anyhow::Result<Outcome> {
    let model = model.to_owned();
    let response = session
        .ask(Request::ModelRelease { model, publish })
        .await?;
    done(session, response)
}

/// Fetches a model, checks its signature, and hands it on.
async fn with_model(
    session: &Session,
    which: &str,
    then: impl FnOnce(&ModelFile) -> anyhow::Result<Outcome>,
) -> anyhow::Result<Outcome> {
    let client = session.connect().await?;
    let fetched = genuine::model(&client, which).await;
    client.close().await;
    match fetched? {
        Ok(file) => then(&file),
        Err(other) => not_expected(other, session.json),
    }
}

fn show(session: &Session, file: &ModelFile) -> anyhow::Result<Outcome> {
    if session.json {
        let mut value = json!({
            "name": file.card().name,
            "version": file.card().version,
            "model_hash": file.model_hash().to_string(),
            "label": file.model().label,
            "contract_hash": file.model().contract_hash.to_string(),
            "features": file.model().features.iter().map(|own| &own.name).collect::<Vec<_>>(),
        });
        value["card"] = serde_json::to_value(file.card())?;
        value["privacy"] = serde_json::to_value(file.privacy())?;
        report::print_json(&value)?;
        return Ok(Outcome::Done);
    }
    report::print(&card::summary(file))?;
    Ok(Outcome::Done)
}

fn print_card(session: &Session, file: &ModelFile, html: Option<&Path>) -> anyhow::Result<Outcome> {
    match html {
        Some(target) => return written(session, target, &card_page::page(file)?),
        None if session.json => return show(session, file),
        None => report::print(&card::text(file)?)?,
    }
    Ok(Outcome::Done)
}

fn export(session: &Session, file: &ModelFile, out: Option<&Path>) -> anyhow::Result<Outcome> {
    let text = file.to_json() + "\n";
    match out {
        Some(target) => return written(session, target, &text),
        None => report::print(&text)?,
    }
    Ok(Outcome::Done)
}
