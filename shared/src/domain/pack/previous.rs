//! Whether a pack continues the one before it: no fork, no older log in its place, no gap.

use std::collections::BTreeMap;

use super::checks::Finding;
use super::files::Files;
use super::layout::{CHECKPOINTS, EARLIER, LEAVES, REPORT, checkpoint_path};
use super::open::{Contents, Pack, open};
use super::range::{is_list, list_of};
use super::tree::PackTree;
use crate::base::ids::Hash32;
use crate::domain::tlog::leaf_hash;

pub(super) fn check(pack: &Pack, previous: &Files) -> Vec<Finding> {
    let Ok(before) = open(previous) else {
        return vec![Finding::of(REPORT, None, "the pack before is not in form")];
    };
    let (own, old) = (&pack.contents, &before.contents);
    let mut findings = Vec::new();
    if pack.quarter <= before.quarter {
        let what = format!(
            "quarter {}, not after {} of the pack before",
            pack.quarter, before.quarter
        );
        findings.push(Finding::of(REPORT, None, what));
    }
    if own.policy.log != old.policy.log {
        findings.push(Finding::of(
            super::layout::POLICY,
            None,
            "another log than in the pack before",
        ));
    }
    if own.end < old.end {
        let what = format!(
            "the log ends at {}, the pack before at {}",
            own.end, old.end
        );
        findings.push(Finding::of(&checkpoint_path(own.end), Some(own.end), what));
    }
    if own.first > old.end {
        let what = format!(
            "entries from {} to {} are in neither pack",
            old.end,
            own.first - 1
        );
        findings.push(Finding::of(CHECKPOINTS, Some(old.end), what));
    }
    findings.extend(left_out(own, old));
    findings.extend(same_sizes(own, old));
    findings.extend(overlap(own, old));
    findings
}

/// A list of programs that the pack before has and that stood when this one begins.
fn left_out(own: &Contents, old: &Contents) -> Option<Finding> {
    let leaves = (old.first..).zip(old.leaves.iter().zip(&old.bodies));
    let listed = leaves.filter(|(_, (leaf, (_, body)))| list_of(leaf, body).is_some());
    let known = newest_list(old).into_iter();
    let known = known.chain(listed.map(|(index, _)| index));
    let stood = known.filter(|index| *index < own.first).max()?;
    let what = "the list of programs that stood when the pack begins is in the pack before, and not in this one";
    (newest_list(own) < Some(stood)).then(|| Finding::of(EARLIER, Some(stood), what))
}

/// The list that a pack has from before its first entry.
fn newest_list(contents: &Contents) -> Option<u64> {
    let list = contents.earlier.iter().rfind(|entry| is_list(entry));
    list.map(|entry| entry.index)
}

/// Two roots of one size: two histories.
fn same_sizes(own: &Contents, old: &Contents) -> Vec<Finding> {
    let known: BTreeMap<u64, Hash32> = old
        .points
        .iter()
        .map(|point| (point.checkpoint.size, point.checkpoint.root))
        .collect();
    let forked = own.points.iter().filter(|point| {
        let known = known.get(&point.checkpoint.size);
        known.is_some_and(|root| *root != point.checkpoint.root)
    });
    let finding = |point: &super::open::Point| {
        let what = "another root than the pack before has for as many entries: two histories";
        Finding::of(&point.path, Some(point.checkpoint.size), what)
    };
    forked.map(finding).collect()
}

/// The first entry that both have and that differs; and the tree before all of them.
fn overlap(own: &Contents, old: &Contents) -> Option<Finding> {
    let start = own.first.max(old.first);
    let at = |contents: &Contents, index: u64| {
        let place = usize::try_from(index - contents.first).ok()?;
        contents.leaves.get(place).copied()
    };
    for index in start..own.end.min(old.end) {
        if at(own, index) != at(old, index) {
            return Some(Finding::of(
                LEAVES,
                Some(index),
                "another entry than in the pack before",
            ));
        }
    }
    if !(own.first..=own.end).contains(&old.end) {
        return None;
    }
    let leaves = own.leaves.iter().map(|leaf| leaf_hash(leaf));
    let root = PackTree::new(own.first, &own.frontier, leaves).and_then(|tree| tree.root(old.end));
    let expected = old.points.last().map(|point| point.checkpoint.root);
    (root != expected).then(|| {
        let what = format!(
            "the first {} entries are not those of the pack before",
            old.end
        );
        Finding::of(super::layout::FRONTIER, Some(old.end), what)
    })
}
