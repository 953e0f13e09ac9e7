//! `run --break-glass`: each reason opens the lock that it names, and no other.
//!
//! Opens nothing itself, and reads nothing but what was typed.

use super::consent::LEDGER_FILE;
use super::usage::USAGE_FILE;

/// What may be started all the same.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Lock {
    /// A policy that two officers have not signed yet.
    Policy,
    /// A ledger of consents that was deleted or put back.
    Consent,
    /// A ledger of usage that was deleted or put back.
    Usage,
}

/// Reasons, each with what it opens.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Glass(Vec<(Lock, String)>);

/// Reasons that cannot be told apart, or are none.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "--break-glass gives {found} for {name}, expected one: \"REASON\" for a policy, \"{LEDGER_FILE}: REASON\" or \"{USAGE_FILE}: REASON\" \
     for a ledger that was put back"
)]
pub struct NoReason {
    name: &'static str,
    found: &'static str,
}

impl Lock {
    /// How a reason names it.
    fn name(self) -> &'static str {
        match self {
            Self::Policy => "policy",
            Self::Consent => LEDGER_FILE,
            Self::Usage => USAGE_FILE,
        }
    }

    const ALL: [Self; 3] = [Self::Policy, Self::Consent, Self::Usage];
}

impl Glass {
    /// What was typed: `consent.db: REASON`, `usage.db: REASON`, and a reason without such a name for the policy.
    ///
    /// # Errors
    ///
    /// Two reasons for one lock, or one without a word.
    pub fn parse(written: &[String]) -> Result<Self, NoReason> {
        let mut reasons = Vec::new();
        for text in written {
            let (lock, reason) = named(text);
            let none = |found| NoReason {
                name: lock.name(),
                found,
            };
            if reason.is_empty() {
                return Err(none("no reason"));
            }
            if reasons.iter().any(|(known, _)| *known == lock) {
                return Err(none("several reasons"));
            }
            reasons.push((lock, reason.to_owned()));
        }
        Ok(Self(reasons))
    }

    /// The reason to open a lock, if one was given for it.
    #[must_use]
    pub fn reason(&self, lock: Lock) -> Option<&str> {
        let mut own = self.0.iter();
        let own = own.find(|(known, _)| *known == lock);
        own.map(|(_, reason)| reason.as_str())
    }
}

fn named(text: &str) -> (Lock, &str) {
    let of = |lock: Lock| {
        let reason = text.trim_start().strip_prefix(lock.name())?;
        let reason = reason.trim_start().strip_prefix(':')?;
        Some((lock, reason.trim()))
    };
    let found = Lock::ALL.into_iter().find_map(of);
    found.unwrap_or((Lock::Policy, text.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reasons for the policy, the ledger of consents and that of usage; or part of the refusal.
    #[track_caller]
    fn check(written: &[&str], expected: Result<[Option<&str>; 3], &str>) {
        let texts: Vec<String> = written.iter().map(ToString::to_string).collect();
        match (Glass::parse(&texts), expected) {
            (Ok(glass), Ok(reasons)) => {
                assert_eq!(Lock::ALL.map(|lock| glass.reason(lock)), reasons);
            }
            (Err(fault), Err(part)) => {
                let text = fault.to_string();
                assert!(text.contains(part), "{text}");
            }
            (found, _) => panic!("{written:?}: {found:?}"),
        }
    }

    #[test]
    fn a_reason_opens_what_it_names_and_nothing_else() {
        check(&[], Ok([None; 3]));
        check(
            &["the store burns"],
            Ok([Some("the store burns"), None, None]),
        );
        check(&["policy: a cap"], Ok([Some("a cap"), None, None]));
        check(&["consent.db: lost"], Ok([None, Some("lost"), None]));
        check(&[" usage.db :lost "], Ok([None, None, Some("lost")]));
        check(
            &["usage.db: a", "b", "consent.db: c"],
            Ok([Some("b"), Some("c"), Some("a")]),
        );
        // No ledger is meant where none is named.
        check(
            &["consent.db is gone"],
            Ok([Some("consent.db is gone"), None, None]),
        );
        check(&["ledger.db: x"], Ok([Some("ledger.db: x"), None, None]));
    }

    #[test]
    fn a_lock_takes_one_reason_with_a_word_in_it() {
        check(&["  "], Err("no reason for policy"));
        check(&["consent.db:"], Err("no reason for consent.db"));
        check(&["a", "policy: b"], Err("several reasons for policy"));
        check(
            &["usage.db: a", "usage.db: b"],
            Err("several reasons for usage.db"),
        );
    }
}
