//! Secure sums as the watchers see them: which rosters were shown, who dealt, confirmed and opened what; and what follows from
//! it for the adversary. Trusts no machine: rosters are judged here again, forms are counted from what left honest nodes.

use std::collections::{BTreeMap, HashMap, HashSet};

use aquifer_shared::base::hash::sha256;
use aquifer_shared::base::ids::{AttemptId, Hash32, IdentityKey};
use aquifer_shared::domain::sum::{Thresholds, groups};
use aquifer_shared::protocol::aggregation::{
    Advert, Confirm, MemberSet, Proof, Roster, Signature64, confirm_digest, roster_hash,
};
use aquifer_shared::protocol::chain::Head;
use aquifer_shared::protocol::codec::encode;

use super::Invariant;
use super::violation::Breach;
use crate::simulator::judges::holds;
use crate::simulator::observer::Form;
use crate::simulator::scenario::Scenario;
use crate::simulator::study::Subject;

/// All secure sums of a history.
#[derive(Debug)]
pub(super) struct Attempts {
    pub(super) seats: Vec<(usize, u16)>,
    pub(super) thresholds: Vec<Thresholds>,
    pub(super) colluders: Vec<bool>,
    pub(super) keys: Vec<IdentityKey>,
    /// Records may be tampered with: which of them open is looked at one by one.
    pub(super) tampered: bool,
    pub(super) attempts: BTreeMap<(AttemptId, usize), Attempt>,
    /// Ephemeral keys of honest nodes: nobody else knows what belongs to them.
    pub(super) honest_keys: HashSet<[u8; 32]>,
    /// Rosters with which the honest coordinator called.
    pub(super) called: HashSet<Hash32>,
}

#[derive(Debug, Default)]
pub(super) struct Attempt {
    pub(super) rosters: Vec<Known>,
    /// Adverts that a member sent, by their hash.
    pub(super) adverts: HashSet<(u16, Hash32)>,
    /// Under which roster honest members dealt.
    pub(super) dealt: BTreeMap<u16, usize>,
    /// Hashes of sealed records: (dealer, roster, receiver).
    pub(super) sealed: HashMap<(u16, usize, u16), Hash32>,
    /// What a member could open of the deliveries that it got: roster, set, dealers that opened.
    pub(super) delivered: BTreeMap<u16, Vec<(usize, MemberSet, MemberSet)>>,
    /// What honest members confirmed.
    pub(super) confirmed: BTreeMap<u16, (usize, MemberSet)>,
    /// The proofs that members were shown last.
    pub(super) proofs: BTreeMap<u16, Proof>,
    /// What honest members opened.
    pub(super) opened: BTreeMap<u16, (usize, MemberSet)>,
    pub(super) forms: Vec<Form>,
}

/// A roster that was shown to a node.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) hash: Hash32,
    pub(super) roster: Roster,
    pub(super) verdict: Option<Result<(), Breach>>,
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

    pub(super) fn at(&mut self, attempt: AttemptId, node: usize) -> (&mut Attempt, u16) {
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
        self.hold_shares(node, id, place);
        let sound = self.check_roster(node, id, place);
        // What is wrong with a roster counts less than what it gives away.
        if sound.is_err() {
            self.check_secrecy()?;
        }
        sound
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

    /// A proof is shown to a node.
    pub(super) fn proof(&mut self, node: usize, proof: &Proof) {
        let (attempt, index) = self.at(proof.attempt, node);
        attempt.proofs.insert(index, proof.clone());
    }

    /// A node opens: it was shown enough confirmations of distinct members over what it confirmed itself.
    fn check_proof(
        &self,
        node: usize,
        id: AttemptId,
        (place, set): (usize, MemberSet),
    ) -> Result<(), Breach> {
        let (group, index) = self.seats[node];
        let attempt = &self.attempts[&(id, group)];
        let roster = &attempt.rosters[place];
        let digest = confirm_digest(&id, &roster.hash, &set);
        let members = MemberSet::of(roster.roster.adverts.iter().map(|advert| advert.index));
        let shown = attempt.proofs.get(&index).map(|proof| &proof.confirmations);
        let valid = |(member, signature): &&(u16, Signature64)| {
            members.contains(*member) && holds(&self.key_of(node, *member), &digest, signature)
        };
        let valid = shown
            .into_iter()
            .flatten()
            .filter(valid)
            .map(|(member, _)| *member);
        let confirmed = MemberSet::of(valid).len();
        let needed = self.thresholds[group].confirmations();
        if confirmed >= needed {
            return Ok(());
        }
        let what = format!("node {node} opens with {confirmed} confirmations, expected {needed}");
        Err(Breach(Invariant::OneSet, what))
    }

    /// A node opens what it confirmed.
    pub(super) fn opening(&mut self, node: usize, id: AttemptId) -> Result<(), Breach> {
        if self.colluders[node] {
            return Ok(());
        }
        let tampered = self.tampered;
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
            self.check_secrecy()?;
            let what =
                format!("node {node} opens another set than other honest members of the attempt");
            return Err(Breach(Invariant::OneSet, what));
        }
        let proven = self.check_proof(node, id, (place, set));
        if proven.is_err() {
            self.check_secrecy()?;
        }
        proven
    }

    /// The group of a node.
    pub(super) fn group_of(&self, node: usize) -> usize {
        self.seats[node].0
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
