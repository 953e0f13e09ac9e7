//! Secure sums as the watchers see them: which rosters were shown, who dealt, confirmed and opened what; and what follows from
//! it for the adversary. Trusts no machine: rosters are judged here again, forms are counted from what left honest nodes.

use std::collections::{BTreeMap, HashMap, HashSet};

use aquifer_shared::base::hash::sha256;
use aquifer_shared::base::ids::{AttemptId, Hash32, IdentityKey};
use aquifer_shared::domain::sum::{Thresholds, groups};
use aquifer_shared::protocol::aggregation::{
    Advert, Confirm, Delivery, MemberSet, Roster, Shares, advert_digest, roster_hash,
};
use aquifer_shared::protocol::chain::Head;
use aquifer_shared::protocol::codec::encode;

use super::{Breach, Invariant};
use crate::simulator::judges::holds;
use crate::simulator::observer::{Form, Learned, Sharing, learned};
use crate::simulator::scenario::Scenario;
use crate::simulator::study::Subject;

/// All secure sums of a history.
#[derive(Debug)]
pub(super) struct Attempts {
    seats: Vec<(usize, u16)>,
    thresholds: Vec<Thresholds>,
    colluders: Vec<bool>,
    keys: Vec<IdentityKey>,
    /// Records may be tampered with: which of them open is looked at one by one.
    tampered: bool,
    attempts: BTreeMap<(AttemptId, usize), Attempt>,
    /// Ephemeral keys of honest nodes: nobody else knows what belongs to them.
    honest_keys: HashSet<[u8; 32]>,
    /// Rosters with which the honest coordinator called.
    called: HashSet<Hash32>,
}

#[derive(Debug, Default)]
struct Attempt {
    rosters: Vec<Known>,
    /// Adverts that a member sent, by their hash.
    adverts: HashSet<(u16, Hash32)>,
    /// Under which roster honest members dealt.
    dealt: BTreeMap<u16, usize>,
    /// Hashes of sealed records: (dealer, roster, receiver).
    sealed: HashMap<(u16, usize, u16), Hash32>,
    /// What a member could open of the deliveries that it got: roster, set, dealers that opened.
    delivered: BTreeMap<u16, Vec<(usize, MemberSet, MemberSet)>>,
    /// What honest members confirmed.
    confirmed: BTreeMap<u16, (usize, MemberSet)>,
    /// What honest members opened.
    opened: BTreeMap<u16, (usize, MemberSet)>,
    forms: Vec<Form>,
}

/// A roster that was shown to a node.
#[derive(Debug)]
struct Known {
    hash: Hash32,
    roster: Roster,
    verdict: Option<Result<(), Breach>>,
}

impl Attempts {
    pub(super) fn new(scenario: &Scenario, subject: &Subject, tampered: bool) -> Self {
        let groups = groups(scenario.nodes);
        let seats = groups
            .iter()
            .enumerate()
            .flat_map(|(group, range)| (1..=range.len() as u16).map(move |index| (group, index)));
        let thresholds = groups.iter().filter_map(|range| {
            let (d, c) = (scenario.absent_max, scenario.colluders_max);
            Thresholds::new(range.len(), d, c).ok()
        });
        Self {
            seats: seats.collect(),
            thresholds: thresholds.collect(),
            colluders: scenario.colluders(),
            keys: subject.terms.roster.clone(),
            tampered,
            attempts: BTreeMap::new(),
            honest_keys: HashSet::new(),
            called: HashSet::new(),
        }
    }

    fn at(&mut self, attempt: AttemptId, node: usize) -> (&mut Attempt, u16) {
        let (group, index) = self.seats[node];
        (self.attempts.entry((attempt, group)).or_default(), index)
    }

    /// A node sends an advert; true unless it is the same again.
    pub(super) fn advert(&mut self, node: usize, advert: &Advert) -> bool {
        if !self.colluders[node] {
            self.honest_keys.insert(advert.key);
        }
        let (attempt, index) = self.at(advert.attempt, node);
        let place = (index, sha256(&encode(advert)));
        attempt.adverts.insert(place)
    }

    /// A roster is shown to a node.
    pub(super) fn roster(&mut self, node: usize, roster: &Roster) {
        let Some(id) = roster.attempt() else { return };
        let hash = roster_hash(roster);
        let (attempt, _) = self.at(id, node);
        if attempt.rosters.iter().all(|known| known.hash != hash) {
            attempt.rosters.push(Known {
                hash,
                roster: roster.clone(),
                verdict: None,
            });
        }
    }

    /// A node deals.
    pub(super) fn shares(
        &mut self,
        node: usize,
        id: AttemptId,
        hash: Hash32,
    ) -> Result<(), Breach> {
        if self.colluders[node] {
            return Ok(());
        }
        let (attempt, index) = self.at(id, node);
        let Some(place) = attempt.rosters.iter().position(|known| known.hash == hash) else {
            let what = format!("node {node} deals under a roster that it was never shown");
            return Err(Breach(Invariant::OneSet, what));
        };
        if *attempt.dealt.entry(index).or_insert(place) != place {
            let what = format!("node {node} deals under two rosters in one attempt");
            return Err(Breach(Invariant::OneSet, what));
        }
        self.check_roster(node, id, place)?;
        self.hold_shares(node, id, place);
        Ok(())
    }

    /// Judges a roster under which an honest node dealt.
    fn check_roster(&mut self, node: usize, id: AttemptId, place: usize) -> Result<(), Breach> {
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

    /// Where the ledgers of the other members of a roster stand.
    pub(super) fn peers(&self, node: usize, id: AttemptId, hash: &Hash32) -> Vec<(u16, Head)> {
        let (group, index) = self.seats[node];
        let attempt = self.attempts.get(&(id, group));
        let known =
            attempt.and_then(|attempt| attempt.rosters.iter().find(|known| known.hash == *hash));
        let adverts = known.into_iter().flat_map(|known| &known.roster.adverts);
        let others = adverts.filter(|advert| advert.index != index && !self.colluders[node]);
        others.map(|advert| (advert.index, advert.ledger)).collect()
    }

    /// The identity key of a member of a node's group.
    pub(super) fn key_of(&self, node: usize, peer: u16) -> IdentityKey {
        let first = node + 1 - usize::from(self.seats[node].1);
        self.keys
            .get(first + usize::from(peer) - 1)
            .copied()
            .unwrap_or_default()
    }

    /// What the adversary holds of an honest dealing: the shares sealed under keys that it knows.
    fn hold_shares(&mut self, node: usize, id: AttemptId, place: usize) {
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
        let opens = |sealed: &&aquifer_shared::protocol::aggregation::Sealed| {
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

    /// A node confirms a set.
    pub(super) fn confirm(&mut self, node: usize, confirm: &Confirm) -> Result<(), Breach> {
        if self.colluders[node] {
            return Ok(());
        }
        let (group, _) = self.seats[node];
        let thresholds = self.thresholds[group];
        let (attempt, index) = self.at(confirm.attempt, node);
        let place = attempt.dealt.get(&index).copied();
        let shown = place.map(|place| &attempt.rosters[place]);
        let Some((place, shown)) = place
            .zip(shown)
            .filter(|(_, known)| known.hash == confirm.roster)
        else {
            let what =
                format!("node {node} confirms a set of a roster under which it did not deal");
            return Err(Breach(Invariant::OneSet, what));
        };
        let members = MemberSet::of(shown.roster.adverts.iter().map(|advert| advert.index));
        let set = (place, confirm.dealers);
        if !confirm.dealers.is_within(&members) || confirm.dealers.len() < thresholds.dealers_min()
        {
            let what =
                format!("node {node} confirms a set that is too small or not within its roster");
            return Err(Breach(Invariant::OneSet, what));
        }
        if *attempt.confirmed.entry(index).or_insert(set) != set {
            let what = format!("node {node} confirms two sets in one attempt");
            return Err(Breach(Invariant::OneSet, what));
        }
        Ok(())
    }

    /// A node opens what it confirmed.
    pub(super) fn opening(&mut self, node: usize, id: AttemptId) -> Result<(), Breach> {
        if self.colluders[node] {
            return Ok(());
        }
        let (group, _) = self.seats[node];
        let (tampered, thresholds) = (self.tampered, self.thresholds[group]);
        let colluders = self.colluders.clone();
        let first = node + 1 - usize::from(self.seats[node].1);
        let (attempt, index) = self.at(id, node);
        let Some((place, set)) = attempt.confirmed.get(&index).copied() else {
            let what = format!("node {node} opens without having confirmed a set");
            return Err(Breach(Invariant::OneSet, what));
        };
        if attempt.opened.contains_key(&index) {
            return Ok(());
        }
        let summed = attempt.summed(index, (place, set), tampered);
        let honest = |of: &u16| !colluders[first + usize::from(*of) - 1];
        let of = summed
            .iter()
            .filter(honest)
            .map(|dealer| (dealer, place as u16));
        attempt.forms.push(Form {
            at: index,
            of: of.collect(),
        });
        let others = attempt.opened.values().any(|other| *other != (place, set));
        attempt.opened.insert(index, (place, set));
        if others {
            let what =
                format!("node {node} opens another set than other honest members of the attempt");
            return Err(Breach(Invariant::OneSet, what));
        }
        if thresholds.members() > EXACT_MEMBERS_MAX {
            return Ok(());
        }
        Ok(())
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

    /// The group of a node.
    pub(super) fn group_of(&self, node: usize) -> usize {
        self.seats[node].0
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

    /// Where the ledgers of the other dealers of a confirmed set stood.
    pub(super) fn dealt_by(&self, node: usize, confirm: &Confirm) -> Vec<(IdentityKey, Head)> {
        let peers = self
            .peers(node, confirm.attempt, &confirm.roster)
            .into_iter();
        let dealt = peers.filter(|(peer, _)| confirm.dealers.contains(*peer));
        dealt
            .map(|(peer, head)| (self.key_of(node, peer), head))
            .collect()
    }

    /// The first node of a group.
    pub(super) fn first_of(&self, group: usize) -> usize {
        self.seats
            .iter()
            .position(|(of, _)| *of == group)
            .unwrap_or_default()
    }

    /// A sum over these nodes of one group is released: there is enough honest noise in it, and all of them dealt.
    pub(super) fn release(&self, id: AttemptId, members: &[u32]) -> Result<(), Breach> {
        let group = members
            .first()
            .map_or(0, |node| self.seats[*node as usize].0);
        let thresholds = self.thresholds[group];
        let honest = |node: &&u32| !self.colluders[**node as usize];
        let noise = members.iter().filter(honest).count();
        let needed = usize::from(thresholds.honest());
        if noise < needed || members.len() < thresholds.dealers_min() {
            let what =
                format!("a release has the noise of {noise} honest members, expected {needed}");
            return Err(Breach(Invariant::NoisePresent, what));
        }
        let attempt = self.attempts.get(&(id, group));
        let dealt = |node: &&u32| {
            let index = self.seats[**node as usize].1;
            attempt.is_some_and(|attempt| attempt.dealt.contains_key(&index))
        };
        if let Some(absent) = members.iter().filter(honest).find(|node| !dealt(node)) {
            let what = format!("member {absent} is in a released sum and did not deal");
            return Err(Breach(Invariant::ExactSum, what));
        }
        Ok(())
    }
}

impl Attempt {
    /// The dealers whose shares a member really added up.
    fn summed(&self, index: u16, (place, set): (usize, MemberSet), tampered: bool) -> MemberSet {
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
