//! What a unit insists on before it relies on others: trust modes, tolerances, and whom it knows.
//!
//! In `shared-noise` the promise to the unit's customers rests on other members. So each of them must be pinned here, by key
//! and by who operates it: a coordinator could otherwise invent members, and one operator could be many of them.

use std::collections::BTreeMap;
use std::ops::Range;

use aquifer_shared::base::ids::{IdentityKey, Name};
use aquifer_shared::domain::sum::{StudyTerms, TrustMode};
use aquifer_shared::protocol::wire::RefusalCode;

/// The unit's own rules about others, from node.toml.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TrustPolicy {
    /// Trust modes that the unit takes.
    pub modes: Vec<TrustMode>,
    /// Fewest honest noise shares that a study in `shared-noise` must make certain.
    pub honest_min: u16,
    /// Fewest colluders that such a study must tolerate.
    pub colluders_min: u16,
    /// Most colluders that such a study may tolerate: more make every member add more noise.
    pub colluders_max: u16,
    /// Who operates this unit's node.
    pub operator: Option<Name>,
    /// Who operates the coordinator.
    pub coordinator_operator: Option<Name>,
    /// Members that the unit knows, by key.
    pub pins: BTreeMap<IdentityKey, Pin>,
}

/// A member that the unit knows.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Pin {
    /// Its name.
    pub name: Name,
    /// Who operates it.
    pub operator: Name,
}

/// Which of the unit's demands tolerances break; the detail of [`RefusalCode::Tolerances`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Demand {
    HonestMin = 1,
    ColludersMin = 2,
    ColludersMax = 3,
}

impl Default for TrustPolicy {
    /// Both modes, and nobody pinned: `shared-noise` is refused until members are.
    fn default() -> Self {
        Self {
            modes: vec![TrustMode::NodeNoise, TrustMode::SharedNoise],
            honest_min: 2,
            colluders_min: 1,
            colluders_max: u16::MAX,
            operator: None,
            coordinator_operator: None,
            pins: BTreeMap::new(),
        }
    }
}

impl TrustPolicy {
    /// Holds a study's mode, tolerances and members against the unit's demands. Public facts only.
    ///
    /// # Errors
    ///
    /// The code of the first demand that is broken, with the index (from 1) of the member or the number of the demand.
    pub(super) fn check(
        &self,
        own: &IdentityKey,
        terms: &StudyTerms,
    ) -> Result<(), (RefusalCode, u64)> {
        if !self.modes.contains(&terms.mode) {
            return Err((RefusalCode::TrustMode, 0));
        }
        if terms.mode == TrustMode::NodeNoise {
            return Ok(());
        }
        if let Some(demand) = self.broken_demand(terms) {
            return Err((RefusalCode::Tolerances, demand as u64));
        }
        let operators = self.operators(own, &terms.roster)?;
        if self.coordinator_operator.is_none() {
            return Err((RefusalCode::Operators, 0));
        }
        let groups = terms.groups().into_iter();
        let crowded = groups.filter_map(|group| crowded(&operators, group, terms.c_max));
        match crowded.min() {
            None => Ok(()),
            Some(member) => Err((RefusalCode::Operators, member as u64 + 1)),
        }
    }

    fn broken_demand(&self, terms: &StudyTerms) -> Option<Demand> {
        if terms.honest().is_none_or(|honest| honest < self.honest_min) {
            return Some(Demand::HonestMin);
        }
        if terms.c_max < self.colluders_min {
            return Some(Demand::ColludersMin);
        }
        (terms.c_max > self.colluders_max).then_some(Demand::ColludersMax)
    }

    /// Who operates each member of the roster, in one spelling.
    fn operators(
        &self,
        own: &IdentityKey,
        roster: &[IdentityKey],
    ) -> Result<Vec<String>, (RefusalCode, u64)> {
        let of = |(index, key): (usize, &IdentityKey)| {
            let pinned = self.pins.get(key).map(|pin| &pin.operator);
            let stated = self.operator.as_ref().filter(|_| key == own);
            let operator = stated.or(pinned);
            let unknown = (RefusalCode::NotPinned, index as u64 + 1);
            Ok(operator.ok_or(unknown)?.as_str().to_lowercase())
        };
        roster.iter().enumerate().map(of).collect()
    }
}

/// The first member of a group that is one too many for its operator.
fn crowded(operators: &[String], group: Range<usize>, colluders_max: u16) -> Option<usize> {
    let mut counts: BTreeMap<&str, u16> = BTreeMap::new();
    for member in group {
        let count = counts.entry(operators.get(member)?).or_default();
        *count += 1;
        if *count > colluders_max {
            return Some(member);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::fixtures::{name, pinned, public, shared, terms};

    const OWN: u8 = crate::core::fixtures::NODE;

    #[track_caller]
    fn check(policy: &TrustPolicy, terms: &StudyTerms, expected: Result<(), (RefusalCode, u64)>) {
        assert_eq!(policy.check(&public(OWN), terms), expected);
    }

    /// The sample policy with one thing changed, against the sample study of eight members.
    #[track_caller]
    fn check_changed(
        change: impl FnOnce(&mut TrustPolicy),
        expected: Result<(), (RefusalCode, u64)>,
    ) {
        let terms = shared(8);
        let mut policy = pinned(&terms);
        change(&mut policy);
        check(&policy, &terms, expected);
    }

    /// Index of a member in the roster, from 1.
    fn index(terms: &StudyTerms, key: &IdentityKey) -> u64 {
        terms.member(key).unwrap() as u64 + 1
    }

    #[test]
    fn members_that_are_all_pinned_are_taken() {
        check_changed(|_| {}, Ok(()));
        check(&TrustPolicy::default(), &terms(), Ok(()));
    }

    #[test]
    fn a_unit_may_insist_on_either_mode() {
        let mode = Err((RefusalCode::TrustMode, 0));
        check_changed(|policy| policy.modes = vec![TrustMode::NodeNoise], mode);
        let mut policy = TrustPolicy::default();
        policy.modes = vec![TrustMode::SharedNoise];
        check(&policy, &terms(), mode);
    }

    #[test]
    fn nobody_is_pinned_by_default() {
        let first = Err((RefusalCode::NotPinned, 1));
        check(&TrustPolicy::default(), &shared(8), first);
    }

    #[test]
    fn a_member_that_is_not_pinned_is_named_by_its_place() {
        let terms = shared(8);
        for key in &terms.roster {
            let mut policy = pinned(&terms);
            policy.pins.remove(key);
            let expected = match *key == public(OWN) {
                // The unit knows itself.
                true => Ok(()),
                false => Err((RefusalCode::NotPinned, index(&terms, key))),
            };
            check(&policy, &terms, expected);
        }
    }

    #[test]
    fn a_unit_without_an_operator_does_not_know_itself() {
        let terms = shared(8);
        let mut policy = pinned(&terms);
        policy.operator = None;
        check(&policy, &terms, Ok(()));
        policy.pins.remove(&public(OWN));
        let own = index(&terms, &public(OWN));
        check(&policy, &terms, Err((RefusalCode::NotPinned, own)));
    }

    #[test]
    fn one_operator_runs_at_most_as_many_as_may_collude() {
        let terms = shared(8);
        let others = terms.roster.iter().filter(|key| **key != public(OWN));
        let others: Vec<IdentityKey> = others.copied().collect();
        let mut policy = pinned(&terms);
        let mut run_by = |key: &IdentityKey, operator: &str| {
            policy.pins.get_mut(key).unwrap().operator = name(operator);
        };
        run_by(&others[2], "central");
        check(&policy, &terms, Ok(()));
        let mut run_by = |key: &IdentityKey, operator: &str| {
            policy.pins.get_mut(key).unwrap().operator = name(operator);
        };
        // The coordinator's operator with a second member, spelt otherwise.
        run_by(&others[5], "Central");
        let second = index(&terms, &others[5]);
        check(&policy, &terms, Err((RefusalCode::Operators, second)));
        let tolerant = crate::core::fixtures::shared_with(8, 2, 2);
        check(&policy, &tolerant, Ok(()));
    }

    #[test]
    fn this_units_own_operator_counts_as_well() {
        let terms = shared(8);
        let mut policy = pinned(&terms);
        let other = terms
            .roster
            .iter()
            .find(|key| **key != public(OWN))
            .unwrap();
        policy.pins.get_mut(other).unwrap().operator = policy.operator.clone().unwrap();
        let later = index(&terms, other).max(index(&terms, &public(OWN)));
        check(&policy, &terms, Err((RefusalCode::Operators, later)));
    }

    #[test]
    fn who_runs_the_coordinator_must_be_stated() {
        let code = Err((RefusalCode::Operators, 0));
        check_changed(|policy| policy.coordinator_operator = None, code);
    }

    #[test]
    fn operators_are_counted_in_each_group() {
        let terms = shared(129);
        let mut policy = pinned(&terms);
        let both = [0, 128].map(|place: usize| terms.roster[place]);
        for key in both {
            policy.pins.insert(
                key,
                Pin {
                    name: name("twin"),
                    operator: name("twins"),
                },
            );
        }
        policy.operator = Some(name("own"));
        // c_max is 8 in groups of 64 and 65: nine of one operator are refused only where they meet.
        check(&policy, &terms, Ok(()));
        for key in &terms.roster[65..73] {
            policy.pins.get_mut(key).unwrap().operator = name("twins");
        }
        check(&policy, &terms, Err((RefusalCode::Operators, 129)));
    }

    #[test]
    fn tolerances_are_held_against_the_units_demands() {
        let broken = |demand: Demand| Err((RefusalCode::Tolerances, demand as u64));
        check_changed(|policy| policy.honest_min = 5, Ok(()));
        check_changed(|policy| policy.honest_min = 6, broken(Demand::HonestMin));
        check_changed(
            |policy| policy.colluders_min = 2,
            broken(Demand::ColludersMin),
        );
        check_changed(|policy| policy.colluders_max = 1, Ok(()));
        check_changed(
            |policy| policy.colluders_max = 0,
            broken(Demand::ColludersMax),
        );
    }
}
