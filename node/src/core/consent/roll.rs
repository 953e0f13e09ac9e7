//! Which rows of a table belong to which person of the register.

use aquifer_shared::base::secret::Personal;

use super::register::{Cut, Register};
use super::subject::SubjectRef;
use crate::core::table::Bits;

/// The persons of a table, joined to the register as it grows.
///
/// # Privacy
///
/// Says who is in the table: it cannot be printed and never leaves the node.
pub struct Roll {
    /// References in order, with the place of each in the table where that is another.
    sorted: Personal<Vec<SubjectRef>>,
    places: Option<Personal<Vec<u32>>>,
    /// Places of persons that the register knows, with their numbers.
    joined: Personal<Vec<(u32, u32)>>,
    /// Persons of the register that were looked for.
    seen: usize,
}

impl Roll {
    /// Of a table whose persons come in any order.
    #[must_use]
    pub fn of(subjects: impl IntoIterator<Item = SubjectRef>) -> Self {
        let mut pairs: Vec<(SubjectRef, u32)> = subjects.into_iter().zip(0..).collect();
        pairs.sort_unstable();
        let (sorted, places) = pairs.into_iter().unzip();
        Self {
            sorted: Personal::new(sorted),
            places: Some(Personal::new(places)),
            joined: Personal::default(),
            seen: 0,
        }
    }

    /// Of a table whose persons are in order already.
    #[must_use]
    pub fn of_sorted(subjects: Vec<SubjectRef>) -> Self {
        Self {
            sorted: Personal::new(subjects),
            places: None,
            joined: Personal::default(),
            seen: 0,
        }
    }

    /// The persons of the table, by place.
    ///
    /// # Privacy
    ///
    /// Who is in the table: stays at the node.
    #[must_use]
    pub fn persons(&self) -> Vec<SubjectRef> {
        let sorted = self.sorted.expose();
        let Some(places) = &self.places else {
            return sorted.clone();
        };
        let mut persons = sorted.clone();
        for (subject, place) in sorted.iter().zip(places.expose()) {
            persons[*place as usize] = *subject;
        }
        persons
    }

    /// Persons in the table.
    ///
    /// # Privacy
    ///
    /// An exact count: stays at the node.
    #[must_use]
    pub fn len(&self) -> usize {
        self.sorted.expose().len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sorted.expose().is_empty()
    }

    /// Who of the table is eligible, by place; of whom the register knows nothing is as a person without events.
    #[must_use]
    pub fn eligible(&mut self, register: &Register, cut: &Cut) -> Bits {
        self.join(register);
        let mut bits = Bits::all(self.len(), cut.without_events);
        for (place, number) in self.joined.expose() {
            bits.set(*place as usize, cut.eligible.get(*number as usize));
        }
        bits
    }

    /// Whether most persons of the register are not in the table, as far as they were looked for: ids that are written otherwise there
    /// count for nobody.
    #[must_use]
    pub fn misses_most(&self) -> bool {
        2 * self.joined.expose().len() < self.seen
    }

    /// Looks for the persons whom the register has met since.
    fn join(&mut self, register: &Register) {
        let new = register.met_from(self.seen);
        if new.is_empty() {
            return;
        }
        let sorted = self.sorted.expose();
        let mut joined = std::mem::take(&mut self.joined).into_inner();
        for (number, subject) in (self.seen..).zip(new) {
            if let Ok(found) = sorted.binary_search(subject) {
                let place = match &self.places {
                    Some(places) => places.expose()[found],
                    None => found as u32,
                };
                joined.push((place, number as u32));
            }
        }
        self.joined = Personal::new(joined);
        self.seen += new.len();
    }
}

#[cfg(test)]
mod tests {
    use aquifer_shared::domain::law::{Basis, Block, Consent};

    use super::super::tests::{event, purpose, reference};
    use super::super::{Defaults, EventKind, NoticeBook};
    use super::*;

    const DEFAULTS: Defaults = Defaults {
        place: None,
        adult: true,
        basis: Some(Basis::Contract),
    };

    #[track_caller]
    fn check(roll: &mut Roll, register: &mut Register, wants_consent: bool, expected: &str) {
        let notices = NoticeBook::default();
        let cut = register.cut(&purpose(), 9, (&DEFAULTS, &notices), |person| {
            person.block == Block::None && (!wants_consent || person.consent == Consent::Active)
        });
        let bits = roll.eligible(register, &cut);
        let shown = (0..bits.rows()).map(|row| if bits.get(row) { '+' } else { '-' });
        assert_eq!(shown.collect::<String>(), expected);
    }

    #[test]
    fn rows_follow_their_persons() {
        let mut register = Register::default();
        let order = [3, 1, 2].map(reference);
        let (mut roll, mut sorted) = (
            Roll::of(order),
            Roll::of_sorted([1, 2, 3].map(reference).to_vec()),
        );
        check(&mut roll, &mut register, false, "+++");
        check(&mut roll, &mut register, true, "---");
        let happens = |person: u8, kind, at| {
            let mut event = event(kind, at);
            event.subject = reference(person);
            event
        };
        register.take(&happens(1, EventKind::Given, 1)).unwrap();
        register.take(&happens(9, EventKind::Given, 1)).unwrap();
        check(&mut roll, &mut register, true, "-+-");
        register.take(&happens(2, EventKind::Objected, 2)).unwrap();
        check(&mut roll, &mut register, false, "++-");
        check(&mut sorted, &mut register, false, "+-+");
        register.take(&happens(1, EventKind::Withdrawn, 3)).unwrap();
        register.take(&happens(3, EventKind::Given, 3)).unwrap();
        check(&mut roll, &mut register, true, "+--");
        check(&mut sorted, &mut register, true, "--+");
        assert!(!roll.misses_most(), "three of four are in the table");
    }

    #[test]
    fn ids_that_are_written_otherwise_are_noticed() {
        let mut register = Register::default();
        let mut roll = Roll::of([1, 2, 3].map(reference));
        for (person, misses) in [(1, false), (8, false), (9, true)] {
            let mut event = event(EventKind::Given, 1);
            event.subject = reference(person);
            register.take(&event).unwrap();
            check(&mut roll, &mut register, false, "+++");
            assert_eq!(roll.misses_most(), misses);
        }
    }
}
