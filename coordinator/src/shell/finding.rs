//! A study by what a person calls it.

use aquifer_shared::base::ids::StudyHash;
use aquifer_shared::protocol::ask::{Response, StudyStatus};

use super::hub::Hub;
use super::requests::{refused, unknown};

impl Hub {
    /// A study by name (the newest), by hash, or by a unique start of the hash.
    pub(super) fn find(&self, which: &str) -> Result<StudyHash, Response> {
        let named = self
            .studies
            .values()
            .filter(|live| live.terms.name.as_str() == which);
        if let Some(live) = named.max_by_key(|live| live.submitted) {
            return Ok(live.hash);
        }
        let starts = which.len() >= 4;
        let mut found = self
            .studies
            .keys()
            .filter(|hash| starts && hash.to_string().starts_with(which));
        match (found.next(), found.next()) {
            (Some(hash), None) => Ok(*hash),
            (Some(_), Some(_)) => Err(refused(
                "ambiguous",
                "several studies start like this; give more digits".into(),
            )),
            _ => Err(self.unread(which)),
        }
    }

    /// Why a study is not found.
    fn unread(&self, which: &str) -> Response {
        let asked = |status: &&StudyStatus| {
            let hash = status.study.to_string();
            status.name.as_str() == which || (which.len() >= 4 && hash.starts_with(which))
        };
        match self.damaged.values().find(asked) {
            Some(status) => refused(
                "damaged",
                format!(
                    "study {} is damaged: {}",
                    status.study.short(),
                    status.reason
                ),
            ),
            None => unknown("study", which),
        }
    }
}
