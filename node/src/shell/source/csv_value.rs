//! What the values of a CSV column are: whole numbers, other numbers, or text. Decided over all values, byte by byte.

/// What a column holds.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Content {
    /// No value at all.
    #[default]
    Empty,
    /// Whole numbers of at most 18 digits without leading zeros.
    Whole,
    /// Decimal numbers.
    Real,
    /// Anything else.
    Text,
}

impl Content {
    /// What holds both.
    pub(super) fn and(self, other: Self) -> Self {
        self.max(other)
    }
}

/// How far a value has been read.
#[derive(Clone, Copy, Default)]
pub(super) enum Value {
    #[default]
    Empty,
    Minus,
    /// A single zero.
    Zero,
    /// This many digits.
    Whole(u8),
    Point,
    Fraction,
    Exponent,
    ExponentSign,
    ExponentDigits,
    Text,
}

impl Value {
    /// The value with one more byte.
    pub(super) fn after(self, byte: u8) -> Self {
        match (self, byte) {
            (Self::Empty, b'-') => Self::Minus,
            (Self::Empty | Self::Minus, b'0') => Self::Zero,
            (Self::Empty | Self::Minus, b'1'..=b'9') => Self::Whole(1),
            (Self::Whole(digits), b'0'..=b'9') if digits < DIGITS_MAX => Self::Whole(digits + 1),
            (Self::Zero | Self::Whole(_), b'.') => Self::Point,
            (Self::Point | Self::Fraction, b'0'..=b'9') => Self::Fraction,
            (Self::Zero | Self::Whole(_) | Self::Fraction, b'e' | b'E') => Self::Exponent,
            (Self::Exponent, b'+' | b'-') => Self::ExponentSign,
            (Self::Exponent | Self::ExponentSign | Self::ExponentDigits, b'0'..=b'9') => {
                Self::ExponentDigits
            }
            _ => Self::Text,
        }
    }

    /// What the whole value is.
    pub(super) fn content(self) -> Content {
        match self {
            Self::Empty => Content::Empty,
            Self::Zero | Self::Whole(_) => Content::Whole,
            Self::Fraction | Self::ExponentDigits => Content::Real,
            _ => Content::Text,
        }
    }
}

/// Fits an i64 whatever the digits are.
const DIGITS_MAX: u8 = 18;

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_content(values: &[&str], expected: Content) {
        for value in values {
            let read = value.bytes().fold(Value::default(), Value::after);
            assert_eq!(read.content(), expected, "{value:?}");
        }
    }

    #[test]
    fn values_are_told_apart() {
        check_content(&[""], Content::Empty);
        check_content(&["0", "-7", "123456789012345678"], Content::Whole);
        check_content(&["0.5", "-12.50", "1e5", "2.5E-10"], Content::Real);
        check_content(
            &["01", "+1", " 1", "1.", ".5", "-", "1e", "1e+", "NaN", "1,5"],
            Content::Text,
        );
        check_content(
            &["1234567890123456789", "0x1", "-inf", "true"],
            Content::Text,
        );
    }
}
