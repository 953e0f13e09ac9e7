//! Rosters judged again, by the published rules alone: those under which honest members dealt, and those with which the honest
//! coordinator calls.

use std::collections::HashSet;

use aquifer_shared::base::hash::sha256;
use aquifer_shared::base::ids::AttemptId;
use aquifer_shared::protocol::aggregation::{Advert, Roster, advert_digest, roster_hash};
use aquifer_shared::protocol::codec::encode;

use super::Invariant;
use super::attempts::Attempts;
use super::violation::Breach;
use crate::simulator::judges::holds;

impl Attempts {
    /// Judges a roster under which an honest node dealt.
    pub(super) fn check_roster(
        &mut self,
        node: usize,
        id: AttemptId,
        place: usize,
    ) -> Result<(), Breach> {
        let (group, index) = self.seats[node];
        let (thresholds, first) = (self.thresholds[group], node + 1 - usize::from(index));
        let honest = |of: u16| !self.colluders[first + usize::from(of) - 1];
        let attempt = self.attempts.entry((id, group)).or_default();
        let known = &attempt.rosters[place];
        let own = known
            .roster
            .adverts
            .iter()
            .find(|advert| advert.index == index);
        let sent = |advert: &Advert| {
            let hash = sha256(&encode(advert));
            attempt.adverts.contains(&(advert.index, hash))
        };
        let breach = |what: &str| {
            let what = format!("node {node} deals under a roster {what}");
            Err(Breach(Invariant::OneSet, what))
        };
        if !own.is_some_and(sent) {
            return breach("without its own advert");
        }
        if let Some(verdict) = &known.verdict {
            return verdict.clone();
        }
        let adverts = &known.roster.adverts;
        let rising = adverts.windows(2).all(|pair| pair[0].index < pair[1].index);
        let inside = |advert: &Advert| (1..=thresholds.members()).contains(&advert.index.into());
        let keys: HashSet<_> = adverts.iter().map(|advert| advert.key).collect();
        let task = own.map(|advert| advert.task);
        let same = |advert: &Advert| (advert.attempt, Some(advert.task)) == (id, task);
        let verdict = if adverts.len() < thresholds.dealers_min() {
            breach("of too few members")
        } else if !rising || !adverts.iter().all(inside) {
            breach("that is not rising within the group")
        } else if keys.len() < adverts.len() {
            breach("with a key that occurs twice")
        } else if !adverts.iter().all(same) {
            breach("of several attempts or tasks")
        } else if !adverts
            .iter()
            .all(|advert| !honest(advert.index) || sent(advert))
        {
            breach("with an advert that an honest member never sent")
        } else {
            Ok(())
        };
        attempt.rosters[place].verdict = Some(verdict.clone());
        verdict
    }

    /// The honest coordinator calls with this roster: every honest member can accept it.
    pub(super) fn check_called(&mut self, node: usize, roster: &Roster) -> Result<(), Breach> {
        if !self.called.insert(roster_hash(roster)) {
            return Ok(());
        }
        let (group, id) = (self.seats[node].0, roster.attempt().unwrap_or_default());
        let thresholds = self.thresholds[group];
        let first = self.first_of(group);
        let adverts = &roster.adverts;
        let rising = adverts.windows(2).all(|pair| pair[0].index < pair[1].index);
        let task = adverts.first().map(|advert| advert.task);
        let sound = |advert: &Advert| {
            let key = self.keys.get(first + usize::from(advert.index) - 1);
            let signed = |key| holds(key, &advert_digest(advert), &advert.signature);
            (advert.attempt, Some(advert.task)) == (id, task) && key.is_some_and(signed)
        };
        let enough = adverts.len() >= thresholds.dealers_min();
        if rising && enough && adverts.iter().all(sound) {
            return Ok(());
        }
        let what = "the coordinator calls with a roster that honest members must refuse".to_owned();
        Err(Breach(Invariant::Liveness, what))
    }
}
