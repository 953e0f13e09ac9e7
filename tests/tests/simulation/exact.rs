//! With noise off a sum is the plain sum of what the nodes brought, bit for bit.
//!
//! The watchers hold every release against it; here are sizes that are quick. All of them: `scripts/simulate --exact`.

use aquifer_shared::domain::sum::TrustMode;
use aquifer_tests::simulator::exactness::{Verdict, check};
use aquifer_tests::simulator::faults::Profile;
use aquifer_tests::simulator::scenario::{Kind, NoiseChoice, Wish};

use crate::{check_unbroken, history, wish};

#[track_caller]
fn check_exact(nodes: usize, cells: u32) {
    let found = check(nodes, cells);
    assert_eq!(found, Ok(Verdict::Exact), "{nodes} nodes, {cells} cells");
}

#[test]
fn sums_of_every_group_size_are_exact() {
    for nodes in [4, 5, 6, 7, 8, 9, 12, 16, 24, 33, 64] {
        check_exact(nodes, 7);
    }
}

#[test]
fn sums_of_the_largest_group_are_exact() {
    check_exact(128, 41);
}

#[test]
fn sums_of_several_groups_are_exact() {
    check_exact(129, 3);
}

#[test]
fn sums_of_few_and_of_many_cells_are_exact() {
    for cells in [1, 2, 3, 1_000, 20_000] {
        check_exact(4, cells);
    }
    check_exact(8, 10_000);
}

#[test]
fn more_cells_than_messages_carry_are_refused() {
    assert_eq!(check(4, 1_000_000), Ok(Verdict::TooMany));
}

#[test]
fn sums_are_exact_when_members_drop_out() {
    let exact = Wish {
        nodes: Some(8),
        rounds: 4,
        noise: NoiseChoice::Zero,
        plan: Some(Kind::Synthetic),
        ..wish(TrustMode::SharedNoise, Profile::Crashes)
    };
    let mut released = 0;
    for cells in 1..12 {
        let sized = Wish {
            cells: Some(cells),
            ..exact.clone()
        };
        let found = history(1, &sized);
        check_unbroken(1, &sized, &found);
        released += found.released;
    }
    assert!(released > 20, "{released} sums of 44");
}
