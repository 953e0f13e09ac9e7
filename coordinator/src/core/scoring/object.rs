//! One JSON object as the pairs that were written, so that a repeated key is seen and not silently overruled.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;

/// Keys and values in the order in which they were written, repetitions included.
#[derive(Debug)]
pub struct Pairs(pub Vec<(String, Value)>);

impl Pairs {
    /// Reads a text that holds one object and nothing else.
    ///
    /// # Errors
    ///
    /// Where it is none.
    pub fn parse(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }

    /// The keys as written.
    pub fn keys(&self) -> Vec<String> {
        self.0.iter().map(|(key, _)| key.clone()).collect()
    }
}

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Pairs;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("one object")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Pairs, M::Error> {
        let mut pairs = Vec::new();
        while let Some(pair) = map.next_entry()? {
            pairs.push(pair);
        }
        Ok(Pairs(pairs))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_keys(text: &str, expected: Option<&[&str]>) {
        match (Pairs::parse(text), expected) {
            (Ok(pairs), Some(expected)) => assert_eq!(pairs.keys(), expected),
            (Err(_), None) => {}
            (found, expected) => panic!("{text}: {found:?}, expected {expected:?}"),
        }
    }

    #[test]
    fn every_pair_is_kept_in_order() {
        check_keys("{}", Some(&[]));
        check_keys(r#" {"b": 1, "a": "x"} "#, Some(&["b", "a"]));
        check_keys(r#"{"a": 1, "a": 2}"#, Some(&["a", "a"]));
        check_keys(r#"{"a": 1, "\u0061": 2}"#, Some(&["a", "a"]));
    }

    #[test]
    fn anything_but_one_object_is_refused() {
        for text in [
            "",
            "1",
            "[]",
            "null",
            "{\"a\": 1",
            "{} {}",
            "{\"a\": 1,}",
            "{1: 2}",
        ] {
            check_keys(text, None);
        }
    }
}
