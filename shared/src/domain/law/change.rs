//! Changes of a site's policy (a unit's, the coordinator's): two of its officers sign them, or somebody breaks the glass and is written down.
//!
//! Policy is what decides about people: purposes, packs, what is declared of customers, caps, approvers. A digest stands for it.

use serde::{Deserialize, Serialize};

use super::exception::Granted;
use crate::base::hash::labelled;
use crate::base::ids::{Hash32, IdentityKey};
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
    /// Policies that were in force without signatures, oldest first.
    pub overrides: Vec<Override>,
    /// Exceptions for screened uses that two officers signed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exceptions: Vec<Granted>,
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
    /// Whether the site has a past: entries in the unit's ledger, a policy in the coordinator's history.
    pub has_past: bool,
    /// Now.
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
    /// What was accepted before is not known.
    #[error("the record of the accepted policy is missing where one was accepted before")]
    Missing,
    /// An override has run out.
    #[error("the override of the policy has run out, and nobody has signed the change")]
    RunOut,
}

/// Holds the policy of the files against what was accepted: the record to keep, which may be the same.
///
/// With fewer than two officers one person can change the policy; the first policy of a unit is taken as it is.
///
/// # Errors
///
/// The change is not signed by two officers of the policy before, and the glass is not broken.
pub fn accept(before: Option<&Accepted>, found: &Found<'_>) -> Result<Accepted, NotAccepted> {
    let new = |signers: Vec<IdentityKey>, overrides: Vec<Override>| Accepted {
        digest: found.digest,
        officers: found.officers.to_vec(),
        at: found.now,
        signers,
        overrides,
        exceptions: Vec::new(),
    };
    let Some(before) = before else {
        return match (found.has_past, found.reason) {
            (false, _) => Ok(new(Vec::new(), Vec::new())),
            (true, None) => Err(NotAccepted::Missing),
            (true, Some(reason)) => Ok(new(Vec::new(), vec![broken(found, reason)])),
        };
    };
    if before.digest == found.digest {
        return Ok(before.clone());
    }
    let mut signers: Vec<IdentityKey> = found.signers.to_vec();
    signers.retain(|signer| before.officers.contains(signer));
    signers.sort_unstable();
    signers.dedup();
    if signers.len() >= SIGNERS_MIN || before.officers.len() < SIGNERS_MIN {
        return Ok(new(signers, before.overrides.clone()));
    }
    if let Some(reason) = found.reason {
        let mut kept = before.clone();
        kept.overrides.push(broken(found, reason));
        return Ok(kept);
    }
    let own = before.overrides.iter().rev();
    let mut own = own.filter(|own| own.digest == found.digest);
    match own.next() {
        Some(own) if found.now <= own.at.after_ms(OVERRIDE_MS) => Ok(before.clone()),
        Some(_) => Err(NotAccepted::RunOut),
        None => Err(NotAccepted::Unsigned {
            signed: signers.len(),
            officers: before.officers.len(),
        }),
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
        let since = before.at.0.to_be_bytes();
        labelled(
            "aquifer/policy/1/from-to",
            &[&before.digest.0, &since, &policy.0],
        )
    })
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
            overrides: Vec::new(),
            exceptions: Vec::new(),
        }
    }

    fn changed(
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
            has_past: true,
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
        assert_eq!(changed(&two, &[], None), unsigned(0));
        assert_eq!(changed(&two, &[3], None), unsigned(1));
        assert_eq!(
            changed(&two, &[3, 3], None),
            unsigned(1),
            "one person twice"
        );
        assert_eq!(
            changed(&two, &[7, 8], None),
            unsigned(0),
            "officers of the change itself"
        );
        let accepted = changed(&two, &[5, 3], None).unwrap();
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
        assert_eq!(changed(&before(&[]), &[], None).unwrap().digest, NEW);
        assert_eq!(changed(&before(&[3]), &[], None).unwrap().digest, NEW);
    }

    #[test]
    fn a_broken_glass_is_written_down_and_holds_a_day() {
        let two = before(&[3, 4]);
        let broken = changed(&two, &[], Some("the store burns")).unwrap();
        assert_eq!(broken.digest, OLD, "nothing was accepted");
        assert_eq!(broken.overrides[0].reason, "the store burns");
        assert_eq!(changed(&broken, &[], None).unwrap(), broken, "the same day");
        let mut yesterday = broken.clone();
        yesterday.overrides[0].at = Timestamp(0);
        let late = Found {
            digest: NEW,
            officers: &[],
            signers: &[],
            reason: None,
            has_past: true,
            now: Timestamp(OVERRIDE_MS + 1),
        };
        assert_eq!(accept(Some(&yesterday), &late), Err(NotAccepted::RunOut));
        let signed = changed(&broken, &[3, 4], None).unwrap();
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
            has_past,
            now: NOW,
        };
        assert_eq!(accept(None, &found(false, None)).unwrap().digest, NEW);
        assert_eq!(accept(None, &found(true, None)), Err(NotAccepted::Missing));
        let broken = accept(None, &found(true, Some("restored"))).unwrap();
        assert_eq!(broken.overrides.len(), 1);
    }
}
