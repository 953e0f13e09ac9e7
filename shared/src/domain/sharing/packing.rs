//! How many cells go into one polynomial, and how many random values hide them.

use crate::base::limits::{CELLS_MAX, GROUP_MAX, GROUP_MIN, SHARING_BLOCKS_MAX};

/// Numbers of a sharing: members n, cells packed into one polynomial k, random values c; checked once.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Packing {
    members: usize,
    packed: usize,
    random: usize,
}

/// Numbers that make no sharing.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum BadPacking {
    /// Too few or too many members.
    #[error("sharing among {got} members, expected {GROUP_MIN} to {GROUP_MAX}")]
    Members {
        /// What was found.
        got: usize,
    },
    /// Nothing packed, nothing random, or no opening left to check with.
    #[error(
        "{packed} packed cells and {random} random values among {members} members, expected at least 1 of each and together fewer than members"
    )]
    Width {
        /// Cells in one polynomial.
        packed: usize,
        /// Random values in one polynomial.
        random: usize,
        /// Members.
        members: usize,
    },
}

/// A vector that cannot be shared with this packing.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error(
    "{cells} cells at {packed} to a polynomial, expected 1 to {CELLS_MAX} cells in at most {SHARING_BLOCKS_MAX} polynomials"
)]
pub struct BadSize {
    /// Cells of the vector.
    pub cells: usize,
    /// Cells packed into one polynomial.
    pub packed: usize,
}

impl Packing {
    /// Checks the numbers.
    ///
    /// # Errors
    ///
    /// Members outside 4 to 128; `packed` or `random` zero; `packed + random` not below `members`.
    ///
    /// # Privacy
    ///
    /// `random` is the number of members that may show each other their shares of one dealing and still know nothing of it.
    pub fn new(members: usize, packed: usize, random: usize) -> Result<Self, BadPacking> {
        if !(GROUP_MIN..=GROUP_MAX).contains(&members) {
            return Err(BadPacking::Members { got: members });
        }
        let room = members
            .checked_sub(packed)
            .is_some_and(|left| left > random);
        if packed == 0 || random == 0 || !room {
            return Err(BadPacking::Width {
                packed,
                random,
                members,
            });
        }
        Ok(Self {
            members,
            packed,
            random,
        })
    }

    /// Members n.
    #[must_use]
    pub fn members(self) -> usize {
        self.members
    }

    /// Cells k in one polynomial.
    #[must_use]
    pub fn packed(self) -> usize {
        self.packed
    }

    /// Random values c in one polynomial.
    #[must_use]
    pub fn random(self) -> usize {
        self.random
    }

    /// Openings w = k + c that determine a polynomial.
    #[must_use]
    pub fn width(self) -> usize {
        self.packed + self.random
    }

    /// Polynomials L = ⌈d/k⌉ for a vector of d cells.
    ///
    /// # Errors
    ///
    /// No cells, more than 2^20, or more than 524 286 polynomials.
    pub fn blocks(self, cells: usize) -> Result<usize, BadSize> {
        let blocks = cells.div_ceil(self.packed);
        if cells == 0 || cells > CELLS_MAX || blocks > SHARING_BLOCKS_MAX {
            return Err(BadSize {
                cells,
                packed: self.packed,
            });
        }
        Ok(blocks)
    }

    /// Numbers of all members.
    pub fn numbers(self) -> impl Iterator<Item = u16> {
        1..=self.members as u16
    }

    /// Is this the number of a member?
    #[must_use]
    pub fn has_member(self, member: u16) -> bool {
        (1..=self.members).contains(&usize::from(member))
    }
}

/// Bytes of a record of this many blocks.
#[must_use]
pub const fn record_bytes(blocks: usize) -> usize {
    blocks * size_of::<u64>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_packing(members: usize, packed: usize, random: usize, good: bool) {
        assert_eq!(Packing::new(members, packed, random).is_ok(), good);
    }

    #[test]
    fn one_opening_is_left_to_check_with() {
        check_packing(4, 1, 1, true);
        check_packing(4, 2, 1, true);
        check_packing(128, 40, 16, true);
        check_packing(4, 2, 2, false);
        check_packing(4, 3, 1, false);
        check_packing(4, usize::MAX, 1, false);
        check_packing(4, 1, usize::MAX, false);
    }

    #[test]
    fn something_is_packed_and_something_is_random() {
        check_packing(8, 0, 1, false);
        check_packing(8, 1, 0, false);
    }

    #[test]
    fn members_are_4_to_128() {
        check_packing(3, 1, 1, false);
        check_packing(129, 1, 1, false);
    }

    #[track_caller]
    fn check_blocks(packed: usize, cells: usize, expected: Option<usize>) {
        let packing = Packing::new(8, packed, 1).unwrap();
        assert_eq!(packing.blocks(cells).ok(), expected);
    }

    #[test]
    fn blocks_are_filled_up() {
        check_blocks(3, 1, Some(1));
        check_blocks(3, 3, Some(1));
        check_blocks(3, 4, Some(2));
        check_blocks(2, 1 << 20, None);
        check_blocks(2, 1_048_572, Some(524_286));
        check_blocks(3, 1 << 20, Some(349_526));
    }

    #[test]
    fn sizes_beyond_the_limits_are_refused() {
        check_blocks(3, 0, None);
        check_blocks(3, (1 << 20) + 1, None);
        check_blocks(1, 524_286, Some(524_286));
        check_blocks(1, 524_287, None);
        check_blocks(3, usize::MAX, None);
    }
}
