//! What is being decided, and what the checks have found so far.

use super::cause::Cause;
use super::decision::Obligation;
use super::facts::{Facts, Request};
use super::key::Key;
use super::limits::Limits;
use super::purpose::Purpose;
use super::words::Set;

/// Checks read the first half and add to the second; causes only ever add up.
pub(super) struct Case<'a> {
    pub(super) request: &'a Request<'a>,
    pub(super) facts: &'a Facts<'a>,
    pub(super) purpose: Option<&'a Purpose>,
    pub(super) day: i32,
    limits: Limits,
    /// Sensitive data is among the columns.
    pub(super) sensitive: bool,
    /// And takes explicit consent.
    pub(super) needs_explicit: bool,
    pub(super) used: Set<Key>,
    pub(super) causes: Set<Cause>,
    pub(super) obligations: Set<Obligation>,
}

impl<'a> Case<'a> {
    pub(super) fn new(
        request: &'a Request<'a>,
        facts: &'a Facts<'a>,
        purpose: Option<&'a Purpose>,
        limits: Limits,
        day: i32,
    ) -> Self {
        Self {
            request,
            facts,
            purpose,
            day,
            limits,
            sensitive: false,
            needs_explicit: false,
            used: Set::EMPTY,
            causes: Set::EMPTY,
            obligations: Set::EMPTY,
        }
    }

    pub(super) fn deny(&mut self, cause: Cause) {
        self.causes.insert(cause);
    }

    /// Denies where it does not hold.
    pub(super) fn unless(&mut self, holds: bool, cause: Cause) {
        if !holds {
            self.deny(cause);
        }
    }

    /// The joined value of a key; denies where no pack sets it (a rule that has expired denies for itself).
    pub(super) fn value(&mut self, key: Key) -> Option<u64> {
        let value = self.limits.value(key);
        self.used.insert(key);
        let told = self.limits.stale().contains(key);
        self.unless(value.is_some() || told, Cause::RuleMissing);
        value
    }

    /// The joined value of a key that packs may leave out.
    pub(super) fn value_if_set(&mut self, key: Key) -> Option<u64> {
        let value = self.limits.value(key);
        if value.is_some() {
            self.used.insert(key);
        }
        value
    }
}
