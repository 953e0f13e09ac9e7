//! `aquifer`: the command of operators, approvers, analysts and auditors. Entry point; wires arguments to commands.
//!
//! Talks to the coordinator, never to its store. What is predicted is predicted here: inputs leave this machine never.

mod args;
mod audit;
mod audit_args;
mod audit_given;
mod audit_pack;
mod card;
mod card_page;
mod client;
mod contract_tables;
mod contracts;
mod facts;
#[cfg(test)]
mod fixtures;
mod genuine;
mod history;
mod identity;
mod law_args;
mod laws;
mod laws_diff;
mod looks;
mod models;
mod nodes;
mod out;
mod predict;
mod predict_file;
mod query;
mod refusals;
mod replay;
mod replay_card;
mod rows;
mod show;
mod studies;
mod study_detail;
mod study_terms;
mod tokens;

use std::process::ExitCode;

use aquifer_shared::protocol::wire::CloseReason;
use aquifer_shared::shell::join::JoinFault;
use aquifer_shared::shell::link::LinkError;
use aquifer_shared::shell::report::{self, Outcome};
use aquifer_shared::shell::{crash, logging};
use clap::{CommandFactory, Parser};

use args::{Arguments, Command};
use client::Session;

fn main() -> ExitCode {
    crash::leave_nothing();
    let arguments = Arguments::parse();
    report::finish(sort(run(&arguments), arguments.json))
}

fn run(arguments: &Arguments) -> anyhow::Result<Outcome> {
    logging::init()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(dispatch(arguments))
}

async fn dispatch(arguments: &Arguments) -> anyhow::Result<Outcome> {
    let session = Session::new(arguments);
    match &arguments.command {
        Command::Join { ticket } => identity::join(&session, ticket).await,
        Command::Whoami { identity } => identity::whoami(&session, *identity),
        Command::Study(command) => studies::run(&session, command).await,
        Command::Model(command) => models::run(&session, command).await,
        Command::Predict(asked) => predict::run(&session, asked).await,
        Command::Query(asked) => query::run(&session, asked, false).await,
        Command::Explain(asked) => query::run(&session, asked, true).await,
        Command::Catalogue(asked) => looks::list(&session, &looks::COLUMNS, asked.format).await,
        Command::Budget(asked) => looks::list(&session, &looks::BUDGET, asked.format).await,
        Command::Release(command) => looks::releases(&session, command).await,
        Command::Nodes { pins } => nodes::run(&session, *pins).await,
        Command::History(command) => history::run(&session, command).await,
        Command::Token(command) => tokens::run(&session, command).await,
        Command::Contract(command) => contracts::run(&session, command).await,
        Command::Laws(command) => laws::run(&session, command),
        Command::Policy(command) => laws::policy(&session, command),
        Command::Audit(command) => audit::run(&session, command).await,
        Command::Facts(command) => facts::run(&session, command),
        Command::Completions { shell } => {
            let mut text = Vec::new();
            clap_complete::generate(*shell, &mut Arguments::command(), "aquifer", &mut text);
            report::print(&String::from_utf8_lossy(&text))?;
            Ok(Outcome::Done)
        }
    }
}

/// Tells what the rules refuse (exit code 1) from what failed (2).
fn sort(ended: anyhow::Result<Outcome>, json: bool) -> anyhow::Result<Outcome> {
    match ended {
        Err(error) if is_refusal(&error) => {
            let code = match error.is::<JoinFault>() {
                true => "ticket",
                false => "connection",
            };
            report::refuse(json, code, &report::chain(&error))
        }
        ended => ended,
    }
}

fn is_refusal(error: &anyhow::Error) -> bool {
    if let Some(fault) = error.downcast_ref::<JoinFault>() {
        return fault.is_refusal();
    }
    let link = error
        .chain()
        .find_map(|cause| cause.downcast_ref::<LinkError>());
    link.is_some_and(|link| match link {
        LinkError::Ours(_) => true,
        LinkError::Closed(reason) => matches!(
            reason,
            CloseReason::Revoked | CloseReason::WrongRole | CloseReason::Expired
        ),
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Arguments::command().debug_assert();
    }

    /// Help of a command and of all below it.
    fn help(command: &mut clap::Command) -> String {
        let own = command.render_long_help().to_string();
        let below = command.get_subcommands_mut().map(help);
        own + &below.collect::<String>()
    }

    #[test]
    fn t1_word_lint_of_help() {
        let text = help(&mut Arguments::command());
        assert!(text.contains("aquifer facts card"));
        assert_eq!(aquifer_shared::domain::facts::forbidden(&text), None);
    }

    #[test]
    fn a_revoked_certificate_is_a_refusal_and_silence_a_failure() {
        let told = |error: LinkError| anyhow::Error::from(error).context("could not ask");
        assert!(is_refusal(&told(LinkError::Closed(CloseReason::Revoked))));
        assert!(!is_refusal(&told(LinkError::TimedOut)));
    }
}
