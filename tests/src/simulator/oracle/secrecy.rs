//! What the adversary holds of secure sums, and what follows from it: exactly in small groups, by counting in large ones.

use std::collections::{HashMap, HashSet};

use aquifer_shared::base::hash::sha256;
use aquifer_shared::base::ids::AttemptId;
use aquifer_shared::domain::sum::Thresholds;
use aquifer_shared::protocol::aggregation::{Delivery, MemberSet, Sealed, Shares};

use super::Invariant;
use super::attempts::{Attempt, Attempts};
use super::violation::Breach;
use crate::simulator::observer::{Form, Learned, Sharing, learned};

impl Attempts {
    /// What the adversary holds of an honest dealing: the shares sealed under keys that it knows.
    pub(super) fn hold_shares(&mut self, node: usize, id: AttemptId, place: usize) {
        let (group, index) = self.seats[node];
        let attempt = self.attempts.entry((id, group)).or_default();
        let receivers = attempt.rosters[place].roster.adverts.iter();
        let open = receivers
            .filter(|advert| advert.index != index && !self.honest_keys.contains(&advert.key));
        for advert in open {
            let form = Form {
                at: advert.index,
                of: vec![(index, place as u16)],
            };
            if !attempt.forms.contains(&form) {
                attempt.forms.push(form);
            }
        }
    }

    /// The sealed records of a dealing: which of them reach whom is looked at where somebody tampers.
    pub(super) fn records(&mut self, node: usize, shares: &Shares) {
        let (attempt, index) = self.at(shares.attempt, node);
        let place = attempt
            .rosters
            .iter()
            .position(|known| known.hash == shares.roster);
        let Some(place) = place else { return };
        for sealed in &shares.records {
            let hash = sha256(&sealed.record);
            attempt.sealed.insert((index, place, sealed.index), hash);
        }
    }

    /// Whether records are looked at one by one.
    pub(super) fn looks_at_records(&self) -> bool {
        self.tampered
    }

    /// A delivery reaches a node.
    pub(super) fn delivery(&mut self, node: usize, delivery: &Delivery) {
        let (attempt, index) = self.at(delivery.attempt, node);
        // The roster that the node dealt under is the one whose keys it has.
        let Some(place) = attempt.dealt.get(&index).copied() else {
            return;
        };
        let opens = |sealed: &&Sealed| {
            let known = attempt.sealed.get(&(sealed.index, place, index));
            known == Some(&sha256(&sealed.record))
        };
        let opened = delivery
            .records
            .iter()
            .filter(opens)
            .map(|sealed| sealed.index);
        let mut opened = MemberSet::of(opened);
        opened.insert(index);
        let seen = attempt.delivered.entry(index).or_default();
        seen.push((place, delivery.dealers, opened));
    }

    /// What the adversary has learned of all attempts so far.
    pub(super) fn check_secrecy(&self) -> Result<(), Breach> {
        self.attempts.iter().try_for_each(|((_, group), attempt)| {
            let thresholds = self.thresholds[*group];
            let first = self.first_of(*group);
            let honest = |of: u16| !self.colluders[first + usize::from(of) - 1];
            attempt.check_secrecy(thresholds, honest)
        })
    }
}

impl Attempt {
    /// The dealers whose shares a member really added up.
    pub(super) fn summed(
        &self,
        index: u16,
        (place, set): (usize, MemberSet),
        tampered: bool,
    ) -> MemberSet {
        if !tampered {
            return set;
        }
        let seen = self.delivered.get(&index).into_iter().flatten();
        let mut same = seen.filter(|(of, shown, _)| (*of, *shown) == (place, set));
        let opened = same.next().map_or(set, |(_, _, opened)| *opened);
        MemberSet::of(set.iter().filter(|dealer| opened.contains(*dealer)))
    }

    fn check_secrecy(
        &self,
        thresholds: Thresholds,
        honest: impl Fn(u16) -> bool,
    ) -> Result<(), Breach> {
        let breach = |what| Err(Breach(Invariant::Secrecy, what));
        if self.forms.is_empty() {
            return Ok(());
        }
        let needed = usize::from(thresholds.honest());
        if thresholds.members() > EXACT_MEMBERS_MAX {
            return self.count_secrecy(thresholds, honest);
        }
        let sharing = Sharing {
            packed: thresholds.packed(),
            random: thresholds.colluders_max(),
        };
        match learned(sharing, &self.forms) {
            Learned::Nothing => Ok(()),
            Learned::OneSum { of, .. } if of.len() >= needed => Ok(()),
            Learned::OneSum { forms, of } => breach(format!(
                "the adversary knows {forms} forms of the sum of members {of:?}, expected {needed} or more honest ones"
            )),
            Learned::More { forms, why } => {
                breach(format!("the adversary knows {forms} forms: {why}"))
            }
        }
    }

    /// Where the group is too large for exact algebra: at most c shares of each dealing, and openings of one set alone.
    fn count_secrecy(
        &self,
        thresholds: Thresholds,
        honest: impl Fn(u16) -> bool,
    ) -> Result<(), Breach> {
        let mut shares: HashMap<(u16, u16), usize> = HashMap::new();
        for form in self.forms.iter().filter(|form| form.of.len() == 1) {
            *shares.entry(form.of[0]).or_default() += 1;
        }
        let known = shares.values().copied().max().unwrap_or(0);
        let sets: HashSet<_> = self
            .opened
            .values()
            .map(|(place, set)| (*place, set.0))
            .collect();
        let enough = self.opened.values().all(|(_, set)| {
            set.iter().filter(|of| honest(*of)).count() >= usize::from(thresholds.honest())
        });
        if known <= thresholds.colluders_max() && sets.len() <= 1 && enough {
            return Ok(());
        }
        let what = format!(
            "the adversary knows {known} shares of a dealing and openings of {} sets",
            sets.len()
        );
        Err(Breach(Invariant::Secrecy, what))
    }
}

/// Up to this size secrecy is decided exactly.
const EXACT_MEMBERS_MAX: usize = 16;
