//! Who was eligible at a cut that the history tells of, found again from the consent ledger alone, and held against the set that was
//! recorded then.
//!
//! The rules are those of today: a cut that was decided under others is left to people. What is erased is known to be erased, and gives a
//! range.

use std::collections::{BTreeMap, BTreeSet};

use aquifer_shared::base::ids::{AttemptId, Hash32, Name, StudyHash};
use aquifer_shared::base::time::Timestamp;
use aquifer_shared::domain::history::Json;
use aquifer_shared::domain::law::{Gate, Word as _};

use super::consent::{ConsentEvent, NoticeBook, Register, SubjectRef, TooMany};
use super::gatekeeper::Gatekeeper;
use super::rights::Ordinals;

/// A cut as the history tells it, and when it was entered.
#[derive(Clone, Debug, PartialEq)]
pub struct LoggedCut {
    /// Its entry.
    pub entry: u64,
    /// The attempt that rests on it.
    pub attempt: AttemptId,
    /// The study.
    pub study: StudyHash,
    /// For which purpose.
    pub purpose: Name,
    /// At which gate.
    pub gate: Gate,
    /// Columns that it was decided for.
    pub columns: Vec<String>,
    /// When, milliseconds since 1970.
    pub at: i64,
    /// Number of the last event of the consent ledger that it saw.
    pub upto: i64,
    /// Rules that it was decided under.
    pub rules: Hash32,
}

impl LoggedCut {
    /// Reads the payload of `round.cut`; none where it says too little to take the cut again.
    #[must_use]
    pub fn read(entry: u64, rules: Hash32, payload: &Json) -> Option<Self> {
        let text = |key: &str| payload.get(key)?.as_text();
        let number = |key: &str| i64::try_from(payload.get(key)?.as_u64()?).ok();
        let Json::List(columns) = payload.get("columns")? else {
            return None;
        };
        let columns = columns.iter().map(|own| Some(own.as_text()?.to_owned()));
        Some(Self {
            entry,
            attempt: text("attempt")?.parse().ok()?,
            study: text("study")?.parse().ok()?,
            purpose: text("purpose")?.parse().ok()?,
            gate: Gate::from_word(text("gate")?)?,
            columns: columns.collect::<Option<Vec<String>>>()?,
            at: number("cut_at")?,
            upto: number("consent_upto")?,
            rules,
        })
    }
}

/// The digest of the set that a later `round.cut` tells of an attempt.
#[must_use]
pub fn told_digest(payload: &Json) -> Option<(AttemptId, Hash32)> {
    let text = |key: &str| payload.get(key)?.as_text();
    Some((
        text("attempt")?.parse().ok()?,
        text("eligible")?.parse().ok()?,
    ))
}

/// What came of a cut that was taken again.
///
/// # Privacy
///
/// Exact numbers of persons: for the unit's own people, under its access rules.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Counts {
    /// In the recorded set.
    pub counted: u64,
    /// Of them, eligible by the consent ledger as well.
    pub eligible: u64,
    /// Of them, not eligible by it.
    pub denied: u64,
    /// Of them, erased since: nobody can tell any more.
    pub erased: u64,
}

impl Counts {
    /// How many were eligible: at least and at most.
    #[must_use]
    pub fn range(&self) -> (u64, u64) {
        (self.eligible, self.eligible + self.erased)
    }
}

/// The consent ledger, read as far as the cut that is looked at; cuts are looked at in the order of what they saw.
///
/// # Privacy
///
/// Customers' facts: nothing of it can be printed.
pub struct Replay<'a> {
    gatekeeper: &'a Gatekeeper,
    notices: NoticeBook,
    register: Register,
    /// Who has which number.
    numbered: BTreeMap<u32, SubjectRef>,
    erased: BTreeSet<SubjectRef>,
}

impl<'a> Replay<'a> {
    /// Under the rules of today, for persons with their numbers; `erased` are those who were erased since.
    #[must_use]
    pub fn new(
        gatekeeper: &'a Gatekeeper,
        notices: NoticeBook,
        numbered: impl IntoIterator<Item = (u32, SubjectRef)>,
        erased: impl IntoIterator<Item = SubjectRef>,
    ) -> Self {
        Self {
            gatekeeper,
            notices,
            register: Register::default(),
            numbered: numbered.into_iter().collect(),
            erased: erased.into_iter().collect(),
        }
    }

    /// Takes the next events of the ledger.
    ///
    /// # Errors
    ///
    /// More of them than a node holds.
    pub fn take(&mut self, events: Vec<ConsentEvent>) -> Result<(), TooMany> {
        if events.len() > MANY {
            return self.register.take_all(events);
        }
        events
            .iter()
            .try_for_each(|event| self.register.take(event))
    }

    /// Takes a cut again; none where its purpose is not declared any more.
    pub fn cut(&mut self, cut: &LoggedCut, recorded: &Ordinals) -> Option<Counts> {
        let gatekeeper = self.gatekeeper;
        let purpose = gatekeeper.purpose(cut.purpose.as_str())?;
        let columns: Vec<&str> = cut.columns.iter().map(String::as_str).collect();
        let defaults = gatekeeper.defaults(&purpose.id);
        let moment = Timestamp(u64::try_from(cut.at).unwrap_or(0));
        let judge = |person: &_| {
            gatekeeper.is_eligible(cut.gate, cut.purpose.as_str(), &columns, person, moment)
        };
        let again = self
            .register
            .cut(purpose, cut.at, (&defaults, &self.notices), judge);
        let mut counts = Counts::default();
        for number in recorded.numbers() {
            counts.counted += 1;
            let subject = self.numbered.get(&number);
            let subject = subject.filter(|subject| !self.erased.contains(subject));
            let Some(subject) = subject else {
                counts.erased += 1;
                continue;
            };
            let eligible = match self.register.known(*subject) {
                Some(person) => again.eligible.get(person as usize),
                None => again.without_events,
            };
            match eligible {
                true => counts.eligible += 1,
                false => counts.denied += 1,
            }
        }
        Some(counts)
    }
}

/// Events that are sorted in at once.
const MANY: usize = 10_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::consent::{AgeSaid, EventKind, Scope};
    use crate::core::fixtures::{NOW, gatekeeper};

    fn person(number: u8) -> SubjectRef {
        SubjectRef(u128::from(number) << 100 | 7)
    }

    fn happens(number: u8, kind: EventKind, at: i64) -> ConsentEvent {
        let at = NOW.0 as i64 + at;
        ConsentEvent {
            subject: person(number),
            scope: Scope::All,
            kind,
            explicit: false,
            notice: None,
            event_at: at,
            recorded_at: at,
            valid_from: None,
            valid_until: None,
            age: AgeSaid::Unsaid,
            place: None,
            order: 0,
        }
    }

    fn logged(at: i64) -> LoggedCut {
        LoggedCut {
            entry: 7,
            attempt: AttemptId([1; 32]),
            study: StudyHash([2; 32]),
            purpose: "churn.train".parse().unwrap(),
            gate: Gate::Train,
            columns: vec!["tenure".to_owned()],
            at: NOW.0 as i64 + at,
            upto: 3,
            rules: Hash32([3; 32]),
        }
    }

    /// Persons 1, 2 and 3 have numbers; 2 objected at 2,000, 9 has been erased.
    #[track_caller]
    fn check(at: i64, recorded: &[u32], erased: &[u8], expected: (u64, u64, u64, u64)) {
        let gatekeeper = gatekeeper();
        let numbered = [1_u8, 2, 3].map(|own| (u32::from(own), person(own)));
        let erased = erased.iter().map(|own| person(*own));
        let mut replay = Replay::new(&gatekeeper, NoticeBook::default(), numbered, erased);
        replay
            .take(vec![happens(2, EventKind::Objected, 2_000)])
            .unwrap();
        let mut set = Ordinals::default();
        set.add(recorded.iter().copied());
        let found = replay.cut(&logged(at), &set).unwrap();
        let (counted, eligible, denied, gone) = expected;
        let expected = Counts {
            counted,
            eligible,
            denied,
            erased: gone,
        };
        assert_eq!(found, expected);
        assert_eq!(found.range(), (eligible, eligible + gone));
    }

    #[test]
    fn r1_replay_finds_who_was_eligible_again() {
        check(1_000, &[1, 2, 3], &[], (3, 3, 0, 0));
        check(9_000, &[1, 3], &[], (2, 2, 0, 0));
    }

    #[test]
    fn r1_replay_finds_who_should_not_have_been_counted() {
        check(9_000, &[1, 2, 3], &[], (3, 2, 1, 0));
    }

    #[test]
    fn r1_replay_of_erased_persons_gives_a_range() {
        check(1_000, &[1, 2, 3, 9], &[], (4, 3, 0, 1));
        check(9_000, &[1, 3, 9], &[3], (3, 1, 0, 2));
    }

    #[test]
    fn what_the_history_tells_is_read_again() {
        let cut = logged(0);
        let payload = Json::object([
            ("attempt", cut.attempt.to_string().into()),
            ("columns", Json::List(vec!["tenure".into()])),
            ("consent_events", 9_u64.into()),
            ("consent_upto", 3_i64.into()),
            ("cut_at", cut.at.into()),
            ("gate", "train".into()),
            ("purpose", "churn.train".into()),
            ("study", cut.study.to_string().into()),
        ]);
        let read = |payload: &Json| LoggedCut::read(7, cut.rules, payload);
        assert_eq!(read(&payload), Some(cut.clone()));
        let Json::Object(mut older) = payload else {
            panic!("an object");
        };
        older.remove("consent_upto");
        assert_eq!(read(&Json::Object(older)), None);
        let set = Json::object([
            ("attempt", cut.attempt.to_string().into()),
            ("eligible", cut.rules.to_string().into()),
        ]);
        assert_eq!(told_digest(&set), Some((cut.attempt, cut.rules)));
    }
}
