//! A study by what a person calls it.

use aquifer_shared::base::ids::{IdentityKey, Role, StudyHash};
use aquifer_shared::protocol::ask::{Response, StudyStatus};

use super::hub::Hub;
use super::live::Live;
use super::requests::{refused, unknown};
use super::store::Party;

impl Hub {
    /// A study by name (the newest), by hash, or by a unique start of the hash.
    pub(super) fn find(&self, party: &Party, which: &str) -> Result<StudyHash, Response> {
        let visible = || {
            self.studies
                .values()
                .filter(|live| self.is_visible(party, live))
        };
        // Questions bear the name of the standing study, which is meant.
        let named =
            visible().filter(|live| !live.is_question() && live.terms.name.as_str() == which);
        if let Some(live) = named.max_by_key(|live| live.submitted) {
            return Ok(live.hash);
        }
        let starts = which.len() >= 4;
        let mut found = visible()
            .map(|live| &live.hash)
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

    pub(super) fn is_connected(&self, key: &IdentityKey) -> bool {
        self.sessions.contains_key(key)
    }

    /// Whether a person may see a study: what analysts ask is for themselves, and for those who watch over the system.
    pub(super) fn is_visible(&self, party: &Party, live: &Live) -> bool {
        if !live.is_question() || party.role != Role::Analyst {
            return true;
        }
        let running = self.running_questions.get(&live.hash);
        running.is_some_and(|running| running.analyst.as_ref() == Some(&party.name))
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
