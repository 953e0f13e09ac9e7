//! Payloads: JSON with one text for each value, so that any auditor can read the bytes that were hashed.
//!
//! Keys are ASCII and sorted, there is no white space and no number with a fraction. Texts are written as RFC 8785 writes them.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::base::limits::{
    HISTORY_DEPTH_MAX, HISTORY_KEY_BYTES_MAX, HISTORY_PAYLOAD_BYTES_MAX, HISTORY_VALUES_MAX,
};

/// A value of a payload.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Json {
    /// `null`.
    Null,
    /// `true` or `false`.
    Flag(bool),
    /// An integer of at most 2^53 - 1 in absolute value; made by `From`, which writes others as texts.
    Number(i64),
    /// A text.
    Text(String),
    /// Values in order.
    List(Vec<Json>),
    /// Values by key.
    Object(BTreeMap<String, Json>),
}

/// Bytes that are no payload.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum BadPayload {
    /// Longer than any.
    #[error("a payload of {got} bytes, at most {HISTORY_PAYLOAD_BYTES_MAX} are taken")]
    TooLong {
        /// Found.
        got: usize,
    },
    /// Not JSON.
    #[error("the payload is not JSON")]
    Malformed,
    /// Not an object.
    #[error("the payload is not an object")]
    NotAnObject,
    /// A number that is not an integer of at most 2^53 - 1.
    #[error("the payload holds a number that is not an integer of at most 2^53 - 1")]
    Number,
    /// A key that is empty, too long or not ASCII.
    #[error(
        "the payload holds a key that is not 1 to {HISTORY_KEY_BYTES_MAX} letters, digits, '.', '_', '-' or '@'"
    )]
    Key,
    /// More levels or values than any.
    #[error("the payload has more than {HISTORY_DEPTH_MAX} levels or {HISTORY_VALUES_MAX} values")]
    TooMany,
    /// Another text of the same value.
    #[error("the payload is not in canonical form")]
    NotCanonical,
}

impl Json {
    /// An object.
    #[must_use]
    pub fn object<const N: usize>(fields: [(&str, Self); N]) -> Self {
        let fields = fields
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value));
        Self::Object(fields.collect())
    }

    /// The field of an object.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Self> {
        match self {
            Self::Object(fields) => fields.get(key),
            _ => None,
        }
    }

    /// The text, if it is one.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The number, whether written as one or, above 2^53 - 1, as a text.
    #[must_use]
    pub fn as_u64(&self) -> Option<u64> {
        match self {
            Self::Number(number) => u64::try_from(*number).ok(),
            Self::Text(text) => text
                .parse()
                .ok()
                .filter(|got: &u64| got.to_string() == *text),
            _ => None,
        }
    }

    /// The bytes that are hashed.
    ///
    /// # Errors
    ///
    /// It is no object, or larger than any payload, or has a key or number that none has.
    pub fn to_payload(&self) -> Result<Vec<u8>, BadPayload> {
        let mut room = HISTORY_VALUES_MAX;
        self.check(HISTORY_DEPTH_MAX, &mut room)?;
        if !matches!(self, Self::Object(_)) {
            return Err(BadPayload::NotAnObject);
        }
        let mut text = String::new();
        self.write(&mut text);
        let got = text.len();
        (got <= HISTORY_PAYLOAD_BYTES_MAX)
            .then(|| text.into_bytes())
            .ok_or(BadPayload::TooLong { got })
    }

    /// Reads a payload; accepts only what [`Json::to_payload`] would have written.
    ///
    /// # Errors
    ///
    /// What is not as it must be.
    pub fn parse(bytes: &[u8]) -> Result<Self, BadPayload> {
        let got = bytes.len();
        if got > HISTORY_PAYLOAD_BYTES_MAX {
            return Err(BadPayload::TooLong { got });
        }
        let value = serde_json::from_slice(bytes).map_err(|_| BadPayload::Malformed)?;
        let json = of_value(value, HISTORY_DEPTH_MAX)?;
        // Spaces, order, keys that come twice, other escapes: all of them end in other bytes.
        let again = json.to_payload()?;
        (again == bytes)
            .then_some(json)
            .ok_or(BadPayload::NotCanonical)
    }

    /// The text of any value: of a document that is no payload, too.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        self.write(&mut text);
        text
    }

    /// Reads a document of at most so many bytes; accepts only what [`Json::to_text`] would have written.
    ///
    /// # Errors
    ///
    /// What is not as it must be.
    pub fn document(bytes: &[u8], bytes_max: usize) -> Result<Self, BadPayload> {
        let got = bytes.len();
        if got > bytes_max {
            return Err(BadPayload::TooLong { got });
        }
        let value = serde_json::from_slice(bytes).map_err(|_| BadPayload::Malformed)?;
        let json = of_value(value, HISTORY_DEPTH_MAX)?;
        let mut room = bytes_max;
        json.check(HISTORY_DEPTH_MAX, &mut room)?;
        (json.to_text().as_bytes() == bytes)
            .then_some(json)
            .ok_or(BadPayload::NotCanonical)
    }

    fn check(&self, depth: usize, room: &mut usize) -> Result<(), BadPayload> {
        if depth == 0 || *room == 0 {
            return Err(BadPayload::TooMany);
        }
        *room -= 1;
        match self {
            Self::Number(number) if number.unsigned_abs() > SAFE_MAX => Err(BadPayload::Number),
            Self::List(values) => values
                .iter()
                .try_for_each(|value| value.check(depth - 1, room)),
            Self::Object(fields) => fields.iter().try_for_each(|(key, value)| {
                is_key(key).then_some(()).ok_or(BadPayload::Key)?;
                value.check(depth - 1, room)
            }),
            _ => Ok(()),
        }
    }

    fn write(&self, out: &mut String) {
        match self {
            Self::Null => out.push_str("null"),
            Self::Flag(flag) => out.push_str(if *flag { "true" } else { "false" }),
            Self::Number(number) => out.push_str(&number.to_string()),
            Self::Text(text) => write_text(text, out),
            Self::List(values) => {
                out.push('[');
                for (place, value) in values.iter().enumerate() {
                    out.push_str(if place > 0 { "," } else { "" });
                    value.write(out);
                }
                out.push(']');
            }
            Self::Object(fields) => {
                out.push('{');
                for (place, (key, value)) in fields.iter().enumerate() {
                    out.push_str(if place > 0 { "," } else { "" });
                    write_text(key, out);
                    out.push(':');
                    value.write(out);
                }
                out.push('}');
            }
        }
    }
}

impl From<u64> for Json {
    fn from(number: u64) -> Self {
        match i64::try_from(number) {
            Ok(safe) if number <= SAFE_MAX => Self::Number(safe),
            _ => Self::Text(number.to_string()),
        }
    }
}

impl From<i64> for Json {
    fn from(number: i64) -> Self {
        match number.unsigned_abs() <= SAFE_MAX {
            true => Self::Number(number),
            false => Self::Text(number.to_string()),
        }
    }
}

impl From<u32> for Json {
    fn from(number: u32) -> Self {
        Self::Number(i64::from(number))
    }
}

impl From<bool> for Json {
    fn from(flag: bool) -> Self {
        Self::Flag(flag)
    }
}

impl From<&str> for Json {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Json {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl TryFrom<Value> for Json {
    type Error = BadPayload;

    /// Of what a program put together; a number with a fraction is refused.
    fn try_from(value: Value) -> Result<Self, BadPayload> {
        of_value(value, HISTORY_DEPTH_MAX)
    }
}

fn of_value(value: Value, depth: usize) -> Result<Json, BadPayload> {
    let inner = depth.checked_sub(1).ok_or(BadPayload::TooMany)?;
    Ok(match value {
        Value::Null => Json::Null,
        Value::Bool(flag) => Json::Flag(flag),
        Value::Number(number) => Json::Number(number.as_i64().ok_or(BadPayload::Number)?),
        Value::String(text) => Json::Text(text),
        Value::Array(values) => {
            let values = values.into_iter().map(|value| of_value(value, inner));
            Json::List(values.collect::<Result<_, _>>()?)
        }
        Value::Object(fields) => {
            let fields = fields
                .into_iter()
                .map(|(key, value)| Ok((key, of_value(value, inner)?)));
            Json::Object(fields.collect::<Result<_, _>>()?)
        }
    })
}

fn is_key(key: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-@".contains(&byte);
    (1..=HISTORY_KEY_BYTES_MAX).contains(&key.len()) && key.bytes().all(plain)
}

fn write_text(text: &str, out: &mut String) {
    out.push('"');
    for letter in text.chars() {
        match letter {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            low if low < ' ' => out.push_str(&format!("\\u{:04x}", u32::from(low))),
            other => out.push(other),
        }
    }
    out.push('"');
}

/// The largest integer that every reader of JSON reads exactly.
const SAFE_MAX: u64 = (1 << 53) - 1;
