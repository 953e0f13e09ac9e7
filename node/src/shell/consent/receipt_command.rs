//! `aquifer-node consent receipt`: issues receipts, and hands them out once the history that has them is published.
//!
//! A receipt is written down first, with what the history is told of it. Its proof is against a checkpoint that was published, never a
//! fresher one: the size of that would say how much happened at the unit since.

use std::path::Path;

use anyhow::{Context as _, ensure};
use aquifer_shared::base::hash::sha256;
use aquifer_shared::base::ids::Hash32;
use aquifer_shared::domain::history::{Json, Kind};
use aquifer_shared::domain::pack::{Receipt, VerifierKey, verify_receipt};
use aquifer_shared::protocol::witness::node_origin;
use aquifer_shared::shell::keys::Identity;
use aquifer_shared::shell::report::{self, Outcome};
use serde_json::{Value, json};

use super::issued::Issued;
use super::outbox::Told;
use super::receipt::{content, facts};
use super::show::Counter;
use super::time::written;
use crate::core::consent::SubjectRef;
use crate::core::rights::Kind as RunKind;
use crate::shell::at_rest;
use crate::shell::config::NodeConfig;
use crate::shell::telling::{Proof, ask_history, held_now, tell_soon};
use crate::shell::usage::{USAGE_FILE, UsageLedger, UsedRun};
use crate::shell::views::{Answer, Query};

/// Prints the receipts of a person: one for each purpose that something was said about.
///
/// # Errors
///
/// A ledger, the history, node.toml or the identity cannot be used.
///
/// # Privacy
///
/// About one person, for the person and the desk: standard output only. Neither the source's id nor the keyed reference is in it.
pub(super) fn run(
    directory: &Path,
    id: &str,
    purpose: Option<&str>,
    json: bool,
) -> anyhow::Result<Outcome> {
    // Receipts name models by the usage ledger.
    held_now(directory)?;
    let mut counter = Counter::open(directory)?;
    let subject = counter.key.subject(id);
    if let Some(refused) = counter.refuse_erased(subject, json)? {
        return Ok(refused);
    }
    let models = models(directory, (subject, counter.at))?;
    let due = issue(&mut counter, subject, purpose, &models)?;
    if due.is_empty() {
        let why = "nothing is written down about this customer and purpose: no receipt";
        return report::refuse(json, "nothing", why);
    }
    tell_soon(directory);
    for own in &due {
        let issued = counter
            .ledger
            .issued(subject, (own.purpose.as_str(), &own.facts))?;
        let Some(issued) = issued else {
            // Erased meanwhile.
            continue;
        };
        match proof(directory, &issued)? {
            Some(proof) => {
                let signer = at_rest::identity(directory)?.into_identity();
                report::print(&signed(&issued, proof, &signer)?)?;
            }
            None => pending(directory, &issued, json)?,
        }
    }
    Ok(Outcome::Done)
}

/// A receipt that a person is to have.
pub(super) struct Due {
    pub(super) purpose: String,
    pub(super) facts: Hash32,
}

/// Issues a receipt for each purpose whose facts none was issued about yet.
pub(super) fn issue(
    counter: &mut Counter,
    subject: SubjectRef,
    purpose: Option<&str>,
    models: &[(i64, Value)],
) -> anyhow::Result<Vec<Due>> {
    let events = counter.ledger.of_person(subject)?;
    let purposes = counter.gatekeeper.book().purposes().iter();
    let wanted = purposes.filter(|own| purpose.is_none_or(|name| own.id.as_str() == name));
    let found = wanted.filter_map(|own| {
        let facts = facts(counter, (subject, &events), own, models)?;
        Some((own.id.to_string(), facts))
    });
    let found: Vec<(String, Value)> = found.collect();
    let mut due = Vec::with_capacity(found.len());
    for (purpose, facts) in found {
        let facts = Json::try_from(facts)?;
        let digest = sha256(facts.to_text().as_bytes());
        let known = counter
            .ledger
            .issued(subject, (purpose.as_str(), &digest))?;
        if known.is_none() {
            let content = content(&facts, counter.at);
            let told = Told {
                kind: Kind::ReceiptIssued,
                subject: Some(subject),
                payload: Json::object([("receipt_sha256", Receipt::digest(&content).into())]),
            };
            let text = content.to_text();
            let (of, what) = ((subject, purpose.as_str()), (&digest, text.as_str()));
            counter.ledger.issue(of, what, &told, counter.at)?;
        }
        due.push(Due {
            purpose,
            facts: digest,
        });
    }
    Ok(due)
}

/// Models that were released with the person's record among those that may have contributed.
fn models(directory: &Path, (subject, at): (SubjectRef, i64)) -> anyhow::Result<Vec<(i64, Value)>> {
    if !directory.join(USAGE_FILE).exists() {
        return Ok(Vec::new());
    }
    let (runs, _) = UsageLedger::open(directory)?.of_person(subject, at)?;
    let released = runs
        .iter()
        .filter(|own| own.facts.kind == RunKind::Train && own.published == Some(true));
    let line = |own: &UsedRun| {
        let at = own.ended_at?;
        let line = json!({
            "name": own.facts.name, "released_at": written(at), "study": own.run.to_string(), "what": "may have contributed",
        });
        Some((at, line))
    };
    Ok(released.filter_map(line).collect())
}

/// That the history has it, in a checkpoint that was published; none where there is none yet.
fn proof(directory: &Path, issued: &Issued) -> anyhow::Result<Option<Proof>> {
    let Some(entry) = issued.place else {
        return Ok(None);
    };
    match ask_history(directory, &Query::Prove { entry })? {
        Some(Answer::Proven(proof)) => Ok(proof),
        Some(Answer::Refused(why)) => anyhow::bail!("the receipt cannot be proved: {why}"),
        Some(_) => anyhow::bail!("the running node answered something else than a proof"),
        None => {
            anyhow::bail!("the receipt is entry {entry} of a history that is not there any more")
        }
    }
}

/// The file that the person is given: one line, whose bytes are always the same.
pub(super) fn signed(issued: &Issued, proof: Proof, signer: &Identity) -> anyhow::Result<String> {
    let own = "a receipt that was issued here";
    let value: Value = serde_json::from_str(&issued.content).context(own)?;
    let key = signer.public();
    let key = VerifierKey::of_log(&node_origin(&key), key);
    let receipt = Receipt {
        content: Json::try_from(value).context(own)?,
        issuer: key.clone(),
        log: key,
        leaf: bytes(&proof.leaf).context("not a leaf")?,
        payload: proof.payload.into_bytes(),
        salt: bytes(&proof.salt).context("not a salt")?,
        proof: proof.proof,
    };
    // Signed as notes are: it begins with a line of its own that no checkpoint begins with.
    let text = String::from_utf8(receipt.signed_bytes()).context(own)?;
    let signature: Option<[u8; 64]> = signer.sign_note(&text).try_into().ok();
    let file = receipt.to_file(&signature.context("not a signature")?);
    let verdict = verify_receipt(file.as_bytes(), None);
    ensure!(
        verdict.code() == 0,
        "the history does not hold this receipt as it was issued (check {}): one of them was changed or put back",
        verdict.code()
    );
    Ok(file)
}

fn bytes<const N: usize>(digits: &str) -> Option<[u8; N]> {
    let plain = digits.len() == 2 * N && digits.bytes().all(|own| own.is_ascii_hexdigit());
    let pair = |at: usize| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok();
    let read: Option<Vec<u8>> = (0..digits.len()).step_by(2).map(pair).collect();
    read.filter(|_| plain)?.try_into().ok()
}

/// What it says already, and when it can be proved.
fn pending(directory: &Path, issued: &Issued, json: bool) -> anyhow::Result<()> {
    let minutes = NodeConfig::load(directory)?
        .history
        .publish_every_minutes
        .ms()
        / 60_000;
    let why = format!(
        "written down; it can be proved once the node has published its history (every {minutes} minutes while it runs): the same command again then prints the signed receipt"
    );
    let content: Value = serde_json::from_str(&issued.content)?;
    if json {
        return report::print_json(&json!({"content": content, "pending": why}));
    }
    report::print(&format!("{content:#}\n"))?;
    report::note(&why);
    Ok(())
}
