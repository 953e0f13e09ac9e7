//! The life of a released model: its last moment is known from the start, and people may end it earlier.
//!
//! Whoever is erased, whenever that is, knows from the date alone how long a model that may have learned from them is used: nobody has to
//! be told of an erasure. Reads no clock.

use serde::{Deserialize, Serialize};

use super::{Card, ModelFile};
use crate::base::calendar;
use crate::base::limits::MODEL_AGE_DAYS;
use crate::base::time::Timestamp;

/// What people decided about a released model.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fate {
    /// Nothing: it is used until its date.
    #[default]
    InUse,
    /// Its use ended before its date.
    Retired,
    /// It should not have been used.
    Recalled,
}

/// How long a model is used.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Life {
    /// The last moment of its use.
    pub retire_by: Timestamp,
    /// What people decided.
    pub fate: Fate,
    /// When they did; 0 where they did not.
    pub since: Timestamp,
}

/// A model is not used any more.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum OutOfUse {
    /// Its date has passed.
    #[error(
        "model {model} was to be retired by {day} (rule model_age_after_erasure_max_days): it predicts no more; train a new version, or ask \
         the operator for one"
    )]
    Expired {
        /// `NAME@VERSION`.
        model: String,
        /// Its last day.
        day: String,
    },
    /// People ended its use.
    #[error(
        "model {model} was {fate} on {day}: it predicts no more; use another version, or ask an approver why"
    )]
    Ended {
        /// `NAME@VERSION`.
        model: String,
        /// What was decided.
        fate: &'static str,
        /// When.
        day: String,
    },
}

impl Fate {
    /// The word in lists and files.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::InUse => "in-use",
            Self::Retired => "retired",
            Self::Recalled => "recalled",
        }
    }
}

impl Life {
    /// Of a model about which nobody has decided anything.
    #[must_use]
    pub fn of(card: &Card) -> Self {
        Self {
            retire_by: card.last_use(),
            fate: Fate::InUse,
            since: Timestamp(0),
        }
    }

    /// Whether predictions may be made with the model at this time.
    ///
    /// # Errors
    ///
    /// Its date has passed, or people ended its use.
    pub fn allows(&self, model: &str, now: Timestamp) -> Result<(), OutOfUse> {
        let model = model.to_owned();
        if self.fate != Fate::InUse {
            return Err(OutOfUse::Ended {
                model,
                fate: self.fate.word(),
                day: day(self.since),
            });
        }
        if now > self.retire_by {
            let day = day(self.retire_by);
            return Err(OutOfUse::Expired { model, day });
        }
        Ok(())
    }

    /// Since when the model is out of use at this time; none while it is used.
    #[must_use]
    pub fn ended(&self, now: Timestamp) -> Option<Timestamp> {
        match self.fate {
            Fate::InUse => (now > self.retire_by).then_some(self.retire_by),
            // A decision after the date ends nothing that had not ended.
            Fate::Retired | Fate::Recalled => Some(self.since.min(self.retire_by)),
        }
    }

    /// `in-use`, `expired`, `retired` or `recalled`.
    #[must_use]
    pub fn state(&self, now: Timestamp) -> &'static str {
        match self.fate {
            Fate::InUse if now > self.retire_by => "expired",
            fate => fate.word(),
        }
    }
}

impl Card {
    /// The last moment of the model's use. Cards from before dates were kept count from when they were made.
    #[must_use]
    pub fn last_use(&self) -> Timestamp {
        let dated = self.retire_by;
        dated.unwrap_or_else(|| last_use(self.created, MODEL_AGE_DAYS))
    }
}

impl ModelFile {
    /// Whether the file's own date lets predictions be made with it.
    ///
    /// # Errors
    ///
    /// The date has passed.
    pub fn in_date(&self, now: Timestamp) -> Result<(), OutOfUse> {
        let card = self.card();
        Life::of(card).allows(&format!("{}@{}", card.name, card.version), now)
    }
}

/// The last moment of a model that was made at this time.
#[must_use]
pub fn last_use(made: Timestamp, days: u64) -> Timestamp {
    made.after_ms(days.saturating_mul(DAY_MS))
}

/// The day of a moment, as `YYYY-MM-DD`.
#[must_use]
pub fn day(moment: Timestamp) -> String {
    calendar::written(i32::try_from(moment.0 / DAY_MS).unwrap_or(i32::MAX / 2))
}

const DAY_MS: u64 = 24 * 3_600 * 1_000;

#[cfg(test)]
mod tests {
    use super::*;

    const LAST: u64 = 90 * DAY_MS;

    #[track_caller]
    fn check(fate: Fate, now: u64, expected: Result<(), &str>) {
        let life = Life {
            retire_by: last_use(Timestamp(0), 90),
            fate,
            since: Timestamp(DAY_MS),
        };
        let found = life.allows("churn@2", Timestamp(now));
        let found = found.map_err(|error| error.to_string());
        match (found, expected) {
            (Ok(()), Ok(())) => assert_eq!(life.ended(Timestamp(now)), None),
            (Err(found), Err(expected)) => {
                assert!(
                    found.contains(expected) && found.contains("churn@2"),
                    "{found}"
                );
                assert!(life.ended(Timestamp(now)).is_some());
            }
            (found, _) => panic!("{found:?}"),
        }
    }

    #[test]
    fn a_model_is_used_until_its_date_and_no_longer() {
        check(Fate::InUse, 0, Ok(()));
        check(Fate::InUse, LAST, Ok(()));
        check(Fate::InUse, LAST + 1, Err("retired by 1970-04-01"));
        check(
            Fate::InUse,
            u64::MAX,
            Err("model_age_after_erasure_max_days"),
        );
        check(Fate::Retired, 0, Err("was retired on 1970-01-02"));
        check(Fate::Recalled, LAST + 1, Err("was recalled on 1970-01-02"));
    }

    #[test]
    fn a_decision_after_the_date_changes_no_date() {
        let life = Life {
            retire_by: Timestamp(5),
            fate: Fate::Retired,
            since: Timestamp(9),
        };
        assert_eq!(life.ended(Timestamp(10)), Some(Timestamp(5)));
        assert_eq!(life.state(Timestamp(10)), "retired");
        let life = Life {
            fate: Fate::InUse,
            ..life
        };
        assert_eq!(
            (life.state(Timestamp(5)), life.state(Timestamp(6))),
            ("in-use", "expired")
        );
    }

    #[test]
    fn a_far_date_stays_a_date() {
        assert_eq!(last_use(Timestamp(1), u64::MAX), Timestamp(u64::MAX));
        assert!(!day(Timestamp(u64::MAX)).is_empty());
    }
}
