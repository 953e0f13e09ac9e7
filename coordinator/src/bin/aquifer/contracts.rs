//! `aquifer contract`: checks and makes contracts without asking anybody; shows those that the coordinator knows.

use std::path::Path;

use anyhow::Context as _;
use aquifer_shared::domain::contract::{ColumnKind, Contract};
use aquifer_shared::protocol::ask::{Request, Response};
use aquifer_shared::shell::documents::read_document;
use aquifer_shared::shell::report::{self, Outcome, Table};
use serde_json::{Value, json};

use crate::args::ContractCommand;
use crate::client::{Session, not_expected};
use crate::contract_tables;
use crate::out::written;

/// Carries out a command about contracts.
///
/// # Errors
///
/// A file cannot be read, or the coordinator cannot be asked.
pub(crate) async fn run(session: &Session, command: &ContractCommand) -> anyhow::Result<Outcome> {
    match command {
        ContractCommand::Check { file } => check(session, file),
        ContractCommand::FromSchema {
            file,
            privacy_unit,
            name,
            out,
        } => {
            let read = Contract::from_schema(
                &read_document(file)?,
                name.as_deref(),
                privacy_unit.as_deref(),
            );
            match read {
                Ok(contract) => made(session, &contract, out.as_deref()),
                Err(error) => broken(session, file, &error),
            }
        }
        ContractCommand::Show { contract } => show(session, contract).await,
    }
}

fn check(session: &Session, file: &Path) -> anyhow::Result<Outcome> {
    let contract = match Contract::parse(&read_document(file)?) {
        Ok(contract) => contract,
        Err(error) => return broken(session, file, &error),
    };
    print(session, &contract)
}

fn made(session: &Session, contract: &Contract, out: Option<&Path>) -> anyhow::Result<Outcome> {
    if let Some(target) = out {
        return written(session, target, &contract.to_toml());
    }
    if session.json {
        return print(session, contract);
    }
    report::print(&contract.to_toml())?;
    Ok(Outcome::Done)
}

async fn show(session: &Session, contract: &str) -> anyhow::Result<Outcome> {
    let response = session
        .ask(Request::ContractShow(contract.to_owned()))
        .await?;
    let text = match response {
        Response::Contract(text) => text,
        other => return not_expected(other, session.json),
    };
    if session.json {
        let contract = Contract::parse(&text).context("the coordinator's contract is broken")?;
        return print(session, &contract);
    }
    report::print(&report::printable(&text))?;
    Ok(Outcome::Done)
}

fn broken(
    session: &Session,
    file: &Path,
    error: &aquifer_shared::domain::contract::ContractError,
) -> anyhow::Result<Outcome> {
    if session.json {
        let (line, column, problem) = (error.line, error.column, &error.problem);
        let place = json!({"line": line, "column": column, "problem": problem});
        report::print_json(&json!({"ok": false, "error": place}))?;
    }
    Ok(report::refused(&format!("{}: {error}", file.display())))
}

fn print(session: &Session, contract: &Contract) -> anyhow::Result<Outcome> {
    if session.json {
        report::print_json(&contract_json(contract))?;
        return Ok(Outcome::Done);
    }
    let mut table = Table::new(&["FEATURE", "KIND", "CELLS", "RANGE OR LEVELS", "CHANGEABLE"]);
    for column in &contract.columns {
        let (kind, range) = describe(&column.kind);
        let changeable = if column.actionable { "yes" } else { "no" };
        let cells = column.shape().1.to_string();
        table.row([column.name.as_str(), kind, &cells, &range, changeable]);
    }
    report::print(&format!(
        "contract {} version {} is sound\nhash           {}\ntable          {}, one row per {}\nlabel          {} = {}\nmultiplicity   {}\n\n{}{}",
        contract.name,
        contract.version,
        contract.hash(),
        contract.table,
        contract.privacy_unit,
        contract.label.column,
        contract.label.positive,
        contract.multiplicity,
        table.to_text(),
        contract_tables::to_text(contract),
    ))?;
    for excluded in &contract.excluded {
        report::print(&format!(
            "never used: {} ({})\n",
            excluded.column, excluded.reason
        ))?;
    }
    Ok(Outcome::Done)
}

fn describe(kind: &ColumnKind) -> (&'static str, String) {
    match kind {
        ColumnKind::Numeric {
            low, high, unit, ..
        } => (
            "number",
            format!("{low} to {high} {unit}").trim_end().to_owned(),
        ),
        ColumnKind::Levels(cells) => ("levels", cells.levels().join(", ")),
    }
}

fn contract_json(contract: &Contract) -> Value {
    let columns: Vec<Value> = contract
        .columns
        .iter()
        .map(|column| {
            let mut value = json!({
                "name": column.name,
                "cells": column.shape().1,
                "actionable": column.actionable,
            });
            match &column.kind {
                ColumnKind::Numeric {
                    low,
                    high,
                    transform,
                    unit,
                    ..
                } => {
                    value["numeric"] =
                        json!({"low": low, "high": high, "transform": transform, "unit": unit});
                }
                ColumnKind::Levels(cells) => value["levels"] = json!(cells.levels()),
            }
            value
        })
        .collect();
    json!({
        "ok": true,
        "name": contract.name,
        "version": contract.version,
        "hash": contract.hash().to_string(),
        "multiplicity": contract.multiplicity,
        "table": contract.table,
        "privacy_unit": contract.privacy_unit,
        "label": {"column": contract.label.column, "positive": contract.label.positive},
        "columns": columns,
        "published": contract_tables::to_json(contract),
    })
}
