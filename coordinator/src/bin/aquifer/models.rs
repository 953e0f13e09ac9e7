//! `aquifer model`: list, show, export, check and decide on models.

use aquifer_shared::protocol::ask::{Request, Response};
use aquifer_shared::shell::report::{self, Outcome, Table, Tone};

use crate::args::ModelCommand;
use crate::client::{Session, not_expected};
use crate::show::{model_json, moment};
use crate::studies::done;

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
        ModelCommand::Show(_)
        | ModelCommand::Card { .. }
        | ModelCommand::Export { .. }
        | ModelCommand::Replay(_) => Ok(report::refused("no model file yet")),
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
