//! What a site's history knows of its accepted policy: the whole record. The file beside the configuration is a copy of it, for commands
//! and for people, and is believed only where it is that record.

use serde::{Deserialize, Serialize};

use super::history::{History, HistoryFault};
use super::signed::signers;
use crate::base::hash::labelled;
use crate::base::ids::Hash32;
use crate::base::time::Timestamp;
use crate::domain::law::change::{Accepted, change_digest, change_from};

/// What a history knows.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Known {
    /// What it keeps under [`KEPT`].
    pub kept: Option<String>,
    /// When its newest entry was written down: it is not earlier now, whatever a clock says.
    pub latest: Timestamp,
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
        Ok(Self {
            kept: history.kept(KEPT).await?,
            latest: history.latest().await?,
        })
    }

    pub(super) fn record(&self) -> Option<Kept> {
        let kept = self.kept.as_deref()?;
        serde_json::from_str(kept).ok()
    }

    /// Holds the record of the file against what the history knows.
    pub(super) fn start(&self, file: Option<Accepted>) -> anyhow::Result<Start> {
        let file = file.filter(holds);
        let Some(text) = &self.kept else {
            // A site from before histories kept it, or its first start.
            return Ok(Start {
                before: file,
                lost: false,
            });
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
