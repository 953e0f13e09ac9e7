//! How many members of a secure aggregation may fail or collude, and what follows from it.
//!
//! Numbers only: n, d_max and c_max come from the signed study; every other figure is computed from them, by every party.

use std::ops::Range;

use crate::base::limits::{GROUP_MAX, GROUP_MIN};

/// Tolerances of one group of a `shared-noise` study that fit together. Only [`Thresholds::new`] makes one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Thresholds {
    members: u16,
    absent_max: u16,
    colluders_max: u16,
}

/// Tolerances that do not fit together.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum BadThresholds {
    /// Too few or too many members for secure aggregation.
    #[error("a group has {got} members, expected {GROUP_MIN} to {GROUP_MAX}")]
    Members {
        /// Found.
        got: usize,
    },
    /// Every member knows its own noise and sees the release.
    #[error("c_max is 0, expected at least 1: every member knows its own noise")]
    Colluders,
    /// Too little is left of the honest members.
    #[error(
        "{members} members cannot tolerate d_max {absent_max} and c_max {colluders_max}: n >= 2·d_max + c_max + 1 and n - d_max - c_max >= 2 are needed"
    )]
    Tolerance {
        /// n.
        members: u16,
        /// d_max.
        absent_max: u16,
        /// c_max.
        colluders_max: u16,
    },
}

impl Thresholds {
    /// Checks n, d_max and c_max (private sum, validity rule 1).
    ///
    /// # Errors
    ///
    /// The first rule that they break.
    pub fn new(members: usize, absent_max: u16, colluders_max: u16) -> Result<Self, BadThresholds> {
        if !(GROUP_MIN..=GROUP_MAX).contains(&members) {
            return Err(BadThresholds::Members { got: members });
        }
        if colluders_max == 0 {
            return Err(BadThresholds::Colluders);
        }
        let members = members as u16;
        let (n, d, c) = (
            u32::from(members),
            u32::from(absent_max),
            u32::from(colluders_max),
        );
        if n < 2 * d + c + 1 || n < d + c + 2 {
            return Err(BadThresholds::Tolerance {
                members,
                absent_max,
                colluders_max,
            });
        }
        let found = Self {
            members,
            absent_max,
            colluders_max,
        };
        assert!(
            found.confirmations() <= found.dealers_min(),
            "equivalent to the first rule"
        );
        assert!(
            found.openings() <= found.dealers_min(),
            "follows from both rules"
        );
        Ok(found)
    }

    /// d_max where a study states none: a quarter of the members.
    #[must_use]
    pub fn usual_absent(members: usize) -> u16 {
        (members / 4) as u16
    }

    /// c_max where a study states none: an eighth of the members, at least one.
    #[must_use]
    pub fn usual_colluders(members: usize) -> u16 {
        (members / 8).max(1) as u16
    }

    /// n: members of the group.
    #[must_use]
    pub fn members(self) -> usize {
        self.members.into()
    }

    /// d_max: members that may fail to deal or to answer.
    #[must_use]
    pub fn absent_max(self) -> usize {
        self.absent_max.into()
    }

    /// c_max: members that may collude with each other and with the coordinator.
    #[must_use]
    pub fn colluders_max(self) -> usize {
        self.colluders_max.into()
    }

    /// h: honest dealers that are certain in any opened sum.
    #[must_use]
    pub fn honest(self) -> u16 {
        self.members - self.absent_max - self.colluders_max
    }

    /// k: cells packed into one polynomial.
    #[must_use]
    pub fn packed(self) -> usize {
        usize::from(self.honest()).div_ceil(2)
    }

    /// w: openings that determine a sum.
    #[must_use]
    pub fn openings(self) -> usize {
        self.packed() + self.colluders_max()
    }

    /// Q: confirmations that make the opened set unique.
    #[must_use]
    pub fn confirmations(self) -> usize {
        (self.members() + self.colluders_max()) / 2 + 1
    }

    /// n − d_max: fewest members of an attempt's roster, and fewest dealers of an opened sum.
    #[must_use]
    pub fn dealers_min(self) -> usize {
        self.members() - self.absent_max()
    }

    /// Blocks of a vector of this many cells.
    #[must_use]
    pub fn blocks(self, cells: usize) -> usize {
        cells.div_ceil(self.packed())
    }
}

/// The groups of a roster: up to [`GROUP_MAX`] members each, sizes that differ by one at most, in the roster's order.
///
/// A function of the roster's size alone, so that nobody can choose who is grouped with whom after the study is signed.
#[must_use]
pub fn groups(members: usize) -> Vec<Range<usize>> {
    let count = members.div_ceil(GROUP_MAX).max(1);
    let bound = |group: usize| group * members / count;
    (0..count)
        .map(|group| bound(group)..bound(group + 1))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_usual(members: usize, expected: (usize, usize, u16, usize, usize)) {
        let (d, c) = (
            Thresholds::usual_absent(members),
            Thresholds::usual_colluders(members),
        );
        let found = Thresholds::new(members, d, c).unwrap();
        let figures = (
            found.absent_max(),
            found.colluders_max(),
            found.honest(),
            found.packed(),
            found.confirmations(),
        );
        assert_eq!(figures, expected);
    }

    #[test]
    fn published_samples() {
        check_usual(4, (1, 1, 2, 1, 3));
        check_usual(8, (2, 1, 5, 3, 5));
        check_usual(16, (4, 2, 10, 5, 10));
        check_usual(64, (16, 8, 40, 20, 37));
        check_usual(128, (32, 16, 80, 40, 73));
    }

    #[test]
    fn defaults_fit_every_size() {
        for members in GROUP_MIN..=GROUP_MAX {
            let (d, c) = (
                Thresholds::usual_absent(members),
                Thresholds::usual_colluders(members),
            );
            let found = Thresholds::new(members, d, c).unwrap();
            assert!(
                usize::from(found.honest()) > found.packed(),
                "a spare point is left"
            );
        }
    }

    #[test]
    fn tolerances_that_do_not_fit_are_refused() {
        assert_eq!(
            Thresholds::new(3, 0, 1),
            Err(BadThresholds::Members { got: 3 })
        );
        assert_eq!(
            Thresholds::new(129, 0, 1),
            Err(BadThresholds::Members { got: 129 })
        );
        assert_eq!(Thresholds::new(8, 2, 0), Err(BadThresholds::Colluders));
        assert!(Thresholds::new(8, 3, 2).is_err());
        assert!(Thresholds::new(8, 3, 1).is_ok());
        assert!(Thresholds::new(8, 4, 1).is_err());
        assert!(Thresholds::new(4, 0, 3).is_err());
        assert!(Thresholds::new(16, u16::MAX, u16::MAX).is_err());
    }

    #[test]
    fn groups_cover_the_roster_evenly() {
        assert_eq!((groups(8).len(), groups(128).len()), (1, 1));
        assert_eq!(groups(129), [0..64, 64..129]);
        let thousand = groups(1_000);
        assert_eq!(thousand.len(), 8);
        assert!(thousand.iter().all(|group| group.len() == 125));
        for members in GROUP_MIN..=1_024 {
            let found = groups(members);
            assert!(
                found
                    .iter()
                    .all(|group| (GROUP_MIN..=GROUP_MAX).contains(&group.len()))
            );
            assert_eq!(found.last().map(|group| group.end), Some(members));
        }
    }
}
