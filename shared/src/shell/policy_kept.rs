//! What a site's history knows of its accepted policy: the whole record. The file beside the configuration is a copy of it, for commands
//! and for people, and is believed only where it is that record.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::history::{History, HistoryFault};
use super::policy_term::{name, used};
use super::signed::signers;
use crate::base::hash::labelled;
use crate::base::ids::Hash32;
use crate::base::time::Timestamp;
use crate::domain::law::change::{Accepted, Override, change_digest, change_from};

/// What a history knows.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Known {
    /// What it keeps under `KEPT`.
    pub kept: Option<String>,
    /// When its newest entry was written down: it is not earlier now, whatever a clock says.
    pub latest: Timestamp,
    /// For how long programs ran under each broken glass of the record, in milliseconds.
    #[serde(default)]
    pub used: BTreeMap<String, u64>,
}

/// What is kept: the record in force, and the one before, which a crash may have left in the file.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Kept {
    pub(super) accepted: Accepted,
    pub(super) before: Option<Hash32>,
}

/// From what a change starts.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Start {
    /// What was accepted last, as far as it is known.
    pub(super) before: Option<Accepted>,
    /// Whether the file is not that record.
    pub(super) lost: bool,
}

impl Known {
    /// Asks a history.
    ///
    /// # Errors
    ///
    /// It cannot be read.
    pub async fn of(history: &History) -> Result<Self, HistoryFault> {
        let mut known = Self {
            kept: history.kept(KEPT).await?,
            latest: history.latest().await?,
            used: BTreeMap::new(),
        };
        if let Some(kept) = known.record() {
            known.used = used(&kept.accepted, history).await?;
        }
        Ok(known)
    }

    /// Beside a past whose history is gone: nothing is known, and that is no first start.
    #[must_use]
    pub fn lost() -> Self {
        Self {
            kept: Some(LOST.to_owned()),
            ..Self::default()
        }
    }

    /// Lets a history that begins beside a past keep that it is [`Known::lost`]; one that knows anything stays as it is.
    ///
    /// # Errors
    ///
    /// It cannot be read or written.
    pub async fn begins_beside_a_past(history: &History) -> Result<(), HistoryFault> {
        match Self::of(history).await? == Self::default() {
            true => history.keep(KEPT, LOST.to_owned()).await,
            false => Ok(()),
        }
    }

    pub(super) fn used_ms(&self, broken: &Override) -> u64 {
        let name = name(&broken.digest, broken.until());
        self.used.get(&name).copied().unwrap_or(0)
    }

    pub(super) fn record(&self) -> Option<Kept> {
        let kept = self.kept.as_deref()?;
        serde_json::from_str(kept).ok()
    }

    /// Holds the record of the file against what the history knows; a file that is there may be none that can be read.
    pub(super) fn start(&self, file: Option<Accepted>, there: bool) -> anyhow::Result<Start> {
        let file = file.filter(holds);
        let Some(text) = &self.kept else {
            // A site from before histories kept it, or its first start.
            let lost = there && file.is_none();
            return Ok(Start { before: file, lost });
        };
        let Some(kept) = self.record() else {
            // Kept by a version before: moment and digest alone.
            let before = file.filter(|own| *text == format!("{} {}", own.at.0, own.digest));
            let lost = before.is_none();
            return Ok(Start { before, lost });
        };
        let found = file.as_ref().map(digest_of).transpose()?;
        let left = kept.before.is_some() && found == kept.before;
        let lost = !left && found != Some(digest_of(&kept.accepted)?);
        if lost {
            tracing::warn!(
                "the record of the accepted policy is not the one that the history knows: deleted, put back or changed"
            );
        }
        Ok(Start {
            before: Some(kept.accepted),
            lost,
        })
    }
}

/// Stands for a whole record.
pub(super) fn digest_of(accepted: &Accepted) -> anyhow::Result<Hash32> {
    let bytes = serde_json::to_vec(accepted)?;
    Ok(labelled("aquifer/policy/1/record", &[&bytes]))
}

/// Whether the signatures of a record are those of its signers.
fn holds(accepted: &Accepted) -> bool {
    let Some(signed) = &accepted.signed else {
        return true;
    };
    let change = change_from(&signed.from, signed.since, &accepted.digest);
    let found = signers(&signed.lines.join("\n"), &change_digest(&change));
    accepted.signers.iter().all(|key| found.contains(key))
}

/// Under which name the history keeps which policy was accepted last.
pub(super) const KEPT: &str = "policy";
/// What it keeps there where it began beside a past: no record, and no mark of one.
const LOST: &str = "lost";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::law::change::Signed;
    use crate::shell::keys::Identity;
    use crate::shell::signed::line;

    const FROM: Hash32 = Hash32([1; 32]);

    fn record(at: u64) -> Accepted {
        Accepted {
            digest: Hash32([2; 32]),
            officers: Vec::new(),
            at: Timestamp(at),
            signers: Vec::new(),
            signed: None,
            overrides: Vec::new(),
            exceptions: Vec::new(),
        }
    }

    /// A record that somebody signed, for a policy that may be another.
    fn signed(policy: Hash32) -> Accepted {
        let officer = Identity::generate().unwrap();
        let change = change_digest(&change_from(&FROM, Timestamp(1), &policy));
        Accepted {
            signers: vec![officer.public()],
            signed: Some(Signed {
                from: FROM,
                since: Timestamp(1),
                lines: vec![line(&officer, &change).trim().to_owned()],
            }),
            ..record(5)
        }
    }

    fn kept(accepted: &Accepted, before: Option<&Accepted>) -> Option<String> {
        let before = before.map(|own| digest_of(own).unwrap());
        let accepted = accepted.clone();
        Some(serde_json::to_string(&Kept { accepted, before }).unwrap())
    }

    /// What a history keeps, what the file holds, and from when the record is that counts, if any does and the file is it.
    #[track_caller]
    fn check(kept: Option<String>, file: Option<Accepted>, expected: (Option<u64>, bool)) {
        let there = file.is_some();
        check_file(kept, (file, there), expected);
    }

    /// The same of a file that is there and cannot be read.
    #[track_caller]
    fn check_file(
        kept: Option<String>,
        (file, there): (Option<Accepted>, bool),
        expected: (Option<u64>, bool),
    ) {
        let known = Known {
            kept,
            ..Known::default()
        };
        let start = known.start(file, there).unwrap();
        let found = start.before.map(|own| own.at.0);
        assert_eq!((found, start.lost), expected);
    }

    #[test]
    fn the_history_says_which_record_counts() {
        let (old, new) = (record(5), record(9));
        check(None, None, (None, false));
        check(None, Some(old.clone()), (Some(5), false));
        check(kept(&new, Some(&old)), Some(new.clone()), (Some(9), false));
        check(kept(&new, Some(&old)), Some(old.clone()), (Some(9), false));
        check(kept(&new, None), Some(old.clone()), (Some(9), true));
        check(kept(&new, None), None, (Some(9), true));
        check(kept(&new, Some(&old)), None, (Some(9), true));
        check(kept(&old, None), Some(new.clone()), (Some(5), true));
        let mut other = new.clone();
        other.overrides.push(Override {
            digest: FROM,
            reason: "none".to_owned(),
            at: Timestamp(9),
        });
        check(kept(&new, Some(&old)), Some(other), (Some(9), true));
    }

    #[test]
    fn a_record_that_cannot_be_read_is_lost() {
        check_file(None, (None, true), (None, true));
        check_file(kept(&record(5), None), (None, true), (Some(5), true));
    }

    #[test]
    fn beside_a_past_whose_history_is_gone_no_record_counts() {
        let lost = || Known::lost().kept;
        check(lost(), None, (None, true));
        check(lost(), Some(record(5)), (None, true));
        check(lost(), Some(signed(record(5).digest)), (None, true));
    }

    #[test]
    fn what_a_version_before_kept_is_held_against_the_file() {
        let mark = |own: &Accepted| Some(format!("{} {}", own.at.0, own.digest));
        check(mark(&record(5)), Some(record(5)), (Some(5), false));
        check(mark(&record(9)), Some(record(5)), (None, true));
        check(mark(&record(5)), None, (None, true));
    }

    #[test]
    fn signatures_of_a_record_are_verified_again() {
        check(None, Some(signed(record(5).digest)), (Some(5), false));
        check(None, Some(signed(FROM)), (None, true));
        let mut other = signed(record(5).digest);
        other.signers.push(Identity::generate().unwrap().public());
        check(None, Some(other), (None, true));
    }
}
