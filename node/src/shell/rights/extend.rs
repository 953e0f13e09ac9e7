//! `rights extend`: an erasure takes longer than its usual clock, once, and the history says why and until when.

use std::collections::BTreeMap;
use std::path::Path;

use aquifer_shared::base::ids::Hash32;
use aquifer_shared::domain::law::Key;
use aquifer_shared::shell::policy_record::PolicyFault;
use aquifer_shared::shell::report::{self, Outcome};
use serde_json::json;
use sqlx::Connection as _;
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use super::list::find;
use super::pack::DAY_MS;
use crate::core::rights::{Clocks, Extension, Reason};
use crate::shell::at_rest;
use crate::shell::clock::now;
use crate::shell::config::NodeConfig;
use crate::shell::consent::show::Counter;
use crate::shell::consent::time::written;
use crate::shell::governance;
use crate::shell::usage::{UsageFault, UsageLedger, changed, fault};

/// Gives an erasure as much more time as the rules in force allow.
///
/// # Errors
///
/// A ledger or node.toml cannot be used.
pub(super) fn extend(
    directory: &Path,
    (request, why): (&str, &str),
    json: bool,
) -> anyhow::Result<Outcome> {
    let Some(reason) = Reason::of_word(why) else {
        let known = Reason::ALL.map(Reason::word).join(" or ");
        return report::refuse(json, "why", &format!("--why is not {known}"));
    };
    if let Some(why) = not_in_force(directory)? {
        return report::refuse(json, "policy", &why);
    }
    let signer = at_rest::identity(directory)?.into_identity();
    let mut table = super::list::open(directory, &signer)?;
    let Some(case) = find(&mut table, request)? else {
        return report::refuse(
            json,
            "request",
            "no erasure has this number; see `aquifer-node rights list`",
        );
    };
    let before = table.usage.extensions()?.remove(&case.request);
    let (clocks, at) = (clocks(&table.desk), table.desk.at);
    let extension = match clocks.extend(&case, before.as_ref(), (reason, at)) {
        Ok(extension) => extension,
        Err(none) => return report::refuse(json, "clock", &none.to_string()),
    };
    table.usage.write_extension(&case.request, &extension)?;
    let by = written(extension.until);
    if json {
        report::print_json(&json!({"request": request, "answer_by": by, "reason": why}))?;
    } else {
        report::print(&format!(
            "to be answered by {by}; tell the person so, and why, before the usual clock has run out\n"
        ))?;
    }
    Ok(Outcome::Done)
}

/// Why the rules of the unit's files are not in force, if they are not: what one person has written is no clock.
pub(super) fn not_in_force(directory: &Path) -> anyhow::Result<Option<String>> {
    let config = NodeConfig::load(directory)?;
    let gatekeeper = config.gatekeeper(directory)?;
    let policy = (&config, gatekeeper.as_ref());
    match governance::stands(directory, policy, now()) {
        Ok(_) => Ok(None),
        Err(fault) if fault.is::<PolicyFault>() => Ok(Some(fault.to_string())),
        Err(fault) => Err(fault),
    }
}

/// Clocks of the rules of the unit's files.
pub(super) fn clocks(desk: &Counter) -> Clocks {
    let now = aquifer_shared::base::time::Timestamp(u64::try_from(desk.at).unwrap_or(0));
    let ms = |key| {
        let days = desk.gatekeeper.limit(key, now)?;
        i64::try_from(days).ok()?.checked_mul(DAY_MS)
    };
    Clocks {
        answer_ms: ms(Key::ClockRequestDays),
        extension_ms: ms(Key::ClockExtensionDays),
    }
}

impl UsageLedger {
    /// Longer clocks, by erasure.
    pub(super) fn extensions(&mut self) -> Result<BTreeMap<Hash32, Extension>, UsageFault> {
        let query = sqlx::query("SELECT request, at, until, reason FROM extensions");
        let rows = query.fetch_all(&mut self.connection);
        let rows = self.runtime.block_on(rows);
        let rows = rows.map_err(|source| fault(&self.path, "read", source))?;
        let all: Option<BTreeMap<Hash32, Extension>> = rows.iter().map(read).collect();
        all.ok_or_else(|| self.none("a longer clock"))
    }

    /// Writes a longer clock down; durable on return.
    pub(super) fn write_extension(
        &mut self,
        request: &Hash32,
        extension: &Extension,
    ) -> Result<(), UsageFault> {
        let connection = &mut self.connection;
        let written = self.runtime.block_on(async {
            let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
            sqlx::query(
                "INSERT INTO extensions (request, at, until, reason) VALUES ($1, $2, $3, $4)",
            )
            .bind(request.0.to_vec())
            .bind(extension.at)
            .bind(extension.until)
            .bind(extension.reason.word())
            .execute(&mut *transaction)
            .await?;
            changed(&mut transaction).await?;
            transaction.commit().await
        });
        written.map_err(|source| fault(&self.path, "write", source))
    }
}

fn read(row: &SqliteRow) -> Option<(Hash32, Extension)> {
    let request = row.get::<&[u8], _>("request").try_into().ok()?;
    let extension = Extension {
        at: row.get("at"),
        until: row.get("until"),
        reason: Reason::of_word(row.get("reason"))?,
    };
    Some((Hash32(request), extension))
}
