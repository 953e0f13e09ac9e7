//! When a study is proposed again, so that another version takes the place of its model: a function of dates and of what came of proposals.
//!
//! Reads no clock and proposes nothing. A proposal is one like any other: an approver, the rules of law and the units decide on it.

use aquifer_shared::base::ids::Name;
use aquifer_shared::base::limits::STUDY_LIFE_MS_MAX;
use aquifer_shared::base::time::Timestamp;
use aquifer_shared::domain::predictor::model::{Fate, Life, Succession};

use super::expand::{ExpandError, LIFE_HOURS, value};
use super::study_file::{Nodes, PlanChoice, StudyFile};

/// Number of the one proposal of a model that nobody asked for but its study file. Those that people ask for count from 1.
pub const SCHEDULED: u32 = 0;

/// A released model as far as its place goes.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// When it was made.
    pub created: Timestamp,
    /// How long it is used.
    pub life: Life,
    /// Days before its last one on which the study is proposed again, where the study file says so.
    pub lead_days: Option<u32>,
    /// A newer version of its name is in use.
    pub followed: bool,
}

/// A proposal to train a model anew.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Proposal {
    /// [`SCHEDULED`], or its place among those that people asked for.
    pub number: u32,
    /// When it was made.
    pub at: Timestamp,
    /// What came of it.
    pub outcome: Outcome,
}

/// What came of a proposal.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// Nothing yet: somebody decides, units train, or its model is held for a person.
    Open,
    /// It ended without a model.
    Nothing,
    /// Its model was released.
    Released {
        /// The version.
        version: u32,
        /// When it was made.
        at: Timestamp,
    },
}

/// What becomes of a model's place, after these proposals, the oldest first.
///
/// A study is proposed by its file once at most, and neither where people ended the model's use nor where a newer version is in use, which
/// has a date of its own.
#[must_use]
pub fn succession(place: &Place, proposals: &[Proposal]) -> Succession {
    let released = proposals.iter().filter_map(|own| match own.outcome {
        Outcome::Released { version, at } => Some((version, at)),
        Outcome::Open | Outcome::Nothing => None,
    });
    if let Some((version, at)) = released.max() {
        return Succession::Superseded { version, at };
    }
    if let Some(open) = proposals.iter().find(|own| own.outcome == Outcome::Open) {
        return Succession::Proposed(open.at);
    }
    let by_file = proposals.iter().any(|own| own.number == SCHEDULED);
    let is_used = place.life.fate == Fate::InUse && !place.followed;
    match place.lead_days {
        Some(days) if is_used && !by_file => Succession::Scheduled(date(place, days)),
        _ => proposals
            .last()
            .map_or(Succession::Unplanned, |last| Succession::Ended(last.at)),
    }
}

/// Whether the study is to be proposed now.
#[must_use]
pub fn is_due(planned: Succession, now: Timestamp) -> bool {
    matches!(planned, Succession::Scheduled(date) if date <= now)
}

/// The number of the next proposal that somebody asks for.
#[must_use]
pub fn next_number(proposals: &[Proposal]) -> u32 {
    let last = proposals.iter().map(|own| own.number).max();
    last.unwrap_or(SCHEDULED).saturating_add(1)
}

/// The file of a model's study as it is proposed again: nodes that are gone are left out, and it waits for people until the model's last
/// moment, for no less than the file gives a study.
#[must_use]
pub fn again(file: &StudyFile, life: &Life, nodes: &[Name], now: Timestamp) -> StudyFile {
    let hours = u64::from(file.expires_in_hours.unwrap_or(LIFE_HOURS));
    let usual = now.after_ms(hours.saturating_mul(3_600_000));
    let expires = life.retire_by.max(usual);
    let mut again = file.clone();
    again.expires = Some(expires.min(now.after_ms(STUDY_LIFE_MS_MAX)).0);
    again.expires_in_hours = None;
    if let Nodes::Named(names) = &mut again.nodes {
        names.retain(|name| nodes.contains(name));
    }
    again
}

/// Whether a study that is submitted may be proposed again as its file says, where models are used for so many days.
///
/// # Errors
///
/// Its plan makes no model, or the days are none or not fewer than those.
pub fn check(file: &StudyFile, days_max: u64) -> Result<(), ExpandError> {
    let Some(choice) = file.retrain else {
        return Ok(());
    };
    if file.plan != PlanChoice::Additive {
        let expected = "left out: only plan \"additive\" makes a model";
        return Err(value("retrain", "set", expected));
    }
    if (1..days_max).contains(&u64::from(choice.lead_days)) {
        return Ok(());
    }
    let expected = format!(
        "from 1 to {}: a model is used for {days_max} days (rule model_age_after_erasure_max_days)",
        days_max.saturating_sub(1)
    );
    Err(value("retrain.lead_days", choice.lead_days, expected))
}

/// What whoever submits a study should know of it.
#[must_use]
pub fn note(file: &StudyFile) -> Option<String> {
    let days = file.retrain?.lead_days;
    Some(format!(
        "{days} days before the date of the model that comes of it, the study is proposed again; nothing runs until an approver signs that, who \
         is not whoever submits this one"
    ))
}

/// Not before the model was made.
fn date(place: &Place, lead_days: u32) -> Timestamp {
    let lead_ms = u64::from(lead_days) * DAY_MS;
    let date = Timestamp(place.life.retire_by.0.saturating_sub(lead_ms));
    date.max(place.created)
}

const DAY_MS: u64 = 24 * 3_600 * 1_000;

#[cfg(test)]
mod tests {
    use super::*;

    const MADE: Timestamp = Timestamp(1_000 * DAY_MS);
    const LAST: Timestamp = Timestamp(1_090 * DAY_MS);
    const DUE: Timestamp = Timestamp(1_076 * DAY_MS);
    const FILE: &str = "name = \"churn\"\npurpose = \"churn.train\"\ncontract = { name = \"customers\", version = 1 }\n\
        plan = \"additive\"\nepsilon = 1.0\ncustomers_max = 10000\npopulation = 80000\n";

    fn place() -> Place {
        Place {
            created: MADE,
            life: Life {
                retire_by: LAST,
                fate: Fate::InUse,
                since: Timestamp(0),
            },
            lead_days: Some(14),
            followed: false,
        }
    }

    fn proposal(number: u32, outcome: Outcome) -> Proposal {
        Proposal {
            number,
            at: Timestamp(u64::from(number) + 1),
            outcome,
        }
    }

    /// What becomes of the place of a model, changed in one way, after proposals with these numbers and outcomes.
    #[track_caller]
    fn check_plan(change: impl FnOnce(&mut Place), made: &[(u32, Outcome)], expected: Succession) {
        let mut own = place();
        change(&mut own);
        let made: Vec<Proposal> = made.iter().map(|(at, what)| proposal(*at, *what)).collect();
        assert_eq!(succession(&own, &made), expected);
    }

    const RELEASED: Outcome = Outcome::Released {
        version: 2,
        at: Timestamp(7),
    };
    const SUPERSEDED: Succession = Succession::Superseded {
        version: 2,
        at: Timestamp(7),
    };

    #[test]
    fn t2_a_place_has_one_plan_in_every_state() {
        let unchanged = |_: &mut Place| {};
        let unplanned = |own: &mut Place| own.lead_days = None;
        let retired = |own: &mut Place| own.life.fate = Fate::Retired;
        let recalled = |own: &mut Place| own.life.fate = Fate::Recalled;
        let followed = |own: &mut Place| own.followed = true;
        let (open, nothing) = (Outcome::Open, Outcome::Nothing);
        let (none, due) = (Succession::Unplanned, Succession::Scheduled(DUE));
        let (proposed, ended) = (Succession::Proposed, Succession::Ended);
        // Nothing was proposed yet.
        check_plan(unchanged, &[], due);
        check_plan(unplanned, &[], none);
        check_plan(retired, &[], none);
        check_plan(recalled, &[], none);
        check_plan(followed, &[], none);
        // The file's own proposal: it is made once.
        check_plan(unchanged, &[(0, open)], proposed(Timestamp(1)));
        check_plan(unchanged, &[(0, nothing)], ended(Timestamp(1)));
        check_plan(unchanged, &[(0, RELEASED)], SUPERSEDED);
        check_plan(retired, &[(0, RELEASED)], SUPERSEDED);
        // Those that people asked for leave the schedule as it is, unless a model comes of them.
        check_plan(unchanged, &[(1, open)], proposed(Timestamp(2)));
        check_plan(unchanged, &[(1, nothing)], due);
        check_plan(unplanned, &[(1, nothing)], ended(Timestamp(2)));
        check_plan(unchanged, &[(1, RELEASED)], SUPERSEDED);
        let twice = [(0, nothing), (1, open)];
        check_plan(recalled, &twice, proposed(Timestamp(2)));
        check_plan(unchanged, &[(0, nothing), (1, RELEASED)], SUPERSEDED);
    }

    #[test]
    fn a_study_is_due_from_its_moment_on() {
        let planned = succession(&place(), &[]);
        assert!(!is_due(planned, Timestamp(DUE.0 - 1)));
        assert!(is_due(planned, DUE) && is_due(planned, Timestamp(LAST.0 + 1)));
        let proposed = succession(&place(), &[proposal(0, Outcome::Open)]);
        assert!(!is_due(proposed, LAST), "it is proposed once");
        let early = Place {
            lead_days: Some(400),
            ..place()
        };
        assert_eq!(succession(&early, &[]), Succession::Scheduled(MADE));
    }

    #[test]
    fn numbers_of_people_count_from_one() {
        assert_eq!(next_number(&[]), 1);
        assert_eq!(next_number(&[proposal(0, Outcome::Nothing)]), 1);
        assert_eq!(next_number(&[proposal(4, Outcome::Nothing)]), 5);
    }

    #[track_caller]
    fn check_again(more: &str, now: Timestamp, expires: Timestamp) {
        let file = StudyFile::parse(&format!("{FILE}{more}")).unwrap();
        let north = "north".parse().unwrap();
        let again = again(&file, &place().life, &[north], now);
        assert_eq!(again.expires, Some(expires.0));
        if let Nodes::Named(names) = again.nodes {
            assert_eq!(names, ["north".parse::<Name>().unwrap()]);
        }
    }

    #[test]
    fn a_proposal_waits_until_the_model_is_out_of_use() {
        check_again("", DUE, LAST);
        check_again("nodes = [\"north\", \"gone\"]", DUE, LAST);
        check_again("", LAST, LAST.after_ms(DAY_MS));
        check_again("expires_in_hours = 2", LAST, LAST.after_ms(DAY_MS / 12));
        check_again("expires = 5", DUE, LAST);
        let longest = Timestamp(1).after_ms(STUDY_LIFE_MS_MAX);
        check_again("", Timestamp(1), longest);
    }

    #[track_caller]
    fn check_file(from: &str, to: &str, expected: Result<(), &str>) {
        let text = format!("{FILE}retrain = {{ lead_days = 14 }}\n").replacen(from, to, 1);
        let found = check(&StudyFile::parse(&text).unwrap(), 90);
        match (found, expected) {
            (Ok(()), Ok(())) => {}
            (Err(found), Err(words)) => assert!(found.to_string().contains(words), "{found}"),
            (found, _) => panic!("{found:?}"),
        }
    }

    #[test]
    fn days_fit_the_age_of_models() {
        check_file("", "", Ok(()));
        check_file("days = 14", "days = 89", Ok(()));
        let wrong = "retrain.lead_days is 90, expected from 1 to 89";
        check_file("days = 14", "days = 90", Err(wrong));
        check_file("days = 14", "days = 0", Err("lead_days is 0"));
        let plan = "{ synthetic = { cells = 1, rounds = 1 } }";
        check_file("\"additive\"", plan, Err("only plan \"additive\""));
        assert!(note(&StudyFile::parse(FILE).unwrap()).is_none());
    }
}
