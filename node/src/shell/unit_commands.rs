//! `aquifer-node budget` and `aquifer-node studies`: asked of the running node, or of its ledger where none runs.

use std::path::Path;

use anyhow::Context;
use aquifer_shared::base::ids::Hash32;
use aquifer_shared::base::time::Timestamp;
use aquifer_shared::domain::contract::Contract;
use aquifer_shared::domain::sum::TrustMode;
use aquifer_shared::shell::report::{Outcome, Table, Tone, print, print_json, refuse, short};

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
    let headings = ["BUDGET", "CAP", "SPENT", "RESERVED", "LEFT", delta.as_str()];
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
    let [studies, spends] = budget_tables(&view.studies);
    print("\n")?;
    studies.print()?;
    print("\n")?;
    spends.print()?;
    print(
        "\nmicro-rho (zCDP, neighbours differ by one customer of this unit); epsilon is rounded up; floor: epsilon in \
         shared-noise if everybody else colludes or the encryption breaks\n",
    )
}

/// What studies are, and what they cost: together they would be wider than a terminal.
fn budget_tables(lines: &[StudyLine]) -> [Table; 2] {
    let mut studies = Table::new(&["STUDY", "HASH", "PURPOSE", "TRUST", "ATTEMPTS", "STATE"]);
    let mut spends = Table::new(&["HASH", "SPENT", "RESERVED", "EPSILON", "FLOOR", "DELTA"]);
    for line in lines {
        let hash = short(&line.study);
        studies.row([
            line.name.clone(),
            hash.clone(),
            line.purpose.clone(),
            trust(line.trust, line.honest),
            line.attempts.to_string(),
            line.state.clone(),
        ]);
        spends.row([
            hash,
            spent(line),
            reserved(line),
            format!("{:.4}", line.spent.epsilon),
            floor(line.floor),
            format!("{:e}", line.delta),
        ]);
    }
    studies.wrap(&[0, 2, 5]);
    spends.wrap(&[1, 2]);
    [studies, spends]
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

/// What studies are, and what they would cost.
fn studies_tables(studies: &[StudyView], now: Timestamp) -> [Table; 2] {
    let mut terms = Table::new(&["STUDY", "HASH", "PURPOSE", "STATE", "TRUST", "HOURS LEFT"]);
    let mut price = Table::new(&[
        "HASH",
        "MICRO-RHO",
        "EPSILON",
        "FLOOR",
        "DELTA",
        "SUMS",
        "MEMBERS",
        "COPIES",
    ]);
    for study in studies {
        let hash = short(&study.study);
        let hours = study.expires.saturating_sub(now.0) / 3_600_000;
        terms.row([
            study.name.clone(),
            hash.clone(),
            study.purpose.clone(),
            study.state.clone(),
            trust(study.trust, study.honest),
            hours.to_string(),
        ]);
        price.row([
            hash,
            study.price.rho_micro.to_string(),
            format!("{:.4}", study.price.epsilon),
            floor(study.floor),
            format!("{:e}", study.delta),
            study.sums.to_string(),
            study.members.to_string(),
            study.multiplicity.to_string(),
        ]);
    }
    terms.wrap(&[0, 2, 3]);
    [terms, price]
}

fn print_studies(studies: &[StudyView]) -> anyhow::Result<()> {
    if studies.is_empty() {
        return print("no study waits or runs here\n");
    }
    let [terms, price] = studies_tables(studies, now());
    terms.print()?;
    print("\n")?;
    price.print()
}

#[cfg(test)]
mod tests {
    use aquifer_shared::shell::report::WIDTH;

    use super::*;

    const AMOUNT: Amount = Amount {
        rho_micro: 2_242_490,
        epsilon: 10.1234,
    };

    #[track_caller]
    fn check_fits(tables: &[Table]) {
        let text: String = tables.iter().map(Table::to_text).collect();
        for line in text.lines() {
            assert!(line.chars().count() <= usize::from(WIDTH), "{line}\n{text}");
        }
        let hash = "0123456789ab";
        assert_eq!(text.matches(hash).count(), 2, "{text}");
        assert!(text.contains("shared-noise, 12 honest"), "{text}");
    }

    #[test]
    fn budgets_fit_a_terminal_of_a_hundred_columns() {
        check_fits(&budget_tables(&[StudyLine {
            study: "0123456789abcdef".repeat(4),
            name: "churn-of-the-second-half-of-2026".to_owned(),
            purpose: "marketing.churn.train".to_owned(),
            spent_training: 1_234_567,
            spent_holdout: 1_234_567,
            spent_everyone: 0,
            reserved_training: 123_456,
            reserved_holdout: 123_456,
            reserved_everyone: 0,
            spent: AMOUNT,
            trust: TrustMode::SharedNoise,
            honest: 12,
            floor: Some(AMOUNT),
            delta: 1e-6,
            multiplicity: 1,
            attempts: 1_000,
            state: "the study has expired before all sums were released".to_owned(),
        }]));
    }

    #[test]
    fn studies_fit_a_terminal_of_a_hundred_columns() {
        let study = StudyView {
            study: "0123456789abcdef".repeat(4),
            name: "churn-of-the-second-half-of-2026".to_owned(),
            purpose: "marketing.churn.train".to_owned(),
            state: "accepted".to_owned(),
            price: AMOUNT,
            floor: None,
            tolerates: (1, 1),
            delta: 1e-6,
            sums: 1_234,
            members: 256,
            multiplicity: 16,
            trust: TrustMode::SharedNoise,
            honest: 12,
            expires: 10 * 3_600_000,
            synthetic: false,
        };
        let tables = studies_tables(&[study], Timestamp(3_600_000));
        assert!(tables[0].to_text().contains("  9\n"));
        check_fits(&tables);
    }
}
