//! `aquifer-coordinator sql-password`: gives a person a password for SQL clients, or takes it back.

use aquifer_shared::base::ids::{Name, Role};
use aquifer_shared::shell::keys::random_bytes32;
use aquifer_shared::shell::report::{Outcome, note, print, print_json, refuse};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;
use zeroize::Zeroizing;

use super::clock::now;
use super::home::Home;
use super::store::SqlPassword;
use crate::core::psql::scram::Verifier;

/// Makes a random password, keeps its verifier, and prints it once.
///
/// # Errors
///
/// The store or the random source fails.
pub async fn give(
    home: &Home,
    name: &Name,
    life_ms: u64,
    as_json: bool,
) -> anyhow::Result<Outcome> {
    let store = home.store().await?;
    let mut parties = store.parties().await?.into_iter();
    let party = parties.find(|party| party.name == *name && !party.revoked);
    let Some(party) = party.filter(|party| party.role == Role::Analyst) else {
        let why =
            format!("{name} is not a registered analyst; aquifer-coordinator nodes lists who is");
        return refuse(as_json, "unknown", &why);
    };
    let password = Zeroizing::new(format!("aq_{}", URL_SAFE_NO_PAD.encode(random_bytes32()?)));
    let mut salt = [0; 16];
    salt.copy_from_slice(&random_bytes32()?[..16]);
    let kept = SqlPassword {
        name: party.name,
        identity: party.identity,
        verifier: Verifier::of(&password, salt),
        expires: now().after_ms(life_ms),
    };
    store.set_password(&kept).await?;
    let audited = store.audit(now(), "console", "sql-password", name.as_str());
    audited.await?;
    store.close().await;
    if as_json {
        print_json(&json!({"password": &*password, "name": name, "expires_ms": kept.expires.0}))?;
        return Ok(Outcome::Done);
    }
    print(&format!("{}\n", &*password))?;
    note(&format!(
        "for {name} in SQL clients; shown this once, in place of any before; it ends {} days from now at the latest",
        life_ms.div_ceil(86_400_000)
    ));
    Ok(Outcome::Done)
}

/// Forgets a person's password.
///
/// # Errors
///
/// The store fails.
pub async fn withdraw(home: &Home, name: &Name, as_json: bool) -> anyhow::Result<Outcome> {
    let store = home.store().await?;
    let found = store.withdraw_password(name).await?;
    let audited = store.audit(now(), "console", "sql-password-withdraw", name.as_str());
    audited.await?;
    store.close().await;
    if !found {
        return refuse(as_json, "unknown", &format!("{name} has no password"));
    }
    if as_json {
        print_json(&json!({"withdrawn": name}))?;
        return Ok(Outcome::Done);
    }
    print(&format!(
        "the password of {name} is withdrawn; a running coordinator closes its connections now\n"
    ))?;
    Ok(Outcome::Done)
}
