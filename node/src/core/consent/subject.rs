//! Persons by a keyed hash, and the small numbers that this process gives them.

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasherDefault, Hasher};

use aws_lc_rs::hmac;

/// A person: HMAC-SHA-256 of the source's id under a key of the node.
///
/// # Privacy
///
/// A pseudonym. It is no use without the node's key, stays at the node, and cannot be printed.
#[derive(Clone, Copy, Eq, Ord, PartialEq, PartialOrd)]
pub struct SubjectRef(pub [u8; 32]);

impl SubjectRef {
    /// The reference of a source's id.
    #[must_use]
    pub fn of(key: &hmac::Key, key_id: u32, namespace: &str, source_id: &str) -> Self {
        let mut context = hmac::Context::with_key(key);
        context.update(b"aquifer/subject/v1");
        context.update(&key_id.to_be_bytes());
        context.update(&(namespace.len() as u64).to_be_bytes());
        context.update(namespace.as_bytes());
        context.update(source_id.as_bytes());
        let mut digest = [0; 32];
        digest.copy_from_slice(context.sign().as_ref());
        Self(digest)
    }
}

impl fmt::Debug for SubjectRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<personal>")
    }
}

impl std::hash::Hash for SubjectRef {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let [a, b, c, d, e, f, g, h, ..] = self.0;
        state.write_u64(u64::from_be_bytes([a, b, c, d, e, f, g, h]));
    }
}

/// References are spread evenly already, by a key that nobody outside has.
#[derive(Default)]
struct Spread(u64);

impl Hasher for Spread {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = value;
    }
}

/// Numbers of persons, in the order in which they were met.
///
/// # Privacy
///
/// Whom a number stands for is known to this process alone.
#[derive(Default)]
pub struct Subjects {
    numbers: HashMap<SubjectRef, u32, BuildHasherDefault<Spread>>,
}

impl Subjects {
    /// The number of a person, new or known; none where there are too many persons.
    pub fn number(&mut self, subject: SubjectRef) -> Option<u32> {
        let next = u32::try_from(self.numbers.len()).ok()?;
        Some(*self.numbers.entry(subject).or_insert(next))
    }

    /// The number of a person who is known.
    #[must_use]
    pub fn known(&self, subject: &SubjectRef) -> Option<u32> {
        self.numbers.get(subject).copied()
    }

    /// How many persons are known.
    #[must_use]
    pub fn len(&self) -> usize {
        self.numbers.len()
    }

    /// Whether none is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.numbers.is_empty()
    }
}
