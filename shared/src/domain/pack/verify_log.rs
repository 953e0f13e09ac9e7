//! Checks of a pack's log: tree, signatures, order, kinds, payloads, proofs.

use std::collections::BTreeMap;

use super::checks::{Check, Checked, Finding};
use super::entry::{Body, raw};
use super::layout::{CONSISTENCY, EARLIER, FRONTIER, HASHES, INCLUSION, LEAVES, PAYLOADS, POLICY};
use super::log_policy::LogPolicy;
use super::open::Contents;
use super::tree::{PackTree, places};
use crate::base::ids::Hash32;
use crate::domain::history::{Json, LEAF_BYTES, Leaf, payload_commit};
use crate::domain::tlog::{leaf_hash, verify_consistency, verify_inclusion};

pub(super) fn checks(contents: &Contents, policy: Option<&LogPolicy>) -> Vec<Checked> {
    let mut signature = Vec::new();
    if policy.is_some_and(|own| own.log != contents.policy.log) {
        signature.push(Finding::of(
            POLICY,
            None,
            "another log than in the policy that was given",
        ));
    }
    let policy = policy.unwrap_or(&contents.policy);
    signature.extend(signatures(contents, policy));
    vec![
        Checked::new(Check::Tree, tree(contents)),
        Checked::new(Check::Signature, signature),
        match policy.has_quorum() {
            true => Checked::new(Check::Witnesses, witnesses(contents, policy)),
            false => Checked::not_run(Check::Witnesses, "the policy asks for no witness"),
        },
        Checked::new(Check::Order, order(contents)),
        Checked::new(Check::Kinds, kinds(contents)),
        match policy.log.is_of_unit() {
            true => Checked::not_run(Check::PersonalData, OF_UNIT),
            false => Checked::new(Check::PersonalData, personal_data(contents)),
        },
        Checked::new(Check::Payloads, payloads(contents)),
        Checked::new(Check::Proofs, proofs(contents)),
    ]
}

fn tree(contents: &Contents) -> Vec<Finding> {
    let mut findings = Vec::new();
    let count = places(&(contents.first..contents.end));
    for (file, got) in [
        (LEAVES, contents.leaves.len()),
        (HASHES, contents.hashes.len()),
    ] {
        if got != count {
            findings.push(Finding::of(
                file,
                None,
                format!("{got} entries, the checkpoints say {count}"),
            ));
        }
    }
    let hashes: Vec<Hash32> = contents.leaves.iter().map(|leaf| leaf_hash(leaf)).collect();
    for (index, (own, listed)) in (contents.first..).zip(hashes.iter().zip(&contents.hashes)) {
        if own != listed {
            findings.push(Finding::of(
                LEAVES,
                Some(index),
                "a leaf with another hash than in log/hashes",
            ));
        }
    }
    match PackTree::new(contents.first, &contents.frontier, hashes) {
        Some(tree) => findings.extend(roots(contents, &tree)),
        None => findings.push(Finding::of(
            FRONTIER,
            None,
            "not the subtrees of so many leaves",
        )),
    }
    findings.extend(consistency(contents));
    findings
}

/// Every checkpoint against the tree; after the first that differs, all others do.
fn roots(contents: &Contents, tree: &PackTree) -> Option<Finding> {
    let mut before = contents.first;
    for point in &contents.points {
        let size = point.checkpoint.size;
        if tree.root(size) != Some(point.checkpoint.root) {
            return Some(match size == contents.first {
                true => Finding::of(
                    FRONTIER,
                    Some(size),
                    "another root than the first checkpoint's",
                ),
                false => {
                    let what = format!(
                        "another root: an entry from {before} to {} is not the one that was signed",
                        size - 1
                    );
                    Finding::of(&point.path, Some(before), what)
                }
            });
        }
        before = size;
    }
    None
}

fn consistency(contents: &Contents) -> Option<Finding> {
    let root = |size| {
        contents
            .points
            .iter()
            .find(|point| point.checkpoint.size == size)
    };
    let last = root(contents.end)?.checkpoint.root;
    let first = root(contents.first).map_or(last, |point| point.checkpoint.root);
    let proof = verify_consistency(
        (contents.first, &first),
        (contents.end, &last),
        &contents.consistency,
    );
    let bad = proof.err()?;
    Some(Finding::of(
        CONSISTENCY,
        Some(contents.first),
        bad.to_string(),
    ))
}

fn signatures(contents: &Contents, policy: &LogPolicy) -> Vec<Finding> {
    let finding = |point: &super::open::Point| {
        let what = match policy.log.signed(&point.note) {
            _ if point.checkpoint.origin != policy.log.name => "a checkpoint of another log",
            Some(true) => return None,
            Some(false) => "a signature of the log that does not hold",
            None => "no signature of the log",
        };
        Some(Finding::of(&point.path, Some(point.checkpoint.size), what))
    };
    contents.points.iter().filter_map(finding).collect()
}

fn witnesses(contents: &Contents, policy: &LogPolicy) -> Vec<Finding> {
    let mut findings = Vec::new();
    for point in &contents.points {
        let size = point.checkpoint.size;
        let mut signed = Vec::new();
        for (name, key) in &policy.witnesses {
            match key.signed(&point.note) {
                Some(true) => signed.push(name.as_str()),
                Some(false) => {
                    let what = format!("a cosignature of {name} that does not hold");
                    findings.push(Finding::of(&point.path, Some(size), what));
                }
                None => {}
            }
        }
        let is_end = size == contents.first || size == contents.end;
        if is_end && !policy.is_quorum(&signed) {
            let what = format!("cosignatures of {} witnesses, no quorum", signed.len());
            findings.push(Finding::of(&point.path, Some(size), what));
        }
    }
    findings
}

fn order(contents: &Contents) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut seen: BTreeMap<[u8; 16], u64> = BTreeMap::new();
    let mut before = 0;
    for (index, leaf) in (contents.first..).zip(&contents.leaves) {
        let at = raw::recorded_at(leaf);
        let what = match seen.insert(raw::event_id(leaf), index) {
            _ if raw::seq(leaf) != index => {
                format!("a leaf that says it is entry {}", raw::seq(leaf))
            }
            _ if at < before => "recorded before the entry in front of it".to_owned(),
            Some(first) => format!("the event of entry {first} again"),
            None => String::new(),
        };
        if !what.is_empty() {
            findings.push(Finding::of(LEAVES, Some(index), what));
        }
        before = at;
    }
    findings
}

fn kinds(contents: &Contents) -> Vec<Finding> {
    let bad = |(index, leaf): (u64, &[u8; LEAF_BYTES])| {
        let bad = Leaf::parse(leaf).err()?;
        Some(Finding::of(LEAVES, Some(index), bad.to_string()))
    };
    (contents.first..)
        .zip(&contents.leaves)
        .filter_map(bad)
        .collect()
}

fn personal_data(contents: &Contents) -> Vec<Finding> {
    let about = (contents.first..)
        .zip(&contents.leaves)
        .filter(|(_, leaf)| raw::persons(leaf) != 0);
    about
        .map(|(index, _)| Finding::of(LEAVES, Some(index), "an entry about persons"))
        .collect()
}

fn payloads(contents: &Contents) -> Vec<Finding> {
    let mut findings = Vec::new();
    for entry in &contents.earlier {
        let what = is_committed(&entry.leaf, &entry.body);
        findings.extend(what.map(|what| Finding::of(EARLIER, Some(entry.index), what)));
    }
    let count = contents.leaves.len().max(contents.bodies.len());
    for (index, place) in (contents.first..).zip(0..count) {
        let what = match (contents.leaves.get(place), contents.bodies.get(place)) {
            (Some(leaf), Some((own, body))) if *own == index => is_committed(leaf, body),
            (Some(_), None) => Some("missing"),
            (None, _) => Some("a payload without a leaf"),
            (Some(_), Some(_)) => Some("the payload of another entry"),
        };
        findings.extend(what.map(|what| Finding::of(PAYLOADS, Some(index), what)));
    }
    findings
}

fn is_committed(leaf: &[u8; LEAF_BYTES], body: &Body) -> Option<&'static str> {
    let Body::Kept { salt, payload } = body else {
        return None;
    };
    if payload_commit(salt, payload) != raw::commit(leaf) {
        return Some("another payload than the leaf commits to");
    }
    Json::parse(payload)
        .is_err()
        .then_some("a payload that is not canonical JSON")
}

fn proofs(contents: &Contents) -> Vec<Finding> {
    let mut findings = Vec::new();
    let proved: BTreeMap<u64, &[Hash32]> = contents
        .inclusion
        .iter()
        .map(|(index, proof)| (*index, proof.as_slice()))
        .collect();
    for entry in contents
        .earlier
        .iter()
        .filter(|entry| !proved.contains_key(&entry.index))
    {
        findings.push(Finding::of(
            EARLIER,
            Some(entry.index),
            "no proof that it is in the log",
        ));
    }
    let Some(last) = contents.points.last() else {
        return findings;
    };
    for (index, proof) in proved {
        let leaf = leaf_at(contents, index).map(|leaf| leaf_hash(leaf));
        let place = (index, contents.end);
        let held = leaf.map(|leaf| verify_inclusion(&leaf, place, proof, &last.checkpoint.root));
        let what = match held {
            Some(Ok(())) => continue,
            Some(Err(bad)) => bad.to_string(),
            None => "a proof of an entry that is not in the pack".to_owned(),
        };
        findings.push(Finding::of(INCLUSION, Some(index), what));
    }
    findings
}

fn leaf_at(contents: &Contents, index: u64) -> Option<&[u8; LEAF_BYTES]> {
    if let Some(place) = index.checked_sub(contents.first) {
        return contents.leaves.get(usize::try_from(place).ok()?);
    }
    let at = contents
        .earlier
        .binary_search_by_key(&index, |entry| entry.index)
        .ok()?;
    Some(&contents.earlier[at].leaf)
}

const OF_UNIT: &str = "a unit's own log is about persons, and its pack stays at the unit";
