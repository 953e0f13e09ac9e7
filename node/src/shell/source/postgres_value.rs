//! Values of PostgreSQL as its binary protocol carries them. Types without a counterpart are refused by name before any row.

use arrow::datatypes::{DataType, TimeUnit};

use super::batch::Cell;

/// A type of the server that the node reads.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    Flag,
    Int2,
    Int4,
    Int8,
    Float4,
    Float8,
    Numeric,
    Text,
    Uuid,
    Date,
    Moment,
    MomentInZone,
}

/// Bytes that are not of the type that the server named.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Unreadable;

impl Kind {
    /// By the number that the server's catalogue has for it, the same on every server.
    pub(super) fn of(type_number: u32) -> Option<Self> {
        Some(match type_number {
            16 => Self::Flag,
            21 => Self::Int2,
            23 => Self::Int4,
            20 => Self::Int8,
            700 => Self::Float4,
            701 => Self::Float8,
            1700 => Self::Numeric,
            // char, name, text, character(n), character varying
            18 | 19 | 25 | 1042 | 1043 => Self::Text,
            2950 => Self::Uuid,
            1082 => Self::Date,
            1114 => Self::Moment,
            1184 => Self::MomentInZone,
            _ => return None,
        })
    }

    /// The column's type for the query engine.
    pub(super) fn arrow(self) -> DataType {
        match self {
            Self::Flag => DataType::Boolean,
            Self::Int2 | Self::Int4 | Self::Int8 => DataType::Int64,
            Self::Float4 | Self::Float8 | Self::Numeric => DataType::Float64,
            Self::Text | Self::Uuid => DataType::Utf8,
            Self::Date => DataType::Date32,
            Self::Moment => DataType::Timestamp(TimeUnit::Microsecond, None),
            Self::MomentInZone => DataType::Timestamp(TimeUnit::Microsecond, Some("+00:00".into())),
        }
    }

    /// The value in these bytes. Dates without end or beyond what the query engine counts become NULL.
    pub(super) fn cell<'a>(
        self,
        bytes: &'a [u8],
        text: &'a mut String,
    ) -> Result<Cell<'a>, Unreadable> {
        Ok(match self {
            Self::Flag => Cell::Flag(fixed::<1>(bytes)?[0] != 0),
            Self::Int2 => Cell::Whole(i16::from_be_bytes(fixed(bytes)?).into()),
            Self::Int4 => Cell::Whole(i32::from_be_bytes(fixed(bytes)?).into()),
            Self::Int8 => Cell::Whole(i64::from_be_bytes(fixed(bytes)?)),
            Self::Float4 => Cell::Real(f32::from_be_bytes(fixed(bytes)?).into()),
            Self::Float8 => Cell::Real(f64::from_be_bytes(fixed(bytes)?)),
            Self::Numeric => Cell::Real(numeric(bytes, text)?),
            Self::Text => Cell::Text(str::from_utf8(bytes).map_err(|_| Unreadable)?),
            Self::Uuid => {
                uuid(fixed(bytes)?, text);
                Cell::Text(text)
            }
            Self::Date => {
                let days = i32::from_be_bytes(fixed(bytes)?);
                let finite = days != i32::MAX && days != i32::MIN;
                let days = days.checked_add(DAYS_TO_2000).filter(|_| finite);
                days.map_or(Cell::Null, Cell::Day)
            }
            Self::Moment | Self::MomentInZone => {
                let micros = i64::from_be_bytes(fixed(bytes)?);
                let finite = micros != i64::MAX && micros != i64::MIN;
                let micros = micros.checked_add(MICROS_TO_2000).filter(|_| finite);
                micros.map_or(Cell::Null, Cell::Moment)
            }
        })
    }
}

fn fixed<const N: usize>(bytes: &[u8]) -> Result<[u8; N], Unreadable> {
    bytes.try_into().map_err(|_| Unreadable)
}

fn uuid(bytes: [u8; 16], text: &mut String) {
    text.clear();
    for (index, byte) in bytes.into_iter().enumerate() {
        if [4, 6, 8, 10].contains(&index) {
            text.push('-');
        }
        for digit in [byte >> 4, byte & 15] {
            text.extend(char::from_digit(digit.into(), 16));
        }
    }
}

/// The nearest double of a decimal number: digits to the base of 10 000, their weight, a sign.
fn numeric(bytes: &[u8], text: &mut String) -> Result<f64, Unreadable> {
    let (head, digits) = bytes.split_at_checked(8).ok_or(Unreadable)?;
    let word = |index: usize| u16::from_be_bytes([head[2 * index], head[2 * index + 1]]);
    let (count, weight, sign) = (word(0), word(1).cast_signed(), word(2));
    let negative = match sign {
        0x0000 => false,
        0x4000 => true,
        0xC000 => return Ok(f64::NAN),
        0xD000 => return Ok(f64::INFINITY),
        0xF000 => return Ok(f64::NEG_INFINITY),
        _ => return Err(Unreadable),
    };
    if digits.len() != 2 * usize::from(count) {
        return Err(Unreadable);
    }
    text.clear();
    text.push_str(if negative { "-0" } else { "0" });
    for digit in digits.chunks_exact(2) {
        let digit = u16::from_be_bytes([digit[0], digit[1]]);
        let places = [1_000, 100, 10, 1].map(|place| u32::from(digit / place % 10));
        text.extend(
            places
                .iter()
                .filter_map(|place| char::from_digit(*place, 10)),
        );
        if digit > 9_999 {
            return Err(Unreadable);
        }
    }
    let exponent = 4 * (i32::from(weight) + 1 - i32::from(count));
    text.push_str(&format!("e{exponent}"));
    text.parse().map_err(|_| Unreadable)
}

const DAYS_TO_2000: i32 = 10_957;
const MICROS_TO_2000: i64 = 946_684_800_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_number(kind: Kind, bytes: &[u8], expected: Option<f64>) {
        let mut text = String::new();
        let found = match kind.cell(bytes, &mut text) {
            Ok(Cell::Real(real)) => Some(real),
            Ok(Cell::Whole(whole)) => Some(whole as f64),
            Err(Unreadable) => None,
            Ok(_) => panic!("no number"),
        };
        assert_eq!(found.map(f64::to_bits), expected.map(f64::to_bits));
    }

    fn words(words: &[u16]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_be_bytes()).collect()
    }

    #[test]
    fn numbers_are_read() {
        check_number(Kind::Int2, &[0xff, 0xfe], Some(-2.0));
        check_number(Kind::Int4, &[0, 0, 1, 0], Some(256.0));
        check_number(Kind::Int8, &7_i64.to_be_bytes(), Some(7.0));
        check_number(Kind::Float4, &0.5_f32.to_be_bytes(), Some(0.5));
        check_number(Kind::Float8, &0.1_f64.to_be_bytes(), Some(0.1));
        check_number(Kind::Int4, &[0, 1], None);
    }

    #[test]
    fn decimals_become_the_nearest_double() {
        let check = |bytes: &[u16], expected| check_number(Kind::Numeric, &words(bytes), expected);
        check(&[2, 0, 0, 2, 12, 3400], Some(12.34));
        check(&[2, 0, 0x4000, 2, 12, 3400], Some(-12.34));
        check(&[1, 0xffff, 0, 1, 1000], Some(0.1));
        check(&[0, 0, 0, 0], Some(0.0));
        check(&[1, 2, 0, 0, 5], Some(500_000_000.0));
        check(
            &[5, 4, 0, 0, 1234, 5678, 9012, 3456, 7890],
            Some(1.234_567_890_123_456_8e19),
        );
        check(&[0, 0, 0xC000, 0], Some(f64::NAN));
        check(&[0, 0, 0xF000, 0], Some(f64::NEG_INFINITY));
        check(&[2, 0, 0, 2, 12], None);
        check(&[1, 0, 0, 0, 10_000], None);
        check(&[0, 0, 0x1234, 0], None);
        check_number(Kind::Numeric, &[0, 0], None);
    }

    /// Days or microseconds since 1970; `None` for NULL.
    #[track_caller]
    fn check_time(kind: Kind, bytes: &[u8], expected: Option<i64>) {
        let mut text = String::new();
        let found = match kind.cell(bytes, &mut text) {
            Ok(Cell::Day(day)) => Some(i64::from(day)),
            Ok(Cell::Moment(moment)) => Some(moment),
            Ok(Cell::Null) => None,
            _ => panic!("no time"),
        };
        assert_eq!(found, expected);
    }

    #[test]
    fn dates_and_moments_count_from_1970() {
        check_time(Kind::Date, &1_i32.to_be_bytes(), Some(10_958));
        let before = (-1_i64).to_be_bytes();
        check_time(Kind::Moment, &before, Some(946_684_799_999_999));
        for endless in [i64::MAX, i64::MIN, i64::MAX - 1] {
            check_time(Kind::MomentInZone, &endless.to_be_bytes(), None);
        }
        for endless in [i32::MAX, i32::MIN, i32::MAX - 1] {
            check_time(Kind::Date, &endless.to_be_bytes(), None);
        }
    }

    #[test]
    fn texts_are_read() {
        let mut text = String::new();
        let found = Kind::Text.cell("é".as_bytes(), &mut text);
        assert!(matches!(found, Ok(Cell::Text("é"))));
        let bytes: Vec<u8> = (0x10..0x20).collect();
        let found = Kind::Uuid.cell(&bytes, &mut text);
        let expected = "10111213-1415-1617-1819-1a1b1c1d1e1f";
        assert!(matches!(found, Ok(Cell::Text(text)) if text == expected));
        let mut text = String::new();
        assert!(matches!(
            Kind::Text.cell(&[0xff], &mut text),
            Err(Unreadable)
        ));
    }
}
