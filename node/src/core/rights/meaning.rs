//! What a bound means to a person, in plain words: the smallest line of the published table that covers it.

/// What somebody could learn at most who sees everything that was released and knows all others.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Meaning {
    /// Right guesses at most, where it is as likely as not that the person was in.
    pub right_at_most: &'static str,
    /// Hits at most, with 1 % false alarms.
    pub hits_at_most: &'static str,
}

/// The meaning of an epsilon, rounded up to the table; none where the table ends: there is no useful bound.
#[must_use]
pub fn meaning(epsilon: f64) -> Option<Meaning> {
    if epsilon == 0.0 {
        return Some(Meaning {
            right_at_most: "50 %",
            hits_at_most: "1 %",
        });
    }
    let line = TABLE.iter().find(|(largest, ..)| epsilon <= *largest)?;
    Some(Meaning {
        right_at_most: line.1,
        hits_at_most: line.2,
    })
}

/// At delta 1e-5 or less.
const TABLE: [(f64, &str, &str); 5] = [
    (0.5, "62 %", "1.7 %"),
    (1.0, "73 %", "2.7 %"),
    (2.0, "88 %", "7.4 %"),
    (4.0, "98 %", "55 %"),
    (8.0, "above 99.9 %", "above 99.9 %"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(epsilon: f64, expected: Option<&str>) {
        assert_eq!(meaning(epsilon).map(|found| found.right_at_most), expected);
    }

    #[test]
    fn a_bound_is_told_by_the_line_that_covers_it() {
        check(0.0, Some("50 %"));
        check(0.01, Some("62 %"));
        check(1.0, Some("73 %"));
        check(1.01, Some("88 %"));
        check(8.0, Some("above 99.9 %"));
        check(8.1, None);
        check(f64::INFINITY, None);
        check(f64::NAN, None);
    }
}
