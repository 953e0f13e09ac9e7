//! `aquifer token`: tokens for the HTTPS door. A token is made here; the coordinator hears its hash alone.

use anyhow::Context as _;
use aquifer_shared::base::ids::{Name, Role};
use aquifer_shared::protocol::ask::{Request, Response, TokenEntry};
use aquifer_shared::protocol::token::{token_hash, token_text};
use aquifer_shared::shell::keys::random_bytes32;
use aquifer_shared::shell::report::{self, Outcome, Table};
use serde_json::{Value, json};

use crate::args::TokenCommand;
use crate::client::{Session, not_expected};
use crate::show::moment;

/// Makes, lists or revokes tokens.
///
/// # Errors
///
/// The coordinator cannot be asked, or there is no randomness.
pub(crate) async fn run(session: &Session, command: &TokenCommand) -> anyhow::Result<Outcome> {
    match command {
        TokenCommand::Issue {
            name,
            role,
            expires_in,
        } => issue(session, name, *role, *expires_in).await,
        TokenCommand::List => list(session).await,
        TokenCommand::Revoke { name, owner } => {
            let (owner, name) = (owner.clone(), name.clone());
            match session.ask(Request::TokenRevoke { owner, name }).await? {
                Response::Done(text) if session.json => {
                    report::print_json(&json!({"done": text}))?;
                    Ok(Outcome::Done)
                }
                Response::Done(text) => {
                    report::print(&format!("{}\n", report::printable(&text)))?;
                    Ok(Outcome::Done)
                }
                other => not_expected(other, session.json),
            }
        }
    }
}

async fn issue(
    session: &Session,
    name: &Name,
    role: Option<Role>,
    life_ms: u64,
) -> anyhow::Result<Outcome> {
    let role = match role {
        Some(role) => role,
        None => session.identity()?.certificate().role,
    };
    let token = token_text(&random_bytes32()?);
    let request = Request::TokenIssue {
        name: name.clone(),
        role,
        hash: token_hash(token.expose()).context("a token that is none")?,
        life_ms,
    };
    let kept = match session.ask(request).await? {
        Response::Tokens(kept) => kept,
        other => return not_expected(other, session.json),
    };
    let kept = kept.first().context("the coordinator kept no token")?;
    if session.json {
        let mut shown = entry_json(kept);
        shown["token"] = json!(token.expose());
        report::print_json(&shown)?;
        return Ok(Outcome::Done);
    }
    report::print(&format!("{}\n", token.expose()))?;
    report::note(&format!(
        "token {} of {} with role {}, good until {}; shown this once: keep it like a password",
        kept.name,
        kept.owner,
        kept.role,
        moment(kept.expires)
    ));
    Ok(Outcome::Done)
}

async fn list(session: &Session) -> anyhow::Result<Outcome> {
    let tokens = match session.ask(Request::TokenList).await? {
        Response::Tokens(tokens) => tokens,
        other => return not_expected(other, session.json),
    };
    if session.json {
        report::print_json(&tokens.iter().map(entry_json).collect::<Vec<_>>())?;
        return Ok(Outcome::Done);
    }
    let mut table = Table::new(&["OWNER", "NAME", "ROLE", "STATE", "MADE", "GOOD UNTIL"]);
    for token in &tokens {
        table.row([
            token.owner.to_string(),
            token.name.to_string(),
            token.role.to_string(),
            if token.good { "good" } else { "worthless" }.to_owned(),
            moment(token.issued),
            moment(token.expires),
        ]);
    }
    table.print()?;
    Ok(Outcome::Done)
}

fn entry_json(token: &TokenEntry) -> Value {
    json!({
        "owner": token.owner,
        "name": token.name,
        "role": token.role,
        "issued_ms": token.issued.0,
        "expires_ms": token.expires.0,
        "good": token.good,
    })
}
