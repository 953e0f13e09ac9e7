//! Values on the PostgreSQL wire: types of columns and parameters, text and binary forms.

use aquifer_shared::base::calendar;
use aquifer_shared::protocol::ask::{AnswerKind, AnswerValue};

use crate::core::sql::{Parameter, ParameterKind};

/// A parameter whose bytes are not a value of its type, or a type that no parameter has.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum NoValue {
    /// The bytes.
    #[error("the bytes of a bound parameter are not a value of its type")]
    Bytes,
    /// The type.
    #[error("bound parameters of type {0} are not taken in binary form")]
    Type(u32),
}

/// Number and width of a column's type, as `pg_type` has them.
#[must_use]
pub fn column_type(kind: AnswerKind) -> (u32, i16) {
    match kind {
        AnswerKind::Whole => (INT8, 8),
        AnswerKind::Number => (FLOAT8, 8),
        AnswerKind::Text => (TEXT, -1),
        AnswerKind::Truth => (BOOL, 1),
        AnswerKind::Day => (DATE, 4),
        AnswerKind::Json => (JSON, -1),
    }
}

/// The type of a parameter whose client leaves it open.
#[must_use]
pub fn parameter_type(kind: ParameterKind) -> u32 {
    match kind {
        ParameterKind::Text => TEXT,
        ParameterKind::Date => DATE,
        ParameterKind::Number => FLOAT8,
        ParameterKind::Whole => INT8,
    }
}

/// A value of a column; none for NULL.
#[must_use]
pub fn written(value: &AnswerValue, kind: AnswerKind, binary: bool) -> Option<Vec<u8>> {
    let number = match (value, kind) {
        (AnswerValue::Whole(number), AnswerKind::Number) => Some(*number as f64),
        (AnswerValue::Number(number), _) => Some(*number),
        _ => None,
    };
    Some(match (value, kind, binary) {
        (AnswerValue::Null, _, _) => return None,
        (AnswerValue::Text(text), AnswerKind::Day, true) => {
            let day = calendar::parse(text)? - EPOCH_DAYS;
            day.to_be_bytes().to_vec()
        }
        (AnswerValue::Text(text), _, _) => text.as_bytes().to_vec(),
        (AnswerValue::Truth(truth), _, true) => vec![u8::from(*truth)],
        (AnswerValue::Truth(truth), _, false) => if *truth { b"t" } else { b"f" }.to_vec(),
        (_, _, true) if number.is_some() => number?.to_be_bytes().to_vec(),
        (_, _, false) if number.is_some() => real(number?).into_bytes(),
        (AnswerValue::Whole(number), _, true) => number.to_be_bytes().to_vec(),
        (AnswerValue::Whole(number), _, false) => number.to_string().into_bytes(),
        (AnswerValue::Number(_), _, _) => return None,
    })
}

/// A bound parameter as text.
///
/// # Errors
///
/// Bytes that are not a value of the type.
pub fn parameter(bytes: Option<&[u8]>, kind: u32, binary: bool) -> Result<Parameter, NoValue> {
    let Some(bytes) = bytes else {
        return Ok(Parameter::Null);
    };
    if !binary {
        let text = str::from_utf8(bytes).map_err(|_| NoValue::Bytes)?;
        let text = if kind == DATE {
            without_zone(text)
        } else {
            text
        };
        return Ok(Parameter::Text(text.to_owned()));
    }
    let text = match kind {
        BOOL => match fixed(bytes)? {
            [0] => "false".to_owned(),
            [_] => "true".to_owned(),
        },
        OID => u32::from_be_bytes(fixed(bytes)?).to_string(),
        INT2 => i16::from_be_bytes(fixed(bytes)?).to_string(),
        INT4 => i32::from_be_bytes(fixed(bytes)?).to_string(),
        INT8 => i64::from_be_bytes(fixed(bytes)?).to_string(),
        FLOAT4 => real(f32::from_be_bytes(fixed(bytes)?).into()),
        FLOAT8 => real(f64::from_be_bytes(fixed(bytes)?)),
        NUMERIC => numeric(bytes).ok_or(NoValue::Bytes)?,
        DATE => {
            let day = i32::from_be_bytes(fixed(bytes)?).checked_add(EPOCH_DAYS);
            let day = day.filter(|day| day.unsigned_abs() < DAYS_MAX);
            calendar::written(day.ok_or(NoValue::Bytes)?)
        }
        TEXT | VARCHAR | BPCHAR | NAME | UNKNOWN | 0 => {
            let text = str::from_utf8(bytes).map_err(|_| NoValue::Bytes)?;
            text.to_owned()
        }
        other => return Err(NoValue::Type(other)),
    };
    Ok(Parameter::Text(text))
}

/// A day without the zone of the client, which JDBC writes behind it (`2026-02-01 +01`), and which says nothing of a day.
fn without_zone(text: &str) -> &str {
    let Some((day, zone)) = text.trim().split_once(' ') else {
        return text;
    };
    let digits = zone.strip_prefix(['+', '-']).unwrap_or_default();
    let is_hour = |(place, byte): (usize, u8)| byte.is_ascii_digit() || (place > 1 && byte == b':');
    let is_zone = (2..=5).contains(&digits.len()) && digits.bytes().enumerate().all(is_hour);
    if is_zone { day } else { text }
}

fn fixed<const N: usize>(bytes: &[u8]) -> Result<[u8; N], NoValue> {
    bytes.try_into().map_err(|_| NoValue::Bytes)
}

/// The shortest digits that read back as the same number, as PostgreSQL writes them.
fn real(number: f64) -> String {
    if number.is_nan() {
        return "NaN".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 {
            "Infinity"
        } else {
            "-Infinity"
        }
        .to_owned();
    }
    number.to_string()
}

/// PostgreSQL's `numeric`: groups of four decimal digits.
fn numeric(bytes: &[u8]) -> Option<String> {
    let (head, groups) = bytes.split_at_checked(8)?;
    let word = |at: usize| Some(u16::from_be_bytes([*head.get(at)?, *head.get(at + 1)?]));
    let (count, weight) = (usize::from(word(0)?), i32::from(word(2)?.cast_signed()));
    let (sign, scale) = (word(4)?, usize::from(word(6)?));
    if groups.len() != 2 * count || count > GROUPS_MAX || weight.abs() > GROUPS_MAX as i32 {
        return None;
    }
    let groups: Vec<u16> = groups
        .chunks_exact(2)
        .map(|pair| u16::from_be_bytes([pair[0], pair[1]]))
        .collect();
    let group = |place: i32| {
        let at = usize::try_from(place).ok();
        at.and_then(|at| groups.get(at)).copied().unwrap_or(0)
    };
    if groups.iter().any(|group| *group > 9_999) || scale > 4 * GROUPS_MAX {
        return None;
    }
    let whole: String = (0..=weight).map(|at| format!("{:04}", group(at))).collect();
    let whole = whole.trim_start_matches('0');
    let after = (scale.div_ceil(4)) as i32;
    let fraction: String = (1..=after)
        .map(|at| format!("{:04}", group(weight + at)))
        .collect();
    let sign = match sign {
        0 => "",
        0x4000 => "-",
        _ => return None,
    };
    let whole = if whole.is_empty() { "0" } else { whole };
    Some(match scale {
        0 => format!("{sign}{whole}"),
        _ => format!("{sign}{whole}.{}", &fraction[..scale]),
    })
}

/// Days from 1970-01-01 to 2000-01-01, from which PostgreSQL counts.
const EPOCH_DAYS: i32 = 10_957;
/// No calendar of a contract goes further.
const DAYS_MAX: u32 = 3_000_000;
/// More digits than any number of a contract has.
const GROUPS_MAX: usize = 16;

const BOOL: u32 = 16;
const NAME: u32 = 19;
const INT8: u32 = 20;
const INT2: u32 = 21;
const INT4: u32 = 23;
const TEXT: u32 = 25;
const OID: u32 = 26;
const JSON: u32 = 114;
const FLOAT4: u32 = 700;
const FLOAT8: u32 = 701;
const UNKNOWN: u32 = 705;
const BPCHAR: u32 = 1_042;
const VARCHAR: u32 = 1_043;
const DATE: u32 = 1_082;
const NUMERIC: u32 = 1_700;

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_written(value: AnswerValue, kind: AnswerKind, text: &str, binary: &[u8]) {
        let found = written(&value, kind, false).unwrap();
        assert_eq!(String::from_utf8(found).unwrap(), text);
        assert_eq!(written(&value, kind, true).unwrap(), binary);
    }

    #[test]
    fn columns_have_both_forms() {
        let day = AnswerValue::Text("2000-01-02".into());
        check_written(day, AnswerKind::Day, "2000-01-02", &[0, 0, 0, 1]);
        check_written(AnswerValue::Truth(true), AnswerKind::Truth, "t", &[1]);
        let minus_two = [255, 255, 255, 255, 255, 255, 255, 254];
        check_written(AnswerValue::Whole(-2), AnswerKind::Whole, "-2", &minus_two);
        let half = 0.5_f64.to_be_bytes();
        check_written(AnswerValue::Number(0.5), AnswerKind::Number, "0.5", &half);
        let two = 2.0_f64.to_be_bytes();
        check_written(AnswerValue::Whole(2), AnswerKind::Number, "2", &two);
        let json = AnswerValue::Text("{}".into());
        check_written(json, AnswerKind::Json, "{}", b"{}");
        assert_eq!(written(&AnswerValue::Null, AnswerKind::Day, true), None);
        let endless = written(
            &AnswerValue::Number(f64::NEG_INFINITY),
            AnswerKind::Number,
            false,
        );
        assert_eq!(endless.unwrap(), b"-Infinity");
    }

    #[track_caller]
    fn check_parameter(bytes: &[u8], kind: u32, expected: Result<&str, NoValue>) {
        let expected = expected.map(|text| Parameter::Text(text.to_owned()));
        assert_eq!(parameter(Some(bytes), kind, true), expected);
    }

    #[test]
    fn parameters_are_read_in_binary() {
        check_parameter(&[0, 5], INT2, Ok("5"));
        check_parameter(&[1], BOOL, Ok("true"));
        check_parameter(&[255, 0, 0, 0], OID, Ok("4278190080"));
        check_parameter(&[255, 255, 255, 251], INT4, Ok("-5"));
        check_parameter(&0.1_f64.to_be_bytes(), FLOAT8, Ok("0.1"));
        check_parameter(&[255, 255, 255, 255], DATE, Ok("1999-12-31"));
        check_parameter("ä".as_bytes(), TEXT, Ok("ä"));
    }

    #[test]
    fn days_in_text_may_have_the_zone_that_jdbc_writes() {
        let check = |kind, text: &str, expected: &str| {
            let found = parameter(Some(text.as_bytes()), kind, false);
            assert_eq!(found, Ok(Parameter::Text(expected.to_owned())));
        };
        for zone in ["", " +00", " -03:30", " +1300"] {
            check(DATE, &format!("2026-02-01{zone}"), "2026-02-01");
        }
        for other in [
            "2026-02-01 12:00",
            "2026-02-01 +",
            "2026-02-01 +00 BC",
            "+ +",
        ] {
            check(DATE, other, other);
        }
        check(TEXT, "2026-02-01 +00", "2026-02-01 +00");
    }

    #[test]
    fn what_is_no_value_is_refused() {
        check_parameter(&[0, 5], INT4, Err(NoValue::Bytes));
        check_parameter(&[255], TEXT, Err(NoValue::Bytes));
        check_parameter(&[127, 255, 255, 255], DATE, Err(NoValue::Bytes));
        check_parameter(&[1], 1_114, Err(NoValue::Type(1_114)));
        check_parameter(&[1, 1], BOOL, Err(NoValue::Bytes));
        check_parameter(&[0, 1, 0, 0, 0, 0, 0, 0], NUMERIC, Err(NoValue::Bytes));
        assert_eq!(parameter(None, BOOL, true), Ok(Parameter::Null));
    }

    #[test]
    fn numerics_are_read() {
        let numeric = |words: &[u16]| -> Vec<u8> {
            words.iter().flat_map(|word| word.to_be_bytes()).collect()
        };
        check_parameter(&numeric(&[2, 0, 0, 2, 12, 3_400]), NUMERIC, Ok("12.34"));
        check_parameter(&numeric(&[1, 0xffff, 0x4000, 3, 50]), NUMERIC, Ok("-0.005"));
        check_parameter(&numeric(&[2, 1, 0, 0, 1, 2_345]), NUMERIC, Ok("12345"));
        check_parameter(&numeric(&[1, 1, 0, 0, 3]), NUMERIC, Ok("30000"));
        check_parameter(&numeric(&[0, 0, 0, 0]), NUMERIC, Ok("0"));
        check_parameter(&numeric(&[0, 0, 0xc000, 0]), NUMERIC, Err(NoValue::Bytes));
    }
}
