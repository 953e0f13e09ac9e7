//! What the adversary's coordinator shows to members: rosters, deliveries, proofs, honest or twisted as the script says.

use std::collections::BTreeMap;

use aquifer_shared::base::ids::Hash32;
use aquifer_shared::domain::sum::{Thresholds, attempt_id};
use aquifer_shared::protocol::aggregation::{
    Advert, Delivery, MemberSet, Proof, Roster, Sealed, Signature64, advert_digest, confirm_digest,
};
use aquifer_shared::protocol::wire::frame;

use super::super::sealing::public_of;
use super::super::{bytes, signed};
use super::Rogue;
use crate::simulator::faults::Fault;
use crate::simulator::network::Frame;
use crate::simulator::surroundings::Surroundings;

type Frames = Vec<(usize, Frame)>;

impl Rogue {
    fn colludes(&self, index: u16) -> bool {
        self.colluders
            .get(usize::from(index) - 1)
            .copied()
            .unwrap_or(false)
    }

    fn thresholds(around: &Surroundings) -> Thresholds {
        around
            .scenario
            .thresholds()
            .expect("fit the group: see Scenario::draw")
    }

    /// Colluders and some others, this many if there are.
    fn few(&mut self, all: &[u16], count: usize) -> Vec<u16> {
        let mut few: Vec<u16> = all
            .iter()
            .copied()
            .filter(|index| self.colludes(*index))
            .collect();
        let mut rest: Vec<u16> = all
            .iter()
            .copied()
            .filter(|index| !self.colludes(*index))
            .collect();
        while few.len() < count && !rest.is_empty() {
            let at = self.numbers.next_u64() as usize % rest.len();
            few.push(rest.swap_remove(at));
        }
        few.truncate(count.max(1));
        few.sort_unstable();
        few
    }

    pub(super) fn rosters(&mut self, around: &Surroundings) -> Frames {
        let mut adverts: Vec<Advert> = self.hands.adverts.values().cloned().collect();
        let all: Vec<u16> = adverts.iter().map(|advert| advert.index).collect();
        if adverts.is_empty() {
            return Vec::new();
        }
        let enough = Self::thresholds(around).dealers_min();
        match self.script {
            Some(Fault::SmallRoster | Fault::RepeatedMember) => {
                let few = self.few(&all, enough.saturating_sub(1).min(3));
                adverts.retain(|advert| few.contains(&advert.index));
                if self.script == Some(Fault::RepeatedMember) {
                    self.repeat_colluder(around, &mut adverts, enough);
                }
            }
            Some(Fault::ForgedAdverts) => return self.forged_rosters(&adverts),
            Some(Fault::SplitRosters) => return self.split_rosters(around, &adverts),
            Some(Fault::OtherOrder) => adverts.reverse(),
            Some(Fault::SameKey) => {
                let honest = adverts.iter().find(|advert| !self.colludes(advert.index));
                let key = honest.map(|advert| advert.key);
                self.change_colluder(around, &mut adverts, |advert| {
                    advert.key = key.unwrap_or(advert.key);
                });
            }
            Some(Fault::OldLedger) => self.change_colluder(around, &mut adverts, |advert| {
                advert.ledger.seq = 1;
                advert.ledger.hash = Hash32::default();
            }),
            Some(Fault::OldAdvert) => {
                let old = self.hands.old.values().next().cloned();
                let at = old.and_then(|old| {
                    let at = adverts
                        .iter()
                        .position(|advert| advert.index == old.index)?;
                    Some((at, old))
                });
                if let Some((at, old)) = at {
                    adverts[at] = old;
                }
            }
            Some(Fault::WithoutOwn) => {
                let without = |own: u16| {
                    adverts
                        .iter()
                        .filter(|advert| advert.index != own)
                        .cloned()
                        .collect()
                };
                return all
                    .iter()
                    .map(|own| (at(*own), roster_frame(without(*own))))
                    .collect();
            }
            _ => {}
        }
        let frame = roster_frame(adverts);
        all.into_iter()
            .map(|index| (at(index), frame.clone()))
            .collect()
    }

    /// For each honest member a roster in which all others are the adversary.
    fn forged_rosters(&mut self, adverts: &[Advert]) -> Frames {
        let forged: BTreeMap<u16, Advert> = adverts
            .iter()
            .map(|advert| {
                let key = public_of(&bytes(&mut self.numbers));
                let signature = Signature64(bytes(&mut self.numbers));
                (
                    advert.index,
                    Advert {
                        key,
                        signature,
                        ..advert.clone()
                    },
                )
            })
            .collect();
        let honest = adverts.iter().filter(|advert| !self.colludes(advert.index));
        let shown = honest.map(|own| {
            let others = adverts
                .iter()
                .map(|advert| match advert.index == own.index {
                    true => advert.clone(),
                    false => forged[&advert.index].clone(),
                });
            (at(own.index), roster_frame(others.collect()))
        });
        shown.collect()
    }

    /// A colluder takes several places, each with a key of its own.
    fn repeat_colluder(&mut self, around: &Surroundings, adverts: &mut Vec<Advert>, enough: usize) {
        let colluder = adverts
            .iter()
            .position(|advert| self.colludes(advert.index));
        let Some(first) = colluder else { return };
        while adverts.len() < enough {
            let mut advert = adverts[first].clone();
            advert.key = public_of(&bytes(&mut self.numbers));
            let pair = &around.keys.members()[at(advert.index)];
            advert.signature = signed(pair, &advert_digest(&advert));
            adverts.insert(first, advert);
        }
    }

    /// A colluder signs what the adversary wants.
    fn change_colluder(
        &self,
        around: &Surroundings,
        adverts: &mut [Advert],
        change: impl FnOnce(&mut Advert),
    ) {
        let colluder = adverts
            .iter_mut()
            .find(|advert| self.colludes(advert.index));
        if let Some(advert) = colluder {
            change(advert);
            let pair = &around.keys.members()[at(advert.index)];
            advert.signature = signed(pair, &advert_digest(advert));
        }
    }

    /// A colluder has another key in the roster of every second member.
    fn split_rosters(&mut self, around: &Surroundings, adverts: &[Advert]) -> Frames {
        let key = public_of(&bytes(&mut self.numbers));
        let mut others = adverts.to_vec();
        self.change_colluder(around, &mut others, |advert| advert.key = key);
        let frames = [roster_frame(adverts.to_vec()), roster_frame(others)];
        let shown = adverts.iter().enumerate();
        shown
            .map(|(turn, advert)| (at(advert.index), frames[turn % 2].clone()))
            .collect()
    }

    /// Another roster for everybody: a colluder has another key in it.
    pub(super) fn second_rosters(&mut self, around: &Surroundings) -> Frames {
        let mut adverts: Vec<Advert> = self.hands.adverts.values().cloned().collect();
        let key = public_of(&bytes(&mut self.numbers));
        self.change_colluder(around, &mut adverts, |advert| advert.key = key);
        let all: Vec<u16> = adverts.iter().map(|advert| advert.index).collect();
        let frame = roster_frame(adverts);
        all.into_iter()
            .map(|index| (at(index), frame.clone()))
            .collect()
    }

    pub(super) fn deliveries(&mut self, around: &Surroundings) -> Frames {
        let Some(most) = self.hands.dealt_roster() else {
            return Vec::new();
        };
        let all = self.hands.dealers(&most);
        let whole = MemberSet::of(all.iter().copied());
        let enough = Self::thresholds(around).dealers_min();
        let victim = all.iter().copied().find(|index| !self.colludes(*index));
        let others = MemberSet::of(all.iter().copied().filter(|index| Some(*index) != victim));
        let short = self.few(&all, enough.saturating_sub(1).min(2));
        let short = MemberSet::of(short);
        let mut frames = Vec::new();
        for (turn, to) in all.iter().copied().enumerate() {
            let sets = match self.script {
                Some(
                    Fault::TwoSets | Fault::EarlyProof | Fault::ForgedProof | Fault::RepeatedProof,
                ) => {
                    vec![if turn.is_multiple_of(2) {
                        whole
                    } else {
                        others
                    }]
                }
                Some(Fault::TwoSetsToOne) => vec![whole, others],
                Some(Fault::ShortSet) => vec![short],
                Some(Fault::ForeignSet) => vec![filled_up(short, &whole, enough)],
                _ => vec![whole],
            };
            for set in sets {
                let roster = self.hands.roster_of(to).unwrap_or(most);
                frames.push((at(to), self.delivery(around, (roster, set), to)));
            }
        }
        frames
    }

    fn delivery(
        &mut self,
        around: &Surroundings,
        (mut roster, dealers): (Hash32, MemberSet),
        to: u16,
    ) -> Frame {
        let mut records = self.hands.records(&roster, &dealers, to);
        let count = records.len().max(1);
        match self.script {
            Some(Fault::SwappedRecords) if count > 1 => match to % 3 {
                0 => records.swap(0, count - 1),
                1 => swap_names(&mut records),
                _ => {
                    // What was dealt to somebody else.
                    let other = to % dealers.len() as u16 + 1;
                    records = self.hands.records(&roster, &dealers, other);
                }
            },
            Some(Fault::MissingRecords) => {
                let left_out = usize::from(to) % count;
                records = records
                    .into_iter()
                    .enumerate()
                    .filter(|(place, _)| *place != left_out)
                    .map(|(_, sealed)| sealed)
                    .collect();
            }
            Some(Fault::WrongRoster) => roster.0 = bytes(&mut self.numbers),
            _ => {}
        }
        let delivery = Delivery {
            attempt: attempt_id(&around.subject.hash, self.place.0, self.place.1),
            roster,
            dealers,
            records,
        };
        frame(&delivery).into()
    }

    pub(super) fn proofs(&mut self, around: &Surroundings) -> Frames {
        let attempt = attempt_id(&around.subject.hash, self.place.0, self.place.1);
        let needed = Self::thresholds(around).confirmations();
        let mut frames = Vec::new();
        let all: Vec<_> = self
            .hands
            .confirms
            .iter()
            .map(|(set, of)| (*set, of.clone()))
            .collect();
        for ((roster, set), mut confirmed) in all {
            let members: Vec<u16> = confirmed.keys().copied().collect();
            let digest = confirm_digest(&attempt, &roster, &MemberSet(set));
            for index in (1..=self.colluders.len() as u16).filter(|index| self.colludes(*index)) {
                let pair = &around.keys.members()[at(index)];
                confirmed.insert(index, signed(pair, &digest));
            }
            let mut confirmations: Vec<(u16, Signature64)> = confirmed.into_iter().collect();
            match self.script {
                Some(Fault::EarlyProof) => confirmations.truncate(needed - 1),
                Some(Fault::ForgedProof) => self.fill_up(&mut confirmations, needed),
                Some(Fault::RepeatedProof) => {
                    while let Some(first) = confirmations
                        .first()
                        .filter(|_| confirmations.len() < needed)
                    {
                        let first = *first;
                        confirmations.push(first);
                    }
                }
                _ => {}
            }
            let frame: Frame = frame(&Proof {
                attempt,
                confirmations,
            })
            .into();
            frames.extend(members.into_iter().map(|index| (at(index), frame.clone())));
        }
        frames
    }

    /// Signatures that nobody made, in the names of those who are missing.
    fn fill_up(&mut self, confirmations: &mut Vec<(u16, Signature64)>, needed: usize) {
        for index in 1..=self.colluders.len() as u16 {
            if confirmations.len() < needed && confirmations.iter().all(|(of, _)| *of != index) {
                confirmations.push((index, Signature64(bytes(&mut self.numbers))));
            }
        }
        confirmations.sort_unstable_by_key(|(index, _)| *index);
    }
}

/// A short set and members that did not deal, until there are enough.
fn filled_up(mut set: MemberSet, dealt: &MemberSet, enough: usize) -> MemberSet {
    let foreign = (1..=128).filter(|index| !dealt.contains(*index));
    for index in foreign {
        if set.len() < enough {
            set.insert(index);
        }
    }
    set
}

fn swap_names(records: &mut [Sealed]) {
    let last = records.len() - 1;
    let first = records[0].index;
    records[0].index = records[last].index;
    records[last].index = first;
}

fn roster_frame(adverts: Vec<Advert>) -> Frame {
    frame(&Roster { adverts }).into()
}

/// The node with an index in the only group.
fn at(index: u16) -> usize {
    usize::from(index) - 1
}
