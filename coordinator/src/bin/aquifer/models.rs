//! `aquifer model`: list, show, export, check and decide on models.

use std::path::Path;

use anyhow::Context as _;
use aquifer_coordinator::shell::clock::now;
use aquifer_shared::domain::predictor::model::{Life, ModelFile, Succession, day};
use aquifer_shared::protocol::ask::{CanaryRecord, ModelEntry, Request, Response};
use aquifer_shared::protocol::wire::{ModelLife, ModelPlan};
use aquifer_shared::shell::documents::read_document;
use aquifer_shared::shell::report::{self, Outcome, Table, Tone};

use serde_json::json;

use crate::args::{EndArguments, ModelCommand};
use crate::client::{Session, not_expected};
use crate::out::written;
use crate::show::{model_json, moment, succession_json};
use crate::studies::done;
use crate::{card, card_page, facts, genuine, replay};

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
            with_model(session, &which.model, |file, plan| {
                show(session, file, plan)
            })
            .await
        }
        ModelCommand::Card { model, html } => {
            with_model(session, &model.model, |file, plan| {
                print_card(session, (file, plan), html.as_deref())
            })
            .await
        }
        ModelCommand::Export { model, out } => {
            with_model(session, &model.model, |file, _| {
                export(session, file, out.as_deref())
            })
            .await
        }
        ModelCommand::Retire(asked) => end(session, asked, false).await,
        ModelCommand::Recall(asked) => end(session, asked, true).await,
        ModelCommand::Retrain(asked) => retrain(session, asked).await,
        ModelCommand::Audit { model, result } => audit(session, model, result).await,
        ModelCommand::Dossier(asked) => facts::dossier(session, asked),
        ModelCommand::Replay(which) => replay::run(session, &which.model).await,
    }
}

async fn list(session: &Session) -> anyhow::Result<Outcome> {
    let models = match session.ask(Request::ModelList).await? {
        Response::Models(models) => models,
        other => return not_expected(other, session.json),
    };
    let lives = match session.ask(Request::ModelLives).await? {
        Response::ModelLives(lives) => lives,
        other => return not_expected(other, session.json),
    };
    let plans = match session.ask(Request::ModelPlans).await? {
        Response::ModelPlans(plans) => plans,
        other => return not_expected(other, session.json),
    };
    if session.json {
        let lines = models.iter().map(|model| {
            let (life, plan) = (life_of(model, &lives), plan_of(&model.study.0, &plans));
            model_json(model, (life, plan), now())
        });
        report::print_json(&lines.collect::<Vec<_>>())?;
        return Ok(Outcome::Done);
    }
    print_list(&models, &lives, &plans)
}

fn life_of(model: &ModelEntry, lives: &[ModelLife]) -> Option<Life> {
    let own = lives.iter().find(|own| own.study == model.study);
    own.map(|own| own.life)
}

fn plan_of(study: &[u8; 32], plans: &[ModelPlan]) -> Succession {
    let own = plans.iter().find(|own| own.study.0 == *study);
    own.map_or(Succession::Unplanned, |own| own.succession)
}

fn print_list(
    models: &[ModelEntry],
    lives: &[ModelLife],
    plans: &[ModelPlan],
) -> anyhow::Result<Outcome> {
    let now = now();
    let mut table = Table::new(&[
        "MODEL",
        "STATE",
        "EPSILON",
        "DELTA",
        "AUC",
        "STUDY",
        "CREATED",
        "RETIRE BY",
        "WARNINGS",
    ]);
    for model in models {
        let plain = |text: String| (text, Tone::Plain);
        let life = life_of(model, lives);
        let state = match (model.published, life.map(|life| life.state(now))) {
            (false, _) => ("held".to_owned(), Tone::Warning),
            (true, None | Some("in-use")) => ("published".to_owned(), Tone::Good),
            (true, Some(ended)) => (ended.to_owned(), Tone::Bad),
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
            plain(life.map_or_else(String::new, |life| day(life.retire_by))),
            (model.warnings.join(", "), Tone::Warning),
        ]);
    }
    table.print()?;
    for model in models {
        let planned = plan_of(&model.study.0, plans).sentence();
        if let Some(planned) = planned {
            report::print(&format!("{}@{}: {planned}\n", model.name, model.version))?;
        }
    }
    Ok(Outcome::Done)
}

async fn decide(session: &Session, model: &str, publish: bool) -> anyhow::Result<Outcome> {
    let model = model.to_owned();
    let response = session
        .ask(Request::ModelRelease { model, publish })
        .await?;
    done(session, response)
}

async fn end(session: &Session, asked: &EndArguments, recall: bool) -> anyhow::Result<Outcome> {
    let request = Request::ModelEnd {
        model: asked.model.clone(),
        recall,
        why: asked.why.clone(),
    };
    done(session, session.ask(request).await?)
}

async fn retrain(session: &Session, asked: &EndArguments) -> anyhow::Result<Outcome> {
    let request = Request::ModelRetrain {
        model: asked.model.clone(),
        why: asked.why.clone(),
    };
    done(session, session.ask(request).await?)
}

/// The records of a run, one for each claim; the one of the model's claim is entered.
async fn audit(session: &Session, model: &str, result: &Path) -> anyhow::Result<Outcome> {
    let shown = result.display();
    let records: Vec<CanaryRecord> = serde_json::from_str(&read_document(result)?)
        .with_context(|| format!("{shown} is not what scripts/audit-privacy --json prints"))?;
    let [result] = records[..] else {
        let why = format!(
            "{shown} has {} records, expected one: audit the model's own claim alone",
            records.len()
        );
        return report::refuse(session.json, "record", &why);
    };
    let model = model.to_owned();
    let request = Request::ModelAudited { model, result };
    done(session, session.ask(request).await?)
}

/// Fetches a model, checks its signature, and hands it on.
async fn with_model(
    session: &Session,
    which: &str,
    then: impl FnOnce(&ModelFile, Succession) -> anyhow::Result<Outcome>,
) -> anyhow::Result<Outcome> {
    let client = session.connect().await?;
    let fetched = genuine::model(&client, which).await;
    let lives = client.ask(Request::ModelLives).await;
    let plans = client.ask(Request::ModelPlans).await;
    client.close().await;
    match fetched? {
        Ok(file) => {
            if let Response::ModelLives(lives) = lives? {
                warn_of_end(&file, &lives);
            }
            let plan = match plans? {
                Response::ModelPlans(plans) => plan_of(&file.card().study.0, &plans),
                _ => Succession::Unplanned,
            };
            then(&file, plan)
        }
        Err(other) => not_expected(other, session.json),
    }
}

/// Says beside the signed file, which cannot know, that the model is out of use.
fn warn_of_end(file: &ModelFile, lives: &[ModelLife]) {
    let card = file.card();
    let own = lives.iter().find(|own| own.study.0 == card.study.0);
    let name = format!("{}@{}", card.name, card.version);
    if let Some(Err(out)) = own.map(|own| own.life.allows(&name, now())) {
        report::note(&out.to_string());
    }
}

fn show(session: &Session, file: &ModelFile, plan: Succession) -> anyhow::Result<Outcome> {
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
        value["succession"] = succession_json(plan);
        report::print_json(&value)?;
        return Ok(Outcome::Done);
    }
    report::print(&card::summary(file))?;
    print_plan(plan)
}

/// Beside the signed file, which cannot know.
fn print_plan(plan: Succession) -> anyhow::Result<Outcome> {
    if let Some(planned) = plan.sentence() {
        report::print(&format!("{:<14} {planned}\n", "retraining"))?;
    }
    Ok(Outcome::Done)
}

fn print_card(
    session: &Session,
    (file, plan): (&ModelFile, Succession),
    html: Option<&Path>,
) -> anyhow::Result<Outcome> {
    match html {
        Some(target) => written(session, target, &card_page::page(file)?),
        None if session.json => show(session, file, plan),
        None => {
            report::print(&card::text(file)?)?;
            print_plan(plan)
        }
    }
}

fn export(session: &Session, file: &ModelFile, out: Option<&Path>) -> anyhow::Result<Outcome> {
    let text = file.to_json() + "\n";
    match out {
        Some(target) => return written(session, target, &text),
        None => report::print(&text)?,
    }
    Ok(Outcome::Done)
}
