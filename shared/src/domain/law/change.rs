//! Changes of a site's policy (a unit's, the coordinator's): two of its officers sign them, or somebody breaks the glass and is written down.
//!
//! Policy is what decides about people: purposes, packs, what is declared of customers, caps, approvers. A digest stands for it.

use serde::{Deserialize, Serialize};

use super::exception::Granted;
use crate::base::hash::labelled;
use crate::base::ids::{Hash32, IdentityKey};
use crate::base::limits::OVERRIDES_KEPT_MAX;
use crate::base::time::Timestamp;

/// A policy that is in force, and how it came to be.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Accepted {
    /// Stands for the policy.
    pub digest: Hash32,
    /// Who signs the next change.
    pub officers: Vec<IdentityKey>,
    /// Since when.
    pub at: Timestamp,
    /// Who signed this one; empty for the first, and where there were no officers.
    pub signers: Vec<IdentityKey>,
    /// What they signed, to be verified again; none where nobody did, and in records of older versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed: Option<Signed>,
    /// Policies that were in force without signatures, oldest first; the newest of them.
    pub overrides: Vec<Override>,
    /// Exceptions for screened uses that two officers signed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exceptions: Vec<Granted>,
}

/// A change with the signatures under it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Signed {
    /// The policy before.
    pub from: Hash32,
    /// Since when that was in force.
    pub since: Timestamp,
    /// A line for each signer: key and signature.
    pub lines: Vec<String>,
}

/// The glass was broken.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Override {
    /// Stands for the policy.
    pub digest: Hash32,
    /// Why, in the words of who did it.
    pub reason: String,
    /// When; it holds for [`OVERRIDE_MS`].
    pub at: Timestamp,
}

impl Accepted {
    /// Until when a policy is in force under this record: for good (none), or as long as a broken glass holds.
    #[must_use]
    pub fn until(&self, policy: &Hash32) -> Option<Timestamp> {
        if self.digest == *policy {
            return None;
        }
        Some(self.broken(policy).map_or(Timestamp(0), Override::until))
    }

    /// The glass that was broken for a policy.
    #[must_use]
    pub fn broken(&self, policy: &Hash32) -> Option<&Override> {
        self.overrides.iter().find(|own| own.digest == *policy)
    }
}

impl Override {
    /// The last moment at which it holds.
    #[must_use]
    pub fn until(&self) -> Timestamp {
        self.at.after_ms(OVERRIDE_MS)
    }

    /// By the clock, or by the time that programs ran under it: a clock that stands still makes the day no longer.
    fn is_over(&self, found: &Found<'_>) -> bool {
        found.now > self.until() || found.used_ms >= OVERRIDE_MS
    }
}

/// What a start finds.
#[derive(Clone, Copy, Debug)]
pub struct Found<'a> {
    /// The policy of the files.
    pub digest: Hash32,
    /// The officers that it names.
    pub officers: &'a [IdentityKey],
    /// Officers whose signatures over the digest were verified.
    pub signers: &'a [IdentityKey],
    /// Why the glass is broken, if it is.
    pub reason: Option<&'a str>,
    /// For how long programs ran under a glass that was broken for this policy before, in milliseconds.
    pub used_ms: u64,
    /// Whether the site has a past: entries in the unit's ledger, a policy in its history.
    pub has_past: bool,
    /// Whether the record beside the files is not the one that the history knows: deleted, put back, changed.
    pub lost: bool,
    /// Now, and not before anything that was written down.
    pub now: Timestamp,
}

/// Why a policy is not in force.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum NotAccepted {
    /// Too few officers signed it.
    #[error(
        "the policy has changed, and {signed} of its officers signed the change, expected {SIGNERS_MIN} of {officers}"
    )]
    Unsigned {
        /// Signatures that count.
        signed: usize,
        /// Officers who may sign.
        officers: usize,
    },
    /// The record of what was accepted before is gone, or is another one.
    #[error(
        "the record of the accepted policy is missing, or is not the one that the history knows: it was deleted, put back or changed"
    )]
    Missing,
    /// Neither a record nor the history says what was accepted, and the site has a past.
    #[error(
        "the record of the accepted policy is missing, the history does not know it, and there is more here than a first start leaves"
    )]
    Unknown,
    /// An override has run out: there is no second one for the same policy.
    #[error(
        "the override of the policy has run out, two officers have not signed the change, and the glass is broken once for a policy"
    )]
    RunOut,
    /// A running program did not start under it, and its history has not heard of it.
    #[error(
        "the policy has changed, and the change is allowed, but this program was started before"
    )]
    NotStarted,
}

/// Holds the policy of the files against what was accepted: the record to keep, which may be the same.
///
/// With fewer than two officers one person can change the policy; the first policy of a unit is taken as it is. Where a record was lost,
/// `before` is what the history knows: signatures and a broken glass start from it.
///
/// # Errors
///
/// The change is not signed by two officers of the policy before, and the glass is not broken, or was before.
pub fn accept(before: Option<&Accepted>, found: &Found<'_>) -> Result<Accepted, NotAccepted> {
    let Some(before) = before else {
        return match (found.has_past, found.reason) {
            (false, _) => Ok(changed(found, Vec::new(), Vec::new())),
            (true, None) => Err(NotAccepted::Unknown),
            (true, Some(reason)) => Ok(unknown(found, reason)),
        };
    };
    let same = before.digest == found.digest;
    if same && !found.lost {
        return Ok(before.clone());
    }
    let signers = counted(before, found);
    let alone = before.officers.len() < SIGNERS_MIN && !found.lost;
    if signers.len() >= SIGNERS_MIN || alone {
        return Ok(changed(found, signers, before.overrides.clone()));
    }
    match (before.broken(&found.digest), found.reason) {
        // Once for a policy; that of a policy which was accepted since ends nothing.
        (Some(own), _) if !same && own.is_over(found) => Err(NotAccepted::RunOut),
        (Some(_), reason) if !same && (reason.is_some() || !found.lost) => Ok(before.clone()),
        (_, Some(reason)) => {
            let mut kept = before.clone();
            kept.overrides.push(broken(found, reason));
            let over = kept.overrides.len().saturating_sub(OVERRIDES_KEPT_MAX);
            kept.overrides.drain(..over);
            Ok(kept)
        }
        (_, None) if found.lost => Err(NotAccepted::Missing),
        (_, None) => Err(NotAccepted::Unsigned {
            signed: signers.len(),
            officers: before.officers.len(),
        }),
    }
}

/// Officers of the policy before who signed, each once.
fn counted(before: &Accepted, found: &Found<'_>) -> Vec<IdentityKey> {
    let mut signers: Vec<IdentityKey> = found.signers.to_vec();
    signers.retain(|signer| before.officers.contains(signer));
    signers.sort_unstable();
    signers.dedup();
    signers
}

fn changed(found: &Found<'_>, signers: Vec<IdentityKey>, overrides: Vec<Override>) -> Accepted {
    Accepted {
        digest: found.digest,
        officers: found.officers.to_vec(),
        at: found.now,
        signers,
        signed: None,
        overrides,
        exceptions: Vec::new(),
    }
}

/// A glass that is broken where nobody knows what was accepted: nothing is, so that this ends after a day as well.
fn unknown(found: &Found<'_>, reason: &str) -> Accepted {
    Accepted {
        digest: Hash32::default(),
        ..changed(found, Vec::new(), vec![broken(found, reason)])
    }
}

fn broken(found: &Found<'_>, reason: &str) -> Override {
    Override {
        digest: found.digest,
        reason: reason.to_owned(),
        at: found.now,
    }
}

/// Stands for a change: from the policy that was accepted, and when that was, to this one. Signed once, it is for no later change to the
/// same policy. The first policy stands for itself.
#[must_use]
pub fn change_of(before: Option<&Accepted>, policy: &Hash32) -> Hash32 {
    before.map_or(*policy, |before| {
        change_from(&before.digest, before.at, policy)
    })
}

/// The same, from a policy and the moment since when it was in force.
#[must_use]
pub fn change_from(from: &Hash32, since: Timestamp, policy: &Hash32) -> Hash32 {
    let since = since.0.to_be_bytes();
    labelled("aquifer/policy/1/from-to", &[&from.0, &since, &policy.0])
}

/// What an officer signs of [`change_of`]: label `aquifer/policy/1/change`.
#[must_use]
pub fn change_digest(change: &Hash32) -> Hash32 {
    labelled("aquifer/policy/1/change", &[&change.0])
}

/// Officers who sign a change.
pub const SIGNERS_MIN: usize = 2;
/// How long an override holds: a day.
pub const OVERRIDE_MS: u64 = 24 * 3_600 * 1_000;

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_000_000);
    const OLD: Hash32 = Hash32([1; 32]);
    const NEW: Hash32 = Hash32([2; 32]);

    fn officer(number: u8) -> IdentityKey {
        IdentityKey([number; 32])
    }

    fn before(officers: &[u8]) -> Accepted {
        Accepted {
            digest: OLD,
            officers: officers.iter().map(|number| officer(*number)).collect(),
            at: Timestamp(1),
            signers: Vec::new(),
            signed: None,
            overrides: Vec::new(),
            exceptions: Vec::new(),
        }
    }

    fn change(
        before: &Accepted,
        signers: &[u8],
        reason: Option<&str>,
    ) -> Result<Accepted, NotAccepted> {
        let signers: Vec<IdentityKey> = signers.iter().map(|number| officer(*number)).collect();
        let found = Found {
            digest: NEW,
            // The new policy names officers of its own: they do not count for it.
            officers: &[officer(7), officer(8)],
            signers: &signers,
            reason,
            used_ms: 0,
            has_past: true,
            lost: false,
            now: NOW,
        };
        accept(Some(before), &found)
    }

    #[test]
    fn s1_policy_change_needs_two() {
        let two = before(&[3, 4, 5]);
        let unsigned = |signed| {
            Err(NotAccepted::Unsigned {
                signed,
                officers: 3,
            })
        };
        assert_eq!(change(&two, &[], None), unsigned(0));
        assert_eq!(change(&two, &[3], None), unsigned(1));
        assert_eq!(change(&two, &[3, 3], None), unsigned(1), "one person twice");
        assert_eq!(
            change(&two, &[7, 8], None),
            unsigned(0),
            "officers of the change itself"
        );
        let accepted = change(&two, &[5, 3], None).unwrap();
        assert_eq!(
            (accepted.digest, accepted.signers),
            (NEW, vec![officer(3), officer(5)])
        );
        assert_eq!(accepted.officers, [officer(7), officer(8)]);
    }

    #[test]
    fn a_signature_is_for_one_change() {
        let now = before(&[3, 4]);
        let later = Accepted {
            at: Timestamp(2),
            ..now.clone()
        };
        let other = Accepted {
            digest: NEW,
            ..now.clone()
        };
        let changes =
            [None, Some(&now), Some(&later), Some(&other)].map(|before| change_of(before, &NEW));
        assert_eq!(changes[0], NEW);
        let all: std::collections::BTreeSet<Hash32> = changes.into();
        assert_eq!(all.len(), 4, "to the same policy");
    }

    #[test]
    fn with_one_officer_one_person_changes_it() {
        assert_eq!(change(&before(&[]), &[], None).unwrap().digest, NEW);
        assert_eq!(change(&before(&[3]), &[], None).unwrap().digest, NEW);
    }

    #[test]
    fn a_broken_glass_is_written_down_and_holds_a_day() {
        let two = before(&[3, 4]);
        let broken = change(&two, &[], Some("the store burns")).unwrap();
        assert_eq!(broken.digest, OLD, "nothing was accepted");
        assert_eq!(broken.overrides[0].reason, "the store burns");
        assert_eq!(change(&broken, &[], None).unwrap(), broken, "the same day");
        let mut yesterday = broken.clone();
        yesterday.overrides[0].at = Timestamp(0);
        let late = Found {
            digest: NEW,
            officers: &[],
            signers: &[],
            reason: None,
            used_ms: 0,
            has_past: true,
            lost: false,
            now: Timestamp(OVERRIDE_MS + 1),
        };
        assert_eq!(accept(Some(&yesterday), &late), Err(NotAccepted::RunOut));
        let again = Found {
            reason: Some("it burns again"),
            ..late
        };
        assert_eq!(
            accept(Some(&yesterday), &again),
            Err(NotAccepted::RunOut),
            "once for a policy"
        );
        let within = change(&broken, &[], Some("started again")).unwrap();
        assert_eq!(within, broken, "the day does not begin anew");
        assert_eq!(broken.until(&NEW), Some(NOW.after_ms(OVERRIDE_MS)));
        assert_eq!(broken.until(&OLD), None);
        assert_eq!(broken.until(&Hash32([9; 32])), Some(Timestamp(0)));
        let signed = change(&broken, &[3, 4], None).unwrap();
        assert_eq!(
            (signed.digest, signed.overrides.len()),
            (NEW, 1),
            "the past stays"
        );
    }

    #[test]
    fn a_lost_record_is_not_made_anew_beside_a_past() {
        let found = |has_past, reason| Found {
            digest: NEW,
            officers: &[],
            signers: &[],
            reason,
            used_ms: 0,
            has_past,
            lost: has_past,
            now: NOW,
        };
        assert_eq!(accept(None, &found(false, None)).unwrap().digest, NEW);
        assert_eq!(accept(None, &found(true, None)), Err(NotAccepted::Unknown));
        let broken = accept(None, &found(true, Some("restored"))).unwrap();
        assert_eq!(broken.overrides.len(), 1);
        assert_eq!(
            broken.until(&NEW),
            Some(NOW.after_ms(OVERRIDE_MS)),
            "not for good"
        );
    }

    /// A start under a broken glass: for how long programs ran under it before, by a clock that stands still.
    #[track_caller]
    fn check_used(used_ms: u64, reason: Option<&str>, expected: bool) {
        let broken = change(&before(&[3, 4]), &[], Some("fire")).unwrap();
        let found = Found {
            digest: NEW,
            officers: &[],
            signers: &[],
            reason,
            used_ms,
            has_past: true,
            lost: false,
            now: NOW,
        };
        let ended = accept(Some(&broken), &found);
        assert_eq!(ended, expected.then_some(broken).ok_or(NotAccepted::RunOut));
    }

    #[test]
    fn a_clock_that_stands_still_makes_the_day_no_longer() {
        check_used(0, None, true);
        check_used(OVERRIDE_MS - 1, None, true);
        check_used(OVERRIDE_MS, None, false);
        check_used(OVERRIDE_MS, Some("fire again"), false);
    }

    #[test]
    fn a_record_keeps_the_newest_overrides() {
        let mut kept = before(&[3, 4]);
        for number in 0..=OVERRIDES_KEPT_MAX {
            let found = Found {
                digest: Hash32([u8::try_from(number).unwrap() + 3; 32]),
                officers: &[],
                signers: &[],
                reason: Some("fire"),
                used_ms: 0,
                has_past: true,
                lost: false,
                now: NOW,
            };
            kept = accept(Some(&kept), &found).unwrap();
            assert!(kept.broken(&found.digest).is_some(), "{number}");
        }
        assert_eq!(kept.overrides.len(), OVERRIDES_KEPT_MAX);
        assert!(kept.broken(&Hash32([3; 32])).is_none(), "the oldest");
    }

    /// A start without the record, where the history knows it: who signs, whether the glass is broken, and what is then in force.
    #[track_caller]
    fn check_lost(policy: Hash32, signers: &[u8], reason: Option<&str>, expected: Option<Hash32>) {
        let signers: Vec<IdentityKey> = signers.iter().map(|number| officer(*number)).collect();
        let found = Found {
            digest: policy,
            officers: &[officer(7)],
            signers: &signers,
            reason,
            used_ms: 0,
            has_past: true,
            lost: true,
            now: NOW,
        };
        let before = before(&[3, 4]);
        let kept = accept(Some(&before), &found);
        let Some(expected) = expected else {
            return assert_eq!(kept, Err(NotAccepted::Missing));
        };
        let kept = kept.unwrap();
        assert_eq!(kept.digest, expected);
        if let Some(reason) = reason {
            assert_eq!(kept.overrides[0].reason, reason);
            assert_eq!(kept.officers, before.officers, "who sign the next change");
            let found = Found {
                reason: None,
                lost: false,
                now: NOW.after_ms(OVERRIDE_MS + 1),
                ..found
            };
            let later = accept(Some(&kept), &found);
            assert_eq!(later.is_ok(), policy == expected, "{later:?}");
        }
    }

    #[test]
    fn a_lost_record_takes_signatures_or_a_glass_that_ends() {
        check_lost(NEW, &[], None, None);
        check_lost(NEW, &[3], None, None);
        check_lost(OLD, &[], None, None);
        check_lost(NEW, &[3, 4], None, Some(NEW));
        check_lost(OLD, &[3, 4], None, Some(OLD));
        check_lost(NEW, &[], Some("restored"), Some(OLD));
        check_lost(OLD, &[], Some("restored"), Some(OLD));
    }

    #[test]
    fn without_officers_a_lost_record_is_lost_all_the_same() {
        let found = Found {
            digest: NEW,
            officers: &[],
            signers: &[],
            reason: None,
            used_ms: 0,
            has_past: true,
            lost: true,
            now: NOW,
        };
        let missing = accept(Some(&before(&[3])), &found);
        assert_eq!(missing, Err(NotAccepted::Missing));
    }
}
