//! Who may connect: parties, their certificates, one-time tickets, and the revision that tells a running server to look.

use aquifer_shared::base::ids::{Hash32, IdentityKey, Name, Role, StudyHash};
use aquifer_shared::base::time::Timestamp;
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row};

use super::{Store, StoreFault, fault, intact};

/// A node or a person in the registry.
#[derive(Clone, Debug, PartialEq)]
pub struct Party {
    /// Its name; unique.
    pub name: Name,
    /// What its certificate allows.
    pub role: Role,
    /// Its identity key.
    pub identity: IdentityKey,
    /// SHA-256 of its current certificate.
    pub fingerprint: Hash32,
    /// SHA-256 of the certificate before, still good until its own end; zero if none.
    pub fingerprint_before: Hash32,
    /// End of its current certificate.
    pub certificate_until: Timestamp,
    /// Its certificates are worthless.
    pub revoked: bool,
    /// Last hello; 0 if never.
    pub last_seen: Timestamp,
    /// Position of its ledger at the last hello.
    pub ledger_seq: u64,
    /// Program version at the last hello.
    pub software: String,
}

/// A ticket that was given out.
#[derive(Clone, Debug, PartialEq)]
pub struct Ticketed {
    /// Whom it is for.
    pub name: Name,
    /// What it makes of its holder.
    pub role: Role,
    /// When it ends.
    pub expires: Timestamp,
    /// Who redeemed it; none yet, if nobody.
    pub used_by: Option<IdentityKey>,
}

/// What became of a ticket's secret.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Redeemed {
    /// Bound to the joiner.
    Done,
    /// Unknown, used, or for another name.
    Invalid,
    /// Too late.
    Expired,
}

const TICKET: &str = "SELECT name, role, expires, used_by FROM tickets WHERE secret_hash = $1";
const PARTIES: &str = "SELECT name, role, identity, fingerprint, fingerprint_before, certificate_until, revoked, last_seen, \
                     ledger_seq, software FROM parties ORDER BY name";

impl Store {
    /// Keeps a ticket's secret as a hash; open tickets of the same name are void from then on.
    ///
    /// # Errors
    ///
    /// If the store fails.
    pub async fn add_ticket(
        &self,
        secret_hash: Hash32,
        ticket: &Ticketed,
    ) -> Result<(), StoreFault> {
        let mut transaction = self.pool.begin().await.map_err(fault("begin"))?;
        void_tickets(&mut transaction, &ticket.name).await?;
        sqlx::query("INSERT INTO tickets (secret_hash, name, role, expires, used_by) VALUES ($1, $2, $3, $4, '')")
            .bind(secret_hash.to_string())
            .bind(ticket.name.as_str().to_owned())
            .bind(ticket.role.to_string())
            .bind(ticket.expires.0 as i64)
            .execute(&mut *transaction)
            .await
            .map_err(fault("keep a ticket"))?;
        transaction.commit().await.map_err(fault("keep a ticket"))
    }

    /// What a secret was given out for.
    ///
    /// # Errors
    ///
    /// If the store fails.
    pub async fn ticket(&self, secret_hash: Hash32) -> Result<Option<Ticketed>, StoreFault> {
        let row = sqlx::query(TICKET)
            .bind(secret_hash.to_string())
            .fetch_optional(&self.pool)
            .await
            .map_err(fault("look up a ticket"))?;
        row.as_ref().map(read_ticket).transpose()
    }

    /// Uses a ticket once and binds the joiner to its name, in one transaction.
    ///
    /// The same joiner may do so again while the ticket lasts: its answer may have been lost. A name keeps its holder, and a
    /// key its name, until the holder is revoked.
    ///
    /// # Errors
    ///
    /// If the store fails; the ticket is as it was then.
    pub async fn redeem(
        &self,
        secret_hash: Hash32,
        joiner: &Party,
        now: Timestamp,
    ) -> Result<Redeemed, StoreFault> {
        let what = "redeem a ticket";
        let mut transaction = self.pool.begin().await.map_err(fault(what))?;
        // Written before it is read: from here on nobody else redeems the same ticket.
        let first =
            sqlx::query("UPDATE tickets SET used_by = $1 WHERE secret_hash = $2 AND used_by = ''")
                .bind(joiner.identity.to_string())
                .bind(secret_hash.to_string())
                .execute(&mut *transaction)
                .await
                .map_err(fault(what))?
                .rows_affected()
                == 1;
        let row = sqlx::query(TICKET)
            .bind(secret_hash.to_string())
            .fetch_optional(&mut *transaction)
            .await
            .map_err(fault(what))?;
        let Some(ticket) = row.as_ref().map(read_ticket).transpose()? else {
            return Ok(Redeemed::Invalid);
        };
        let meant = (&ticket.name, ticket.role) == (&joiner.name, joiner.role);
        if !meant || ticket.used_by != Some(joiner.identity) {
            return Ok(Redeemed::Invalid);
        }
        if ticket.expires < now {
            return Ok(Redeemed::Expired);
        }
        let bound = match first {
            true => bind_party(&mut transaction, joiner).await?,
            false => bind_again(&mut transaction, joiner).await?,
        };
        if !bound {
            return Ok(Redeemed::Invalid);
        }
        bump(&mut transaction).await?;
        transaction.commit().await.map_err(fault(what))?;
        Ok(Redeemed::Done)
    }

    /// All parties by name.
    ///
    /// # Errors
    ///
    /// If the store fails.
    pub async fn parties(&self) -> Result<Vec<Party>, StoreFault> {
        let rows = sqlx::query(PARTIES)
            .fetch_all(&self.pool)
            .await
            .map_err(fault("list its parties"))?;
        rows.iter().map(read_party).collect()
    }

    /// Makes a certificate the party's current one; the one `shown` when asking stays good until its own end.
    ///
    /// # Errors
    ///
    /// If the store fails; also if the party was revoked, or its name has another key or other certificates by now.
    pub async fn renew(
        &self,
        (name, identity): (&Name, &IdentityKey),
        fingerprint: Hash32,
        shown: Hash32,
        until: Timestamp,
    ) -> Result<(), StoreFault> {
        let mut transaction = self.pool.begin().await.map_err(fault("begin"))?;
        let done = sqlx::query(
            "UPDATE parties SET fingerprint = $1, fingerprint_before = $2, certificate_until = $3 \
             WHERE name = $4 AND identity = $5 AND (fingerprint = $2 OR fingerprint_before = $2) AND revoked = 0",
        )
        .bind(fingerprint.to_string())
        .bind(shown.to_string())
        .bind(until.0 as i64)
        .bind(name.as_str().to_owned())
        .bind(identity.to_string())
        .execute(&mut *transaction)
        .await
        .map_err(fault("renew a certificate"))?;
        if done.rows_affected() != 1 {
            return Err(StoreFault::Replaced { name: name.clone() });
        }
        bump(&mut transaction).await?;
        transaction
            .commit()
            .await
            .map_err(fault("renew a certificate"))
    }

    /// Makes a party's certificates and the open tickets of its name worthless; false if there are none.
    ///
    /// # Errors
    ///
    /// If the store fails.
    pub async fn revoke(&self, name: &Name) -> Result<bool, StoreFault> {
        let mut transaction = self.pool.begin().await.map_err(fault("begin"))?;
        let done = sqlx::query("UPDATE parties SET revoked = 1 WHERE name = $1")
            .bind(name.as_str().to_owned())
            .execute(&mut *transaction)
            .await
            .map_err(fault("revoke a party"))?;
        let voided = void_tickets(&mut transaction, name).await?;
        bump(&mut transaction).await?;
        transaction
            .commit()
            .await
            .map_err(fault("revoke a party"))?;
        Ok(done.rows_affected() + voided > 0)
    }

    /// Notes a hello.
    ///
    /// # Errors
    ///
    /// If the store fails.
    pub async fn seen(
        &self,
        name: &Name,
        now: Timestamp,
        ledger_seq: u64,
        software: &str,
    ) -> Result<(), StoreFault> {
        sqlx::query(
            "UPDATE parties SET last_seen = $1, ledger_seq = $2, software = $3 WHERE name = $4",
        )
        .bind(now.0 as i64)
        .bind(i64::try_from(ledger_seq).unwrap_or(i64::MAX))
        .bind(software.to_owned())
        .bind(name.as_str().to_owned())
        .execute(&self.pool)
        .await
        .map(drop)
        .map_err(fault("note a hello"))
    }

    /// Rises with every change of the registry, also by another process.
    ///
    /// # Errors
    ///
    /// If the store fails.
    pub async fn revision(&self) -> Result<i64, StoreFault> {
        sqlx::query_scalar("SELECT number FROM revision WHERE only_row = 1")
            .fetch_one(&self.pool)
            .await
            .map_err(fault("read its revision"))
    }

    /// One line of the audit table.
    ///
    /// # Errors
    ///
    /// If the store fails.
    pub async fn audit(
        &self,
        at: Timestamp,
        who: &str,
        what: &str,
        subject: &str,
    ) -> Result<(), StoreFault> {
        sqlx::query("INSERT INTO audit (at, who, what, subject) VALUES ($1, $2, $3, $4)")
            .bind(at.0 as i64)
            .bind(who.to_owned())
            .bind(what.to_owned())
            .bind(subject.to_owned())
            .execute(&self.pool)
            .await
            .map(drop)
            .map_err(fault("write an audit line"))
    }

    /// Whether somebody submitted a study, or the one whose file had it proposed again, as far as it is written down.
    ///
    /// # Errors
    ///
    /// If the database fails.
    pub async fn has_submitted(&self, who: &Name, study: &StudyHash) -> Result<bool, StoreFault> {
        let by = self.submitters(study).await?;
        Ok(by.iter().any(|by| by == who.as_str()))
    }

    /// On whose word a study rests.
    ///
    /// # Errors
    ///
    /// If the database fails.
    pub async fn submitters(&self, study: &StudyHash) -> Result<Vec<String>, StoreFault> {
        let what = "read who submitted a study";
        let rows = sqlx::query(
            "SELECT who FROM retrainings WHERE study = $1 UNION SELECT who FROM audit WHERE what = 'submit' AND subject = $1",
        )
        .bind(study.to_string())
        .fetch_all(&self.pool)
        .await
        .map_err(fault(what))?;
        rows.iter()
            .map(|row| text(row, 0, "an audit line"))
            .collect()
    }
}

#[cfg(test)]
impl Store {
    /// Who and what of every audit line, in order.
    pub(crate) async fn audit_lines(&self) -> Vec<(String, String)> {
        let rows = sqlx::query("SELECT who, what FROM audit ORDER BY at, what")
            .fetch_all(&self.pool)
            .await
            .unwrap();
        let line = |row: &AnyRow| (row.get::<String, _>(0), row.get::<String, _>(1));
        rows.iter().map(line).collect()
    }
}

/// Makes open tickets of a name worthless; how many there were.
async fn void_tickets(transaction: &mut AnyConnection, name: &Name) -> Result<u64, StoreFault> {
    sqlx::query("DELETE FROM tickets WHERE name = $1 AND used_by = ''")
        .bind(name.as_str().to_owned())
        .execute(transaction)
        .await
        .map(|done| done.rows_affected())
        .map_err(fault("void open tickets"))
}

pub(super) async fn bump(transaction: &mut AnyConnection) -> Result<(), StoreFault> {
    sqlx::query("UPDATE revision SET number = number + 1 WHERE only_row = 1")
        .execute(transaction)
        .await
        .map(drop)
        .map_err(fault("raise its revision"))
}

/// False if the name or the key belongs to a party that was not revoked.
async fn bind_party(transaction: &mut AnyConnection, joiner: &Party) -> Result<bool, StoreFault> {
    let what = "bind a joiner";
    let elsewhere: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM parties WHERE identity = $1 AND revoked = 0 AND name <> $2",
    )
    .bind(joiner.identity.to_string())
    .bind(joiner.name.as_str().to_owned())
    .fetch_one(&mut *transaction)
    .await
    .map_err(fault(what))?;
    if elsewhere > 0 {
        return Ok(false);
    }
    let done = sqlx::query(
        "INSERT INTO parties (name, role, identity, fingerprint, fingerprint_before, certificate_until, revoked, last_seen, \
         ledger_seq, software) VALUES ($1, $2, $3, $4, $5, $6, 0, 0, 0, '') \
         ON CONFLICT (name) DO UPDATE SET role = excluded.role, identity = excluded.identity, \
         fingerprint = excluded.fingerprint, fingerprint_before = excluded.fingerprint_before, \
         certificate_until = excluded.certificate_until, revoked = 0, last_seen = 0, ledger_seq = 0, software = '' \
         WHERE parties.revoked = 1",
    )
    .bind(joiner.name.as_str().to_owned())
    .bind(joiner.role.to_string())
    .bind(joiner.identity.to_string())
    .bind(joiner.fingerprint.to_string())
    .bind(joiner.fingerprint_before.to_string())
    .bind(joiner.certificate_until.0 as i64)
    .execute(transaction)
    .await
    .map_err(fault(what))?;
    Ok(done.rows_affected() > 0)
}

/// Gives a joiner that is bound already its new certificate; false if it was revoked or replaced since.
async fn bind_again(transaction: &mut AnyConnection, joiner: &Party) -> Result<bool, StoreFault> {
    let done = sqlx::query(
        "UPDATE parties SET fingerprint_before = fingerprint, fingerprint = $1, certificate_until = $2 \
         WHERE name = $3 AND identity = $4 AND revoked = 0",
    )
    .bind(joiner.fingerprint.to_string())
    .bind(joiner.certificate_until.0 as i64)
    .bind(joiner.name.as_str().to_owned())
    .bind(joiner.identity.to_string())
    .execute(transaction)
    .await
    .map_err(fault("bind a joiner again"))?;
    Ok(done.rows_affected() > 0)
}

fn read_ticket(row: &AnyRow) -> Result<Ticketed, StoreFault> {
    let what = "a ticket";
    Ok(Ticketed {
        name: intact(what)(text(row, 0, what)?.parse())?,
        role: intact(what)(text(row, 1, what)?.parse())?,
        expires: Timestamp(number(row, 2, what)?),
        used_by: match text(row, 3, what)?.as_str() {
            "" => None,
            key => Some(intact(what)(key.parse())?),
        },
    })
}

fn read_party(row: &AnyRow) -> Result<Party, StoreFault> {
    let what = "a party";
    Ok(Party {
        name: intact(what)(text(row, 0, what)?.parse())?,
        role: intact(what)(text(row, 1, what)?.parse())?,
        identity: intact(what)(text(row, 2, what)?.parse())?,
        fingerprint: intact(what)(text(row, 3, what)?.parse())?,
        fingerprint_before: intact(what)(text(row, 4, what)?.parse())?,
        certificate_until: Timestamp(number(row, 5, what)?),
        revoked: number(row, 6, what)? != 0,
        last_seen: Timestamp(number(row, 7, what)?),
        ledger_seq: number(row, 8, what)?,
        software: text(row, 9, what)?,
    })
}

pub(super) fn text(row: &AnyRow, column: usize, what: &'static str) -> Result<String, StoreFault> {
    intact(what)(row.try_get::<String, _>(column))
}

pub(super) fn number(row: &AnyRow, column: usize, what: &'static str) -> Result<u64, StoreFault> {
    let value = intact(what)(row.try_get::<i64, _>(column))?;
    intact(what)(u64::try_from(value))
}
