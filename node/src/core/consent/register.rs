//! All events of all persons in memory, and cuts through them: who is eligible for a purpose at a time.

use std::collections::HashMap;

use aquifer_shared::base::ids::Name;
use aquifer_shared::domain::law::{Age, Basis, Consent, Person, Place, Purpose};

use super::event::{AgeSaid, ConsentEvent, Effect, Scope};
use super::fold::{NOTHING, State, Thread};
use super::notice::NoticeBook;
use super::subject::{SubjectRef, Subjects};
use super::view::{Outcome, View};
use crate::core::table::Bits;

/// Events by person, in the order in which they count, with those that came since the last look.
///
/// # Privacy
///
/// Customers' facts: nothing of it can be printed or leaves the node.
#[derive(Default)]
pub struct Register {
    subjects: Subjects,
    scopes: Vec<Scope>,
    places: Vec<Place>,
    /// By person, then time.
    sorted: Vec<Thread>,
    /// First event of each person in `sorted`; one more than there were persons then.
    starts: Vec<u32>,
    /// Since.
    late: HashMap<u32, Vec<Thread>>,
    late_events: usize,
    /// When the last of them was written down.
    latest: i64,
    views: HashMap<Name, View>,
}

/// What the unit says of customers of whom no event says otherwise.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Defaults {
    /// Where they live.
    pub place: Option<Place>,
    /// Whether all of them are of age.
    pub adult: bool,
    /// On which basis the purpose rests.
    pub basis: Option<Basis>,
}

/// Who is eligible for a purpose at a time.
///
/// # Privacy
///
/// Membership is about people: it cannot be printed, and neither it nor its count leaves the node.
#[derive(Clone, PartialEq)]
pub struct Cut {
    /// Milliseconds since 1970.
    pub at: i64,
    /// By the number of the person.
    pub eligible: Bits,
    /// Whether who has no events is.
    pub without_events: bool,
}

/// More than a register holds.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the consent ledger has more {0} than this program can hold")]
pub struct TooMany(pub &'static str);

impl Register {
    /// Takes an event.
    ///
    /// # Errors
    ///
    /// More persons, scopes or places than numbers.
    pub fn take(&mut self, event: &ConsentEvent) -> Result<(), TooMany> {
        let thread = self.thread(event)?;
        let subject = thread.subject;
        self.late.entry(subject).or_default().push(thread);
        self.late_events += 1;
        for view in self.views.values_mut() {
            view.spoil(subject);
        }
        if self.late_events > LATE_MAX.max(self.sorted.len() / 8) {
            self.settle();
        }
        Ok(())
    }

    /// Takes many events at once, such as at start.
    ///
    /// # Errors
    ///
    /// As [`Register::take`].
    pub fn take_all(
        &mut self,
        events: impl IntoIterator<Item = ConsentEvent>,
    ) -> Result<(), TooMany> {
        let gathered = self.gather(events);
        self.settle();
        gathered
    }

    /// Takes some of many events. Nothing may be asked before [`Register::settle`] has put all of them in order.
    ///
    /// # Errors
    ///
    /// As [`Register::take`]; those before the one too many were taken.
    pub fn gather(
        &mut self,
        events: impl IntoIterator<Item = ConsentEvent>,
    ) -> Result<(), TooMany> {
        for event in events {
            let thread = self.thread(&event)?;
            self.sorted.push(thread);
        }
        Ok(())
    }

    /// Persons from a number on, in the order in which they were met.
    #[must_use]
    pub fn met_from(&self, number: usize) -> &[SubjectRef] {
        self.subjects.from(number)
    }

    /// The number of a person who is known.
    #[must_use]
    pub fn known(&self, subject: SubjectRef) -> Option<u32> {
        self.subjects.known(subject)
    }

    /// Persons.
    #[must_use]
    pub fn persons(&self) -> usize {
        self.subjects.len()
    }

    /// Events.
    #[must_use]
    pub fn events(&self) -> usize {
        self.sorted.len() + self.late_events
    }

    /// When the last event was written down. A cut for now is never before it: a clock that was set back brings no consent back.
    #[must_use]
    pub fn latest(&self) -> i64 {
        self.latest
    }

    /// Who is eligible for a purpose at a time: each person's events up to it are folded, and each different
    /// outcome is judged once. From cut to cut only those are looked at of whom something changed.
    pub fn cut(
        &mut self,
        purpose: &Purpose,
        at: i64,
        (defaults, notices): (&Defaults, &NoticeBook),
        mut judge: impl FnMut(&Person) -> bool,
    ) -> Cut {
        self.look(purpose, at);
        let view = &self.views[&purpose.id];
        let says: Vec<Option<u32>> = (0..notices.len())
            .map(|number| notices.says_as_much_as(u16::try_from(number).ok()?))
            .collect();
        let facts = Facts {
            defaults,
            says: &says,
            places: &self.places,
        };
        let without_events = judge(&facts.person(&Outcome::of(&State::default(), at)));
        Cut {
            at,
            eligible: view.eligible(|outcome| judge(&facts.person(outcome))),
            without_events,
        }
    }

    /// What is known of one person for a purpose at a time.
    #[must_use]
    pub fn person(
        &self,
        subject: u32,
        purpose: &Purpose,
        at: i64,
        (defaults, notices): (&Defaults, &NoticeBook),
    ) -> Person {
        let bits = self.bits(purpose);
        let state = self.fold(subject, &bits, at).0;
        let says: Vec<Option<u32>> = (0..notices.len())
            .map(|number| notices.says_as_much_as(u16::try_from(number).ok()?))
            .collect();
        let facts = Facts {
            defaults,
            says: &says,
            places: &self.places,
        };
        facts.person(&Outcome::of(&state, at))
    }

    /// Brings the states of a purpose up to a time.
    fn look(&mut self, purpose: &Purpose, at: i64) {
        let bits = self.bits(purpose);
        let view = self.views.remove(&purpose.id);
        // States of a later time do not serve an earlier one: a clock may be set back.
        let view = view.filter(|view| view.at() <= at);
        let mut view = view.unwrap_or_default();
        view.bring_up_to(at, self.subjects.len(), |subject| {
            self.fold(subject, &bits, at)
        });
        self.views.insert(purpose.id.clone(), view);
    }

    /// The state of a person, and whether no event of the person is later.
    fn fold(&self, subject: u32, bits: &[u8], at: i64) -> (State, bool) {
        let mut state = State::default();
        let mut whole = true;
        let mut take = |event: &Thread| {
            let ahead = event.event_at > at;
            whole &= !ahead && event.recorded_at <= at;
            // Clocks of sources differ: what ends or blocks counts as soon as it is written down, whatever they say.
            let at_once = matches!(event.kind.effect(), Effect::End | Effect::Block);
            if event.recorded_at > at || ahead && !at_once {
                return;
            }
            let bit = bits[usize::from(event.scope)];
            if bit != 0 {
                state.take(event, bit);
            }
        };
        let settled = self.settled(subject);
        match self.late.get(&subject) {
            None => settled.iter().for_each(&mut take),
            Some(late) => {
                let mut all = [settled, late].concat();
                all.sort_unstable_by_key(Thread::place_in_time);
                all.iter().for_each(&mut take);
            }
        }
        (state, whole)
    }

    fn settled(&self, subject: u32) -> &[Thread] {
        let place = subject as usize;
        let (Some(start), Some(end)) = (self.starts.get(place), self.starts.get(place + 1)) else {
            return &[];
        };
        &self.sorted[*start as usize..*end as usize]
    }

    /// Puts all events in order.
    pub fn settle(&mut self) {
        self.sorted
            .extend(self.late.drain().flat_map(|(_, late)| late));
        self.late_events = 0;
        let key = |event: &Thread| (event.subject, event.place_in_time());
        self.sorted.sort_unstable_by_key(key);
        let persons = self.subjects.len();
        self.starts.clear();
        self.starts.reserve(persons + 1);
        let mut place = 0;
        for person in 0..=persons {
            while place < self.sorted.len() && (self.sorted[place].subject as usize) < person {
                place += 1;
            }
            self.starts.push(u32::try_from(place).unwrap_or(u32::MAX));
        }
        // What came in without `take` is not in the views yet.
        self.views.clear();
    }

    fn thread(&mut self, event: &ConsentEvent) -> Result<Thread, TooMany> {
        if self.events() >= u32::MAX as usize - 1 {
            return Err(TooMany("events"));
        }
        self.latest = self.latest.max(event.recorded_at);
        let place = match event.place {
            None => NOTHING,
            Some(place) => number_of(&mut self.places, &place).ok_or(TooMany("places"))?,
        };
        Ok(Thread {
            subject: self
                .subjects
                .number(event.subject)
                .ok_or(TooMany("persons"))?,
            scope: number_of(&mut self.scopes, &event.scope).ok_or(TooMany("purposes"))?,
            notice: event.notice.unwrap_or(NOTHING),
            place,
            kind: event.kind,
            age: event.age,
            explicit: event.explicit,
            event_at: event.event_at,
            recorded_at: event.recorded_at,
            valid_from: event.valid_from.unwrap_or(event.event_at),
            valid_until: event.valid_until.unwrap_or(i64::MAX),
            order: event.order,
        })
    }

    /// One bit for each scope that is about a purpose, none for the others.
    fn bits(&self, purpose: &Purpose) -> Vec<u8> {
        let bit = |scope: &Scope| match scope {
            Scope::Purpose(name) => u8::from(*name == purpose.id),
            Scope::DirectMarketing => u8::from(purpose.direct_marketing) << 1,
            Scope::SaleOrShare => u8::from(purpose.sale_or_share) << 2,
            Scope::All => 1 << 3,
        };
        self.scopes.iter().map(bit).collect()
    }
}

/// What outcomes are read with.
struct Facts<'a> {
    defaults: &'a Defaults,
    /// By number of the notice.
    says: &'a [Option<u32>],
    places: &'a [Place],
}

impl Facts<'_> {
    fn person(&self, outcome: &Outcome) -> Person {
        let given = matches!(outcome.consent, Consent::Active | Consent::Explicit);
        let place = self.places.get(usize::from(outcome.place)).copied();
        let notice = self.says.get(usize::from(outcome.notice)).copied();
        let age = match outcome.age {
            age if age == AgeSaid::Adult as u8 => Age::Adult,
            age if age == AgeSaid::Minor as u8 => Age::Minor,
            age if age == AgeSaid::MinorWithGuardian as u8 => Age::MinorWithGuardian,
            _ if self.defaults.adult => Age::Adult,
            _ => Age::Unknown,
        };
        Person {
            place: place.or(self.defaults.place),
            basis: self.defaults.basis,
            consent: outcome.consent,
            consented_on: given.then_some(outcome.day),
            block: outcome.block,
            notice: notice.flatten(),
            age,
        }
    }
}

fn number_of<T: Clone + PartialEq>(known: &mut Vec<T>, one: &T) -> Option<u16> {
    let place = match known.iter().position(|other| other == one) {
        Some(place) => place,
        None => {
            known.push(one.clone());
            known.len() - 1
        }
    };
    u16::try_from(place)
        .ok()
        .filter(|number| *number != NOTHING)
}

/// Events that may wait for their place.
const LATE_MAX: usize = 65_536;
