//! The network fails and heals, the coordinator dies and comes back: within a bounded time every node is welcome again.

use std::net::IpAddr;
use std::time::Duration;

use super::chatter::{join, open};
use super::network::{CENTRE, Network, Weather, host};
use super::world::{Log, World};

const DAY: Duration = Duration::from_secs(86_400);
const NODE: &str = "unit-2";
/// Silence after which either end gives a connection up.
const IDLE: Duration = Duration::from_secs(30);
/// A node tries again after 10 s at most, and gives each try 10 s.
const BACK: Duration = Duration::from_secs(21);

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A node is up; the network is spoilt for a while, then heals; and the node must be heard of again.
#[track_caller]
fn check_heals(spoil: impl Fn(&Network), spoilt: Duration, ups: usize) {
    let mut world = World::new(1);
    world.run(async |world| {
        let member = world.member(2, DAY);
        let _centre = open(world);
        let _running = join(world, &member);
        world
            .until("the node", seconds(5), |log| log.count(NODE, "heard") > 3)
            .await;
        spoil(&world.network);
        world.pass(spoilt).await;
        world.network.heal();
        world.network.set(Weather::FINE);
        let (said, heard) = (
            world.log.count("hub", "heard"),
            world.log.count(NODE, "heard"),
        );
        let again =
            |log: &Log| log.count("hub", "heard") > said && log.count(NODE, "heard") > heard;
        world.until("messages both ways", BACK, again).await;
    });
    assert_eq!(world.log.count(NODE, "up"), ups, "{}", world.log.tale());
    assert_eq!(world.log.count("hub", "opened"), ups);
}

const HERE: IpAddr = host(2);

#[test]
fn a_short_partition_is_ridden_out_by_the_same_session() {
    check_heals(|network| network.cut_both(HERE, CENTRE), seconds(8), 1);
}

#[test]
fn a_long_partition_ends_the_session_and_another_one_begins() {
    check_heals(|network| network.cut_both(HERE, CENTRE), 2 * IDLE, 2);
}

#[test]
fn a_node_that_is_heard_but_hears_nothing_comes_back() {
    check_heals(|network| network.cut(CENTRE, HERE), 2 * IDLE, 2);
}

#[test]
fn a_node_that_hears_but_is_not_heard_comes_back() {
    check_heals(|network| network.cut(HERE, CENTRE), 2 * IDLE, 2);
}

#[test]
fn a_slow_network_keeps_its_session() {
    let slow = Weather {
        delay_ms: 2_000,
        jitter_ms: 500,
        ..Weather::FINE
    };
    check_heals(|network| network.set(slow), seconds(120), 1);
}

#[test]
fn a_network_that_loses_nearly_everything_is_like_a_partition() {
    let mut world = World::new(3);
    world.run(async |world| {
        let member = world.member(2, DAY);
        let _centre = open(world);
        let _running = join(world, &member);
        world
            .until("the node", seconds(5), |log| log.count(NODE, "heard") > 3)
            .await;
        world.network.set(Weather {
            loss: 0.9,
            ..Weather::FINE
        });
        world.pass(seconds(300)).await;
        world.network.set(Weather::FINE);
        let heard = world.log.count("hub", "heard");
        // Bytes on their way at the last moment wait for a timer that has grown meanwhile, or for the session's end.
        let again = |log: &Log| log.count("hub", "heard") > heard;
        world.until("the node again", IDLE + BACK, again).await;
    });
}

#[test]
fn a_connection_over_half_the_world_comes_up() {
    let mut world = World::new(1);
    world.network.set(Weather {
        delay_ms: 1_000,
        jitter_ms: 200,
        ..Weather::FINE
    });
    world.run(async |world| {
        let member = world.member(2, DAY);
        let _centre = open(world);
        let _running = join(world, &member);
        world
            .until("the node", seconds(20), |log| log.count(NODE, "heard") > 3)
            .await;
    });
}

#[test]
fn a_coordinator_that_restarts_is_noticed_at_once() {
    let mut world = World::new(1);
    world.run(async |world| {
        let members = [2, 3].map(|number| world.member(number, DAY));
        let centre = open(world);
        let _running = members.each_ref().map(|member| join(world, member));
        world
            .until("both", seconds(5), |log| log.count("hub", "opened") == 2)
            .await;
        world.kill_centre(centre);
        let _centre = open(world);
        // Nodes speak twice a second; the first datagram is answered with a reset.
        world
            .until("both again", seconds(5), |log| {
                log.count("hub", "opened") == 4
            })
            .await;
    });
}

#[test]
fn eight_nodes_are_all_back_soon_after_a_restart_in_bad_weather() {
    let mut world = World::new(1);
    world.network.set(Weather {
        loss: 0.1,
        jitter_ms: 30,
        ..Weather::FINE
    });
    world.run(async |world| {
        let members: Vec<_> = (2..10).map(|number| world.member(number, DAY)).collect();
        let centre = open(world);
        let _running: Vec<_> = members.iter().map(|member| join(world, member)).collect();
        world
            .until("all", seconds(30), |log| log.count("hub", "opened") == 8)
            .await;
        world.kill_centre(centre);
        world.pass(seconds(60)).await;
        let opened = world.log.count("hub", "opened");
        let _centre = open(world);
        let all = |log: &Log| log.count("hub", "opened") >= opened + 8;
        world.until("all again", BACK + BACK, all).await;
    });
}

#[test]
fn a_coordinator_that_is_away_for_long_is_waited_for() {
    let mut world = World::new(1);
    world.run(async |world| {
        let member = world.member(2, DAY);
        let centre = open(world);
        let _running = join(world, &member);
        world
            .until("the node", seconds(5), |log| log.count(NODE, "up") == 1)
            .await;
        world.kill_centre(centre);
        world.pass(seconds(3_600)).await;
        let _centre = open(world);
        world
            .until("the node again", BACK, |log| log.count(NODE, "up") == 2)
            .await;
    });
}

#[test]
fn a_node_that_restarts_takes_its_session_over() {
    let mut world = World::new(1);
    world.run(async |world| {
        let member = world.member(2, DAY);
        let _centre = open(world);
        let running = join(world, &member);
        world
            .until("the node", seconds(5), |log| log.count("hub", "heard") > 3)
            .await;
        world.kill(&member, running);
        let _running = join(world, &member);
        world
            .until("it again", seconds(5), |log| {
                log.count("hub", "opened") == 2
            })
            .await;
        // The old session ends by being replaced, and its end does not take the new one along.
        world
            .until("the old one's end", IDLE, |log| {
                log.count("hub", "closed") == 1
            })
            .await;
        let heard = world.log.count("hub", "heard");
        world
            .until("more", seconds(5), |log| log.count("hub", "heard") > heard)
            .await;
    });
}
