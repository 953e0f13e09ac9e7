//! Who asks: the party behind a request's token, as the registry knows it now.

use std::sync::Arc;

use aquifer_shared::base::ids::{Name, Role};
use aquifer_shared::protocol::token::token_hash;
use axum::extract::FromRequestParts;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;

use super::Shared;
use super::listed::broken;
use crate::core::http::Problem;
use crate::shell::places::Place;
use crate::shell::store::Party;
use crate::shell::strangers;

/// Somebody with a good token.
pub(super) struct Asker {
    /// Who.
    pub party: Party,
    /// What the token may be used for at most.
    pub role: Role,
    /// Its place among the party's requests; it stays taken until what was begun has ended.
    _place: Place<Name>,
}

impl Asker {
    /// Only those whose party and whose token have this role.
    ///
    /// # Errors
    ///
    /// A lower role, with whom to ask.
    pub(super) fn require(&self, role: Role) -> Result<(), Problem> {
        if self.party.role == role && self.role == role {
            return Ok(());
        }
        let found = format!(
            "the token has role {}, its party {}; expected {role} for both",
            self.role, self.party.role
        );
        let hint = "let someone with that role make a token: aquifer token issue";
        Err(Problem::state("42501", found, hint))
    }
}

impl FromRequestParts<Arc<Shared>> for Asker {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, shared: &Arc<Shared>) -> Result<Self, Problem> {
        let mut sent = parts.headers.get_all(AUTHORIZATION).iter();
        let (Some(first), None) = (sent.next(), sent.next()) else {
            return Err(no_token(
                "expected one header Authorization with a bearer token",
            ));
        };
        let text = first.to_str().unwrap_or_default();
        let (scheme, text) = text.split_once(' ').unwrap_or_default();
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Err(no_token("expected the scheme Bearer"));
        }
        let hash = token_hash(text.trim()).ok_or_else(worthless)?;
        let front = &shared.front;
        let token = front.store.token(&hash).await.map_err(broken)?;
        let token = token.ok_or_else(worthless)?;
        let party = front.registry.named(&token.owner).await;
        let good = token.is_good(party.as_ref(), front.platform.now());
        let party = party.filter(|_| good).ok_or_else(worthless)?;
        let many = || {
            let text = format!("{} has too many requests at a time", token.owner);
            Problem::state("53400", text, "wait for answers before you ask for more")
        };
        let place = shared.running.take(&party.name).ok_or_else(many)?;
        if let Some(connection) = parts.extensions.get::<Arc<strangers::Place>>() {
            connection.keep();
        }
        Ok(Self {
            party,
            role: token.role,
            _place: place,
        })
    }
}

fn no_token(found: &str) -> Problem {
    Problem::state("28000", found, HINT)
}

/// The same words whatever is wrong with it.
fn worthless() -> Problem {
    no_token("the token is unknown, revoked or expired, or its party is no longer registered")
}

const HINT: &str = "make a token: aquifer token issue NAME";
