//! Tokens of HTTPS clients: never a token, only a hash of it.

use aquifer_shared::base::ids::{Hash32, IdentityKey, Name, Role};
use aquifer_shared::base::time::Timestamp;
use aws_lc_rs::constant_time::verify_slices_are_equal;
use sqlx::any::AnyRow;

use super::registry::{number, text};
use super::{Store, StoreFault, fault, intact};

/// What is known of a token.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Token {
    /// What it hashes to.
    pub hash: Hash32,
    /// The party that made it.
    pub owner: Name,
    /// What the party calls it; unique among its own.
    pub name: Name,
    /// The identity that the party had: a namesake who joins later has no token.
    pub identity: IdentityKey,
    /// What it may be used for at most.
    pub role: Role,
    /// When it was made.
    pub issued: Timestamp,
    /// Its last moment.
    pub expires: Timestamp,
}

impl Store {
    /// Keeps a token; false where the party has another of this name that is good now.
    ///
    /// # Errors
    ///
    /// If the store fails.
    pub async fn add_token(&self, token: &Token, now: Timestamp) -> Result<bool, StoreFault> {
        let what = "keep a token";
        let mut transaction = self.pool.begin().await.map_err(fault(what))?;
        sqlx::query("DELETE FROM tokens WHERE expires <= $1 OR (owner = $2 AND identity <> $3)")
            .bind(now.0 as i64)
            .bind(token.owner.as_str().to_owned())
            .bind(token.identity.to_string())
            .execute(&mut *transaction)
            .await
            .map_err(fault(what))?;
        let done = sqlx::query(
            "INSERT INTO tokens (handle, hash, owner, name, identity, role, issued, expires) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING",
        )
        .bind(handle(&token.hash))
        .bind(token.hash.to_string())
        .bind(token.owner.as_str().to_owned())
        .bind(token.name.as_str().to_owned())
        .bind(token.identity.to_string())
        .bind(token.role.to_string())
        .bind(token.issued.0 as i64)
        .bind(token.expires.0 as i64)
        .execute(&mut *transaction)
        .await
        .map_err(fault(what))?;
        transaction.commit().await.map_err(fault(what))?;
        Ok(done.rows_affected() == 1)
    }

    /// The token with this hash, whether it has expired or not.
    ///
    /// It is looked up by the start of the hash, which time may tell; the rest is compared in constant time.
    ///
    /// # Errors
    ///
    /// If the store fails, or holds something else.
    pub async fn token(&self, hash: &Hash32) -> Result<Option<Token>, StoreFault> {
        let row = sqlx::query(
            "SELECT hash, owner, name, identity, role, issued, expires FROM tokens WHERE handle = $1",
        )
        .bind(handle(hash))
        .fetch_optional(&self.pool)
        .await
        .map_err(fault("look up a token"))?;
        let Some(row) = row else { return Ok(None) };
        let token = read(&row)?;
        let same = verify_slices_are_equal(&token.hash.0, &hash.0).is_ok();
        Ok(same.then_some(token))
    }

    /// All tokens, those of one party together.
    ///
    /// # Errors
    ///
    /// If the store fails, or holds something else.
    pub async fn tokens(&self) -> Result<Vec<Token>, StoreFault> {
        let rows = sqlx::query(
            "SELECT hash, owner, name, identity, role, issued, expires FROM tokens ORDER BY owner, name",
        )
        .fetch_all(&self.pool)
        .await
        .map_err(fault("list tokens"))?;
        rows.iter().map(read).collect()
    }

    /// Forgets a token; false if there was none.
    ///
    /// # Errors
    ///
    /// If the store fails.
    pub async fn withdraw_token(&self, owner: &Name, name: &Name) -> Result<bool, StoreFault> {
        let done = sqlx::query("DELETE FROM tokens WHERE owner = $1 AND name = $2")
            .bind(owner.as_str().to_owned())
            .bind(name.as_str().to_owned())
            .execute(&self.pool)
            .await
            .map_err(fault("withdraw a token"))?;
        Ok(done.rows_affected() > 0)
    }
}

/// What a token is looked up by.
fn handle(hash: &Hash32) -> String {
    hash.to_string()[..HANDLE_DIGITS].to_owned()
}

fn read(row: &AnyRow) -> Result<Token, StoreFault> {
    let what = "a token";
    Ok(Token {
        hash: intact(what)(text(row, 0, what)?.parse())?,
        owner: intact(what)(text(row, 1, what)?.parse())?,
        name: intact(what)(text(row, 2, what)?.parse())?,
        identity: intact(what)(text(row, 3, what)?.parse())?,
        role: intact(what)(text(row, 4, what)?.parse())?,
        issued: Timestamp(number(row, 5, what)?),
        expires: Timestamp(number(row, 6, what)?),
    })
}

const HANDLE_DIGITS: usize = 16;
