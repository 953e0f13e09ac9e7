//! What holds between histories: the same seed is the same history, other customers look the same from outside, and what
//! failed once is not to fail again.

use std::collections::BTreeSet;

use aquifer_shared::domain::sum::TrustMode;
use aquifer_tests::simulator::faults::{Chosen, FaultId, Profile};
use aquifer_tests::simulator::plant::Plant;
use aquifer_tests::simulator::scenario::{Kind, NoiseChoice, Wish};

use crate::{check_unbroken, history, wish};

const MODES: [TrustMode; 2] = [TrustMode::NodeNoise, TrustMode::SharedNoise];

#[test]
fn one_seed_one_history() {
    for wish in MODES.map(|trust| wish(trust, Profile::All)) {
        for seed in 0..6 {
            let (one, same) = (history(seed, &wish), history(seed, &wish));
            assert_eq!(one, same, "seed {seed}");
        }
        let (one, other) = (history(0, &wish), history(1, &wish));
        assert_ne!(one.transcript, other.transcript);
    }
}

/// The faults that struck, alone, give the same history again: that is what shrinking rests on.
#[test]
fn what_struck_is_all_that_a_history_needs() {
    let all = wish(TrustMode::SharedNoise, Profile::All);
    for seed in 0..12 {
        let one = history(seed, &all);
        let struck: BTreeSet<FaultId> = one.struck.iter().copied().collect();
        let only = Wish {
            chosen: Chosen::Only(struck),
            ..all.clone()
        };
        assert_eq!(one, history(seed, &only), "seed {seed}");
    }
}

/// Kinds, sizes and moments of messages are the same whatever the customers are.
#[test]
fn nothing_else_leaves() {
    for trust in MODES {
        for (plan, noise) in [
            (Kind::Synthetic, NoiseChoice::Seeded),
            (Kind::Additive, NoiseChoice::Seeded),
            (Kind::Additive, NoiseChoice::Zero),
        ] {
            // With the same sums: what follows from a release is post-processing of it.
            let profile = match plan {
                Kind::Synthetic => Profile::Network,
                Kind::Additive => Profile::None,
            };
            let one = Wish {
                plan: Some(plan),
                noise,
                ..wish(trust, profile)
            };
            let other = Wish {
                customers: 1,
                ..one.clone()
            };
            for seed in 0..4 {
                let (one, other) = (history(seed, &one), history(seed, &other));
                assert!(one.released > 0, "seed {seed}");
                assert_eq!(
                    one.outline, other.outline,
                    "{trust:?}, {plan:?}, seed {seed}"
                );
                assert_ne!(
                    one.transcript, other.transcript,
                    "{trust:?}, {plan:?}, seed {seed}"
                );
            }
        }
    }
}

/// If how long nodes compute depended on their customers, it would show.
#[test]
fn a_telling_pace_is_noticed() {
    let one = Wish {
        plant: Some(Plant::TellingPace),
        plan: Some(Kind::Additive),
        noise: NoiseChoice::Zero,
        ..wish(TrustMode::SharedNoise, Profile::None)
    };
    let other = Wish {
        customers: 1,
        ..one.clone()
    };
    let (found, others) = (history(0, &one), history(0, &other));
    check_unbroken(0, &other, &others);
    assert_ne!(found.outline, others.outline);
}

/// Each history broke a promise once: in the product, or because the watchers did not know better.
#[test]
fn what_failed_once_does_not_fail_again() {
    for (seed, profile, trust, why) in NAMED {
        let wish = wish(trust, profile);
        let found = history(seed, &wish);
        check_unbroken(seed, &wish, &found);
        assert!(found.ending.is_some() || !why.is_empty());
    }
}

/// What a slow unit has begun is still slow when the unit is mended: until it is done, the unit is not well.
#[test]
fn slow_work_outlives_slowness() {
    for seed in [2_410, 7_410, 9_795] {
        let wish = Wish {
            nodes: Some(8),
            cells: Some(40),
            rounds: 5,
            plan: Some(Kind::Synthetic),
            ..wish(TrustMode::SharedNoise, Profile::All)
        };
        check_unbroken(seed, &wish, &history(seed, &wish));
    }
}

/// A failing seed stays here with what it showed.
const NAMED: [(u64, Profile, TrustMode, &str); 9] = [
    (
        58,
        Profile::Crashes,
        TrustMode::NodeNoise,
        "the coordinator dies between the record of a study's end and its effects",
    ),
    (
        33,
        Profile::All,
        TrustMode::NodeNoise,
        "a coordinator with an old store ends a study otherwise than it did",
    ),
    (
        2_156,
        Profile::All,
        TrustMode::SharedNoise,
        "a disk forgets its last write and is put back to a newer backup at once",
    ),
    (
        2_964,
        Profile::All,
        TrustMode::SharedNoise,
        "a node draws noise for several attempts before one of them is released",
    ),
    (
        10_004,
        Profile::All,
        TrustMode::NodeNoise,
        "an update leaves for the first time in the life after the one that stored it",
    ),
    (
        14,
        Profile::ByzantineNode,
        TrustMode::SharedNoise,
        "a liar's ledger stands at nothing and beside it",
    ),
    (
        523,
        Profile::ByzantineNode,
        TrustMode::SharedNoise,
        "two liars go once around the field together",
    ),
    (
        876,
        Profile::ByzantineNode,
        TrustMode::SharedNoise,
        "two liars go once around the field together",
    ),
    (
        52,
        Profile::All,
        TrustMode::SharedNoise,
        "a witness that lags behind and a write that is lost come together",
    ),
];
