//! `aquifer-node budget` and `aquifer-node studies`: asked of the running node, or of its ledger where none runs.

use std::path::Path;

use anyhow::Context;
use aquifer_shared::base::ids::Hash32;
use aquifer_shared::domain::contract::Contract;
use aquifer_shared::domain::sum::TrustMode;
use aquifer_shared::shell::report::{Outcome, Table, Tone, print, print_json, refuse};

use super::at_rest;
use super::clock::now;
use super::config::NodeConfig;
use super::control::ask;
use super::holdout_key;
use super::serve::sign_with;
use super::store::Store;
use super::views::{Amount, Answer, BudgetView, Line, Query, StudyLine, StudyView, answer};
use crate::core::holdout::split_of;
use crate::core::participant::{Effect, Event, Judges, Participant};

/// Asks and prints.
///
/// # Errors
///
/// Neither a running node nor its ledger can be asked.
pub fn run(directory: &Path, query: &Query, json: bool) -> anyhow::Result<Outcome> {
    let answer = match ask(directory, query)? {
        Some(answer) => answer,
        None => ask_ledger(directory, query)?,
    };
    match answer {
        Answer::Refused(why) => refuse(json, "study", &why),
        Answer::Ledger(_)
        | Answer::Data(_)
        | Answer::History(_)
        | Answer::Told
        | Answer::PutBack { .. }
        | Answer::Proven(_)
        | Answer::Payloads(_)
        | Answer::Policy(_)
        | Answer::Published(_)
        | Answer::Entries(_) => {
            anyhow::bail!("the running node answered something else; is it of this version?")
        }
        Answer::Budget(view) => {
            if json {
                print_json(&view)?;
            } else {
                print_budget(&view)?;
            }
            Ok(Outcome::Done)
        }
        Answer::Studies(studies) => {
            if json {
                print_json(&studies)?;
            } else {
                print_studies(&studies)?;
            }
            Ok(Outcome::Done)
        }
        Answer::Decided(study) => {
            if json {
                print_json(&study)?;
            } else {
                let (name, state) = (&study.name, &study.state);
                print(&format!(
                    "study {name} ({}) is {state}\n",
                    &study.study[..12]
                ))?;
            }
            Ok(Outcome::Done)
        }
    }
}

/// Opens the ledger for one question.
fn ask_ledger(directory: &Path, query: &Query) -> anyhow::Result<Answer> {
    let config = NodeConfig::load(directory)?;
    let identity = at_rest::identity(directory)?;
    let path = directory.join(&config.data.contract);
    let text = std::fs::read_to_string(&path);
    let text = text.with_context(|| format!("could not read {}", path.display()))?;
    let contract = Contract::parse(&text);
    let contract = contract.with_context(|| format!("{} is no contract", path.display()))?;
    let database = at_rest::vault(directory)?.database(at_rest::LEDGER);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("the runtime did not start")?;
    runtime.block_on(async {
        let (ledger, witness) = (
            config.ledger_path(directory),
            config.witness_path(directory),
        );
        let (mut store, ledger) = Store::open(&ledger, &witness, &database).await?;
        // Only what sets budget aside rests on the key.
        let split = match query {
            Query::Decide { approve: true, .. } => {
                let key = holdout_key::load(directory, ledger.durable().seq)?;
                split_of(key.expose())
            }
            _ => Hash32::default(),
        };
        let gatekeeper = config.gatekeeper(directory)?;
        let identity = identity.identity().public();
        let rules = config.rules(&contract, identity, split, None, gatekeeper);
        let signer = at_rest::identity(directory)?.into_identity();
        let mut node = Participant::new(now(), rules, ledger, sign_with(signer), Judges::STRICT);
        let answer = answer(&mut node, now(), query);
        while let Some(effect) = node.poll_effect() {
            if let Effect::Journal(batch) = effect {
                let head = store.append(&batch).await?;
                node.handle(now(), Event::Journaled(head));
            }
        }
        store.close().await?;
        Ok(answer)
    })
}

fn print_budget(view: &BudgetView) -> anyhow::Result<()> {
    let delta = format!("epsilon at delta {:e}", view.delta);
    let headings = ["budget", "cap", "spent", "reserved", "left", delta.as_str()];
    let mut caps = Table::new(&headings);
    let contract = format!("contract {}", view.contract);
    for (name, line) in [
        (contract.as_str(), &view.per_contract),
        ("any 365 days", &view.per_year),
    ] {
        caps.toned_row(cap_row(name, line));
    }
    caps.print()?;
    if let Some(reason) = &view.locked {
        print(&format!(
            "\nledger-behind: locked ({reason}); nothing is accepted or charged. Stop the node, then `aquifer-node ledger adopt`\n"
        ))?;
    }
    if view.studies.is_empty() {
        return print("\nno study has been accepted yet\n");
    }
    let mut studies = Table::new(&[
        "study", "hash", "purpose", "trust", "spent", "epsilon", "floor", "delta", "reserved",
        "attempts", "state",
    ]);
    for line in &view.studies {
        studies.row([
            line.name.clone(),
            line.study[..12].to_owned(),
            line.purpose.clone(),
            trust(line.trust, line.honest),
            spent(line),
            format!("{:.4}", line.spent.epsilon),
            floor(line.floor),
            format!("{:e}", line.delta),
            reserved(line),
            line.attempts.to_string(),
            line.state.clone(),
        ]);
    }
    print("\n")?;
    studies.print()?;
    print(
        "\nmicro-rho (zCDP, neighbours differ by one customer of this unit); epsilon is rounded up; floor: epsilon in \
         shared-noise if everybody else colludes or the encryption breaks\n",
    )
}

/// By part; a question reads everybody and has no other part.
fn spent(line: &StudyLine) -> String {
    match line.spent_everyone {
        0 => format!("{} + {} held out", line.spent_training, line.spent_holdout),
        everyone => format!("{everyone} everyone"),
    }
}

fn reserved(line: &StudyLine) -> String {
    match line.reserved_everyone {
        0 => format!("{} + {}", line.reserved_training, line.reserved_holdout),
        everyone => everyone.to_string(),
    }
}

fn cap_row(name: &str, line: &Line) -> [(String, Tone); 6] {
    let tone = match (line.left.rho_micro, line.cap.rho_micro) {
        (0, _) => Tone::Bad,
        (left, cap) if left < cap / 5 => Tone::Warning,
        _ => Tone::Good,
    };
    let plain = |amount: &Amount| (amount.rho_micro.to_string(), Tone::Plain);
    let epsilon = format!(
        "spent {:.4}, cap {:.4}",
        line.spent.epsilon, line.cap.epsilon
    );
    [
        (name.to_owned(), Tone::Plain),
        plain(&line.cap),
        plain(&line.spent),
        plain(&line.reserved),
        (line.left.rho_micro.to_string(), tone),
        (epsilon, Tone::Plain),
    ]
}

/// The epsilon that does not rest on others; in node-noise none does.
fn floor(floor: Option<Amount>) -> String {
    floor.map_or("-".to_owned(), |floor| format!("{:.4}", floor.epsilon))
}

fn trust(mode: TrustMode, honest: u16) -> String {
    match mode {
        TrustMode::NodeNoise => "node-noise".to_owned(),
        TrustMode::SharedNoise => format!("shared-noise, {honest} honest"),
    }
}

fn print_studies(studies: &[StudyView]) -> anyhow::Result<()> {
    if studies.is_empty() {
        return print("no study waits or runs here\n");
    }
    let mut table = Table::new(&[
        "study",
        "hash",
        "purpose",
        "state",
        "trust",
        "micro-rho",
        "epsilon",
        "floor",
        "delta",
        "sums",
        "members",
        "copies",
        "hours left",
    ]);
    for study in studies {
        let hours = study.expires.saturating_sub(now().0) / 3_600_000;
        table.row([
            study.name.clone(),
            study.study[..12].to_owned(),
            study.purpose.clone(),
            study.state.clone(),
            trust(study.trust, study.honest),
            study.price.rho_micro.to_string(),
            format!("{:.4}", study.price.epsilon),
            floor(study.floor),
            format!("{:e}", study.delta),
            study.sums.to_string(),
            study.members.to_string(),
            study.multiplicity.to_string(),
            hours.to_string(),
        ]);
    }
    table.print()
}
