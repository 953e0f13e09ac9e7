//! Planted bugs: every rule of the machines is taken out once, every bug of a shell made once, and each is noticed.

use std::collections::BTreeSet;

use aquifer_shared::domain::sum::TrustMode;
use aquifer_tests::simulator::faults::Profile;
use aquifer_tests::simulator::oracle::Invariant;
use aquifer_tests::simulator::plant::Plant;
use aquifer_tests::simulator::scenario::{Kind, Wish};

use crate::{history, wish};

/// Where a bug shows: in which profile, at which seed, by which promise.
struct Noticed {
    bug: &'static str,
    profile: Profile,
    seed: u64,
    by: Invariant,
}

impl Noticed {
    fn wish(&self) -> Wish {
        let plant: Plant = self.bug.parse().expect("the table names bugs");
        Wish {
            plant: Some(plant),
            // A wrong sum of many cells is out of range almost always, and so noticed by another rule.
            cells: (self.bug == "no-spare-openings").then_some(1),
            plan: match self.bug {
                "no-spare-openings" | "no-mirror" => Some(Kind::Synthetic),
                // Synthetic sums read no customer.
                "double-count" => Some(Kind::Additive),
                _ => None,
            },
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
            Some(violation) if noticed.by == violation.invariant => {}
            other => {
                let next = (0..OTHERS).find_map(|seed| found(seed).map(|found| (seed, found)));
                missed.push(format!("{}: {other:?}, but {next:?}", noticed.bug));
            }
        }
    }
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}

/// What tells customers apart shows between histories: see `histories.rs`.
#[test]
fn no_bug_is_left_out() {
    let between = [Plant::TellingPace];
    let all = Plant::all().into_iter();
    let mut expected: Vec<String> = all
        .filter(|plant| !between.contains(plant))
        .map(Plant::name)
        .collect();
    let mut planted: Vec<String> = TABLE.iter().map(|noticed| noticed.bug.to_owned()).collect();
    expected.sort();
    planted.sort();
    assert_eq!(planted, expected);
}

/// No promise is kept because nobody would see it broken. That nothing else leaves is shown in `histories.rs`.
#[test]
fn every_promise_is_seen_broken() {
    let seen: BTreeSet<Invariant> = TABLE.iter().map(|noticed| noticed.by).collect();
    let all = Invariant::ALL.into_iter();
    let expected: BTreeSet<Invariant> = all
        .filter(|promise| *promise != Invariant::NothingElse)
        .collect();
    assert_eq!(seen, expected);
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

const fn noticed(bug: &'static str, profile: Profile, seed: u64, by: Invariant) -> Noticed {
    Noticed {
        bug,
        profile,
        seed,
        by,
    }
}

/// So many other seeds are tried where a bug does not show at its own.
const OTHERS: u64 = 60;
const CALM: Profile = Profile::None;
const ROGUE: Profile = Profile::ByzantineCoordinator;
const LIARS: Profile = Profile::ByzantineNode;
const TABLE: [Noticed; 41] = [
    noticed("no-own-advert", ROGUE, 13, Invariant::OneSet),
    noticed("no-roster-size", ROGUE, 0, Invariant::OneSet),
    noticed("no-roster-order", ROGUE, 1, Invariant::OneSet),
    noticed("no-advert-signature", ROGUE, 5, Invariant::Secrecy),
    noticed("no-same-task", ROGUE, 1, Invariant::OneSet),
    noticed("no-distinct-keys", ROGUE, 0, Invariant::OneSet),
    noticed("no-peer-marks", ROGUE, 10, Invariant::Rollback),
    noticed("no-one-roster", ROGUE, 8, Invariant::NoReuse),
    noticed("no-charge-first", CALM, 0, Invariant::ChargeFirst),
    noticed("no-rising-attempt", ROGUE, 22, Invariant::Budget),
    noticed("no-within-budget", Profile::All, 29, Invariant::Budget),
    noticed("no-terms-hold", ROGUE, 7, Invariant::NoPanic),
    noticed("no-delivered-roster", ROGUE, 7, Invariant::OneSet),
    noticed("no-dealers-in-roster", ROGUE, 6, Invariant::OneSet),
    noticed("no-dealers-min", ROGUE, 9, Invariant::OneSet),
    noticed("no-records-open", ROGUE, 7, Invariant::Secrecy),
    noticed("no-one-set", ROGUE, 1, Invariant::NoReuse),
    noticed("no-marks-first", CALM, 0, Invariant::Rollback),
    noticed("no-proof-quorum", ROGUE, 2, Invariant::Secrecy),
    noticed("no-proof-signatures", ROGUE, 2, Invariant::Secrecy),
    noticed("no-counted-advert", LIARS, 8, Invariant::Liveness),
    noticed("no-fresh-attempt", LIARS, 4, Invariant::OneSet),
    noticed("no-set-first", CALM, 0, Invariant::OneSet),
    noticed("no-spare-openings", LIARS, 23, Invariant::ExactSum),
    noticed("no-sum-in-range", LIARS, 11, Invariant::ExactSum),
    noticed("no-result-first", CALM, 0, Invariant::OneSet),
    noticed("forgotten-fsync", CALM, 0, Invariant::ChargeFirst),
    noticed("dropped-charge", CALM, 0, Invariant::ChargeFirst),
    noticed("refund", Profile::Crashes, 0, Invariant::Budget),
    noticed("reused-noise", CALM, 1, Invariant::NoReuse),
    noticed("reused-seed", CALM, 0, Invariant::NoReuse),
    noticed("reused-key", LIARS, 2, Invariant::NoReuse),
    noticed("wrong-honest", CALM, 0, Invariant::NoisePresent),
    noticed("no-witness", Profile::Disk, 14, Invariant::Rollback),
    noticed("no-mirror", Profile::Disk, 17, Invariant::Rollback),
    noticed("unchecked-roster", ROGUE, 0, Invariant::OneSet),
    noticed("unproven-opening", ROGUE, 2, Invariant::Secrecy),
    noticed("refund-on-time-out", Profile::Network, 3, Invariant::Budget),
    noticed("double-count", CALM, 0, Invariant::ExactSum),
    noticed("no-opening", CALM, 0, Invariant::Liveness),
    noticed("forgotten-alarm", Profile::Network, 6, Invariant::Liveness),
];
