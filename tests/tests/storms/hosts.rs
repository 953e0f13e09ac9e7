//! On hosts of their own, with losses in the kernel's own bridge: where the machine allows network namespaces.

use aquifer_tests::namespaces::Namespaces;

use super::deployment::{Deployment, PHASE_MS};

/// Whether there are none here; said loudly, and no fault of the programs under test.
fn has_none() -> bool {
    let obstacle = Namespaces::obstacle();
    if let Some(obstacle) = &obstacle {
        println!("{obstacle}");
    }
    obstacle.is_some()
}

/// A study with two kills on its way; how many updates or dealers are in each sum, if it was published.
#[track_caller]
fn ride(trust: &str, nodes: usize, loss_percent: u32, seed: u64) -> Option<Vec<u64>> {
    let word = format!("ride{seed}");
    let mut deployment = Deployment::on_hosts(&word, nodes, loss_percent, seed);
    let sums = deployment.study_with_kills(trust);
    assert!(deployment.hosts().lost().unwrap() > 0);
    sums
}

#[test]
fn a_secure_study_is_published_through_five_percent_of_loss_and_two_kills() {
    assert!(has_none() || ride("shared-noise", 8, 5, 11).is_some());
}

#[test]
fn a_study_ends_through_twenty_percent_of_loss_and_two_kills() {
    if !has_none() {
        ride("node-noise", 4, 20, 12);
    }
}

#[test]
fn a_partition_of_two_of_eight_is_survived() {
    if has_none() {
        return;
    }
    let mut deployment = Deployment::on_hosts("parted", 8, 0, 13);
    deployment.begin("shared-noise", PHASE_MS);
    deployment.wait_for_sums(2);
    deployment.moment();
    deployment.hosts().cut(&[1, 2]).unwrap();
    deployment.wait_for_sums(4);
    deployment.hosts().heal().unwrap();
    assert!(deployment.check_end().is_some());
}
