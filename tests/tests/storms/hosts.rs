//! On hosts of their own, with losses in the kernel's own bridge: where the machine allows network namespaces.

use aquifer_tests::namespaces::Namespaces;

use super::deployment::Deployment;

/// Whether there are none here; said loudly, and no fault of the programs under test.
fn has_none() -> bool {
    let obstacle = Namespaces::obstacle();
    if let Some(obstacle) = &obstacle {
        println!("{obstacle}");
    }
    obstacle.is_some()
}

#[track_caller]
fn check_rides(word: &str, loss_percent: u32, seed: u64) -> bool {
    let mut deployment = Deployment::on_hosts(word, 4, loss_percent, seed);
    let published = deployment.study_with_kills("node-noise");
    assert!(deployment.hosts().lost().unwrap() > 0);
    published
}

#[test]
fn a_study_is_published_through_five_percent_of_loss_and_two_kills() {
    assert!(has_none() || check_rides("five", 5, 11));
}

#[test]
fn a_study_ends_through_twenty_percent_of_loss_and_two_kills() {
    if !has_none() {
        check_rides("twenty", 20, 12);
    }
}

#[test]
fn a_partition_of_two_of_eight_is_survived() {
    if has_none() {
        return;
    }
    let mut deployment = Deployment::on_hosts("parted", 8, 0, 13);
    deployment.begin("node-noise");
    deployment.wait_for_sums(2);
    deployment.moment();
    deployment.hosts().cut(&[1, 2]).unwrap();
    deployment.wait_for_sums(4);
    deployment.hosts().heal().unwrap();
    assert!(deployment.check_end());
}
