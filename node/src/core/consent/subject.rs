//! Persons by a keyed hash, and the small numbers that this process gives them.

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasherDefault, Hasher};

use aquifer_shared::base::secret::Secret;
use aws_lc_rs::hmac;

/// The key under which a unit knows its customers.
///
/// # Privacy
///
/// Never leaves the node; without it a reference says nothing about whom it stands for.
pub struct SubjectKey {
    key: hmac::Key,
    seed: Secret<[u8; 32]>,
}

/// A person: the first half of the HMAC-SHA-256 of the source's id. Two of 2^32 persons share one with a chance below 2^-64.
///
/// # Privacy
///
/// A pseudonym. It is no use without the node's key, stays at the node, and cannot be printed.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct SubjectRef(pub u128);

impl SubjectKey {
    /// From the bytes of a key file.
    #[must_use]
    pub fn new(seed: &[u8; 32]) -> Self {
        Self {
            key: hmac::Key::new(hmac::HMAC_SHA256, seed),
            seed: Secret::new(*seed),
        }
    }

    /// The reference of a source's id; white space around it is no part of it, whichever file it comes from.
    #[must_use]
    pub fn subject(&self, source_id: &str) -> SubjectRef {
        let half = self.half(&[LABEL, source_id.trim().as_bytes()]);
        SubjectRef(u128::from_be_bytes(half))
    }

    /// By what a unit knows an event of a source again. Keyed, since sources build ids of events from those of customers.
    #[must_use]
    pub fn event(&self, source: &str, event_id: &str) -> [u8; 16] {
        let length = (source.len() as u64).to_be_bytes();
        self.half(&[EVENT_LABEL, &length, source.as_bytes(), event_id.as_bytes()])
    }

    fn half(&self, parts: &[&[u8]]) -> [u8; 16] {
        let mut context = hmac::Context::with_key(&self.key);
        parts.iter().for_each(|part| context.update(part));
        let mut half = [0; 16];
        half.copy_from_slice(&context.sign().as_ref()[..16]);
        half
    }
}

impl Clone for SubjectKey {
    fn clone(&self) -> Self {
        Self::new(self.seed.expose())
    }
}

impl fmt::Debug for SubjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<secret>")
    }
}

impl fmt::Debug for SubjectRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<personal>")
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

    fn write_u128(&mut self, value: u128) {
        self.0 = (value >> 64) as u64;
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
    met: Vec<SubjectRef>,
}

impl Subjects {
    /// The number of a person, new or known; none where there are too many persons.
    pub fn number(&mut self, subject: SubjectRef) -> Option<u32> {
        let next = u32::try_from(self.met.len())
            .ok()
            .filter(|next| *next < u32::MAX)?;
        let number = *self.numbers.entry(subject).or_insert(next);
        if number == next {
            self.met.push(subject);
        }
        Some(number)
    }

    /// The number of a person who is known.
    #[must_use]
    pub fn known(&self, subject: SubjectRef) -> Option<u32> {
        self.numbers.get(&subject).copied()
    }

    /// Persons from a number on.
    #[must_use]
    pub fn from(&self, number: usize) -> &[SubjectRef] {
        &self.met[number.min(self.met.len())..]
    }

    /// How many persons are known.
    #[must_use]
    pub fn len(&self) -> usize {
        self.met.len()
    }

    /// Whether none is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.met.is_empty()
    }
}

const LABEL: &[u8] = b"aquifer/subject/v1";
const EVENT_LABEL: &[u8] = b"aquifer/consent-event/v1";
