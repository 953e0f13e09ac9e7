//! `aquifer laws` and `aquifer policy`: rule packs and made-up cases, for those who answer for them.

use aquifer_shared::base::ids::Hash32;
use aquifer_shared::domain::law::Rulebook;
use aquifer_shared::domain::law::change::change_digest;
use aquifer_shared::shell::law_packs::{self, moment_of};
use aquifer_shared::shell::laws_view::{self, broken};
use aquifer_shared::shell::policy_view;
use aquifer_shared::shell::report::{self, Outcome};

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
        PolicyCommand::Sign { digest } => return sign(session, digest),
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

/// A line for a unit's `policy.signed`: key and signature.
fn sign(session: &Session, digest: &Hash32) -> anyhow::Result<Outcome> {
    let directory = session.identity()?;
    let identity = directory.identity();
    let signature = identity.sign(&change_digest(digest));
    let digits: String = signature.iter().map(|byte| format!("{byte:02x}")).collect();
    if session.json {
        report::print_json(&serde_json::json!({"key": identity.public(), "signature": digits}))?;
    } else {
        report::print(&format!("{} {digits}\n", identity.public()))?;
    }
    Ok(Outcome::Done)
}
