//! The field of p = 2^61 − 1 elements: one word holds every sum with its sign, exactly.
//!
//! No branch and no table depends on a value.

use std::fmt;
use std::ops::{Add, Mul, Sub};

use zeroize::Zeroize;

use crate::base::limits::SHARING_SUM_ABS_END;

/// The prime 2^61 − 1.
pub const P: u64 = (1 << 61) - 1;

/// An element of the field, always below [`P`].
///
/// # Privacy
///
/// May be a share or a cell of an exact sum: its `Debug` hides it. Who keeps a list of them wraps it in
/// [`Secret`](crate::base::secret::Secret).
#[derive(Clone, Copy, Default, Eq, PartialEq, Zeroize)]
pub struct Element(u64);

/// A number that is no element.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("element {position} is not below 2^61 - 1")]
pub struct BadElement {
    /// Its position in the list, from 0.
    pub position: usize,
}

impl Element {
    /// Adds nothing.
    pub const ZERO: Self = Self(0);
    /// Multiplies to the same.
    pub const ONE: Self = Self(1);

    /// The element with this number; `None` unless it is below [`P`].
    #[must_use]
    pub const fn new(value: u64) -> Option<Self> {
        if value < P { Some(Self(value)) } else { None }
    }

    /// The elements with these numbers: an opening as a member sent it.
    ///
    /// # Errors
    ///
    /// The first number that is not below [`P`].
    pub fn list(values: &[u64]) -> Result<Vec<Self>, BadElement> {
        let numbered = values.iter().enumerate();
        let elements =
            numbered.map(|(position, &value)| Self::new(value).ok_or(BadElement { position }));
        elements.collect()
    }

    /// Its number, below [`P`].
    #[must_use]
    pub const fn value(self) -> u64 {
        self.0
    }

    /// The cell of a sum that it stands for; `None` at 2^59 and beyond, either way.
    #[must_use]
    pub fn cell(self) -> Option<i64> {
        let value = i64::try_from(self.0).expect("below 2^61");
        let negative = i64::from(self.0 > P / 2);
        let value = value - negative * P as i64;
        (value.abs() < SHARING_SUM_ABS_END).then_some(value)
    }

    /// The element that multiplies with this one to 1 (Fermat: its power p − 2); zero stays zero.
    #[must_use]
    pub fn inverse(self) -> Self {
        // p − 2 = 2^61 − 3: every bit below 2^61 but the second.
        let mut power = Self::ONE;
        for bit in (0..61).rev() {
            power = power * power;
            if bit != 1 {
                power = power * self;
            }
        }
        power
    }

    /// The element of a number below 2^128.
    pub(super) const fn folded(wide: u128) -> Self {
        // 2^61 = 1 in this field: the pieces of 61 bits add up.
        let (low, middle, high) = (wide as u64 & P, (wide >> 61) as u64 & P, wide >> 122);
        let sum = low + middle + high as u64;
        Self::reduced((sum & P) + (sum >> 61))
    }

    /// The element of a number below 2·p.
    const fn reduced(value: u64) -> Self {
        let (less, borrow) = value.overflowing_sub(P);
        Self(less.wrapping_add(P & (borrow as u64).wrapping_neg()))
    }
}

impl Add for Element {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self::reduced(self.0 + other.0)
    }
}

impl Sub for Element {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self::reduced(self.0 + (P - other.0))
    }
}

impl Mul for Element {
    type Output = Self;

    fn mul(self, other: Self) -> Self {
        // Below 2^122: two pieces, together below 2·p.
        let wide = u128::from(self.0) * u128::from(other.0);
        Self::reduced((wide as u64 & P) + (wide >> 61) as u64)
    }
}

impl From<i128> for Element {
    fn from(value: i128) -> Self {
        // As a number without sign, a negative one is 2^128 = 64 too large.
        let too_large = Self(64 * u64::from(value < 0));
        Self::folded(value as u128) - too_large
    }
}

impl From<i64> for Element {
    fn from(value: i64) -> Self {
        Self::from(i128::from(value))
    }
}

impl fmt::Debug for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<element>")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn element(value: u64) -> Element {
        Element::new(value).unwrap()
    }

    #[test]
    fn golden_values() {
        assert_eq!((element(P - 1) * element(P - 1)).value(), 1);
        assert_eq!(element(2).inverse().value(), 1_152_921_504_606_846_976);
    }

    #[track_caller]
    fn check_cell(value: u64, cell: Option<i64>) {
        assert_eq!(element(value).cell(), cell);
    }

    #[test]
    fn cells_are_read_with_their_sign() {
        check_cell(0, Some(0));
        check_cell(P - 1, Some(-1));
        check_cell((1 << 59) - 1, Some((1 << 59) - 1));
        check_cell(P - (1 << 59) + 1, Some(1 - (1 << 59)));
    }

    #[test]
    fn cells_out_of_range_are_refused() {
        check_cell(1 << 59, None);
        check_cell(P - (1 << 59), None);
        check_cell(P / 2, None);
        check_cell(P / 2 + 1, None);
    }

    #[test]
    fn numbers_from_p_on_are_no_elements() {
        assert_eq!(Element::new(P - 1).map(Element::value), Some(P - 1));
        assert!(
            [P, P + 1, u64::MAX]
                .map(Element::new)
                .iter()
                .all(Option::is_none)
        );
    }

    #[test]
    fn a_list_names_what_is_no_element() {
        let list = |values: &[u64]| Element::list(values).map(|list| list.len());
        assert_eq!(list(&[0, P - 1]), Ok(2));
        assert_eq!(list(&[]), Ok(0));
        assert_eq!(list(&[1, P, u64::MAX]), Err(BadElement { position: 1 }));
    }

    #[test]
    fn the_ends_of_every_range_fold() {
        for wide in [
            0,
            1,
            u128::from(P),
            u128::MAX,
            u128::MAX - 63,
            1 << 122,
            (1 << 122) - 1,
        ] {
            assert_eq!(
                u128::from(Element::folded(wide).value()),
                wide % u128::from(P)
            );
        }
        for value in [
            i128::MIN,
            i128::MIN + 1,
            i128::MAX,
            -1,
            0,
            -64,
            -i128::from(P),
        ] {
            check_from(value);
        }
    }

    #[track_caller]
    fn check_from(value: i128) {
        let expected = value.rem_euclid(i128::from(P));
        assert_eq!(i128::from(Element::from(value).value()), expected);
    }

    #[test]
    fn an_element_cannot_be_printed() {
        assert_eq!(format!("{:?}", element(7)), "<element>");
    }

    proptest! {
        #[test]
        fn operations_agree_with_wide_integers(a in 0..P, b in 0..P) {
            let (wide_a, wide_b, p) = (u128::from(a), u128::from(b), u128::from(P));
            let (a, b) = (element(a), element(b));
            prop_assert_eq!(u128::from((a + b).value()), (wide_a + wide_b) % p);
            prop_assert_eq!(u128::from((a - b).value()), (wide_a + p - wide_b) % p);
            prop_assert_eq!(u128::from((a * b).value()), wide_a * wide_b % p);
        }

        #[test]
        fn it_is_a_field(a in 0..P, b in 0..P, c in 0..P) {
            let (a, b, c) = (element(a), element(b), element(c));
            prop_assert_eq!(a * (b + c), a * b + a * c);
            prop_assert_eq!((a * b) * c, a * (b * c));
            prop_assert_eq!((a - b) + b, a);
            let unit = if a == Element::ZERO { Element::ZERO } else { Element::ONE };
            prop_assert_eq!(a * a.inverse(), unit);
        }

        #[test]
        fn every_wide_integer_folds(wide: u128, value: i128) {
            prop_assert_eq!(u128::from(Element::folded(wide).value()), wide % u128::from(P));
            check_from(value);
        }

        #[test]
        fn cells_survive_the_field(cell in 1 - (1_i64 << 59)..1 << 59) {
            prop_assert_eq!(Element::from(cell).cell(), Some(cell));
        }
    }
}
