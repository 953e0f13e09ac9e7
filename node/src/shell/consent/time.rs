//! Times as sources write them.

use chrono::{DateTime, NaiveDate};

/// Milliseconds since 1970 of an RFC 3339 time, a day (its first moment in UTC), or a number of seconds or milliseconds.
///
/// Small numbers are seconds, as receipts have them: read as milliseconds they would be of the year 1970, and a withdrawal would lose
/// against every consent.
pub(in crate::shell) fn parse(text: &str) -> Option<i64> {
    let text = text.trim();
    if let Ok(number) = text.parse::<i64>() {
        let factor = if number < SECONDS_BELOW { 1_000 } else { 1 };
        let at = number.checked_mul(factor)?;
        return Some(at).filter(|at| YEARS_MS.contains(at));
    }
    let at = match DateTime::parse_from_rfc3339(text) {
        Ok(at) => at.timestamp_millis(),
        Err(_) => {
            let day = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?;
            day.and_hms_opt(0, 0, 0)?.and_utc().timestamp_millis()
        }
    };
    Some(at).filter(|at| YEARS_MS.contains(at))
}

/// As people read it.
pub(in crate::shell) fn written(at: i64) -> String {
    let at = DateTime::from_timestamp_millis(at);
    at.map_or_else(
        || "?".to_owned(),
        |at| at.format("%Y-%m-%dT%H:%M:%SZ").to_string(),
    )
}

/// 1970 to 9999: a plain number outside of it is no time.
const YEARS_MS: std::ops::RangeInclusive<i64> = 0..=253_402_300_799_999;

/// In milliseconds this is March 1973, before any consent of a computer; in seconds it is the year 5138.
const SECONDS_BELOW: i64 = 100_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<i64>) {
        assert_eq!(parse(text), expected, "{text}");
    }

    #[test]
    fn times_are_rfc_3339_days_or_milliseconds() {
        check("1970-01-01T00:00:01Z", Some(1_000));
        check("1970-01-01T01:00:01.5+01:00", Some(1_500));
        check(" 1970-01-02 ", Some(86_400_000));
        check("1764028800000", Some(1_764_028_800_000));
        check("1764028800", Some(1_764_028_800_000));
        check("-5", None);
        check("1970-13-01", None);
        check("yesterday", None);
        check("", None);
        check("99999999999999999", None);
        assert_eq!(written(1_764_028_800_000), "2025-11-25T00:00:00Z");
    }
}
