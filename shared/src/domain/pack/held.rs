//! Whether a coordinator's log holds the checkpoints of a unit's: the unit alone could make its log again and sign that.

use std::collections::BTreeSet;

use super::checks::{Check, Checked, Finding, State};
use super::entry::{Body, raw};
use super::files::Files;
use super::layout::CHECKPOINTS;
use super::log_policy::{LogPolicy, VerifierKey};
use super::open::{Pack, open};
use super::tree::PackTree;
use super::verify::{Against, verify};
use crate::domain::history::{Json, Kind};
use crate::domain::tlog::leaf_hash;

/// A checkpoint as the coordinator entered it: size and root.
type Held = (u64, String);

/// Keys that came along with the coordinator's pack may be anybody's: it is held to those from elsewhere, and nothing passes without them.
pub(super) fn check(
    pack: &Pack,
    log: &VerifierKey,
    (coordinator, policy): (&Files, Option<&LogPolicy>),
) -> Checked {
    let findings = findings(pack, log, (coordinator, policy));
    match findings.is_empty() && policy.is_none() {
        true => Checked::not_run(Check::Held, ITSELF),
        false => Checked::new(Check::Held, findings),
    }
}

fn findings(
    pack: &Pack,
    log: &VerifierKey,
    (coordinator, policy): (&Files, Option<&LogPolicy>),
) -> Vec<Finding> {
    let finding = |index, what: &str| Finding::of(CHECKPOINTS, index, what);
    let other = match verified(coordinator, policy) {
        Ok(other) => other,
        Err(what) => return vec![finding(None, what)],
    };
    let own = &pack.contents;
    let held = held(&other, &log.key.to_string());
    let leaves = own.leaves.iter().map(|leaf| leaf_hash(leaf));
    let tree = PackTree::new(own.first, &own.frontier, leaves);
    let root = |size| Some(tree.as_ref()?.root(size)?.to_string());
    let mut findings = Vec::new();
    let shown = held
        .iter()
        .filter(|(size, _)| (own.first..=own.end).contains(size));
    for (size, expected) in shown {
        if root(*size).as_ref() != Some(expected) {
            let what = "another root than the coordinator was shown: two histories";
            findings.push(finding(Some(*size), what));
        }
    }
    if held.iter().all(|(size, _)| *size != own.end) {
        let what = "the coordinator's pack does not hold the last checkpoint: make one of it later";
        findings.push(finding(Some(own.end), what));
    }
    findings
}

/// A pack of a coordinator that holds together. That texts of rules are missing from it is no fault of the log.
fn verified(files: &Files, policy: Option<&LogPolicy>) -> Result<Pack, &'static str> {
    let against = Against {
        policy,
        ..Against::default()
    };
    let verdict = verify(files, &against);
    let mut failed = verdict.0.iter().filter(|one| one.state == State::Failed);
    let holds = failed.all(|one| one.check == Check::Policy);
    let pack = holds.then(|| open(files).ok()).flatten();
    let pack = pack.ok_or("the pack of the coordinator does not verify")?;
    match pack.contents.policy.log.is_of_unit() {
        true => Err("a pack of a unit's log, expected one of the coordinator's"),
        false => Ok(pack),
    }
}

/// Checkpoints of a key's log that the coordinator entered.
fn held(other: &Pack, key: &str) -> BTreeSet<Held> {
    let read = |payload: &[u8]| {
        let payload = Json::parse(payload).ok()?;
        let own = payload.get("log").and_then(Json::as_text) == Some(key);
        let size = payload.get("size")?.as_u64()?;
        let root = payload.get("root")?.as_text()?.to_owned();
        own.then_some((size, root))
    };
    let published = other
        .entries()
        .filter(|entry| raw::kind(&entry.leaf) == Kind::CheckpointPublished.code());
    let held = published.filter_map(|entry| match &entry.body {
        Body::Kept { payload, .. } => read(payload),
        Body::Erased => None,
    });
    held.collect()
}

const ITSELF: &str = "self-consistent only: the keys of the coordinator's log came along with its pack, and may be anybody's; give them from elsewhere (--coordinator-policy)";
