//! A member that lies: the product's machine speaks for it, and what it says is twisted before it leaves.

use std::rc::Rc;

use aquifer_node::core::participant::{Event, Fresh};
use aquifer_shared::base::ids::AttemptId;
use aquifer_shared::domain::sharing::P;
use aquifer_shared::protocol::aggregation::{
    Advert, Cannot, Confirm, MemberSet, Opening, Roster, Shares, advert_digest, confirm_digest,
    opening_digest, roster_hash,
};
use aquifer_shared::protocol::wire::{Message, Update, frame, read_body};

use super::sealing::{Direction, public_of};
use super::{bytes, pick, signed};
use crate::random::Seeded;
use crate::simulator::faults::Fault;
use crate::simulator::keys::Pair;
use crate::simulator::network::{Frame, split};
use crate::simulator::surroundings::Surroundings;

/// What a liar remembers.
#[derive(Debug, Default)]
pub struct Liar {
    /// Ephemeral keys, private halves: the newest last.
    privates: Vec<[u8; 32]>,
    roster: Option<Roster>,
    dealers: MemberSet,
}

impl Liar {
    /// The machine hears something: the liar remembers what it needs.
    pub fn overhear(&mut self, event: &Event) {
        match event {
            Event::Task(_, fresh) => self.keep(fresh),
            Event::Roster(roster, _) => self.roster = Some(roster.clone()),
            Event::Delivery(delivery) => self.dealers = delivery.dealers,
            _ => {}
        }
    }

    fn keep(&mut self, fresh: &Fresh) {
        self.privates
            .extend(fresh.iter().map(|fresh| *fresh.expose()));
        let old = self.privates.len().saturating_sub(KEYS_MAX);
        self.privates.drain(..old);
    }

    /// What leaves in place of a frame that the machine wanted to send.
    pub fn twist(&mut self, around: &mut Surroundings, node: usize, frame: Frame) -> Vec<Frame> {
        let party = node + 1;
        if around.strikes(Fault::Silence, party).is_some() {
            return Vec::new();
        }
        if let Some(mut numbers) = around.strikes(Fault::Garbage, party) {
            return vec![garbage(&mut numbers, &frame)];
        }
        let Ok((kind, body)) = split(&frame) else {
            return vec![frame];
        };
        let pair = Rc::new(around.keys.members()[node].clone());
        let twisted = match kind {
            Advert::KIND => read_body(kind, body)
                .ok()
                .map(|advert| twist_advert(around, party, &pair, advert)),
            Shares::KIND => read_body(kind, body)
                .ok()
                .and_then(|shares| self.twist_shares(around, party, shares)),
            Confirm::KIND => read_body(kind, body)
                .ok()
                .map(|confirm| twist_confirm(around, party, &pair, confirm)),
            Opening::KIND => {
                let opening = read_body(kind, body).ok();
                opening.map(|opening| self.twist_opening(around, party, &pair, opening))
            }
            Update::KIND => read_body(kind, body)
                .ok()
                .map(|update| twist_update(around, party, update)),
            _ => None,
        };
        twisted.unwrap_or_else(|| vec![frame.clone()])
    }

    /// Spoiled or unsound records; one too few; accusations beside them.
    fn twist_shares(
        &mut self,
        around: &mut Surroundings,
        party: usize,
        mut shares: Shares,
    ) -> Option<Vec<Frame>> {
        let mut also = None;
        if let Some(mut numbers) = around.strikes(Fault::BadRecord, party) {
            let at = numbers.next_u64() as usize % shares.records.len();
            let record = &mut shares.records[at].record;
            let byte = numbers.next_u64() as usize % record.len();
            record[byte] ^= 1 << (numbers.next_u64() % 8);
        }
        if let Some(mut numbers) = around.strikes(Fault::BadShare, party) {
            self.reseal(&mut numbers, &mut shares)?;
        }
        if let Some(mut numbers) = around.strikes(Fault::WrongLength, party) {
            match numbers.next_u64() % 3 {
                0 => drop(shares.records.pop()),
                1 => shares.records[0].record.truncate(8),
                _ => shares.records.push(shares.records[0].clone()),
            }
        }
        if let Some(mut numbers) = around.strikes(Fault::FalseCannot, party) {
            let all: Vec<u16> = shares.records.iter().map(|sealed| sealed.index).collect();
            let victim = pick(&mut numbers, &all)?;
            also = Some(accusation(shares.attempt, victim));
        }
        let mut frames: Vec<Frame> = vec![frame(&shares).into()];
        frames.extend(also);
        Some(frames)
    }

    /// Changes the share of some receivers: what they add up lies on no polynomial of the right degree.
    fn reseal(&self, numbers: &mut Seeded, shares: &mut Shares) -> Option<()> {
        let roster = self.roster.as_ref()?;
        if roster_hash(roster) != shares.roster {
            return None;
        }
        let receivers: Vec<u16> = shares.records.iter().map(|sealed| sealed.index).collect();
        let own = roster
            .adverts
            .iter()
            .find(|advert| !receivers.contains(&advert.index))?;
        let private = self
            .privates
            .iter()
            .rev()
            .find(|private| public_of(private) == own.key)?;
        let victims = 1 + numbers.next_u64() as usize % shares.records.len();
        for sealed in shares.records.iter_mut().take(victims) {
            let to = roster
                .adverts
                .iter()
                .find(|advert| advert.index == sealed.index)?;
            let direction = Direction {
                attempt: shares.attempt,
                roster: shares.roster,
                from: (own.index, own.key),
                to: (to.index, to.key),
            };
            let mut plain = direction.open(private, &sealed.record)?;
            for word in plain.as_chunks_mut::<8>().0 {
                let other = (u64::from_le_bytes(*word) + 1 + numbers.next_u64() % (P - 1)) % P;
                *word = other.to_le_bytes();
            }
            sealed.record = direction.seal(private, &plain)?;
        }
        Some(())
    }

    /// Another point, one element too many or too few, or no signature.
    fn twist_opening(
        &mut self,
        around: &mut Surroundings,
        party: usize,
        pair: &Pair,
        mut opening: Opening,
    ) -> Vec<Frame> {
        let hash = self.roster.as_ref().map(roster_hash).unwrap_or_default();
        let mut signs = false;
        if let Some(mut numbers) = around.strikes(Fault::WrongOpening, party) {
            let at = numbers.next_u64() as usize % opening.elements.len();
            opening.elements[at] = (opening.elements[at] + 1 + numbers.next_u64() % (P - 1)) % P;
            signs = true;
        }
        if let Some(mut numbers) = around.strikes(Fault::WrongLength, party) {
            match numbers.next_u64() % 3 {
                0 => drop(opening.elements.pop()),
                1 => opening.elements.push(0),
                _ => opening.elements[0] = P + numbers.next_u64() % 8,
            }
            signs = true;
        }
        if signs {
            let digest = opening_digest(&opening.attempt, &hash, &self.dealers, &opening.elements);
            opening.signature = signed(pair, &digest);
        }
        if let Some(mut numbers) = around.strikes(Fault::BadSignature, party) {
            opening.signature.0[numbers.next_u64() as usize % 64] ^= 1;
        }
        vec![frame(&opening).into()]
    }
}

fn twist_advert(
    around: &mut Surroundings,
    party: usize,
    pair: &Pair,
    advert: Advert,
) -> Vec<Frame> {
    let mut adverts = vec![advert.clone()];
    let resign = |mut advert: Advert| {
        advert.signature = signed(pair, &advert_digest(&advert));
        advert
    };
    if let Some(mut numbers) = around.strikes(Fault::TwoAdverts, party) {
        let key = public_of(&bytes(&mut numbers));
        let other = resign(Advert {
            key,
            ..advert.clone()
        });
        let place = numbers.next_u64() as usize % 2;
        adverts.insert(place, other);
    }
    if around.strikes(Fault::FalseLedger, party).is_some() {
        let mut other = advert.clone();
        other.ledger.seq = other.ledger.seq.saturating_sub(2);
        adverts = vec![resign(other)];
    }
    if let Some(mut numbers) = around.strikes(Fault::BadSignature, party) {
        adverts[0].signature.0[numbers.next_u64() as usize % 64] ^= 1;
    }
    if around.strikes(Fault::WrongLength, party).is_some() {
        adverts[0] = resign(Advert {
            index: advert.index + 1,
            ..advert
        });
    }
    adverts.iter().map(|advert| frame(advert).into()).collect()
}

fn twist_confirm(
    around: &mut Surroundings,
    party: usize,
    pair: &Pair,
    mut confirm: Confirm,
) -> Vec<Frame> {
    let mut frames: Vec<Frame> = Vec::new();
    if let Some(mut numbers) = around.strikes(Fault::FalseConfirm, party) {
        let all: Vec<u16> = confirm.dealers.iter().collect();
        let left_out = pick(&mut numbers, &all);
        let dealers = MemberSet::of(
            all.iter()
                .copied()
                .filter(|dealer| Some(*dealer) != left_out),
        );
        let digest = confirm_digest(&confirm.attempt, &confirm.roster, &dealers);
        let other = Confirm {
            dealers,
            signature: signed(pair, &digest),
            ..confirm
        };
        frames.push(frame(&other).into());
    }
    if let Some(mut numbers) = around.strikes(Fault::BadSignature, party) {
        confirm.signature.0[numbers.next_u64() as usize % 64] ^= 1;
    }
    frames.push(frame(&confirm).into());
    if let Some(mut numbers) = around.strikes(Fault::FalseCannot, party) {
        let all: Vec<u16> = confirm.dealers.iter().collect();
        frames.extend(pick(&mut numbers, &all).map(|victim| accusation(confirm.attempt, victim)));
    }
    frames
}

fn twist_update(around: &mut Surroundings, party: usize, mut update: Update) -> Vec<Frame> {
    if let Some(mut numbers) = around.strikes(Fault::BadSignature, party) {
        update.signature[numbers.next_u64() as usize % 64] ^= 1;
    }
    if around.strikes(Fault::WrongLength, party).is_some() {
        update.cells.pop();
    }
    vec![frame(&update).into()]
}

fn accusation(attempt: AttemptId, victim: u16) -> Frame {
    let dealers = MemberSet::of([victim]);
    frame(&Cannot { attempt, dealers }).into()
}

/// A frame with some bytes changed, cut off, or of an unknown kind.
fn garbage(numbers: &mut Seeded, frame: &Frame) -> Frame {
    let mut bytes = frame.to_vec();
    match numbers.next_u64() % 3 {
        0 => bytes[1] = 200,
        1 => bytes.truncate(bytes.len() / 2),
        _ => {
            let at = numbers.next_u64() as usize % bytes.len();
            bytes[at] ^= 1 << (numbers.next_u64() % 8);
        }
    }
    bytes.into()
}

const KEYS_MAX: usize = 4;
