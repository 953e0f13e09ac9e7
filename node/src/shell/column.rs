//! Reads a column of a record batch as numbers or as texts, whatever type the source gave it.

use std::collections::HashMap;

use aquifer_shared::domain::contract::text::number;
use arrow::array::{Array, ArrayRef, AsArray, StringArray};
use arrow::compute::cast;
use arrow::compute::kernels::cast_utils::Parser;
use arrow::datatypes::{DataType, Date32Type, Float64Type};
use arrow::error::ArrowError;

use crate::core::check::Remark;

/// Types that a numeric column may have.
pub(super) fn holds_numbers(kind: &DataType) -> bool {
    match kind {
        DataType::Dictionary(_, values) => holds_numbers(values),
        DataType::Null => true,
        kind => kind.is_numeric() || is_text(kind),
    }
}

/// Types that a categorical column or a label may have.
pub(super) fn holds_levels(kind: &DataType) -> bool {
    match kind {
        DataType::Dictionary(_, values) => holds_levels(values),
        DataType::Boolean => true,
        kind => holds_numbers(kind),
    }
}

/// Types that a customer id may have.
pub(super) fn holds_ids(kind: &DataType) -> bool {
    match kind {
        DataType::Dictionary(_, values) => holds_ids(values),
        kind => kind.is_integer() || is_text(kind),
    }
}

/// Types that a date column may have.
pub(super) fn holds_days(kind: &DataType) -> bool {
    match kind {
        DataType::Dictionary(_, values) => holds_days(values),
        DataType::Null | DataType::Date32 | DataType::Date64 | DataType::Timestamp(..) => true,
        kind => is_text(kind),
    }
}

fn is_text(kind: &DataType) -> bool {
    matches!(
        kind,
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View
    )
}

/// Values as numbers: NULL, NaN and text that is no number are `None`.
pub(super) fn numbers(array: &ArrayRef) -> Result<Vec<Option<f64>>, ArrowError> {
    match array.data_type() {
        DataType::Dictionary(_, values) => numbers(&cast(array, values)?),
        kind if is_text(kind) => {
            let texts = cast(array, &DataType::Utf8)?;
            let texts = texts.as_string::<i32>().iter();
            Ok(texts.map(|text| text.and_then(number)).collect())
        }
        _ => {
            let reals = cast(array, &DataType::Float64)?;
            let reals = reals.as_primitive::<Float64Type>().iter();
            Ok(reals
                .map(|real| real.filter(|real| !real.is_nan()))
                .collect())
        }
    }
}

/// Values as days since 1970-01-01: NULL and text that is no date are `None`.
pub(super) fn days(array: &ArrayRef) -> Result<Vec<Option<i32>>, ArrowError> {
    match array.data_type() {
        DataType::Dictionary(_, values) => days(&cast(array, values)?),
        kind if is_text(kind) => {
            let texts = cast(array, &DataType::Utf8)?;
            let texts = texts.as_string::<i32>().iter();
            let day = |text: &str| Date32Type::parse(text.trim());
            Ok(texts.map(|text| text.and_then(day)).collect())
        }
        _ => {
            let days = cast(array, &DataType::Date32)?;
            Ok(days.as_primitive::<Date32Type>().iter().collect())
        }
    }
}

/// Values as texts: whole numbers without a point, booleans as `true` and `false`.
pub(super) fn texts(array: &ArrayRef) -> Result<StringArray, ArrowError> {
    let kind = array.data_type();
    let real = kind.is_floating()
        || matches!(kind, DataType::Decimal32(..) | DataType::Decimal64(..))
        || matches!(kind, DataType::Decimal128(..) | DataType::Decimal256(..));
    match kind {
        DataType::Dictionary(_, values) => texts(&cast(array, values)?),
        _ if real => {
            let shown = numbers(array)?.into_iter().map(|real| real.map(real_text));
            Ok(shown.collect())
        }
        _ => Ok(cast(array, &DataType::Utf8)?.as_string::<i32>().clone()),
    }
}

fn real_text(real: f64) -> String {
    // Rust prints 2.0 as "2" here, and every f64 so that it reads back.
    format!("{}", real + 0.0)
}

/// Values as places in a list of levels, the one after the last for everything else, and what is worth telling about each.
pub(super) fn levels(
    array: &ArrayRef,
    known: &HashMap<&str, u16>,
) -> Result<Vec<(u16, Remark)>, ArrowError> {
    let texts = texts(array)?;
    let other = known.len() as u16;
    let place = |row| {
        let Some(text) = text_at(&texts, row) else {
            return (other, Remark::Missing);
        };
        let known = known.get(text).map(|level| (*level, Remark::None));
        known.unwrap_or((other, Remark::UnknownLevel))
    };
    Ok((0..array.len()).map(place).collect())
}

/// The trimmed text of a row; `None` where it is NULL or empty.
pub(super) fn text_at(texts: &StringArray, row: usize) -> Option<&str> {
    let text = texts.is_valid(row).then(|| texts.value(row).trim());
    text.filter(|text| !text.is_empty())
}

/// Whether a hold-out value says *held out*: `test` or true.
pub(super) fn says_held_out(text: Option<&str>) -> bool {
    text.is_some_and(|text| text == "test" || text.eq_ignore_ascii_case("true"))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{
        BooleanArray, Date32Array, Decimal128Array, DictionaryArray, Float32Array, Float64Array,
        Int64Array, LargeStringArray, StringViewArray, TimestampMillisecondArray,
    };
    use arrow::datatypes::Int8Type;

    use super::*;

    #[track_caller]
    fn check_numbers(array: impl Array + 'static, expected: &[Option<f64>]) {
        let array: ArrayRef = Arc::new(array);
        assert!(holds_numbers(array.data_type()), "{}", array.data_type());
        assert_eq!(numbers(&array).unwrap(), expected);
    }

    #[track_caller]
    fn check_texts(array: impl Array + 'static, expected: &[Option<&str>]) {
        let array: ArrayRef = Arc::new(array);
        assert!(holds_levels(array.data_type()), "{}", array.data_type());
        let texts = texts(&array).unwrap();
        let found: Vec<Option<&str>> = (0..texts.len()).map(|row| text_at(&texts, row)).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn numbers_come_in_many_types() {
        check_numbers(Int64Array::from(vec![Some(-3), None]), &[Some(-3.0), None]);
        check_numbers(Float64Array::from(vec![1.5, f64::NAN]), &[Some(1.5), None]);
        check_numbers(
            Float32Array::from(vec![f32::INFINITY]),
            &[Some(f64::INFINITY)],
        );
        let cents = Decimal128Array::from(vec![112_500]).with_precision_and_scale(9, 5);
        check_numbers(cents.unwrap(), &[Some(1.125)]);
        check_numbers(StringViewArray::from(vec![" 2 ", "x"]), &[Some(2.0), None]);
        check_numbers(LargeStringArray::from(vec!["", "nan"]), &[None, None]);
        let dictionary: DictionaryArray<Int8Type> = vec!["7", "7", "?"].into_iter().collect();
        check_numbers(dictionary, &[Some(7.0), Some(7.0), None]);
    }

    #[test]
    fn levels_come_in_many_types() {
        check_texts(
            BooleanArray::from(vec![Some(true), None]),
            &[Some("true"), None],
        );
        check_texts(Int64Array::from(vec![1, -20]), &[Some("1"), Some("-20")]);
        check_texts(
            Float64Array::from(vec![1.0, 0.5, -0.0]),
            &[Some("1"), Some("0.5"), Some("0")],
        );
        let decimals = Decimal128Array::from(vec![100, 150]).with_precision_and_scale(9, 2);
        check_texts(decimals.unwrap(), &[Some("1"), Some("1.5")]);
        check_texts(StringArray::from(vec![" a b ", " "]), &[Some("a b"), None]);
        let dictionary: DictionaryArray<Int8Type> = vec!["x", "y", "x"].into_iter().collect();
        check_texts(dictionary, &[Some("x"), Some("y"), Some("x")]);
    }

    #[track_caller]
    fn check_days(array: impl Array + 'static, expected: &[Option<i32>]) {
        let array: ArrayRef = Arc::new(array);
        assert!(holds_days(array.data_type()), "{}", array.data_type());
        assert_eq!(days(&array).unwrap(), expected);
    }

    #[test]
    fn days_come_in_many_types() {
        check_days(Date32Array::from(vec![Some(-3), None]), &[Some(-3), None]);
        let day_ms = 24 * 3_600 * 1_000;
        check_days(
            TimestampMillisecondArray::from(vec![Some(2 * day_ms - 1), Some(-1), None]),
            &[Some(1), Some(-1), None],
        );
        check_days(
            StringArray::from(vec![
                " 1970-01-02 ",
                "1970-01-03 23:59:59",
                "1970-02-30",
                "x",
                "",
            ]),
            &[Some(1), Some(2), None, None, None],
        );
        let dictionary: DictionaryArray<Int8Type> = vec!["1970-01-02"].into_iter().collect();
        check_days(dictionary, &[Some(1)]);
        assert!(!holds_days(&DataType::Int64) && !holds_days(&DataType::Boolean));
    }

    #[test]
    fn other_types_are_not_taken() {
        for kind in [
            DataType::Date32,
            DataType::Binary,
            DataType::FixedSizeBinary(16),
        ] {
            assert!(!holds_levels(&kind) && !holds_ids(&kind), "{kind}");
        }
        assert!(!holds_numbers(&DataType::Boolean) && !holds_ids(&DataType::Float64));
    }

    #[test]
    fn only_test_and_true_are_held_out() {
        for (text, expected) in [
            ("test", true),
            ("TRUE", true),
            ("train", false),
            ("1", false),
        ] {
            assert_eq!(says_held_out(Some(text)), expected, "{text}");
        }
        assert!(!says_held_out(None));
    }
}
