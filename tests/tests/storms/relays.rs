//! Behind relays on loopback: on every machine, with datagrams that are lost, doubled and overtaken.

use aquifer_tests::relay::Weather;

use super::deployment::Deployment;

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

#[track_caller]
fn check_rides(weather: Weather, seed: u64) -> bool {
    let mut deployment = Deployment::behind_relays(4, weather, seed);
    let published = deployment.study_with_kills("node-noise");
    let lost = deployment.relays.iter().map(|relay| relay.counts().1);
    assert!(lost.sum::<u64>() > 0);
    published
}

#[test]
fn a_study_is_published_through_five_percent_of_loss_and_two_kills() {
    assert!(check_rides(DRIZZLE, 1));
}

#[test]
fn a_study_ends_through_twenty_percent_of_loss_and_two_kills() {
    check_rides(STORM, 2);
}

#[test]
fn a_partition_of_two_of_eight_is_survived() {
    let mut deployment = Deployment::behind_relays(8, Weather::default(), 3);
    deployment.begin("node-noise");
    deployment.wait_for_sums(2);
    deployment.moment();
    deployment.relays[..2]
        .iter()
        .for_each(|relay| relay.cut(true));
    deployment.wait_for_sums(4);
    deployment.relays.iter().for_each(|relay| relay.cut(false));
    assert!(deployment.check_end());
}
