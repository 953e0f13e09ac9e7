//! Calendar days as whole numbers, days since 1970-01-01, in the proleptic Gregorian calendar. No time zone, no clock.

/// Year, month (1 to 12), day (1 to 31).
pub type Civil = (i32, u32, u32);

/// The day's number; `None` where there is no such day, or outside the years 1 to 9999.
#[must_use]
pub fn day_of(year: i32, month: u32, day: u32) -> Option<i32> {
    let fits = (1..=9_999).contains(&year) && (1..=12).contains(&month);
    if !fits || day == 0 || day > days_in(year, month) {
        return None;
    }
    // Days from 0000-03-01 (Hinnant 2021, chrono-compatible date algorithms): years start in March, so leap days come last.
    let (month, day) = (month as i32, day as i32);
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    Some(era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468)
}

/// Year, month and day of a number that [`day_of`] gives.
#[must_use]
pub fn civil_of(day: i32) -> Civil {
    let shifted = i64::from(day) + 719_468;
    let (era, of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let march = (5 * of_year + 2) / 153;
    let date = (of_year - (153 * march + 2) / 5 + 1) as u32;
    let month = (if march < 10 { march + 3 } else { march - 9 }) as u32;
    let year = (year + era * 400) as i32 + i32::from(month <= 2);
    (year, month, date)
}

/// Reads `2024-02-29`.
#[must_use]
pub fn parse(text: &str) -> Option<i32> {
    let parts: Vec<&str> = text.split('-').collect();
    let [year, month, day] = parts[..] else {
        return None;
    };
    let figures = |text: &str, length: usize| {
        let plain = text.len() == length && text.bytes().all(|byte| byte.is_ascii_digit());
        plain.then(|| text.parse::<u32>().ok()).flatten()
    };
    let year = i32::try_from(figures(year, 4)?).ok()?;
    day_of(year, figures(month, 2)?, figures(day, 2)?)
}

/// Writes `2024-02-29`.
#[must_use]
pub fn written(day: i32) -> String {
    let (year, month, date) = civil_of(day);
    format!("{year:04}-{month:02}-{date:02}")
}

fn days_in(year: i32, month: u32) -> u32 {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_day(text: &str, expected: Option<i32>) {
        assert_eq!(parse(text), expected, "{text}");
        if let Some(day) = expected {
            assert_eq!(written(day), text);
        }
    }

    #[test]
    fn days_are_counted_from_1970() {
        check_day("1970-01-01", Some(0));
        check_day("1969-12-31", Some(-1));
        check_day("2000-02-29", Some(11_016));
        check_day("2026-11-01", Some(20_758));
        check_day("0001-01-01", Some(-719_162));
        check_day("9999-12-31", Some(2_932_896));
    }

    #[test]
    fn days_that_do_not_exist_are_refused() {
        for text in [
            "2023-02-29",
            "1900-02-29",
            "2024-13-01",
            "2024-00-10",
            "2024-01-32",
            "2024-1-1",
            "0000-01-01",
            "x",
            "",
        ] {
            check_day(text, None);
        }
    }

    #[test]
    fn every_day_of_eight_centuries_comes_back() {
        let (first, last) = (parse("1600-01-01").unwrap(), parse("2400-12-31").unwrap());
        let mut before = (1599, 12, 31);
        for day in first..=last {
            let (year, month, date) = civil_of(day);
            assert_eq!(day_of(year, month, date), Some(day));
            assert!((year, month, date) > before);
            before = (year, month, date);
        }
    }
}
