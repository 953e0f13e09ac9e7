//! How rules and signatures are judged in a history: strictly, but for rules that a planted bug takes out; and each equal
//! signature once, where that is wanted.
//!
//! The machines take plain functions, so what they ask for lives in the thread that runs the history.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;

use aquifer_node::core::participant::Judges;
use aquifer_shared::base::ids::{Hash32, IdentityKey};
use aquifer_shared::protocol::aggregation::{Checks, Guard, Signature64, is_signed};
use serde::Serialize;

/// How many signatures were to be checked, and how many were.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
pub struct SignatureChecks {
    /// Asked for by the machines.
    pub asked: u64,
    /// Computed.
    pub made: u64,
}

/// The judges of a history that begins now in this thread.
#[must_use]
pub fn seat(missing: &'static [Guard], remember: bool) -> Judges {
    MISSING.set(missing);
    REMEMBER.set(remember);
    CHECKED.with_borrow_mut(HashMap::clear);
    COUNTS.set(SignatureChecks::default());
    Judges {
        checks: if !missing.is_empty() {
            Checks::judged_by(judge)
        } else {
            Checks::STRICT
        },
        verify,
    }
}

/// Forgets remembered signatures: those of attempts that are over.
pub fn forget() {
    CHECKED.with_borrow_mut(|checked| {
        if checked.len() > REMEMBERED_MAX {
            checked.clear();
        }
    });
}

/// Signatures checked in this thread since the history began.
#[must_use]
pub fn signature_checks() -> SignatureChecks {
    COUNTS.get()
}

fn judge(guard: Guard, condition: bool) -> bool {
    condition || MISSING.get().contains(&guard)
}

/// As [`is_signed`], remembering what was found.
pub fn verify(key: &IdentityKey, digest: &Hash32, signature: &Signature64) -> bool {
    let mut counts = COUNTS.get();
    counts.asked += 1;
    let known = (*key, *digest, signature.0);
    let remember = REMEMBER.get();
    let found = CHECKED.with_borrow(|checked| checked.get(&known).copied());
    if let Some(found) = found.filter(|_| remember) {
        COUNTS.set(counts);
        return found;
    }
    counts.made += 1;
    COUNTS.set(counts);
    let found = is_signed(key, digest, signature);
    if remember {
        CHECKED.with_borrow_mut(|checked| checked.insert(known, found));
    }
    found
}

/// As [`verify`], for those who watch: not counted.
#[must_use]
pub fn holds(key: &IdentityKey, digest: &Hash32, signature: &Signature64) -> bool {
    let known = (*key, *digest, signature.0);
    let found = CHECKED.with_borrow(|checked| checked.get(&known).copied());
    found.unwrap_or_else(|| is_signed(key, digest, signature))
}

type Known = (IdentityKey, Hash32, [u8; 64]);

thread_local! {
    static MISSING: Cell<&'static [Guard]> = const { Cell::new(&[]) };
    static REMEMBER: Cell<bool> = const { Cell::new(true) };
    static CHECKED: RefCell<HashMap<Known, bool>> = RefCell::new(HashMap::new());
    static COUNTS: Cell<SignatureChecks> = const { Cell::new(SignatureChecks { asked: 0, made: 0 }) };
}

const REMEMBERED_MAX: usize = 20_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulator::keys::Keys;

    #[test]
    fn an_equal_signature_is_checked_once() {
        let keys = Keys::new(4);
        let digest = Hash32([7; 32]);
        let member = &keys.members()[0];
        let signature = Signature64(member.sign(&digest).try_into().unwrap());
        let judges = seat(&[], true);
        for _ in 0..3 {
            assert!((judges.verify)(&member.public(), &digest, &signature));
            assert!(!(judges.verify)(
                &member.public(),
                &Hash32([8; 32]),
                &signature
            ));
        }
        let SignatureChecks { asked, made } = signature_checks();
        assert_eq!((asked, made), (6, 2));
        let each = seat(&[], false);
        assert!((each.verify)(&member.public(), &digest, &signature));
        assert!((each.verify)(&member.public(), &digest, &signature));
        assert_eq!(signature_checks(), SignatureChecks { asked: 2, made: 2 });
    }

    #[test]
    fn one_rule_is_missing_and_no_other() {
        let judges = seat(&[Guard::OneSet], true);
        assert!(judges.checks.hold(Guard::OneSet, false));
        assert!(!judges.checks.hold(Guard::OneRoster, false));
        let strict = seat(&[], true);
        assert!(!strict.checks.hold(Guard::OneSet, false));
    }
}
