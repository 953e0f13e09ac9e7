//! Places whose law applies: a country, or a region of one.

use std::fmt;
use std::str::FromStr;

use crate::base::units::OutOfRange;

/// A country by its two letters (ISO 3166-1), with a region or without (`DE`, `US-CA`).
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Place([u8; 6]);

impl Place {
    /// The code for no known place (ISO 3166 leaves it to its users). No law covers it.
    pub const NOWHERE: Self = Self(*b"ZZ\0\0\0\0");

    /// The country alone.
    #[must_use]
    pub fn country(self) -> Self {
        let [first, second, ..] = self.0;
        Self([first, second, 0, 0, 0, 0])
    }

    /// Whether law of `self` applies at `other`: the same place, or a region of this country.
    #[must_use]
    pub fn covers(self, other: Self) -> bool {
        self == other || self == other.country()
    }

    /// The code.
    #[must_use]
    pub fn as_str(&self) -> &str {
        let used = self.0.iter().position(|byte| *byte == 0);
        str::from_utf8(&self.0[..used.unwrap_or(self.0.len())]).unwrap_or_default()
    }
}

impl FromStr for Place {
    type Err = OutOfRange;

    fn from_str(text: &str) -> Result<Self, OutOfRange> {
        let wrong = || OutOfRange {
            what: "place",
            expected: "two capital letters of a country, and after '-' up to three of a region, such as DE or US-CA",
            got: format!("{:?}", text.chars().take(12).collect::<String>()),
        };
        let (country, region) = text
            .split_once('-')
            .map_or((text, None), |(country, region)| (country, Some(region)));
        let letters = country.len() == 2 && country.bytes().all(|byte| byte.is_ascii_uppercase());
        let figures = |region: &str| {
            let plain = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit();
            (1..=3).contains(&region.len()) && region.bytes().all(plain)
        };
        if !letters || !region.is_none_or(figures) {
            return Err(wrong());
        }
        let mut code = [0; 6];
        code[..text.len()].copy_from_slice(text.as_bytes());
        Ok(Self(code))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_covers(law: &str, place: &str, expected: bool) {
        let (law, place): (Place, Place) = (law.parse().unwrap(), place.parse().unwrap());
        assert_eq!(law.covers(place), expected, "{law} {place}");
    }

    #[test]
    fn a_country_covers_its_regions_and_a_region_itself_only() {
        check_covers("GB", "GB-SCT", true);
        check_covers("DE", "DE", true);
        check_covers("US-CA", "US-CA", true);
        check_covers("US-CA", "US", false);
        check_covers("US-CA", "US-NY", false);
        check_covers("DE", "AT", false);
    }

    #[test]
    fn codes_are_read_as_printed_and_anything_else_is_refused() {
        for code in ["DE", "US-CA", "GB-SCT", "FR-75"] {
            assert_eq!(code.parse::<Place>().unwrap().to_string(), code);
        }
        for bad in [
            "", "D", "de", "DEU", "US-", "US-CALI", "US_CA", "EU ", "Ü", "US-ca", "*",
        ] {
            assert!(bad.parse::<Place>().is_err(), "{bad}");
        }
    }
}
