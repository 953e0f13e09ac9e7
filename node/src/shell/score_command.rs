//! `aquifer-node score`: the unit's own customers, scored at home with a released model.
//!
//! Fetches a signed model, believes it only with the pinned release key and the unit's own contract, and writes a file that
//! only its owner can read. Nothing about a customer is sent.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, ensure};
use aquifer_shared::domain::predictor::model::ModelFile;
use aquifer_shared::domain::predictor::prediction::Predictor;
use aquifer_shared::protocol::ask::{Request, Response};
use aquifer_shared::shell::directory::IdentityDirectory;
use aquifer_shared::shell::keys::verify;
use aquifer_shared::shell::quic::{receive_within, send};
use aquifer_shared::shell::report::{Outcome, note, print_json, printable, refuse};
use serde_json::json;

use super::at_rest;
use super::config::NodeConfig;
use super::encode::encode_for_scoring;
use super::score_file::{self, Format, Scored};
use crate::core::model::scores;
use crate::core::table::Table;

/// What to score, where to, how.
#[derive(Debug)]
pub struct Scoring<'a> {
    /// `NAME` or `NAME@VERSION`.
    pub model: &'a str,
    /// A new file: CSV or Parquet, by its name.
    pub out: &'a Path,
    /// Strongest contributions to name per customer.
    pub reasons: usize,
    /// Print a JSON summary.
    pub json: bool,
}

/// Fetches the model, scores every customer of the mapped table, writes the file.
///
/// # Errors
///
/// The coordinator cannot be asked, the model is not genuine or for another contract, the tables cannot be read, or the file
/// exists or cannot be written.
///
/// # Privacy
///
/// Scores are about people and stay in the unit: the file is made with mode 0600 and never overwrites another.
pub fn run(directory: &Path, scoring: &Scoring<'_>) -> anyhow::Result<Outcome> {
    let Some(format) = Format::of(scoring.out) else {
        let found = scoring.out.display();
        let why = format!("--out is {found}, expected a name that ends in .csv or .parquet");
        return refuse(scoring.json, "format", &why);
    };
    if scoring.out.exists() {
        let found = scoring.out.display();
        let why = format!("{found} exists already and is never overwritten; choose another name");
        return refuse(scoring.json, "taken", &why);
    }
    let config = NodeConfig::load(directory)?;
    let identity = at_rest::identity(directory)?;
    let file = match fetch(&identity, scoring.model)? {
        Ok(file) => file,
        Err((code, why)) => return refuse(scoring.json, &code, &why),
    };
    let (contract, table) = encode_for_scoring(&config.data, directory)?;
    if contract.hash() != file.model().contract_hash {
        let why = format!(
            "the model is for contract {}, whose hash is not that of this unit's {} version {}; ask the operator for a model \
             on your contract",
            file.card().contract,
            contract.name,
            contract.version
        );
        return refuse(scoring.json, "contract-differs", &why);
    }
    write(&table, &file, scoring, format)?;
    let name = format!("{}@{}", file.card().name, file.card().version);
    if scoring.json {
        let rows = table.rows();
        print_json(
            &json!({ "model": name, "customers": rows, "out": scoring.out, "privacy": file.privacy() }),
        )?;
        return Ok(Outcome::Done);
    }
    note(&format!(
        "scored with {name}; {}",
        file.privacy().sentence()
    ));
    note(&format!(
        "wrote {} (readable for its owner alone)",
        scoring.out.display()
    ));
    Ok(Outcome::Done)
}

/// Asks the coordinator; the inner error is its refusal: code and message.
fn fetch(
    identity: &IdentityDirectory,
    which: &str,
) -> anyhow::Result<Result<ModelFile, (String, String)>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let response = runtime
        .context("the runtime did not start")?
        .block_on(async {
            let link = identity.connect(identity.client_config()?).await?;
            let (mut sending, mut receiving) = link
                .connection
                .open_bi()
                .await
                .context("the connection is gone")?;
            send(&mut sending, &Request::ModelFetch(which.to_owned())).await?;
            let response: Response = receive_within(&mut receiving, ANSWER_TIMEOUT).await?;
            link.close().await;
            anyhow::Ok(response)
        })?;
    let text = match response {
        Response::Model(text) => text,
        Response::Refused { code, message } => return Ok(Err((code, printable(&message)))),
        _ => anyhow::bail!("the coordinator answered something else than a model"),
    };
    let file = ModelFile::parse(&text).context("the coordinator sent a model that is none")?;
    let key = &identity.coordinator().release_key;
    let signature = file.signature();
    let signed = signature.is_some_and(|signature| verify(key, &file.signing_digest(), signature));
    ensure!(
        signed,
        "the model {which} is not signed by the release key {key} that the ticket pinned; do not use it"
    );
    Ok(Ok(file))
}

fn write(
    table: &Table,
    file: &ModelFile,
    scoring: &Scoring<'_>,
    format: Format,
) -> anyhow::Result<()> {
    let predictor = Predictor::of(file).context("the model's features cannot be read")?;
    let all =
        scores(table, &file.additive().state()).context("the model does not fit the table")?;
    let with_reasons = scoring.reasons > 0;
    let lines = all.iter().enumerate().map(|(row, score)| Scored {
        customer: table.customer(row),
        probability: predictor.additive().probability(i64::from(*score)),
        score: *score,
        reasons: with_reasons.then(|| {
            let features = table.features().iter();
            let cells: Vec<usize> = features.map(|feature| feature.get(row)).collect();
            reasons(&predictor, &cells, scoring.reasons)
        }),
    });
    score_file::write(scoring.out, format, with_reasons, lines)
}

/// The strongest contributions in words: `tenure: 4.5 to 6.75 months +0.31; plan: month +0.62`.
fn reasons(predictor: &Predictor, cells: &[usize], count: usize) -> String {
    let mut all = predictor.explain(cells, None).contributions;
    all.sort_by(|a, b| b.log_odds.abs().total_cmp(&a.log_odds.abs()));
    let words = all
        .iter()
        .take(count)
        .map(|one| format!("{}: {} {:+.2}", one.feature, one.value, one.log_odds));
    words.collect::<Vec<String>>().join("; ")
}

/// How long the coordinator may take to send a model.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
