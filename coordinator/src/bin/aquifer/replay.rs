//! `aquifer model replay`: learns a model again from its released sums, and compares everything with the file.

use anyhow::Context;
use aquifer_coordinator::core::expand::shapes;
use aquifer_coordinator::core::learning::learn;
use aquifer_shared::base::ids::Hash32;
use aquifer_shared::domain::contract::Contract;
use aquifer_shared::domain::predictor::model::{ModelFile, Privacy, SumRecord, model};
use aquifer_shared::domain::sum::{StudyTerms, study_hash};
use aquifer_shared::protocol::ask::{Request, Response, SumsBundle};
use aquifer_shared::protocol::codec::decode;
use aquifer_shared::shell::noise::epsilon;
use aquifer_shared::shell::report::{self, Outcome, Table, Tone};
use serde_json::json;

use crate::client::{Client, Session, not_expected};
use crate::genuine;

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
    let replayed = learnt(file, &terms, &contract, bundle);
    let found = replayed.as_ref().map(ModelFile::model_hash);
    let statement = statement(file, &terms, bundle);
    let checks = vec![
        Check {
            what: "study terms",
            holds: study_hash(bytes).0 == file.card().study.0,
        },
        Check {
            what: "data contract",
            holds: contract.hash() == terms.contract_hash,
        },
        Check {
            what: "model",
            holds: found == Some(file.model_hash()),
        },
        Check {
            what: "privacy statement",
            holds: statement.as_ref() == Some(file.privacy()),
        },
    ];
    Ok((checks, found))
}

fn learnt(
    file: &ModelFile,
    terms: &StudyTerms,
    contract: &Contract,
    bundle: &SumsBundle,
) -> Option<ModelFile> {
    if terms.rounds.len() < bundle.sums.len() || terms.rounds.is_empty() {
        return None;
    }
    let learner = learn(terms, &shapes(contract), &bundle.sums).ok()??;
    let fitted = learner.finish().ok()?;
    let (card, privacy) = (file.card().clone(), file.privacy().clone());
    ModelFile::new(model(contract, &fitted), card, privacy).ok()
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
    use super::*;
    use crate::fixtures::finished;

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
        check_replay(change, &["model", "privacy statement"]);
    }

    #[test]
    fn a_changed_evaluation_shows() {
        let change = |bundle: &mut SumsBundle| bundle.sums[9].cells[0] += 1;
        check_replay(change, &["privacy statement"]);
    }

    #[test]
    fn missing_sums_show() {
        check_replay(|bundle| drop(bundle.sums.pop()), &["privacy statement"]);
        let none = |bundle: &mut SumsBundle| bundle.sums.clear();
        check_replay(none, &["model", "privacy statement"]);
    }

    #[test]
    fn another_contract_shows() {
        let change = |bundle: &mut SumsBundle| {
            bundle.contract = bundle.contract.replace("high = 64", "high = 65");
        };
        check_replay(change, &["data contract", "model"]);
    }
}
