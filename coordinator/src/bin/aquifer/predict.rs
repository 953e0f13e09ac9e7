//! `aquifer predict`: evaluates a signed model on this machine. Inputs are not sent anywhere.

use std::path::Path;

use anyhow::ensure;
use aquifer_coordinator::core::prediction::{InputError, Predicted, Wanted};
use aquifer_coordinator::core::scoring::{Pairs, predict_object, read_object};
use aquifer_coordinator::shell::clock::now;
use aquifer_shared::domain::contract::Contract;
use aquifer_shared::domain::predictor::model::ModelFile;
use aquifer_shared::domain::predictor::prediction::Predictor;
use aquifer_shared::shell::report::{self, Outcome, Table, printable};
use serde_json::{Value as Json, json};

use crate::args::{InputKind, PredictArguments};
use crate::client::{Client, Session, not_expected};
use crate::genuine::{self, Found};
use crate::predict_file;

/// A model with all that a prediction needs.
pub(crate) struct Ready {
    /// The signed file.
    pub(crate) file: ModelFile,
    /// Ready to predict.
    pub(crate) predictor: Predictor,
    /// The model's contract; none where nobody was asked for it.
    pub(crate) contract: Option<Contract>,
}

/// Predicts.
///
/// # Errors
///
/// The coordinator cannot be asked, the model is not genuine, or a file cannot be read or written.
pub(crate) async fn run(session: &Session, asked: &PredictArguments) -> anyhow::Result<Outcome> {
    ensure!(
        (0.0..=1.0).contains(&asked.threshold),
        "--threshold is {}, expected a probability from 0 to 1",
        asked.threshold
    );
    let found = match (&asked.model_file, &asked.model) {
        (Some(path), _) => Ok(exported(session, path)?),
        (None, Some(name)) => fetched(session, name).await?,
        (None, None) => anyhow::bail!("name a model with --model, or a file with --model-file"),
    };
    let ready = match found {
        Ok(ready) => ready,
        Err(other) => return not_expected(other, session.json),
    };
    // A file says its date by itself; whether its use was ended earlier, only the coordinator knows.
    if let Err(out) = ready.file.in_date(now()) {
        return report::refuse(session.json, "out-of-use", &out.to_string());
    }
    match (&asked.object, &asked.file, &asked.out) {
        (Some(object), ..) => one(session, &ready, asked, object),
        (None, Some(file), Some(out)) => predict_file::run(session, &ready, asked, file, out),
        _ => anyhow::bail!("name a JSON object, or --file and --out"),
    }
}

/// The key that the ticket pinned is needed; the coordinator is not.
fn exported(session: &Session, path: &Path) -> anyhow::Result<Ready> {
    let file = genuine::read(path, &session.identity()?.coordinator().release_key)?;
    Ok(Ready {
        predictor: Predictor::of(&file)?,
        contract: None,
        file,
    })
}

async fn fetched(session: &Session, which: &str) -> anyhow::Result<Found<Ready>> {
    let client = session.connect().await?;
    let fetched = fetch(&client, which).await;
    client.close().await;
    fetched
}

async fn fetch(client: &Client, which: &str) -> anyhow::Result<Found<Ready>> {
    let file = match genuine::to_use(client, which).await? {
        Ok(file) => file,
        Err(other) => return Ok(Err(other)),
    };
    let contract = match genuine::contract(client, &file).await? {
        Ok(contract) => contract,
        Err(other) => return Ok(Err(other)),
    };
    let predictor = Predictor::of(&file)?;
    Ok(Ok(Ready {
        file,
        predictor,
        contract: Some(contract),
    }))
}

fn one(
    session: &Session,
    ready: &Ready,
    asked: &PredictArguments,
    object: &str,
) -> anyhow::Result<Outcome> {
    let predicted = read_object(object).and_then(|pairs| predicted(&pairs, ready, asked));
    let predicted = match predicted {
        Ok(predicted) => predicted,
        Err(error) => return report::refuse(session.json, "input", &error.to_string()),
    };
    if session.json {
        report::print_json(&to_json(ready, asked, &predicted))?;
    } else {
        report::print(&to_text(ready, asked, &predicted))?;
    }
    Ok(Outcome::Done)
}

fn predicted(
    pairs: &Pairs,
    ready: &Ready,
    asked: &PredictArguments,
) -> Result<Predicted, InputError> {
    let wanted = Wanted {
        threshold: Some(asked.threshold),
        change: asked.explain,
    };
    predict_object(pairs, &ready.predictor, ready.contract.as_ref(), wanted)
}

fn to_json(ready: &Ready, asked: &PredictArguments, predicted: &Predicted) -> Json {
    let (prediction, explanation) = (&predicted.prediction, &predicted.explanation);
    let (card, privacy) = (ready.file.card(), ready.file.privacy());
    let mut value = json!({
        "model": {
            "name": card.name,
            "version": card.version,
            "hash": ready.file.model_hash().to_string(),
        },
        "input": input_text(asked.input),
        "label": ready.predictor.label(),
        "probability": prediction.probability,
        "score": prediction.score,
        "threshold": asked.threshold,
        "decision": prediction.decision,
        "base": explanation.base,
        "contributions": explanation.contributions,
        "privacy": {
            "epsilon": privacy.epsilon(),
            "delta": privacy.delta(),
            "statement": privacy.sentence(),
        },
        "warnings": card.warnings,
        "clipped": predicted.clipped,
        "notes": predicted.notes,
    });
    if asked.explain {
        value["counterfactual"] = json!(explanation.counterfactual);
    }
    value
}

fn to_text(ready: &Ready, asked: &PredictArguments, predicted: &Predicted) -> String {
    let (prediction, explanation) = (&predicted.prediction, &predicted.explanation);
    let card = ready.file.card();
    let decision = match prediction.decision {
        Some(true) => "yes",
        _ => "no",
    };
    let mut text = format!(
        "probability  {:.4} of {}\ndecision     {decision} (threshold {})\nmodel        {}@{}, for a {} input\n\n",
        prediction.probability,
        ready.predictor.label(),
        asked.threshold,
        card.name,
        card.version,
        input_text(asked.input),
    );
    let mut table = Table::new(&["FEATURE", "VALUE", "LOG-ODDS", "±"]);
    let base = format!("{:+.3}", explanation.base);
    table.row([
        "(average customer)".to_owned(),
        String::new(),
        base,
        String::new(),
    ]);
    for own in &explanation.contributions {
        table.row([
            own.feature.clone(),
            own.value.clone(),
            format!("{:+.3}", own.log_odds),
            format!("{:.3}", own.deviation),
        ]);
    }
    table.row([
        "= score".to_owned(),
        String::new(),
        format!("{:+.3}", prediction.score),
        String::new(),
    ]);
    text.push_str(&table.to_text());
    if asked.explain {
        let change = explanation.counterfactual.as_ref().map_or_else(
            || "no change of a single feature would turn the decision".to_owned(),
            |change| {
                format!(
                    "smallest change that turns the decision: {}",
                    change.sentence()
                )
            },
        );
        text.push_str(&format!("\n{}\n", printable(&change)));
    }
    text.push_str(&format!(
        "\nprivacy: {}\n",
        printable(&ready.file.privacy().sentence())
    ));
    let warnings = card
        .warnings
        .iter()
        .map(|warning| format!("warning: {warning}\n"));
    let notes = predicted.notes.iter().map(|note| format!("note: {note}\n"));
    warnings
        .chain(notes)
        .for_each(|line| text.push_str(&printable(&line)));
    text
}

fn input_text(kind: InputKind) -> &'static str {
    match kind {
        InputKind::Hypothetical => "hypothetical",
        InputKind::Segment => "segment",
    }
}

/// The model of the sample study, ready to predict.
#[cfg(test)]
pub(crate) fn ready() -> Ready {
    let (file, bundle) = crate::fixtures::finished();
    Ready {
        predictor: Predictor::of(&file).unwrap(),
        contract: Some(Contract::parse(&bundle.contract).unwrap()),
        file,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked() -> PredictArguments {
        PredictArguments {
            model: None,
            model_file: None,
            input: InputKind::Hypothetical,
            object: None,
            file: None,
            out: None,
            threshold: 0.5,
            explain: false,
        }
    }

    #[track_caller]
    fn check_object(text: &str, expected: Result<&[&str], &str>) {
        let ready = ready();
        let found = read_object(text).and_then(|pairs| predicted(&pairs, &ready, &asked()));
        match (found, expected) {
            (Ok(found), Ok(expected)) => assert_eq!(found.clipped, expected),
            (Err(error), Err(expected)) => {
                let told = error.to_string();
                assert!(
                    told.contains(expected) && !told.contains("CANARY"),
                    "{told}"
                );
            }
            (found, expected) => panic!("{text}: {found:?}, expected {expected:?}"),
        }
    }

    #[test]
    fn an_object_names_features_once() {
        check_object("{}", Ok(&[]));
        check_object(r#"{"tenure": 3}"#, Ok(&[]));
        check_object(r#"{"tenure": 65}"#, Ok(&["tenure"]));
        check_object(r#"{"tenure": "-1", "plan": "gold"}"#, Ok(&["tenure"]));
        check_object(
            r#"{"tenure": 3, "plan": "plus", "tenure": 60}"#,
            Err("column \"tenure\" is there twice"),
        );
        check_object(
            r#"{"plan": "plus", "pl\u0061n": "CANARY"}"#,
            Err("column \"plan\" is there twice"),
        );
        check_object(
            r#"{"left": 1, "left": 2, "tenure": 3}"#,
            Err("\"left\" is no feature"),
        );
    }

    #[test]
    fn what_is_no_object_of_plain_values_is_refused_without_quoting_it() {
        check_object("[\"CANARY\"]", Err("not one JSON object"));
        check_object("{\"tenure\": CANARY}", Err("line 1, column 12"));
        check_object(r#"{"tenure": ["CANARY"]}"#, Err("a list or an object"));
        check_object(
            r#"{"tenure": {"a": 1, "a": 2}}"#,
            Err("a list or an object"),
        );
        check_object(r#"{"tenure": "CANARY"}"#, Err("is not a number"));
        check_object(
            r#"{"customer_no": "CANARY"}"#,
            Err("names single customers"),
        );
    }
}
