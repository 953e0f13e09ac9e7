//! Exact decimal numbers: what a literal says, as whole units of a power of ten. No floating point.

/// `units · 10^-digits`, in lowest terms: `digits` is 0 or `units` does not end in 0.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Decimal {
    units: i128,
    digits: u8,
}

/// Digits that a decimal has at most, before and behind the point together.
const DIGITS_MAX: usize = 30;

impl Decimal {
    /// Reads `-12.50`, `.5`, `1e-3`; `None` for anything else, and beyond 30 digits.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (negative, rest) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let (mantissa, exponent) = rest.split_once(['e', 'E']).unwrap_or((rest, "0"));
        let exponent: i32 = exponent.parse().ok().filter(|e: &i32| e.abs() <= 99)?;
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let all = whole.bytes().chain(fraction.bytes());
        if !all.clone().all(|byte| byte.is_ascii_digit()) || whole.len() + fraction.len() == 0 {
            return None;
        }
        let figures: String = all.map(char::from).collect();
        let figures = figures.trim_start_matches('0');
        let kept = figures.trim_end_matches('0');
        if kept.is_empty() {
            return Some(Self::whole(0));
        }
        let dropped = i32::try_from(figures.len() - kept.len()).ok()?;
        let behind = i32::try_from(fraction.len()).ok()? - exponent - dropped;
        let zeros = usize::try_from(-behind).unwrap_or(0);
        let digits = u8::try_from(behind.max(0)).ok()?;
        if kept.len() + zeros > DIGITS_MAX || usize::from(digits) > DIGITS_MAX {
            return None;
        }
        let units = kept.parse::<i128>().ok()? * 10_i128.pow(u32::try_from(zeros).ok()?);
        let units = if negative { -units } else { units };
        Some(Self { units, digits })
    }

    /// A whole number.
    #[must_use]
    pub fn whole(units: i128) -> Self {
        Self { units, digits: 0 }
    }

    /// Digits behind the point.
    #[must_use]
    pub fn digits(self) -> u8 {
        self.digits
    }

    /// As a multiple of `10^-digits`; `None` where it is finer than that or does not fit.
    #[must_use]
    pub fn units_at(self, digits: u8) -> Option<i64> {
        let more = digits.checked_sub(self.digits)?;
        let scale = 10_i128.checked_pow(more.into())?;
        i64::try_from(self.units.checked_mul(scale)?).ok()
    }

    /// One minus this; `None` where it does not fit.
    #[must_use]
    pub fn from_one(self) -> Option<Self> {
        let one = 10_i128.checked_pow(self.digits.into())?;
        let units = one.checked_sub(self.units)?;
        Self::parse(&format!("{units}e-{}", self.digits))
    }

    /// The nearest number in floating point.
    #[must_use]
    pub fn to_f64(self) -> f64 {
        // One correctly rounded conversion of the text, not a division of two rounded ones.
        format!("{}e-{}", self.units, self.digits)
            .parse()
            .unwrap_or(f64::NAN)
    }
}

/// Units of `10^-digits` as people write them: `-0.05`, `12`.
#[must_use]
pub fn written(units: i64, digits: u8) -> String {
    let sign = if units < 0 { "-" } else { "" };
    let (mut figures, mut digits) = (units.unsigned_abs().to_string(), usize::from(digits));
    while digits > 0 && (figures.ends_with('0') || figures == "0") {
        if figures != "0" {
            figures.pop();
        }
        digits -= 1;
    }
    if digits == 0 {
        return format!("{sign}{figures}");
    }
    let padded = format!("{figures:0>width$}", width = digits + 1);
    let (whole, fraction) = padded.split_at(padded.len() - digits);
    format!("{sign}{whole}.{fraction}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_units(text: &str, digits: u8, expected: Option<i64>) {
        let found = Decimal::parse(text).and_then(|decimal| decimal.units_at(digits));
        assert_eq!(found, expected, "{text} at {digits}");
    }

    #[test]
    fn decimals_are_exact() {
        check_units("12.50", 2, Some(1_250));
        check_units("12.50", 1, Some(125));
        check_units("-0.05", 2, Some(-5));
        check_units(".5", 1, Some(5));
        check_units("5.", 0, Some(5));
        check_units("1e3", 0, Some(1_000));
        check_units("1.5E-3", 4, Some(15));
        check_units("0.000", 0, Some(0));
        check_units("+7", 0, Some(7));
        check_units("1000", 3, Some(1_000_000));
    }

    #[test]
    fn what_is_finer_or_no_number_is_refused() {
        check_units("12.505", 2, None);
        check_units("1e30", 0, None);
        for text in [
            "", "-", ".", "e3", "1e", "1e999", "0x10", "1_0", "nan", "--1", "1 ",
        ] {
            check_units(text, 9, None);
        }
        assert_eq!(Decimal::parse(&"9".repeat(31)), None);
    }

    #[test]
    fn numbers_are_written_short() {
        let cases = [
            (1_250, 2, "12.5"),
            (-5, 2, "-0.05"),
            (0, 3, "0"),
            (100, 2, "1"),
            (1_000, 0, "1000"),
            (10, 0, "10"),
        ];
        for (units, digits, expected) in cases {
            assert_eq!(written(units, digits), expected);
            check_units(expected, digits, Some(units));
        }
    }

    #[test]
    fn what_is_missing_to_one_is_in_lowest_terms() {
        let rest = |text: &str| Decimal::parse(text).and_then(Decimal::from_one);
        assert_eq!(rest("0.25"), Decimal::parse("0.75"));
        assert_eq!(rest("1"), Decimal::parse("0"));
    }

    #[test]
    fn floating_point_is_the_nearest() {
        assert_eq!(Decimal::parse("0.1").unwrap().to_f64(), 0.1);
        assert_eq!(Decimal::parse("-1e-9").unwrap().to_f64(), -1e-9);
    }
}
