//! With noise off a sum is the plain sum of what the nodes brought, bit for bit.
//!
//! The watchers hold every release against it; here are the sizes. Larger ones: `scripts/simulate --noise zero`.

use aquifer_shared::domain::sum::TrustMode;
use aquifer_tests::simulator::faults::Profile;
use aquifer_tests::simulator::scenario::{Kind, NoiseChoice, Wish};

use crate::{check_unbroken, history, wish};

#[track_caller]
fn check_exact(nodes: usize, cells: u32, profile: Profile, rounds: u16) {
    let exact = Wish {
        nodes: Some(nodes),
        cells: Some(cells),
        rounds,
        noise: NoiseChoice::Zero,
        plan: Some(Kind::Synthetic),
        ..wish(TrustMode::SharedNoise, profile)
    };
    let found = history(1, &exact);
    check_unbroken(1, &exact, &found);
    if profile == Profile::None {
        assert_eq!(
            found.released,
            u64::from(rounds),
            "{nodes} nodes, {cells} cells"
        );
    }
}

#[test]
fn sums_of_every_group_size_are_exact() {
    for nodes in [4, 5, 6, 7, 8, 9, 12, 16, 24, 33, 64] {
        check_exact(nodes, 7, Profile::None, 1);
    }
}

#[test]
fn sums_of_the_largest_group_are_exact() {
    check_exact(128, 41, Profile::None, 1);
}

#[test]
fn sums_of_several_groups_are_exact() {
    check_exact(129, 3, Profile::None, 2);
}

#[test]
fn sums_of_few_and_of_many_cells_are_exact() {
    for cells in [1, 2, 3, 1_000, 20_000] {
        check_exact(4, cells, Profile::None, 1);
    }
    check_exact(8, 10_000, Profile::None, 1);
}

#[test]
fn sums_are_exact_when_members_drop_out() {
    for seed_cells in 1..12 {
        check_exact(8, seed_cells, Profile::Crashes, 4);
    }
}
