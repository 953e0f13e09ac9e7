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

/// Goes through the entries of a log, which begin at or before the year of the quarter. Holds no more than a pack does.
#[derive(Debug)]
pub(super) struct Choosing {
    quarter: Quarter,
    /// Where a pack may begin and end.
    sizes: BTreeSet<u64>,
    events_max: usize,
    held: Vec<Entry>,
    earlier: Vec<Entry>,
    /// The last list of programs that is not held any more.
    list: Option<Entry>,
    first: u64,
    next: Option<u64>,
    /// The first entry after the quarter.
    after: Option<u64>,
    has_own: bool,
    /// More was in front of the quarter since the last checkpoint than a pack holds: a pack cannot begin there.
    is_overfull: bool,
    is_done: bool,
}

impl Choosing {
    pub(super) fn new(quarter: Quarter, sizes: BTreeSet<u64>) -> Self {
        Self {
            quarter,
            sizes,
            events_max: PACK_EVENTS_MAX,
            held: Vec::new(),
            earlier: Vec::new(),
            list: None,
            first: 0,
            next: None,
            after: None,
            has_own: false,
            is_overfull: false,
            is_done: false,
        }
    }

    /// The next entry of the log.
    pub(super) fn take(&mut self, entry: Entry) -> Result<(), CannotBuild> {
        if self.is_done {
            return Ok(());
        }
        let (index, at) = (entry.index, raw::recorded_at(&entry.leaf));
        if self.next.is_some_and(|next| next != index) {
            return Err(CannotBuild::Gap(index));
        }
        if self.may_begin_at(index) {
            self.leave_spends();
            self.first = index;
            self.is_overfull = false;
        }
        let time = self.quarter.range();
        if at >= time.end {
            let after = *self.after.get_or_insert(index);
            if self.sizes.contains(&index) && index >= after {
                self.is_done = true;
                return Ok(());
            }
        }
        self.has_own |= time.contains(&at);
        self.next = Some(index + 1);
        self.held.push(entry);
        self.limit(at < time.start)
    }

    /// What a pack holds.
    pub(super) fn end(mut self) -> Result<Chosen, CannotBuild> {
        let seen = self.next.unwrap_or(0);
        let end = self.after.unwrap_or(seen);
        let covering = self.sizes.range(end..=seen.max(end)).next();
        let last = covering
            .or_else(|| self.sizes.range(..=seen).next_back())
            .copied();
        let end = last
            .filter(|last| self.has_own && *last > self.first)
            .ok_or(CannotBuild::NoCheckpoint)?;
        let range = self.first..end;
        self.held.truncate(super::tree::places(&range));
        if let Some(list) = self.list {
            let place = self.earlier.partition_point(|one| one.index < list.index);
            self.earlier.insert(place, list);
        }
        if self.earlier.len() > PACK_LISTED_MAX {
            return Err(CannotBuild::TooMany);
        }
        Ok(Chosen {
            range,
            entries: self.held,
            earlier: self.earlier,
        })
    }

    /// Whether everything in front of an entry was recorded before the quarter, and a checkpoint covers it.
    fn may_begin_at(&self, index: u64) -> bool {
        let start = self.quarter.range().start;
        let before_start = self
            .held
            .last()
            .is_none_or(|last| raw::recorded_at(&last.leaf) < start);
        before_start && (self.sizes.contains(&index) || self.next.is_none())
    }

    /// Lets go of what is held, but for spends of the year and the last list of programs.
    fn leave_spends(&mut self) {
        let list = self.held.iter().rfind(|one| is_list(one));
        self.list = list.cloned().or(self.list.take());
        let year = self.quarter.year();
        let spends = self.held.drain(..).filter(|one| is_spend_of(one, year));
        self.earlier.extend(spends);
    }

    fn limit(&mut self, before_start: bool) -> Result<(), CannotBuild> {
        if self.is_overfull && !before_start {
            return Err(CannotBuild::NoStart(self.first));
        }
        if self.held.len() > self.events_max {
            if !before_start {
                return Err(CannotBuild::TooMany);
            }
            self.leave_spends();
            self.is_overfull = true;
        }
        match self.earlier.len() > PACK_LISTED_MAX {
            true => Err(CannotBuild::TooMany),
            false => Ok(()),
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::history::LEAF_BYTES;
    use crate::domain::pack::Body;

    /// A log of one entry a day, which ends on the last day of 2026; every tenth spends.
    fn entry(index: u64, days: u64) -> Entry {
        let last = "2026Q4".parse::<Quarter>().unwrap().range().end / DAY_MS - 1;
        let kind = match index % 10 {
            0 => Kind::BudgetSpent,
            _ => Kind::LogPad,
        };
        let mut leaf = [0; LEAF_BYTES];
        leaf[4..6].copy_from_slice(&kind.code().to_be_bytes());
        leaf[8..16].copy_from_slice(&index.to_be_bytes());
        let at = (last + 1 + index - days) * DAY_MS;
        leaf[32..40].copy_from_slice(&at.to_be_bytes());
        Entry {
            index,
            leaf,
            body: Body::Erased,
        }
    }

    /// The pack of the last quarter of such a log that holds 100 entries at most: its range, and the spends listed before it.
    #[track_caller]
    fn check(days: u64, sizes: &[u64], expected: Result<(Range<u64>, Vec<u64>), &str>) {
        let quarter = "2026Q4".parse().unwrap();
        let mut choosing = Choosing {
            events_max: 100,
            ..Choosing::new(quarter, sizes.iter().copied().collect())
        };
        let taken = (0..days).try_for_each(|index| {
            let taken = choosing.take(entry(index, days));
            let held = choosing.held.len();
            assert!(taken.is_err() || held <= 100, "no more than a pack holds");
            taken
        });
        let chosen = taken.and_then(|()| choosing.end());
        let found = chosen.map(|chosen| {
            let held = chosen.entries.iter().map(|one| one.index);
            assert!(held.eq(chosen.range.clone()));
            let listed = chosen.earlier.iter().map(|one| one.index);
            (chosen.range, listed.collect())
        });
        let found = found.map_err(|none| none.to_string());
        match (&found, expected) {
            (Ok(found), Ok(expected)) => assert_eq!(*found, expected),
            (Err(none), Err(words)) => assert!(none.contains(words), "{none}"),
            (found, expected) => panic!("{found:?}, expected {expected:?}"),
        }
    }

    /// Years of entries are in front of the first checkpoint that is known: 92 of 1,000 days are of the quarter, 365 of the year.
    #[test]
    fn a_log_that_is_older_than_its_checkpoints_has_packs() {
        let listed = (640..=900).step_by(10).collect();
        check(1_000, &[905, 1_000], Ok((905..1_000, listed)));
    }

    #[test]
    fn a_young_log_begins_at_its_first_entry() {
        check(95, &[50, 95], Ok((0..95, Vec::new())));
    }

    #[test]
    fn where_no_checkpoint_is_near_the_quarter_nothing_is_made() {
        check(1_000, &[700, 1_000], Err("checkpoint"));
        check(1_000, &[950, 1_000], Err("entry 0"));
    }

    #[test]
    fn a_quarter_that_is_too_long_is_refused() {
        let more = (0..200).map(|index| Entry {
            index,
            ..entry(199, 200)
        });
        let mut choosing = Choosing {
            events_max: 100,
            ..Choosing::new("2026Q4".parse().unwrap(), BTreeSet::from([200]))
        };
        let mut taken = more.map(|one| choosing.take(one));
        let refused = taken.find_map(Result::err);
        assert!(matches!(refused, Some(CannotBuild::TooMany)), "{refused:?}");
    }

    const DAY_MS: u64 = 24 * 3_600 * 1_000;
}
