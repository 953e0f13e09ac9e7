//! The one place where bincode is used: little-endian, fixed-width, bounded, no trailing bytes.
//!
//! Sign and hash the bytes received, never a re-encoding; [`decode`] accepts only what [`encode`] would have written.

use bincode::config::{Configuration, Fixint, Limit, LittleEndian};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::base::limits::FRAME_BYTES_MAX;

type Profile = Configuration<LittleEndian, Fixint, Limit<FRAME_BYTES_MAX>>;

const PROFILE: Profile = bincode::config::standard()
    .with_little_endian()
    .with_fixed_int_encoding()
    .with_limit::<FRAME_BYTES_MAX>();

/// Bytes that no honest peer would have written.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum CodecError {
    /// The bytes are not an encoding of the expected message.
    #[error("{what}: {length} bytes do not decode ({reason})")]
    Malformed {
        /// The expected message.
        what: &'static str,
        /// How many bytes there were.
        length: usize,
        /// The decoder's reason, without values.
        reason: &'static str,
    },
    /// More bytes than the message.
    #[error("{what}: {extra} trailing bytes")]
    Trailing {
        /// The expected message.
        what: &'static str,
        /// How many too many.
        extra: usize,
    },
    /// Decodes, but is not the encoding that an honest peer writes.
    #[error("{what}: the encoding is not canonical")]
    NotCanonical {
        /// The expected message.
        what: &'static str,
    },
    /// Longer than the limit for it.
    #[error("{what}: {length} bytes, at most {limit} are allowed")]
    TooLong {
        /// The expected message.
        what: &'static str,
        /// Found.
        length: usize,
        /// Allowed.
        limit: usize,
    },
    /// Another version of the protocol.
    #[error("frame version {got}, expected {expected}")]
    Version {
        /// Found.
        got: u8,
        /// Expected.
        expected: u8,
    },
    /// A kind of message that does not exist or does not belong here.
    #[error("message kind {got} does not belong here")]
    Kind {
        /// Found.
        got: u8,
    },
}

/// Bytes of a value.
///
/// # Panics
///
/// Never for the product's own types: encoding into memory cannot fail for them.
#[must_use]
pub fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    bincode::serde::encode_to_vec(value, PROFILE).expect("own types have an encoding")
}

/// The value that exactly these bytes stand for.
///
/// # Errors
///
/// Whatever [`encode`] would not have written: truncated, trailing, malleable or oversized bytes.
pub fn decode<T: Serialize + DeserializeOwned>(
    what: &'static str,
    bytes: &[u8],
    limit: usize,
) -> Result<T, CodecError> {
    let length = bytes.len();
    if length > limit.min(FRAME_BYTES_MAX) {
        return Err(CodecError::TooLong {
            what,
            length,
            limit,
        });
    }
    let decoded = bincode::serde::decode_from_slice::<T, _>(bytes, PROFILE);
    let (value, consumed) = decoded.map_err(|error| CodecError::Malformed {
        what,
        length,
        reason: reason_of(&error),
    })?;
    if consumed != length {
        return Err(CodecError::Trailing {
            what,
            extra: length - consumed,
        });
    }
    if encode(&value) != bytes {
        return Err(CodecError::NotCanonical { what });
    }
    Ok(value)
}

/// A fixed text per kind of error: the decoder's own text may quote what it read.
fn reason_of(error: &bincode::error::DecodeError) -> &'static str {
    use bincode::error::DecodeError as E;
    match error {
        E::UnexpectedEnd { .. } => "it ends too early",
        E::LimitExceeded => "it claims more than the limit",
        E::UnexpectedVariant { .. } => "unknown variant",
        E::InvalidBooleanValue(_) => "a flag is neither 0 nor 1",
        E::Utf8 { .. } => "text is not UTF-8",
        E::OtherString(_) | E::Other(_) => "a value is outside its range",
        _ => "not an encoding",
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_encoded_decodes() {
        let value = (7_u32, vec![1_i64, -2], "north".to_owned());
        assert_eq!(
            decode::<(u32, Vec<i64>, String)>("sample", &encode(&value), 1_000),
            Ok(value)
        );
    }

    #[test]
    fn trailing_bytes_are_refused() {
        let mut bytes = encode(&7_u32);
        bytes.push(0);
        assert_eq!(
            decode::<u32>("sample", &bytes, 1_000),
            Err(CodecError::Trailing {
                what: "sample",
                extra: 1
            })
        );
    }

    #[test]
    fn a_huge_claim_does_not_allocate() {
        let claim = (1_u64 << 40).to_le_bytes();
        assert!(decode::<String>("sample", &claim, 1_000).is_err());
        assert!(decode::<Vec<u8>>("sample", &claim, 1_000).is_err());
    }

    #[test]
    fn long_input_is_refused_before_it_is_read() {
        let bytes = encode(&vec![0_u8; 100]);
        assert!(matches!(
            decode::<Vec<u8>>("sample", &bytes, 50),
            Err(CodecError::TooLong { .. })
        ));
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(value) = decode::<(u32, Vec<i64>, String, Option<bool>)>("sample", &bytes, 1_000) {
                prop_assert_eq!(encode(&value), bytes);
            }
        }
    }
}
