//! The command line of `aquifer-node`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use aquifer_shared::base::ids::Name;
use aquifer_shared::shell::at_rest::{AtRestFault, refusal_in};
use aquifer_shared::shell::history::HistoryFault;
use aquifer_shared::shell::join::JoinFault;
use aquifer_shared::shell::keys_command::{self, KeysCommand};
use aquifer_shared::shell::link::LinkError;
use aquifer_shared::shell::policy_record::{PolicyFault, reason};
use aquifer_shared::shell::report::{Outcome, chain, finish, refuse};
use clap::{CommandFactory, Parser, Subcommand};
use clap_complete::Shell;

use super::audit::{self, AuditCommand, NotVerified};
use super::config::{CONFIG_FILE, NodeConfig};
use super::consent::{self, ConsentCommand};
use super::facts_command::{self, FactsCommand};
use super::glass::Glass;
use super::law_command::{self, LawsCommand, PolicyCommand};
use super::link::LinkFault;
use super::review_command::{self, Review};
use super::rights::{self, RightsCommand};
use super::score_command::{self, Scoring};
use super::serve::{self, Stopped};
use super::serve_history::RefusedHistory;
use super::steps::{PutBack, SaidPutBack};
use super::store::StoreFault;
use super::views::Query;
use super::witnessing::Distrust;
use super::{
    at_rest, check_command, history_command, join_command, ledger_command, ledger_view,
    refresh_command, unit_commands,
};

/// Guards a business unit's customers: takes part in studies, lets nothing out but charged, noisy sums.
#[derive(Debug, Parser)]
#[command(name = "aquifer-node", version, after_help = EXAMPLES)]
pub struct Arguments {
    /// The node's directory: identity, node.toml, ledger.
    #[arg(
        long,
        global = true,
        env = "AQUIFER_NODE_DIR",
        default_value = ".",
        value_name = "DIR"
    )]
    dir: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Redeem a ticket: make keys, get a certificate, write a commented node.toml.
    Join {
        /// The line that `aquifer-coordinator invite` printed; `-` reads it from standard input, out of sight of others on the machine.
        ticket: String,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Report what is wrong with the unit's rows, wherever they are (files, PostgreSQL, S3), and exactly what a study would send; sends nothing.
    Check {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Attach the data and take part in studies until stopped.
    Run {
        /// Start under a changed policy that two officers have not signed yet, for a day: why. A ledger that was put back from
        /// a backup takes a reason of its own, with its name in front ("consent.db: REASON", "usage.db: REASON"). Each is
        /// written down.
        #[arg(long, value_name = "REASON", value_parser = reason)]
        break_glass: Vec<String>,
    },
    /// Make the running node read its tables for analysts again, under the new epoch of node.toml; studies go on.
    Refresh {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Show what was spent, reserved and is left, by study, as rho and as (epsilon, delta).
    Budget {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Studies that wait for a decision or run here.
    Studies {
        #[command(subcommand)]
        command: StudiesCommand,
    },
    /// Score the unit's own customers with a released model; nothing about them is sent. Who objected or did not agree is suppressed.
    Score {
        /// NAME (newest published version) or NAME@VERSION.
        #[arg(long, value_name = "NAME")]
        model: String,
        /// Declared purpose of the scores; may be left out where one alone scores.
        #[arg(long, value_name = "PURPOSE")]
        purpose: Option<String>,
        /// Who reviews the decisions that follow: one of [people.reviewers]; needed where they weigh heavily on people.
        #[arg(long, value_name = "NAME")]
        reviewer: Option<Name>,
        /// New file, CSV or Parquet by its name (.csv, .parquet); readable for its owner alone.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
        /// Strongest contributions to name for each customer.
        #[arg(long, default_value_t = 3, value_name = "COUNT")]
        reasons: usize,
        /// Print a JSON summary.
        #[arg(long)]
        json: bool,
    },
    /// Write down what a reviewer made of a file of scores: how many decisions were looked at and changed, and how long that took.
    #[command(
        after_help = "Example:\n  aquifer-node review scores.csv --reviewed 120 --overridden 4 --minutes 90 --dir north"
    )]
    Review(Review),
    /// Consent, objections and withdrawals of the unit's customers: imports, and what the desk does for one person.
    Consent {
        #[command(subcommand)]
        command: ConsentCommand,
    },
    /// What a person may ask of the unit: access, a copy, an objection, an erasure.
    Rights {
        #[command(subcommand)]
        command: RightsCommand,
    },
    /// The key under which ledgers and secret files of this directory are encrypted.
    Keys {
        #[command(subcommand)]
        command: KeysCommand,
    },
    /// Rule packs in force at this unit: those of node.toml before those that come along.
    Laws {
        #[command(subcommand)]
        command: LawsCommand,
    },
    /// What would be decided if: made-up cases under this unit's packs and purposes.
    Policy {
        #[command(subcommand)]
        command: PolicyCommand,
    },
    /// How far the ledger is, who has seen how much of it, and ways out where it is locked.
    Ledger {
        #[command(subcommand)]
        command: LedgerCommand,
    },
    /// The node's transparency log, what it signed of the coordinator's, and evidence where the two do not go together.
    History {
        #[command(subcommand)]
        command: HistoryCommand,
    },
    /// What the unit shows its auditors.
    Audit {
        #[command(subcommand)]
        command: AuditCommand,
    },
    /// Documents of the unit, out of its own history alone.
    Facts {
        #[command(subcommand)]
        command: FactsCommand,
    },
    /// Print a completion script for a shell.
    Completions {
        /// The shell.
        shell: Shell,
    },
}

#[derive(Debug, Subcommand)]
enum StudiesCommand {
    /// List them.
    List {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Approve a study that waits: budget is set aside, rounds may start.
    Approve {
        /// Name, hash, or a start of the hash (6 digits or more).
        study: String,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Refuse a study that waits, or withdraw from one that runs.
    Refuse {
        /// Name, hash, or a start of the hash (6 digits or more).
        study: String,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Subcommand)]
enum LedgerCommand {
    /// Entries, lock, the coordinator's mirror, positions of other members' ledgers.
    Show {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Get back lost entries from the coordinator's mirror or from a newer copy of the ledger, or make a lost witness anew.
    Adopt {
        /// The newer copy; without it the coordinator is asked.
        file: Option<PathBuf>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Give up all that is left under every cap.
    WriteOff {
        /// Really.
        #[arg(long)]
        yes: bool,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Subcommand)]
enum HistoryCommand {
    /// Size, checkpoints, the newest entries, and what speaks against the coordinator's history, if anything does.
    #[command(
        after_help = "Examples:\n  aquifer-node history show\n  aquifer-node history show --keys"
    )]
    Show {
        /// The keys by which an auditor checks the coordinator's log and this unit's own, instead (C2SP tlog-policy).
        #[arg(long)]
        keys: bool,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

/// Carries out a command.
#[must_use]
pub fn run(arguments: &Arguments) -> ExitCode {
    let directory = &arguments.dir;
    if let Command::Check { json } = arguments.command {
        let checked = at_rest::check(directory)
            .and_then(|()| Ok(NodeConfig::load(directory)?))
            .and_then(|config| check_command::run(&config, directory, json));
        return checked.unwrap_or_else(|error| finish(Err(error)));
    }
    let ended = match arguments.command {
        Command::Completions { .. } => carry_out(&arguments.command, directory),
        _ => at_rest::check(directory).and_then(|()| carry_out(&arguments.command, directory)),
    };
    finish(sort(ended, arguments.command.json()))
}

fn carry_out(command: &Command, directory: &Path) -> anyhow::Result<Outcome> {
    match command {
        Command::Join { ticket, json } => join_command::run(ticket, directory, *json),
        Command::Check { .. } => unreachable!("carried out by run"),
        Command::Run { break_glass } => match Glass::parse(break_glass) {
            Ok(glass) => stopped(serve::run(directory, &glass)?),
            Err(none) => refuse(false, "break-glass", &none.to_string()),
        },
        Command::Refresh { json } => refresh_command::run(directory, *json),
        Command::Budget { json } => unit_commands::run(directory, &Query::Budget, *json),
        Command::Studies { command } => {
            let (query, json) = command.query();
            unit_commands::run(directory, &query, json)
        }
        Command::Score {
            model,
            purpose,
            reviewer,
            out,
            reasons,
            json,
        } => {
            let (reasons, json) = (*reasons, *json);
            score_command::run(
                directory,
                &Scoring {
                    model,
                    purpose: purpose.as_deref(),
                    reviewer: reviewer.as_ref(),
                    out,
                    reasons,
                    json,
                },
            )
        }
        Command::Review(review) => review_command::run(directory, review),
        Command::Consent { command } => consent::run(directory, command),
        Command::Rights { command } => rights::run(directory, command),
        Command::Audit { command } => audit::run(directory, command),
        Command::Facts { command } => facts_command::run(directory, command),
        Command::Keys { command } => keys_command::run(
            directory,
            &at_rest::config(directory)?,
            command,
            CONFIG_FILE,
        ),
        Command::Laws { command } => law_command::laws(directory, command),
        Command::Policy { command } => law_command::policy(directory, command),
        Command::Ledger { command } => ledger(command, directory),
        Command::History {
            command: HistoryCommand::Show { keys: true, json },
        } => history_command::keys(directory, *json),
        Command::History {
            command: HistoryCommand::Show { json, .. },
        } => history_command::show(directory, *json),
        Command::Completions { shell } => {
            let mut command = Arguments::command();
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut command, "aquifer-node", &mut script);
            aquifer_shared::shell::report::print(&String::from_utf8_lossy(&script))?;
            Ok(Outcome::Done)
        }
    }
}

fn ledger(command: &LedgerCommand, directory: &Path) -> anyhow::Result<Outcome> {
    match command {
        LedgerCommand::Show { json } => ledger_view::show(directory, *json),
        LedgerCommand::Adopt { file, json } => {
            ledger_command::adopt(directory, file.as_deref(), *json)
        }
        LedgerCommand::WriteOff { yes, json } => ledger_command::write_off(directory, *yes, *json),
    }
}

impl Command {
    /// Whether a program reads the answer.
    fn json(&self) -> bool {
        match self {
            Self::Join { json, .. }
            | Self::Check { json }
            | Self::Refresh { json }
            | Self::Budget { json }
            | Self::Score { json, .. } => *json,
            Self::Review(review) => review.json,
            Self::Studies { command } => command.query().1,
            Self::Consent { command } => command.json(),
            Self::Rights { command } => command.json(),
            Self::Audit { command } => command.json(),
            Self::Facts { command } => command.json(),
            Self::Keys { command } => command.json(),
            Self::History {
                command: HistoryCommand::Show { json, .. },
            } => *json,
            Self::Laws { command } => command.json(),
            Self::Policy { command } => command.json(),
            Self::Ledger { command } => match command {
                LedgerCommand::Show { json }
                | LedgerCommand::Adopt { json, .. }
                | LedgerCommand::WriteOff { json, .. } => *json,
            },
            Self::Run { .. } | Self::Completions { .. } => false,
        }
    }
}

impl StudiesCommand {
    fn query(&self) -> (Query, bool) {
        let decide = |study: &String, approve| Query::Decide {
            study: study.clone(),
            approve,
        };
        match self {
            Self::List { json } => (Query::Studies, *json),
            Self::Approve { study, json } => (decide(study, true), *json),
            Self::Refuse { study, json } => (decide(study, false), *json),
        }
    }
}

fn stopped(stopped: Stopped) -> anyhow::Result<Outcome> {
    match stopped {
        Stopped::Asked => Ok(Outcome::Done),
        Stopped::NoSession(fault) => Err(fault.into()),
        Stopped::Distrust(Distrust::Fork(fork)) => Err(RefusedHistory::Fork(fork).into()),
        Stopped::Distrust(Distrust::Own { signed, entries }) => {
            Err(RefusedHistory::Own { signed, entries }.into())
        }
        Stopped::Distrust(Distrust::PutBack(put_back)) => Err(put_back.into()),
        Stopped::RunOut(fault) => Err(fault.into()),
        Stopped::Unfit => anyhow::bail!(
            "the ledger cannot be written: nothing was sent since; free space or repair the disk, then start the node again"
        ),
    }
}

/// Tells what the rules refuse (exit code 1) from what failed (2).
fn sort(ended: anyhow::Result<Outcome>, json: bool) -> anyhow::Result<Outcome> {
    match ended {
        Err(error) => match refusal(&error) {
            Some(code) => refuse(json, code, &chain(&error)),
            None => Err(error),
        },
        ended => ended,
    }
}

/// The code of an error that is a refusal.
fn refusal(error: &anyhow::Error) -> Option<&'static str> {
    if let Some(fault) = refusal_in(error) {
        return Some(match fault {
            AtRestFault::Plain { .. } => "at-rest",
            _ => "permissions",
        });
    }
    if let Some(fault) = error.downcast_ref::<StoreFault>() {
        return fault.is_refusal().then_some("ledger");
    }
    if error.is::<RefusedHistory>() {
        return Some("history");
    }
    if error.is::<NotVerified>() {
        return Some("log");
    }
    if let Some(fault) = error.downcast_ref::<HistoryFault>() {
        return fault.is_refusal().then_some("history");
    }
    if error.is::<PolicyFault>() {
        return Some("policy");
    }
    if let Some(put_back) = error.downcast_ref::<PutBack>() {
        return Some(put_back.code());
    }
    if let Some(said) = error.downcast_ref::<SaidPutBack>() {
        return Some(said.code());
    }
    if let Some(fault) = error.downcast_ref::<JoinFault>() {
        return fault.is_refusal().then_some("ticket");
    }
    let link = match error.downcast_ref::<LinkFault>() {
        Some(LinkFault::Program(_)) => return Some("program"),
        Some(LinkFault::Link(link)) => Some(link),
        _ => error.downcast_ref::<LinkError>(),
    };
    let refused = |link: &LinkError| matches!(link, LinkError::Closed(_) | LinkError::Ours(_));
    link.is_some_and(refused).then_some("connection")
}

const EXAMPLES: &str = "\
Examples:
  aquifer-node join - --dir north < north.ticket   make keys and a commented node.toml
  aquifer-node check --dir north              look at the rows, send nothing
  aquifer-node run --dir north                take part until stopped
  aquifer-node refresh --dir north            read the tables for analysts again, as another epoch
  aquifer-node score --model churn --out scores.csv --dir north
  aquifer-node budget --dir north --json      what was spent, reserved, left
  aquifer-node consent import crm.csv --map crm.toml --dry-run
  aquifer-node rights access --subject - --out pack
  aquifer-node policy check --what-if case.toml
  aquifer-node studies approve churn-1        where node.toml says approval = \"person\"

Exit codes: 0 done, 1 refused, 2 failed. Logs: AQUIFER_LOG (filter), AQUIFER_LOG_FORMAT (text or json).";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn the_directory_may_come_after_the_command() {
        let arguments = Arguments::parse_from(["aquifer-node", "budget", "--dir", "north"]);
        assert_eq!(arguments.dir, Path::new("north"));
    }
}
