//! Promises, and what it looks like when one is broken.

use std::fmt;

use serde::Serialize;

/// A promise of the private sum.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Invariant {
    /// A release is the sum over the members that it names, nobody twice.
    ExactSum,
    /// The adversary holds nothing but one sum over enough honest members.
    Secrecy,
    /// A charge is durable before the first byte that it pays for leaves.
    ChargeFirst,
    /// Charges stay below every cap, have their right price and never decrease.
    Budget,
    /// No key, noise or seed is used twice; what is repeated is repeated byte for byte.
    NoReuse,
    /// One set, one roster, one task in each attempt.
    OneSet,
    /// Every release has the noise of enough honest members.
    NoisePresent,
    /// A round ends in bounded time once the world has healed.
    Liveness,
    /// A ledger that forgot charges is noticed.
    Rollback,
    /// Nothing depends on customers' values but sealed bytes and releases.
    NothingElse,
    /// No message makes a machine panic.
    NoPanic,
}

impl Invariant {
    /// All promises.
    pub const ALL: [Self; 11] = [
        Self::ExactSum,
        Self::Secrecy,
        Self::ChargeFirst,
        Self::Budget,
        Self::NoReuse,
        Self::OneSet,
        Self::NoisePresent,
        Self::Liveness,
        Self::Rollback,
        Self::NothingElse,
        Self::NoPanic,
    ];
}

/// A broken promise.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Violation {
    /// Which.
    pub invariant: Invariant,
    /// What was found.
    pub what: String,
    /// When, in virtual milliseconds from the start.
    pub at_ms: u64,
}

/// What a watcher found.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Breach(pub(super) Invariant, pub(super) String);

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} at {} ms: {}",
            self.invariant, self.at_ms, self.what
        )
    }
}
