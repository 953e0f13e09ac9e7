//! A slice of what `scripts/simulate` runs at length: about a minute of one core, in parts that run side by side.

use std::ops::Range;

use aquifer_shared::domain::sum::TrustMode;
use aquifer_tests::simulator::faults::Profile;
use aquifer_tests::simulator::scenario::Wish;
use aquifer_tests::simulator::shrink::shrink;
use aquifer_tests::simulator::sweep::Sweep;

use crate::wish;

/// Runs all seeds; every broken promise is told with the command that shows it again, and the smallest that does.
#[track_caller]
fn check_nothing_breaks(wish: Wish, seeds: Range<u64>) {
    let sweep = Sweep {
        wish,
        seeds,
        threads: 1,
    };
    let (mut released, mut broken) = (0, Vec::new());
    sweep.run(|seed, history| {
        released += history.released;
        if let Some(shrunk) = shrink(seed, &sweep.wish, &history, SHRINK_RUNS) {
            let (violation, again) = (&shrunk.violation, sweep.wish.command(seed));
            let smallest = shrunk.wish.command(seed);
            broken.push(format!("{violation}: {again}\nsmallest: {smallest}"));
        }
        broken.len() < 3
    });
    assert!(broken.is_empty(), "{}", broken.join("\n"));
    assert!(released > 0, "some sums are released");
}

/// One of the parts of the sweep over secure sums under all faults.
#[track_caller]
fn check_part(part: u64) {
    let seeds = part * PART..(part + 1) * PART;
    check_nothing_breaks(wish(TrustMode::SharedNoise, Profile::All), seeds);
}

#[test]
fn secure_sums_keep_their_promises_under_all_faults_part_1() {
    check_part(0);
}

#[test]
fn secure_sums_keep_their_promises_under_all_faults_part_2() {
    check_part(1);
}

#[test]
fn secure_sums_keep_their_promises_under_all_faults_part_3() {
    check_part(2);
}

#[test]
fn secure_sums_keep_their_promises_under_all_faults_part_4() {
    check_part(3);
}

#[test]
fn secure_sums_keep_their_promises_under_all_faults_part_5() {
    check_part(4);
}

#[test]
fn secure_sums_keep_their_promises_under_all_faults_part_6() {
    check_part(5);
}

#[test]
fn updates_keep_their_promises_under_all_faults() {
    check_nothing_breaks(wish(TrustMode::NodeNoise, Profile::All), 0..4 * PART);
}

/// Histories that are run to make a failing one smaller.
const SHRINK_RUNS: usize = 60;
/// Histories of each part.
const PART: u64 = 70;
