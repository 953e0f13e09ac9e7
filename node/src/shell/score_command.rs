//! `aquifer-node score`: the unit's own customers, scored at home with a released model.
//!
//! Fetches a signed model, believes it only with the pinned release key and the unit's own contract, and writes a file that
//! only its owner can read. Nothing about a customer is sent. Who objected or did not agree is suppressed: no score of theirs is shown.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use anyhow::{Context, ensure};
use aquifer_shared::base::ids::Name;
use aquifer_shared::base::time::Timestamp;
use aquifer_shared::domain::contract::Contract;
use aquifer_shared::domain::history::Event;
use aquifer_shared::domain::law::witness::{Run, Score};
use aquifer_shared::domain::law::{Action, Gate, Obligation};
use aquifer_shared::domain::predictor::model::ModelFile;
use aquifer_shared::domain::predictor::prediction::Predictor;
use aquifer_shared::protocol::ask::{Request, Response};
use aquifer_shared::protocol::wire::RefusalCode;
use aquifer_shared::shell::directory::IdentityDirectory;
use aquifer_shared::shell::keys::verify;
use aquifer_shared::shell::policy_record::PolicyFault;
use aquifer_shared::shell::quic::{receive_within, send};
use aquifer_shared::shell::report::{Outcome, chain, note, print_json, printable, refuse};
use serde_json::json;

use super::at_rest;
use super::clock::now;
use super::cohorts::{Cohorts, News};
use super::config::NodeConfig;
use super::consent::ConsentLedger;
use super::doorman::Doorman;
use super::encode::encode_for_scoring;
use super::governance;
use super::mapped::read_contract;
use super::score_exports::Exported;
use super::score_file::{self, Format, Points, Scored};
use super::telling::{Untold, tell_soon, told_now};
use super::{consent, subject_key};
use crate::core::cohort::Cohort;
use crate::core::gatekeeper::{Figures, Gatekeeper};
use crate::core::intake::{Intake, Wanted, exporting};
use crate::core::lawful::Brief;
use crate::core::model::scores;
use crate::core::table::Table;

/// What to score, where to, how.
#[derive(Debug)]
pub struct Scoring<'a> {
    /// `NAME` or `NAME@VERSION`.
    pub model: &'a str,
    /// Declared purpose; without it, the only one that scores.
    pub purpose: Option<&'a str>,
    /// Who reviews the decisions that follow.
    pub reviewer: Option<&'a Name>,
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
/// The coordinator cannot be asked, the model is not genuine or for another contract, the tables or the consent ledger cannot be read,
/// or the file exists or cannot be written.
///
/// # Privacy
///
/// Scores are about people and stay in the unit: the file is made with mode 0600 and never overwrites another.
pub fn run(directory: &Path, scoring: &Scoring<'_>) -> anyhow::Result<Outcome> {
    let format = match format(scoring.out) {
        Ok(format) => format,
        Err((code, why)) => return refuse(scoring.json, code, &why),
    };
    let config = NodeConfig::load(directory)?;
    let gatekeeper = config.gatekeeper(directory)?;
    let policy = (&config, gatekeeper.as_ref());
    let (accepted, floor) = match governance::stands(directory, policy, now()) {
        Ok(stands) => stands,
        Err(fault) if fault.is::<PolicyFault>() => {
            return refuse(scoring.json, "policy", &fault.to_string());
        }
        Err(fault) => return Err(fault),
    };
    let gatekeeper = gatekeeper.map(|own| own.excepting(accepted.exceptions));
    let purpose = match purpose(gatekeeper.as_ref(), scoring.purpose) {
        Ok(purpose) => purpose,
        Err(why) => return refuse(scoring.json, "law", &why),
    };
    let identity = at_rest::identity(directory)?;
    let contract = read_contract(&directory.join(&config.data.contract))?;
    let fetched = fetch(&identity, scoring.model, floor)?;
    let file = match fetched.and_then(|file| on_contract(file, &contract)) {
        Ok(file) => file,
        Err((code, why)) => return refuse(scoring.json, &code, &why),
    };
    let brief = Brief {
        gate: Gate::Score,
        purpose,
        columns: columns(&file, &contract),
        figures: Figures::unspent(config.data.customers_max),
        reviewer: scoring.reviewer.cloned(),
    };
    // Open from here on: what the history is asked about is what is read.
    let consents = consent::attach(directory, None)?;
    if let Err(why) = told_now(directory) {
        let code = why.downcast_ref().map_or("consent", Untold::code);
        let said = format!("nobody is scored: {}", chain(&why));
        return refuse(scoring.json, code, &said);
    }
    let mut scribe = Scribe::of(directory, gatekeeper.clone(), floor);
    let admitted = intake(gatekeeper.as_ref(), (&brief, &contract), &scribe);
    scribe.write()?;
    let intake = match admitted {
        Ok(intake) => intake,
        Err(why) => return refuse(scoring.json, "law", &why),
    };
    let (_, table) = encode_for_scoring(&config.data, directory, &intake)?;
    scribe.doorman.registered(&intake, &contract, None);
    scribe.write()?;
    let mut cohorts = cohorts(directory, (gatekeeper, floor), (&table, intake), consents)?;
    let cohort = cohort(&mut cohorts, &brief)?;
    let suppressed = (0..table.rows()).filter(|row| !cohort.includes(*row));
    let suppressed = suppressed.count();
    let name = format!("{}@{}", file.card().name, file.card().version);
    let kept = Exported::of(&cohort, scoring, &name, present(floor));
    let to_review = must_review(&cohort) || scoring.reviewer.is_some();
    let to_review = to_review.then(|| table.rows() - suppressed);
    let lines = || write((&table, &cohort), &file, scoring, format);
    kept.announce(directory, (to_review, suppressed), present(floor), lines)?;
    tell(
        scoring,
        (&file, &name, &brief.purpose),
        &kept,
        (table.rows(), suppressed),
    )
}

/// The format of a file that is not there yet; else code and message of a refusal.
fn format(out: &Path) -> Result<Format, (&'static str, String)> {
    let found = out.display();
    if out.exists() {
        let why = format!("{found} exists already and is never overwritten; choose another name");
        return Err(("taken", why));
    }
    Format::of(out).ok_or_else(|| {
        let why = format!("--out is {found}, expected a name that ends in .csv or .parquet");
        ("format", why)
    })
}

/// Says what was written, and until when it may be kept.
fn tell(
    scoring: &Scoring<'_>,
    (file, name, purpose): (&ModelFile, &str, &str),
    kept: &Exported,
    (rows, suppressed): (usize, usize),
) -> anyhow::Result<Outcome> {
    if scoring.json {
        print_json(
            &json!({ "model": name, "purpose": purpose, "delete_by": kept.delete_by, "decision": kept.decision, "customers": rows, "suppressed": suppressed, "out": scoring.out,
            "privacy": file.privacy() }),
        )?;
        return Ok(Outcome::Done);
    }
    note(&format!(
        "scored with {name} for {}; {}",
        purpose,
        file.privacy().sentence()
    ));
    note(&format!(
        "{suppressed} of {} customers suppressed: they objected, did not agree, or are not of age",
        rows
    ));
    note(&format!(
        "wrote {} (readable for its owner alone); delete it by {}",
        scoring.out.display(),
        kept.delete_by
    ));
    Ok(Outcome::Done)
}

/// The purpose that was named, or the only one that scores; else why there is none.
fn purpose(gatekeeper: Option<&Gatekeeper>, named: Option<&str>) -> Result<String, String> {
    let Some(gatekeeper) = gatekeeper else {
        return Err(
            "node.toml has no [people]: no purpose is declared, so nobody is scored".to_owned(),
        );
    };
    if let Some(named) = named {
        return Ok(named.to_owned());
    }
    let purposes = gatekeeper.book().purposes().iter();
    let scoring = purposes
        .filter(|own| own.action == Action::Score && gatekeeper.defaults(&own.id).basis.is_some());
    let names: Vec<&str> = scoring.map(|own| own.id.as_str()).collect();
    match names[..] {
        [only] => Ok(only.to_owned()),
        [] => Err(
            "no declared purpose scores and has a basis: declare one in the file of purposes and in [people.basis]"
                .to_owned(),
        ),
        _ => Err(format!(
            "{} purposes score: name one with --purpose ({})",
            names.len(),
            names.join(", ")
        )),
    }
}

/// What a score is made of, and what it is about.
fn columns(file: &ModelFile, contract: &Contract) -> Vec<String> {
    let features = file.model().features.iter();
    let features = features.map(|feature| feature.name.clone());
    features.chain([contract.label.column.clone()]).collect()
}

/// The model, if it is for the unit's contract; else the refusal: code and message.
fn on_contract(file: ModelFile, contract: &Contract) -> Result<ModelFile, (String, String)> {
    if contract.hash() == file.model().contract_hash {
        return Ok(file);
    }
    let why = format!(
        "the model is for contract {}, whose hash is not that of this unit's {} version {}; ask the operator for a model \
         on your contract",
        file.card().contract,
        contract.name,
        contract.version
    );
    Err(("contract-differs".to_owned(), why))
}

/// Writes down for the history what was decided and what was read; the running node enters it, or the next that has the history open.
struct Scribe {
    directory: PathBuf,
    /// What the history has written down, before which it is not now.
    floor: Timestamp,
    doorman: Doorman,
    said: Receiver<Event>,
    say: Sender<Event>,
}

impl Scribe {
    fn of(directory: &Path, gatekeeper: Option<Gatekeeper>, floor: Timestamp) -> Self {
        let (say, said) = channel();
        let told = say.clone();
        // The other end is in the same hands.
        let told = move |event| drop(told.send(event));
        Self {
            directory: directory.to_owned(),
            floor,
            doorman: Doorman::new(gatekeeper, told, (now as fn() -> Timestamp, floor)),
            said,
            say,
        }
    }

    fn write(&mut self) -> anyhow::Result<()> {
        let at = i64::try_from(present(self.floor).0).unwrap_or(i64::MAX);
        let mut ledger = ConsentLedger::open(&self.directory)?;
        for event in self.said.try_iter() {
            ledger.tell_decided(&event, at)?;
        }
        tell_soon(&self.directory);
        Ok(())
    }
}

/// Leave to read customers for their scores, or why there is none: first whether anybody may be scored, then whether the table may be
/// read for it. Either decision is said.
fn intake(
    gatekeeper: Option<&Gatekeeper>,
    (brief, contract): (&Brief, &Contract),
    scribe: &Scribe,
) -> Result<Intake, String> {
    let gatekeeper = gatekeeper.ok_or("node.toml has no [people]: nobody is scored")?;
    let decision = brief.decide(gatekeeper, present(scribe.floor));
    let _ = scribe.say.send(exporting(&contract.table, &decision));
    let decided = decision.allowed::<Score, Run>();
    drop(decided.map_err(|refused| refused.to_string())?);
    let wanted = Wanted::scoring(contract, &brief.purpose);
    let admitted = scribe.doorman.admit(&wanted);
    admitted.map_err(|shut| shut.to_string())
}

/// Now, and not before what the history has written down: a clock that is set back brings no rule back, nor a model.
fn present(floor: Timestamp) -> Timestamp {
    now().max(floor)
}

/// What decides who may be scored.
fn cohorts(
    directory: &Path,
    (gatekeeper, floor): (Option<Gatekeeper>, Timestamp),
    (table, intake): (&Table, Intake),
    consents: News,
) -> anyhow::Result<Cohorts> {
    let key = subject_key::load(directory)?;
    let read = (table, Some(intake));
    Ok(Cohorts::new(gatekeeper, &key, read, consents, now).not_before(floor))
}

/// Who may be scored.
fn cohort(cohorts: &mut Cohorts, brief: &Brief) -> anyhow::Result<Cohort<Score>> {
    cohorts.of_scores(brief).map_err(|refused| match refused {
        RefusalCode::Law => {
            anyhow::anyhow!("the law in force denies the scores: see `aquifer-node policy check`")
        }
        _ => anyhow::anyhow!("the consent ledger could not be read: nobody is scored"),
    })
}

/// Whether a person must be able to change each decision that follows.
fn must_review(cohort: &Cohort<Score>) -> bool {
    let obligations = cohort.allowed().decision().obligations();
    obligations.contains(Obligation::HumanReview)
}

/// Asks the coordinator; the inner error is its refusal: code and message.
fn fetch(
    identity: &IdentityDirectory,
    which: &str,
    floor: Timestamp,
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
            send(&mut sending, &Request::ModelUse(which.to_owned())).await?;
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
    let in_date = file.in_date(present(floor));
    Ok(in_date
        .map(|()| file)
        .map_err(|out| ("out-of-use".to_owned(), out.to_string())))
}

/// Writes a line for each customer.
fn write(
    (table, cohort): (&Table, &Cohort<Score>),
    file: &ModelFile,
    scoring: &Scoring<'_>,
    format: Format,
) -> anyhow::Result<()> {
    let predictor = Predictor::of(file).context("the model's features cannot be read")?;
    let all =
        scores(table, &file.additive().state()).context("the model does not fit the table")?;
    let with_reasons = scoring.reasons > 0;
    let points = |row: usize, score: i32| Points {
        probability: predictor.additive().probability(i64::from(score)),
        score,
        reasons: with_reasons.then(|| {
            let features = table.features().iter();
            let cells: Vec<usize> = features.map(|feature| feature.get(row)).collect();
            reasons(&predictor, &cells, scoring.reasons)
        }),
    };
    let lines = all.iter().enumerate().map(|(row, score)| Scored {
        customer: table.customer(row),
        points: cohort.includes(row).then(|| points(row, *score)),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::fixtures::gatekeeper;

    const CONTRACT: &str = r#"
[contract]
name = "churn"
version = 1
[table.customers]
privacy_unit = "id"
label = { column = "churned", positive = "yes" }
[table.customers.column.tenure]
low = 0
high = 64
"#;

    /// The review of the purpose was due on 2027-11-30, and the history has entries of a month later.
    #[test]
    fn l4_a_clock_that_is_set_back_brings_no_purpose_back() {
        let written_down = Timestamp(1_830_000_000_000);
        let (folder, gatekeeper) = (tempfile::tempdir().unwrap(), gatekeeper());
        let contract = Contract::parse(CONTRACT).unwrap();
        let brief = Brief {
            gate: Gate::Score,
            purpose: "churn.score".to_owned(),
            columns: vec!["tenure".to_owned(), "churned".to_owned()],
            figures: Figures::unspent(100),
            reviewer: None,
        };
        let scribe = Scribe::of(folder.path(), Some(gatekeeper.clone()), written_down);
        let admitted = intake(Some(&gatekeeper), (&brief, &contract), &scribe);
        let refused = admitted.err().unwrap();
        assert!(refused.contains("review"), "{refused}");
        assert_eq!(present(written_down), written_down);
    }
}
