//! By when an erasure must be answered, and more time for it: once, before the usual clock has run out, for one of few reasons.

use aquifer_shared::base::limits::ERASURE_EXTENSION_DAYS_MAX;

use super::erasure::{Case, Stage};

/// Why it takes longer. A closed list: words of the desk might name somebody.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Reason {
    /// The request is complex.
    Complexity,
    /// There are many requests.
    NumberOfRequests,
}

/// A longer clock.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Extension {
    /// Since when.
    pub at: i64,
    /// The new moment by which it must be answered.
    pub until: i64,
    /// Why.
    pub reason: Reason,
}

/// Clocks of the rules in force, in milliseconds; none where no rule sets one.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Clocks {
    /// From the request to its answer.
    pub answer_ms: Option<i64>,
    /// By how much that can be made longer.
    pub extension_ms: Option<i64>,
}

/// Why there is no more time.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum NotExtended {
    /// No rule has such a clock.
    #[error(
        "no rule in force at this unit lets a request take longer: see `aquifer-node laws list`"
    )]
    NoRule,
    /// It is answered.
    #[error("the erasure is at {0}: it needs no more time")]
    Answered(&'static str),
    /// It was done before.
    #[error("the clock of this erasure was made longer already, and is not again")]
    Already,
    /// Too late.
    #[error("the clock of this erasure has run out: the person had to be told before")]
    Late,
}

impl Clocks {
    /// By when an erasure must be answered; none where it is, or where no rule says.
    #[must_use]
    pub fn answer_by(&self, case: &Case, extension: Option<&Extension>) -> Option<i64> {
        if case.stage >= Stage::CertificateIssued {
            return None;
        }
        if let Some(extension) = extension {
            return Some(extension.until);
        }
        let (_, received) = case.reached.first()?;
        Some(received.saturating_add(self.answer_ms?))
    }

    /// As much more time as the rules allow, and no more than any law does.
    ///
    /// # Errors
    ///
    /// Why there is none.
    pub fn extend(
        &self,
        case: &Case,
        before: Option<&Extension>,
        (reason, at): (Reason, i64),
    ) -> Result<Extension, NotExtended> {
        if before.is_some() {
            return Err(NotExtended::Already);
        }
        if case.stage >= Stage::CertificateIssued {
            return Err(NotExtended::Answered(case.stage.word()));
        }
        let by = self.answer_by(case, None).ok_or(NotExtended::NoRule)?;
        let more = self.extension_ms.ok_or(NotExtended::NoRule)?;
        if at > by {
            return Err(NotExtended::Late);
        }
        Ok(Extension {
            at,
            until: by.saturating_add(more.min(EXTENSION_MS_MAX)),
            reason,
        })
    }
}

impl Reason {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Complexity, Self::NumberOfRequests];

    /// The word in files and on the command line.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Complexity => "complexity",
            Self::NumberOfRequests => "number_of_requests",
        }
    }

    /// The reason of a word.
    #[must_use]
    pub fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|own| own.word() == word)
    }
}

/// Whatever a pack says.
const EXTENSION_MS_MAX: i64 = ERASURE_EXTENSION_DAYS_MAX * 24 * 3_600 * 1_000;

#[cfg(test)]
mod tests {
    use aquifer_shared::base::ids::Hash32;

    use super::super::erasure::{Ground, Step};
    use super::*;

    const CLOCKS: Clocks = Clocks {
        answer_ms: Some(28),
        extension_ms: Some(59),
    };

    fn case() -> Case {
        Case::received(Hash32([3; 32]), Ground::Child, 10)
    }

    #[track_caller]
    fn check(clocks: Clocks, case: &Case, at: i64, expected: Result<i64, NotExtended>) {
        let found = clocks.extend(case, None, (Reason::Complexity, at));
        assert_eq!(found.map(|own| own.until), expected);
    }

    #[test]
    fn the_clock_is_made_longer_once_and_in_time() {
        check(CLOCKS, &case(), 11, Ok(97));
        check(CLOCKS, &case(), 38, Ok(97));
        check(CLOCKS, &case(), 39, Err(NotExtended::Late));
        let without = |answer_ms, extension_ms| Clocks {
            answer_ms,
            extension_ms,
        };
        let none = Err(NotExtended::NoRule);
        check(without(Some(15), None), &case(), 11, none);
        check(without(None, Some(59)), &case(), 11, none);
        let longest = Ok(38 + EXTENSION_MS_MAX);
        let most = without(Some(28), Some(EXTENSION_MS_MAX));
        check(most, &case(), 11, longest);
        check(without(Some(28), Some(i64::MAX)), &case(), 11, longest);
        let mut refused = case();
        refused.take(11, Step::Refuse("why".to_owned())).unwrap();
        check(CLOCKS, &refused, 12, Err(NotExtended::Answered("refused")));
        let first = CLOCKS.extend(&case(), None, (Reason::Complexity, 11));
        let first = first.unwrap();
        assert_eq!(CLOCKS.answer_by(&case(), None), Some(38));
        assert_eq!(CLOCKS.answer_by(&case(), Some(&first)), Some(97));
        assert_eq!(CLOCKS.answer_by(&refused, Some(&first)), None);
        let again = CLOCKS.extend(&case(), Some(&first), (Reason::Complexity, 12));
        assert_eq!(again, Err(NotExtended::Already));
    }

    #[test]
    fn a_reason_is_one_of_the_list() {
        for reason in Reason::ALL {
            assert_eq!(Reason::of_word(reason.word()), Some(reason));
        }
        assert_eq!(Reason::of_word("erika is on holiday"), None);
    }
}
