//! Planted bugs: every rule of the machines is taken out once, every bug of a shell made once, and each is noticed.

use aquifer_shared::domain::sum::TrustMode;
use aquifer_tests::simulator::faults::Profile;
use aquifer_tests::simulator::oracle::Invariant;
use aquifer_tests::simulator::plant::Plant;
use aquifer_tests::simulator::scenario::{Kind, Wish};

use crate::{history, wish};

/// Where a bug shows: in which profile, at which seed, by which promises.
struct Noticed {
    bug: &'static str,
    profile: Profile,
    seed: u64,
    by: &'static [Invariant],
}

impl Noticed {
    fn wish(&self) -> Wish {
        let plant: Plant = self.bug.parse().expect("the table names bugs");
        Wish {
            plant: Some(plant),
            // A wrong sum of many cells is out of range almost always, and so noticed by another rule.
            cells: (self.bug == "no-spare-openings").then_some(1),
            plan: ["no-spare-openings", "no-mirror"]
                .contains(&self.bug)
                .then_some(Kind::Synthetic),
            // Backups must be older than something, and the study go on after them.
            rounds: if self.bug == "no-mirror" { 20 } else { 5 },
            ..wish(self.trust(), self.profile)
        }
    }

    /// In secure sums peers notice an old ledger even where the mirror is not listened to.
    fn trust(&self) -> TrustMode {
        match self.bug {
            "no-mirror" => TrustMode::NodeNoise,
            _ => TrustMode::SharedNoise,
        }
    }
}

/// Told with the seed at which the bug shows now, where it is another one.
#[test]
fn every_bug_is_noticed_at_its_seed() {
    let mut missed = Vec::new();
    for noticed in &TABLE {
        let wish = noticed.wish();
        let found = |seed| history(seed, &wish).violation;
        match found(noticed.seed) {
            Some(violation) if noticed.by.contains(&violation.invariant) => {}
            other => {
                let next = (0..OTHERS).find_map(|seed| found(seed).map(|found| (seed, found)));
                missed.push(format!("{}: {other:?}, but {next:?}", noticed.bug));
            }
        }
    }
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}

#[test]
fn no_bug_is_left_out() {
    let mut expected: Vec<String> = Plant::all().into_iter().map(Plant::name).collect();
    let mut planted: Vec<String> = TABLE.iter().map(|noticed| noticed.bug.to_owned()).collect();
    expected.sort();
    planted.sort();
    assert_eq!(planted, expected);
}

/// What the same seeds say without the bug.
#[test]
fn without_the_bug_nothing_is_noticed() {
    for noticed in &TABLE {
        let wish = Wish {
            plant: None,
            ..noticed.wish()
        };
        let found = history(noticed.seed, &wish);
        assert_eq!(found.violation, None, "{}", noticed.bug);
    }
}

const fn noticed(
    bug: &'static str,
    profile: Profile,
    seed: u64,
    by: &'static [Invariant],
) -> Noticed {
    Noticed {
        bug,
        profile,
        seed,
        by,
    }
}

/// So many other seeds are tried where a bug does not show at its own.
const OTHERS: u64 = 60;
const ROGUE: Profile = Profile::ByzantineCoordinator;
const LIARS: Profile = Profile::ByzantineNode;
const ONE: &[Invariant] = &[Invariant::OneSet, Invariant::NoReuse];
const SECRET: &[Invariant] = &[Invariant::Secrecy, Invariant::OneSet];
const TABLE: [Noticed; 35] = [
    noticed("no-own-advert", ROGUE, 13, ONE),
    noticed("no-roster-size", ROGUE, 0, ONE),
    noticed("no-roster-order", ROGUE, 1, ONE),
    noticed("no-advert-signature", ROGUE, 5, SECRET),
    noticed("no-same-task", ROGUE, 1, ONE),
    noticed("no-distinct-keys", ROGUE, 0, ONE),
    noticed("no-peer-marks", ROGUE, 10, &[Invariant::Rollback]),
    noticed("no-one-roster", ROGUE, 8, ONE),
    noticed(
        "no-charge-first",
        Profile::None,
        0,
        &[Invariant::ChargeFirst],
    ),
    noticed("no-rising-attempt", ROGUE, 22, &[Invariant::Budget]),
    noticed("no-within-budget", Profile::All, 29, &[Invariant::Budget]),
    noticed(
        "no-terms-hold",
        ROGUE,
        7,
        &[Invariant::NoPanic, Invariant::Budget],
    ),
    noticed("no-delivered-roster", ROGUE, 7, ONE),
    noticed("no-dealers-in-roster", ROGUE, 6, ONE),
    noticed("no-dealers-min", ROGUE, 9, ONE),
    noticed("no-records-open", ROGUE, 7, SECRET),
    noticed("no-one-set", ROGUE, 8, ONE),
    noticed("no-marks-first", Profile::None, 0, &[Invariant::Rollback]),
    noticed("no-proof-quorum", ROGUE, 2, SECRET),
    noticed("no-proof-signatures", ROGUE, 2, SECRET),
    noticed("no-counted-advert", LIARS, 8, &[Invariant::Liveness]),
    noticed("no-fresh-attempt", LIARS, 4, ONE),
    noticed("no-set-first", Profile::None, 0, ONE),
    noticed("no-spare-openings", LIARS, 23, &[Invariant::ExactSum]),
    noticed("no-sum-in-range", LIARS, 11, &[Invariant::ExactSum]),
    noticed("no-result-first", Profile::None, 0, ONE),
    noticed(
        "forgotten-fsync",
        Profile::None,
        0,
        &[Invariant::ChargeFirst],
    ),
    noticed(
        "dropped-charge",
        Profile::None,
        0,
        &[Invariant::ChargeFirst],
    ),
    noticed("refund", Profile::Crashes, 0, &[Invariant::Budget]),
    noticed("reused-noise", Profile::None, 1, &[Invariant::NoReuse]),
    noticed("reused-seed", Profile::None, 0, &[Invariant::NoReuse]),
    noticed("reused-key", LIARS, 4, &[Invariant::NoReuse]),
    noticed("wrong-honest", Profile::None, 0, &[Invariant::NoisePresent]),
    noticed("no-witness", Profile::Disk, 14, &[Invariant::Rollback]),
    noticed("no-mirror", Profile::Disk, 17, &[Invariant::Rollback]),
];
