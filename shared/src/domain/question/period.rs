//! Calendar periods as `date_trunc` has them, counted so that neighbours differ by one. Weeks start on Monday.

use super::Period;
use crate::base::calendar::{civil_of, day_of};

impl Period {
    /// The period that a day lies in, as a number that rises by one from each period to the next.
    #[must_use]
    pub fn of(self, day: i32) -> i32 {
        let (year, month, _) = civil_of(day);
        let month = month as i32 - 1;
        match self {
            Self::Year => year,
            Self::Quarter => year * 4 + month / 3,
            Self::Month => year * 12 + month,
            // 1970-01-01 was a Thursday.
            Self::Week => (day + 3).div_euclid(7),
            Self::Day => day,
        }
    }

    /// First day of a period that [`Period::of`] gives; `None` beyond the calendar.
    #[must_use]
    pub fn first_day(self, period: i32) -> Option<i32> {
        let month_of = |months: i32| {
            let month = u32::try_from(months.rem_euclid(12)).ok()? + 1;
            day_of(months.div_euclid(12), month, 1)
        };
        match self {
            Self::Year => day_of(period, 1, 1),
            Self::Quarter => month_of(period.checked_mul(3)?),
            Self::Month => month_of(period),
            Self::Week => period.checked_mul(7)?.checked_sub(3),
            Self::Day => Some(period),
        }
    }

    /// Its name in `date_trunc`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Year => "year",
            Self::Quarter => "quarter",
            Self::Month => "month",
            Self::Week => "week",
            Self::Day => "day",
        }
    }

    /// Every period, from the longest to the shortest.
    pub const ALL: [Self; 5] = [
        Self::Year,
        Self::Quarter,
        Self::Month,
        Self::Week,
        Self::Day,
    ];
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::calendar::{parse, written};

    #[track_caller]
    fn check_start(period: Period, day: &str, expected: &str) {
        let first = period.first_day(period.of(parse(day).unwrap())).unwrap();
        assert_eq!(written(first), expected, "{period:?} of {day}");
    }

    #[test]
    fn periods_start_as_in_sql() {
        check_start(Period::Year, "2024-12-31", "2024-01-01");
        check_start(Period::Quarter, "2024-06-30", "2024-04-01");
        check_start(Period::Quarter, "2024-10-01", "2024-10-01");
        check_start(Period::Month, "2024-02-29", "2024-02-01");
        check_start(Period::Week, "2024-03-03", "2024-02-26");
        check_start(Period::Week, "2024-03-04", "2024-03-04");
        check_start(Period::Week, "1970-01-01", "1969-12-29");
        check_start(Period::Day, "2024-03-04", "2024-03-04");
    }

    #[test]
    fn every_day_lies_in_the_period_that_starts_last_before_it() {
        for day in parse("1995-12-20").unwrap()..parse("2005-01-20").unwrap() {
            for period in Period::ALL {
                let index = period.of(day);
                let first = period.first_day(index).unwrap();
                assert!(first <= day && period.first_day(index + 1).unwrap() > day);
                assert_eq!(period.of(first), index);
            }
        }
    }

    #[test]
    fn periods_beyond_the_calendar_do_not_exist() {
        assert_eq!(Period::Year.first_day(10_000), None);
        assert_eq!(Period::Quarter.first_day(i32::MAX), None);
        assert_eq!(Period::Month.first_day(0), None);
    }
}
