//! How text becomes a number: the one reading of numeric strings, at nodes and for predictions alike.

/// The number that a text stands for; `None` (*missing*) where it is none or NaN.
#[must_use]
pub fn number(text: &str) -> Option<f64> {
    let value: f64 = text.trim().parse().ok()?;
    (!value.is_nan()).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_number(text: &str, expected: Option<f64>) {
        assert_eq!(number(text), expected, "{text:?}");
    }

    #[test]
    fn numbers_are_read() {
        check_number(" 29.85 ", Some(29.85));
        check_number("-1e3", Some(-1_000.0));
        check_number("inf", Some(f64::INFINITY));
    }

    #[test]
    fn anything_else_is_missing() {
        for text in ["", " ", "nan", "1,5", "twelve", "0x10", "1_000"] {
            check_number(text, None);
        }
    }
}
