//! Which entries a pack of a quarter holds: from the last checkpoint at or before its start to the first that covers its end, and from
//! before that what still counts: spends of the year, and the list of programs that the settings demand.

use std::collections::BTreeSet;
use std::ops::Range;

use super::build::CannotBuild;
use super::entry::{Body, Entry, raw};
use super::programs::demanded_programs;
use super::quarter::{Quarter, year_of};
use crate::base::limits::{PACK_EVENTS_MAX, PACK_LISTED_MAX};
use crate::domain::history::{Json, Kind, LEAF_BYTES};

/// What was chosen.
#[derive(Debug)]
pub(super) struct Chosen {
    pub(super) range: Range<u64>,
    pub(super) entries: Vec<Entry>,
    /// Spends of the year that are in front of them, and the newest list of programs.
    pub(super) earlier: Vec<Entry>,
}

/// Goes through the entries of a log, which begin at or before the year of the quarter.
pub(super) fn choose(
    quarter: Quarter,
    sizes: &BTreeSet<u64>,
    entries: impl IntoIterator<Item = Entry>,
) -> Result<Chosen, CannotBuild> {
    let time = quarter.range();
    let (mut held, mut earlier): (Vec<Entry>, Vec<Entry>) = (Vec::new(), Vec::new());
    let (mut first, mut next, mut before_end, mut list) = (0, None, None, None);
    let mut has_own = false;
    for entry in entries {
        if next.is_some_and(|next| next != entry.index) {
            return Err(CannotBuild::Gap(entry.index));
        }
        let index = entry.index;
        let at = raw::recorded_at(&entry.leaf);
        let before_start = held
            .last()
            .is_none_or(|last| raw::recorded_at(&last.leaf) < time.start);
        // Everything in front of this entry was recorded before the quarter.
        if before_start && (sizes.contains(&index) || next.is_none()) {
            list = held.iter().rfind(|one| is_list(one)).cloned().or(list);
            let spends = held.drain(..);
            earlier.extend(spends.filter(|one| is_spend_of(one, quarter.year())));
            first = index;
        }
        if at >= time.end {
            let end = *before_end.get_or_insert(index);
            if sizes.contains(&index) && index >= end {
                break;
            }
        }
        has_own |= time.contains(&at);
        next = Some(index + 1);
        held.push(entry);
        if held.len() > PACK_EVENTS_MAX || earlier.len() > PACK_LISTED_MAX {
            return Err(CannotBuild::TooMany);
        }
    }
    let seen = next.unwrap_or(0);
    let end = before_end.unwrap_or(seen);
    let covering = sizes.range(end..=seen.max(end)).next();
    let last = covering
        .or_else(|| sizes.range(..=seen).next_back())
        .copied();
    let end = last
        .filter(|last| has_own && *last > first)
        .ok_or(CannotBuild::NoCheckpoint)?;
    held.truncate(super::tree::places(&(first..end)));
    if let Some(list) = list {
        let place = earlier.partition_point(|one| one.index < list.index);
        earlier.insert(place, list);
    }
    if earlier.len() > PACK_LISTED_MAX {
        return Err(CannotBuild::TooMany);
    }
    Ok(Chosen {
        range: first..end,
        entries: held,
        earlier,
    })
}

/// Whether an entry says which programs the settings demand.
pub(super) fn is_list(entry: &Entry) -> bool {
    list_of(&entry.leaf, &entry.body).is_some()
}

/// The programs that an entry says the settings demand; none where it is another entry.
pub(super) fn list_of(leaf: &[u8; LEAF_BYTES], body: &Body) -> Option<BTreeSet<String>> {
    let Body::Kept { payload, .. } = body else {
        return None;
    };
    let declares = raw::kind(leaf) == Kind::PackLoaded.code();
    let payload = declares.then(|| Json::parse(payload).ok()).flatten()?;
    demanded_programs(&payload)
}

/// Whether an entry spends of a year's budget.
pub(super) fn is_spend_of(entry: &Entry, year: i32) -> bool {
    raw::kind(&entry.leaf) == Kind::BudgetSpent.code()
        && year_of(raw::recorded_at(&entry.leaf)) == year
}
