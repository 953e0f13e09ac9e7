//! Behind relays on loopback: on every machine, with datagrams that are lost, doubled and overtaken.

use aquifer_tests::relay::Weather;

use super::deployment::{Deployment, PHASE_MS};

const DRIZZLE: Weather = Weather {
    loss: 0.05,
    doubled: 0.02,
    delay_ms_max: 10,
};
const STORM: Weather = Weather {
    loss: 0.2,
    doubled: 0.05,
    delay_ms_max: 20,
};

/// A study with two kills on its way; how many updates or dealers are in each sum, if it was published.
#[track_caller]
fn ride(trust: &str, nodes: usize, weather: Weather, seed: u64) -> Option<Vec<u64>> {
    let mut deployment = Deployment::behind_relays(nodes, weather, seed);
    let sums = deployment.study_with_kills(trust);
    let lost = deployment.relays.iter().map(|relay| relay.counts().1);
    assert!(lost.sum::<u64>() > 0);
    sums
}

#[test]
fn a_study_is_published_through_five_percent_of_loss_and_two_kills() {
    assert!(ride("node-noise", 4, DRIZZLE, 1).is_some());
}

#[test]
fn a_study_ends_through_twenty_percent_of_loss_and_two_kills() {
    ride("node-noise", 4, STORM, 2);
}

#[test]
fn a_secure_study_is_published_through_five_percent_of_loss_and_two_kills() {
    let sums = ride("shared-noise", 8, DRIZZLE, 4);
    assert!(sums.is_some_and(|sums| sums.iter().all(|dealers| *dealers >= 6)));
}

#[test]
fn a_secure_study_ends_through_twenty_percent_of_loss_and_two_kills() {
    ride("shared-noise", 8, STORM, 5);
}

#[test]
fn a_partition_of_two_of_eight_is_survived() {
    let mut deployment = Deployment::behind_relays(8, Weather::default(), 3);
    deployment.begin("shared-noise", PHASE_MS);
    deployment.wait_for_sums(2);
    deployment.moment();
    deployment.relays[..2]
        .iter()
        .for_each(|relay| relay.cut(true));
    deployment.wait_for_sums(4);
    deployment.relays.iter().for_each(|relay| relay.cut(false));
    assert!(deployment.check_end().is_some());
}
