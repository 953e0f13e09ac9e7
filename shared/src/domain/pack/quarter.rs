//! Quarters of calendar years, in UTC.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use crate::base::calendar::{civil_of, day_of};
use crate::base::units::OutOfRange;

/// A quarter, as `2026Q4`.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Quarter {
    year: i32,
    quarter: u32,
}

impl Quarter {
    /// Its calendar year.
    #[must_use]
    pub fn year(self) -> i32 {
        self.year
    }

    /// From its first millisecond to the first after it.
    #[must_use]
    pub fn range(self) -> Range<u64> {
        let start = first_ms(self.year, self.quarter);
        let end = match self.quarter {
            4 => first_ms(self.year + 1, 1),
            _ => first_ms(self.year, self.quarter + 1),
        };
        start..end
    }
}

/// The year of a moment, in UTC.
pub(super) fn year_of(ms: u64) -> i32 {
    let day = i32::try_from(ms / DAY_MS).unwrap_or(i32::MAX / 2);
    civil_of(day).0
}

fn first_ms(year: i32, quarter: u32) -> u64 {
    let day = day_of(year, quarter * 3 - 2, 1).unwrap_or(i32::MAX);
    u64::try_from(day).unwrap_or(0) * DAY_MS
}

impl fmt::Display for Quarter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}Q{}", self.year, self.quarter)
    }
}

impl FromStr for Quarter {
    type Err = OutOfRange;

    fn from_str(text: &str) -> Result<Self, OutOfRange> {
        let bad = || OutOfRange {
            what: "quarter",
            expected: "one like 2026Q4, from 1970 to 9998",
            got: format!("{:?}", text.chars().take(40).collect::<String>()),
        };
        let (year, quarter) = text.split_once('Q').ok_or_else(bad)?;
        let found = Self {
            year: year.parse().map_err(|_| bad())?,
            quarter: quarter.parse().map_err(|_| bad())?,
        };
        let fits = (1970..=9998).contains(&found.year) && (1..=4).contains(&found.quarter);
        (fits && found.to_string() == text)
            .then_some(found)
            .ok_or_else(bad)
    }
}

const DAY_MS: u64 = 24 * 3_600 * 1_000;
