//! `aquifer laws` and `aquifer policy`: rule packs and made-up cases, for those who answer for them.

use std::path::Path;

use anyhow::Context as _;
use aquifer_shared::base::calendar;
use aquifer_shared::base::ids::{Hash32, IdentityKey};
use aquifer_shared::domain::law::Rulebook;
use aquifer_shared::domain::law::change::change_digest;
use aquifer_shared::domain::law::exception::Exception;
use aquifer_shared::shell::exceptions;
use aquifer_shared::shell::law_packs::{self, day_of, moment_of};
use aquifer_shared::shell::laws_view::{self, broken};
use aquifer_shared::shell::policy_view;
use aquifer_shared::shell::report::{self, Outcome};
use aquifer_shared::shell::signed;

use crate::client::{Session, now};
use crate::law_args::{LawsCommand, PolicyCommand};
use crate::laws_diff;

/// Carries out a command about rule packs.
///
/// # Errors
///
/// A folder cannot be read.
pub(crate) fn run(session: &Session, command: &LawsCommand) -> anyhow::Result<Outcome> {
    let json = session.json;
    let ended = match command {
        LawsCommand::List { pack, text, packs } => {
            laws_view::list(json, packs.packs.as_deref(), pack.as_deref(), *text)
        }
        LawsCommand::Status { packs, on } => {
            laws_view::status(json, packs.packs.as_deref(), moment_of(*on, now()))
        }
        LawsCommand::Diff { to, from } => laws_diff::run(session, from.as_deref(), to),
    };
    broken(json, ended)
}

/// Carries out a command about decisions.
///
/// # Errors
///
/// A file cannot be read.
pub(crate) fn policy(session: &Session, command: &PolicyCommand) -> anyhow::Result<Outcome> {
    let (what_if, purposes, packs, on) = match command {
        PolicyCommand::Sign { digest, exception } => {
            let signed = exception_or_change(digest.as_ref(), exception.as_deref());
            return match broken_here(session.json, signed)? {
                Ok(digest) => sign(session, &digest),
                Err(refused) => Ok(refused),
            };
        }
        PolicyCommand::Exception {
            site,
            purposes,
            purpose,
            reason,
            from,
            until,
        } => {
            let days = (from.unwrap_or(day_of(now())), *until);
            let written = write(session, (site, purposes), (purpose, reason), days);
            return broken(session.json, written);
        }
        PolicyCommand::Check {
            what_if,
            purposes,
            packs,
            on,
        } => (what_if, purposes, packs, on),
    };
    let decided = || {
        let declared = policy_view::purposes(purposes)?;
        let packs = law_packs::all(packs.packs.as_deref())?;
        let packs = packs.into_iter().map(|one| one.pack).collect();
        let book = Rulebook::new(packs, declared)?;
        policy_view::check(session.json, what_if, &book, moment_of(*on, now()))
    };
    broken(session.json, decided())
}

/// What is signed: an exception, which is shown, or a change of a policy.
fn exception_or_change(
    digest: Option<&Hash32>,
    exception: Option<&Path>,
) -> anyhow::Result<Hash32> {
    let Some(file) = exception else {
        return Ok(change_digest(digest.context("a digest or --exception")?));
    };
    let read = exceptions::read(file)?;
    report::note(&format!(
        "you sign: {} for {} at site {}, from {} until {}, because: {}",
        read.purpose,
        read.screened,
        read.site,
        calendar::written(read.from),
        calendar::written(read.until),
        report::printable(&read.reason),
    ));
    Ok(read.digest())
}

/// A file that breaks the format is refused, all else fails.
fn broken_here<T>(json: bool, ended: anyhow::Result<T>) -> anyhow::Result<Result<T, Outcome>> {
    match ended {
        Ok(found) => Ok(Ok(found)),
        Err(error) => broken(json, Err(error)).map(Err),
    }
}

/// A line for the file of signatures: key and signature.
fn sign(session: &Session, message: &Hash32) -> anyhow::Result<Outcome> {
    let directory = session.identity()?;
    let identity = directory.identity();
    if session.json {
        let signature = signed::digits(&identity.sign(message));
        report::print_json(&serde_json::json!({"key": identity.public(), "signature": signature}))?;
    } else {
        report::print(&signed::line(identity, message))?;
    }
    Ok(Outcome::Done)
}

/// Prints the text of an exception for two officers.
fn write(
    session: &Session,
    (site, purposes): (&IdentityKey, &Path),
    (purpose, reason): (&str, &str),
    days: (i32, i32),
) -> anyhow::Result<Outcome> {
    let declared = policy_view::purposes(purposes)?;
    let Some(found) = declared
        .list()
        .iter()
        .find(|own| own.id.as_str() == purpose)
    else {
        let why = format!("{} declares no purpose {purpose:?}", purposes.display());
        return report::refuse(session.json, "purpose", &why);
    };
    let Some(text) = Exception::written(site, found, reason, days) else {
        let why = format!("purpose {purpose} is for no screened use: it takes no exception");
        return report::refuse(session.json, "purpose", &why);
    };
    // What is printed is what the site will read.
    if let Err(problem) = Exception::parse(&text) {
        return report::refuse(session.json, "exception", &problem.problem);
    }
    report::print(&text)?;
    Ok(Outcome::Done)
}
