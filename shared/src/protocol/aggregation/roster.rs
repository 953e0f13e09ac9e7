//! The rules of adverts and rosters, which both sides keep: each member before it pays, the coordinator before it asks.

use std::collections::{BTreeMap, BTreeSet};

use super::seal::is_usable;
use super::{Advert, Guard, Roster, Setting, advert_digest};
use crate::base::ids::IdentityKey;
use crate::protocol::chain::Head;

/// A rule that does not hold, and the member that it is about.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Fault {
    pub(super) guard: Guard,
    pub(super) peer: Option<u16>,
}

/// Checks the advert that came from a member.
///
/// # Errors
///
/// The first rule that it breaks.
pub fn verify_advert(setting: &Setting, member: u16, advert: &Advert) -> Result<(), Guard> {
    if advert.index != member || setting.key_of(member).is_none() {
        return Err(Guard::RosterOrder);
    }
    if !is_for(setting, advert) {
        return Err(Guard::SameTask);
    }
    if !is_usable(&advert.key) {
        return Err(Guard::DistinctKeys);
    }
    if !setting.is_by(member, &advert_digest(advert), &advert.signature) {
        return Err(Guard::AdvertSignature);
    }
    Ok(())
}

/// Checks a roster as the member whose advert is `own`; all but whether the keys can be used.
pub(super) fn check_roster(
    setting: &Setting,
    own: &Advert,
    roster: &Roster,
    behind: &dyn Fn(&IdentityKey, &Head) -> bool,
) -> Result<(), Fault> {
    let adverts = &roster.adverts;
    let rule = |guard, peer, condition| {
        let holds = setting.checks.hold(guard, condition);
        holds.then_some(()).ok_or(Fault { guard, peer })
    };
    let enough = adverts.len() >= setting.thresholds.dealers_min();
    rule(Guard::RosterSize, None, enough)?;
    rule(Guard::RosterOrder, None, is_rising(setting, adverts))?;
    rule(Guard::OwnAdvert, None, adverts.contains(own))?;
    for advert in adverts {
        let peer = Some(advert.index);
        rule(Guard::SameTask, peer, is_for(setting, advert))?;
        let signed = setting.is_by(advert.index, &advert_digest(advert), &advert.signature);
        rule(Guard::AdvertSignature, peer, signed)?;
    }
    let mut keys = BTreeSet::new();
    for advert in adverts {
        rule(
            Guard::DistinctKeys,
            Some(advert.index),
            keys.insert(advert.key),
        )?;
    }
    for (&index, advert) in members(setting, roster)
        .iter()
        .filter(|(index, _)| **index != own.index)
    {
        let key = setting.key_of(index);
        let behind = key.is_some_and(|key| behind(key, &advert.ledger));
        rule(Guard::PeerMarks, Some(index), !behind)?;
    }
    Ok(())
}

/// The adverts of a roster by member. With every rule kept, all of them.
pub(super) fn members<'a>(setting: &Setting, roster: &'a Roster) -> BTreeMap<u16, &'a Advert> {
    let mut found = BTreeMap::new();
    for advert in &roster.adverts {
        if setting.key_of(advert.index).is_some() {
            found.entry(advert.index).or_insert(advert);
        }
    }
    found
}

fn is_for(setting: &Setting, advert: &Advert) -> bool {
    (advert.attempt, advert.task) == (setting.attempt, setting.task)
}

fn is_rising(setting: &Setting, adverts: &[Advert]) -> bool {
    let known = |advert: &Advert| setting.key_of(advert.index).is_some();
    let rising = adverts.windows(2).all(|pair| pair[0].index < pair[1].index);
    rising && adverts.iter().all(known)
}
