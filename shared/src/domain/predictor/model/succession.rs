//! Whether another version, trained anew, takes the place of a model: so that whoever was erased meanwhile is in no model for long.
//!
//! Public, and the same for everybody: the plan rests on dates of models alone, and on no erasure. Reads no clock.

use serde::{Deserialize, Serialize};

use super::day;
use crate::base::time::Timestamp;

/// What becomes of a model's place.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub enum Succession {
    /// Nothing is planned: the model is used until its date.
    #[default]
    Unplanned,
    /// A study for another version is proposed at this moment.
    Scheduled(Timestamp),
    /// It was proposed then; people and units decide on it.
    Proposed(Timestamp),
    /// It was proposed then, and ended without a model.
    Ended(Timestamp),
    /// Another version was released in its place.
    Superseded {
        /// Which.
        version: u32,
        /// When it was made.
        at: Timestamp,
    },
}

impl Succession {
    /// The word in lists and files.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Unplanned => "unplanned",
            Self::Scheduled(_) => "retrain_scheduled",
            Self::Proposed(_) => "retrain_proposed",
            Self::Ended(_) => "retrain_ended",
            Self::Superseded { .. } => "superseded",
        }
    }

    /// The moment that it is about; none where nothing is planned.
    #[must_use]
    pub fn at(self) -> Option<Timestamp> {
        match self {
            Self::Unplanned => None,
            Self::Scheduled(at)
            | Self::Proposed(at)
            | Self::Ended(at)
            | Self::Superseded { at, .. } => Some(at),
        }
    }

    /// Whether another version is on its way, or has come.
    #[must_use]
    pub fn is_under_way(self) -> bool {
        matches!(
            self,
            Self::Scheduled(_) | Self::Proposed(_) | Self::Superseded { .. }
        )
    }

    /// A line for people; none where nothing is planned.
    #[must_use]
    pub fn sentence(self) -> Option<String> {
        let day = day(self.at()?);
        Some(match self {
            Self::Unplanned => return None,
            Self::Scheduled(_) => format!("another version is proposed on {day}"),
            Self::Proposed(_) => format!("another version was proposed on {day}"),
            Self::Ended(_) => format!("proposed on {day}, ended without a model"),
            Self::Superseded { version, .. } => {
                format!("superseded by version {version} of {day}")
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(own: Succession, word: &str, sentence: Option<&str>) {
        assert_eq!(own.word(), word);
        assert_eq!(own.sentence().as_deref(), sentence);
        assert_eq!(own.at().is_some(), sentence.is_some());
    }

    #[test]
    fn what_becomes_of_a_place_is_said_with_its_day() {
        let at = Timestamp(90 * 24 * 3_600 * 1_000);
        check(Succession::Unplanned, "unplanned", None);
        let planned = Some("another version is proposed on 1970-04-01");
        check(Succession::Scheduled(at), "retrain_scheduled", planned);
        let proposed = Some("another version was proposed on 1970-04-01");
        check(Succession::Proposed(at), "retrain_proposed", proposed);
        let ended = Some("proposed on 1970-04-01, ended without a model");
        check(Succession::Ended(at), "retrain_ended", ended);
        let superseded = Succession::Superseded { version: 2, at };
        let said = Some("superseded by version 2 of 1970-04-01");
        check(superseded, "superseded", said);
    }

    #[test]
    fn a_proposal_that_came_to_nothing_is_not_under_way() {
        let at = Timestamp(1);
        assert!(Succession::Scheduled(at).is_under_way());
        assert!(Succession::Superseded { version: 2, at }.is_under_way());
        assert!(!Succession::Ended(at).is_under_way());
        assert!(!Succession::Unplanned.is_under_way());
    }
}
