//! Every fault strikes, alone, where it can; and breaks no promise.

use std::collections::BTreeMap;

use aquifer_shared::domain::sum::TrustMode;
use aquifer_tests::simulator::faults::{Chosen, Family, Fault, FaultId, Profile};
use aquifer_tests::simulator::scenario::{Kind, Wish};

use crate::{check_unbroken, history, wish};

/// A fault of each kind strikes at several moments of small studies, with nothing else going wrong but what it needs.
#[track_caller]
fn check_each_alone(trust: TrustMode, faults: impl Iterator<Item = Fault>) {
    let mut struck: BTreeMap<Fault, usize> = faults.map(|fault| (fault, 0)).collect();
    for seed in 0..SEEDS {
        let mut chances = BTreeMap::new();
        for (fault, struck) in &mut struck {
            let before = needs(*fault);
            let known = chances.entry(before);
            let known = known.or_insert_with(|| history(seed, &only(trust, before)).chances);
            *struck += strike_alone(seed, trust, (*fault, before), known);
        }
    }
    let never: Vec<_> = struck.iter().filter(|(_, struck)| **struck == 0).collect();
    assert!(never.is_empty(), "{never:?} never strike");
}

/// How often the fault struck in the history of a seed.
#[track_caller]
fn strike_alone(
    seed: u64,
    trust: TrustMode,
    (fault, before): (Fault, Option<FaultId>),
    chances: &[((Fault, u32), u32)],
) -> usize {
    // Where it has most chances: at a liar, or at any party.
    let own = chances.iter().filter(|((of, _), _)| *of == fault);
    let Some(((_, party), chances)) = own.copied().max_by_key(|(_, chances)| *chances) else {
        return 0;
    };
    // Soon, and once more later: most faults need the other parties to be on their way.
    let at = |chance| FaultId {
        fault,
        party,
        chance,
    };
    let twice = [chances / 5, chances / 2].map(at);
    let wish = only(trust, before.into_iter().chain(twice));
    let found = history(seed, &wish);
    check_unbroken(seed, &wish, &found);
    found.struck.iter().filter(|id| id.fault == fault).count()
}

/// A small study with these faults.
fn only(trust: TrustMode, ids: impl IntoIterator<Item = FaultId>) -> Wish {
    Wish {
        nodes: Some(5),
        rounds: 3,
        cells: Some(3),
        plan: Some(Kind::Synthetic),
        chosen: Chosen::Only(ids.into_iter().collect()),
        ..wish(trust, Profile::None)
    }
}

/// What must be the case for a fault to have chances at all.
fn needs(fault: Fault) -> Option<FaultId> {
    let lies = |fault| FaultId {
        fault,
        party: 0,
        chance: 0,
    };
    match fault.family() {
        Family::RogueCoordinator if fault != Fault::Rogue => Some(lies(Fault::Rogue)),
        Family::LyingMembers if fault != Fault::Liars => Some(lies(Fault::Liars)),
        _ => None,
    }
}

fn all() -> impl Iterator<Item = Fault> {
    Fault::ALL.iter().copied()
}

#[test]
fn every_fault_strikes_in_secure_sums_and_breaks_nothing() {
    check_each_alone(TrustMode::SharedNoise, all());
}

/// Lies about rosters, sets and shares have no place there.
#[test]
fn every_fault_of_machines_strikes_in_updates_and_breaks_nothing() {
    let lies = [Family::RogueCoordinator, Family::LyingMembers];
    let faults = all().filter(|fault| !lies.contains(&fault.family()));
    check_each_alone(TrustMode::NodeNoise, faults);
}

const SEEDS: u64 = 2;
