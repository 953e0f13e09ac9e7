//! What a decision rests on: rules with their references, and for each cause what to do and whom to ask.

use std::fmt;

use super::cause::{Ask, Cause};
use super::decision::Decision;
use super::key::{Key, Stricter};
use super::limits::Limits;
use super::pack::Says;
use super::place::Place;
use super::rule::Rule;

/// A rule that a decision rests on.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Ground {
    /// `PACK/KEY@FIRST-DAY`.
    pub rule_id: String,
    /// Article, section or document.
    pub reference: String,
}

/// A cause with the rules it rests on.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Reason {
    /// Why.
    pub cause: Cause,
    /// On which rules.
    pub grounds: Vec<Ground>,
}

impl Decision {
    /// All rules that were looked at.
    #[must_use]
    pub fn grounds(&self) -> Vec<Ground> {
        let keys: Vec<Key> = self.used.iter().collect();
        self.grounds_of(&keys)
    }

    /// Why it is no, with rules and references; empty where it is yes.
    #[must_use]
    pub fn reasons(&self) -> Vec<Reason> {
        let reason = |cause: Cause| Reason {
            cause,
            grounds: match cause {
                Cause::RuleStale => self.stale(),
                _ => self.grounds_of(&self.looked_at(cause)),
            },
        };
        self.causes.iter().map(reason).collect()
    }

    /// Keys of a cause that were looked at, and what is said about the unknown; all of them where none was.
    fn looked_at(&self, cause: Cause) -> Vec<Key> {
        let seen = |key: &&Key| self.used.contains(**key) || **key == Key::OnUnknown;
        let keys: Vec<Key> = cause.keys().iter().filter(seen).copied().collect();
        if keys.is_empty() {
            cause.keys().to_vec()
        } else {
            keys
        }
    }

    /// Rules in force that made the joined values of these keys.
    fn grounds_of(&self, keys: &[Key]) -> Vec<Ground> {
        let limits = self.limits();
        let rules = keys.iter().flat_map(|&key| {
            self.each_pack().filter_map(move |(number, place)| {
                let pack = self.book.packs().get(usize::from(number))?;
                let Says::Value(rule) = pack.says(key, place, self.day) else {
                    return None;
                };
                let bound = limits.bound_by(key).any(|bound| bound == number);
                (bound && made(rule, &limits)).then(|| ground(rule, pack.id().as_str()))
            })
        });
        once_each(rules)
    }

    /// Rules that are not in force; scopes by the name of their pack.
    fn stale(&self) -> Vec<Ground> {
        let stale = self.each_pack().flat_map(|(number, place)| {
            let pack = &self.book.packs()[usize::from(number)];
            let over = move |key: &Key| match pack.says(*key, place, self.day) {
                Says::Stale => true,
                Says::NotYet => pack.must_set(*key),
                Says::Value(_) | Says::Nothing => false,
            };
            let last = move |key: Key| pack.rules().iter().rfind(|rule| rule.key == key);
            let rules = pack.keys().filter(over).filter_map(last);
            let scope = (!pack.scope().holds_on(self.day)).then(|| Ground {
                rule_id: format!("{}/scope", pack.id()),
                reference: pack.scope().reference.clone(),
            });
            let rules = rules.map(move |rule| ground(rule, pack.id().as_str()));
            scope.into_iter().chain(rules)
        });
        once_each(stale)
    }

    fn each_pack(&self) -> impl Iterator<Item = (u8, Place)> {
        self.applicable.iter().copied()
    }
}

impl Reason {
    /// Whom to ask.
    #[must_use]
    pub fn ask(&self) -> Ask {
        self.cause.ask()
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (cause, found, remedy) = (self.cause, self.cause.found(), self.cause.remedy());
        let grounds: Vec<String> = self.grounds.iter().map(ToString::to_string).collect();
        let rules = if grounds.is_empty() {
            "deny by default".to_owned()
        } else {
            grounds.join("; ")
        };
        write!(
            f,
            "{cause}: {found} ({rules}); {remedy}; ask the {}",
            self.ask()
        )
    }
}

impl fmt::Display for Ground {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.rule_id, self.reference)
    }
}

fn made(rule: &Rule, limits: &Limits) -> bool {
    match rule.key.stricter() {
        Stricter::Larger | Stricter::Smaller => limits.value(rule.key) == Some(rule.value),
        Stricter::Union => rule.value != 0 || limits.value(rule.key) == Some(0),
        Stricter::Intersection => true,
    }
}

fn ground(rule: &Rule, pack: &str) -> Ground {
    Ground {
        rule_id: rule.id(pack),
        reference: rule.provenance.reference.clone(),
    }
}

fn once_each(grounds: impl Iterator<Item = Ground>) -> Vec<Ground> {
    let mut kept: Vec<Ground> = Vec::new();
    for ground in grounds {
        if !kept.contains(&ground) {
            kept.push(ground);
        }
    }
    kept
}
