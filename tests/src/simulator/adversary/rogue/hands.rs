//! What the adversary's coordinator was sent in an attempt.

use std::collections::BTreeMap;

use aquifer_shared::base::ids::Hash32;
use aquifer_shared::protocol::aggregation::{
    Advert, Confirm, MemberSet, Sealed, Shares, Signature64,
};
use aquifer_shared::protocol::wire::{Message, read_body};

/// Everything that may be shown to others.
#[derive(Debug, Default)]
pub(super) struct Hands {
    /// The newest advert of each member.
    pub(super) adverts: BTreeMap<u16, Advert>,
    /// Adverts of earlier attempts.
    pub(super) old: BTreeMap<u16, Advert>,
    /// What members dealt, by roster and dealer.
    pub(super) shares: BTreeMap<Hash32, BTreeMap<u16, Shares>>,
    /// What members confirmed, by roster and set.
    pub(super) confirms: BTreeMap<(Hash32, [u64; 2]), BTreeMap<u16, Signature64>>,
}

impl Hands {
    /// A new attempt: adverts become old ones, the rest is worthless.
    pub(super) fn clear(&mut self) {
        self.old.append(&mut self.adverts);
        self.shares.clear();
        self.confirms.clear();
    }

    /// Takes what a member says.
    pub(super) fn take(&mut self, node: usize, kind: u8, body: &[u8]) {
        let index = node as u16 + 1;
        match kind {
            Advert::KIND => {
                if let Ok(advert) = read_body::<Advert>(kind, body) {
                    self.adverts.insert(index, advert);
                }
            }
            Shares::KIND => {
                if let Ok(shares) = read_body::<Shares>(kind, body) {
                    let of_roster = self.shares.entry(shares.roster).or_default();
                    of_roster.insert(index, shares);
                }
            }
            Confirm::KIND => {
                if let Ok(confirm) = read_body::<Confirm>(kind, body) {
                    let set = (confirm.roster, confirm.dealers.0);
                    let of_set = self.confirms.entry(set).or_default();
                    of_set.insert(index, confirm.signature);
                }
            }
            _ => {}
        }
    }

    /// The roster under which most members dealt.
    pub(super) fn dealt_roster(&self) -> Option<Hash32> {
        let most = self
            .shares
            .iter()
            .max_by_key(|(_, of_roster)| of_roster.len());
        most.map(|(hash, _)| *hash)
    }

    /// The roster under which a member dealt.
    pub(super) fn roster_of(&self, index: u16) -> Option<Hash32> {
        let mut all = self.shares.iter();
        all.find(|(_, dealt)| dealt.contains_key(&index))
            .map(|(hash, _)| *hash)
    }

    /// Who dealt under a roster.
    pub(super) fn dealers(&self, roster: &Hash32) -> Vec<u16> {
        let dealt = self.shares.get(roster);
        dealt
            .map(|dealt| dealt.keys().copied().collect())
            .unwrap_or_default()
    }

    /// The records of a set for a receiver, as a delivery carries them.
    pub(super) fn records(&self, roster: &Hash32, set: &MemberSet, to: u16) -> Vec<Sealed> {
        let Some(dealt) = self.shares.get(roster) else {
            return Vec::new();
        };
        let of = |dealer: u16| {
            let records = &dealt.get(&dealer)?.records;
            let sealed = records.iter().find(|sealed| sealed.index == to)?;
            Some(Sealed {
                index: dealer,
                record: sealed.record.clone(),
            })
        };
        set.iter()
            .filter(|dealer| *dealer != to)
            .filter_map(of)
            .collect()
    }
}
