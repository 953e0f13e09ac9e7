//! How fresh a pack is on a day, and how two versions of a pack differ. For people who answer for the packs.

use super::key::{Key, Stricter};
use super::pack::Pack;
use super::place::Place;
use super::rule::{Confidence, Rule};
use super::words::words;
use crate::base::limits::LAW_NOTICE_DAYS;

/// What is to be known of a pack before anybody relies on it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Status {
    /// Values that no person has reviewed.
    pub unreviewed: usize,
    /// Values that were compared with no text.
    pub unchecked: usize,
    /// Ids of rules that have expired, or that the pack needs and that are not in force yet: decisions deny.
    pub stale: Vec<String>,
    /// Ids of rules that end soon with no other to follow, and their last days.
    pub ending: Vec<(String, i32)>,
}

words!(
    /// Whether a change makes a value stricter.
    Turn {
        /// Everything that was forbidden still is.
        Stricter = "stricter",
        /// Something that was forbidden is allowed.
        Laxer = "laxer",
        /// Some of both.
        Otherwise = "otherwise",
        /// The value stayed; what is said about it changed.
        Provenance = "provenance",
    }
);

/// One difference between two versions of a pack.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Difference {
    /// It applies elsewhere, or says otherwise why.
    Scope {
        /// Where it applied.
        from: Vec<Place>,
        /// Where it applies.
        to: Vec<Place>,
    },
    /// A rule that was not there.
    Added(Rule),
    /// A rule that is not there any more.
    Removed(Rule),
    /// A rule of the same key, place and first day that differs.
    Changed {
        /// As it was.
        from: Rule,
        /// As it is.
        to: Rule,
        /// In which direction.
        turn: Turn,
    },
}

impl Status {
    /// The status of a pack on a day.
    #[must_use]
    pub fn of(pack: &Pack, day: i32) -> Self {
        let (id, rules) = (pack.id().as_str(), pack.rules());
        let scope = (!pack.scope().holds_on(day)).then(|| format!("{id}/scope"));
        let last = |rule: &&Rule| rule.provenance.holds_on(day);
        let ending = rules.iter().filter(last).filter_map(|rule| {
            let end = rule.provenance.valid_to?;
            let followed =
                same(rules, rule).any(|next| next.provenance.holds_on(end.saturating_add(1)));
            let soon = end.saturating_sub(day) <= LAW_NOTICE_DAYS;
            (soon && !followed).then(|| (rule.id(id), end))
        });
        let all = || {
            rules
                .iter()
                .map(|rule| &rule.provenance)
                .chain([pack.scope()])
        };
        Self {
            unreviewed: all().filter(|one| one.reviewer.is_none()).count(),
            unchecked: all()
                .filter(|one| one.confidence == Confidence::Unchecked)
                .count(),
            stale: scope.into_iter().chain(stale(pack, day)).collect(),
            ending: ending.collect(),
        }
    }
}

/// The last rule of each key and place of which none holds.
fn stale(pack: &Pack, day: i32) -> impl Iterator<Item = String> {
    let rules = pack.rules();
    let over = rules.iter().filter(move |rule| {
        let held = same(rules, rule).any(|other| other.provenance.holds_on(day));
        let latest = same(rules, rule)
            .all(|other| other.provenance.valid_from <= rule.provenance.valid_from);
        let begun = same(rules, rule).any(|other| other.provenance.valid_from <= day);
        let needed = rule.place.is_none() && pack.must_set(rule.key);
        latest && !held && (begun || needed)
    });
    over.map(|rule| rule.id(pack.id().as_str()))
}

fn same<'a>(rules: &'a [Rule], rule: &Rule) -> impl Iterator<Item = &'a Rule> + use<'a> {
    let group = group(rule);
    rules
        .iter()
        .filter(move |other| self::group(other) == group)
}

fn group(rule: &Rule) -> (Key, Option<Place>) {
    (rule.key, rule.place)
}

/// Differences between two versions of a pack, in order of key, place and first day.
#[must_use]
pub fn differences(from: &Pack, to: &Pack) -> Vec<Difference> {
    let identity = |rule: &Rule| (rule.key, rule.place, rule.provenance.valid_from);
    let of = |rules: &[Rule], rule: &Rule| {
        rules
            .iter()
            .find(|other| identity(other) == identity(rule))
            .cloned()
    };
    let removed = from
        .rules()
        .iter()
        .filter(|rule| of(to.rules(), rule).is_none());
    let mut found: Vec<Difference> = removed.cloned().map(Difference::Removed).collect();
    if (from.places(), from.scope()) != (to.places(), to.scope()) {
        found.push(Difference::Scope {
            from: from.places().to_vec(),
            to: to.places().to_vec(),
        });
    }
    for rule in to.rules() {
        match of(from.rules(), rule) {
            None => found.push(Difference::Added(rule.clone())),
            Some(before) if before != *rule => found.push(Difference::Changed {
                turn: turn(rule.key, before.value, rule.value),
                from: before,
                to: rule.clone(),
            }),
            Some(_) => {}
        }
    }
    found.sort_by_key(|one| one.rule().map(identity));
    found
}

/// Whether all that `other` forbids is forbidden by `one`.
fn as_strict(key: Key, one: u64, other: u64) -> bool {
    match key.stricter() {
        Stricter::Larger => one >= other,
        Stricter::Smaller => one <= other,
        Stricter::Union => one & other == other,
        Stricter::Intersection => one & other == one,
    }
}

fn turn(key: Key, from: u64, to: u64) -> Turn {
    match (as_strict(key, to, from), as_strict(key, from, to)) {
        (true, true) => Turn::Provenance,
        (true, false) => Turn::Stricter,
        (false, true) => Turn::Laxer,
        (false, false) => Turn::Otherwise,
    }
}

impl Difference {
    /// The rule as it is now, or was; `None` for the scope.
    #[must_use]
    pub fn rule(&self) -> Option<&Rule> {
        match self {
            Self::Scope { .. } => None,
            Self::Added(rule) | Self::Removed(rule) | Self::Changed { to: rule, .. } => Some(rule),
        }
    }

    /// Whether something that was denied under `from` may be allowed now. A new rule may stand in front of another of its key.
    #[must_use]
    pub fn may_allow_more(&self, from: &Pack) -> bool {
        match self {
            Self::Scope { .. } | Self::Removed(_) => true,
            Self::Added(rule) => {
                let mut before = from.rules().iter().filter(|other| other.key == rule.key);
                before.any(|other| !as_strict(rule.key, rule.value, other.value))
            }
            Self::Changed { turn, .. } => matches!(turn, Turn::Laxer | Turn::Otherwise),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::vendored;
    use super::*;
    use crate::base::calendar;

    fn uk() -> Pack {
        Pack::parse(vendored::PACKS[4].1).unwrap()
    }

    fn changed(from: &str, to: &str) -> Pack {
        let text = vendored::PACKS[4].1;
        assert!(text.contains(from));
        Pack::parse(&text.replacen(from, to, 1)).unwrap()
    }

    #[track_caller]
    fn check_turn(from: &str, to: &str, expected: Turn) {
        let found = differences(&uk(), &changed(from, to));
        let [Difference::Changed { turn, .. }] = &found[..] else {
            panic!("{found:?}, expected one change");
        };
        assert_eq!(*turn, expected);
    }

    #[test]
    fn a_change_is_stricter_or_laxer() {
        assert_eq!(differences(&uk(), &uk()), []);
        check_turn("value = 13", "value = 16", Turn::Stricter);
        check_turn("value = 13", "value = 12", Turn::Laxer);
        check_turn("value = 72", "value = 24", Turn::Stricter);
        check_turn("value = \"opt_in\"", "value = \"opt_out\"", Turn::Laxer);
        check_turn(
            "\"consent\", \"contract\", ",
            "\"consent\", ",
            Turn::Stricter,
        );
        check_turn("\"public_task\", ", "\"notice\", ", Turn::Otherwise);
        check_turn("\"health\", ", "", Turn::Laxer);
        check_turn(
            "ref = \"UK GDPR 35\"",
            "ref = \"UK GDPR 35(1)\"",
            Turn::Provenance,
        );
    }

    #[test]
    fn rules_come_and_go() {
        let other = changed(
            "key = \"clock_breach_hours\"\nvalue = 72",
            "key = \"retention_min_days\"\nvalue = 72",
        );
        let found = differences(&uk(), &other);
        let kinds: Vec<Key> = found
            .iter()
            .filter_map(|one| Some(one.rule()?.key))
            .collect();
        assert_eq!(kinds, [Key::ClockBreachHours, Key::RetentionMinDays]);
        assert!(matches!(
            found[..],
            [Difference::Removed(_), Difference::Added(_)]
        ));
    }

    #[track_caller]
    fn check_stale(pack: &Pack, on: &str, stale: &[&str], ending: &[&str]) {
        let status = Status::of(pack, calendar::parse(on).unwrap());
        assert_eq!(status.stale, stale, "{on}");
        let ids: Vec<&str> = status.ending.iter().map(|(id, _)| id.as_str()).collect();
        assert_eq!(ids, ending, "{on}");
    }

    #[test]
    fn what_has_expired_or_soon_will_is_told() {
        check_stale(&uk(), "2026-11-25", &[], &[]);
        check_stale(&uk(), "2026-02-04", &[], &[]);
        let ends = changed(
            "key = \"transfer\"\nvalue = \"tool\"\norigin = \"law\"\nref = \"UK GDPR 44A-49\"\nvalid_from = 2021-01-01\nvalid_to = \"none\"",
            "key = \"transfer\"\nvalue = \"tool\"\norigin = \"law\"\nref = \"UK GDPR 44A-49\"\nvalid_from = 2021-01-01\nvalid_to = 2026-12-31",
        );
        let id = "uk-gdpr/transfer@2021-01-01";
        check_stale(&ends, "2026-10-01", &[], &[]);
        check_stale(&ends, "2026-10-02", &[], &[id]);
        check_stale(&ends, "2026-12-31", &[], &[id]);
        check_stale(&ends, "2027-01-01", &[id], &[]);
        assert_eq!(Status::of(&uk(), 20_000).unreviewed, uk().rules().len() + 1);
    }

    #[track_caller]
    fn check_allows_more(from: &str, to: &str, expected: bool) {
        let found = differences(&uk(), &changed(from, to));
        assert!(!found.is_empty());
        assert_eq!(
            found.iter().any(|one| one.may_allow_more(&uk())),
            expected,
            "{found:?}"
        );
    }

    #[test]
    fn what_may_allow_more_is_told() {
        let age = "[[rule]]\nkey = \"min_age\"\nvalue = 13\n";
        let of_scotland = |age: u8| {
            format!(
                "[[rule]]\nkey = \"min_age\"\nplace = \"GB-SCT\"\nvalue = {age}\n{PROVENANCE}\n"
            )
        };
        check_allows_more(age, &format!("{}{age}", of_scotland(12)), true);
        check_allows_more(age, &format!("{}{age}", of_scotland(16)), false);
        check_allows_more("value = [\"GB\"]", "value = [\"GB\", \"GI\"]", true);
        check_allows_more("value = 13", "value = 12", true);
        check_allows_more("value = 13", "value = 14", false);
        check_allows_more("ref = \"UK GDPR 35\"", "ref = \"UK GDPR 35(1)\"", false);
    }

    const PROVENANCE: &str = "origin = \"org_policy\"\nref = \"made up\"\nvalid_from = 2021-01-01\nvalid_to = \"none\"\nreviewed_on = \"none\"\n\
                              reviewer = \"none\"\nsource_url = \"none\"\nconfidence = \"unchecked\"\n";
}
