//! From when the slots of an answer are counted: one public schedule for everything that this node adds up.
//!
//! One thread adds up one sum after the other. Were slots counted from each task's own arrival, many questions at once would show
//! in the last one's slot how long all of them took together.

use aquifer_shared::base::limits::ATTEMPT_TTL_MS_MAX;
use aquifer_shared::base::time::Timestamp;

/// What is added up.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Work {
    /// A question of an analyst.
    Question,
    /// A round of a study that approvers let run by itself.
    Round,
    /// Nothing: it reads no customer.
    Nothing,
}

/// When the work that has been asked for is over, by public slots.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Turns {
    /// Of questions and rounds.
    all: Timestamp,
    /// Up to and with the last question.
    questions: Timestamp,
}

impl Turns {
    /// When the slots of a task that arrives now would begin: a question's after everything before it, a round's after the
    /// questions before it.
    ///
    /// # Privacy
    ///
    /// A function of arrivals and slots, both public. Slots are at least twice the time that the declared sizes take to add up, so
    /// that what is before in the queue is over by then, whatever the customers are. Rounds of several studies at a time still wait
    /// for each other's work alone: approvers decide how many there are.
    pub fn next(self, arrived: Timestamp, work: Work) -> Timestamp {
        let turns = self.at(arrived);
        match work {
            Work::Question => turns.all,
            Work::Round => turns.questions,
            Work::Nothing => arrived,
        }
    }

    /// Takes the turn of a task that arrives now.
    pub fn take(&mut self, arrived: Timestamp, slot_ms: u32, work: Work) {
        let mut turns = self.at(arrived);
        if work != Work::Nothing {
            turns.all = turns.all.after_ms(slot_ms.into());
        }
        if work == Work::Question {
            turns.questions = turns.all;
        }
        *self = turns;
    }

    /// Turns that are over by now are. None ends later than an attempt lives: a later one was taken before the clock was set back.
    fn at(self, now: Timestamp) -> Self {
        let last = now.after_ms(ATTEMPT_TTL_MS_MAX.into());
        let still = |end: Timestamp| if end > last { now } else { end.max(now) };
        Self {
            all: still(self.all),
            questions: still(self.questions),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Arrival, slot and kind of tasks in order, and when the slots of each begin.
    #[track_caller]
    fn check(tasks: &[(u64, u32, Work, u64)]) {
        let mut turns = Turns::default();
        for (arrived, slot_ms, work, expected) in tasks {
            let arrived = Timestamp(*arrived);
            assert_eq!(
                turns.next(arrived, *work),
                Timestamp(*expected),
                "{arrived:?} {work:?}"
            );
            turns.take(arrived, *slot_ms, *work);
        }
    }

    #[test]
    fn questions_leave_one_slot_after_the_other() {
        use Work::Question;
        check(&[
            (100, 20, Question, 100),
            (100, 50, Question, 120),
            (110, 20, Question, 170),
            (500, 20, Question, 500),
        ]);
    }

    #[test]
    fn rounds_wait_for_questions_and_not_for_each_other() {
        use Work::{Question, Round};
        check(&[
            (100, 200, Round, 100),
            (100, 200, Round, 100),
            (100, 20, Question, 500),
            (110, 200, Round, 520),
            (110, 20, Question, 720),
        ]);
    }

    #[test]
    fn what_reads_nobody_takes_no_turn() {
        use Work::{Nothing, Question};
        check(&[
            (100, 200, Nothing, 100),
            (100, 20, Question, 100),
            (101, 0, Nothing, 101),
        ]);
    }

    #[test]
    fn a_clock_that_is_set_back_makes_nobody_wait_for_hours() {
        use Work::Question;
        check(&[
            (9_000_000, 20, Question, 9_000_000),
            (1_000, 20, Question, 1_000),
        ]);
    }
}
