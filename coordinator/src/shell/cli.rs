//! The command line of `aquifer-coordinator`.

use std::fs::File;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use aquifer_shared::base::ids::{Name, Role};
use aquifer_shared::base::time::Timestamp;
use aquifer_shared::domain::law::Place;
use aquifer_shared::protocol::ticket::{Ticket, secret_hash};
use aquifer_shared::shell::at_rest::refusal_in;
use aquifer_shared::shell::keys::{fingerprint, random_bytes32};
use aquifer_shared::shell::keys_command::{self, KeysCommand};
use aquifer_shared::shell::laws_view::broken;
use aquifer_shared::shell::policy_record::{PolicyFault, reason};
use aquifer_shared::shell::report::{
    Outcome, Table, chain, finish, note, print, print_json, refuse,
};
use clap::{Args, CommandFactory, Parser, Subcommand};
use clap_complete::Shell;
use serde_json::json;

use super::clock::now;
use super::config::{Address, Config};
use super::exceptions;
use super::home::{CONFIG, Home, HomeFault};
use super::lawful::{LawConfig, PURPOSES};
use super::serve::serve;
use super::sql_password::{give, withdraw};
use super::store::{Party, Ticketed};

const EXAMPLES: &str = "Examples:
  aquifer-coordinator init --dir central --address central.example.com:7400
  aquifer-coordinator serve --dir central
  aquifer-coordinator invite north --role node --dir central > north.ticket
  aquifer-coordinator revoke north --dir central

Exit codes: 0 done, 1 refused by a rule, 2 failed.";

/// Plans rounds, adds up what it may see, publishes releases.
#[derive(Debug, Parser)]
#[command(name = "aquifer-coordinator", version, after_help = EXAMPLES)]
pub struct Arguments {
    /// The coordinator's directory: authority, keys, configuration, store.
    #[arg(
        long,
        global = true,
        env = "AQUIFER_COORDINATOR_DIR",
        default_value = ".",
        value_name = "DIR"
    )]
    dir: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make authority, keys, a commented configuration and an empty store.
    Init(Init),
    /// Serve nodes and people until stopped.
    Serve {
        /// Start under a changed policy that two officers have not signed yet, for a day: why. It is written down.
        #[arg(long, value_name = "REASON", value_parser = reason)]
        break_glass: Option<String>,
        /// Print the addresses as one JSON line once both endpoints are open.
        #[arg(long)]
        json: bool,
    },
    /// The policy: coordinator.toml but for addresses and places of files, purposes and packs.
    Policy {
        #[command(subcommand)]
        command: PolicyCommand,
    },
    /// Print a one-time ticket for a node or a person.
    Invite(Invite),
    /// Make a party's certificates worthless; its live connections are closed.
    Revoke {
        /// Its name.
        name: Name,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Give an analyst a password for SQL clients, or take it back.
    SqlPassword(SqlPassword),
    /// The key under which the store and secret files of this directory are encrypted.
    Keys {
        #[command(subcommand)]
        command: KeysCommand,
    },
    /// List exceptions for screened uses, who is missing, and the key of this site that they name.
    Exceptions {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// List nodes and people.
    Nodes {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Print a completion script for a shell.
    Completions {
        /// The shell.
        shell: Shell,
    },
}

#[derive(Debug, Subcommand)]
enum PolicyCommand {
    /// Print the digest that officers sign with `aquifer policy sign`, who signed it, and what is accepted.
    #[command(
        after_help = "Example:\n  aquifer-coordinator policy status --dir central\n\nOfficers are those of `[law]` in the policy that was accepted."
    )]
    Status {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Args, Debug)]
struct Init {
    /// Where nodes and people reach the coordinator: HOST:PORT.
    #[arg(long, value_name = "HOST:PORT")]
    address: Address,
    /// Where newcomers reach it; the next port if left out.
    #[arg(long, value_name = "HOST:PORT")]
    address_join: Option<Address>,
    /// Address to listen on for nodes and people.
    #[arg(long, value_name = "IP:PORT")]
    listen: Option<std::net::SocketAddr>,
    /// Address to listen on for newcomers.
    #[arg(long, value_name = "IP:PORT")]
    listen_join: Option<std::net::SocketAddr>,
    /// Address to listen on for SQL clients; none if left out.
    #[arg(long, value_name = "IP:PORT")]
    listen_sql: Option<std::net::SocketAddr>,
    /// Address to listen on for HTTPS clients; none if left out.
    #[arg(long, value_name = "IP:PORT")]
    listen_https: Option<std::net::SocketAddr>,
    /// Database: sqlite://FILE (in the directory) or postgres://...
    #[arg(long, value_name = "URL")]
    store: Option<String>,
    /// Country or region (DE, US-CA) where the coordinator is and customers live: starts [law] and purposes.toml; studies of real data
    /// need them.
    #[arg(long, value_name = "PLACE")]
    place: Option<Place>,
    /// Name in the server's certificate.
    #[arg(long, value_name = "NAME")]
    server_name: Option<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Args, Debug)]
struct SqlPassword {
    /// The analyst's name.
    name: Name,
    /// How long it is good: a number with m, h or d.
    #[arg(long, default_value = "90d", value_parser = parse_duration_ms, value_name = "TIME")]
    expires_in: u64,
    /// Take it back; connections that came with it are closed.
    #[arg(long)]
    withdraw: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Args, Debug)]
struct Invite {
    /// Name of the node or person: letters, digits, '.', '_', '-'.
    name: Name,
    /// node, operator, approver, analyst, auditor or dpo.
    #[arg(long)]
    role: Role,
    /// How long the ticket is good: a number with m, h or d.
    #[arg(long, default_value = "24h", value_parser = parse_duration_ms, value_name = "TIME")]
    expires_in: u64,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Runs a command; the exit code of the process.
#[must_use]
pub fn run(arguments: Arguments) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    let ended = runtime
        .context("could not start the runtime")
        .and_then(|runtime| runtime.block_on(dispatch(arguments)));
    finish(ended)
}

async fn dispatch(arguments: Arguments) -> anyhow::Result<Outcome> {
    let dir = arguments.dir;
    match arguments.command {
        Command::Init(init) => create(dir, init).await,
        Command::Serve { break_glass, json } => match load(dir, json)? {
            Ok(home) => sort(serve(home, break_glass.as_deref(), json).await, json),
            Err(no) => Ok(no),
        },
        Command::Policy {
            command: PolicyCommand::Status { json },
        } => match load(dir, json)? {
            Ok(home) => broken(json, home.policy_status(json).await),
            Err(no) => Ok(no),
        },
        Command::Invite(invite) => match load(dir, invite.json)? {
            Ok(home) => give_ticket(&home, invite).await,
            Err(no) => Ok(no),
        },
        Command::Revoke { name, json } => match load(dir, json)? {
            Ok(home) => revoke(&home, &name, json).await,
            Err(no) => Ok(no),
        },
        Command::SqlPassword(asked) => match load(dir, asked.json)? {
            Ok(home) if asked.withdraw => withdraw(&home, &asked.name, asked.json).await,
            Ok(home) => give(&home, &asked.name, asked.expires_in, asked.json).await,
            Err(no) => Ok(no),
        },
        Command::Keys { command } => match load(dir, command.json())? {
            Ok(home) => keys_command::run(&home.dir, &home.config.at_rest, &command, CONFIG),
            Err(no) => Ok(no),
        },
        Command::Exceptions { json } => match load(dir, json)? {
            Ok(home) => exceptions::list(&home, json),
            Err(no) => Ok(no),
        },
        Command::Nodes { json } => match load(dir, json)? {
            Ok(home) => nodes(&home, json).await,
            Err(no) => Ok(no),
        },
        Command::Completions { shell } => {
            let (mut command, mut script) = (Arguments::command(), Vec::new());
            clap_complete::generate(shell, &mut command, "aquifer-coordinator", &mut script);
            print(&String::from_utf8_lossy(&script))?;
            Ok(Outcome::Done)
        }
    }
}

/// A start under a policy that is not in force, or on files that are not its own, is refused by a rule; it did not fail.
fn sort(ended: anyhow::Result<Outcome>, json: bool) -> anyhow::Result<Outcome> {
    match ended {
        Err(error) if error.is::<PolicyFault>() => refuse(json, "policy", &chain(&error)),
        Err(error) if refusal_in(&error).is_some() => refuse(json, "at-rest", &chain(&error)),
        ended => ended,
    }
}

/// A coordinator's home, or the refusal to work without one.
fn load(dir: PathBuf, json: bool) -> anyhow::Result<Result<Home, Outcome>> {
    let dir = std::path::absolute(&dir).unwrap_or(dir);
    Ok(Ok(match Home::load(&dir) {
        Ok(home) => home,
        Err(fault) => return no_home(fault, json).map(Err),
    }))
}

fn no_home(fault: HomeFault, json: bool) -> anyhow::Result<Outcome> {
    match fault.is_refusal() {
        true => refuse(json, "home", &format!("{:#}", anyhow::Error::from(fault))),
        false => Err(fault.into()),
    }
}

/// Writes the purposes to start from, unless there are some.
fn start_purposes(path: &Path) -> anyhow::Result<()> {
    let could_not = || format!("could not write {}", path.display());
    match File::create_new(path) {
        Ok(mut file) => file.write_all(STARTING.as_bytes()).with_context(could_not),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error).with_context(could_not),
    }
}

/// Purposes of the documents' first studies.
const STARTING: &str = include_str!("../../../shared/laws/examples/start.toml");

async fn create(dir: PathBuf, init: Init) -> anyhow::Result<Outcome> {
    let Some(address_join) = init.address_join.or_else(|| init.address.next_port()) else {
        let why = "--address has the highest port: state --address-join as well";
        return refuse(init.json, "address", why);
    };
    let mut config = Config::new(init.address, address_join);
    config.listen = init.listen.unwrap_or(config.listen);
    config.listen_join = init.listen_join.unwrap_or(config.listen_join);
    config.listen_sql = init.listen_sql;
    config.listen_https = init.listen_https;
    if let Some(store) = init.store {
        config.store = store.try_into()?;
    }
    if let Some(name) = init.server_name {
        config.server_name = name.try_into()?;
    }
    config.law = init.place.map(|place| LawConfig::at(place.as_str()));
    let dir = std::path::absolute(&dir).unwrap_or(dir);
    let home = match Home::create(&dir, &config, now()).await {
        Ok(home) => home,
        Err(fault) => return no_home(fault, init.json),
    };
    if home.config.law.is_some() {
        start_purposes(&home.dir.join(PURPOSES))?;
    }
    let release = fingerprint(&home.release.public());
    if init.json {
        print_json(&json!({"directory": home.dir, "release_key": release}))?;
        return Ok(Outcome::Done);
    }
    print(&format!(
        "made authority, keys, coordinator.toml and an empty store in {}\nrelease key {release}\n",
        home.dir.display(),
    ))?;
    note("next: aquifer-coordinator serve, then aquifer-coordinator invite NAME --role node");
    Ok(Outcome::Done)
}

async fn give_ticket(home: &Home, invite: Invite) -> anyhow::Result<Outcome> {
    let store = home.store().await?;
    let known = store
        .parties()
        .await?
        .into_iter()
        .find(|party| party.name == invite.name);
    if let Some(party) = known.filter(|party| !party.revoked) {
        let why = format!(
            "{} is registered already as {}; revoke it first, or choose another name",
            party.name, party.role
        );
        return refuse(invite.json, "taken", &why);
    }
    let ticket = Ticket {
        address: home.config.address.as_str().to_owned(),
        address_join: home.config.address_join.as_str().to_owned(),
        server_name: home.config.server_name.as_str().to_owned(),
        name: invite.name.clone(),
        role: invite.role,
        ca_certificate: home.authority.certificate().to_vec(),
        release_key: home.release.public(),
        secret: random_bytes32()?,
        expires: now().after_ms(invite.expires_in),
    };
    let text = ticket.to_text()?;
    let kept = Ticketed {
        name: invite.name,
        role: invite.role,
        expires: ticket.expires,
        used_by: None,
    };
    store.add_ticket(secret_hash(&ticket.secret), &kept).await?;
    store
        .audit(now(), "console", "invite", kept.name.as_str())
        .await?;
    store.close().await;
    let release = fingerprint(&ticket.release_key);
    if invite.json {
        print_json(&json!({
            "ticket": text, "name": kept.name, "role": kept.role, "expires_ms": kept.expires.0, "release_key": release,
        }))?;
        return Ok(Outcome::Done);
    }
    print(&format!("{text}\n"))?;
    let join = match kept.role {
        Role::Node => "aquifer-node join",
        _ => "aquifer join",
    };
    note(&format!(
        "good once, for {} as {}: hand it over like a password, for `{join} -`, which reads it\n\
         then compare by voice the fingerprint that it prints with `aquifer-coordinator nodes`\n\
         release key {release}",
        kept.name, kept.role
    ));
    Ok(Outcome::Done)
}

async fn revoke(home: &Home, name: &Name, json: bool) -> anyhow::Result<Outcome> {
    let store = home.store().await?;
    let found = store.revoke(name).await?;
    store
        .audit(now(), "console", "revoke", name.as_str())
        .await?;
    store.close().await;
    if !found {
        let why = format!("there is no party {name}; aquifer-coordinator nodes lists them");
        return refuse(json, "unknown", &why);
    }
    if json {
        print_json(&json!({"revoked": name}))?;
        return Ok(Outcome::Done);
    }
    print(&format!(
        "{name} is revoked; a running coordinator closes its connections now\n"
    ))?;
    Ok(Outcome::Done)
}

async fn nodes(home: &Home, as_json: bool) -> anyhow::Result<Outcome> {
    let store = home.store().await?;
    let parties = store.parties().await?;
    let mirrors = store.mirror_positions().await?;
    store.close().await;
    let mirror_of = |party: &Party| mirrors.get(&party.identity).copied().unwrap_or(0);
    if as_json {
        let all: Vec<_> = parties
            .iter()
            .map(|party| {
                json!({
                    "name": party.name, "role": party.role, "identity": party.identity.to_string(),
                    "revoked": party.revoked, "certificate_until_ms": party.certificate_until.0,
                    "last_seen_ms": party.last_seen.0, "ledger_seq": party.ledger_seq,
                    "mirror_seq": mirror_of(party), "software": party.software,
                })
            })
            .collect();
        print_json(&all)?;
        return Ok(Outcome::Done);
    }
    let mut table = Table::new(&[
        "name",
        "role",
        "state",
        "last seen",
        "ledger",
        "mirror",
        "identity",
    ]);
    for party in parties {
        let state = if party.revoked {
            "revoked"
        } else {
            "registered"
        };
        let mirror = mirror_of(&party);
        table.row([
            party.name.to_string(),
            party.role.to_string(),
            state.to_owned(),
            ago(party.last_seen),
            party.ledger_seq.to_string(),
            mirror.to_string(),
            fingerprint(&party.identity),
        ]);
    }
    table.print()?;
    Ok(Outcome::Done)
}

fn ago(then: Timestamp) -> String {
    if then == Timestamp::default() {
        return "never".to_owned();
    }
    let seconds = now().since_ms(then) / 1_000;
    match seconds {
        0..60 => format!("{seconds} s ago"),
        60..3_600 => format!("{} min ago", seconds / 60),
        3_600..172_800 => format!("{} h ago", seconds / 3_600),
        _ => format!("{} days ago", seconds / 86_400),
    }
}

/// Milliseconds of `90m`, `24h` or `7d`; at most a year.
///
/// # Errors
///
/// Another text, with what was expected.
pub fn parse_duration_ms(text: &str) -> Result<u64, String> {
    let unit_ms = match text.chars().last() {
        Some('m') => 60_000,
        Some('h') => 3_600_000,
        Some('d') => 86_400_000,
        _ => return Err("expected a number followed by m, h or d, such as 24h".to_owned()),
    };
    let count: u64 = text[..text.len() - 1]
        .parse()
        .map_err(|_| "expected a whole number before the unit".to_owned())?;
    let year = 366 * 86_400_000;
    count
        .checked_mul(unit_ms)
        .filter(|ms| (1..=year).contains(ms))
        .ok_or_else(|| "expected between a minute and a year".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn lives_of_tickets() {
        assert_eq!(parse_duration_ms("90m"), Ok(5_400_000));
        assert_eq!(parse_duration_ms("7d"), Ok(604_800_000));
        for bad in ["", "h", "0h", "-1h", "1y", "999999999999999999d", "24"] {
            assert!(parse_duration_ms(bad).is_err(), "{bad}");
        }
    }
}
