//! The honest coordinator's side: what is durable before what, numbers that are used once, rosters that every member can accept.

use std::collections::{HashMap, HashSet};

use aquifer_coordinator::core::event::Record;
use aquifer_shared::base::ids::{AttemptId, Hash32, StudyHash};
use aquifer_shared::domain::sum::attempt_id;
use aquifer_shared::protocol::aggregation::{Delivery, MemberSet, Roster, roster_hash};
use aquifer_shared::protocol::wire::{End, Task};

use super::Invariant;
use super::violation::Breach;
use crate::simulator::study::Subject;

/// What the coordinator has made durable.
#[derive(Debug)]
pub(super) struct Orders {
    study: StudyHash,
    opened: HashSet<(u32, u16, u32)>,
    places: HashSet<(u32, u32)>,
    rosters: HashSet<(AttemptId, Hash32)>,
    sets: HashMap<(AttemptId, u16), MemberSet>,
    released: HashSet<AttemptId>,
}

impl Orders {
    pub(super) fn new(subject: &Subject) -> Self {
        Self {
            study: subject.hash,
            opened: HashSet::new(),
            places: HashSet::new(),
            rosters: HashSet::new(),
            sets: HashMap::new(),
            released: HashSet::new(),
        }
    }

    /// Its store was put back: it cannot know what it did since.
    pub(super) fn forget(&mut self) {
        self.opened.clear();
        self.sets.clear();
    }

    /// A record is durable.
    pub(super) fn record(&mut self, record: &Record) -> Result<(), Breach> {
        match record {
            Record::Open { round, attempt, .. } => self.open((*round, 0, *attempt)),
            Record::GroupOpened {
                round,
                group,
                attempt,
                ..
            } => self.open((*round, *group, *attempt)),
            Record::Roster {
                round,
                attempt,
                roster,
                ..
            } => {
                let id = attempt_id(&self.study, *round, *attempt);
                self.rosters.insert((id, roster_hash(roster)));
                Ok(())
            }
            Record::Set {
                round,
                group,
                attempt,
                dealers,
            } => {
                let id = attempt_id(&self.study, *round, *attempt);
                let known = *self.sets.entry((id, *group)).or_insert(*dealers);
                ensure(known == *dealers, || {
                    format!("two sets for attempt {attempt} of round {round}")
                })
            }
            Record::Result { round, attempt, .. } | Record::GroupSum { round, attempt, .. } => {
                self.released
                    .insert(attempt_id(&self.study, *round, *attempt));
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn open(&mut self, place: (u32, u16, u32)) -> Result<(), Breach> {
        self.places.insert((place.0, place.2));
        let new = self.opened.insert(place);
        ensure(new, || {
            format!(
                "the coordinator opens attempt {} of round {} a second time",
                place.2, place.0
            )
        })
    }

    /// A task leaves.
    pub(super) fn task(&self, task: &Task) -> Result<(), Breach> {
        let durable = self.places.contains(&(task.round, task.attempt));
        ensure(durable, || {
            format!(
                "the task of attempt {} of round {} leaves before its number is durable",
                task.attempt, task.round
            )
        })
    }

    /// A roster leaves.
    pub(super) fn roster(&self, roster: &Roster) -> Result<(), Breach> {
        let id = roster.attempt().unwrap_or_default();
        let durable = self.rosters.contains(&(id, roster_hash(roster)));
        ensure(durable, || {
            "a roster leaves before it is durable".to_owned()
        })
    }

    /// A delivery leaves.
    pub(super) fn delivery(&self, group: u16, delivery: &Delivery) -> Result<(), Breach> {
        let durable = self.sets.get(&(delivery.attempt, group)) == Some(&delivery.dealers);
        ensure(durable, || {
            "a set of dealers leaves before it is durable".to_owned()
        })
    }

    /// The end of an attempt leaves.
    pub(super) fn end(&self, end: &End) -> Result<(), Breach> {
        let durable = !end.released || self.released.contains(&end.attempt);
        ensure(durable, || {
            "a sum is announced before it is durable".to_owned()
        })
    }
}

fn ensure(condition: bool, what: impl FnOnce() -> String) -> Result<(), Breach> {
    match condition {
        true => Ok(()),
        false => Err(Breach(Invariant::OneSet, what())),
    }
}
