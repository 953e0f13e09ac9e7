//! What the events of all persons come to for a purpose, kept from cut to cut.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use aquifer_shared::domain::law::{Block, Consent};

use super::fold::{NOTHING, State};
use crate::core::table::Bits;

/// States of all persons for a purpose at a time, and for each the number of its outcome: a cut reads numbers, and works for those alone of
/// whom an event came or a term began or ended since.
///
/// # Privacy
///
/// Customers' facts: nothing of it can be printed.
#[derive(Default)]
pub(super) struct View {
    at: i64,
    states: Vec<State>,
    /// Outcomes that were met, numbered.
    outcomes: Vec<Outcome>,
    numbers: HashMap<Outcome, u32>,
    /// By person.
    outcome_of: Vec<u32>,
    /// When time alone makes another outcome of a state, and whose.
    turns: BinaryHeap<Reverse<(i64, u32)>>,
    /// Persons whose events came since, or are of a later time.
    stale: Vec<u32>,
}

impl View {
    /// Up to when.
    pub(super) fn at(&self) -> i64 {
        self.at
    }

    /// An event of this person came.
    pub(super) fn spoil(&mut self, subject: u32) {
        self.stale.push(subject);
    }

    /// Brings so many persons up to a time that is not before its own; `fold` gives a state, and whether no event of the person is later.
    pub(super) fn bring_up_to(
        &mut self,
        at: i64,
        persons: usize,
        mut fold: impl FnMut(u32) -> (State, bool),
    ) {
        self.at = at;
        let known = self.states.len();
        let new = (known..persons).filter_map(|number| u32::try_from(number).ok());
        self.stale.extend(new);
        self.states.resize(persons, State::default());
        self.outcome_of.resize(persons, 0);
        for subject in std::mem::take(&mut self.stale) {
            let (state, whole) = fold(subject);
            let place = subject as usize;
            if std::mem::replace(&mut self.states[place], state) != state || known <= place {
                self.number(subject);
            }
            if !whole {
                self.stale.push(subject);
            }
        }
        while let Some(Reverse((turn, subject))) = self.turns.peek().copied()
            && turn <= at
        {
            self.turns.pop();
            self.number(subject);
        }
    }

    /// Gives a person the number of the outcome of now.
    fn number(&mut self, subject: u32) {
        let state = &self.states[subject as usize];
        if let Some(turn) = state.turns_after(self.at) {
            self.turns.push(Reverse((turn, subject)));
        }
        let outcome = Outcome::of(state, self.at);
        let number = self.numbers.entry(outcome).or_insert_with(|| {
            self.outcomes.push(outcome);
            (self.outcomes.len() - 1) as u32
        });
        self.outcome_of[subject as usize] = *number;
    }

    /// Who is eligible, by person: each outcome is judged once.
    pub(super) fn eligible(&self, mut judge: impl FnMut(&Outcome) -> bool) -> Bits {
        let mut verdicts: Vec<Option<bool>> = vec![None; self.outcomes.len()];
        let outcomes = self.outcome_of.iter().map(|number| *number as usize);
        let eligible = outcomes
            .map(|number| *verdicts[number].get_or_insert_with(|| judge(&self.outcomes[number])));
        eligible.collect()
    }
}

/// What a decision can tell two persons by.
#[derive(Clone, Copy, Eq, Hash, PartialEq)]
pub(super) struct Outcome {
    pub(super) consent: Consent,
    pub(super) block: Block,
    pub(super) day: i32,
    pub(super) notice: u16,
    pub(super) place: u16,
    pub(super) age: u8,
}

impl Outcome {
    /// Of a state at a time.
    pub(super) fn of(state: &State, at: i64) -> Self {
        let consent = state.consent_at(at);
        let given = matches!(consent, Consent::Active | Consent::Explicit);
        Self {
            consent,
            block: state.block(),
            day: if given { day(state.since) } else { 0 },
            notice: if given { state.notice } else { NOTHING },
            place: state.place,
            age: state.age as u8,
        }
    }
}

fn day(at: i64) -> i32 {
    i32::try_from(at.div_euclid(DAY_MS)).unwrap_or(i32::MAX)
}

const DAY_MS: i64 = 24 * 3_600 * 1_000;
