//! What one person may pay for one purpose, in windows of the calendar.
//!
//! A convenience between analysts, not a bound on privacy: the units' own ledgers count everybody's questions together, and for good.

use aquifer_shared::base::calendar::{civil_of, day_of};
use aquifer_shared::base::time::Timestamp;
use aquifer_shared::base::units::MicroRho;
use aquifer_shared::domain::sum::{Standing, Window};

const DAY_MS: u64 = 24 * 60 * 60 * 1_000;

/// A person's share under a standing study.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Share {
    /// May be paid in one window.
    pub allowed: MicroRho,
    /// Paid before this window.
    pub before: MicroRho,
    /// Paid in this window.
    pub now: MicroRho,
    /// How long a window lasts.
    pub window: Window,
}

impl Share {
    /// What a standing study allows, with what was paid before the present window and in it.
    #[must_use]
    pub fn of(standing: &Standing, (before, now): (MicroRho, MicroRho)) -> Self {
        Self {
            allowed: standing.urho_share,
            before,
            now,
            window: standing.window,
        }
    }

    /// What may still be paid in this window.
    #[must_use]
    pub fn left(&self) -> MicroRho {
        self.allowed.left_after(self.now)
    }

    /// What to say beside the first answer of a window: answers add up, whatever the calendar says.
    #[must_use]
    pub fn notice(&self) -> Option<String> {
        let opens = self.now == MicroRho::ZERO && self.before > MicroRho::ZERO;
        opens.then(|| {
            format!(
                "a new {} has opened for your share; it restores no privacy: the same customers are asked about again, \
                 after answers of rho {} in all before it",
                self.window,
                self.before.as_rho()
            )
        })
    }
}

/// When the window that holds a moment began, in UTC.
#[must_use]
pub fn window_start(window: Window, at: Timestamp) -> Timestamp {
    let day = i32::try_from(at.0 / DAY_MS).unwrap_or(i32::MAX / 2);
    let (year, month, _) = civil_of(day);
    let first = match window {
        Window::Whole => return Timestamp(0),
        // 1970-01-01 was a Thursday; weeks begin on Monday.
        Window::Week => Some(day - (day + 3).rem_euclid(7)),
        Window::Month => day_of(year, month, 1),
        Window::Quarter => day_of(year, (month - 1) / 3 * 3 + 1, 1),
        Window::Year => day_of(year, 1, 1),
    };
    let first = first.and_then(|day| u64::try_from(day).ok());
    Timestamp(first.unwrap_or(0) * DAY_MS)
}

#[cfg(test)]
mod tests {
    use aquifer_shared::base::calendar;

    use super::*;

    #[track_caller]
    fn check_start(window: Window, at: &str, start: &str) {
        let of = |day| Timestamp(calendar::parse(day).unwrap() as u64 * DAY_MS);
        assert_eq!(
            window_start(window, of(at)),
            of(start),
            "{window:?} at {at}"
        );
        let late = Timestamp(of(at).0 + DAY_MS - 1);
        assert_eq!(window_start(window, late), of(start), "late at {at}");
    }

    #[test]
    fn windows_begin_with_the_calendar() {
        check_start(Window::Week, "2026-11-25", "2026-11-23");
        check_start(Window::Week, "2026-11-23", "2026-11-23");
        check_start(Window::Week, "2026-11-22", "2026-11-16");
        check_start(Window::Month, "2024-02-29", "2024-02-01");
        check_start(Window::Quarter, "2026-12-31", "2026-10-01");
        check_start(Window::Quarter, "2026-03-31", "2026-01-01");
        check_start(Window::Year, "2026-12-31", "2026-01-01");
        assert_eq!(window_start(Window::Whole, Timestamp(77)), Timestamp(0));
        assert!(window_start(Window::Year, Timestamp(u64::MAX)) <= Timestamp(u64::MAX));
    }

    #[test]
    fn a_share_is_told_when_it_refreshes_and_only_then() {
        let share = |before, now| Share {
            allowed: MicroRho(100),
            before: MicroRho(before),
            now: MicroRho(now),
            window: Window::Month,
        };
        assert_eq!(share(0, 0).notice(), None);
        assert_eq!(share(50, 1).notice(), None);
        assert!(share(50, 0).notice().unwrap().contains("a new month"));
        assert_eq!(share(1_000, 30).left(), MicroRho(70));
        assert_eq!(share(0, 130).left(), MicroRho::ZERO);
    }
}
