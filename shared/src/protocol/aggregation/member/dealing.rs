//! From an accepted roster to sealed shares, and from delivered shares to their sum.

use std::collections::BTreeMap;

use super::Seat;
use crate::base::ids::Hash32;
use crate::base::ids::IdentityKey;
use crate::base::secret::Secret;
use crate::domain::sharing::{Element, Record, RecordSpace, SummedShares, record_bytes};
use crate::protocol::aggregation::roster::{Fault, check_roster, members};
use crate::protocol::aggregation::seal::{Context, End, EphemeralKey, Pair, dealing_seed};
use crate::protocol::aggregation::{
    Advert, Delivery, Guard, MemberSet, Roster, SEAL_BYTES, Sealed, Setting, Shares, roster_hash,
};
use crate::protocol::chain::Head;

/// What a member brings, until it has dealt.
#[derive(Debug)]
pub(super) struct Hand {
    pub(super) noisy: Secret<Vec<i64>>,
    pub(super) key: EphemeralKey,
}

/// A roster that was accepted, and the keys of each pair in it.
#[derive(Debug)]
pub(super) struct Admitted {
    pub(super) roster: Roster,
    pub(super) hash: Hash32,
    /// A.
    pub(super) members: MemberSet,
    pairs: BTreeMap<u16, Pair>,
}

/// What a member keeps of its dealing: its share of its own sum.
pub(super) type OwnRow = Secret<Vec<u8>>;

impl Admitted {
    /// Checks a roster and agrees on keys with everybody in it.
    pub(super) fn new(
        setting: &Setting,
        own: &Advert,
        key: &EphemeralKey,
        roster: Roster,
        behind: &dyn Fn(&IdentityKey, &Head) -> bool,
    ) -> Result<Self, Fault> {
        check_roster(setting, own, &roster, behind)?;
        let hash = roster_hash(&roster);
        let context = Context {
            attempt: setting.attempt,
            roster: hash,
        };
        let adverts = members(setting, &roster);
        let mut pairs = BTreeMap::new();
        for (&index, advert) in adverts.iter().filter(|(index, _)| **index != own.index) {
            let key_of_peer = advert.key;
            let peer = End {
                index,
                key: key_of_peer,
            };
            let pair = key.pair(context, own.index, peer);
            if !setting.checks.hold(Guard::DistinctKeys, pair.is_some()) {
                return Err(Fault {
                    guard: Guard::DistinctKeys,
                    peer: Some(index),
                });
            }
            pairs.extend(pair.map(|pair| (index, pair)));
        }
        Ok(Self {
            members: MemberSet::of(adverts.keys().copied()),
            roster,
            hash,
            pairs,
        })
    }

    /// The dealing seed, from bytes that were drawn after the roster came.
    pub(super) fn seed(&self, setting: &Setting, fresh: &Secret<[u8; 32]>) -> Secret<[u8; 32]> {
        let context = Context {
            attempt: setting.attempt,
            roster: self.hash,
        };
        dealing_seed(context, fresh)
    }

    /// Where the ledgers of the other members stand.
    pub(super) fn marks(&self, setting: &Setting, own: u16) -> Vec<(IdentityKey, Head)> {
        let adverts = members(setting, &self.roster).into_iter();
        let others = adverts.filter(|(index, _)| *index != own);
        others
            .filter_map(|(index, advert)| Some((*setting.key_of(index)?, advert.ledger)))
            .collect()
    }

    /// Deals a noisy sum to every member of the roster; the share of this member itself stays.
    ///
    /// # Privacy
    ///
    /// Shares are made where they are sealed: none of another member is left in memory.
    pub(super) fn deal(
        &self,
        setting: &Setting,
        seat: &Seat,
        noisy: &Secret<Vec<i64>>,
        seed: Secret<[u8; 32]>,
    ) -> (Shares, OwnRow) {
        let cells = noisy.expose().iter().map(|cell| Element::from(*cell));
        let cells: Secret<Vec<Element>> = Secret::new(cells.collect());
        let bytes = record_bytes(setting.blocks());
        let mut own_row = Secret::new(vec![0; bytes]);
        let empty = |index: &u16| Sealed {
            index: *index,
            record: vec![0; bytes + SEAL_BYTES],
        };
        let mut records: Vec<Sealed> = self.pairs.keys().map(empty).collect();
        let mut spaces = vec![RecordSpace {
            member: seat.own,
            bytes: own_row.expose_mut(),
        }];
        spaces.extend(records.iter_mut().map(|sealed| RecordSpace {
            member: sealed.index,
            bytes: &mut sealed.record[..bytes],
        }));
        let dealt = seat.table.dealer().deal(cells.expose(), seed, &mut spaces);
        dealt.expect("the size is checked in advertise");
        for sealed in &mut records {
            self.pairs[&sealed.index].seal(&mut sealed.record);
        }
        let shares = Shares {
            attempt: setting.attempt,
            roster: self.hash,
            records,
        };
        (shares, own_row)
    }

    /// Opens the records of a set of dealers and adds them up. Second: the dealers whose record is missing or does not open.
    ///
    /// # Privacy
    ///
    /// Single shares are wiped as soon as they are added.
    pub(super) fn collect(
        &self,
        setting: &Setting,
        own: (u16, &OwnRow),
        delivery: Delivery,
    ) -> (SummedShares, MemberSet) {
        let blocks = setting.blocks();
        let mut sum = SummedShares::zero(blocks);
        let mut missing = MemberSet::default();
        let mut records = BTreeMap::new();
        for sealed in delivery.records {
            records.entry(sealed.index).or_insert(sealed.record);
        }
        for dealer in delivery
            .dealers
            .iter()
            .filter(|dealer| self.members.contains(*dealer))
        {
            if dealer == own.0 {
                let row = Record::parse(own.1.expose(), blocks);
                sum.add(&row.expect("dealt by this member"));
                continue;
            }
            let mut record = Secret::new(records.remove(&dealer).unwrap_or_default());
            let plain = self
                .pairs
                .get(&dealer)
                .and_then(|pair| pair.open(record.expose_mut()));
            match plain.and_then(|plain| Record::parse(plain, blocks).ok()) {
                Some(share) => sum.add(&share),
                None => missing.insert(dealer),
            }
        }
        (sum, missing)
    }
}
