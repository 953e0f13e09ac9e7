//! What members of a secure aggregation and the coordinator say to each other, in the order in which they say it.
//!
//! Sizes are those of the private sum's table: fixed-width fields, eight bytes before each list. Signed and hashed are the
//! bytes as they travelled: the codec accepts only what it would have written itself.

use std::fmt;

use serde::de::{Error as _, SeqAccess, Visitor};
use serde::ser::SerializeTuple;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::base::hash::{labelled, sha256};
use crate::base::ids::{AttemptId, Hash32};
use crate::base::limits::GROUP_MAX;
use crate::protocol::chain::Head;
use crate::protocol::codec::encode;

/// An Ed25519 signature of fixed length.
#[derive(Clone, Copy, Eq, PartialEq)]
pub struct Signature64(pub [u8; 64]);

/// N→C: a member is ready, and this is its key for the attempt.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Advert {
    /// The attempt.
    pub attempt: AttemptId,
    /// Hash of the task that it computed.
    pub task: Hash32,
    /// Its index in the group, from 1.
    pub index: u16,
    /// Ephemeral X25519 key.
    pub key: [u8; 32],
    /// Position of its ledger's last durable entry.
    pub ledger: Head,
    /// Over [`advert_digest`].
    pub signature: Signature64,
}

/// C→N: who takes part in the attempt.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Roster {
    /// Adverts by rising index.
    pub adverts: Vec<Advert>,
}

impl Roster {
    /// The attempt that it claims to be for: that of its first advert.
    #[must_use]
    pub fn attempt(&self) -> Option<AttemptId> {
        self.adverts.first().map(|advert| advert.attempt)
    }
}

/// A record that only its receiver can open, with the index of its other end.
#[derive(Clone, Deserialize, Eq, PartialEq, Serialize)]
pub struct Sealed {
    /// Receiver (in [`Shares`]) or dealer (in [`Delivery`]).
    pub index: u16,
    /// L elements and the authenticator: 8·L + 16 bytes.
    #[serde(with = "bytes")]
    pub record: Vec<u8>,
}

/// N→C: a member's shares, one record for every other member of the roster, by rising index.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Shares {
    /// The attempt.
    pub attempt: AttemptId,
    /// The roster.
    pub roster: Hash32,
    /// The records.
    pub records: Vec<Sealed>,
}

/// C→N: the dealers of the sum, and what they dealt to the receiver.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Delivery {
    /// The attempt.
    pub attempt: AttemptId,
    /// The roster.
    pub roster: Hash32,
    /// U.
    pub dealers: MemberSet,
    /// A record of every dealer but the receiver, by rising index.
    pub records: Vec<Sealed>,
}

/// N→C: a member holds its shares of exactly this set.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Confirm {
    /// The attempt.
    pub attempt: AttemptId,
    /// The roster.
    pub roster: Hash32,
    /// U.
    pub dealers: MemberSet,
    /// Over [`confirm_digest`].
    pub signature: Signature64,
}

/// C→N: enough members confirmed the same set.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Proof {
    /// The attempt.
    pub attempt: AttemptId,
    /// Index and signature of at least Q members, by rising index.
    pub confirmations: Vec<(u16, Signature64)>,
}

/// N→C: a member's point of the sum.
#[derive(Clone, Deserialize, Eq, PartialEq, Serialize)]
pub struct Opening {
    /// The attempt.
    pub attempt: AttemptId,
    /// L field elements.
    pub elements: Vec<u64>,
    /// Over [`opening_digest`].
    pub signature: Signature64,
}

/// N→C: records of these dealers do not open.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Cannot {
    /// The attempt.
    pub attempt: AttemptId,
    /// The dealers.
    pub dealers: MemberSet,
}

/// A set of members of one group; bit i − 1 stands for member i.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct MemberSet(pub [u64; 2]);

impl MemberSet {
    /// The set of these indices, from 1.
    #[must_use]
    pub fn of(indices: impl IntoIterator<Item = u16>) -> Self {
        let mut set = Self::default();
        indices.into_iter().for_each(|index| set.insert(index));
        set
    }

    /// Adds a member; an index outside 1..=128 changes nothing.
    pub fn insert(&mut self, index: u16) {
        let place = usize::from(index).wrapping_sub(1);
        if place < GROUP_MAX {
            self.0[place / 64] |= 1 << (place % 64);
        }
    }

    /// Whether a member is in it.
    #[must_use]
    pub fn contains(&self, index: u16) -> bool {
        let place = usize::from(index).wrapping_sub(1);
        place < GROUP_MAX && self.0[place / 64] >> (place % 64) & 1 == 1
    }

    /// How many.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// Whether nobody is in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0 == [0, 0]
    }

    /// Whether every member of it is in the other.
    #[must_use]
    pub fn is_within(&self, other: &Self) -> bool {
        self.0
            .iter()
            .zip(&other.0)
            .all(|(own, other)| own & !other == 0)
    }

    /// Its members that are not in the other.
    #[must_use]
    pub fn without(&self, other: &Self) -> Self {
        Self([self.0[0] & !other.0[0], self.0[1] & !other.0[1]])
    }

    /// Indices, rising.
    pub fn iter(&self) -> impl Iterator<Item = u16> + use<> {
        let set = *self;
        (1..=GROUP_MAX as u16).filter(move |index| set.contains(*index))
    }
}

/// What a member signs under an advert: label `aquifer/sum/1/advert`, all fields but the signature.
#[must_use]
pub fn advert_digest(advert: &Advert) -> Hash32 {
    let fields = (
        &advert.attempt,
        &advert.task,
        advert.index,
        &advert.key,
        &advert.ledger,
    );
    labelled("aquifer/sum/1/advert", &[&encode(&fields)])
}

/// The identity of a roster: label `aquifer/sum/1/roster`, over its encoding.
#[must_use]
pub fn roster_hash(roster: &Roster) -> Hash32 {
    labelled("aquifer/sum/1/roster", &[&encode(roster)])
}

/// What a member signs under a confirmation: label `aquifer/sum/1/confirm`.
#[must_use]
pub fn confirm_digest(attempt: &AttemptId, roster: &Hash32, dealers: &MemberSet) -> Hash32 {
    labelled(
        "aquifer/sum/1/confirm",
        &[&encode(&(attempt, roster, dealers))],
    )
}

/// What a member signs under an opening: label `aquifer/sum/1/opening`, elements by their SHA-256 (little-endian bytes).
#[must_use]
pub fn opening_digest(
    attempt: &AttemptId,
    roster: &Hash32,
    dealers: &MemberSet,
    elements: &[u64],
) -> Hash32 {
    let mut bytes = Vec::with_capacity(elements.len() * 8);
    elements
        .iter()
        .for_each(|element| bytes.extend(element.to_le_bytes()));
    let body = encode(&(attempt, roster, dealers, sha256(&bytes)));
    labelled("aquifer/sum/1/opening", &[&body])
}

impl fmt::Debug for Signature64 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0[..4]
            .iter()
            .try_for_each(|byte| write!(f, "{byte:02x}"))?;
        f.write_str("…")
    }
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sealed({}, {} bytes)", self.index, self.record.len())
    }
}

impl fmt::Debug for Opening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Opening({}, {} elements)",
            self.attempt,
            self.elements.len()
        )
    }
}

impl Serialize for Signature64 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut tuple = serializer.serialize_tuple(64)?;
        self.0
            .iter()
            .try_for_each(|byte| tuple.serialize_element(byte))?;
        tuple.end()
    }
}

impl<'de> Deserialize<'de> for Signature64 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bytes;
        impl<'de> Visitor<'de> for Bytes {
            type Value = Signature64;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("64 bytes")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Signature64, A::Error> {
                let mut bytes = [0; 64];
                for byte in &mut bytes {
                    *byte = seq
                        .next_element()?
                        .ok_or_else(|| A::Error::custom("too few bytes"))?;
                }
                Ok(Signature64(bytes))
            }
        }
        deserializer.deserialize_tuple(64, Bytes)
    }
}

/// Bytes in one piece: the same encoding as a list of them, without a step for each.
mod bytes {
    use std::fmt;

    use serde::de::{Error, Visitor};
    use serde::{Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_bytes(bytes)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        struct Bytes;
        impl Visitor<'_> for Bytes {
            type Value = Vec<u8>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("bytes")
            }

            fn visit_byte_buf<E: Error>(self, bytes: Vec<u8>) -> Result<Vec<u8>, E> {
                Ok(bytes)
            }
        }
        from.deserialize_byte_buf(Bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn advert() -> Advert {
        Advert {
            attempt: AttemptId([1; 32]),
            task: Hash32([2; 32]),
            index: 3,
            key: [4; 32],
            ledger: Head {
                seq: 5,
                hash: Hash32([6; 32]),
            },
            signature: Signature64([7; 64]),
        }
    }

    #[test]
    fn messages_have_the_published_sizes() {
        let (attempt, roster, dealers) =
            (AttemptId([1; 32]), Hash32([2; 32]), MemberSet::of([1, 2]));
        let signature = Signature64([7; 64]);
        let sealed = |index| Sealed {
            index,
            record: vec![0; 8 * 10 + 16],
        };
        let records: Vec<Sealed> = (1..4).map(sealed).collect();
        assert_eq!(encode(&advert()).len(), 202);
        assert_eq!(
            encode(&Roster {
                adverts: vec![advert(); 3]
            })
            .len(),
            8 + 202 * 3
        );
        let shares = Shares {
            attempt,
            roster,
            records: records.clone(),
        };
        assert_eq!(encode(&shares).len(), 72 + 3 * (8 * 10 + 26));
        let delivery = Delivery {
            attempt,
            roster,
            dealers,
            records,
        };
        assert_eq!(encode(&delivery).len(), 72 + 16 + 3 * (8 * 10 + 26));
        assert_eq!(
            encode(&Confirm {
                attempt,
                roster,
                dealers,
                signature
            })
            .len(),
            144
        );
        let proof = Proof {
            attempt,
            confirmations: vec![(1, signature); 5],
        };
        assert_eq!(encode(&proof).len(), 40 + 66 * 5);
        let opening = Opening {
            attempt,
            elements: vec![0; 10],
            signature,
        };
        assert_eq!(encode(&opening).len(), 104 + 8 * 10);
        assert_eq!(encode(&Cannot { attempt, dealers }).len(), 48);
    }

    #[test]
    fn the_published_confirm_digest() {
        // Its roster hash is that of two adverts whose signatures are real; the value is checked with them elsewhere.
        let attempt = AttemptId([1; 32]);
        let one = confirm_digest(&attempt, &Hash32([2; 32]), &MemberSet::of([1, 2]));
        let other = confirm_digest(&attempt, &Hash32([2; 32]), &MemberSet::of([1, 3]));
        assert_ne!(one, other);
    }

    #[test]
    fn sets_hold_members_from_1_to_128() {
        let set = MemberSet::of([1, 64, 65, 128, 0, 129, 200]);
        assert_eq!(set.iter().collect::<Vec<_>>(), [1, 64, 65, 128]);
        assert_eq!(set.len(), 4);
        assert!(set.contains(128) && !set.contains(0) && !set.contains(129));
        assert!(MemberSet::of([64]).is_within(&set) && !MemberSet::of([2]).is_within(&set));
        assert!(MemberSet::default().is_empty());
    }

    #[test]
    fn the_digest_of_an_advert_leaves_its_signature_out() {
        let mut changed = advert();
        changed.signature = Signature64([8; 64]);
        assert_eq!(advert_digest(&changed), advert_digest(&advert()));
        changed.ledger.seq += 1;
        assert_ne!(advert_digest(&changed), advert_digest(&advert()));
        assert_ne!(
            roster_hash(&Roster {
                adverts: vec![changed]
            }),
            roster_hash(&Roster {
                adverts: vec![advert()]
            })
        );
    }
}
