//! Attempts that members say to have paid for: what a coordinator whose store was put back can learn from them.

use std::collections::BTreeMap;

use super::event::Member;

/// The last attempt of the live round that each member has reported.
#[derive(Clone, Debug, Default)]
pub(super) struct Known {
    reports: BTreeMap<Member, u32>,
}

impl Known {
    /// A member says that it has paid for an attempt.
    pub(super) fn report(&mut self, member: Member, attempt: u32) {
        let last = self.reports.entry(member).or_default();
        *last = attempt.max(*last);
    }

    /// The lowest number that is worth asking for, where an attempt can do without this many members.
    ///
    /// A number counts once more members than that report it or a higher one: without them the attempts up to it fail anyway.
    /// A single liar could otherwise use up all attempts of a round.
    pub(super) fn floor(&self, spare: usize) -> u32 {
        let mut reported: Vec<u32> = self.reports.values().copied().collect();
        reported.sort_unstable_by(|one, other| other.cmp(one));
        let last = reported.get(spare);
        last.map_or(0, |last| last.saturating_add(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(reports: &[(Member, u32)], spare: usize, expected: u32) {
        let mut known = Known::default();
        for (member, attempt) in reports {
            known.report(*member, *attempt);
        }
        assert_eq!(known.floor(spare), expected);
    }

    #[test]
    fn a_number_counts_once_more_report_it_than_can_be_spared() {
        check(&[], 0, 0);
        check(&[(0, 2)], 0, 3);
        check(&[(0, 3)], 1, 0);
        check(&[(0, 3), (0, 3)], 1, 0);
        check(&[(0, 3), (1, 0)], 1, 1);
        check(&[(0, 2), (1, 2), (2, 1)], 1, 3);
        check(&[(0, u32::MAX), (1, u32::MAX)], 1, u32::MAX);
    }
}
