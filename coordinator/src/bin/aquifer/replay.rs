//! `aquifer model replay`: learns a model again from its released sums, and compares everything with the file.

use anyhow::Context;
use aquifer_coordinator::core::expand::shapes;
use aquifer_coordinator::core::learning::learn;
use aquifer_shared::base::ids::Hash32;
use aquifer_shared::domain::contract::Contract;
use aquifer_shared::domain::predictor::learner::Learner;
use aquifer_shared::domain::predictor::model::{ModelFile, Privacy, SumRecord, model};
use aquifer_shared::domain::sum::{StudyTerms, study_hash};
use aquifer_shared::protocol::ask::{Request, Response, SumsBundle};
use aquifer_shared::protocol::codec::decode;
use aquifer_shared::shell::noise::epsilon;
use aquifer_shared::shell::report::{self, Outcome, Table, Tone};
use serde_json::json;

use crate::client::{Client, Session, not_expected};
use crate::genuine;
use crate::replay_card::{self, CardCheck};

/// One comparison.
struct Check {
    what: &'static str,
    holds: bool,
}

/// Replays a model.
///
/// # Errors
///
/// The coordinator cannot be asked, or sends sums that cannot be read.
pub(crate) async fn run(session: &Session, which: &str) -> anyhow::Result<Outcome> {
    let client = session.connect().await?;
    let replayed = replay(session, &client, which).await;
    client.close().await;
    replayed
}

async fn replay(session: &Session, client: &Client, which: &str) -> anyhow::Result<Outcome> {
    let file = match genuine::model(client, which).await? {
        Ok(file) => file,
        Err(other) => return not_expected(other, session.json),
    };
    let exact = format!("{}@{}", file.card().name, file.card().version);
    let bundle = match client.ask(Request::ModelSums(exact.clone())).await? {
        Response::Sums(bundle) => bundle,
        other => return not_expected(other, session.json),
    };
    let (checks, found) = compare(&file, &bundle)?;
    let same = checks.iter().all(|check| check.holds);
    if session.json {
        let listed: Vec<_> = checks
            .iter()
            .map(|check| json!({"what": check.what, "holds": check.holds}))
            .collect();
        report::print_json(&json!({
            "model": exact,
            "same": same,
            "model_hash": file.model_hash().to_string(),
            "replayed_hash": found.map(|hash| hash.to_string()),
            "sums": bundle.sums.len(),
            "checks": listed,
        }))?;
    } else {
        let mut table = Table::new(&["CHECKED AGAINST THE RELEASED SUMS", "RESULT"]);
        for check in &checks {
            let (text, tone) = match check.holds {
                true => ("same", Tone::Good),
                false => ("DIFFERS", Tone::Bad),
            };
            table.toned_row([
                (check.what.to_owned(), Tone::Plain),
                (text.to_owned(), tone),
            ]);
        }
        table.print()?;
    }
    if !same {
        return Ok(report::refused(&format!(
            "{exact} is not what its released sums give"
        )));
    }
    if !session.json {
        let hash = file.model_hash();
        report::print(&format!(
            "{exact} replayed from {} sums: {hash}\n",
            bundle.sums.len()
        ))?;
    }
    Ok(Outcome::Done)
}

/// Compares a model file with what an auditor computes from terms, contract and sums alone.
fn compare(file: &ModelFile, bundle: &SumsBundle) -> anyhow::Result<(Vec<Check>, Option<Hash32>)> {
    let bytes = &bundle.terms;
    let terms: StudyTerms = decode("study terms", bytes, bytes.len())
        .context("the coordinator sent terms that cannot be read")?;
    let contract = Contract::parse(&bundle.contract).context("the model's contract is broken")?;
    let learner = learnt(&terms, &contract, bundle);
    let found = learner
        .as_ref()
        .and_then(|learner| hash(file, &contract, learner));
    let card = learner.as_ref().map_or(CardCheck::default(), |learner| {
        replay_card::check(file, &terms, &contract, learner, bundle)
    });
    let statement = statement(file, &terms, bundle);
    let check = |what, holds| Check { what, holds };
    let checks = vec![
        check("study terms", study_hash(bytes).0 == file.card().study.0),
        check("data contract", contract.hash() == terms.contract_hash),
        check("model", found == Some(file.model_hash())),
        check("evaluation on the card", card.evaluation),
        check("rest of the card", card.rest),
        check(
            "privacy statement",
            statement.as_ref() == Some(file.privacy()),
        ),
    ];
    Ok((checks, found))
}

fn learnt(terms: &StudyTerms, contract: &Contract, bundle: &SumsBundle) -> Option<Learner> {
    if terms.rounds.len() < bundle.sums.len() || terms.rounds.is_empty() {
        return None;
    }
    learn(terms, &shapes(contract), &bundle.sums).ok()?
}

/// The hash of the model that the sums give.
fn hash(file: &ModelFile, contract: &Contract, learner: &Learner) -> Option<Hash32> {
    let fitted = learner.finish().ok()?;
    let (card, privacy) = (file.card().clone(), file.privacy().clone());
    let file = ModelFile::new(model(contract, &fitted), card, privacy);
    file.ok().map(|file| file.model_hash())
}

fn statement(file: &ModelFile, terms: &StudyTerms, bundle: &SumsBundle) -> Option<Privacy> {
    let stated = file.privacy().rounds.iter();
    let sums: Vec<SumRecord<'_>> = bundle
        .sums
        .iter()
        .zip(stated)
        .map(|(sum, round)| SumRecord {
            attempts: round.attempts,
            updates: sum.updates,
            cells: &sum.cells,
        })
        .collect();
    let complete = sums.len() == bundle.sums.len();
    complete.then(|| Privacy::of(terms, &sums, epsilon))?
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use super::*;
    use crate::fixtures::finished;

    const FIGURES: &str = "evaluation on the card";
    const CARD: &str = "rest of the card";

    #[track_caller]
    fn check_replay(change: impl FnOnce(&mut SumsBundle), expected: &[&str]) {
        let (file, mut bundle) = finished();
        change(&mut bundle);
        let (checks, _) = compare(&file, &bundle).unwrap();
        let differs = checks.iter().filter(|check| !check.holds);
        assert_eq!(
            differs.map(|check| check.what).collect::<Vec<_>>(),
            expected
        );
    }

    #[test]
    fn the_same_sums_give_the_same_model() {
        check_replay(|_| {}, &[]);
    }

    #[test]
    fn a_changed_sum_shows() {
        let change = |bundle: &mut SumsBundle| bundle.sums[1].cells[0] += 4_096 * 500;
        check_replay(change, &["model", FIGURES, CARD, "privacy statement"]);
    }

    #[test]
    fn a_changed_evaluation_shows() {
        let change = |bundle: &mut SumsBundle| bundle.sums[9].cells[0] += 1;
        check_replay(change, &[FIGURES, "privacy statement"]);
    }

    #[test]
    fn missing_sums_show() {
        let last = |bundle: &mut SumsBundle| drop(bundle.sums.pop());
        check_replay(last, &[FIGURES, CARD, "privacy statement"]);
        let none = |bundle: &mut SumsBundle| bundle.sums.clear();
        check_replay(none, &["model", FIGURES, CARD, "privacy statement"]);
    }

    #[test]
    fn another_contract_shows() {
        let change = |bundle: &mut SumsBundle| {
            bundle.contract = bundle.contract.replace("high = 64", "high = 65");
        };
        check_replay(change, &["data contract", "model"]);
    }

    /// A card that says something else than the sums, as a coordinator could sign it.
    #[track_caller]
    fn check_card(change: impl FnOnce(&mut Json), expected: &[&str]) {
        let (file, bundle) = finished();
        let mut json: Json = serde_json::from_str(&file.to_json()).unwrap();
        change(&mut json["card"]);
        let file = ModelFile::parse(&json.to_string()).unwrap();
        let (checks, found) = compare(&file, &bundle).unwrap();
        assert_eq!(found, Some(file.model_hash()));
        let differs = checks.iter().filter(|check| !check.holds);
        let differs: Vec<&str> = differs.map(|check| check.what).collect();
        assert_eq!(differs, expected);
    }

    fn add(card: &mut Json, pointer: &str, more: f64) {
        let place = card.pointer_mut(pointer).unwrap();
        *place = json!(place.as_f64().unwrap() + more);
    }

    #[test]
    fn a_figure_that_the_evaluation_does_not_give_shows() {
        for figure in [
            "auc",
            "auc_sd",
            "log_loss",
            "calibration",
            "customers",
            "gain",
        ] {
            check_card(
                |card| add(card, &format!("/quality/{figure}"), 0.001),
                &[FIGURES],
            );
        }
        check_card(
            |card| add(card, "/quality/reliability/4/observed", 0.01),
            &[FIGURES],
        );
        let shorter =
            |card: &mut Json| drop(card["quality"]["reliability"].as_array_mut().unwrap().pop());
        check_card(shorter, &[FIGURES]);
        // Another machine may round the last decimal otherwise.
        check_card(|card| add(card, "/quality/auc", 1e-6), &[]);
    }

    #[test]
    fn figures_that_are_withheld_or_explained_away_show() {
        let withheld = |reason: &str| {
            let reason = json!(reason);
            move |card: &mut Json| {
                (card["quality"], card["quality_reason"]) = (Json::Null, reason);
                card["warnings"] = json!(["not_evaluated"]);
            }
        };
        let noisy = "too little data to tell: noise moves the log-loss";
        check_card(withheld(noisy), &[FIGURES, CARD]);
        // A later version may have been compared with an earlier one, but this study expects no gain.
        let later = |card: &mut Json| {
            withheld(noisy)(card);
            card["version"] = json!(2);
        };
        check_card(later, &[FIGURES, CARD]);
        check_card(
            |card| card["quality_reason"] = json!("as good as the last"),
            &[FIGURES],
        );
    }

    #[test]
    fn anything_else_on_the_card_shows_too() {
        check_card(|card| add(card, "/customers_estimate", 100.0), &[CARD]);
        check_card(|card| add(card, "/bin_counts/0/0", 1.0), &[CARD]);
        check_card(|card| add(card, "/deviations/1/0", 0.01), &[CARD]);
        check_card(|card| add(card, "/convergence/3", 0.01), &[CARD]);
        check_card(|card| card["purpose"] = json!("other"), &[CARD]);
        check_card(|card| card["warnings"] = json!(["rate_at_bound"]), &[CARD]);
        check_card(|card| card["contract"] = json!("customers@2"), &[CARD]);
        check_card(
            |card| card["study"] = json!("00".repeat(32)),
            &["study terms", CARD],
        );
    }
}
