//! What the events of one person add up to for one purpose.

use aquifer_shared::domain::law::{Block, Consent};

use super::event::{AgeSaid, Effect, EventKind};

/// An event in memory: numbers in the place of names.
///
/// # Privacy
///
/// A customer's fact: it cannot be printed.
#[derive(Clone, Copy, PartialEq)]
pub struct Thread {
    pub(super) subject: u32,
    pub(super) scope: u16,
    pub(super) notice: u16,
    pub(super) place: u16,
    pub(super) kind: EventKind,
    pub(super) age: AgeSaid,
    pub(super) explicit: bool,
    pub(super) event_at: i64,
    pub(super) recorded_at: i64,
    pub(super) valid_from: i64,
    pub(super) valid_until: i64,
    pub(super) order: u64,
}

impl Thread {
    /// In which order events of one person count.
    pub(super) fn place_in_time(&self) -> (i64, u8, u64) {
        (self.event_at, self.kind.precedence(), self.order)
    }
}

/// What a person's events add up to for a purpose.
///
/// # Privacy
///
/// A customer's fact: it cannot be printed.
#[derive(Clone, Copy, PartialEq)]
pub struct State {
    pub(super) valid_from: i64,
    pub(super) valid_until: i64,
    pub(super) since: i64,
    pub(super) notice: u16,
    pub(super) place: u16,
    pub(super) consent: Consent,
    pub(super) age: AgeSaid,
    /// One bit for each scope under which the person objected.
    objected: u8,
    opted_out: u8,
}

impl Default for State {
    fn default() -> Self {
        Self {
            valid_from: 0,
            valid_until: 0,
            since: 0,
            notice: NOTHING,
            place: NOTHING,
            consent: Consent::None,
            age: AgeSaid::Unsaid,
            objected: 0,
            opted_out: 0,
        }
    }
}

impl State {
    /// Takes the next event in order; `bit` is that of its scope.
    pub(super) fn take(&mut self, event: &Thread, bit: u8) {
        match event.kind.effect() {
            Effect::Grant => {
                self.consent = match event.explicit {
                    true => Consent::Explicit,
                    false => Consent::Active,
                };
                self.since = event.event_at;
                self.notice = event.notice;
                (self.valid_from, self.valid_until) = (event.valid_from, event.valid_until);
            }
            Effect::End => self.consent = ended(event.kind),
            Effect::Block if event.kind == EventKind::OptOutSignal => self.opted_out |= bit,
            Effect::Block => self.objected |= bit,
            Effect::Unblock => self.objected &= !bit,
            Effect::None => {}
        }
        let guardian = event.kind == EventKind::ParentalGiven;
        match (guardian, event.age) {
            (true, _) => self.age = AgeSaid::MinorWithGuardian,
            (false, AgeSaid::Unsaid) => {}
            (false, said) => self.age = said,
        }
        if event.place != NOTHING {
            self.place = event.place;
        }
    }

    /// The consent at a time: outside its validity it is not in force.
    #[must_use]
    pub fn consent_at(&self, at: i64) -> Consent {
        let given = matches!(self.consent, Consent::Active | Consent::Explicit);
        match given {
            true if at < self.valid_from => Consent::None,
            true if at >= self.valid_until => Consent::Expired,
            _ => self.consent,
        }
    }

    /// When time alone makes another consent of it, after a time.
    pub(super) fn turns_after(&self, at: i64) -> Option<i64> {
        let given = matches!(self.consent, Consent::Active | Consent::Explicit);
        let turns = [self.valid_from, self.valid_until];
        let later = turns
            .into_iter()
            .filter(|turn| given && at < *turn && *turn != i64::MAX);
        later.min()
    }

    /// Whether the person is blocked.
    #[must_use]
    pub fn block(&self) -> Block {
        match (self.objected, self.opted_out) {
            (0, 0) => Block::None,
            (0, _) => Block::OptedOut,
            _ => Block::Objected,
        }
    }
}

fn ended(kind: EventKind) -> Consent {
    match kind {
        EventKind::Refused => Consent::Refused,
        EventKind::Expired => Consent::Expired,
        _ => Consent::Withdrawn,
    }
}

/// No notice, no place.
pub(super) const NOTHING: u16 = u16::MAX;
