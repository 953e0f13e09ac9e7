//! Passwords of SQL clients: never a password, only what a proof is checked against.

use aquifer_shared::base::ids::{IdentityKey, Name};
use aquifer_shared::base::time::Timestamp;

use super::registry::{bump, number, text};
use super::{Store, StoreFault, fault, intact};
use crate::core::psql::scram::Verifier;

/// What is known of a person's password.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SqlPassword {
    /// The person.
    pub name: Name,
    /// The identity that the person had: a namesake who joins later has no password.
    pub identity: IdentityKey,
    /// What a proof is checked against.
    pub verifier: Verifier,
    /// Its last moment.
    pub expires: Timestamp,
}

impl Store {
    /// Keeps a person's password, in place of any before; a running server notices.
    ///
    /// # Errors
    ///
    /// If the store fails.
    pub async fn set_password(&self, password: &SqlPassword) -> Result<(), StoreFault> {
        let what = "keep a password";
        let mut transaction = self.pool.begin().await.map_err(fault(what))?;
        sqlx::query(
            "INSERT INTO sql_passwords (name, identity, verifier, expires) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (name) DO UPDATE SET identity = excluded.identity, verifier = excluded.verifier, \
             expires = excluded.expires",
        )
        .bind(password.name.as_str().to_owned())
        .bind(password.identity.to_string())
        .bind(password.verifier.expose())
        .bind(password.expires.0 as i64)
        .execute(&mut *transaction)
        .await
        .map_err(fault(what))?;
        bump(&mut transaction).await?;
        transaction.commit().await.map_err(fault(what))
    }

    /// Forgets a person's password; false if there was none. A running server notices.
    ///
    /// # Errors
    ///
    /// If the store fails.
    pub async fn withdraw_password(&self, name: &Name) -> Result<bool, StoreFault> {
        let what = "withdraw a password";
        let mut transaction = self.pool.begin().await.map_err(fault(what))?;
        let done = sqlx::query("DELETE FROM sql_passwords WHERE name = $1")
            .bind(name.as_str().to_owned())
            .execute(&mut *transaction)
            .await
            .map_err(fault(what))?;
        bump(&mut transaction).await?;
        transaction.commit().await.map_err(fault(what))?;
        Ok(done.rows_affected() > 0)
    }

    /// A person's password, whether it has expired or not.
    ///
    /// # Errors
    ///
    /// If the store fails, or holds something else.
    pub async fn password(&self, name: &Name) -> Result<Option<SqlPassword>, StoreFault> {
        let row =
            sqlx::query("SELECT identity, verifier, expires FROM sql_passwords WHERE name = $1")
                .bind(name.as_str().to_owned())
                .fetch_optional(&self.pool)
                .await
                .map_err(fault("look up a password"))?;
        let Some(row) = row else { return Ok(None) };
        let what = "a password";
        Ok(Some(SqlPassword {
            name: name.clone(),
            identity: intact(what)(text(&row, 0, what)?.parse())?,
            verifier: intact(what)(Verifier::parse(&text(&row, 1, what)?))?,
            expires: Timestamp(number(&row, 2, what)?),
        }))
    }
}
