//! Numbers with a meaning, checked once where they enter.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A number was outside its range.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{what} is {got}, expected {expected}")]
pub struct OutOfRange {
    /// What the number means.
    pub what: &'static str,
    /// The range in words.
    pub expected: &'static str,
    /// What was found.
    pub got: String,
}

/// Privacy cost in integer micro-rho (zCDP, Bun and Steinke 2016); adds up over releases.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub struct MicroRho(pub u64);

impl MicroRho {
    /// Nothing spent.
    pub const ZERO: Self = Self(0);

    /// The sum, or `None` where it does not fit (a refusal, never a wrap).
    #[must_use]
    pub fn checked_add(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).map(Self)
    }

    /// What is left of `self` after `other`; zero if nothing is.
    #[must_use]
    pub fn left_after(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// `self` times a count, or `None` where it does not fit.
    #[must_use]
    pub fn checked_mul(self, count: u64) -> Option<Self> {
        self.0.checked_mul(count).map(Self)
    }

    /// As rho (not micro), for showing and for conversion only.
    #[must_use]
    pub fn as_rho(self) -> f64 {
        self.0 as f64 / 1e6
    }
}

impl fmt::Display for MicroRho {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} micro-rho", self.0)
    }
}

/// The delta of an (epsilon, delta) statement: above 0, at most 0.01.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, PartialOrd, Serialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Delta(f64);

/// The epsilon of an (epsilon, delta) statement: above 0, at most 64.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, PartialOrd, Serialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Epsilon(f64);

impl Delta {
    /// The number.
    #[must_use]
    pub fn get(self) -> f64 {
        self.0
    }
}

impl Epsilon {
    /// The number.
    #[must_use]
    pub fn get(self) -> f64 {
        self.0
    }
}

impl TryFrom<f64> for Delta {
    type Error = OutOfRange;

    fn try_from(value: f64) -> Result<Self, OutOfRange> {
        if value.is_finite() && value > 0.0 && value <= 0.01 {
            return Ok(Self(value));
        }
        Err(OutOfRange {
            what: "delta",
            expected: "a number above 0 and at most 0.01",
            got: value.to_string(),
        })
    }
}

impl TryFrom<f64> for Epsilon {
    type Error = OutOfRange;

    fn try_from(value: f64) -> Result<Self, OutOfRange> {
        if value.is_finite() && value > 0.0 && value <= 64.0 {
            return Ok(Self(value));
        }
        Err(OutOfRange {
            what: "epsilon",
            expected: "a number above 0 and at most 64",
            got: value.to_string(),
        })
    }
}

impl From<Delta> for f64 {
    fn from(value: Delta) -> Self {
        value.0
    }
}

impl From<Epsilon> for f64 {
    fn from(value: Epsilon) -> Self {
        value.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_meaningful_deltas_and_epsilons_enter() {
        for bad in [0.0, -1.0, f64::NAN, f64::INFINITY, 100.0] {
            assert!(Delta::try_from(bad).is_err());
            assert!(Epsilon::try_from(bad).is_err());
        }
        assert!(Delta::try_from(1e-6).is_ok() && Epsilon::try_from(1.0).is_ok());
    }

    #[test]
    fn micro_rho_never_wraps() {
        assert_eq!(MicroRho(u64::MAX).checked_add(MicroRho(1)), None);
        assert_eq!(MicroRho(1).left_after(MicroRho(2)), MicroRho::ZERO);
    }
}
