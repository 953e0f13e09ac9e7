//! Bytes and exact numbers as hexadecimal text, as model files carry them.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::base::ids::Hash32;

/// A hash as 64 lower-case digits.
pub(super) mod hash {
    use super::*;

    pub fn serialize<S: Serializer>(hash: &Hash32, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(hash)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Hash32, D::Error> {
        let text = String::deserialize(deserializer)?;
        let hash: Hash32 = text.parse().map_err(de::Error::custom)?;
        if hash.to_string() == text {
            return Ok(hash);
        }
        Err(de::Error::custom("a hash has lower-case digits"))
    }
}

/// A signature as 128 lower-case digits; null where there is none.
pub(super) mod signature {
    use super::*;

    pub fn serialize<S: Serializer>(
        signature: &Option<[u8; 64]>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let text = signature.map(|bytes| bytes.iter().map(|byte| format!("{byte:02x}")).collect());
        Option::<String>::serialize(&text, serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<[u8; 64]>, D::Error> {
        let Some(text) = Option::<String>::deserialize(deserializer)? else {
            return Ok(None);
        };
        let wrong = || de::Error::custom("a signature has 128 lower-case hexadecimal digits");
        let digits: Vec<u8> = text.bytes().filter_map(digit).collect();
        if digits.len() != 128 || text.len() != 128 {
            return Err(wrong());
        }
        let mut bytes = [0; 64];
        let pairs = digits.chunks_exact(2);
        bytes
            .iter_mut()
            .zip(pairs)
            .for_each(|(byte, pair)| *byte = pair[0] << 4 | pair[1]);
        Ok(Some(bytes))
    }
}

/// A number as the 16 hexadecimal digits of its bits.
pub(super) fn of_real(value: f64) -> String {
    format!("{:016x}", value.to_bits())
}

/// Reads what [`of_real`] wrote.
pub(super) fn real(text: &str) -> Option<f64> {
    if text.len() != 16 {
        return None;
    }
    let digits: Option<Vec<u8>> = text.bytes().map(digit).collect();
    let bits = digits?
        .into_iter()
        .fold(0_u64, |bits, digit| bits << 4 | u64::from(digit));
    Some(f64::from_bits(bits))
}

fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_every_bit() {
        for value in [0.1, -1e300, 4.5, f64::MIN_POSITIVE] {
            assert_eq!(real(&of_real(value)), Some(value));
        }
        for bad in [
            "",
            "3ff",
            "3FF0000000000000",
            "3ff00000000000000",
            "+ff0000000000000",
        ] {
            assert_eq!(real(bad), None, "{bad}");
        }
    }
}
