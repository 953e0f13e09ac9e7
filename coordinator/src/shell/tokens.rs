//! Tokens of HTTPS clients: people make them for themselves, operators see and revoke everybody's.

use aquifer_shared::base::ids::{Hash32, Name, Role};
use aquifer_shared::base::limits::{TOKEN_LIFE_MS_MAX, TOKENS_PER_PARTY_MAX};
use aquifer_shared::base::time::Timestamp;
use aquifer_shared::protocol::ask::{Request, Response, TokenEntry};

use super::clock::now;
use super::hub::Hub;
use super::requests::{refused, unknown};
use super::store::{Party, StoreFault, Token};

impl Token {
    /// Whether it may be used now, by what the registry says of its owner.
    #[must_use]
    pub fn is_good(&self, owner: Option<&Party>, now: Timestamp) -> bool {
        let same = |owner: &Party| {
            let role = self.role == owner.role || self.role == Role::Auditor;
            owner.identity == self.identity && !owner.revoked && role
        };
        self.expires > now && owner.is_some_and(same)
    }

    fn entry(&self, good: bool) -> TokenEntry {
        TokenEntry {
            owner: self.owner.clone(),
            name: self.name.clone(),
            role: self.role,
            issued: self.issued,
            expires: self.expires,
            good,
        }
    }
}

impl Hub {
    /// Answers what is asked about tokens.
    pub(super) async fn tokens(
        &self,
        party: &Party,
        request: Request,
    ) -> Result<Response, StoreFault> {
        match request {
            Request::TokenIssue {
                name,
                role,
                hash,
                life_ms,
            } => self.issue_token(party, name, role, hash, life_ms).await,
            Request::TokenRevoke { owner, name } => self.revoke_token(party, owner, name).await,
            _ => self.list_tokens(party).await,
        }
    }

    /// Keeps a token that the asker has made.
    async fn issue_token(
        &self,
        party: &Party,
        name: Name,
        role: Role,
        hash: Hash32,
        life_ms: u64,
    ) -> Result<Response, StoreFault> {
        if role != party.role && role != Role::Auditor {
            let text = format!(
                "role {role} is more than {} may give away, expected {} or auditor",
                party.name, party.role
            );
            return Ok(refused("role", text));
        }
        if !(1..=TOKEN_LIFE_MS_MAX).contains(&life_ms) {
            let days = TOKEN_LIFE_MS_MAX / 86_400_000;
            let text = format!("a token is good for at most {days} days");
            return Ok(refused("life", text));
        }
        let all = self.store.tokens().await?;
        let own = all.iter().filter(|token| token.owner == party.name);
        let good = own.filter(|token| token.is_good(Some(party), now()));
        let good = good.count();
        if good >= TOKENS_PER_PARTY_MAX {
            let text = format!("{} has {good} tokens already; revoke some", party.name);
            return Ok(refused("busy", text));
        }
        let issued = now();
        let token = Token {
            hash,
            owner: party.name.clone(),
            name,
            identity: party.identity,
            role,
            issued,
            expires: issued.after_ms(life_ms),
        };
        if !self.store.add_token(&token, issued).await? {
            let text = format!(
                "{} has a token {} already; revoke it first, or take another name",
                token.owner, token.name
            );
            return Ok(refused("taken", text));
        }
        let (who, subject) = (party.name.as_str(), token.name.as_str());
        let audited = self.store.audit(issued, who, "token-issue", subject);
        audited.await?;
        Ok(Response::Tokens(vec![token.entry(true)]))
    }

    /// The asker's own tokens, or everybody's.
    async fn list_tokens(&self, party: &Party) -> Result<Response, StoreFault> {
        let (parties, at) = (self.store.parties().await?, now());
        let mut tokens = self.store.tokens().await?;
        if party.role != Role::Operator {
            tokens.retain(|token| token.owner == party.name && token.identity == party.identity);
        }
        let entry = |token: &Token| {
            let owner = parties.iter().find(|party| party.name == token.owner);
            token.entry(token.is_good(owner, at))
        };
        Ok(Response::Tokens(tokens.iter().map(entry).collect()))
    }

    /// Forgets a token.
    async fn revoke_token(
        &self,
        party: &Party,
        owner: Option<Name>,
        name: Name,
    ) -> Result<Response, StoreFault> {
        let owner = owner.unwrap_or_else(|| party.name.clone());
        if owner != party.name && party.role != Role::Operator {
            let text = format!("{owner}'s tokens are revoked by {owner} or by an operator");
            return Ok(refused("role", text));
        }
        if !self.store.withdraw_token(&owner, &name).await? {
            return Ok(unknown(&format!("token of {owner}"), name.as_str()));
        }
        let subject = format!("{owner}/{name}");
        let audited = self
            .store
            .audit(now(), party.name.as_str(), "token-revoke", &subject);
        audited.await?;
        Ok(Response::Done(format!(
            "token {name} of {owner} is revoked: requests with it are refused from now on"
        )))
    }
}

#[cfg(test)]
mod tests {
    use aquifer_shared::base::ids::IdentityKey;

    use super::*;

    fn token(role: Role) -> Token {
        Token {
            hash: Hash32([1; 32]),
            owner: "ada".parse().unwrap(),
            name: "notebook".parse().unwrap(),
            identity: IdentityKey([7; 32]),
            role,
            issued: Timestamp(10),
            expires: Timestamp(20),
        }
    }

    fn ada(identity: u8, role: Role, revoked: bool) -> Party {
        Party {
            name: "ada".parse().unwrap(),
            role,
            identity: IdentityKey([identity; 32]),
            fingerprint: Hash32([2; 32]),
            fingerprint_before: Hash32::default(),
            certificate_until: Timestamp(1_000),
            revoked,
            last_seen: Timestamp(0),
            ledger_seq: 0,
            software: String::new(),
        }
    }

    #[track_caller]
    fn check_good(token: &Token, owner: Option<&Party>, now: u64, expected: bool) {
        assert_eq!(token.is_good(owner, Timestamp(now)), expected);
    }

    #[test]
    fn a_token_is_good_until_it_ends_or_its_party_does() {
        let (own, analyst) = (token(Role::Analyst), ada(7, Role::Analyst, false));
        check_good(&own, Some(&analyst), 19, true);
        check_good(&token(Role::Auditor), Some(&analyst), 19, true);
        check_good(&own, Some(&analyst), 20, false);
        check_good(&own, None, 19, false);
        check_good(&own, Some(&ada(7, Role::Analyst, true)), 19, false);
        check_good(&own, Some(&ada(8, Role::Analyst, false)), 19, false);
        check_good(&own, Some(&ada(7, Role::Auditor, false)), 19, false);
        check_good(&token(Role::Operator), Some(&analyst), 19, false);
    }
}
