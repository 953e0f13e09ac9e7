//! Simulated studies of the production machines: nothing is broken under faults, a seed fixes its history, a rule that is missing
//! shows.

use std::fs;
use std::ops::Range;
use std::path::Path;

use aquifer_shared::domain::sum::TrustMode;
use aquifer_tests::simulator::faults::{Chosen, Profile};
use aquifer_tests::simulator::plant::Plant;
use aquifer_tests::simulator::scenario::{Kind, NoiseChoice, Scenario, Wish};
use aquifer_tests::simulator::sweep::Sweep;
use aquifer_tests::simulator::{History, run};

fn wish(trust: TrustMode, profile: Profile) -> Wish {
    Wish {
        trust,
        chosen: Chosen::ByRate(profile, 1.0),
        ..Wish::default()
    }
}

fn history(seed: u64, wish: &Wish) -> History {
    run(&Scenario::draw(seed, wish))
}

/// Runs all seeds; every broken promise is told with the command that shows it again.
#[track_caller]
fn check_nothing_breaks(wish: Wish, seeds: Range<u64>) {
    let sweep = Sweep {
        wish,
        seeds,
        threads: 2,
    };
    let (mut released, mut broken) = (0, Vec::new());
    sweep.run(|seed, history| {
        released += history.released;
        let violation = history.violation.iter();
        broken.extend(violation.map(|what| format!("{what}: {}", sweep.wish.command(seed))));
        broken.len() < 3
    });
    assert!(broken.is_empty(), "{}", broken.join("\n"));
    assert!(released > 0, "some sums are released");
}

#[test]
fn secure_sums_keep_their_promises_under_all_faults() {
    check_nothing_breaks(wish(TrustMode::SharedNoise, Profile::All), 0..SLICE);
}

#[test]
fn updates_keep_their_promises_under_all_faults() {
    check_nothing_breaks(wish(TrustMode::NodeNoise, Profile::All), 0..SLICE / 4);
}

#[test]
fn without_noise_sums_are_exact() {
    let exact = Wish {
        noise: NoiseChoice::Zero,
        plan: Some(Kind::Synthetic),
        ..wish(TrustMode::SharedNoise, Profile::Network)
    };
    check_nothing_breaks(exact, 0..SLICE / 8);
}

#[test]
fn one_seed_one_history() {
    for trust in [TrustMode::NodeNoise, TrustMode::SharedNoise] {
        let wish = wish(trust, Profile::All);
        for seed in 0..4 {
            let (one, same) = (history(seed, &wish), history(seed, &wish));
            assert_eq!(one.transcript, same.transcript, "seed {seed}");
        }
        let (one, other) = (history(0, &wish), history(1, &wish));
        assert_ne!(one.transcript, other.transcript);
    }
}

/// Kinds, sizes and moments of messages are the same whatever the customers are.
#[test]
fn nothing_else_leaves() {
    for trust in [TrustMode::NodeNoise, TrustMode::SharedNoise] {
        let wish = wish(trust, Profile::Network);
        let others = Wish {
            customers: 1,
            ..wish.clone()
        };
        for seed in 0..6 {
            let (one, other) = (history(seed, &wish), history(seed, &others));
            assert_eq!(one.outline, other.outline, "seed {seed}");
            assert_ne!(one.transcript, other.transcript, "seed {seed}");
        }
    }
}

/// Bugs that show within few histories: each is looked for until it does.
#[test]
fn planted_bugs_are_noticed() {
    let mut unnoticed = Vec::new();
    for plant in NOTICED.map(|name| name.parse::<Plant>().unwrap()) {
        let planted = Wish {
            plant: Some(plant),
            ..wish(TrustMode::SharedNoise, Profile::All)
        };
        let sweep = Sweep {
            wish: planted,
            seeds: 0..PLANTED_SEEDS_MAX,
            threads: 2,
        };
        let mut noticed = false;
        sweep.run(|_, history| {
            noticed |= history.violation.is_some();
            !noticed
        });
        if !noticed {
            unnoticed.push(plant.name());
        }
    }
    assert!(unnoticed.is_empty(), "not noticed: {unnoticed:?}");
}

/// Rules can be judged otherwise by the simulator alone: no shipped source names the way to do it.
#[test]
fn programs_judge_every_rule_strictly() {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for folder in ["shared/src", "node/src", "coordinator/src"] {
        let mut open = vec![top.join(folder)];
        while let Some(path) = open.pop() {
            if path.is_dir() {
                let entries = fs::read_dir(&path).unwrap();
                open.extend(entries.map(|entry| entry.unwrap().path()));
                continue;
            }
            let text = fs::read_to_string(&path).unwrap_or_default();
            let shipped = text.split("#[cfg(test)]").next().unwrap_or_default();
            let name = path.display().to_string();
            let test = name.contains("test") || name.contains("fixtures") || name.contains("world");
            let named = shipped.contains("Checks::judged_by(");
            assert!(test || !named, "{name}");
        }
    }
}

/// Histories of the largest sweep: about half a minute on two cores.
const SLICE: u64 = 240;
const PLANTED_SEEDS_MAX: u64 = 400;
const NOTICED: [&str; 20] = [
    "no-own-advert",
    "no-roster-size",
    "no-advert-signature",
    "no-distinct-keys",
    "no-peer-marks",
    "no-one-roster",
    "no-charge-first",
    "no-within-budget",
    "no-terms-hold",
    "no-delivered-roster",
    "no-dealers-in-roster",
    "no-dealers-min",
    "no-marks-first",
    "no-proof-quorum",
    "no-proof-signatures",
    "no-counted-advert",
    "no-fresh-attempt",
    "no-result-first",
    "forgotten-fsync",
    "reused-noise",
];
